//! Nearest-neighbour mixing (Allouah et al. 2023, algorithm 2): each row becomes the mean of the n
//! − f rows nearest to it, itself among them. Ties go to the lower id.
//!
//! ```
//! # use varangian_base::Matrix;
//! # use varangian_rules::{Round, Verdict, build};
//! let rows = Matrix::from_rows(&[[0.0], [2.0], [4.0], [100.0]]);
//! let (mut out, mut verdict) = ([0.0], Verdict::default());
//! build("nnm | average", 4, 1).unwrap().aggregate(&mut Round::of(rows.rows(), 1), &mut out, &mut verdict);
//! assert_eq!(out, [10.333333]); // (2 + 2 + 2 + 106/3) / 4
//! ```

use crate::select::{mean_of, sort_by_key};
use crate::{Bound, Family, Kappa, Mixing, Pre, Round, RuleEntry, RuleFacts, Stage, exact};
use varangian_base::kernels::distances::Pairs;

pub(crate) static ENTRY: RuleEntry = RuleEntry {
    name: "nnm",
    summary: "each row becomes the mean of the n − f rows nearest to it",
    paper: "Allouah, Farhadkhani, Guerraoui, Gupta, Pinot & Stephan, Fixing by Mixing, AISTATS 2023, arXiv 2302.01772, algorithm 2",
    differs: &[],
    params: &[],
    cost: "O(n²·d)",
    facts: RuleFacts {
        family: Family::PreAggregation,
        bound: Bound::majority("Allouah et al. 2023"),
        weights: true,
        excluded: "in none of the mixed rows that were taken",
        kappa: Kappa::Through(
            |n, f, kappa| 8.0 * f as f64 / (n - f) as f64 * (kappa + 1.0),
            "8f/(n−f)·(κ + 1) (Allouah et al. 2023)",
        ),
        whole_rows: "",
        ..RuleFacts::RULE
    },
    build: |_| Ok(Box::new(Stage::Pre(Box::new(Nnm::default())))),
};

#[derive(Clone, Default)]
struct Nnm {
    pairs: Pairs,
    order: Vec<usize>,
}

impl Pre for Nnm {
    fn mix(&mut self, round: &mut Round<'_>, mixing: &mut Mixing) {
        let (n, keep) = (round.rows.n(), round.rows.n() - round.f);
        self.pairs.squared_distances(round.rows);
        mixing.resize(n, n);
        for (i, weights) in mixing.coefficients.chunks_mut(n).enumerate() {
            sort_by_key(self.pairs.row(i), &mut self.order);
            mean_of(&self.order[..keep], weights);
        }
    }

    fn watches(&self) -> bool {
        true
    }

    fn exact(&self, round: &exact::Round<'_>) -> Result<Vec<exact::Blend>, String> {
        let (n, keep) = (round.n(), round.n() - round.f);
        let nearest =
            |far: &Vec<exact::Wide>| exact::Blend::selection(n, &exact::in_order(far)[..keep]);
        Ok(exact::pairs(round.rows).iter().map(nearest).collect())
    }

    fn fork(&self) -> Box<dyn Pre> {
        Box::new(self.clone())
    }
}
