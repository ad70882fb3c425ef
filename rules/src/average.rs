//! The plain mean: A = (1/n)·Σ xᵢ. One hostile row moves it anywhere (Blanchard et al. 2017, lemma
//! 1).
//!
//! ```
//! # use varangian_base::Matrix;
//! # use varangian_rules::{Round, Verdict, build};
//! let rows = Matrix::from_rows(&[[0.0], [1.0], [2.0], [3.0], [100.0]]);
//! let mut out = [0.0];
//! let mut rule = build("average", 5, 0).unwrap();
//! rule.aggregate(&mut Round::of(rows.rows(), 0), &mut out, &mut Verdict::default());
//! assert_eq!(out, [21.2]);
//! ```

use crate::{Bound, Claims, Kappa, Round, Rule, RuleEntry, RuleFacts, Stage, Verdict, exact};
use varangian_base::kernels::combine;

pub(crate) static ENTRY: RuleEntry = RuleEntry {
    name: "average",
    summary: "mean of all rows; no defence, the baseline",
    paper: "folklore",
    differs: &[],
    params: &[],
    cost: "O(n·d)",
    facts: RuleFacts {
        bound: Bound {
            text: "n ≥ 1",
            least: |_| 1,
            source: "it defends at no f, so it takes any, f ≥ n/2 too: then no rule could defend",
        },
        claims: Claims { bounded: false, majority: false, rotation: true, ..Claims::COLUMNS },
        weights: true,
        weighted: true,
        kappa: Kappa::Open("unbounded for any f > 0: one hostile row moves the mean anywhere"),
        whole_rows: "",
        ..RuleFacts::RULE
    },
    build: |_| Ok(Box::new(Stage::Rule(Box::new(Average)))),
};

#[derive(Clone)]
struct Average;

impl Rule for Average {
    fn aggregate(&mut self, round: &mut Round<'_>, out: &mut [f32], verdict: &mut Verdict) {
        if let Some(weights) = round.weights {
            combine::combine(round.rows, weights, out);
            return verdict.weights.extend_from_slice(weights);
        }
        combine::mean(round.rows, out);
        verdict.uniform(round.rows.n(), 1.0 / round.rows.n() as f64);
    }

    fn exact(&self, round: &exact::Round<'_>, verdict: &mut Verdict) -> Result<Vec<f64>, String> {
        if let Some(weights) = round.weights {
            return Ok(verdict.blend(round.rows, &exact::Blend::weighted(weights, 1.0)));
        }
        let n = round.n();
        let all: Vec<usize> = (0..n).collect();
        Ok(verdict.blend(round.rows, &exact::Blend::selection(n, &all)))
    }

    fn watches(&self) -> bool {
        true
    }

    fn fork(&self) -> Box<dyn Rule> {
        Box::new(self.clone())
    }
}
