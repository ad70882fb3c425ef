//! Phocas and MeaMed (Xie, Koyejo & Gupta 2018): per coordinate, the mean of the n − f values
//! nearest to a centre: the trimmed mean (Phocas) or the median (MeaMed).
//!
//! The n − f nearest values are a window of the sorted column. Of two values equally far from the
//! centre the smaller counts as nearer, so the answer does not depend on the order of the rows.
//!
//! ```
//! # use varangian_base::Matrix;
//! # use varangian_rules::{Round, Verdict, build};
//! let rows = Matrix::from_rows(&[[-10.0], [1.0], [2.0], [3.0], [100.0]]);
//! let mut out = [0.0];
//! build("phocas", 5, 1).unwrap().aggregate(&mut Round::of(rows.rows(), 1), &mut out, &mut Verdict::default());
//! assert_eq!(out, [-1.0]); // centre 2, nearest −10, 1, 2, 3: it may leave the honest range
//! ```

use crate::median::{MIDDLE, Middle};
use crate::{Bound, Claims, Kappa, Round, Rule, RuleEntry, RuleFacts, Stage, Verdict, exact};
use varangian_base::kernels::columns;

const TIES: &str =
    "of two values equally far from the centre the smaller one is kept; the paper leaves ties open";

pub(crate) static ENTRY: RuleEntry = RuleEntry {
    name: "phocas",
    summary: "coordinate-wise mean of the n − f values nearest to the trimmed mean",
    paper: "Xie, Koyejo & Gupta, Phocas: Dimensional Byzantine-Resilient Stochastic Gradient Descent, 2018, arXiv 1805.09682, definition 7",
    differs: &[TIES],
    params: &[],
    cost: "O(n·d) by selection",
    facts: FACTS,
    build: |_| Ok(Box::new(Stage::Rule(Box::new(Around { centre: Centre::TrimmedMean })))),
};

pub(crate) static MEAMED: RuleEntry = RuleEntry {
    name: "meamed",
    summary: "coordinate-wise mean of the n − f values nearest to the median",
    paper: "Xie, Koyejo & Gupta, Generalized Byzantine-Tolerant SGD, 2018, arXiv 1802.10116, mean around median",
    differs: &[TIES],
    params: &[MIDDLE],
    cost: "O(n·d) by selection",
    facts: FACTS,
    build: |args| {
        let centre = Centre::Median(Middle::of(args));
        Ok(Box::new(Stage::Rule(Box::new(Around { centre }))))
    },
};

const FACTS: RuleFacts = RuleFacts {
    bound: Bound::majority("Xie et al. 2018"),
    claims: Claims::COLUMNS,
    kappa: Kappa::Open("none known; at n = 11, f = 3 a search finds 2.4 (phocas) and 3.0 (meamed)"),
    whole_rows: "",
    ..RuleFacts::RULE
};

#[derive(Clone, Copy)]
enum Centre {
    TrimmedMean,
    Median(Middle),
}

#[derive(Clone)]
struct Around {
    centre: Centre,
}

impl Rule for Around {
    fn aggregate(&mut self, round: &mut Round<'_>, out: &mut [f32], _: &mut Verdict) {
        let (n, f) = (round.rows.n(), round.f);
        let centre = match self.centre {
            Centre::TrimmedMean => columns::Centre::TrimmedMean(f),
            Centre::Median(Middle::Lower) => columns::Centre::LowerMedian,
            Centre::Median(_) => columns::Centre::Median,
        };
        columns::mean_around(round.rows, centre, n - f, out);
    }

    fn exact(&self, round: &exact::Round<'_>, _: &mut Verdict) -> Result<Vec<f64>, String> {
        let (n, f) = (round.n(), round.f);
        Ok(exact::by_column(round.rows, |column| match self.centre {
            Centre::TrimmedMean => around(column, n - f, |values| {
                exact::Total::of(values[f..n - f].iter().copied()).over((n - 2 * f) as f64)
            }),
            Centre::Median(which) => {
                around(column, n - f, |values| crate::median::middle(values, which))
            }
        }))
    }

    fn watches(&self) -> bool {
        true
    }

    fn fork(&self) -> Box<dyn Rule> {
        Box::new(self.clone())
    }
}

/// The mean of the `keep` values of a sorted column that are nearest to a centre of them, which is
/// taken as a double and what is left, of the values less their middle one: close values lose
/// nothing.
pub(crate) fn around(column: &[f64], keep: usize, centre: impl Fn(&[f64]) -> (f64, f64)) -> f64 {
    let (least, most) = (column[0], column[column.len() - 1]);
    let half = if (most - least).is_finite() { 1.0 } else { 0.5 };
    let middle = column[column.len() / 2] * half;
    let shifted: Vec<f64> = column.iter().map(|x| x * half - middle).collect();
    let (hi, lo) = centre(&shifted);
    let mut nearest: Vec<(f64, f64)> =
        shifted.iter().zip(column).map(|(y, &x)| (((y - hi) - lo).abs(), x)).collect();
    nearest.sort_by(|a, b| a.0.total_cmp(&b.0));
    let kept: Vec<f64> = nearest[..keep].iter().map(|(_, x)| *x).collect();
    exact::mean(&kept)
}

#[cfg(test)]
mod tests {
    use crate::conformance::exactly;

    #[test]
    fn the_nearest_of_values_whose_differences_leave_f64_are_those_of_the_formula() {
        // Less their middle one, whole or halved, these differ by more than the range of f64.
        let column = [-1.7e308, 1.5e308, 1.6e308, 1.65e308, 1.7e308];
        let rows = column.map(|x| vec![x]);
        for rule in ["phocas", "meamed"] {
            let (out, _) = exactly(rule, &rows, 1);
            assert!((out[0] / 1.6125e308 - 1.0).abs() < 1e-15, "{rule}: {out:?}");
        }
    }
}
