//! FoundationFL's synthetic rows (Fang et al. 2025, §V): before a rule, m copies of the
//! row that is farthest from both the largest and the smallest value of every coordinate.
//!
//! A row's score is the lesser of its distances to the vector of the columns' maxima and to that of
//! their minima; the row of the greatest score is copied m times. Ties go to the lower id. The
//! paper puts a trimmed mean or a median behind it.
//!
//! The copies are one worker's: where that is hostile, f + m of n + m rows are, and no bound holds.
//! What follows is told f all the same, as in the paper.
//!
//! ```
//! # use varangian_base::Matrix;
//! # use varangian_rules::{Round, Verdict, build};
//! let rows = Matrix::from_rows(&[[0.0], [2.0], [3.0], [4.0], [9.0]]);
//! let (mut out, mut verdict) = ([0.0], Verdict::default());
//! let mut rule = build("foundation m=5 | average", 5, 1).unwrap();
//! rule.aggregate(&mut Round::of(rows.rows(), 1), &mut out, &mut verdict);
//! assert_eq!(out, [3.8]); // (18 + 5·4) / 10: 4 is farthest from 0 and 9
//! ```

use crate::{Bound, Family, Kappa, Mixing, Pre, Round, RuleEntry, RuleFacts, Stage, exact};
use varangian_base::kernels::{columns, norms};
use varangian_base::{Kind, Param};

pub(crate) static ENTRY: RuleEntry = RuleEntry {
    name: "foundation",
    summary: "adds m copies of the row that is farthest from the columns' extremes",
    paper: "Fang, Nabavirazavi, Liu, Sun, Iyengar & Yang, Do We Really Need to Design New Byzantine-robust Aggregation Rules?, NDSS 2025, arXiv 2501.17381, §V",
    differs: &["m = auto is ⌊n/2⌋, as remembered of the paper's experiments"],
    params: &[Param {
        name: "m",
        kind: Kind::Count { min: 1, max: 1_000_000 },
        default: "auto",
        help: "copies; auto is half the number of rows",
    }],
    cost: "O(n·log²n·d)",
    facts: RuleFacts {
        family: Family::PreAggregation,
        bound: Bound::majority("Fang et al. 2025"),
        weights: true,
        kappa: Kappa::Open("none: a hostile row that is chosen is copied m times"),
        whole_rows: "",
        ..RuleFacts::RULE
    },
    build: |args| {
        let m = args.count("m");
        Ok(Box::new(Stage::Pre(Box::new(Foundation { m, ..Foundation::default() }))))
    },
};

#[derive(Clone, Default)]
struct Foundation {
    m: Option<usize>,
    extreme: Vec<f32>,
    above: Vec<f64>,
    below: Vec<f64>,
}

impl Foundation {
    fn copies(&self, n: usize) -> usize {
        self.m.unwrap_or(n / 2)
    }
}

impl Pre for Foundation {
    fn mix(&mut self, round: &mut Round<'_>, mixing: &mut Mixing) {
        let (rows, n) = (round.rows, round.rows.n());
        self.extreme.resize(rows.d(), 0.0);
        columns::window_mean(rows, n - 1, n, &mut self.extreme);
        norms::rows_distance2(rows, &self.extreme, &mut self.above);
        columns::window_mean(rows, 0, 1, &mut self.extreme);
        norms::rows_distance2(rows, &self.extreme, &mut self.below);
        let score = |i: usize| self.above[i].min(self.below[i]);
        // The last of equal maxima is the first from behind.
        let chosen = (0..n).rev().max_by(|&a, &b| score(a).total_cmp(&score(b))).unwrap_or(0);
        let m = self.copies(n);
        mixing.resize(n + m, n);
        (0..n).for_each(|i| mixing.coefficients[i * n + i] = 1.0);
        (n..n + m).for_each(|i| mixing.coefficients[i * n + chosen] = 1.0);
    }

    fn shape(&self, n: usize, f: usize) -> (usize, usize) {
        (n.saturating_add(self.copies(n)), f)
    }

    fn keeps_workers(&self) -> bool {
        false
    }

    fn exact(&self, round: &exact::Round<'_>) -> Result<Vec<exact::Blend>, String> {
        let n = round.n();
        let above = exact::by_column(round.rows, |column| column[n - 1]);
        let below = exact::by_column(round.rows, |column| column[0]);
        let [above, below] = [above, below].map(|extreme| exact::distances2(round.rows, &extreme));
        let score = |&i: &usize| above[i].min(below[i]);
        let chosen = (0..n).rev().max_by_key(score).unwrap_or(0);
        let all = (0..n).chain(std::iter::repeat_n(chosen, self.copies(n)));
        Ok(all.map(|i| exact::Blend::selection(n, &[i])).collect())
    }

    fn fork(&self) -> Box<dyn Pre> {
        Box::new(self.clone())
    }
}
