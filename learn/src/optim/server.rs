//! How the server steps by the aggregate: plain descent, or an adaptive step size a coordinate
//! (Reddi et al. 2021, Adaptive Federated Optimization, arXiv 2003.00295, Algorithm 2).
//!
//! With A the aggregate, m₋₁ = 0 and v₋₁ = τ²:
//!
//! | name | m | v | step |
//! |---|---|---|---|
//! | `sgd` | | | θ − α·A |
//! | `adagrad` | β₁·m + (1 − β₁)·A | v + A² | θ − α·m/(√v + τ) |
//! | `yogi` | as above | v − (1 − β₂)·A²·sign(v − A²) | as above |
//! | `adam` | as above | β₂·v + (1 − β₂)·A² | as above |
//!
//! | `nesterov` | v ← μ·v + A (v₋₁ = 0) | | θ − α·(A + μ·v) |
//! | `normalised` | | | θ − α·u/‖u‖ |
//! | `anytime` | w ← w − α·cₜ·A (w₋₁ = θ₋₁) | | θ + γₜ·(w − θ) |
//!
//! `nesterov` is DiLoCo's outer step (Douillard et al. 2023, arXiv 2311.08105, Algorithm 1 and §3;
//! α = 0.7, μ = 0.9 there), as PyTorch writes it. Its θ is the look-ahead point of
//! `nesterov = true` with `momentum_at = "update"`, which evaluates the model before looking ahead.
//! `normalised` is the step of Byz-NSGDM (Bolatov et al. 2026, arXiv 2603.12512): u is A, or the
//! momentum of aggregates where that lives at the update; where ‖u‖ = 0 nothing moves.
//!
//! `scaled-sign` tells the workers a bit a coordinate and one length, θ − α·C(A + e) with
//! C(x) = (‖x‖₁/d)·sign(x), and with feedback e ← A + e − C(A + e): the server's half of Jin et
//! al.'s stochastic signs with error feedback (2020, arXiv 2002.10940, as remembered of the paper),
//! whose workers send `stochastic-sign` and whose rule is the mean. Karimireddy, Rebjock, Stich &
//! Jaggi 2019 (arXiv 1901.09847, Algorithm 1) do the same at the workers.
//!
//! `anytime` is the server's side of μ²-SGD (Levy 2023, arXiv 2304.04172; Dahan & Levy 2025, arXiv
//! 2501.09621, Algorithm 2), AnyTime averaging (Cutkosky 2019): models are published, and gradients
//! taken, at the average θ of the iterates w. At step t, from 1, cₜ = t and γₜ = 2/(t + 2), so that
//! θ is the mean of the iterates in which the t-th weighs t; a fixed `gamma` has cₜ = 1 and γₜ = γ.
//!
//! Another way, `byzantine-pgd`, perturbs θ where the aggregate is short: see [`Escape`].
//!
//! *Differs:* the iterates of `anytime` are not projected on a bounded set.
//!
//! *Differs:* the paper aggregates the workers' movements, we aggregate movements over the local
//! learning rate (gradients, with one local step), so that τ is measured in gradients.

use super::escape::{self, Escape};
use varangian_base::{Kind, Param, SpecError, spec};

/// How v follows the squares of the aggregates.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Second {
    /// Their sum.
    Adagrad,
    /// Moves towards them by at most their own size.
    Yogi,
    /// Their exponential mean.
    Adam,
}

/// The server's optimiser.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum ServerOptimiser {
    /// θ ← θ − α·A, after momentum where it lives at the server.
    #[default]
    Sgd,
    /// θ ← θ − α·m/(√v + τ).
    Adaptive {
        /// How v is kept.
        second: Second,
        /// β₁ in [0, 1).
        beta1: f64,
        /// β₂ in [0, 1).
        beta2: f64,
        /// τ > 0.
        tau: f64,
        /// Whether m and v are divided by 1 − β₁ᵗ and 1 − β₂ᵗ and v starts at 0 (Kingma & Ba 2015;
        /// `adam` only).
        corrected: bool,
    },
    /// v ← μ·v + A; θ ← θ − α·(A + μ·v).
    Nesterov {
        /// μ in [0, 1).
        momentum: f64,
    },
    /// θ ← θ − α·u/‖u‖, u as for `Sgd`.
    Normalised,
    /// θ ← θ − α·C(A + e), a sign a coordinate at one length.
    ScaledSign {
        /// Whether e is what was left out before; else it is 0.
        feedback: bool,
    },
    /// w ← w − α·cₜ·A; θ ← θ + γₜ·(w − θ).
    AnyTime {
        /// γ in (0, 1]; `None` for the weights t of the paper.
        gamma: Option<f64>,
    },
    /// θ ← θ − α·A, and a search for a way out where A is short.
    Perturbed(Escape),
}

const BETA: Kind = Kind::Real { min: 0.0, max: 0.999_999_999 };
const BETA1: Param =
    Param { name: "beta1", kind: BETA, default: "0.9", help: "β₁: weight of the old mean m" };
const BETA1_ADAGRAD: Param =
    Param { name: "beta1", kind: BETA, default: "0", help: "β₁: weight of the old mean m" };
const BETA2: Param =
    Param { name: "beta2", kind: BETA, default: "0.99", help: "β₂: weight of the old v" };
const TAU: Param = Param {
    name: "tau",
    kind: Kind::Real { min: 1e-15, max: 1e15 },
    default: "1e-3",
    help: "τ: bounds the step where v is small",
};
const CORRECTED: Param = Param {
    name: "bias-correction",
    kind: Kind::Flag,
    default: "false",
    help: "true: as Kingma & Ba 2015, with v from 0 and both means corrected",
};
const NESTEROV: &[Param] =
    &[Param { name: "momentum", kind: BETA, default: "0.9", help: "μ: weight of the old v" }];
const SCALED_SIGN: &[Param] = &[Param {
    name: "feedback",
    kind: Kind::Flag,
    default: "true",
    help: "whether what a step leaves out is added to the next aggregate",
}];
const ANYTIME: &[Param] = &[Param {
    name: "gamma",
    kind: Kind::Real { min: 1e-9, max: 1.0 },
    default: "auto",
    help: "γ: share of the way from the average to the new iterate; auto weighs the t-th iterate, \
           and its step, by t",
}];
const ADAGRAD: &[Param] = &[BETA1_ADAGRAD, TAU];
const YOGI: &[Param] = &[BETA1, BETA2, TAU];
const ADAM: &[Param] = &[BETA1, BETA2, TAU, CORRECTED];

impl ServerOptimiser {
    /// The names.
    pub const NAMES: &'static [&'static str] = &[
        "sgd",
        "adagrad",
        "yogi",
        "adam",
        "nesterov",
        "normalised",
        "scaled-sign",
        "anytime",
        "byzantine-pgd",
    ];

    /// The parameters of `name`, none where it is unknown.
    pub fn params(name: &str) -> &'static [Param] {
        match name {
            "adagrad" => ADAGRAD,
            "yogi" => YOGI,
            "adam" => ADAM,
            "nesterov" => NESTEROV,
            "scaled-sign" => SCALED_SIGN,
            "anytime" => ANYTIME,
            "byzantine-pgd" => escape::PARAMS,
            _ => &[],
        }
    }

    /// Reads `sgd`, `adagrad tau=1e-3`, `yogi beta2=0.99`, `adam bias-correction=true`,
    /// `nesterov momentum=0.9`, `normalised`, `scaled-sign feedback=true`, `anytime` or
    /// `byzantine-pgd epsilon=0.1 r=1`.
    ///
    /// # Errors
    /// If the name or a parameter is unknown or out of range.
    pub fn parse(text: &str) -> Result<Self, SpecError> {
        let spec = spec::parse(text)?;
        let second = match spec.name.as_str() {
            "sgd" => return spec.args(&[]).map(|_| ServerOptimiser::Sgd),
            "normalised" => return spec.args(&[]).map(|_| ServerOptimiser::Normalised),
            "nesterov" => {
                let momentum = spec.args(NESTEROV)?.real("momentum").expect("has a default");
                return Ok(ServerOptimiser::Nesterov { momentum });
            }
            "scaled-sign" => {
                let feedback = spec.args(SCALED_SIGN)?.flag("feedback");
                return Ok(ServerOptimiser::ScaledSign { feedback });
            }
            "anytime" => {
                let gamma = spec.args(ANYTIME)?.real("gamma");
                return Ok(ServerOptimiser::AnyTime { gamma });
            }
            "byzantine-pgd" => {
                let args = spec.args(escape::PARAMS)?;
                return Ok(ServerOptimiser::Perturbed(Escape::of(&args)));
            }
            "adagrad" => Second::Adagrad,
            "yogi" => Second::Yogi,
            "adam" => Second::Adam,
            other => return Err(SpecError::unknown("server_optimiser", other, Self::NAMES)),
        };
        let args = spec.args(Self::params(&spec.name))?;
        let real = |name| args.real(name).expect("has a default");
        Ok(ServerOptimiser::Adaptive {
            second,
            beta1: real("beta1"),
            beta2: if second == Second::Adagrad { 0.0 } else { real("beta2") },
            tau: real("tau"),
            corrected: second == Second::Adam && args.flag("bias-correction"),
        })
    }

    /// v before the first step.
    pub fn first_second(&self) -> f32 {
        match *self {
            ServerOptimiser::Adaptive { tau, corrected: false, .. } => (tau * tau) as f32,
            _ => 0.0,
        }
    }

    /// Moves m and v by the aggregate and θ by them: `step` is the number of this step, from 1,
    /// and `keep` multiplies θ before (weight decay). Everything stays finite. Cost O(d).
    ///
    /// # Panics
    /// For all but [`ServerOptimiser::Adaptive`], which alone keeps m and v.
    pub fn step(
        &self,
        step: u64,
        (rate, keep): (f64, f64),
        aggregate: &[f32],
        (m, v): (&mut [f32], &mut [f32]),
        params: &mut [f32],
    ) {
        let ServerOptimiser::Adaptive { second, beta1, beta2, tau, corrected } = *self else {
            panic!("only adaptive descent keeps means");
        };
        let power = i32::try_from(step).unwrap_or(i32::MAX);
        let correct = |beta: f64| if corrected { 1.0 - beta.powi(power) } else { 1.0 };
        let (of_m, of_v) = (correct(beta1), correct(beta2));
        let slots = m.iter_mut().zip(v.iter_mut()).zip(params.iter_mut());
        for (((m, v), p), &a) in slots.zip(aggregate) {
            let (a, old) = (f64::from(a), f64::from(*v));
            *m = (beta1 * f64::from(*m) + (1.0 - beta1) * a) as f32;
            let square = a * a;
            let new = match second {
                Second::Adagrad => old + square,
                Second::Adam => beta2 * old + (1.0 - beta2) * square,
                Second::Yogi if old == square => old,
                Second::Yogi => old - (1.0 - beta2) * square * (old - square).signum(),
            };
            *v = new.min(f64::from(f32::MAX)) as f32;
            let size = (f64::from(*v) / of_v).sqrt() + tau;
            *p = (keep * f64::from(*p) - rate * (f64::from(*m) / of_m) / size) as f32;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The parameters, m and v of one coordinate after each of `aggregates`.
    fn follow(text: &str, aggregates: &[f32]) -> (f32, f32, f32) {
        let server = ServerOptimiser::parse(text).unwrap();
        let (mut p, mut m, mut v) = ([1.0], [0.0], [server.first_second()]);
        for (k, &a) in aggregates.iter().enumerate() {
            server.step(k as u64 + 1, (0.5, 1.0), &[a], (&mut m, &mut v), &mut p);
        }
        (p[0], m[0], v[0])
    }

    #[test]
    fn two_steps_by_hand() {
        // Adagrad, τ = 1, β₁ = 0: v = 1 + 4 = 5, then 5 + 9 = 14.
        let (p, m, v) = follow("adagrad tau=1", &[2.0, 3.0]);
        let wanted = 1.0 - 0.5 * 2.0 / (5f64.sqrt() + 1.0) - 0.5 * 3.0 / (14f64.sqrt() + 1.0);
        assert!((f64::from(p) - wanted).abs() < 1e-6 && (m, v) == (3.0, 14.0), "{p} {wanted}");
        // Adam, β₁ = β₂ = 1/2, τ = 1: m = 1, then 2; v = (1 + 4)/2, then (2.5 + 9)/2.
        let (p, m, v) = follow("adam beta1=0.5 beta2=0.5 tau=1", &[2.0, 3.0]);
        let wanted = 1.0 - 0.5 / (2.5f64.sqrt() + 1.0) - 0.5 * 2.0 / (5.75f64.sqrt() + 1.0);
        assert!((f64::from(p) - wanted).abs() < 1e-6 && (m, v) == (2.0, 5.75), "{p} {wanted}");
        // Yogi: v = 1 + 4/2 = 3, then 3 + 9/2; below its aim it grows, above it it shrinks.
        assert_eq!(follow("yogi beta1=0 beta2=0.5 tau=1", &[2.0, 3.0]).2, 7.5);
        assert_eq!(follow("yogi beta1=0 beta2=0.5 tau=3", &[2.0]).2, 7.0);
    }

    #[test]
    fn a_corrected_first_step_has_the_length_of_the_rate() {
        for a in [1e-3, 5.0, -7e4] {
            let (p, ..) = follow("adam bias-correction=true tau=1e-12", &[a]);
            assert!((p - (1.0 - 0.5 * a.signum())).abs() < 1e-5, "{a}: {p}");
        }
    }

    #[test]
    fn the_largest_floats_leave_everything_finite() {
        for text in ["adagrad", "yogi", "adam", "adam bias-correction=true"] {
            let (p, m, v) = follow(text, &[f32::MAX, f32::MIN, f32::MAX, 0.0, 1.0]);
            assert!(p.is_finite() && m.is_finite() && v.is_finite(), "{text}: {p} {m} {v}");
        }
        assert!(ServerOptimiser::parse("adagrad beta2=0.5").is_err());
        let error = ServerOptimiser::parse("adan").unwrap_err().to_string();
        assert_eq!(error, "unknown server_optimiser \"adan\"; did you mean \"adam\"?");
    }
}
