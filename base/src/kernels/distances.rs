//! Squared distances between all pairs of rows, by differences, never through the Gram matrix.
//!
//! ‖x‖² + ‖y‖² − 2⟨x, y⟩ cancels when rows agree up to noise: near convergence it loses the order
//! of the distances and with it the selection of every Krum-like rule.

use crate::Rows;
use crate::blocks;
use crate::kernels::norms;

/// A symmetric n × n matrix of f64, rows packed, zero diagonal.
#[derive(Clone, Debug, Default)]
pub struct Pairs {
    n: usize,
    values: Vec<f64>,
    upper: Vec<f64>,
}

impl Pairs {
    /// ‖xᵢ − xⱼ‖² for all pairs of rows; reuses this value's memory. Cost O(n²·d).
    pub fn squared_distances(&mut self, rows: Rows<'_>) {
        let n = rows.n();
        self.resize(n);
        blocks::map(n * n.saturating_sub(1) / 2, 1, &mut self.upper, |range, slot| {
            let (i, j) = pair(range.start);
            *slot = norms::distance2(rows.row(i), rows.row(j));
        });
        for p in 0..self.upper.len() {
            let (i, j) = pair(p);
            self.set(i, j, self.upper[p]);
        }
    }

    /// Makes this an n × n matrix of zeros.
    pub fn resize(&mut self, n: usize) {
        self.n = n;
        self.values.clear();
        self.values.resize(n * n, 0.0);
    }

    /// The number of rows and columns.
    pub fn n(&self) -> usize {
        self.n
    }

    /// Entry (i, j).
    pub fn at(&self, i: usize, j: usize) -> f64 {
        self.values[i * self.n + j]
    }

    /// Sets entries (i, j) and (j, i).
    pub fn set(&mut self, i: usize, j: usize, value: f64) {
        self.values[i * self.n + j] = value;
        self.values[j * self.n + i] = value;
    }

    /// Row i.
    pub fn row(&self, i: usize) -> &[f64] {
        &self.values[i * self.n..(i + 1) * self.n]
    }
}

/// The p-th pair (i, j) with j < i, in the order (1,0), (2,0), (2,1), (3,0), …
fn pair(p: usize) -> (usize, usize) {
    let mut i = (((8 * p + 1) as f64).sqrt() as usize).div_ceil(2);
    while i * (i - 1) / 2 > p {
        i -= 1;
    }
    while (i + 1) * i / 2 <= p {
        i += 1;
    }
    (i, p - i * (i - 1) / 2)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Matrix;

    #[test]
    fn pairs_are_enumerated_without_gap() {
        let mut p = 0;
        for i in 1..200 {
            for j in 0..i {
                assert_eq!(pair(p), (i, j));
                p += 1;
            }
        }
    }

    #[test]
    fn distances_are_symmetric_with_a_zero_diagonal() {
        let x = Matrix::from_rows(&[[0.0, 0.0], [3.0, 4.0], [3.0, 0.0]]);
        let mut pairs = Pairs::default();
        pairs.squared_distances(x.rows());
        assert_eq!(pairs.row(0), [0.0, 25.0, 9.0]);
        assert_eq!((pairs.at(1, 2), pairs.at(2, 1), pairs.at(1, 1)), (16.0, 16.0, 0.0));
    }
}
