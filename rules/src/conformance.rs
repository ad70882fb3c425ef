//! What every rule is held to: on tame and hostile families of rows, at every claim that it makes.
//!
//! [`check`] tries a rule from anywhere, and says what failed:
//!
//! ```
//! use varangian_rules::{Pipeline, conformance};
//! let report = conformance::check(|| Pipeline::parse("median").unwrap());
//! assert!(report.passed(), "{report}");
//! assert!(report.tried.contains(&"honest box"));
//! ```
//!
//! The crate's own tests run the same checks on every entry with every combination of its choices,
//! and compare each with a slow reference in f64 besides.

mod arrivals;
#[cfg(test)]
mod cases;
#[cfg(test)]
mod claims;
#[cfg(test)]
mod double;
pub(crate) mod families;
#[cfg(test)]
mod machinery;
#[cfg(test)]
mod shards;
mod suite;
#[cfg(test)]
mod vectors;
#[cfg(test)]
mod windows;

pub use arrivals::check_filter;
pub use suite::check;
pub use varangian_base::{Failure, Report};

use crate::Oracle;
#[cfg(test)]
use crate::{Pipeline, Round, Verdict, build, exact};
use varangian_base::{Rows, Seed};

#[cfg(test)]
/// Σ (aₖ − bₖ)².
pub(crate) fn distance2(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| (a - b) * (a - b)).sum()
}

#[cfg(test)]
/// Indices by ascending key; ties by index.
pub(crate) fn in_order(keys: &[f64]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..keys.len()).collect();
    order.sort_by(|&a, &b| keys[a].total_cmp(&keys[b]));
    order
}

#[cfg(test)]
/// The mean of some rows.
pub(crate) fn mean<'a>(rows: impl Iterator<Item = &'a Vec<f64>>) -> Vec<f64> {
    let rows: Vec<&Vec<f64>> = rows.collect();
    (0..rows[0].len()).map(|k| rows.iter().map(|x| x[k]).sum::<f64>() / rows.len() as f64).collect()
}

#[cfg(test)]
/// The sets of k of the numbers 0 … n − 1, in lexicographic order.
pub(crate) fn subsets(n: usize, k: usize) -> impl Iterator<Item = Vec<usize>> {
    let mut next: Option<Vec<usize>> = (k <= n).then(|| (0..k).collect());
    std::iter::from_fn(move || {
        let set = next.take()?;
        if let Some(at) = (0..k).rev().find(|&at| set[at] < n - k + at) {
            let mut after = set.clone();
            (at..k).for_each(|later| after[later] = set[at] + 1 + later - at);
            next = Some(after);
        }
        Some(set)
    })
}

/// The rows in f64.
pub(crate) fn wide(rows: Rows<'_>) -> Vec<Vec<f64>> {
    rows.iter().map(|row| row.iter().map(|&x| f64::from(x)).collect()).collect()
}

/// A server that knows one gradient.
pub(crate) struct Knows(pub(crate) fn(usize) -> f32);

impl Oracle for Knows {
    fn refresh(&mut self) {}

    fn loss(&mut self, params: &[f32]) -> f64 {
        params.iter().enumerate().map(|(k, &x)| f64::from(x) * f64::from((self.0)(k))).sum()
    }

    fn gradient(&mut self, params: &[f32], out: &mut [f32]) -> f64 {
        out.iter_mut().enumerate().for_each(|(k, x)| *x = (self.0)(k));
        self.loss(params)
    }
}

/// The gradient that the tests' oracle knows.
pub(crate) fn truth(k: usize) -> f32 {
    1.0 + (k % 3) as f32
}

#[cfg(test)]
/// One aggregation with a fresh rule: the answer and the verdict.
fn answer(spec: &str, rows: Rows<'_>, f: usize) -> (Vec<f32>, Verdict) {
    let mut rule = build(spec, rows.n(), f).unwrap_or_else(|error| panic!("{error}"));
    again(&mut rule, rows, f)
}

#[cfg(test)]
/// What the exact path answers to a first round: the answer and the verdict.
pub(crate) fn exactly(spec: &str, rows: &[Vec<f64>], f: usize) -> (Vec<f64>, Verdict) {
    let ids: Vec<u32> = (0..rows.len() as u32).collect();
    let rule = build(spec, rows.len(), f).unwrap_or_else(|error| panic!("{error}"));
    let round =
        exact::Round { rows, ids: &ids, f, weights: None, step: 0, seed: Seed(0), stage: 0 };
    let mut verdict = Verdict::default();
    let out = rule.exact(&round, &mut verdict).unwrap_or_else(|error| panic!("{error}"));
    assert!(out.iter().all(|x| x.is_finite()), "{spec} answers {out:?}");
    (out, verdict)
}

#[cfg(test)]
/// One more aggregation with the same rule.
fn again(rule: &mut Pipeline, rows: Rows<'_>, f: usize) -> (Vec<f32>, Verdict) {
    let (mut out, mut verdict) = (vec![f32::NAN; rows.d()], Verdict::default());
    let mut oracle = Knows(truth);
    let params = vec![0.0; rows.d()];
    let round = Round { params: &params, oracle: Some(&mut oracle), ..Round::of(rows, f) };
    rule.aggregate(&mut { round }, &mut out, &mut verdict);
    assert!(out.iter().all(|x| x.is_finite()), "{} answers {out:?}", rule.spec());
    (out, verdict)
}

/// Draws for the tests.
pub(crate) fn draws(lane: u64) -> varangian_base::Stream {
    Seed(1).lane(varangian_base::Domain::Test, 0, 0, lane)
}
