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
use varangian_base::{Args, Kind, Param};

/// Which value is the middle of an even number of values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Middle {
    /// The mean of the two middle values.
    Mean,
    /// The lower of them.
    Lower,
    /// The upper of them.
    Upper,
}

impl Middle {
    /// As a parameter of this name says.
    pub(crate) fn of(args: &Args) -> Middle {
        match args.text(MIDDLE.name) {
            "lower" => Middle::Lower,
            "upper" => Middle::Upper,
            _ => Middle::Mean,
        }
    }
}

/// The parameter that says which it is, for rules around a median.
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
    differs: &[
        "middle = lower and upper answer one of two middle values; the paper, and the default, their mean",
    ],
    params: &[Param {
        kind: Kind::Choice(&["mean", "lower", "upper"]),
        help: "for even n: the mean of the two middle values, the lower one (distributed-momentum's code) or the upper one (a sorted column's value n/2)",
        ..MIDDLE
    }],
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
        whole_rows: "",
        ..RuleFacts::RULE
    },
    build: |args| {
        let middle = Middle::of(args);
        Ok(Box::new(Stage::Rule(Box::new(Median { middle }))))
    },
};

fn kappa(n: usize, f: usize) -> f64 {
    let (n, f) = (n as f64, f as f64);
    if n % 2.0 == 1.0 { (n - 1.0) / (n + 1.0 - 2.0 * f) } else { (n - 2.0) / (n + 2.0 - 2.0 * f) }
}

/// The median of each column, in f64.
pub(crate) fn exact(rows: &[Vec<f64>], which: Middle) -> Vec<f64> {
    exact::by_column(rows, |column| middle(column, which).0)
}

/// The middle of a sorted column as the nearest double and what is left.
pub(crate) fn middle(column: &[f64], which: Middle) -> (f64, f64) {
    let (low, high) = ((column.len() - 1) / 2, column.len() / 2);
    let (low, high) = match which {
        Middle::Mean => (low, high),
        Middle::Lower => (low, low),
        Middle::Upper => (high, high),
    };
    exact::Total::of([column[low], column[high]].into_iter()).over(2.0)
}

#[derive(Clone)]
struct Median {
    middle: Middle,
}

impl Rule for Median {
    fn aggregate(&mut self, round: &mut Round<'_>, out: &mut [f32], _: &mut Verdict) {
        if let Some(weights) = round.weights {
            let middle = self.middle;
            return columns::weighted(round.rows, weights, out, |column| {
                crate::weights::median(column, middle) as f32
            });
        }
        let half = round.rows.n() / 2;
        match self.middle {
            Middle::Mean => columns::median(round.rows, out),
            Middle::Lower => columns::lower_median(round.rows, out),
            Middle::Upper => columns::window_mean(round.rows, half, half + 1, out),
        }
    }

    fn exact(&self, round: &exact::Round<'_>, _: &mut Verdict) -> Result<Vec<f64>, String> {
        let (rows, middle) = (round.rows, self.middle);
        Ok(match round.weights {
            None => exact(rows, middle),
            Some(weights) => exact::by_weighted_column(rows, weights, |column| {
                crate::weights::median(column, middle)
            }),
        })
    }

    fn departs(&self) -> bool {
        self.middle != Middle::Mean
    }

    fn watches(&self) -> bool {
        true
    }

    fn fork(&self) -> Box<dyn Rule> {
        Box::new(self.clone())
    }
}
