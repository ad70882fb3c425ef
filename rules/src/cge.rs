//! CGE, comparative gradient elimination (Gupta, Liu & Vaidya 2020): the mean of the n − f rows of
//! least norm. Ties go to the lower id.
//!
//! Short hostile rows always pass: it bounds the length of the answer, not its direction.
//!
//! ```
//! # use varangian_base::Matrix;
//! # use varangian_rules::{Round, Verdict, build};
//! let rows = Matrix::from_rows(&[[0.0], [1.0], [-2.0], [3.0], [100.0]]);
//! let mut out = [0.0];
//! build("cge", 5, 1).unwrap().aggregate(&mut Round::of(rows.rows(), 1), &mut out, &mut Verdict::default());
//! assert_eq!(out, [0.5]);
//! ```

use crate::select::sort_by_key;
use crate::{Bound, Claims, Kappa, Round, Rule, RuleEntry, RuleFacts, Stage, Verdict, exact};
use varangian_base::kernels::{combine, norms};

pub(crate) static ENTRY: RuleEntry = RuleEntry {
    name: "cge",
    summary: "mean of the n − f rows of least norm",
    paper: "Gupta, Liu & Vaidya, Byzantine Fault-Tolerant Distributed Machine Learning Using SGD and Norm-Based Comparative Gradient Elimination, 2020, arXiv 2008.04699, §3",
    differs: &[
        "the mean of the rows kept, not their sum, so that learning rates compare with other rules",
    ],
    params: &[],
    cost: "O(n·d)",
    facts: RuleFacts {
        bound: Bound::majority("Gupta et al. 2020"),
        claims: Claims {
            permutation: true,
            ties: true,
            scale: true,
            rotation: true,
            ..Claims::NONE
        },
        weights: true,
        excluded: "not among the {k} shortest rows",
        kappa: Kappa::Open("none: a hostile row of small norm always gets in"),
        whole_rows: "",
        ..RuleFacts::RULE
    },
    build: |_| Ok(Box::new(Stage::Rule(Box::new(Cge::default())))),
};

#[derive(Clone, Default)]
struct Cge {
    squared: Vec<f64>,
    order: Vec<usize>,
}

impl Rule for Cge {
    fn aggregate(&mut self, round: &mut Round<'_>, out: &mut [f32], verdict: &mut Verdict) {
        let n = round.rows.n();
        norms::rows_norm2(round.rows, &mut self.squared);
        sort_by_key(&self.squared, &mut self.order);
        verdict.selection(n, &self.order[..n - round.f]);
        combine::combine(round.rows, &verdict.weights, out);
    }

    fn exact(&self, round: &exact::Round<'_>, verdict: &mut Verdict) -> Result<Vec<f64>, String> {
        let n = round.n();
        let lengths: Vec<_> = round.rows.iter().map(|row| exact::norm2(row)).collect();
        let kept = &exact::in_order(&lengths)[..n - round.f];
        Ok(verdict.blend(round.rows, &exact::Blend::selection(n, kept)))
    }

    fn fork(&self) -> Box<dyn Rule> {
        Box::new(self.clone())
    }
}
