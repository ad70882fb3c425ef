//! Momentum and where it lives (El-Mhamdi, Guerraoui & Rouault, Distributed Momentum, ICLR 2021,
//! §2).
//!
//! | placement | a worker sends | the server steps by |
//! |---|---|---|
//! | `update` | gᵢ | v ← μ·v + (1 − δ)·A |
//! | `server` | (1 − δ)·gᵢ + μ·A₋₁ with A₋₁ the last aggregate | A |
//! | `worker` | vᵢ ← μ·vᵢ + (1 − δ)·gᵢ | A |
//! | `worker-twice` | uᵢ ← μ·uᵢ + (1 − δ)·vᵢ, vᵢ as at `worker` | A |
//! | `rows` | gᵢ | A of vᵢ ← μ·vᵢ + (1 − δ)·gᵢ, which the server keeps |
//!
//! `worker-twice` is the double momentum of Byz-DM21 (AISTATS 2026, arXiv 2603.15144), with δ = μ
//! and η = 1 − μ there; `rows` is that of RoSDHB (Gupta et al. 2025, arXiv 2508.17129), where
//! workers send compressed gradients and keep nothing. Both are as remembered.
//!
//! All buffers start at 0. δ = μ makes the sum an exponential mean. With Nesterov, gradients are
//! taken at θ − μ·α·(the buffer).

use varangian_base::kernels::elementwise::blend_into_both;

/// Where the momentum buffer lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Placement {
    /// At the server, after aggregation: "at the server" in the paper.
    Update,
    /// Added by workers from the broadcast aggregate; in the published code only.
    Server,
    /// At each worker, before aggregation: "at the workers" in the paper.
    Worker,
    /// At each worker, and of that momentum a momentum again, which is sent.
    WorkerTwice,
    /// At the server, one of each worker's messages, before aggregation.
    Rows,
}

impl Placement {
    /// The names, in the order of the variants.
    pub const NAMES: &'static [&'static str] =
        &["update", "server", "worker", "worker-twice", "rows"];

    /// Whether a buffer lives at each worker.
    pub fn is_at_worker(self) -> bool {
        matches!(self, Placement::Worker | Placement::WorkerTwice)
    }

    /// The placement called `name`.
    pub fn from_name(name: &str) -> Option<Self> {
        match name {
            "update" => Some(Placement::Update),
            "server" => Some(Placement::Server),
            "worker" => Some(Placement::Worker),
            "worker-twice" => Some(Placement::WorkerTwice),
            "rows" => Some(Placement::Rows),
            _ => None,
        }
    }

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Placement::Update => "update",
            Placement::Server => "server",
            Placement::Worker => "worker",
            Placement::WorkerTwice => "worker-twice",
            Placement::Rows => "rows",
        }
    }
}

/// Classical momentum.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Momentum {
    /// μ in [0, 1).
    pub coefficient: f64,
    /// δ in [0, 1]: new gradients enter with weight 1 − δ.
    pub dampening: f64,
    /// Whether gradients are taken at the look-ahead point.
    pub nesterov: bool,
    /// Where the buffer lives.
    pub placement: Placement,
}

impl Momentum {
    /// No momentum.
    pub fn none() -> Self {
        let placement = Placement::Update;
        Momentum { coefficient: 0.0, dampening: 0.0, nesterov: false, placement }
    }

    /// buffer ← μ·buffer + (1 − δ)·x. Cost O(d).
    pub fn accumulate(&self, buffer: &mut [f32], x: &[f32]) {
        assert_eq!(buffer.len(), x.len());
        let (mu, fresh) = (self.coefficient as f32, (1.0 - self.dampening) as f32);
        for (v, &x) in buffer.iter_mut().zip(x) {
            *v = mu * *v + fresh * x;
        }
    }

    /// As [`Momentum::accumulate`], and x becomes the buffer: the message at placement `worker`.
    pub fn accumulate_and_send(&self, buffer: &mut [f32], x: &mut [f32]) {
        blend_into_both(self.coefficient as f32, buffer, (1.0 - self.dampening) as f32, x);
    }

    /// x ← (1 − δ)·x + μ·last: the message at placement `server`.
    pub fn blend(&self, x: &mut [f32], last: &[f32]) {
        assert_eq!(x.len(), last.len());
        let (mu, fresh) = (self.coefficient as f32, (1.0 - self.dampening) as f32);
        for (x, &last) in x.iter_mut().zip(last) {
            *x = fresh * *x + mu * last;
        }
    }

    /// out ← θ − μ·α·buffer: where a Nesterov gradient is taken.
    pub fn look_ahead(&self, params: &[f32], buffer: &[f32], rate: f64, out: &mut [f32]) {
        assert_eq!(params.len(), buffer.len());
        let reach = (self.coefficient * rate) as f32;
        for ((out, &p), &v) in out.iter_mut().zip(params).zip(buffer) {
            *out = p - reach * v;
        }
    }
}
