//! The plain sum: A = Σ xᵢ, the distributed SGD of Akoun & Meyer 2022 (2202.02085, §3): a step of η
//! is one of n·η along the mean, and one hostile row can cancel all others.
//!
//! ```
//! # use varangian_base::Matrix;
//! # use varangian_rules::{Round, Verdict, build};
//! let rows = Matrix::from_rows(&[[0.5], [1.0], [-3.0]]);
//! let mut out = [0.0];
//! let mut rule = build("sum", 3, 0).unwrap();
//! rule.aggregate(&mut Round::of(rows.rows(), 0), &mut out, &mut Verdict::default());
//! assert_eq!(out, [-1.5]);
//! ```

use crate::{Bound, Claims, Round, Rule, RuleEntry, RuleFacts, Stage, Verdict, exact};
use varangian_base::kernels::combine;

pub(crate) static ENTRY: RuleEntry = RuleEntry {
    name: "sum",
    summary: "sum of all rows: the distributed SGD that sign votes are compared with",
    paper: "Akoun & Meyer, SignSGD: Fault-Tolerance to Blind and Byzantine Adversaries, 2022, arXiv 2202.02085, §3",
    differs: &["A sum beyond the largest float stops there."],
    params: &[],
    cost: "O(n·d)",
    facts: RuleFacts {
        bound: Bound { text: "n ≥ 1", least: |_| 1, source: "no defence at any f" },
        claims: Claims {
            permutation: true,
            scale: true,
            rotation: true,
            coordinate_wise: true,
            ..Claims::NONE
        },
        weights: true,
        whole_rows: "",
        ..RuleFacts::RULE
    },
    build: |_| Ok(Box::new(Stage::Rule(Box::new(Sum)))),
};

#[derive(Clone)]
struct Sum;

impl Rule for Sum {
    fn aggregate(&mut self, round: &mut Round<'_>, out: &mut [f32], verdict: &mut Verdict) {
        verdict.uniform(round.rows.n(), 1.0);
        combine::combine(round.rows, &verdict.weights, out);
        // Finite rows may sum to more than a float holds; a rule answers finite numbers.
        out.iter_mut().for_each(|x| *x = x.clamp(f32::MIN, f32::MAX));
    }

    fn exact(&self, round: &exact::Round<'_>, verdict: &mut Verdict) -> Result<Vec<f64>, String> {
        Ok(verdict.blend(round.rows, &exact::Blend::weighted(&vec![1.0; round.n()], 1.0)))
    }

    fn fork(&self) -> Box<dyn Rule> {
        Box::new(self.clone())
    }
}
