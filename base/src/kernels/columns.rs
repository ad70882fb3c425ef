//! Order statistics of columns: each coordinate's n values, sorted, handed to a reducer.
//!
//! Values are ordered by `f32::total_cmp` (−0 before +0), so the result does not depend on the
//! order of the rows.

use crate::Rows;
use crate::blocks::{self, BLOCK};

/// Columns handled together: a block of columns is transposed so that each one is contiguous.
const TILE: usize = 64;

/// Sets out[k] = reduce(the sorted values of column k). Cost O(n log n) a column.
pub fn sorted(rows: Rows<'_>, out: &mut [f32], reduce: impl Fn(&[f32]) -> f32 + Sync) {
    assert_eq!(out.len(), rows.d(), "the output has d coordinates");
    let n = rows.n();
    assert!(n > 0, "a column has values");
    blocks::fill(out, BLOCK, |range, out| {
        let mut columns = vec![0.0f32; TILE * n];
        for (t, out) in out.chunks_mut(TILE).enumerate() {
            let from = range.start + t * TILE;
            for i in 0..n {
                let row = &rows.row(i)[from..from + out.len()];
                for (k, &x) in row.iter().enumerate() {
                    columns[k * n + i] = x;
                }
            }
            for (k, out) in out.iter_mut().enumerate() {
                let column = &mut columns[k * n..(k + 1) * n];
                column.sort_unstable_by(f32::total_cmp);
                *out = reduce(column);
            }
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Matrix;

    #[test]
    fn columns_come_sorted() {
        let x = Matrix::from_rows(&[[3.0, -0.0], [1.0, 0.0], [2.0, -1.0]]);
        let mut out = [0.0; 2];
        sorted(x.rows(), &mut out, |column| column[0] * 100.0 + column[2]);
        assert_eq!(out, [103.0, -100.0]);
    }
}
