//! DRACO with the repetition code (Chen, Wang, Charles & Papailiopoulos 2018, §4.1): groups of
//! r ≥ 2f + 1 workers compute the same gradient, the majority of a group is its gradient, and the
//! answer is the mean over the groups. What hostile workers send changes no bit of it.
//!
//! Group g is the workers with ids from g·r to g·r + r − 1. Gradients are the same if their bits
//! are: the workers of a group must draw the same samples (`sampling = "repeated times=R"`), and
//! nothing else by worker, as dropout and augmentation do. A group's gradient is the row that more
//! than f and more than half of its workers sent: one of these is honest. A group without one is
//! left out, and the round's line for the record says so; that happens where rows are missing, or
//! where the workers do not compute the same.
//!
//! It costs r gradients for each that counts: n workers make n/r gradients a step.
//!
//! ```
//! # use varangian_base::Matrix;
//! # use varangian_rules::{Round, Verdict, build};
//! let rows = Matrix::from_rows(&[[1.0], [1.0], [9.0], [3.0], [-7.0], [3.0]]);
//! let mut out = [0.0];
//! build("draco r=3", 6, 1).unwrap().aggregate(&mut Round::of(rows.rows(), 1), &mut out, &mut Verdict::default());
//! assert_eq!(out, [2.0]);
//! ```

use crate::{
    Bound, Claims, Kappa, Redundancy, Round, Rule, RuleEntry, RuleFacts, Stage, Verdict, exact,
};
use varangian_base::kernels::combine;
use varangian_base::{Kind, Param};

pub(crate) static ENTRY: RuleEntry = RuleEntry {
    name: "draco",
    summary: "mean over groups of r workers of the gradient that a group's majority sent",
    paper: "Chen, Wang, Charles & Papailiopoulos, DRACO: Byzantine-resilient Distributed Training via Redundant Gradients, ICML 2018, arXiv 1803.09877, §4.1 (repetition code)",
    differs: &[],
    params: &[Param {
        name: "r",
        kind: Kind::Count { min: 1, max: 1_000_000 },
        default: "auto",
        help: "workers of a group, at least 2f + 1; auto is 2f + 1 of the round, which falls where a row is refused: give r where that can be",
    }],
    cost: "O(n·r·d), and r gradients for each that counts",
    facts: RuleFacts {
        bound: Bound::majority("Chen et al. 2018, theorem 1: r ≥ 2f + 1"),
        claims: Claims { scale: true, ..Claims::NONE },
        weights: true,
        excluded: "not what the majority of its group sent",
        kappa: Kappa::Open(
            "none: no function of rows that differ; the answer is exact where workers repeat each other",
        ),
        whole_rows: "it asks whether whole rows are equal",
        ..RuleFacts::RULE
    },
    build: |args| {
        let r = args.count("r");
        Ok(Box::new(Stage::Rule(Box::new(Draco::of(r)))))
    },
};

#[derive(Clone, Default)]
pub(crate) struct Draco {
    pub(crate) r: Option<usize>,
    /// The first row like each row.
    pub(crate) like: Vec<usize>,
    copies: Vec<usize>,
    /// The row that stands for each group with a majority.
    pub(crate) chosen: Vec<usize>,
    weights: Vec<f64>,
    rooms: [Vec<f32>; 2],
}

impl Draco {
    /// For groups of r workers.
    pub(crate) fn of(r: Option<usize>) -> Draco {
        Draco { r, ..Draco::default() }
    }

    /// Chooses a row for each group; answers how many groups have none.
    pub(crate) fn choose(
        &mut self,
        (n, f): (usize, usize),
        id: impl Fn(usize) -> u32,
        mut equal: impl FnMut(usize, usize) -> bool,
    ) -> usize {
        let r = self.r.unwrap_or(2 * f + 1);
        let group = |i: usize| id(i) as usize / r;
        self.like.clear();
        self.copies.clear();
        self.copies.resize(n, 0);
        for i in 0..n {
            let twin = (0..i).rev().take_while(|&j| group(j) == group(i));
            let twin = twin.filter(|&j| self.like[j] == j).find(|&j| equal(i, j));
            self.like.push(twin.unwrap_or(i));
            self.copies[self.like[i]] += 1;
        }
        self.chosen.clear();
        // Ids ascend: a group's rows stand together. More than half of them are one row at most.
        let (mut from, mut groups) = (0, 0);
        while from < n {
            let size = (from..n).take_while(|&i| group(i) == group(from)).count();
            let agreed = |&i: &usize| self.copies[i] > f && 2 * self.copies[i] > size;
            self.chosen.extend((from..from + size).find(agreed));
            (from, groups) = (from + size, groups + 1);
        }
        groups - self.chosen.len()
    }

    /// The weights of the rows: a group's is shared by the rows that are its gradient.
    fn told(&self, weights: &mut Vec<f64>) {
        let groups = self.chosen.len() as f64;
        let weight = |&like: &usize| match self.chosen.binary_search(&like) {
            Ok(_) => 1.0 / (groups * self.copies[like] as f64),
            Err(_) => 0.0,
        };
        weights.extend(self.like.iter().map(weight));
    }
}

fn lost(groups: usize) -> Option<String> {
    (groups > 0).then(|| format!("{groups} groups without a majority were left out"))
}

impl Rule for Draco {
    fn aggregate(&mut self, round: &mut Round<'_>, out: &mut [f32], verdict: &mut Verdict) {
        let (rows, n) = (round.rows, round.rows.n());
        let [mut one, mut other] = std::mem::take(&mut self.rooms);
        let bits = |a: &f32, b: &f32| a.to_bits() == b.to_bits();
        let equal = |i: usize, j: usize| {
            let (a, b) = (rows.row(i, &mut one), rows.row(j, &mut other));
            a.iter().zip(b).all(|(a, b)| bits(a, b))
        };
        let without = self.choose((n, round.f), |i| rows.id(i), equal);
        self.rooms = [one, other];
        self.weights.clear();
        self.weights.resize(n, 0.0);
        let groups = self.chosen.len() as f64;
        self.chosen.iter().for_each(|&i| self.weights[i] = 1.0 / groups);
        combine::combine(rows, &self.weights, out);
        self.told(&mut verdict.weights);
        verdict.event = lost(without);
    }

    fn exact(&self, round: &exact::Round<'_>, verdict: &mut Verdict) -> Result<Vec<f64>, String> {
        let (rows, n) = (round.rows, round.n());
        let equal = |i: usize, j: usize| {
            rows[i].iter().zip(&rows[j]).all(|(a, b)| a.to_bits() == b.to_bits())
        };
        let mut draco = self.clone();
        let without = draco.choose((n, round.f), |i| round.ids[i], equal);
        verdict.event = lost(without);
        draco.told(&mut verdict.weights);
        match draco.chosen.is_empty() {
            true => Ok(vec![0.0; round.d()]),
            false => Ok(exact::Blend::selection(n, &draco.chosen).of(rows)),
        }
    }

    fn knows_workers(&self) -> bool {
        true
    }

    fn redundancy(&self, f: usize) -> Option<Redundancy> {
        Some(Redundancy {
            times: self.r.unwrap_or(2 * f + 1),
            given: self.r.is_some(),
            chance: None,
            coded: false,
        })
    }

    fn check(&self, _: usize, f: usize) -> Result<(), String> {
        let enough = self.r.is_none_or(|r| r > 2 * f);
        enough.then_some(()).ok_or_else(|| format!("r ≥ 2f + 1; r = {}", self.r.unwrap_or(0)))
    }

    fn fits(&self, n: usize, f: usize) -> Result<(), String> {
        let r = self.r.unwrap_or(2 * f + 1);
        (r <= n).then_some(()).ok_or_else(|| format!("r ≤ n; r = {r}"))
    }

    fn fork(&self) -> Box<dyn Rule> {
        Box::new(self.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::build;
    use varangian_base::Matrix;

    #[test]
    fn whatever_f_workers_send_the_bits_are_those_without_them() {
        let honest = crate::conformance::families::random(4, 50, 2);
        let send = |bad: &[(usize, f32)]| {
            let mut rows = Matrix::zeros(20, 50);
            (0..20).for_each(|i| rows.row_mut(i).copy_from_slice(honest.row(i / 5)));
            bad.iter().for_each(|&(i, x)| rows.row_mut(i).fill(x));
            let (mut out, mut verdict) = ([0.0; 50], Verdict::default());
            let mut rule = build("draco r=5", 20, 2).unwrap();
            rule.aggregate(&mut Round::of(rows.rows(), 2), &mut out, &mut verdict);
            (out.map(f32::to_bits), verdict)
        };
        let (clean, _) = send(&[]);
        for bad in [[(0, 3e38), (1, 3e38)], [(7, 0.0), (13, -1.0)], [(19, 1e-40), (15, 1e-40)]] {
            let (bits, verdict) = send(&bad);
            assert_eq!(bits, clean);
            assert!(bad.iter().all(|&(i, _)| verdict.weights[i] == 0.0) && verdict.event.is_none());
            assert!((verdict.weights.iter().sum::<f64>() - 1.0).abs() < 1e-12);
        }
    }

    #[test]
    fn a_group_without_a_majority_is_left_out_and_told() {
        let rows = Matrix::from_rows(&[[1.0f32], [2.0], [3.0], [8.0], [8.0], [0.0]]);
        let (mut out, mut verdict) = ([0.0], Verdict::default());
        let mut rule = build("draco", 6, 1).unwrap();
        rule.aggregate(&mut Round::of(rows.rows(), 1), &mut out, &mut verdict);
        assert_eq!(out, [8.0]);
        assert_eq!(verdict.event.as_deref(), Some("1 groups without a majority were left out"));
        assert!(build("draco r=3", 9, 2).is_err() && build("nnm | draco", 9, 1).is_ok());
    }
}
