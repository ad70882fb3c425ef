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
//!
//! Rows that are bitwise copies of one another, as colluders send, are found first and worked out
//! once; that changes no bit.

mod copies;
mod tiles;

use crate::blocks;
use crate::kernels::elementwise;
use crate::kernels::isa::{self, Isa};
use crate::{Matrix, Mixed};
use copies::Copies;
use std::cell::RefCell;
use std::ops::Range;
use tiles::{BLOCK, Task};

/// Coordinates up to which sums are wholly of f64.
pub const SMALL: usize = 8192;

/// Columns whose sums meet in order.
const CHUNK: usize = 8 * 1024;

/// Partial sums that are kept at most, as f64: 16 MiB.
const PARTIAL: usize = 2 * 1024 * 1024;

/// Pairs whose lanes are held at once, about: 2 MiB.
const HELD: usize = 16 * 1024;

/// A symmetric n × n matrix of f64, rows packed, zero diagonal.
#[derive(Clone, Debug, Default)]
pub struct Pairs {
    n: usize,
    values: Vec<f64>,
    copies: Copies,
    partial: Vec<Vec<f64>>,
    again: Vec<bool>,
}

thread_local! {
    /// A window of mixed rows.
    static WINDOW: RefCell<Matrix> = RefCell::default();

    /// Sums of pairs, lane by lane.
    static LANES: RefCell<Vec<f64>> = RefCell::default();
}

/// Rows, and maybe one vector more.
#[derive(Clone, Copy)]
struct Points<'a> {
    rows: Mixed<'a>,
    last: Option<&'a [f32]>,
}

impl Pairs {
    /// ‖xᵢ − xⱼ‖² for all pairs of rows; reuses this value's memory. Cost O(n²·d).
    pub fn squared_distances<'a>(&mut self, rows: impl Into<Mixed<'a>>) {
        self.measure(Points { rows: rows.into(), last: None });
    }

    /// The same with the vector `last` (d floats) as row n.
    ///
    /// # Panics
    /// If the vector has not d coordinates.
    pub fn squared_distances_with<'a>(&mut self, rows: impl Into<Mixed<'a>>, last: &[f32]) {
        let rows = rows.into();
        assert_eq!(last.len(), rows.d(), "the vector has d coordinates");
        self.measure(Points { rows, last: Some(last) });
    }

    fn measure(&mut self, points: Points<'_>) {
        let shard = points.rows.sent().shard();
        let d = shard.map_or(points.rows.d(), |shard| shard.whole());
        self.resize(points.rows.n() + usize::from(points.last.is_some()));
        self.copies.find(points.rows, points.last.is_some());
        self.again.clear();
        if d <= SMALL {
            self.sum(points, tiles::wide);
            return self.tell(points);
        }
        self.sum(points, tiles::narrow);
        // Squares below the normal range of f32 lose up to 2⁻¹⁵⁰ each.
        let least = d as f64 * 2f64.powi(-124);
        let lost = |s: f64| !s.is_finite() || s < least;
        let distinct = &self.copies.distinct;
        let pairs = (0..distinct.len()).flat_map(|i| (0..i).map(move |j| (i, j)));
        let lost = pairs.map(|(i, j)| lost(self.values[distinct[i] * self.n + distinct[j]]));
        self.again.extend(lost);
        if self.again.contains(&true) {
            self.sum(points, tiles::wide);
        }
        self.tell(points);
    }

    /// Tells whoever watches the rows whether they are finite: every distance from a row that is
    /// not is not, and all distances between finite rows are finite.
    fn tell(&self, points: Points<'_>) {
        let rows = points.rows.sent();
        if points.rows.recipe().is_some() || points.last.is_some() || rows.n() < 2 {
            return;
        }
        // Copies of one row lie at 0, whatever that is.
        let alike = self.copies.distinct.len() == 1;
        let one = || elementwise::is_finite(isa::active(), rows.row(0));
        rows.found(if alike { one() } else { self.values.iter().all(|s| s.is_finite()) });
    }

    /// Sets the pairs that are wanted (all where `again` is empty) to their sums.
    fn sum(&mut self, points: Points<'_>, kernel: fn(Isa, Task<'_>)) {
        let (distinct, shard) = (&self.copies.distinct, points.rows.sent().shard());
        let d = points.rows.d();
        let pairs = pairs_below(distinct.len());
        let isa = isa::active();
        // As if there were no copies, so that those change no bit.
        let chunk = block(self.n, shard.map_or(d, |shard| shard.whole()));
        let again = &self.again;
        let count = distinct.len();
        // Rows whose pairs' lanes are held at a time: all, unless there are many.
        let held = |n: usize| (HELD / n.max(1)).max(1).next_multiple_of(tiles::WHOLE).min(n);
        let (band, many) = (held(count), held(self.n) < self.n);
        blocks::map(d, chunk, &mut self.partial, |range, sums| {
            sums.clear();
            sums.resize(pairs, 0.0);
            LANES.with_borrow_mut(|lanes| {
                lanes.clear();
                lanes.resize(tiles::LANES * if band < count { band * count } else { pairs }, 0.0);
                points.each(isa, distinct, range, |rows, len, ahead| {
                    for band in (0..count).step_by(band.max(1)).map(|i| i..(i + band).min(count)) {
                        kernel(
                            isa,
                            Task { rows, band: band.clone(), len, ahead, wanted: again, lanes },
                        );
                        if many {
                            fold(lanes, &mut sums[pairs_below(band.start)..pairs_below(band.end)]);
                        }
                    }
                });
                if !many {
                    fold(lanes, sums);
                }
            });
        });
        let exchanged = shard.map(|shard| shard.blocks(&self.partial.concat(), pairs, chunk));
        for p in (0..pairs).filter(|&p| again.is_empty() || again[p]) {
            let (i, j) = pair(p);
            let (i, j) = (distinct[i], distinct[j]);
            let total = match &exchanged {
                None => self.partial.iter().map(|sums| sums[p]).sum(),
                Some(all) => all.iter().skip(p).step_by(pairs).sum(),
            };
            self.values[i * self.n + j] = total;
            self.values[j * self.n + i] = total;
        }
        self.repeat();
    }

    /// Gives copies the distances of what they are copies of.
    fn repeat(&mut self) {
        for (i, &of) in self.copies.of.iter().enumerate().filter(|&(i, &of)| of < i) {
            self.values.copy_within(of * self.n..(of + 1) * self.n, i * self.n);
            for j in 0..self.n {
                self.values[j * self.n + i] = self.values[i * self.n + j];
            }
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

impl Points<'_> {
    /// Calls `work` with the columns of the rows at the indices `picked`, window by window; the
    /// last argument says whether the next window follows in memory.
    fn each(
        self,
        isa: Isa,
        picked: &[usize],
        columns: Range<usize>,
        mut work: impl FnMut(&[*const f32], usize, bool),
    ) {
        const { assert!(crate::mixed::WINDOW == BLOCK, "a window is summed as one block") };
        let (n, plain) = (self.rows.n(), self.rows.recipe().is_none());
        WINDOW.with_borrow_mut(|window| {
            for columns in self.rows.windows(columns) {
                let part = self.rows.window(isa, columns.clone(), window);
                let last = self.last.map_or(&[][..], |last| &last[columns]);
                let rows = picked.iter().map(|&i| if i < n { part.row(i) } else { last });
                tiles::with_columns(rows, |rows, len| work(rows, len, plain));
            }
        });
    }
}

/// Adds each pair's lanes to its sum, and sets them to zero.
fn fold(lanes: &mut [f64], sums: &mut [f64]) {
    for (sum, lanes) in sums.iter_mut().zip(lanes.chunks_exact_mut(tiles::LANES)) {
        *sum += tiles::fold(lanes);
        lanes.fill(0.0);
    }
}

/// Columns of a block whose sums meet in order, for the distances between n rows of d columns: a
/// multiple of 8192, and just that unless there are very many pairs and columns.
pub fn block(n: usize, d: usize) -> usize {
    let most = (PARTIAL / pairs_below(n).max(1)).max(1);
    CHUNK.max(d.div_ceil(most).next_multiple_of(CHUNK))
}

/// The number of pairs of the first i rows.
fn pairs_below(i: usize) -> usize {
    i * i.saturating_sub(1) / 2
}

/// The p-th pair (i, j) with j < i, in the order (1,0), (2,0), (2,1), (3,0), …
fn pair(p: usize) -> (usize, usize) {
    let mut i = (((8 * p + 1) as f64).sqrt() as usize).div_ceil(2);
    while pairs_below(i) > p {
        i -= 1;
    }
    while pairs_below(i + 1) <= p {
        i += 1;
    }
    (i, p - pairs_below(i))
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
        pairs.set(2, 1, 5.0);
        assert_eq!([pairs.row(0), pairs.row(1)], [[0.0, 25.0, 9.0], [25.0, 0.0, 5.0]]);
        assert_eq!(pairs.row(2), [9.0, 5.0, 0.0]);
    }
}
