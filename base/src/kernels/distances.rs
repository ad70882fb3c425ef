//! Squared distances between all pairs of rows, by differences, never through the Gram matrix.
//!
//! ‖x‖² + ‖y‖² − 2⟨x, y⟩ cancels when rows agree up to noise: near convergence it loses the order
//! of the distances and with it the selection of every Krum-like rule.
//!
//! Up to [`SMALL`] coordinates everything is f64. Above, differences and their squares are f32,
//! summed in f32 over 64 columns a lane, then in f64: a relative error of about 1e-8, at most 4e-6.
//! Pairs whose squares left the range of f32, above or below, are done again in f64, so any finite
//! rows have finite distances, and a distance is 0 for equal rows alone. Bits agree between AVX2
//! and AVX-512, and everywhere in f64; the portable f32 path, without fused multiply-add, may
//! differ in the last bits of f32.

mod tiles;

use crate::Rows;
use crate::blocks;
use crate::kernels::isa::{self, Isa};
use tiles::Task;

/// Coordinates up to which sums are wholly of f64.
pub const SMALL: usize = 8192;

/// Columns whose sums meet in order.
const CHUNK: usize = 16 * 1024;

/// Partial sums that are kept at most, as f64: 16 MiB.
const PARTIAL: usize = 2 * 1024 * 1024;

/// A symmetric n × n matrix of f64, rows packed, zero diagonal.
#[derive(Clone, Debug, Default)]
pub struct Pairs {
    n: usize,
    values: Vec<f64>,
    partial: Vec<Vec<f64>>,
    again: Vec<bool>,
}

impl Pairs {
    /// ‖xᵢ − xⱼ‖² for all pairs of rows; reuses this value's memory. Cost O(n²·d).
    pub fn squared_distances(&mut self, rows: Rows<'_>) {
        let (n, d) = (rows.n(), rows.d());
        self.resize(n);
        self.again.clear();
        if d <= SMALL {
            self.sum(rows, tiles::wide);
            return;
        }
        self.sum(rows, tiles::narrow);
        // Squares below the normal range of f32 lose up to 2⁻¹⁵⁰ each.
        let least = d as f64 * 2f64.powi(-124);
        let lost = |s: f64| !s.is_finite() || s < least;
        self.again.extend(
            (0..n)
                .flat_map(|i| (0..i).map(move |j| (i, j)))
                .map(|(i, j)| lost(self.values[i * n + j])),
        );
        if self.again.contains(&true) {
            self.sum(rows, tiles::wide);
        }
    }

    /// Sets the pairs that are wanted (all where `again` is empty) to their sums.
    fn sum(&mut self, rows: Rows<'_>, kernel: fn(Isa, Task<'_>)) {
        let (n, d) = (rows.n(), rows.d());
        let pairs = n * n.saturating_sub(1) / 2;
        let isa = isa::active();
        let most = (PARTIAL / pairs.max(1)).max(1);
        let chunk = CHUNK.max(d.div_ceil(most).next_multiple_of(CHUNK));
        let again = &self.again;
        blocks::map(d, chunk, &mut self.partial, |range, sums| {
            sums.clear();
            sums.resize(pairs, 0.0);
            tiles::with_columns(rows, range, |columns, len| {
                kernel(isa, Task { rows: columns, len, wanted: again, sums });
            });
        });
        for p in (0..pairs).filter(|&p| again.is_empty() || again[p]) {
            let (i, j) = pair(p);
            let total = self.partial.iter().map(|sums| sums[p]).sum();
            self.values[i * n + j] = total;
            self.values[j * n + i] = total;
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
