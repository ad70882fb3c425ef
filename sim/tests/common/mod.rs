//! A model whose gradients are known by hand: the mean of a·(θ − xᵢ)/2 over a batch of points xᵢ.
#![allow(unreachable_pub, dead_code)]

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use varangian_attacks as attacks;
use varangian_base::{Domain, Seed, Stream};
use varangian_learn::data::{Dataset, Shape};
use varangian_learn::model::{
    Model, Place, Prepared, Tally, Tensor, Wanted, Workspace, one_by_one,
};
use varangian_learn::optim::Optimiser;
use varangian_learn::{Batch, Sampler, Targets};
use varangian_rules::Pipeline;
use varangian_sim::{Hostile, Plan};
use varangian_train::{NonFinite, Passes};

pub struct Bowl {
    pub a: f32,
    pub start: Vec<f32>,
    pub tensors: Vec<Tensor>,
}

impl Bowl {
    pub fn new(a: f32, start: &[f32]) -> Self {
        let shape = vec![start.len()];
        let tensors = vec![Tensor { name: "theta".to_owned(), shape, offset: 0 }];
        Bowl { a, start: start.to_vec(), tensors }
    }
}

impl Model for Bowl {
    fn dim(&self) -> usize {
        self.start.len()
    }

    fn tensors(&self) -> &[Tensor] {
        &self.tensors
    }

    fn init(&self, _: Seed) -> Vec<f32> {
        self.start.clone()
    }

    fn workspace(&self) -> Workspace {
        Box::new(())
    }

    fn gradient(
        &self,
        params: &[f32],
        _: &Prepared,
        batch: &Batch,
        _: Place,
        _: &mut Workspace,
        out: &mut [f32],
    ) -> f64 {
        let d = params.len();
        out.fill(0.0);
        let mut loss = 0.0;
        for x in batch.inputs.chunks(d) {
            for k in 0..d {
                let gap = params[k] - x[k];
                out[k] += self.a * gap / batch.len as f32;
                loss += f64::from(self.a * gap * gap) / 2.0 / batch.len as f64;
            }
        }
        loss
    }

    fn evaluate(&self, params: &[f32], _: &Prepared, batch: &Batch, _: &mut Workspace) -> Tally {
        let gap = |(p, x): (&f32, &f32)| f64::from(p - x).powi(2);
        let loss =
            batch.inputs.chunks(params.len()).map(|x| params.iter().zip(x).map(gap).sum::<f64>());
        Tally { loss: loss.sum(), hits: 0, count: batch.len as u64 }
    }
}

/// A model that would rather compute the gradients of a step all at once, and counts how often it
/// did.
pub struct AtOnce {
    pub model: Arc<dyn Model>,
    pub calls: Arc<AtomicUsize>,
}

impl Model for AtOnce {
    fn dim(&self) -> usize {
        self.model.dim()
    }

    fn tensors(&self) -> &[Tensor] {
        self.model.tensors()
    }

    fn init(&self, seed: Seed) -> Vec<f32> {
        self.model.init(seed)
    }

    fn workspace(&self) -> Workspace {
        self.model.workspace()
    }

    fn prepare(&self, params: &[f32], prepared: &mut Prepared) {
        self.model.prepare(params, prepared);
    }

    fn buffer_tensors(&self) -> &[Tensor] {
        self.model.buffer_tensors()
    }

    fn init_buffers(&self) -> Vec<f32> {
        self.model.init_buffers()
    }

    fn load_buffers(&self, buffers: &[f32], prepared: &mut Prepared) {
        self.model.load_buffers(buffers, prepared);
    }

    fn statistics(&self, workspace: &Workspace, out: &mut [f32]) {
        self.model.statistics(workspace, out);
    }

    fn gradient(
        &self,
        params: &[f32],
        prepared: &Prepared,
        batch: &Batch,
        place: Place,
        workspace: &mut Workspace,
        out: &mut [f32],
    ) -> f64 {
        self.model.gradient(params, prepared, batch, place, workspace, out)
    }

    fn takes_all_at_once(&self) -> bool {
        true
    }

    fn gradients(&self, params: &[f32], prepared: &Prepared, all: &mut [Wanted<'_>]) {
        self.calls.fetch_add(1, Ordering::Relaxed);
        one_by_one(self, params, prepared, all);
    }

    fn evaluate(
        &self,
        params: &[f32],
        prepared: &Prepared,
        batch: &Batch,
        workspace: &mut Workspace,
    ) -> Tally {
        self.model.evaluate(params, prepared, batch, workspace)
    }
}

pub struct Points {
    pub d: usize,
    pub points: Vec<f32>,
}

impl Points {
    /// `len` standard normal points of d coordinates.
    pub fn random(len: usize, d: usize) -> Self {
        let mut stream = Seed(5).stream(Domain::Test, 0, 0);
        Points { d, points: (0..len * d).map(|_| stream.normal() as f32).collect() }
    }
}

impl Dataset for Points {
    fn len(&self) -> usize {
        self.points.len() / self.d
    }

    fn shape(&self) -> Shape {
        Shape { channels: self.d, height: 1, width: 1 }
    }

    fn classes(&self) -> usize {
        0
    }

    fn label(&self, _: usize) -> u32 {
        0
    }

    fn fill(&self, indices: &[u32], _: &mut Stream, batch: &mut Batch) {
        batch.inputs.clear();
        for &i in indices {
            batch.inputs.extend_from_slice(&self.points[i as usize * self.d..][..self.d]);
        }
        batch.targets = Targets::Values(vec![0.0; indices.len()]);
        batch.len = indices.len();
    }
}

/// Four random points a step.
pub struct Four {
    pub len: usize,
}

impl Sampler for Four {
    fn draw(&self, worker: u32, step: u64, indices: &mut Vec<u32>) {
        let mut stream = Seed(9).stream(Domain::Batch, worker, step);
        indices.clear();
        indices.extend((0..4).map(|_| stream.below(self.len) as u32));
    }

    fn steps_per_epoch(&self) -> f64 {
        10.0
    }
}

/// A plan on 100 random points in 70 dimensions.
pub fn plan(rule: &str, attack: &str, n: usize, f: usize, optimiser: Optimiser) -> Plan {
    let data = Arc::new(Points::random(100, 70));
    let start: Vec<f32> = (0..70).map(|k| k as f32 / 10.0 - 3.0).collect();
    Plan {
        model: Arc::new(Bowl::new(0.5, &start)),
        train: data.clone(),
        test: data,
        sampler: Arc::new(Four { len: 100 }),
        n,
        f,
        f_real: f,
        hostile: Hostile::Last,
        participation: None,
        non_finite: NonFinite::default(),
        weights: None,
        rule: Pipeline::parse(rule).unwrap(),
        attack: attacks::build(attack).unwrap(),
        optimiser,
        passes: Passes::Honest,
        oracle: None,
        test_samples: 100,
        study: None,
        certificate: None,
        seed: Seed(3),
    }
}
