//! Coordinate-wise median (Yin et al. 2018, definition 1): each coordinate's middle value, the mean
//! of the two middle values where n is even.
//!
//! Order is `f32::total_cmp` (−0 before +0), so ties need no rule.
//!
//! ```
//! # use varangian_base::Matrix;
//! # use varangian_rules::{Round, Verdict, build};
//! let rows = Matrix::from_rows(&[[1.0], [2.0], [3.0], [10.0]]);
//! let mut out = [0.0];
//! build("median", 4, 1).unwrap().aggregate(&mut Round::of(rows.rows(), 1), &mut out, &mut Verdict::default());
//! assert_eq!(out, [2.5]);
//! build("median middle=lower", 4, 1).unwrap().aggregate(&mut Round::of(rows.rows(), 1), &mut out, &mut Verdict::default());
//! assert_eq!(out, [2.0]);
//! ```

use crate::{Bound, Claims, Kappa, Round, Rule, RuleEntry, RuleFacts, Stage, Verdict, exact};
use varangian_base::kernels::columns;
use varangian_base::{Kind, Param};

/// Which value is the middle of an even number of values.
pub(crate) const MIDDLE: Param = Param {
    name: "middle",
    kind: Kind::Choice(&["mean", "lower"]),
    default: "mean",
    help: "for even n: the mean of the two middle values, or the lower one (distributed-momentum's code)",
};

pub(crate) static ENTRY: RuleEntry = RuleEntry {
    name: "median",
    summary: "coordinate-wise median",
    paper: "Yin, Chen, Ramchandran & Bartlett, Byzantine-Robust Distributed Learning, ICML 2018, arXiv 1803.01498, definition 1",
    differs: &[],
    params: &[MIDDLE],
    cost: "O(n·d) by selection",
    facts: RuleFacts {
        bound: Bound::majority("Yin et al. 2018"),
        claims: Claims { honest_box: true, ..Claims::COLUMNS },
        weighted: true,
        kappa: Kappa::Exact(kappa, "(n−1)/(n+1−2f) for odd n, (n−2)/(n+2−2f) for even n"),
        variance_norm: Some((
            |n, f| 1.0 / ((n - f) as f64).sqrt(),
            "1/√(n−f) (El-Mhamdi, Guerraoui & Rouault 2021)",
        )),
        ..RuleFacts::RULE
    },
    build: |args| {
        let lower = args.text("middle") == "lower";
        Ok(Box::new(Stage::Rule(Box::new(Median { lower }))))
    },
};

fn kappa(n: usize, f: usize) -> f64 {
    let (n, f) = (n as f64, f as f64);
    if n % 2.0 == 1.0 { (n - 1.0) / (n + 1.0 - 2.0 * f) } else { (n - 2.0) / (n + 2.0 - 2.0 * f) }
}

/// The median of each column, in f64.
pub(crate) fn exact(rows: &[Vec<f64>], lower: bool) -> Vec<f64> {
    exact::by_column(rows, |column| middle(column, lower).0)
}

/// The middle of a sorted column as the nearest double and what is left.
pub(crate) fn middle(column: &[f64], lower: bool) -> (f64, f64) {
    let n = column.len();
    let upper = if lower { (n - 1) / 2 } else { n / 2 };
    exact::Total::of([column[(n - 1) / 2], column[upper]].into_iter()).over(2.0)
}

#[derive(Clone)]
struct Median {
    lower: bool,
}

impl Rule for Median {
    fn aggregate(&mut self, round: &mut Round<'_>, out: &mut [f32], _: &mut Verdict) {
        if let Some(weights) = round.weights {
            let lower = self.lower;
            return columns::weighted(round.rows, weights, out, |column| {
                crate::weights::median(column, lower) as f32
            });
        }
        match self.lower {
            false => columns::median(round.rows, out),
            true => columns::lower_median(round.rows, out),
        }
    }

    fn exact(&self, round: &exact::Round<'_>, _: &mut Verdict) -> Result<Vec<f64>, String> {
        let (rows, lower) = (round.rows, self.lower);
        Ok(match round.weights {
            None => exact(rows, lower),
            Some(weights) => exact::by_weighted_column(rows, weights, |column| {
                crate::weights::median(column, lower)
            }),
        })
    }

    fn fork(&self) -> Box<dyn Rule> {
        Box::new(self.clone())
    }
}
