//! The exact path: every rule and stage in f64, evaluated slowly from its formula.
//!
//! Gradients are f32 and so are the kernels; rows that come as f64 (from a solver, a test, a
//! numerical study) may differ by less than f32 can tell, or lie beyond its range. For those,
//! [`Pipeline::exact`](crate::Pipeline::exact) answers what the formula says: distances by
//! differences, squares with an exponent of their own, so that rows of 1e-300 and of 1e300 meet in
//! one round, and sums that carry twice the digits. Ties, bounds and draws are those of the
//! kernels. It shares none of them, and the conformance suite holds each against the other.
//!
//! The answer is good to a few units in the last place of f64, relative to the rows that were
//! combined; a stage's rows and a centre that a rule computes on the way are rounded to f64 once.
//! The costs are those that the entries state, in f64, with a factor of ten to a hundred, and
//! O(steps·n·d) for the geometric median. The round is a first one: nothing is remembered.

mod sums;
mod wide;

pub(crate) use sums::{Total, distance2, mean, norm2};
pub(crate) use wide::Wide;

use crate::spectrum::Spectrum;
use varangian_base::Seed;
use varangian_base::blocks;
use varangian_base::kernels::distances::Pairs;

/// Columns that are worked out by one thread at a time.
const COLUMNS: usize = 256;

/// One round in f64: n finite rows of d numbers, of which at most f are hostile.
#[derive(Clone, Copy)]
pub struct Round<'a> {
    /// The rows, finite and equally long, in ascending worker id.
    pub rows: &'a [Vec<f64>],
    /// The workers that sent them, ascending.
    pub ids: &'a [u32],
    /// The declared number of hostile rows among them.
    pub f: usize,
    /// How much each row counts, as in [`crate::Round::weights`].
    pub weights: Option<&'a [f64]>,
    /// The step, from 0: where rules draw, and how old a window is.
    pub step: u64,
    /// The run's seed; the draws are those of the f32 path.
    pub seed: Seed,
    /// The place of the stage in its pipeline, as in [`crate::Round::stage`].
    pub stage: u64,
}

impl Round<'_> {
    /// The number of rows.
    pub fn n(&self) -> usize {
        self.rows.len()
    }

    /// The number of coordinates.
    pub fn d(&self) -> usize {
        self.rows.first().map_or(0, Vec::len)
    }
}

/// A combination of rows, Σ pᵢ·xᵢ / w: equal parts are a mean that is rounded once.
#[derive(Clone, Debug)]
pub struct Blend {
    parts: Vec<Wide>,
    whole: Wide,
}

impl Blend {
    /// The mean of the `selected` of n rows.
    pub fn selection(n: usize, selected: &[usize]) -> Blend {
        let mut parts = vec![Wide::ZERO; n];
        selected.iter().for_each(|&i| parts[i] = Wide::from(1.0));
        Blend { parts, whole: Wide::from(selected.len() as f64) }
    }

    /// Σ pᵢ·xᵢ / whole over the parts pᵢ, for whole > 0.
    pub fn weighted(parts: &[f64], whole: f64) -> Blend {
        Blend::wide(parts.iter().map(|&part| part.into()).collect(), whole.into())
    }

    pub(crate) fn wide(parts: Vec<Wide>, whole: Wide) -> Blend {
        Blend { parts, whole }
    }

    /// The weighted mean of rows with these parts, not all 0.
    pub(crate) fn mean(parts: Vec<Wide>) -> Blend {
        let given: Vec<usize> = (0..parts.len()).filter(|&i| !parts[i].is_zero()).collect();
        if given.iter().all(|&i| parts[i] == parts[given[0]]) {
            return Blend::selection(parts.len(), &given);
        }
        let whole = parts.iter().copied().sum();
        Blend { parts, whole }
    }

    /// The weight of each row.
    pub fn weights(&self) -> Vec<f64> {
        self.parts.iter().map(|&part| (part / self.whole).to_f64()).collect()
    }

    /// The combination of these rows. Cost O(n·d).
    pub fn of(&self, rows: &[Vec<f64>]) -> Vec<f64> {
        let (parts, whole) = (&self.parts, self.whole);
        let mut out = vec![0.0; rows.first().map_or(0, Vec::len)];
        let one = Wide::from(1.0);
        let picked: Vec<&Vec<f64>> =
            rows.iter().zip(parts).filter(|(_, p)| **p == one).map(|(x, _)| x).collect();
        let plain = parts.iter().all(|&part| part == one || part.is_zero());
        blocks::fill(&mut out, COLUMNS, |range, out| {
            for (x, k) in out.iter_mut().zip(range) {
                *x = match plain {
                    true => {
                        let total = Total::of(picked.iter().map(|row| row[k]));
                        if whole == one {
                            total.wide().to_f64()
                        } else {
                            total.over(whole.to_f64()).0
                        }
                    }
                    false => weighted(rows, parts, k, whole),
                };
            }
        });
        out
    }
}

/// Σ zₖ, rounded once.
pub(crate) fn total(numbers: Vec<Wide>) -> Wide {
    sums::sum(&numbers)
}

/// Σ pᵢ·xᵢₖ / w.
fn weighted(rows: &[Vec<f64>], parts: &[Wide], k: usize, whole: Wide) -> f64 {
    let product = |(row, &part): (&Vec<f64>, &Wide)| part * Wide::from(row[k]);
    let products: Vec<Wide> = rows.iter().zip(parts).map(product).collect();
    (sums::sum(&products) / whole).to_f64()
}

/// ‖xᵢ − xⱼ‖² for all pairs. Cost O(n²·d).
pub(crate) fn pairs(rows: &[Vec<f64>]) -> Vec<Vec<Wide>> {
    let mut half: Vec<Vec<Wide>> = Vec::new();
    blocks::map(rows.len(), 1, &mut half, |range, slot| {
        let i = range.start;
        *slot = rows[..i].iter().map(|other| distance2(&rows[i], other)).collect();
    });
    let n = rows.len();
    let at = |i: usize, j: usize| if i == j { Wide::ZERO } else { half[i.max(j)][i.min(j)] };
    (0..n).map(|i| (0..n).map(|j| at(i, j)).collect()).collect()
}

/// The squared distance of each row from `centre`.
pub(crate) fn distances2(rows: &[Vec<f64>], centre: &[f64]) -> Vec<Wide> {
    rows.iter().map(|x| distance2(x, centre)).collect()
}

/// Indices by ascending key; ties by index.
pub(crate) fn in_order(keys: &[Wide]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..keys.len()).collect();
    order.sort_by_key(|&i| keys[i]);
    order
}

/// `reduce` of each column of weighted values, sorted.
pub(crate) fn by_weighted_column(
    rows: &[Vec<f64>],
    weights: &[f64],
    reduce: impl Fn(&[(f64, f64)]) -> f64 + Sync,
) -> Vec<f64> {
    let mut out = vec![0.0; rows.first().map_or(0, Vec::len)];
    blocks::fill(&mut out, COLUMNS, |range, out| {
        for (x, k) in out.iter_mut().zip(range) {
            let mut column: Vec<(f64, f64)> =
                rows.iter().zip(weights).map(|(row, &w)| (row[k], w)).collect();
            column.sort_by(|a, b| a.0.total_cmp(&b.0));
            *x = reduce(&column);
        }
    });
    out
}

/// `reduce` of each sorted column.
pub(crate) fn by_column(rows: &[Vec<f64>], reduce: impl Fn(&[f64]) -> f64 + Sync) -> Vec<f64> {
    let mut out = vec![0.0; rows.first().map_or(0, Vec::len)];
    blocks::fill(&mut out, COLUMNS, |range, out| {
        let mut column = Vec::with_capacity(rows.len());
        for (x, k) in out.iter_mut().zip(range) {
            column.clear();
            column.extend(rows.iter().map(|row| row[k]));
            column.sort_unstable_by(f64::total_cmp);
            *x = reduce(&column);
        }
    });
    out
}

/// The distances between rows, brought into the range of f64 for the rows that are looked at.
#[derive(Default)]
pub(crate) struct Spread {
    pairs: Vec<Vec<Wide>>,
    scaled: Pairs,
    pub(crate) spectrum: Spectrum,
    /// The last eigenvalue, and the power of two that the distances were divided by.
    last: (f64, i64),
}

impl Spread {
    pub(crate) fn of(rows: &[Vec<f64>]) -> Spread {
        let mut spread = Spread { pairs: pairs(rows), ..Spread::default() };
        spread.scaled.resize(rows.len());
        spread
    }

    /// As [`Spectrum::covariance`], of any finite rows.
    pub(crate) fn covariance(
        &mut self,
        alive: &[usize],
        weight: impl Fn(usize) -> f64,
        vector: bool,
    ) -> Wide {
        let among = || alive.iter().flat_map(|&i| alive.iter().map(move |&j| (i, j)));
        let e = among().map(|(i, j)| self.pairs[i][j].exponent()).max().unwrap_or(i64::MIN);
        let e = if e == i64::MIN { 0 } else { e };
        among().for_each(|(i, j)| self.scaled.set(i, j, self.pairs[i][j].over(e)));
        let lambda = self.spectrum.covariance(&self.scaled, alive, weight, vector);
        self.last = (lambda, e);
        Wide::new(lambda, e)
    }

    /// As [`Spectrum::beside`], after [`Spread::covariance`].
    pub(crate) fn beside(
        &mut self,
        alive: &[usize],
        weight: impl Fn(usize) -> f64,
        i: usize,
    ) -> f64 {
        let (lambda, e) = self.last;
        alive.iter().for_each(|&j| self.scaled.set(i, j, self.pairs[i][j].over(e)));
        self.spectrum.beside(&self.scaled, alive, weight, lambda, i)
    }
}
