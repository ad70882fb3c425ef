//! What a worker sends of its gradient or momentum: the vector, its signs, stochastic signs, or
//! signs that keep the worker's data private.
//!
//! ```
//! use varangian_base::{Coins, Signs};
//! use varangian_learn::optim::Message;
//! let mut row = [0.5, -2.0, 0.0];
//! Message::parse("sign").unwrap().apply(&mut row, Coins::default(), &mut Signs::default());
//! assert_eq!(row, [1.0, -1.0, 0.0]);
//! ```

mod params;

pub use params::MESSAGES;
use params::{COUPLED, CYCLIC, DASHA, ELECTION, MARINA, POLAR, PRIVATE, SIGN, STOCHASTIC, STORM};
use varangian_base::kernels::elementwise;
use varangian_base::{Coins, Signs, SpecError, ZeroPolicy, spec};

/// What a worker sends.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum Message {
    /// The vector itself: 32 bits a coordinate.
    #[default]
    Vector,
    /// Its signs (Bernstein et al. 2018, signSGD; after momentum: Signum). NaN counts as 0.
    Sign(ZeroPolicy),
    /// +1 with probability (b + x)/(2b), else −1 (Jin et al. 2020, arXiv 2002.10940): unbiased up
    /// to the factor 1/b where |x| ≤ b; beyond, the sign. NaN is a fair coin.
    Stochastic {
        /// b > 0.
        bound: f32,
    },
    /// +1 with probability Φ(x/s), else −1 (dp-sign of Jin et al. 2020): (ε, δ)-differentially
    /// private where no two gradients that may be swapped lie further apart than Δ₂ and
    /// s = (Δ₂/ε)·√(2·ln(1.25/δ)). NaN is a fair coin.
    Private {
        /// s > 0.
        noise: f32,
    },
    /// RSA (Li et al. 2019, algorithm 1): the worker keeps a copy xᵢ of the parameters, which the
    /// penalty λ·‖x₀ − xᵢ‖₁ ties to the server's x₀, and sends sign(x₀ − xᵢ). What stands in the
    /// row is that already.
    Coupled {
        /// λ ≥ 0.
        lambda: f32,
    },
    /// Election coding (Sohn et al. 2020): the worker takes the gradients of `times` workers'
    /// minibatches, its own and those of the workers after it, and sends the sign that most of
    /// them have. What stands in the row is the sum of their signs.
    ///
    /// *Differs:* the paper's allocations are random (Bernoulli) or deterministic codes; here each
    /// worker's neighbours, in a ring.
    Election {
        /// Minibatches a worker and step, odd.
        times: u32,
    },
    /// Byz-VR-MARINA (Gorbunov, Horváth, Richtárik & Gidel, ICLR 2023, arXiv 2206.00529, Algorithm
    /// 1): with probability p the worker sends ∇fᵢ(xᵏ) over all of its samples, else gᵏ⁻¹ + Q(Δᵢ)
    /// with gᵏ⁻¹ the last aggregate, Δᵢ = ∇fᵢ,ᵦ(xᵏ) − ∇fᵢ,ᵦ(xᵏ⁻¹) on one minibatch, and Q the run's
    /// compression. All workers of a step see one coin. What stands in the row is the vector.
    ///
    /// *Differs:* a worker that took no part in the step before sends ∇fᵢ(xᵏ) whatever the coin
    /// says, as it does not know xᵏ⁻¹; over a network the whole row travels and not Q(Δᵢ) alone.
    Marina {
        /// p, the probability of a whole gradient, in (0, 1].
        whole: f64,
    },
    /// Byrd-SAGA (Wu, Ling, Chen & Giannakis 2020, arXiv 1912.12716, Algorithm 1): the worker keeps
    /// the last gradient of each of its samples, and sends ∇fᵢ,ⱼ(x) − (that of j that it keeps) +
    /// (the mean of all that it keeps), averaged over the samples j of its minibatch, of which the
    /// paper has one. The paper's rule is the geometric median.
    Saga,
    /// Byz-DASHA-PAGE (Rammal, Gruntkowska, Fedin, Gorbunov & Richtárik, AISTATS 2024, arXiv
    /// 2310.09804, Algorithm 1): the worker follows its gradient by hᵢ, which with probability p is
    /// ∇fᵢ(xᵏ) over all of its samples and else grows by Δᵢ = ∇fᵢ,ᵦ(xᵏ) − ∇fᵢ,ᵦ(xᵏ⁻¹) of one
    /// minibatch, and sends Q(hᵢᵏ − hᵢᵏ⁻¹ − a·(gᵢ − hᵢᵏ⁻¹)), Q the run's compression. The server
    /// adds that to the gᵢ that it keeps of each worker, and combines those. What stands in the row
    /// is the difference. All workers of a step see one coin.
    ///
    /// *Differs:* hᵢ and gᵢ begin at 0, and the first message makes gᵢ = Q(∇fᵢ(x⁰)), where the
    /// authors' code begins with ∇fᵢ(x⁰) unshortened; a worker that took no part in the step before
    /// takes ∇fᵢ(xᵏ) whatever the coin says, as it does not know xᵏ⁻¹; hostile messages are as
    /// short as honest ones, where that code writes gᵢ itself.
    Dasha {
        /// p, the probability of a whole gradient, in (0, 1].
        whole: f64,
        /// a in (0, 1]; `None`: 1/(2ω + 1), with ω the variance of Q relative to the square of what
        /// it shortens.
        pull: Option<f64>,
    },
    /// SignMuon (Mishra, Trivedi & Kumar 2026, arXiv 2605.16311): the signs of the polar factor of
    /// each tensor of two dimensions and more, as a matrix with a row an output, worked out by a
    /// Newton–Schulz iteration; of other tensors, their signs. What stands in the row before is a
    /// gradient or, as in the paper, a momentum.
    ///
    /// *Differs:* the abstract and the introduction alone were at hand: the iteration is Muon's
    /// (Jordan et al. 2024; see [`polar`](super::polar)), tensors of one dimension are ours, and
    /// the optional polar step after the vote is not there.
    Polar {
        /// Newton–Schulz iterations.
        iterations: u32,
        /// The sign of 0.
        zero: ZeroPolicy,
    },
    /// DRACO's cyclic code (Chen, Wang, Charles & Papailiopoulos, ICML 2018, arXiv 1803.09877,
    /// §4.2): the worker takes the gradients of r = 2f + 1 workers' minibatches, its own and those
    /// of the workers after it in a ring, and sends one weighted sum of them. What stands in the
    /// row is that sum. The rule `draco-cyclic` makes the mean of all n gradients of it, and tells
    /// which deviations from the paper the two have.
    Cyclic {
        /// r, odd.
        times: u32,
    },
    /// STORM's estimator, the worker's side of μ²-SGD (Levy 2023, arXiv 2304.04172; asynchronous in
    /// Dahan & Levy 2025, arXiv 2501.09621, Algorithm 2): the worker sends dₛ = ∇fᵢ(xₛ; ξₛ) +
    /// (1 − β)·(dₛ₋₁ − ∇fᵢ(xₛ₋₁; ξₛ)), with xₛ₋₁ the parameters of its own message before and both
    /// gradients on the same minibatch ξₛ. β is 1/s at the worker's s-th message, or fixed. The
    /// server's side is `server_optimiser = "anytime"`.
    ///
    /// *Differs:* the schedule 1/s is as remembered of the paper; what else the papers leave to
    /// projections on a bounded set is left out.
    Storm {
        /// β in (0, 1]; `None` for 1/s.
        beta: Option<f64>,
    },
}

impl Message {
    /// The names; `sto-sign` is another name of `stochastic-sign`, and `one-bit` is short for
    /// `sign zero=plus-one`.
    pub const NAMES: &'static [&'static str] = &[
        "vector",
        "sign",
        "one-bit",
        "stochastic-sign",
        "dp-sign",
        "rsa",
        "election",
        "marina",
        "saga",
        "dasha",
        "sign-muon",
        "draco-cyclic",
        "storm",
    ];

    /// Reads `vector`, `sign`, `one-bit`, `stochastic-sign bound=2` or `dp-sign epsilon=0.5`.
    ///
    /// # Errors
    /// If the name or a parameter is unknown or out of range.
    pub fn parse(text: &str) -> Result<Self, SpecError> {
        let spec = spec::parse(text)?;
        match spec.name.as_str() {
            "vector" => spec.args(&[]).map(|_| Message::Vector),
            "one-bit" => spec.args(&[]).map(|_| Message::Sign(ZeroPolicy::PlusOne)),
            "sign" => Ok(Message::Sign(ZeroPolicy::named(spec.args(SIGN)?.text("zero"))?)),
            "stochastic-sign" | "sto-sign" => {
                let bound = spec.args(STOCHASTIC)?.real("bound").expect("has a default") as f32;
                Ok(Message::Stochastic { bound })
            }
            "dp-sign" => {
                let args = spec.args(PRIVATE)?;
                let real = |name| args.real(name).expect("has a default");
                let spread = (2.0 * (1.25 / real("delta")).ln()).sqrt();
                let noise = (real("sensitivity") / real("epsilon") * spread) as f32;
                Ok(Message::Private { noise })
            }
            "rsa" => {
                let lambda = spec.args(COUPLED)?.real("lambda").expect("has a default") as f32;
                Ok(Message::Coupled { lambda })
            }
            "election" => {
                let times = spec.args(ELECTION)?.count("times").expect("has a default") as u32;
                match times % 2 {
                    1 => Ok(Message::Election { times }),
                    _ => Err(SpecError::new(format!("election: times is odd; found \"{times}\""))),
                }
            }
            "marina" => {
                let whole = spec.args(MARINA)?.real("p").expect("has a default");
                Ok(Message::Marina { whole })
            }
            "saga" => spec.args(&[]).map(|_| Message::Saga),
            "dasha" => {
                let args = spec.args(DASHA)?;
                let whole = args.real("p").expect("has a default");
                Ok(Message::Dasha { whole, pull: args.real("a") })
            }
            "sign-muon" => {
                let args = spec.args(POLAR)?;
                let iterations = args.count("iterations").expect("has a default") as u32;
                Ok(Message::Polar { iterations, zero: ZeroPolicy::named(args.text("zero"))? })
            }
            "draco-cyclic" => {
                let times = spec.args(CYCLIC)?.count("r").expect("has a default") as u32;
                match times % 2 {
                    1 => Ok(Message::Cyclic { times }),
                    _ => Err(SpecError::new(format!("draco-cyclic: r is odd; found \"{times}\""))),
                }
            }
            "storm" => Ok(Message::Storm { beta: spec.args(STORM)?.real("beta") }),
            other => Err(SpecError::unknown("message", other, Self::NAMES)),
        }
    }

    /// Whether only signs are sent.
    pub fn is_sign(&self) -> bool {
        matches!(
            self,
            Message::Sign(_)
                | Message::Stochastic { .. }
                | Message::Private { .. }
                | Message::Coupled { .. }
                | Message::Election { .. }
                | Message::Polar { .. }
        )
    }

    /// Whether the worker looks at all of its samples, not at minibatches alone.
    pub fn is_of_finite_sums(&self) -> bool {
        matches!(self, Message::Marina { .. } | Message::Saga | Message::Dasha { .. })
    }

    /// Whether a message is a difference to what the server keeps of the worker.
    pub fn is_difference(&self) -> bool {
        matches!(self, Message::Dasha { .. })
    }

    /// Replaces `row` by what is sent, as −1, 0 and +1 where signs are. `packed` is scratch and
    /// holds the ballot afterwards. Cost O(d).
    pub fn apply(&self, row: &mut [f32], coins: Coins, packed: &mut Signs) {
        match *self {
            Message::Vector
            | Message::Marina { .. }
            | Message::Saga
            | Message::Storm { .. }
            | Message::Dasha { .. }
            | Message::Cyclic { .. } => return,
            Message::Sign(zero) | Message::Polar { zero, .. } => {
                packed.encode(row, zero, coins);
            }
            Message::Coupled { .. } | Message::Election { .. } => {
                packed.encode(row, ZeroPolicy::Zero, coins);
            }
            Message::Stochastic { bound } => packed.draw(row, coins, |x| {
                if x.is_nan() { 0.5 } else { 0.5 - 0.5 * (x / bound).clamp(-1.0, 1.0) }
            }),
            Message::Private { noise } => packed.draw(row, coins, |x| {
                if x.is_nan() { 0.5 } else { tail(f64::from(x / noise)) as f32 }
            }),
        }
        packed.decode(row);
    }

    /// Whether 0 can be sent beside the two signs.
    pub fn is_ternary(&self) -> bool {
        matches!(
            self,
            Message::Sign(ZeroPolicy::Zero)
                | Message::Polar { zero: ZeroPolicy::Zero, .. }
                | Message::Coupled { .. }
                | Message::Election { .. }
        )
    }

    /// Whether it is no function of one gradient: then the worker makes it in a way of its own.
    pub fn is_own(&self) -> bool {
        matches!(self, Message::Coupled { .. } | Message::Election { .. } | Message::Cyclic { .. })
            || matches!(self, Message::Storm { .. })
            || self.is_of_finite_sums()
    }

    /// Gradients of minibatches that a worker takes a step for it; those of all samples, which
    /// `marina`, `saga` and `dasha` take now and then, are not counted.
    pub fn gradients(&self) -> u64 {
        match self {
            Message::Election { times } | Message::Cyclic { times } => u64::from(*times),
            Message::Marina { .. } | Message::Dasha { .. } | Message::Storm { .. } => 2,
            _ => 1,
        }
    }

    /// Bytes of one message of d coordinates on the wire: 4·d, or 4·⌈d/32⌉ a plane of signs.
    pub fn wire_len(&self, d: usize) -> usize {
        if self.is_sign() { Signs::wire_len(d, self.is_ternary()) } else { 4 * d }
    }
}

/// Φ(−z), the normal tail, to 3·10⁻⁷ (Abramowitz & Stegun, 7.1.28).
fn tail(z: f64) -> f64 {
    const A: [f64; 6] = [
        0.070_523_078_4,
        0.042_282_012_3,
        0.009_270_527_2,
        0.000_152_014_3,
        0.000_276_567_2,
        0.000_043_063_8,
    ];
    let x = z.abs() / std::f64::consts::SQRT_2;
    let series = 1.0 + A.iter().rev().fold(0.0, |sum, a| (sum + a) * x);
    let half = 0.5 / series.powi(16);
    if z < 0.0 { 1.0 - half } else { half }
}

/// Sets the non-finite entries of a gradient to 0 and counts them: a NaN that enters a momentum
/// never leaves it, and the worker would abstain on that coordinate for ever. Cost O(d).
pub fn sanitise(gradient: &mut [f32]) -> u64 {
    let Some(first) = elementwise::first_not_finite(gradient) else { return 0 };
    let mut found = 0;
    for x in &mut gradient[first..] {
        if !x.is_finite() {
            *x = 0.0;
            found += 1;
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use varangian_base::Seed;

    fn sent(text: &str, row: &[f32]) -> Vec<f32> {
        let mut row = row.to_vec();
        let coins = Coins { seed: Seed(3), worker: 1, step: 2 };
        Message::parse(text).unwrap().apply(&mut row, coins, &mut Signs::default());
        row
    }

    #[test]
    fn each_message_sends_what_it_says() {
        let row = [3.0, -1e-20, 0.0, f32::NAN, -0.0];
        assert_eq!(sent("sign", &row), [1.0, -1.0, 0.0, 0.0, 0.0]);
        assert_eq!(sent("sign zero=plus-one", &row), [1.0, -1.0, 1.0, 1.0, 1.0]);
        assert_eq!(sent("vector", &row[..3]), row[..3]);
        let extreme = sent("stochastic-sign bound=2", &[2.0, -2.0, 9.0, -9.0]);
        assert_eq!(extreme, [1.0, -1.0, 1.0, -1.0]);
        let half: f32 = sent("stochastic-sign bound=2", &[1.0; 20_000]).iter().sum();
        assert!((half / 20_000.0 - 0.5).abs() < 0.03, "{half}");
    }

    #[test]
    fn private_signs_follow_the_normal_tail_of_the_papers_noise() {
        // s = √(2·ln(1.25/δ)) at Δ₂ = ε = 1: 4.844805…
        let s = (2.0 * (1.25f64 / 1e-5).ln()).sqrt();
        assert_eq!(Message::parse("dp-sign"), Ok(Message::Private { noise: s as f32 }));
        // Φ(−z) at 0, 0.5, 1, 2, 3.
        for (z, phi) in [(0.0, 0.5), (0.5, 0.308_537_54), (1.0, 0.158_655_25), (3.0, 0.001_349_898)]
        {
            assert!((tail(z) - phi).abs() < 3e-7, "{z}: {}", tail(z));
            assert!((tail(-z) + tail(z) - 1.0).abs() < 1e-12);
        }
        let plus = |x: f32| {
            let row = sent("dp-sign epsilon=0.5 sensitivity=0.5", &vec![x; 40_000]);
            row.iter().filter(|&&vote| vote == 1.0).count() as f64 / 40_000.0
        };
        assert!((plus(s as f32) - 0.841_344_75).abs() < 0.01);
        assert!((plus(0.0) - 0.5).abs() < 0.01 && (plus(f32::NAN) - 0.5).abs() < 0.01);
        assert!(Message::parse("dp-sign epsilon=2").is_err());
    }

    #[test]
    fn lengths_on_the_wire_and_unknown_messages() {
        let len = |text| Message::parse(text).unwrap().wire_len(922);
        assert_eq!([len("vector"), len("sign zero=plus-one"), len("sign")], [3688, 116, 232]);
        let error = Message::parse("sgn").unwrap_err().to_string();
        assert_eq!(error, "unknown message \"sgn\"; did you mean \"sign\"?");
        let mut gradient = [1.0, f32::NAN, f32::NEG_INFINITY];
        assert_eq!((sanitise(&mut gradient), gradient), (2, [1.0, 0.0, 0.0]));
    }
}
