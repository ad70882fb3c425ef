//! Coordinate-wise trimmed mean (Yin et al. 2018, definition 2): per coordinate, drop the f
//! smallest and the f largest values and average the n − 2f that remain.
//!
//! Its κ = f/(n − 2f) meets the universal lower bound: no rule has a smaller worst case.
//!
//! ```
//! # use varangian_base::Matrix;
//! # use varangian_rules::{Round, Verdict, build};
//! let rows = Matrix::from_rows(&[[-10.0], [1.0], [2.0], [3.0], [100.0]]);
//! let mut out = [0.0];
//! build("trimmed-mean", 5, 1).unwrap().aggregate(&mut Round::of(rows.rows(), 1), &mut out, &mut Verdict::default());
//! assert_eq!(out, [2.0]);
//! ```

use crate::weights::{shares, trimmed};
use crate::{Bound, Claims, Kappa, Round, Rule, RuleEntry, RuleFacts, Stage, Verdict, exact};
use varangian_base::kernels::columns;

pub(crate) static ENTRY: RuleEntry = RuleEntry {
    name: "trimmed-mean",
    summary: "coordinate-wise mean without the f smallest and f largest values",
    paper: "Yin, Chen, Ramchandran & Bartlett, Byzantine-Robust Distributed Learning, ICML 2018, arXiv 1803.01498, definition 2",
    differs: &[],
    params: &[],
    cost: "O(n·d) by selection",
    facts: RuleFacts {
        bound: Bound::majority("Yin et al. 2018"),
        claims: Claims { honest_box: true, ..Claims::COLUMNS },
        weighted: true,
        kappa: Kappa::Exact(|n, f| f as f64 / (n - 2 * f) as f64, "f/(n−2f), the least possible"),
        ..RuleFacts::RULE
    },
    build: |_| Ok(Box::new(Stage::Rule(Box::new(TrimmedMean)))),
};

#[derive(Clone)]
struct TrimmedMean;

impl Rule for TrimmedMean {
    fn aggregate(&mut self, round: &mut Round<'_>, out: &mut [f32], _: &mut Verdict) {
        if let Some(weights) = round.weights {
            let (cut, _) = shares(weights, round.f);
            return columns::weighted(round.rows, weights, out, |column| {
                trimmed(column, cut) as f32
            });
        }
        columns::trimmed_mean(round.rows, round.f, out);
    }

    fn exact(&self, round: &exact::Round<'_>, _: &mut Verdict) -> Result<Vec<f64>, String> {
        let f = round.f;
        if let Some(weights) = round.weights {
            let (cut, _) = shares(weights, f);
            let reduce = |column: &[(f64, f64)]| trimmed(column, cut);
            return Ok(exact::by_weighted_column(round.rows, weights, reduce));
        }
        Ok(exact::by_column(round.rows, |column| exact::mean(&column[f..column.len() - f])))
    }

    fn fork(&self) -> Box<dyn Rule> {
        Box::new(self.clone())
    }
}
