//! Coordinate-wise trimmed mean (Yin et al. 2018, definition 2): per coordinate, drop the f smallest
//! and the f largest values and average the n − 2f that remain.
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

use crate::{Bound, Claims, Family, Kappa, Round, Rule, RuleEntry, RuleFacts, Stage, Verdict};
use varangian_base::kernels::columns;

pub(crate) static ENTRY: RuleEntry = RuleEntry {
    name: "trimmed-mean",
    summary: "coordinate-wise mean without the f smallest and f largest values",
    paper: "Yin, Chen, Ramchandran & Bartlett, Byzantine-Robust Distributed Learning, ICML 2018, arXiv 1803.01498, definition 2",
    differs: &[],
    params: &[],
    cost: "O(n·d) by selection",
    facts: RuleFacts {
        family: Family::Rule,
        bound: Bound { text: "n ≥ 2f + 1", least: |f| 2 * f + 1, source: "Yin et al. 2018" },
        claims: Claims {
            permutation: true,
            translation: true,
            scale: true,
            rotation: false,
            coordinate_wise: true,
            honest_box: true,
            bounded: true,
            majority: true,
        },
        needs_oracle: false,
        has_memory: false,
        kappa: Kappa::Exact(|n, f| f as f64 / (n - 2 * f) as f64, "f/(n−2f), the least possible"),
        variance_norm: None,
    },
    build: |_| Ok(Box::new(Stage::Rule(Box::new(TrimmedMean)))),
};

#[derive(Clone)]
struct TrimmedMean;

impl Rule for TrimmedMean {
    fn aggregate(&mut self, round: &mut Round<'_>, out: &mut [f32], _: &mut Verdict) {
        let (n, f) = (round.rows.n(), round.f);
        columns::sorted(round.rows, out, |column| {
            let kept = &column[f..n - f];
            (kept.iter().map(|&x| f64::from(x)).sum::<f64>() / kept.len() as f64) as f32
        });
    }

    fn fork(&self) -> Box<dyn Rule> {
        Box::new(self.clone())
    }
}

#[cfg(test)]
pub(crate) fn reference(rows: &[Vec<f64>], f: usize) -> Vec<f64> {
    let n = rows.len();
    (0..rows[0].len())
        .map(|k| {
            let mut column: Vec<f64> = rows.iter().map(|x| x[k]).collect();
            column.sort_by(f64::total_cmp);
            column[f..n - f].iter().sum::<f64>() / (n - 2 * f) as f64
        })
        .collect()
}
