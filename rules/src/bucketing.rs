//! Bucketing (Karimireddy, He & Jaggi 2022, algorithm 1): a random permutation cuts the n rows into
//! ⌈n/s⌉ buckets of s, the last one maybe smaller; each bucket becomes its mean.
//!
//! A hostile row spoils at most its bucket, so f rows go on as f, of fewer: s·f/n must stay below
//! the next rule's limit.
//!
//! ```
//! # use varangian_base::Matrix;
//! # use varangian_rules::{Round, Verdict, build};
//! let rows = Matrix::from_rows(&[[0.0], [2.0], [4.0], [6.0], [100.0]]);
//! let (mut out, mut verdict) = ([0.0], Verdict::default());
//! build("bucketing s=2 order=given | median", 5, 1).unwrap().aggregate(&mut Round::of(rows.rows(), 1), &mut out, &mut verdict);
//! assert_eq!(out, [5.0]); // the median of 1, 5, 100
//! ```

use crate::{Bound, Family, Kappa, Mixing, Pre, Round, RuleEntry, RuleFacts, Stage, exact};
use varangian_base::{Domain, Kind, Param, Seed, lanes};

pub(crate) static ENTRY: RuleEntry = RuleEntry {
    name: "bucketing",
    summary: "means of random buckets of s rows",
    paper: "Karimireddy, He & Jaggi, Byzantine-Robust Learning on Heterogeneous Datasets via Bucketing, ICLR 2022, arXiv 2006.09365, algorithm 1",
    differs: &[],
    params: &[
        Param {
            name: "s",
            kind: Kind::Count { min: 1, max: usize::MAX },
            default: "2",
            help: "rows in a bucket, at most n",
        },
        Param {
            name: "order",
            kind: Kind::Choice(&["random", "given"]),
            default: "random",
            help: "the rows' order before they are cut: a fresh permutation each step, or by worker id",
        },
    ],
    cost: "O(n·d)",
    facts: RuleFacts {
        family: Family::PreAggregation,
        bound: Bound::ANY,
        weights: true,
        excluded: "in none of the buckets that were taken",
        kappa: Kappa::Open(
            "none for a random permutation; the spread that the next rule sees falls by s, and s·f/n takes the place of f/n",
        ),
        whole_rows: "",
        ..RuleFacts::RULE
    },
    build: |args| {
        let s = args.count("s").expect("has a default");
        let random = args.text("order") == "random";
        Ok(Box::new(Stage::Pre(Box::new(Bucketing { s, random, order: Vec::new() }))))
    },
};

#[derive(Clone)]
struct Bucketing {
    s: usize,
    random: bool,
    order: Vec<usize>,
}

impl Bucketing {
    /// Sets the order in which n rows are cut.
    fn arrange(&mut self, n: usize, seed: Seed, (step, stage): (u64, u64)) {
        self.order.clear();
        self.order.extend(0..n);
        if self.random {
            let mut stream = seed.lane(Domain::Rule, lanes::rule::BUCKETS, step, stage);
            stream.shuffle(&mut self.order);
        }
    }
}

impl Pre for Bucketing {
    fn mix(&mut self, round: &mut Round<'_>, mixing: &mut Mixing) {
        let n = round.rows.n();
        self.arrange(n, round.seed, (round.step, round.stage));
        mixing.resize(n.div_ceil(self.s), n);
        let weights = mixing.coefficients.chunks_mut(n);
        for (bucket, weights) in self.order.chunks(self.s).zip(weights) {
            crate::select::mean_of(bucket, weights);
        }
    }

    fn shape(&self, n: usize, f: usize) -> (usize, usize) {
        let m = n.div_ceil(self.s);
        (m, f.min(m))
    }

    fn fits(&self, n: usize, _: usize) -> Result<(), String> {
        (self.s <= n).then_some(()).ok_or_else(|| format!("s ≤ n; s = {}", self.s))
    }

    fn keeps_workers(&self) -> bool {
        false
    }

    fn exact(&self, round: &exact::Round<'_>) -> Result<Vec<exact::Blend>, String> {
        let (n, mut cut) = (round.n(), self.clone());
        cut.arrange(n, round.seed, (round.step, round.stage));
        let bucket = |rows: &[usize]| exact::Blend::selection(n, rows);
        Ok(cut.order.chunks(self.s).map(bucket).collect())
    }

    fn fork(&self) -> Box<dyn Pre> {
        Box::new(self.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Pipeline, Verdict};
    use varangian_base::Matrix;

    #[test]
    fn two_bucketings_of_one_pipeline_draw_apart_and_the_first_where_it_always_did() {
        let mut cut = Bucketing { s: 2, random: true, order: Vec::new() };
        let mut order = |stage: u64| {
            cut.arrange(20, Seed(3), (5, stage));
            cut.order.clone()
        };
        assert_ne!(order(0), order(1));
        let mut first: Vec<usize> = (0..20).collect();
        Seed(3).stream(Domain::Rule, 0, 5).shuffle(&mut first);
        assert_eq!(order(0), first);
        // Sixteen rows in fours of pairs: one shuffle of rows, another of pairs.
        let rows: Vec<[f32; 1]> = (0..16).map(|i| [(1u32 << i) as f32]).collect();
        let rows = Matrix::from_rows(&rows);
        let answer = |text: &str| {
            let mut rule = Pipeline::parse(text).unwrap();
            let (mut out, mut verdict) = ([0.0], Verdict::default());
            let mut round = Round { seed: Seed(3), step: 5, ..Round::of(rows.rows(), 0) };
            rule.aggregate(&mut round, &mut out, &mut verdict);
            let exact = {
                let rows: Vec<Vec<f64>> = (0..16).map(|i| vec![f64::from(1u32 << i)]).collect();
                let ids: Vec<u32> = (0..16).collect();
                let round = exact::Round {
                    rows: &rows,
                    ids: &ids,
                    f: 0,
                    weights: None,
                    step: 5,
                    seed: Seed(3),
                    stage: 0,
                };
                rule.exact(&round, &mut Verdict::default()).unwrap()[0]
            };
            assert_eq!(f64::from(out[0]), exact, "{text}");
            out[0]
        };
        answer("bucketing s=2 | bucketing s=2 | median");
    }
}
