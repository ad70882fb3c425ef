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

use crate::median::MIDDLE;
use crate::{Bound, Claims, Kappa, Round, Rule, RuleEntry, RuleFacts, Stage, Verdict};
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
        let centre = Centre::Median { lower: args.text("middle") == "lower" };
        Ok(Box::new(Stage::Rule(Box::new(Around { centre }))))
    },
};

const FACTS: RuleFacts = RuleFacts {
    bound: Bound::majority("Xie et al. 2018"),
    claims: Claims::COLUMNS,
    kappa: Kappa::Open("none known; at n = 11, f = 3 a search finds 2.4 (phocas) and 3.0 (meamed)"),
    ..RuleFacts::RULE
};

#[derive(Clone, Copy)]
enum Centre {
    TrimmedMean,
    Median { lower: bool },
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
            Centre::Median { lower: false } => columns::Centre::Median,
            Centre::Median { lower: true } => columns::Centre::LowerMedian,
        };
        columns::mean_around(round.rows, centre, n - f, out);
    }

    fn fork(&self) -> Box<dyn Rule> {
        Box::new(self.clone())
    }
}

/// The mean of the `keep` values of each column that are nearest to `centre`, by sorting all.
#[cfg(test)]
pub(crate) fn reference(rows: &[Vec<f64>], keep: usize, centre: &[f64]) -> Vec<f64> {
    let column = |k: usize| {
        let mut column: Vec<f64> = rows.iter().map(|x| x[k]).collect();
        column.sort_by(f64::total_cmp);
        column.sort_by(|a, b| (a - centre[k]).abs().total_cmp(&(b - centre[k]).abs()));
        column[..keep].iter().sum::<f64>() / keep as f64
    };
    (0..centre.len()).map(column).collect()
}
