//! Zeno+ (Xie, Koyejo & Gupta 2020): the step between Zeno and Zeno++, with the exact descent
//! score of each arrival instead of its first-order estimate.
//!
//! g = ‖V‖/‖g̃‖·g̃ with a fresh V on a fresh batch for each arrival; accepted iff
//! f_s(x) − f_s(x − γ·g) − ρ·‖g‖² ≥ −γ·ε.

use super::{ratio, scaled};
use crate::{Arrival, Bound, Decision, Filter, FilterEntry, FilterFacts};
use varangian_base::kernels::norms;
use varangian_base::{Kind, Param};

pub(crate) static ENTRY: FilterEntry = FilterEntry {
    name: "zeno+",
    summary: "takes arrivals that lower the server's validation loss, rescaled to its gradient's length",
    paper: "Xie, Koyejo & Gupta, Zeno++: Robust Fully Asynchronous SGD, ICML 2020, arXiv 1903.07020, §4",
    differs: &[
        "Written from the description in the paper's summary: rescaling and threshold as in Zeno++, the score exact.",
    ],
    params: &[
        Param {
            name: "rho",
            kind: Kind::Real { min: 0.0, max: 1e30 },
            default: "0.001",
            help: "weight of the penalty on ‖g‖²",
        },
        Param {
            name: "epsilon",
            kind: Kind::Real { min: 0.0, max: 1e30 },
            default: "0",
            help: "slack of the test, in units of ⟨V, g⟩",
        },
    ],
    cost: "one validation gradient and two validation losses an arrival",
    facts: FilterFacts {
        bound: Bound { text: "n ≥ 1", least: |_| 1, source: "Xie et al. 2020, §4: any f" },
        needs_oracle: true,
        needs_stale: false,
        has_memory: false,
    },
    build: |args| {
        let (validation, moved) = Default::default();
        Ok(Box::new(ZenoPlus {
            rho: args.real("rho").expect("has a default"),
            epsilon: args.real("epsilon").expect("has a default"),
            validation,
            moved,
        }))
    },
};

#[derive(Clone)]
struct ZenoPlus {
    rho: f64,
    epsilon: f64,
    validation: Vec<f32>,
    moved: Vec<f32>,
}

impl Filter for ZenoPlus {
    fn offer(&mut self, arrival: &mut Arrival<'_>, out: &mut [f32]) -> Decision {
        let Some(oracle) = arrival.oracle.as_mut() else {
            return Decision::Reject("there is no validation data");
        };
        self.validation.resize(out.len(), 0.0);
        oracle.refresh();
        oracle.gradient(arrival.params, &mut self.validation);
        // Not the gradient's own loss: that is of a forward pass in training mode.
        let before = oracle.loss(arrival.params);
        let scale = ratio(norms::norm2(&self.validation), arrival.gradient, false);
        if !scale.is_finite() || scale == 0.0 {
            return Decision::Reject("the gradient or the validation gradient is zero");
        }
        scaled(arrival.gradient, scale, out);
        let stepped = arrival.params.iter().zip(&*out);
        self.moved.clear();
        self.moved.extend(stepped.map(|(&x, &g)| x - arrival.learning_rate * g));
        let score = before - oracle.loss(&self.moved) - self.rho * norms::norm2(out);
        if score.is_nan() || score < -f64::from(arrival.learning_rate) * self.epsilon {
            return Decision::Reject("it does not lower the validation loss");
        }
        Decision::Step
    }

    fn fork(&self) -> Box<dyn Filter> {
        Box::new(self.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::super::trial::offer;
    use super::*;
    use crate::build_filter;
    use crate::oracle::Bowl;

    #[test]
    fn the_score_is_exact() {
        // On the bowl at (3, 4) with γ = ½ a step along g of length 5 changes the loss by
        // −½·⟨x, g⟩ + ⅛·25: the least cosine with ρ = 0 is ¼, and ¼ + ρ/γ with a penalty.
        let decide = |spec: &str, cos: f64| {
            let sin = (1.0 - cos * cos).sqrt();
            let g = [(3.0 * cos - 4.0 * sin) as f32, (4.0 * cos + 3.0 * sin) as f32];
            let mut filter = build_filter(spec, 10, 9).unwrap();
            offer(&mut *filter, &mut Bowl::default(), &[3.0, 4.0], 0.5, &g).0 == Decision::Step
        };
        assert!(decide("zeno+ rho=0", 0.26) && !decide("zeno+ rho=0", 0.24));
        assert!(decide("zeno+ rho=0.05", 0.36) && !decide("zeno+ rho=0.05", 0.34));
        assert!(decide("zeno+ rho=0 epsilon=12.5", -0.24));
        assert!(!decide("zeno+ rho=0 epsilon=12.5", -0.26));
    }
}
