//! A combination of rows and of one more vector: share·c + Σ wᵢ·xᵢ, in one pass.

use crate::Rows;
use crate::blocks::{self, BLOCK};

/// share·centre + Σ wᵢ·xᵢ in row order with f64 accumulators, into `out`. Rows of weight 0 are not
/// read; a centre of share 0 neither.
pub fn blend(rows: Rows<'_>, weights: &[f64], centre: &[f32], share: f64, out: &mut [f32]) {
    const TILE: usize = 256;
    assert_eq!(weights.len(), rows.n(), "one weight a row");
    assert_eq!((out.len(), centre.len()), (rows.d(), rows.d()), "vectors have d coordinates");
    blocks::fill(out, BLOCK, |range, out| {
        for (t, out) in out.chunks_mut(TILE).enumerate() {
            let from = range.start + t * TILE;
            let mut sums = [0.0f64; TILE];
            let mut add = |weight: f64, x: &[f32]| {
                if weight != 0.0 {
                    for (sum, &x) in sums.iter_mut().zip(&x[from..from + out.len()]) {
                        *sum += weight * f64::from(x);
                    }
                }
            };
            add(share, centre);
            rows.iter().zip(weights).for_each(|(row, &weight)| add(weight, row));
            for (out, &sum) in out.iter_mut().zip(&sums) {
                *out = sum as f32;
            }
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Matrix;

    #[test]
    fn a_centre_counts_as_one_more_row() {
        let x = Matrix::from_rows(&[[1.0, 2.0], [3.0, 4.0]]);
        let mut out = [0.0; 2];
        blend(x.rows(), &[0.5, 0.0], &[8.0, 16.0], 0.25, &mut out);
        assert_eq!(out, [2.5, 5.0]);
    }
}
