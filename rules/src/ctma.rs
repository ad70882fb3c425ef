//! CTMA, the centred trimmed meta-aggregator (Dahan & Levy 2024, algorithm 1): after any rule, the
//! mean of the n − f rows nearest to its answer. Ties go to the lower id. With weights, the mean of
//! the nearest rows that hold all weight but F, the last of them in part (ω-CTMA of Dahan & Levy
//! 2025).
//!
//! ```
//! # use varangian_base::Matrix;
//! # use varangian_rules::{Round, Verdict, build};
//! let rows = Matrix::from_rows(&[[0.0], [1.0], [2.0], [3.0], [100.0]]);
//! let mut out = [0.0];
//! build("median | ctma", 5, 1).unwrap().aggregate(&mut Round::of(rows.rows(), 1), &mut out, &mut Verdict::default());
//! assert_eq!(out, [1.5]);
//! ```

use crate::select::sort_by_key;
use crate::weights::{nearest, shares};
use crate::{Bound, Family, Kappa, Post, Round, RuleEntry, RuleFacts, Stage, Verdict, exact};
use varangian_base::kernels::{combine, norms};

pub(crate) static ENTRY: RuleEntry = RuleEntry {
    name: "ctma",
    summary: "mean of the n − f rows nearest to the rule's answer",
    paper: "Dahan & Levy, Fault Tolerant ML: Efficient Meta-Aggregation and Synchronous Training, ICML 2024, arXiv 2405.14759, algorithm 1",
    differs: &[],
    params: &[],
    cost: "O(n·d)",
    facts: RuleFacts {
        family: Family::MetaAggregation,
        bound: Bound::majority("Dahan & Levy 2024"),
        weights: true,
        excluded: "not among the {k} rows nearest to the rule's answer",
        weighted: true,
        kappa: Kappa::Open(
            "the paper's is for another definition, of expectations; it brings any robust rule to O(f/n) (Dahan & Levy 2024)",
        ),
        whole_rows: "",
        ..RuleFacts::RULE
    },
    build: |_| Ok(Box::new(Stage::Post(Box::new(Ctma::default())))),
};

#[derive(Clone, Default)]
struct Ctma {
    squared: Vec<f64>,
    order: Vec<usize>,
}

impl Post for Ctma {
    fn refine(&mut self, round: &mut Round<'_>, out: &mut [f32], verdict: &mut Verdict) {
        let n = round.rows.n();
        norms::rows_distance2(round.rows, out, &mut self.squared);
        sort_by_key(&self.squared, &mut self.order);
        match round.weights {
            None => verdict.selection(n, &self.order[..n - round.f]),
            Some(weights) => {
                let (most, all) = shares(weights, round.f);
                nearest(&self.order, weights, all - most, &mut verdict.weights);
            }
        }
        combine::combine(round.rows, &verdict.weights, out);
    }

    fn exact(
        &self,
        round: &exact::Round<'_>,
        answer: Vec<f64>,
        verdict: &mut Verdict,
    ) -> Result<Vec<f64>, String> {
        let n = round.n();
        let order = exact::in_order(&exact::distances2(round.rows, &answer));
        if let Some(weights) = round.weights {
            let ((most, all), mut parts) = (shares(weights, round.f), Vec::new());
            nearest(&order, weights, all - most, &mut parts);
            return Ok(verdict.blend(round.rows, &exact::Blend::weighted(&parts, 1.0)));
        }
        Ok(verdict.blend(round.rows, &exact::Blend::selection(n, &order[..n - round.f])))
    }

    fn fork(&self) -> Box<dyn Post> {
        Box::new(self.clone())
    }
}
