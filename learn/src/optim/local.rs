//! What a worker does by itself between two messages: K steps from the server's parameters, each on
//! a minibatch of its own.
//!
//! | name | step at θ, with g the gradient there |
//! |---|---|
//! | `sgd` | g ← g + λ·θ; b ← μ·b + g; θ ← θ − α·b, or θ − α·(g + μ·b) with Nesterov |
//! | `adamw` | θ ← (1 − αλ)·θ − α·m̂/(√v̂ + ε) |
//!
//! with m ← β₁·m + (1 − β₁)·g, v ← β₂·v + (1 − β₂)·g², m̂ = m/(1 − β₁ᵗ) and v̂ = v/(1 − β₂ᵗ).
//!
//! Sources: FedAvg (McMahan et al. 2017, Algorithm 1): plain `sgd`. FedOpt (Reddi et al. 2021,
//! arXiv 2003.00295, Algorithm 2): `sgd send=movement` with an adaptive server. DiLoCo (Douillard
//! et al. 2023, arXiv 2311.08105, Algorithm 1): `adamw`, whose means each worker keeps from round
//! to round, and `server_optimiser = "nesterov"`. AdamW: Loshchilov & Hutter 2019, Algorithm 2.
//!
//! What is sent is the movement, θ before minus θ after: DiLoCo's outer gradient Δ and FedOpt's −Δ.
//! Plain `sgd` sends the sum of the gradients that it met unless `send=movement` is said, so that
//! one step sends the gradient.
//!
//! *Differs:* DiLoCo changes the inner learning rate over the run; it is constant here.

use varangian_base::{Kind, Param, SpecError, spec};

/// Local steps (McMahan et al. 2017, FedAvg): a worker makes K steps from θ, on a minibatch each,
/// and sends the sum of the gradients that it met, which is its movement over the local learning
/// rate; or the movement itself, as [`Inner`] says. K = 1 of plain descent sends the gradient at θ.
///
/// *Differs:* FedAvg averages models; the mean of these messages under `learning_rate` equal to
/// the local rate is that average, as is that of movements under `learning_rate` = 1.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Local {
    /// K ≥ 1.
    pub steps: u64,
    /// The local learning rate; `None`: the learning rate of the step.
    pub rate: Option<f64>,
}

impl Default for Local {
    fn default() -> Self {
        Local { steps: 1, rate: None }
    }
}

/// The optimiser of local steps.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Inner {
    /// Descent, with or without momentum.
    Sgd {
        /// μ in [0, 1).
        momentum: f64,
        /// Whether a step goes along g + μ·b.
        nesterov: bool,
        /// λ ≥ 0, added to the gradient as λ·θ.
        decay: f64,
        /// Whether b stays from round to round.
        keep: bool,
        /// Whether the movement is sent, instead of the movement over the local rate.
        movement: bool,
    },
    /// Adam with decoupled weight decay. Sends the movement.
    AdamW {
        /// β₁ in [0, 1).
        beta1: f64,
        /// β₂ in [0, 1).
        beta2: f64,
        /// ε > 0.
        epsilon: f64,
        /// λ ≥ 0, decoupled.
        decay: f64,
        /// Whether m, v and t stay from round to round.
        keep: bool,
    },
}

impl Default for Inner {
    fn default() -> Self {
        Inner::Sgd { momentum: 0.0, nesterov: false, decay: 0.0, keep: true, movement: false }
    }
}

/// What the optimiser of a worker's local steps remembers.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Trail {
    /// b or m; empty before the first step and without either.
    pub first: Vec<f32>,
    /// v; empty before the first step and without it.
    pub second: Vec<f32>,
    /// Steps made.
    pub steps: u64,
}

const BETA: Kind = Kind::Real { min: 0.0, max: 0.999_999_999 };
const DECAY: Kind = Kind::Real { min: 0.0, max: 1e6 };
const KEEP: Param = Param {
    name: "keep",
    kind: Kind::Flag,
    default: "true",
    help: "whether a worker's means stay from round to round, as DiLoCo says",
};
const SGD: &[Param] = &[
    Param { name: "momentum", kind: BETA, default: "0", help: "μ: weight of the old b" },
    Param {
        name: "nesterov",
        kind: Kind::Flag,
        default: "false",
        help: "whether a step goes along g + μ·b",
    },
    Param { name: "weight-decay", kind: DECAY, default: "0", help: "λ: g + λ·θ is followed" },
    KEEP,
    Param {
        name: "send",
        kind: Kind::Choice(&["gradients", "movement"]),
        default: "gradients",
        help: "the movement over the local rate (the sum of plain gradients), or the movement itself",
    },
];
const ADAMW: &[Param] = &[
    Param { name: "beta1", kind: BETA, default: "0.9", help: "β₁: weight of the old mean m" },
    Param { name: "beta2", kind: BETA, default: "0.999", help: "β₂: weight of the old v" },
    Param {
        name: "epsilon",
        kind: Kind::Real { min: 1e-15, max: 1e15 },
        default: "1e-8",
        help: "ε: bounds the step where v is small",
    },
    Param {
        name: "weight-decay",
        kind: DECAY,
        default: "0.01",
        help: "λ: θ shrinks by the factor 1 − rate·λ a step",
    },
    KEEP,
];

impl Inner {
    /// The names.
    pub const NAMES: &'static [&'static str] = &["sgd", "adamw"];

    /// The parameters of `name`, none where it is unknown.
    pub fn params(name: &str) -> &'static [Param] {
        match name {
            "sgd" => SGD,
            "adamw" => ADAMW,
            _ => &[],
        }
    }

    /// Reads `sgd`, `sgd momentum=0.9 send=movement` or `adamw weight-decay=0.1`.
    ///
    /// # Errors
    /// If the name or a parameter is unknown or out of range.
    pub fn parse(text: &str) -> Result<Self, SpecError> {
        let spec = spec::parse(text)?;
        if !Self::NAMES.contains(&spec.name.as_str()) {
            return Err(SpecError::unknown("local_optimiser", &spec.name, Self::NAMES));
        }
        let args = spec.args(Self::params(&spec.name))?;
        let real = |name| args.real(name).expect("has a default");
        let (decay, keep) = (real("weight-decay"), args.flag("keep"));
        Ok(match spec.name.as_str() {
            "adamw" => Inner::AdamW {
                beta1: real("beta1"),
                beta2: real("beta2"),
                epsilon: real("epsilon"),
                decay,
                keep,
            },
            _ => Inner::Sgd {
                momentum: real("momentum"),
                nesterov: args.flag("nesterov"),
                decay,
                keep,
                movement: args.text("send") == "movement",
            },
        })
    }

    /// Whether it is plain descent whose gradients are sent: nothing is remembered, and the message
    /// of one step is the gradient.
    pub fn is_plain(&self) -> bool {
        match *self {
            Inner::Sgd { momentum, decay, movement, .. } => {
                momentum <= 0.0 && decay <= 0.0 && !movement
            }
            Inner::AdamW { .. } => false,
        }
    }

    /// Whether the movement is sent, instead of the movement over the local rate.
    pub fn sends_movement(&self) -> bool {
        !matches!(self, Inner::Sgd { movement: false, .. })
    }

    /// Makes a worker ready for the first step of a round.
    pub fn begin(&self, trail: &mut Trail) {
        let (Inner::Sgd { keep, .. } | Inner::AdamW { keep, .. }) = *self;
        if !keep {
            *trail = Trail::default();
        }
    }

    /// Moves `point` by one step along `gradient`, which is overwritten. Cost O(d).
    pub fn step(&self, rate: f64, trail: &mut Trail, gradient: &mut [f32], point: &mut [f32]) {
        trail.steps += 1;
        let d = point.len();
        match *self {
            Inner::Sgd { momentum, nesterov, decay, .. } => {
                let (mu, decay, rate) = (momentum as f32, decay as f32, rate as f32);
                if decay > 0.0 {
                    gradient.iter_mut().zip(point.iter()).for_each(|(g, &p)| *g += decay * p);
                }
                if mu > 0.0 {
                    trail.first.resize(d, 0.0);
                    for (g, b) in gradient.iter_mut().zip(&mut trail.first) {
                        *b = mu * *b + *g;
                        *g = if nesterov { *g + mu * *b } else { *b };
                    }
                }
                point.iter_mut().zip(gradient.iter()).for_each(|(p, &g)| *p -= rate * g);
            }
            Inner::AdamW { beta1, beta2, epsilon, decay, .. } => {
                trail.first.resize(d, 0.0);
                trail.second.resize(d, 0.0);
                let power = i32::try_from(trail.steps).unwrap_or(i32::MAX);
                let (of_m, of_v) = (1.0 - beta1.powi(power), 1.0 - beta2.powi(power));
                let keep = 1.0 - rate * decay;
                let means = trail.first.iter_mut().zip(&mut trail.second);
                for (((m, v), p), &mut g) in means.zip(point.iter_mut()).zip(gradient) {
                    let g = f64::from(g);
                    *m = (beta1 * f64::from(*m) + (1.0 - beta1) * g) as f32;
                    *v = (beta2 * f64::from(*v) + (1.0 - beta2) * g * g) as f32;
                    let size = (f64::from(*v) / of_v).sqrt() + epsilon;
                    *p = (keep * f64::from(*p) - rate * (f64::from(*m) / of_m) / size) as f32;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One coordinate from 1 after steps along these gradients at rate ½.
    fn follow(text: &str, gradients: &[f32]) -> (f32, Trail) {
        let inner = Inner::parse(text).unwrap();
        let (mut point, mut trail) = ([1.0], Trail::default());
        inner.begin(&mut trail);
        gradients.iter().for_each(|&g| inner.step(0.5, &mut trail, &mut [g], &mut point));
        (point[0], trail)
    }

    #[test]
    fn two_steps_by_hand() {
        assert_eq!(follow("sgd", &[2.0, 3.0]).0, 1.0 - 0.5 * 5.0);
        // b = 2, then 1 + 3.
        assert_eq!(follow("sgd momentum=0.5", &[2.0, 3.0]).0, 1.0 - 0.5 * (2.0 + 4.0));
        // 2 + 1, then 3 + 2.
        let nesterov = follow("sgd momentum=0.5 nesterov=true", &[2.0, 3.0]).0;
        assert_eq!(nesterov, 1.0 - 0.5 * (3.0 + 5.0));
        // g + θ: 3, and at −½ it is 2½.
        assert_eq!(follow("sgd weight-decay=1", &[2.0, 3.0]).0, 1.0 - 0.5 * 3.0 - 0.5 * 2.5);
        // m̂ = 2, √v̂ = 2; then m = ½·1 + 1.5, m̂ = 2/¾; v = ½·2 + 4.5, v̂ = 5.5/¾.
        let (point, trail) =
            follow("adamw beta1=0.5 beta2=0.5 epsilon=1e-15 weight-decay=0", &[2.0, 3.0]);
        let wanted = 1.0 - 0.5 - 0.5 * (2.0 / 0.75) / (5.5f64 / 0.75).sqrt();
        assert!((f64::from(point) - wanted).abs() < 1e-6, "{point} {wanted}");
        assert_eq!((trail.first[0], trail.second[0], trail.steps), (2.0, 5.5, 2));
        // Decoupled: 1 shrinks to ¾ before the step of ½.
        let (point, _) = follow("adamw epsilon=1e-15 weight-decay=0.5", &[2.0]);
        assert!((point - 0.25).abs() < 1e-6, "{point}");
    }

    #[test]
    fn what_is_remembered_is_forgotten_where_it_is_not_kept() {
        let (_, mut trail) = follow("sgd momentum=0.5", &[2.0]);
        Inner::parse("sgd momentum=0.5").unwrap().begin(&mut trail);
        assert_eq!((trail.first[0], trail.steps), (2.0, 1));
        Inner::parse("sgd momentum=0.5 keep=false").unwrap().begin(&mut trail);
        assert_eq!(trail, Trail::default());
        assert!(Inner::default().is_plain() && !Inner::default().sends_movement());
        assert_eq!(Inner::parse("sgd").unwrap(), Inner::default());
        assert!(!Inner::parse("sgd send=movement").unwrap().is_plain());
        let error = Inner::parse("adam").unwrap_err().to_string();
        assert_eq!(error, "unknown local_optimiser \"adam\"; did you mean \"adamw\"?");
    }
}
