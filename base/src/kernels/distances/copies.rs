//! Which rows are bitwise copies of earlier ones: a few coordinates are compared first, then all.

use crate::blocks;
use crate::{Mixed, Rows};
use std::sync::atomic::{AtomicBool, Ordering};

/// Coordinates that a row's fingerprint is taken from.
const SAMPLES: usize = 16;

/// Coordinates compared at a time; a difference ends the comparison there.
const PIECE: usize = 4096;

/// The first row of each kind.
#[derive(Debug, Default)]
pub(super) struct Copies {
    /// The earliest row that row i is a copy of: i itself where there is none.
    pub(super) of: Vec<usize>,
    /// The rows that are no copies, ascending.
    pub(super) distinct: Vec<usize>,
    prints: Vec<u64>,
    claims: Vec<(usize, usize)>,
    refuted: Vec<AtomicBool>,
}

impl Clone for Copies {
    /// A fresh one: it holds nothing between uses.
    fn clone(&self) -> Self {
        Copies::default()
    }
}

impl Copies {
    /// Finds the copies among the rows. Mixed rows are copies where they are made alike; of rows of
    /// which only some columns are here, none is known to be one. With
    /// `one_more` there is another row, a copy of none. Cost O(n·d) for n copies, O(n) for none.
    pub(super) fn find(&mut self, rows: Mixed<'_>, one_more: bool) {
        let n = rows.n();
        self.of.clear();
        match rows.recipe() {
            Some(recipe) => {
                let made = recipe.lines.iter().enumerate();
                self.of.extend(made.map(|(i, line)| line.same.unwrap_or(i)));
            }
            // Rows that are copies in these columns may differ in others.
            None if rows.sent().shard().is_some() => self.of.extend(0..n),
            None => self.compare(rows.sent()),
        }
        self.of.extend(one_more.then_some(n));
        self.distinct.clear();
        self.distinct.extend((0..self.of.len()).filter(|&i| self.of[i] == i));
    }

    fn compare(&mut self, rows: Rows<'_>) {
        self.prints.clear();
        self.prints.extend(rows.iter().map(fingerprint));
        self.claims.clear();
        for i in 0..rows.n() {
            let earlier = self.prints[..i].iter().position(|&print| print == self.prints[i]);
            self.of.push(earlier.unwrap_or(i));
            self.claims.extend(earlier.map(|j| (i, j)));
        }
        self.refuted.clear();
        self.refuted.resize_with(self.claims.len(), AtomicBool::default);
        let (claims, refuted) = (&self.claims, &self.refuted);
        blocks::each(rows.d(), blocks::BLOCK / 2, |columns| {
            let part = rows.columns(columns);
            for (&(i, j), refuted) in claims.iter().zip(refuted) {
                if !refuted.load(Ordering::Relaxed) && !same(part.row(i), part.row(j)) {
                    refuted.store(true, Ordering::Relaxed);
                }
            }
        });
        for (&(i, _), refuted) in self.claims.iter().zip(&mut self.refuted) {
            if *refuted.get_mut() {
                self.of[i] = i;
            }
        }
    }
}

/// A number from the bits of some coordinates of a row.
fn fingerprint(row: &[f32]) -> u64 {
    let step = row.len().div_ceil(SAMPLES).max(1);
    let mix = |print: u64, x: &f32| {
        (print ^ u64::from(x.to_bits())).wrapping_mul(0x9E37_79B9_7F4A_7C15).rotate_left(29)
    };
    row.iter().step_by(step).fold(0, mix)
}

/// Whether two rows have the same bits.
fn same(a: &[f32], b: &[f32]) -> bool {
    let differ = |a: &[f32], b: &[f32]| {
        a.iter().zip(b).fold(0, |any, (a, b)| any | (a.to_bits() ^ b.to_bits())) != 0
    };
    !a.chunks(PIECE).zip(b.chunks(PIECE)).any(|(a, b)| differ(a, b))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Matrix;

    #[test]
    fn copies_are_told_from_rows_that_differ_in_one_bit() {
        let mut x = Matrix::zeros(5, 20_000);
        for i in 0..5 {
            x.row_mut(i).iter_mut().enumerate().for_each(|(k, x)| *x = (k % 7) as f32);
        }
        // Columns that no fingerprint looks at.
        x.row_mut(2)[19_999] = -0.0;
        x.row_mut(3)[3] += 1.0;
        let mut copies = Copies::default();
        copies.find(x.rows().into(), true);
        assert_eq!(copies.of, [0, 0, 2, 3, 0, 5]);
        assert_eq!(copies.distinct, [0, 2, 3, 5]);
    }
}
