//! Coordinate-wise trimmed mean (Yin et al. 2018, definition 2): per coordinate, drop the f
//! smallest and the f largest values and average the n − 2f that remain.
//!
//! The paper drops a share β of either side that it lets be larger than f/n; `beta` gives one, and
//! ⌊β·n⌋ values are then dropped in the place of f, of rows that count alike.
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
use varangian_base::{Kind, Param};

pub(crate) static ENTRY: RuleEntry = RuleEntry {
    name: "trimmed-mean",
    summary: "coordinate-wise mean without the f smallest and f largest values",
    paper: "Yin, Chen, Ramchandran & Bartlett, Byzantine-Robust Distributed Learning, ICML 2018, arXiv 1803.01498, definition 2",
    differs: &[
        "β is f/n unless beta is given, and then it may not be less",
        "where beta·n is a whole number but for rounding, that many values are dropped; Flower's code drops one fewer",
    ],
    params: &[Param {
        name: "beta",
        kind: Kind::Real { min: 0.0, max: 0.499_999 },
        default: "auto",
        help: "the share of values dropped on either side, at least f/n; auto is f/n",
    }],
    cost: "O(n·d) by selection",
    facts: RuleFacts {
        bound: Bound::majority("Yin et al. 2018"),
        claims: Claims { honest_box: true, ..Claims::COLUMNS },
        weighted: true,
        kappa: Kappa::Exact(|n, f| f as f64 / (n - 2 * f) as f64, "f/(n−2f), the least possible"),
        whole_rows: "",
        ..RuleFacts::RULE
    },
    build: |args| Ok(Box::new(Stage::Rule(Box::new(TrimmedMean { beta: args.real("beta") })))),
};

#[derive(Clone)]
struct TrimmedMean {
    /// `None`: f/n.
    beta: Option<f64>,
}

impl TrimmedMean {
    /// How many of n values are dropped on either side.
    fn dropped(&self, n: usize, f: usize) -> usize {
        self.beta.map_or(f, |beta| {
            let (exact, near) = (beta * n as f64, (beta * n as f64).round());
            let whole = (exact - near).abs() <= 1e-9 * near;
            (if whole { near } else { exact.floor() }) as usize
        })
    }
}

impl Rule for TrimmedMean {
    fn aggregate(&mut self, round: &mut Round<'_>, out: &mut [f32], _: &mut Verdict) {
        if let Some(weights) = round.weights {
            let (cut, _) = shares(weights, round.f);
            return columns::weighted(round.rows, weights, out, |column| {
                trimmed(column, cut) as f32
            });
        }
        columns::trimmed_mean(round.rows, self.dropped(round.rows.n(), round.f), out);
    }

    fn exact(&self, round: &exact::Round<'_>, _: &mut Verdict) -> Result<Vec<f64>, String> {
        if let Some(weights) = round.weights {
            let (cut, _) = shares(weights, round.f);
            let reduce = |column: &[(f64, f64)]| trimmed(column, cut);
            return Ok(exact::by_weighted_column(round.rows, weights, reduce));
        }
        let k = self.dropped(round.n(), round.f);
        Ok(exact::by_column(round.rows, |column| exact::mean(&column[k..column.len() - k])))
    }

    fn departs(&self) -> bool {
        self.beta.is_some()
    }

    fn weighted(&self) -> bool {
        self.beta.is_none()
    }

    fn check(&self, n: usize, f: usize) -> Result<(), String> {
        match (self.beta, self.dropped(n, f)) {
            (Some(beta), k) if k < f => {
                Err(format!("⌊beta·n⌋ ≥ f; beta = {beta} drops {k} on either side"))
            }
            _ => Ok(()),
        }
    }

    fn watches(&self) -> bool {
        true
    }

    fn fork(&self) -> Box<dyn Rule> {
        Box::new(self.clone())
    }
}
