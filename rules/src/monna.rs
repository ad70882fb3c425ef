//! MoNNA's nearest-neighbour averaging (Farhadkhani et al. 2023): the mean of the n − f rows
//! nearest to a trusted row, itself among them. Ties go to the lower id.
//!
//! ```
//! # use varangian_base::Matrix;
//! # use varangian_rules::{Round, Verdict, build};
//! let rows = Matrix::from_rows(&[[0.0], [1.0], [2.0], [100.0]]);
//! let mut out = [0.0];
//! build("monna pivot=2", 4, 1).unwrap().aggregate(&mut Round::of(rows.rows(), 1), &mut out, &mut Verdict::default());
//! assert_eq!(out, [1.0]);
//! ```

use crate::margin;
use crate::select::{mean_of, sort_by_key};
use crate::{Bound, Claims, Kappa, Round, Rule, RuleEntry, RuleFacts, Stage, Verdict, exact};
use varangian_base::kernels::distances::Pairs;
use varangian_base::kernels::{combine, norms};
use varangian_base::{Kind, Param};

pub(crate) static ENTRY: RuleEntry = RuleEntry {
    name: "monna",
    summary: "mean of the n − f rows nearest to a trusted worker's row",
    paper: "Farhadkhani, Guerraoui, Gupta, Hoang, Pinot & Stephan, Robust Collaborative Learning with Linear Gradient Overhead, ICML 2023, arXiv 2209.10931, §3",
    differs: &[
        "a rule of the server around one trusted worker; in the paper each worker trusts its own row",
        "where the trusted worker sent nothing, the lowest id present stands in and the verdict says so",
    ],
    params: &[Param {
        name: "pivot",
        kind: Kind::Count { min: 0, max: u32::MAX as usize },
        default: "0",
        help: "the id of the trusted worker, below n",
    }],
    cost: "O(n·d)",
    facts: RuleFacts {
        bound: Bound::majority("a majority; the paper's rate needs a smaller f/n"),
        claims: Claims { translation: true, scale: true, rotation: true, ..Claims::NONE },
        weights: true,
        excluded: "not among the {k} rows nearest to the trusted one",
        kappa: Kappa::Open("none as a rule of the server: it is as good as the trusted row"),
        whole_rows: "",
        ..RuleFacts::RULE
    },
    build: |args| {
        let pivot = args.count("pivot").expect("has a default") as u32;
        Ok(Box::new(Stage::Rule(Box::new(Monna { pivot, ..Monna::default() }))))
    },
};

#[derive(Clone, Default)]
struct Monna {
    pivot: u32,
    trusted: Vec<f32>,
    squared: Vec<f64>,
    order: Vec<usize>,
}

impl Monna {
    /// The row of the trusted worker; where that sent nothing the first, and an event.
    fn find(&self, n: usize, id: impl Fn(usize) -> u32, verdict: &mut Verdict) -> usize {
        (0..n).find(|&i| id(i) == self.pivot).unwrap_or_else(|| {
            let (absent, first) = (self.pivot, id(0));
            verdict.event = Some(format!("worker {absent} is absent; {first} stands in as pivot"));
            0
        })
    }
}

impl Rule for Monna {
    fn aggregate(&mut self, round: &mut Round<'_>, out: &mut [f32], verdict: &mut Verdict) {
        let (rows, n) = (round.rows, round.rows.n());
        let pivot = self.find(n, |i| rows.id(i), verdict);
        let pivot = rows.row(pivot, &mut self.trusted);
        norms::rows_distance2(rows, pivot, &mut self.squared);
        sort_by_key(&self.squared, &mut self.order);
        verdict.selection(n, &self.order[..n - round.f]);
        combine::combine(rows, &verdict.weights, out);
    }

    fn exact(&self, round: &exact::Round<'_>, verdict: &mut Verdict) -> Result<Vec<f64>, String> {
        let n = round.n();
        let pivot = self.find(n, |i| round.ids[i], verdict);
        let order = exact::in_order(&exact::distances2(round.rows, &round.rows[pivot]));
        Ok(verdict.blend(round.rows, &exact::Blend::selection(n, &order[..n - round.f])))
    }

    fn fork(&self) -> Box<dyn Rule> {
        Box::new(self.clone())
    }

    fn margin(&self, f: usize) -> Option<f64> {
        margin::of_nearest(&self.squared, (&self.order, self.squared.len().checked_sub(f)?))
    }

    fn fits(&self, n: usize, _: usize) -> Result<(), String> {
        let pivot = self.pivot;
        ((pivot as usize) < n).then_some(()).ok_or_else(|| format!("pivot < n; pivot = {pivot}"))
    }

    fn weigh(&mut self, squared: &Pairs, f: usize, weights: &mut [f64]) -> bool {
        let n = squared.n();
        let pivot = if (self.pivot as usize) < n { self.pivot as usize } else { 0 };
        sort_by_key(squared.row(pivot), &mut self.order);
        mean_of(&self.order[..n - f], weights);
        true
    }
}
