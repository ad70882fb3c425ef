//! Weighted combinations of rows: Σ wᵢ·xᵢ; mixing matrices C·X are in [`mix`](mod@super::mix).
//!
//! Sums are f64 in row order, rounded once, so huge rows do not overflow on the way. Bits agree on
//! every instruction set.

use crate::Rows;
use crate::blocks;
use crate::kernels::isa;
use crate::kernels::lanes::Lanes;
use std::cell::RefCell;

pub use super::mix::mix;

/// Columns that one task handles.
const TASK: usize = 4096;

/// Columns whose sums stay in the L1 cache while rows are added.
const TILE: usize = 512;

/// Floats that every pass is a multiple of.
const STEP: usize = 16;

/// The plain mean of the rows, into `out`: their sum, divided once.
pub fn mean(rows: Rows<'_>, out: &mut [f32]) {
    run(rows, &Terms::Sum { scale: 1.0 / rows.n() as f64 }, out);
}

/// Σ wᵢ·xᵢ in row order, into `out`. Rows of weight 0 are not read.
pub fn combine(rows: Rows<'_>, weights: &[f64], out: &mut [f32]) {
    assert_eq!(weights.len(), rows.n(), "one weight a row");
    run(rows, &Terms::Weighted(weights), out);
}

/// What is summed.
enum Terms<'a> {
    /// All rows; the sum is scaled.
    Sum { scale: f64 },
    /// Rows times weights.
    Weighted(&'a [f64]),
}

thread_local! {
    /// The rows that are read and their weights.
    static TERMS: RefCell<Vec<(*const f32, f64)>> = RefCell::default();
}

fn run(rows: Rows<'_>, terms: &Terms<'_>, out: &mut [f32]) {
    assert_eq!(out.len(), rows.d(), "the output has d coordinates");
    let isa = isa::active();
    blocks::fill(out, TASK, |range, out| {
        TERMS.with_borrow_mut(|list| {
            list.clear();
            let row = |i: usize| rows.row(i)[range.clone()].as_ptr();
            match terms {
                Terms::Sum { .. } => list.extend((0..rows.n()).map(|i| (row(i), 1.0))),
                Terms::Weighted(weights) => {
                    let read = (0..rows.n()).filter(|&i| weights[i] != 0.0);
                    list.extend(read.map(|i| (row(i), weights[i])));
                }
            }
            let scale = if let Terms::Sum { scale } = terms { Some(*scale) } else { None };
            sum(isa, list, scale, out);
        });
    });
}

kernel! {
    /// Sets `out` to the sum of weight · row or, with a scale, of the rows, scaled. Each row has as
    /// many columns as `out`.
    fn sum(terms: &[(*const f32, f64)], scale: Option<f64>, out: &mut [f32]) = sum_tiles;
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
    // SAFETY: passed on from the caller; `len` is a multiple of WIDTH and at most TILE.
    unsafe {
        let mut add = |group: &[(*const f32, f64)]| {
            for k in (0..len).step_by(V::WIDTH) {
                let mut sum = V::load_wide(sums.0.as_ptr().add(k));
                for &(row, weight) in group {
                    let x = V::load_widened(row.add(from + k));
                    V::prefetch(row.wrapping_add(from + k + TILE));
                    let x = if WEIGHTED { V::mul_wide(V::splat_wide(weight), x) } else { x };
                    sum = V::add_wide(sum, x);
                }
                V::store_wide(sum, sums.0.as_mut_ptr().add(k));
            }
        };
        let (fours, rest) = terms.as_chunks::<4>();
        fours.iter().for_each(|four| add(four));
        rest.iter().for_each(|one| add(std::slice::from_ref(one)));
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
    }

    #[test]
    fn the_mean_of_huge_rows_does_not_overflow() {
        let x = Matrix::from_rows(&[[3e38f32], [3e38], [3e38]]);
        let mut out = [0.0];
        mean(x.rows(), &mut out);
        assert!((out[0] - 3e38).abs() < 1e32);
    }
}
