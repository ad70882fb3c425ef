//! Exclusion by norm: rows that are far longer than the others are left out.
//!
//! A row is too long where its norm is above c, by default three times the median norm (of even n
//! the lower one), the upper end of SignGuard's band (Xu et al. 2022, §IV). The longest of these
//! rows are left out, at most f of them, of equal ones that of the lower id; each counts as one of
//! the f hostile rows, so that n and f fall alike and every bound still holds.
//!
//! ```
//! # use varangian_base::Matrix;
//! # use varangian_rules::{Round, Verdict, build};
//! let rows = Matrix::from_rows(&[[1.0], [2.0], [3.0], [4.0], [90.0]]);
//! let mut out = [0.0];
//! let mut rule = build("exclusion | average", 5, 1).unwrap();
//! rule.aggregate(&mut Round::of(rows.rows(), 1), &mut out, &mut Verdict::default());
//! assert_eq!(out, [2.5]); // 90 is above 3·3
//! ```

use crate::{Family, Kappa, Mixing, Pre, Round, RuleEntry, RuleFacts, Stage, exact};
use std::cmp::Ordering;
use varangian_base::kernels::norms;
use varangian_base::{Kind, Param};

pub(crate) static ENTRY: RuleEntry = RuleEntry {
    name: "exclusion",
    summary: "rows longer than c are left out, at most f of them, the longest first",
    paper: "Xu, Huang, Song & Lan, Byzantine-robust Federated Learning through Collaborative Malicious Gradient Filtering, ICDCS 2022, arXiv 2109.05872, §IV (the norm filter)",
    differs: &[
        "nothing but the upper end of the band of norms, without the clusters of signs",
        "no more than f rows are left out, whatever their norms; the peers that take a bound leave all of them out",
    ],
    params: &[Param {
        name: "c",
        kind: Kind::Real { min: 0.0, max: f64::MAX },
        default: "auto",
        help: "the greatest norm; auto is three times the median norm",
    }],
    cost: "O(n·d)",
    facts: RuleFacts {
        family: Family::PreAggregation,
        weights: true,
        kappa: Kappa::Open("none for a threshold given by hand, or from the median norm"),
        whole_rows: "",
        ..RuleFacts::RULE
    },
    build: |args| {
        let c = args.real("c");
        Ok(Box::new(Stage::Pre(Box::new(Exclusion { c, ..Exclusion::default() }))))
    },
};

/// The median norm times this is the default threshold.
const TIMES: f64 = 3.0;

#[derive(Clone, Default)]
struct Exclusion {
    /// `None`: from the median norm.
    c: Option<f64>,
    squared: Vec<f64>,
    order: Vec<usize>,
    kept: Vec<bool>,
}

impl Exclusion {
    /// Sets `kept` by the squared norms in their `order`; `above` says whether one is above c²,
    /// given the squared median norm.
    fn choose<T: Copy>(
        &mut self,
        squared: &[T],
        f: usize,
        order: impl Fn(&T, &T) -> Ordering,
        above: impl Fn(T, T) -> bool,
    ) {
        let n = squared.len();
        let compare = |a: &usize, b: &usize| order(&squared[*b], &squared[*a]).then(a.cmp(b));
        self.order.clear();
        self.order.extend(0..n);
        self.order.sort_unstable_by(compare);
        let median = squared[self.order[n / 2]];
        self.kept.clear();
        self.kept.resize(n, true);
        let long = self.order.iter().take(f).filter(|&&i| above(squared[i], median));
        long.for_each(|&i| self.kept[i] = false);
    }
}

impl Pre for Exclusion {
    fn mix(&mut self, round: &mut Round<'_>, mixing: &mut Mixing) {
        let (n, f) = (round.rows.n(), round.f);
        let mut squared = std::mem::take(&mut self.squared);
        norms::rows_norm2(round.rows, &mut squared);
        let given = self.c.map(|c| c * c);
        self.choose(&squared, f, f64::total_cmp, |s, median| {
            s > given.unwrap_or(TIMES * TIMES * median)
        });
        self.squared = squared;
        mixing.resize(self.kept.iter().filter(|&&kept| kept).count(), n);
        let kept = (0..n).filter(|&i| self.kept[i]);
        for (row, i) in kept.enumerate() {
            mixing.coefficients[row * n + i] = 1.0;
        }
    }

    fn hostile(&self, n: usize, f: usize, m: usize) -> usize {
        f.saturating_sub(n - m)
    }

    fn left_out(&self, norms: &[f64], f: usize) -> Vec<usize> {
        let mut cut = self.clone();
        let far = |norm, median| norm > self.c.unwrap_or(TIMES * median);
        cut.choose(norms, f, f64::total_cmp, far);
        (0..norms.len()).filter(|&i| !cut.kept[i]).collect()
    }

    fn keeps_workers(&self) -> bool {
        false
    }

    fn exact(&self, round: &exact::Round<'_>) -> Result<Vec<exact::Blend>, String> {
        let (n, mut cut) = (round.n(), self.clone());
        let squared: Vec<_> = round.rows.iter().map(|row| exact::norm2(row)).collect();
        let given = self.c.map(|c| exact::Wide::from(c) * exact::Wide::from(c));
        let times = exact::Wide::from(TIMES * TIMES);
        cut.choose(&squared, round.f, Ord::cmp, |s, median| s > given.unwrap_or(times * median));
        let kept = (0..n).filter(|&i| cut.kept[i]);
        Ok(kept.map(|i| exact::Blend::selection(n, &[i])).collect())
    }

    fn fork(&self) -> Box<dyn Pre> {
        Box::new(self.clone())
    }
}

#[cfg(test)]
mod tests {
    use crate::{Pipeline, Round, Verdict, build};
    use varangian_base::Matrix;

    fn answer(spec: &str, values: &[f32], f: usize) -> (f32, Vec<f64>) {
        let rows = Matrix::from_rows(&values.iter().map(|&x| [x]).collect::<Vec<_>>());
        let (mut out, mut verdict) = ([0.0], Verdict::default());
        let mut rule = build(spec, values.len(), f).unwrap();
        rule.aggregate(&mut Round::of(rows.rows(), f), &mut out, &mut verdict);
        (out[0], verdict.weights)
    }

    #[test]
    fn long_rows_are_left_out_and_counted_as_hostile() {
        let rows = [1.0, -40.0, 2.0, 3.0, 50.0, 4.0, 2.0];
        let (mean, weights) = answer("exclusion c=9 | average", &rows, 2);
        assert!((mean - 2.4).abs() < 1e-6);
        assert_eq!(weights, [0.2, 0.0, 0.2, 0.2, 0.0, 0.2, 0.2]);
        // No f is left, so that the trimmed mean drops nothing more.
        assert!((answer("exclusion | trimmed-mean", &rows, 2).0 - 2.4).abs() < 1e-6);
        // One is all that f = 1 lets go, the longest.
        let (mean, weights) = answer("exclusion c=9 | average", &rows, 1);
        assert!((mean - -28.0 / 6.0).abs() < 1e-6 && weights[4] == 0.0 && weights[1] > 0.0);
        assert_eq!(answer("exclusion c=1 | average", &[2.0, 3.0, 4.0], 0).0, 3.0);
        // Exactly at the threshold is not above it; of equal rows the lower id goes.
        assert_eq!(answer("exclusion c=4 | average", &[2.0, 3.0, 4.0], 1).0, 3.0);
        assert_eq!(answer("exclusion c=4 | average", &[5.0, 5.0, -1.0], 1).1, [0.0, 0.5, 0.5]);
    }

    #[test]
    fn who_is_left_out_is_said_of_those_alone() {
        let rows = Matrix::from_rows(&[[1.0f32], [2.0], [3.0], [4.0], [90.0], [2.0]]);
        for (spec, other) in [("average", None), ("krum", Some("not the row of least score"))] {
            let spec = format!("exclusion | {spec}");
            let mut rule = build(&spec, 6, 1).unwrap();
            let (mut out, mut verdict) = ([0.0], Verdict::default());
            let mut round = Round::of(rows.rows(), 1);
            rule.aggregate(&mut round, &mut out, &mut verdict);
            let found = verdict.evidence(&rule, &round, &out);
            assert_eq!(found[4].reason.as_deref(), Some("longer than the norm allows"));
            assert_eq!(found[3].reason.as_deref(), other);
        }
    }

    #[test]
    fn workers_that_are_remembered_keep_their_ids() {
        for stage in ["exclusion", "bucketing s=2", "nnm | exclusion"] {
            for rule in ["safeguard", "single-safeguard", "byzantine-sgd"] {
                let error = Pipeline::parse(&format!("{stage} | {rule}")).err().unwrap();
                assert!(error.to_string().contains("rows that are no one worker's"), "{error}");
            }
        }
        assert!(Pipeline::parse("exclusion | centred-clipping").is_ok());
        assert!(Pipeline::parse("nnm | safeguard").is_ok());
    }

    #[test]
    fn every_bound_holds_for_what_is_left() {
        let far: Vec<f32> = (0..11).map(|i| if i < 2 { 1e30 } else { i as f32 }).collect();
        for spec in ["krum", "bulyan", "mda", "bucketing s=2 | median", "nnm | trimmed-mean"] {
            let spec = format!("exclusion | {spec}");
            let least = Pipeline::parse(&spec).unwrap().least(2).unwrap();
            let rows = &far[..least.min(11)];
            assert!(answer(&spec, rows, 2).0 < 11.0, "{spec}");
        }
    }
}
