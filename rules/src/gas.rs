//! GAS, gradient splitting (Liu et al. 2023, algorithm 1): the coordinates are dealt at random into
//! p groups, a robust rule answers each, and a row's score is the sum over the groups of its
//! distance to that answer; the mean of the n − f rows of least score. Ties go to the lower id.
//!
//! In many dimensions the spread of honest rows hides a change that is large in a few of them; in a
//! group of d/p coordinates it does not.
//!
//! ```
//! # use varangian_base::Matrix;
//! # use varangian_rules::{Round, Verdict, build};
//! let rows = Matrix::from_rows(&[[0.0, 1.0], [1.0, 0.0], [2.0, 2.0], [1.0, 1.0], [1.0, -30.0]]);
//! let mut out = [0.0; 2];
//! build("gas", 5, 1).unwrap().aggregate(&mut Round::of(rows.rows(), 1), &mut out, &mut Verdict::default());
//! assert_eq!(out, [1.0, 1.0]);
//! ```

use crate::select::sort_by_key;
use crate::{
    Bound, Claims, Kappa, Pipeline, Round, Rule, RuleEntry, RuleFacts, Stage, Verdict, exact,
};
use varangian_base::kernels::{combine, norms};
use varangian_base::{Domain, Kind, Matrix, Param, Seed, lanes};

pub(crate) static ENTRY: RuleEntry = RuleEntry {
    name: "gas",
    summary: "mean of the n − f rows that are nearest to a robust rule's answers over random groups of coordinates",
    paper: "Liu, Chen, Lyu, Wu, Wu & Chen, Byzantine-Robust Learning on Heterogeneous Data via Gradient Splitting, ICML 2023, arXiv 2302.06079, algorithm 1",
    differs: &[],
    params: &[
        Param {
            name: "p",
            kind: Kind::Count { min: 1, max: usize::MAX },
            default: "1000",
            help: "groups of coordinates, at most d of them",
        },
        Param {
            name: "base",
            kind: Kind::Choice(&["median", "trimmed-mean", "krum", "multi-krum", "bulyan", "rfa"]),
            default: "median",
            help: "the rule that answers each group",
        },
    ],
    cost: "O(n·d), and the base rule once a group",
    facts: RuleFacts {
        bound: Bound::majority("that of the base rule"),
        claims: CLAIMS,
        // Smoothing in rfa is of a fixed length.
        variants: &[("base=rfa", Claims { scale: false, ..CLAIMS })],
        weights: true,
        excluded: "not among the {k} rows nearest to the groups' answers",
        kappa: Kappa::Open(
            "none for random groups; the paper's is the base rule's in a group, times a constant",
        ),
        whole_rows: "it deals out the coordinates of whole rows",
        ..RuleFacts::RULE
    },
    build: |args| {
        let (p, base) = (args.count("p").expect("has a default"), args.text("base"));
        let base = Pipeline::parse(base)?;
        let (order, group, answer, squared, scores, ranks) = Default::default();
        let rule = Gas { p, base, order, group, answer, squared, scores, ranks };
        Ok(Box::new(Stage::Rule(Box::new(rule))))
    },
};

/// Groups of coordinates do not turn with the rows.
const CLAIMS: Claims = Claims { rotation: false, ..Claims::GEOMETRIC };

struct Gas {
    p: usize,
    base: Pipeline,
    order: Vec<u32>,
    group: Matrix,
    answer: Vec<f32>,
    squared: Vec<f64>,
    scores: Vec<f64>,
    ranks: Vec<usize>,
}

/// Deals d coordinates out: group g holds those at the places from g·d/p to (g + 1)·d/p.
fn deal(order: &mut Vec<u32>, d: usize, seed: Seed, (step, stage): (u64, u64)) {
    order.clear();
    order.extend(0..d as u32);
    seed.lane(Domain::Rule, lanes::rule::GROUPS, step, stage).shuffle(order);
}

/// The places of each of p groups of d coordinates.
fn groups(p: usize, d: usize) -> impl Iterator<Item = std::ops::Range<usize>> {
    let p = p.min(d);
    let end = move |g: usize| (g as u128 * d as u128 / p as u128) as usize;
    (0..p).map(move |g| end(g)..end(g + 1))
}

impl Rule for Gas {
    fn aggregate(&mut self, round: &mut Round<'_>, out: &mut [f32], verdict: &mut Verdict) {
        let (n, d, sent) = (round.rows.n(), round.rows.d(), round.rows.sent());
        deal(&mut self.order, d, round.seed, (round.step, round.stage));
        self.scores.clear();
        self.scores.resize(n, 0.0);
        for places in groups(self.p, d) {
            let columns = &self.order[places];
            self.group.resize(sent.n(), columns.len());
            for i in 0..sent.n() {
                let (row, part) = (sent.row(i), self.group.row_mut(i));
                part.iter_mut().zip(columns).for_each(|(x, &k)| *x = row[k as usize]);
            }
            let rows = round.rows.of(self.group.rows());
            self.answer.resize(columns.len(), 0.0);
            let mut part = Round { rows, params: &[], oracle: None, weights: None, ..*round };
            self.base.aggregate(&mut part, &mut self.answer, verdict);
            norms::rows_distance2(rows, &self.answer, &mut self.squared);
            self.scores.iter_mut().zip(&self.squared).for_each(|(sum, s)| *sum += s.sqrt());
        }
        sort_by_key(&self.scores, &mut self.ranks);
        verdict.clear();
        verdict.selection(n, &self.ranks[..n - round.f]);
        combine::combine(round.rows, &verdict.weights, out);
    }

    fn exact(&self, round: &exact::Round<'_>, verdict: &mut Verdict) -> Result<Vec<f64>, String> {
        let (n, d) = (round.n(), round.d());
        let mut order = Vec::new();
        deal(&mut order, d, round.seed, (round.step, round.stage));
        let mut scores = vec![Vec::new(); n];
        for places in groups(self.p, d) {
            let part = |row: &Vec<f64>| -> Vec<f64> {
                order[places.clone()].iter().map(|&k| row[k as usize]).collect()
            };
            let rows: Vec<Vec<f64>> = round.rows.iter().map(part).collect();
            let group = exact::Round { rows: &rows, weights: None, ..*round };
            let answer = self.base.exact(&group, &mut Verdict::default());
            let answer = answer.map_err(|error| error.to_string())?;
            let far = exact::distances2(&rows, &answer);
            scores.iter_mut().zip(far).for_each(|(all, s): (&mut Vec<_>, _)| all.push(s.sqrt()));
        }
        let scores: Vec<_> = scores.into_iter().map(exact::total).collect();
        let kept = &exact::in_order(&scores)[..n - round.f];
        Ok(verdict.blend(round.rows, &exact::Blend::selection(n, kept)))
    }

    fn bound(&self) -> Option<Bound> {
        Some(self.base.entry().facts.bound)
    }

    fn check(&self, n: usize, f: usize) -> Result<(), String> {
        self.base.check(n, f).map_err(|error| error.to_string())
    }

    fn fork(&self) -> Box<dyn Rule> {
        let (order, group, answer, squared, scores, ranks) = Default::default();
        let base = self.base.fork();
        Box::new(Gas { p: self.p, base, order, group, answer, squared, scores, ranks })
    }
}
