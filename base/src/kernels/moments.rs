//! Means and standard deviations of columns, in one pass over memory.
//!
//! Two passes over a tile that stays in cache: sums in row order, then squared deviations in row
//! order, all in f64. Bits agree on every instruction set and at any number of threads.

use crate::Rows;
use crate::blocks;
use crate::kernels::isa;
use crate::kernels::lanes::Lanes;

/// Columns that one task handles.
const TASK: usize = 4096;

/// Columns whose sums stay in the L1 cache while rows are added.
const TILE: usize = 256;

/// Floats that every pass is a multiple of.
const STEP: usize = 16;

/// Sums and means of a tile, then sums of squared deviations, on cache lines.
#[repr(align(64))]
struct Moments {
    mean: [f64; TILE],
    squares: [f64; TILE],
}

/// Sets `out[k]` to `value` of k, the mean of column k and its standard deviation (divisor n −
/// ddof). Cost O(n·d).
///
/// # Panics
/// If `out` has not d coordinates or there are no rows.
pub fn moments(
    rows: Rows<'_>,
    ddof: usize,
    out: &mut [f32],
    value: impl Fn(usize, f64, f64) -> f64 + Sync,
) {
    assert_eq!(out.len(), rows.d(), "the output has d coordinates");
    assert!(rows.n() > 0, "a column has values");
    let isa = isa::active();
    let divisor = rows.n() as f64 - ddof as f64;
    blocks::fill(out, TASK, |range, out| {
        let mut moments = Moments { mean: [0.0; TILE], squares: [0.0; TILE] };
        for (t, out) in out.chunks_mut(TILE).enumerate() {
            let from = range.start + t * TILE;
            tile(isa, rows.columns(from..from + out.len()), &mut moments);
            for (k, out) in out.iter_mut().enumerate() {
                let sd = (moments.squares[k] / divisor).sqrt();
                *out = value(from + k, moments.mean[k], sd) as f32;
            }
        }
    });
}

kernel! {
    /// Sets the first d entries of `moments` for rows of d ≤ TILE columns.
    fn tile(rows: Rows<'_>, moments: &mut Moments) = tile_lanes;
}

/// # Safety
/// The processor has `V`.
#[inline(always)]
unsafe fn tile_lanes<V: Lanes>(rows: Rows<'_>, moments: &mut Moments) {
    let (n, d) = (rows.n(), rows.d());
    assert!(d <= TILE, "a tile holds {TILE} columns");
    let whole = d / STEP * STEP;
    let Moments { mean, squares } = moments;
    mean[..d].fill(0.0);
    squares[..d].fill(0.0);
    let scale = 1.0 / n as f64;
    // SAFETY: every row and both arrays hold d columns; `k` stays below `whole`, a multiple of
    // WIDTH that is at most d.
    unsafe {
        add::<V>(rows, whole, mean, |_, x| x);
        for k in (0..whole).step_by(V::WIDTH) {
            let sum = V::load_wide(mean.as_ptr().add(k));
            V::store_wide(V::mul_wide(sum, V::splat_wide(scale)), mean.as_mut_ptr().add(k));
        }
        add::<V>(rows, whole, squares, |k, x| {
            let deviation = V::sub_wide(x, V::load_wide(mean.as_ptr().add(k)));
            V::mul_wide(deviation, deviation)
        });
    }
    for k in whole..d {
        let column = || rows.iter().map(|row| f64::from(row[k]));
        mean[k] = column().sum::<f64>() * scale;
        squares[k] = column().map(|x| (x - mean[k]) * (x - mean[k])).sum();
    }
}

/// Adds `term` of every value in the first `len` columns to `sums`, rows in order, four at a time.
///
/// # Safety
/// The processor has `V`; every row and `sums` hold `len` columns, a multiple of WIDTH.
#[inline(always)]
unsafe fn add<V: Lanes>(
    rows: Rows<'_>,
    len: usize,
    sums: &mut [f64; TILE],
    term: impl Fn(usize, V::Wide) -> V::Wide,
) {
    let mut i = 0;
    while i < rows.n() {
        let to = (i + 4).min(rows.n());
        for k in (0..len).step_by(V::WIDTH) {
            // SAFETY: passed on from the caller.
            unsafe {
                let mut sum = V::load_wide(sums.as_ptr().add(k));
                for row in i..to {
                    let x = V::load_widened(rows.row(row).as_ptr().add(k));
                    sum = V::add_wide(sum, term(k, x));
                }
                V::store_wide(sum, sums.as_mut_ptr().add(k));
            }
        }
        i = to;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::isa::Isa;
    use crate::{Domain, Matrix, Seed};

    #[test]
    fn moments_agree_with_their_formulas_on_every_instruction_set() {
        let mut stream = Seed(4).stream(Domain::Test, 0, 0);
        for (n, d) in [(1, 3), (5, 16), (6, 700), (9, 5000)] {
            let mut x = Matrix::zeros(n, d);
            for i in 0..n {
                x.row_mut(i).iter_mut().for_each(|x| *x = 100.0 + stream.normal() as f32);
            }
            let run = |isa| {
                let mut out = vec![0.0; d];
                isa::with(isa, || moments(x.rows(), 0, &mut out, |_, mean, sd| mean + 3.0 * sd));
                out
            };
            let found = run(Isa::Portable);
            for (k, &value) in found.iter().enumerate() {
                let column = || (0..n).map(|i| f64::from(x.row(i)[k]));
                let mean = column().sum::<f64>() / n as f64;
                let square = column().map(|x| (x - mean).powi(2)).sum::<f64>() / n as f64;
                let wanted = mean + 3.0 * square.sqrt();
                assert!((f64::from(value) - wanted).abs() < 1e-5 * wanted, "{n} {d} {k}");
            }
            for isa in Isa::ALL.into_iter().filter(|isa| isa.available()) {
                assert_eq!(run(isa), found, "{isa}");
            }
        }
    }
}
