//! Zeno++ (Xie, Koyejo & Gupta 2020, §4): an arrival is rescaled to the length of the server's own
//! validation gradient V and taken if it points along V far enough.
//!
//! g = ‖V‖/‖g̃‖·g̃; accepted iff γ·⟨V, g⟩ − ρ·‖g‖² ≥ −γ·ε. In this form the test is
//! cos(g̃, V) ≥ ρ/γ − ε/‖V‖², whatever the length of g̃. V is taken lazily: on every k-th arrival,
//! accepted or not, before that arrival is judged, on a fresh validation batch at the current
//! model. A zero arrival or a zero V is rejected.

use super::{ratio, scaled};
use crate::{Arrival, Bound, Decision, Filter, FilterEntry, FilterFacts};
use varangian_base::kernels::norms;
use varangian_base::{Kind, Memory, Param, SpecError, Value};

pub(crate) static ENTRY: FilterEntry = FilterEntry {
    name: "zeno++",
    summary: "takes arrivals that point along the server's validation gradient, rescaled to its length",
    paper: "Xie, Koyejo & Gupta, Zeno++: Robust Fully Asynchronous SGD, ICML 2020, arXiv 1903.07020, §4",
    differs: &[
        "The penalty is on the rescaled gradient, as in the paper; penalty=raw takes it on the gradient as sent, as in the authors' code.",
        "The score uses the current learning rate; the authors' code keeps the initial one after decays.",
        "V is computed in line with the k-th arrival, as in the authors' code; the paper has a thread of its own for it.",
        "epsilon is at least 0 and the test is score ≥ −γ·epsilon; the authors' slides write score ≥ ε with ε ≤ 0, the same test with the other sign, and their code for text leaves γ out.",
        "epsilon is for mean gradients; the authors' value for sums over batches of B samples is B² times larger.",
    ],
    params: &[
        Param {
            name: "rho",
            kind: Kind::Real { min: 0.0, max: 1e30 },
            default: "0.001",
            help: "weight of the penalty on ‖g‖²; ρ/γ is the least cosine where epsilon is 0",
        },
        Param {
            name: "epsilon",
            kind: Kind::Real { min: 0.0, max: 1e30 },
            default: "0",
            help: "slack of the test: how much ascent is tolerated, in units of ⟨V, g⟩",
        },
        Param {
            name: "k",
            kind: Kind::Count { min: 1, max: 1 << 40 },
            default: "10",
            help: "arrivals between two validation gradients",
        },
        Param {
            name: "scale",
            kind: Kind::Choice(&["rescale", "clip"]),
            default: "rescale",
            help: "bring arrivals to ‖V‖ whether longer or shorter, or shorten only",
        },
        Param {
            name: "penalty",
            kind: Kind::Choice(&["paper", "raw"]),
            default: "paper",
            help: "‖g‖² of the rescaled gradient, or of the gradient as sent",
        },
    ],
    cost: "O(d) an arrival and one validation gradient every k arrivals",
    facts: FilterFacts {
        bound: Bound { text: "n ≥ 1", least: |_| 1, source: "Xie et al. 2020, §4: any f" },
        needs_oracle: true,
        needs_stale: false,
        has_memory: true,
    },
    build: |args| {
        let (validation, norm2, received) = Default::default();
        Ok(Box::new(ZenoPp {
            rho: args.real("rho").expect("has a default"),
            epsilon: args.real("epsilon").expect("has a default"),
            k: args.count("k").expect("has a default") as u64,
            clip: args.text("scale") == "clip",
            raw: args.text("penalty") == "raw",
            validation,
            norm2,
            received,
        }))
    },
};

#[derive(Clone)]
struct ZenoPp {
    rho: f64,
    epsilon: f64,
    k: u64,
    clip: bool,
    raw: bool,
    /// V, and ‖V‖².
    validation: Vec<f32>,
    norm2: f64,
    received: u64,
}

impl ZenoPp {
    /// The scale of an arrival and its score γ·⟨V, g⟩ − ρ·‖·‖².
    fn score(&self, gradient: &[f32], learning_rate: f64) -> (f64, f64) {
        let scale = ratio(self.norm2, gradient, self.clip);
        let inner = scale * norms::dot(&self.validation, gradient);
        let sent2 = norms::norm2(gradient);
        let penalised = if self.raw { sent2 } else { sent2 * scale * scale };
        (scale, learning_rate * inner - self.rho * penalised)
    }
}

impl Filter for ZenoPp {
    fn offer(&mut self, arrival: &mut Arrival<'_>, out: &mut [f32]) -> Decision {
        if self.received.is_multiple_of(self.k) {
            let Some(oracle) = arrival.oracle.as_mut() else {
                return Decision::Reject("there is no validation data");
            };
            self.validation.resize(arrival.params.len(), 0.0);
            oracle.refresh();
            oracle.gradient(arrival.params, &mut self.validation);
            self.norm2 = norms::norm2(&self.validation);
        }
        self.received += 1;
        let gamma = f64::from(arrival.learning_rate);
        let (scale, score) = self.score(arrival.gradient, gamma);
        if !scale.is_finite() || scale == 0.0 {
            return Decision::Reject("the gradient or the validation gradient is zero");
        }
        if score.is_nan() || score < -gamma * self.epsilon {
            return Decision::Reject("it points away from the validation gradient");
        }
        scaled(arrival.gradient, scale, out);
        Decision::Step
    }

    fn fork(&self) -> Box<dyn Filter> {
        Box::new(self.clone())
    }

    fn save(&self) -> Memory {
        let mut memory = Memory::default();
        memory.put("validation", Value::Floats(self.validation.clone()));
        memory.put("received", Value::Integers(vec![self.received]));
        memory
    }

    fn load(&mut self, memory: &Memory) -> Result<(), SpecError> {
        let received = memory.integers("received")?.first().copied();
        self.received = received.ok_or_else(|| SpecError::new("memory \"received\" is empty"))?;
        self.validation = memory.floats("validation")?.to_vec();
        self.norm2 = norms::norm2(&self.validation);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::trial::offer;
    use super::*;
    use crate::build_filter;
    use crate::oracle::Bowl;
    use varangian_base::{Domain, Seed};

    /// On the bowl, V at x = (3, 4) is (3, 4).
    const X: [f32; 2] = [3.0, 4.0];

    fn judge(spec: &str, rate: f32, gradient: [f32; 2]) -> Option<Vec<f32>> {
        let mut filter = build_filter(spec, 10, 8).unwrap();
        let (decision, out) = offer(&mut *filter, &mut Bowl::default(), &X, rate, &gradient);
        (decision == Decision::Step).then_some(out)
    }

    #[test]
    fn verdicts_and_steps_of_the_worked_example() {
        assert_eq!(judge("zeno++ rho=0.05", 0.1, [6.0, 8.0]), Some(vec![3.0, 4.0]));
        assert_eq!(judge("zeno++ rho=0.05 penalty=raw", 0.1, [6.0, 8.0]), None);
        for penalty in ["paper", "raw"] {
            let spec = |rest| format!("zeno++ rho=0.015625 penalty={penalty} {rest}");
            assert_eq!(judge(&spec(""), 0.125, [4.0, -3.0]), None);
            let slack = spec("epsilon=3.125");
            assert_eq!(judge(&slack, 0.125, [4.0, -3.0]), Some(vec![4.0, -3.0]), "equality");
            assert_eq!(judge(&spec(""), 0.125, [-30.0, -40.0]), None);
        }
        let near = |a: Option<Vec<f32>>, b: [f32; 2]| {
            a.is_some_and(|a| a.iter().zip(b).all(|(a, b)| (a - b).abs() < 1e-5))
        };
        assert!(near(judge("zeno++", 0.1, [0.3, 0.4]), [3.0, 4.0]));
        assert!(near(judge("zeno++ scale=clip", 0.1, [0.3, 0.4]), [0.3, 0.4]));
        assert!(near(judge("zeno++ scale=clip", 0.1, [30.0, 40.0]), [3.0, 4.0]));
        assert_eq!(judge("zeno++", 0.1, [0.0, 0.0]), None);
    }

    #[test]
    fn scores_of_the_worked_example() {
        let zeno = |raw| ZenoPp {
            rho: 0.05,
            epsilon: 0.0,
            k: 1,
            clip: false,
            raw,
            validation: X.to_vec(),
            norm2: 25.0,
            received: 0,
        };
        let score = |raw| zeno(raw).score(&[6.0, 8.0], 0.1).1;
        assert!((score(false) - 1.25).abs() < 1e-12 && (score(true) + 2.5).abs() < 1e-12);
        for raw in [false, true] {
            let across = ZenoPp { rho: 0.015625, ..zeno(raw) };
            assert_eq!(across.score(&[4.0, -3.0], 0.125).1, -0.390625);
        }
    }

    #[test]
    fn without_penalty_and_slack_just_the_gradients_within_a_right_angle_of_v_pass() {
        let mut stream = Seed(2).stream(Domain::Test, 0, 0);
        let (mut passed, mut within) = (0, 0);
        for _ in 0..4_000 {
            let gradient = [stream.normal() as f32, stream.normal() as f32];
            passed += u32::from(judge("zeno++ rho=0", 0.1, gradient).is_some());
            within += u32::from(norms::dot(&gradient, &X) >= 0.0);
        }
        assert_eq!(passed, within);
        assert!((1_850..2_150).contains(&passed), "half of the plane: {passed} of 4,000");
    }

    #[test]
    fn with_k_1_every_arrival_is_judged_by_the_v_of_its_own_moment() {
        let mut filter = build_filter("zeno++ k=1 rho=0.01", 10, 8).unwrap();
        let (mut stream, mut x) = (Seed(3).stream(Domain::Test, 0, 0), [3.0f32, 4.0]);
        let mut stepped = 0;
        for _ in 0..300 {
            let gradient = [stream.normal() as f32, stream.normal() as f32];
            let (decision, out) = offer(&mut *filter, &mut Bowl::default(), &x, 0.1, &gradient);
            // On the bowl V is x itself.
            let cos =
                norms::dot(&gradient, &x) / (norms::norm2(&gradient) * norms::norm2(&x)).sqrt();
            assert_eq!(decision == Decision::Step, cos >= 0.1, "{cos}");
            if decision == Decision::Step {
                stepped += 1;
                assert!((norms::norm2(&out) / norms::norm2(&x) - 1.0).abs() < 1e-5);
                x = [x[0] - 0.1 * out[0], x[1] - 0.1 * out[1]];
            }
        }
        assert!(stepped > 50, "{stepped}");
    }

    #[test]
    fn length_does_not_matter_accepted_steps_are_as_long_as_v_and_ascent_never_passes() {
        let mut stream = Seed(1).stream(Domain::Test, 0, 0);
        let mut accepted = 0;
        for _ in 0..500 {
            let gradient = [stream.normal() as f32, stream.normal() as f32];
            let one = judge("zeno++ rho=0.02", 0.1, gradient);
            let other = judge("zeno++ rho=0.02", 0.1, gradient.map(|x| 64.0 * x));
            assert_eq!(one, other, "powers of two scale without rounding");
            let cos = norms::dot(&gradient, &X) / norms::norm2(&gradient).sqrt() / 5.0;
            assert_eq!(one.is_some(), cos >= 0.2, "least cosine ρ/γ = 0.2, got {cos}");
            if let Some(step) = one {
                assert!((norms::norm2(&step).sqrt() - 5.0).abs() < 1e-5);
                accepted += 1;
            }
        }
        assert!((150..300).contains(&accepted), "{accepted}");
    }

    #[test]
    fn v_is_taken_on_every_kth_arrival_whether_accepted_or_not() {
        for (k, received) in [(1, 7), (3, 7), (10, 21), (10, 20)] {
            let mut filter = build_filter(&format!("zeno++ k={k}"), 10, 8).unwrap();
            let mut oracle = Bowl::default();
            for t in 0..received {
                let gradient = if t % 2 == 0 { X } else { [-3.0, -4.0] };
                offer(&mut *filter, &mut oracle, &X, 0.1, &gradient);
            }
            let expected = (received as u64).div_ceil(k);
            assert_eq!((oracle.gradients, oracle.refreshed), (expected, expected));
        }
    }

    #[test]
    fn memory_survives_a_save_and_without_data_nothing_passes() {
        let mut a = build_filter("zeno++ k=5", 10, 8).unwrap();
        let mut b = build_filter("zeno++ k=5", 10, 8).unwrap();
        let mut oracle = Bowl::default();
        offer(&mut *a, &mut oracle, &X, 0.1, &X);
        b.load(&a.save()).unwrap();
        // The model moved; both still judge by the old V.
        let moved = [-4.0, 3.0];
        let x = offer(&mut *a, &mut oracle, &moved, 0.1, &[1.0, 1.0]);
        assert_eq!(x, offer(&mut *b, &mut oracle, &moved, 0.1, &[1.0, 1.0]));
        let mut bare = super::super::trial::arrival(&X, &X);
        let decision = build_filter("zeno++", 1, 0).unwrap().offer(&mut bare, &mut [0.0; 2]);
        assert!(matches!(decision, Decision::Reject(_)));
    }
}
