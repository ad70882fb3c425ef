//! Weighted combinations of rows: Σ wᵢ·xᵢ, of rows as they were sent or as they are mixed.
//!
//! Sums are f64 in row order, rounded once, so huge rows do not overflow on the way. Bits agree on
//! every instruction set. A combination of mixed rows is one of the rows that were sent: the
//! weights are multiplied through, and nothing is mixed.

use crate::blocks;
use crate::kernels::isa::{self, Isa};
use crate::kernels::lanes::Lanes;
use crate::{Mixed, Rows};
use std::cell::RefCell;
use std::ops::Range;

/// Columns that one task handles.
const TASK: usize = 4096;

/// Columns whose sums stay in the L1 cache while rows are added.
const TILE: usize = 512;

/// Floats that every pass is a multiple of.
const STEP: usize = 16;

/// The plain mean of the rows, into `out`: their sum, divided once.
pub fn mean<'a>(rows: impl Into<Mixed<'a>>, out: &mut [f32]) {
    let rows = rows.into();
    let share = 1.0 / rows.n() as f64;
    if rows.recipe().is_none() {
        return run(rows.sent(), &Terms::Sum { scale: share }, out);
    }
    WEIGHTS.with_borrow_mut(|weights| {
        weights.clear();
        weights.resize(rows.n(), share);
        weighted(rows, weights, None, out);
    });
}

/// Σ wᵢ·xᵢ in row order, into `out`. Rows of weight 0 are not read.
pub fn combine<'a>(rows: impl Into<Mixed<'a>>, weights: &[f64], out: &mut [f32]) {
    weighted(rows.into(), weights, None, out);
}

/// share·centre + Σ wᵢ·xᵢ, the centre first and the rows in order, into `out`. Rows of weight 0 are
/// not read; a centre of share 0 neither.
pub fn combine_with<'a>(
    rows: impl Into<Mixed<'a>>,
    weights: &[f64],
    centre: &[f32],
    share: f64,
    out: &mut [f32],
) {
    let rows = rows.into();
    assert_eq!(centre.len(), rows.d(), "the vector has d coordinates");
    weighted(rows, weights, Some((centre, share)), out);
}

/// A vector and its weight.
type Weighted<'a> = (&'a [f32], f64);

fn weighted(rows: Mixed<'_>, weights: &[f64], first: Option<Weighted<'_>>, out: &mut [f32]) {
    assert_eq!(weights.len(), rows.n(), "one weight a row");
    let first = first.filter(|&(_, share)| share != 0.0);
    match rows.recipe() {
        None => run(rows.sent(), &Terms::Weighted(weights, first), out),
        Some(recipe) => PULLED.with_borrow_mut(|pulled| {
            pulled.clear();
            pulled.resize(rows.sent().n(), 0.0);
            recipe.transposed(weights, pulled);
            run(rows.sent(), &Terms::Weighted(pulled, first), out);
        }),
    }
}

/// What is summed.
enum Terms<'a> {
    /// All rows; the sum is scaled.
    Sum { scale: f64 },
    /// Rows times weights, after a vector of its own weight.
    Weighted(&'a [f64], Option<Weighted<'a>>),
}

thread_local! {
    /// The rows that are read and their weights.
    static TERMS: RefCell<Vec<(*const f32, f64)>> = RefCell::default();
    static WEIGHTS: RefCell<Vec<f64>> = RefCell::default();
    static PULLED: RefCell<Vec<f64>> = RefCell::default();
}

fn run(rows: Rows<'_>, terms: &Terms<'_>, out: &mut [f32]) {
    assert_eq!(out.len(), rows.d(), "the output has d coordinates");
    let isa = isa::active();
    blocks::fill(out, TASK, |range, out| {
        let row = |i: usize| rows.row(i);
        match *terms {
            Terms::Sum { scale } => {
                listed(isa, (0..rows.n()).map(|i| (row(i), 1.0)), Some(scale), range, out);
                // What is not finite is so in every sum, and a mean of finite numbers is finite.
                rows.look_at(isa, out);
            }
            Terms::Weighted(weights, first) => {
                let read = weights.iter().copied().enumerate().filter(|&(_, w)| w != 0.0);
                let read = read.map(|(i, w)| (row(i), w));
                listed(isa, first.into_iter().chain(read), None, range, out);
            }
        }
    });
    if let Terms::Sum { .. } = terms {
        rows.looked_at_all();
    }
}

/// Sets `out` to the columns of Σ weight·row or, with a scale, of the scaled sum of the rows.
pub(super) fn sum_terms(
    isa: Isa,
    rows: Rows<'_>,
    terms: &[(usize, f64)],
    scale: Option<f64>,
    columns: Range<usize>,
    out: &mut [f32],
) {
    listed(isa, terms.iter().map(|&(i, w)| (rows.row(i), w)), scale, columns, out);
}

fn listed<'a>(
    isa: Isa,
    terms: impl Iterator<Item = Weighted<'a>>,
    scale: Option<f64>,
    columns: Range<usize>,
    out: &mut [f32],
) {
    TERMS.with_borrow_mut(|list| {
        list.clear();
        list.extend(terms.map(|(row, w)| (row[columns.clone()].as_ptr(), w)));
        sum(isa, list, scale, out);
    });
}

kernel! {
    /// Sets `out` to the sum of weight · row or, with a scale, of the rows, scaled. Each row has as
    /// many columns as `out`.
    fn sum(@isa; terms: &[(*const f32, f64)], scale: Option<f64>, out: &mut [f32]) = sum_tiles;
}

/// Room for the sums of a tile, on cache lines.
#[repr(align(64))]
struct Sums([f64; TILE]);

/// # Safety
/// The processor has `V`; each row has the columns of `out`.
#[inline(always)]
unsafe fn sum_tiles<V: Lanes>(terms: &[(*const f32, f64)], scale: Option<f64>, out: &mut [f32]) {
    let mut sums = Sums([0.0; TILE]);
    for (t, out) in out.chunks_mut(TILE).enumerate() {
        let whole = out.len() / STEP * STEP;
        // SAFETY: the rows have t·TILE + out.len() columns; `sums` has room for TILE.
        unsafe {
            match scale {
                Some(_) => add_rows::<V, false>(terms, t * TILE, whole, &mut sums),
                None => add_rows::<V, true>(terms, t * TILE, whole, &mut sums),
            }
            let scale = V::splat_wide(scale.unwrap_or(1.0));
            for k in (0..whole).step_by(V::WIDTH) {
                let sum = V::mul_wide(V::load_wide(sums.0.as_ptr().add(k)), scale);
                V::narrow(sum).store(out.as_mut_ptr().add(k));
            }
        }
        for k in whole..out.len() {
            // SAFETY: as above.
            let x = |row: *const f32| f64::from(unsafe { row.add(t * TILE + k).read() });
            out[k] = match scale {
                Some(scale) => (terms.iter().map(|&(row, _)| x(row)).sum::<f64>() * scale) as f32,
                None => terms.iter().map(|&(row, w)| w * x(row)).sum::<f64>() as f32,
            };
        }
    }
}

/// Sets the first `len` of `sums`; four rows at a time, so that a sum is loaded once for four.
///
/// # Safety
/// The processor has `V`; each row has the columns `from` to `from + len`.
#[inline(always)]
unsafe fn add_rows<V: Lanes, const WEIGHTED: bool>(
    terms: &[(*const f32, f64)],
    from: usize,
    len: usize,
    sums: &mut Sums,
) {
    sums.0[..len].fill(0.0);
    let (fours, rest) = terms.as_chunks::<4>();
    // SAFETY: passed on from the caller.
    unsafe {
        for four in fours {
            add::<V, WEIGHTED, 4>(four, from, len, sums);
        }
        for one in rest {
            add::<V, WEIGHTED, 1>(std::array::from_ref(one), from, len, sums);
        }
    }
}

/// Adds the terms to the first `len` of `sums`, in order.
///
/// # Safety
/// As for `add_rows`.
#[inline(always)]
unsafe fn add<V: Lanes, const WEIGHTED: bool, const N: usize>(
    terms: &[(*const f32, f64); N],
    from: usize,
    len: usize,
    sums: &mut Sums,
) {
    let sums = sums.0.as_mut_ptr();
    // SAFETY: passed on from the caller; `len` is a multiple of WIDTH and at most TILE.
    unsafe {
        for k in (0..len).step_by(V::WIDTH) {
            let mut sum = V::load_wide(sums.add(k));
            for &(row, weight) in terms {
                V::prefetch(row.wrapping_add(from + k + TILE));
                let mut x = V::load_widened(row.add(from + k));
                if WEIGHTED {
                    x = V::mul_wide(V::splat_wide(weight), x);
                }
                sum = V::add_wide(sum, x);
            }
            V::store_wide(sum, sums.add(k));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Matrix;

    #[test]
    fn weights_and_means() {
        let x = Matrix::from_rows(&[[1.0, 2.0], [3.0, 4.0], [8.0, 0.0]]);
        let mut out = [0.0; 2];
        mean(x.rows(), &mut out);
        assert_eq!(out, [4.0, 2.0]);
        combine(x.rows(), &[0.5, 0.0, 2.0], &mut out);
        assert_eq!(out, [16.5, 1.0]);
        combine_with(x.rows(), &[0.5, 0.0, 0.0], &[8.0, 16.0], 0.25, &mut out);
        assert_eq!(out, [2.5, 5.0]);
    }

    #[test]
    fn the_mean_of_huge_rows_does_not_overflow() {
        let x = Matrix::from_rows(&[[3e38f32], [3e38], [3e38]]);
        let mut out = [0.0];
        mean(x.rows(), &mut out);
        assert!((out[0] - 3e38).abs() < 1e32);
    }
}
