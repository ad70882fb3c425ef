//! The vote of the signs of rows, coordinate by coordinate.

use crate::Rows;
use crate::blocks::{self, BLOCK};

/// Sets out[k] = decide(Σᵢ sign(xᵢₖ)), where sign(±0) counts as `zero`.
pub fn sign_sums(rows: Rows<'_>, zero: i32, out: &mut [f32], decide: impl Fn(i32) -> f32 + Sync) {
    const TILE: usize = 256;
    assert_eq!(out.len(), rows.d(), "the output has d coordinates");
    blocks::fill(out, BLOCK, |range, out| {
        for (t, out) in out.chunks_mut(TILE).enumerate() {
            let from = range.start + t * TILE;
            let mut sums = [0i32; TILE];
            for row in rows.iter() {
                for (sum, &x) in sums.iter_mut().zip(&row[from..from + out.len()]) {
                    *sum += i32::from(x > 0.0) - i32::from(x < 0.0) + zero * i32::from(x == 0.0);
                }
            }
            for (out, &sum) in out.iter_mut().zip(&sums) {
                *out = decide(sum);
            }
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Matrix;

    #[test]
    fn signs_are_summed_and_zeros_count_as_told() {
        let x = Matrix::from_rows(&[[1.0, -0.0, -3.0], [2.0, 0.0, 1e-45], [-4.0, 1.0, -1.0]]);
        let mut out = [0.0; 3];
        sign_sums(x.rows(), 0, &mut out, |sum| sum as f32);
        assert_eq!(out, [1.0, 1.0, -1.0]);
        sign_sums(x.rows(), 1, &mut out, |sum| sum as f32);
        assert_eq!(out, [1.0, 3.0, -1.0]);
    }
}
