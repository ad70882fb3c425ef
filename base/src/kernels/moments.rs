//! Means and standard deviations of columns, in one pass over memory.
//!
//! Sums and sums of squares in row order, in f64, where squares of f32 are exact. Where the mean is
//! so much larger than the deviation that their difference would lose digits, the column is done
//! again from its deviations. Bits agree on every instruction set and at any number of threads.

use crate::Rows;
use crate::blocks;
use crate::kernels::isa::{self, Isa};
use crate::kernels::lanes::Lanes;
use std::ops::Range;

/// The float next to a number: the largest one for those beyond.
#[inline(always)]
pub fn nearest(x: f64) -> f32 {
    let largest = f64::from(f32::MAX);
    x.clamp(-largest, largest) as f32
}

/// Columns that one task handles.
const TASK: usize = 4096;

/// Columns whose sums stay in the L1 cache while rows are added.
const TILE: usize = 256;

/// Floats that every pass is a multiple of.
const STEP: usize = 16;

/// Σ(x − mean)² below this share of Σx² is worked out from deviations: 1e-16 of the sums is then at
/// most 1e-9 of the variance.
const CANCELLED: f64 = 1e-7;

/// The columns of a tile, on cache lines.
#[repr(align(64))]
struct Moments {
    mean: [f64; TILE],
    /// Σx².
    squares: [f64; TILE],
    sd: [f64; TILE],
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
    let columns = Columns::new(rows, ddof);
    blocks::fill(out, TASK, |range, out| {
        columns.each(range.clone(), |from, mean, sd| {
            for (k, (out, (&mean, &sd))) in
                out[from..].iter_mut().zip(mean.iter().zip(sd)).enumerate()
            {
                *out = nearest(value(range.start + from + k, mean, sd));
            }
        });
    });
}

/// Sets `means` and `deviations` to the mean and the standard deviation of each column (divisor n −
/// ddof). Cost O(n·d).
///
/// # Panics
/// If an output has not d coordinates or there are no rows.
pub fn means_and_deviations(
    rows: Rows<'_>,
    ddof: usize,
    means: &mut [f32],
    deviations: &mut [f32],
) {
    assert_eq!(means.len(), rows.d(), "the means have d coordinates");
    let columns = Columns::new(rows, ddof);
    blocks::fill_both(means, deviations, TASK, |range, means, deviations| {
        columns.each(range, |from, mean, sd| {
            means[from..].iter_mut().zip(mean).for_each(|(to, &x)| *to = nearest(x));
            deviations[from..].iter_mut().zip(sd).for_each(|(to, &x)| *to = nearest(x));
        });
    });
}

/// Sets `means` to the mean of each column and `scatter` to Σ(x − mean)² of it. Cost O(n·d).
///
/// # Panics
/// If an output has not d coordinates or there are no rows.
pub fn means_and_scatter(rows: Rows<'_>, means: &mut [f32], scatter: &mut [f64]) {
    assert_eq!(means.len(), rows.d(), "the means have d coordinates");
    let (columns, n) = (Columns::new(rows, 0), rows.n() as f64);
    blocks::fill_both(means, scatter, TASK, |range, means, scatter| {
        columns.each(range, |from, mean, sd| {
            means[from..].iter_mut().zip(mean).for_each(|(to, &x)| *to = nearest(x));
            scatter[from..].iter_mut().zip(sd).for_each(|(to, &sd)| *to = n * (sd * sd));
        });
    });
}

/// The rows whose columns' moments are wanted.
struct Columns<'a> {
    rows: Rows<'a>,
    /// n − ddof.
    divisor: f64,
    isa: Isa,
}

impl<'a> Columns<'a> {
    fn new(rows: Rows<'a>, ddof: usize) -> Self {
        assert!(rows.n() > 0, "a column has values");
        Columns { rows, divisor: rows.n() as f64 - ddof as f64, isa: isa::active() }
    }

    /// Hands the means and deviations of the columns to `work`, tile by tile, with the place of the
    /// tile's first column in the range.
    fn each(&self, range: Range<usize>, mut work: impl FnMut(usize, &[f64], &[f64])) {
        let (mean, squares, sd) = ([0.0; TILE], [0.0; TILE], [0.0; TILE]);
        let mut moments = Moments { mean, squares, sd };
        for from in range.clone().step_by(TILE) {
            let len = TILE.min(range.end - from);
            let part = self.rows.columns(from..from + len);
            tile(self.isa, part, 1.0 / self.divisor, &mut moments);
            let Moments { mean, squares, sd } = &mut moments;
            for k in 0..len {
                if sd[k] * sd[k] * self.divisor < CANCELLED * squares[k] || sd[k].is_nan() {
                    let deviations = part.iter().map(|row| (f64::from(row[k]) - mean[k]).powi(2));
                    sd[k] = (deviations.sum::<f64>() / self.divisor).sqrt();
                }
            }
            work(from - range.start, &mean[..len], &sd[..len]);
        }
    }
}

kernel! {
    /// Sets the first d entries of `moments` for rows of d ≤ TILE columns; a variance is `per`
    /// times the sum of squared deviations.
    fn tile(@isa; rows: Rows<'_>, per: f64, moments: &mut Moments) = tile_lanes;
}

/// # Safety
/// The processor has `V`.
#[inline(always)]
unsafe fn tile_lanes<V: Lanes>(rows: Rows<'_>, per: f64, moments: &mut Moments) {
    let (n, d) = (rows.n(), rows.d());
    assert!(d <= TILE, "a tile holds {TILE} columns");
    let whole = d / STEP * STEP;
    let Moments { mean, squares, sd } = moments;
    mean[..d].fill(0.0);
    squares[..d].fill(0.0);
    let scale = 1.0 / n as f64;
    // SAFETY: every row and the arrays hold d columns; `k` stays below `whole`, a multiple of WIDTH
    // that is at most d.
    unsafe {
        add::<V>(rows, whole, mean, squares);
        let (scale, per) = (V::splat_wide(scale), V::splat_wide(per));
        for k in (0..whole).step_by(V::WIDTH) {
            let sum = V::load_wide(mean.as_ptr().add(k));
            let square = V::load_wide(squares.as_ptr().add(k));
            let middle = V::mul_wide(sum, scale);
            let rest = V::sub_wide(square, V::mul_wide(sum, middle));
            V::store_wide(middle, mean.as_mut_ptr().add(k));
            V::store_wide(V::sqrt_wide(V::mul_wide(rest, per)), sd.as_mut_ptr().add(k));
        }
    }
    for k in whole..d {
        let column = || rows.iter().map(|row| f64::from(row[k]));
        let sum = column().sum::<f64>();
        mean[k] = sum * scale;
        squares[k] = column().map(|x| x * x).sum();
        sd[k] = ((squares[k] - sum * mean[k]) * per).sqrt();
    }
}

/// Adds every value in the first `len` columns to `sums` and its square to `squares`, rows in
/// order, four at a time.
///
/// # Safety
/// The processor has `V`; every row, `sums` and `squares` hold `len` columns, a multiple of WIDTH.
#[inline(always)]
unsafe fn add<V: Lanes>(
    rows: Rows<'_>,
    len: usize,
    sums: &mut [f64; TILE],
    squares: &mut [f64; TILE],
) {
    let mut i = 0;
    while i < rows.n() {
        let to = (i + 4).min(rows.n());
        for k in (0..len).step_by(V::WIDTH) {
            // SAFETY: passed on from the caller.
            unsafe {
                let mut sum = V::load_wide(sums.as_ptr().add(k));
                let mut square = V::load_wide(squares.as_ptr().add(k));
                for row in i..to {
                    let row = rows.row(row).as_ptr();
                    V::prefetch(row.wrapping_add(k + TILE));
                    let x = V::load_widened(row.add(k));
                    sum = V::add_wide(sum, x);
                    square = V::add_wide(square, V::mul_wide(x, x));
                }
                V::store_wide(sum, sums.as_mut_ptr().add(k));
                V::store_wide(square, squares.as_mut_ptr().add(k));
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
    fn a_mean_far_above_the_deviation_loses_no_digits() {
        let x = Matrix::from_rows(&[
            [1e6 + 0.25, 3.0, 1e30],
            [1e6, 3.0, -1e30],
            [1e6 - 0.25, 3.0, 0.0],
        ]);
        let (mut means, mut deviations) = ([0.0; 3], [0.0; 3]);
        means_and_deviations(x.rows(), 1, &mut means, &mut deviations);
        assert_eq!(means, [1e6, 3.0, 0.0]);
        assert_eq!(deviations, [0.25, 0.0, 1e30]);
        let mut scatter = [0.0; 3];
        means_and_scatter(x.rows(), &mut means, &mut scatter);
        let wanted = [0.125, 0.0, 2e60];
        assert!(scatter.iter().zip(wanted).all(|(s, w): (&f64, f64)| (s - w).abs() <= 1e-6 * w));
    }

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
