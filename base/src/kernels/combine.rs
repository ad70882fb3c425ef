//! Weighted combinations of rows: Σ wᵢ·xᵢ, and whole mixing matrices C·X in one pass.

use crate::blocks::{self, BLOCK};
use crate::{Matrix, Rows};

/// The plain mean of the rows, into `out`. Rows are added in order in f64.
pub fn mean(rows: Rows<'_>, out: &mut [f32]) {
    let weight = 1.0 / rows.n() as f64;
    combine_with(rows, |_| weight, out);
}

/// Σ wᵢ·xᵢ in row order with f64 accumulators, into `out`. Rows of weight 0 are not read.
pub fn combine(rows: Rows<'_>, weights: &[f64], out: &mut [f32]) {
    assert_eq!(weights.len(), rows.n(), "one weight a row");
    combine_with(rows, |i| weights[i], out);
}

/// C·X for an m × n matrix of coefficients, into `out` (resized to m rows).
pub fn mix(rows: Rows<'_>, coefficients: &[f64], m: usize, out: &mut Matrix) {
    let n = rows.n();
    assert_eq!(coefficients.len(), m * n, "an m × n matrix of coefficients");
    out.resize(m, rows.d());
    for i in 0..m {
        combine(rows, &coefficients[i * n..(i + 1) * n], out.row_mut(i));
    }
}

fn combine_with(rows: Rows<'_>, weight: impl Fn(usize) -> f64 + Sync, out: &mut [f32]) {
    assert_eq!(out.len(), rows.d(), "the output has d coordinates");
    const TILE: usize = 256;
    blocks::fill(out, BLOCK, |range, out| {
        for (t, out) in out.chunks_mut(TILE).enumerate() {
            let from = range.start + t * TILE;
            let mut sums = [0.0f64; TILE];
            for i in 0..rows.n() {
                let w = weight(i);
                if w != 0.0 {
                    let row = &rows.row(i)[from..from + out.len()];
                    for (sum, &x) in sums.iter_mut().zip(row) {
                        *sum += w * f64::from(x);
                    }
                }
            }
            for (out, &sum) in out.iter_mut().zip(&sums) {
                *out = sum as f32;
            }
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn means_and_mixes() {
        let x = Matrix::from_rows(&[[1.0, 2.0], [3.0, 4.0], [8.0, 0.0]]);
        let mut out = [0.0; 2];
        mean(x.rows(), &mut out);
        assert_eq!(out, [4.0, 2.0]);
        let mut mixed = Matrix::default();
        mix(x.rows(), &[0.5, 0.5, 0.0, 0.0, 0.0, 2.0], 2, &mut mixed);
        assert_eq!((mixed.row(0), mixed.row(1)), (&[2.0, 3.0][..], &[16.0, 0.0][..]));
    }

    #[test]
    fn the_mean_of_huge_rows_does_not_overflow() {
        let x = Matrix::from_rows(&[[3e38f32], [3e38], [3e38]]);
        let mut out = [0.0];
        mean(x.rows(), &mut out);
        assert!((out[0] - 3e38).abs() < 1e32);
    }
}
