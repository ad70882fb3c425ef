//! Mixing: C·X for an m × n matrix of coefficients, in one pass over the rows.
//!
//! Sums are f64 in row order, rounded once. Bits agree on every instruction set.

use crate::blocks;
use crate::kernels::combine;
use crate::kernels::isa::{self, Isa};
use crate::kernels::lanes::Lanes;
use crate::{Matrix, Rows};
use std::cell::RefCell;
use std::ops::Range;

/// Columns that one task handles.
const TASK: usize = 4096;

/// Columns of a tile: long enough pieces of each row for the processor to stream, while the tile of
/// all rows, as f64, stays in the L2 cache.
const TILE: usize = 512;

/// Doubles between the rows of a tile, and floats between those of its answer: an odd number of
/// cache lines, so that the same columns of all rows do not compete for the same places.
const STRIDE: usize = TILE + 8;
const ANSWER: usize = TILE + 16;

/// Vectors that are summed at a time: enough independent sums to hide the latency of an addition.
const PARTS: usize = 4;

/// How a row of the answer is made: the terms `from` to `to`, and what their sum is scaled by.
#[derive(Clone, Copy)]
struct Line {
    from: usize,
    to: usize,
    /// The one coefficient of all terms, where they have one.
    scale: Option<f64>,
    /// An earlier row that is made the same way.
    same: Option<usize>,
}

/// The matrix of coefficients without its zeros, and where the answer goes.
#[derive(Default)]
struct Plan {
    terms: Vec<(usize, f64)>,
    lines: Vec<Line>,
    answers: Vec<*mut f32>,
}

// SAFETY: the pointers in `answers` are used by tasks that write disjoint columns.
unsafe impl Sync for Plan {}

thread_local! {
    static PLAN: RefCell<Plan> = RefCell::default();
    static TILES: RefCell<(Vec<f64>, Vec<f32>)> = RefCell::default();
}

/// C·X for an m × n matrix of coefficients, into `out` (resized to m rows). Coefficients of 0 cost
/// nothing, equal rows of C are worked out once, and where all of a row's are equal the rows are
/// added and the sum is scaled. Cost O(d · nonzero coefficients).
pub fn mix(rows: Rows<'_>, coefficients: &[f64], m: usize, out: &mut Matrix) {
    let n = rows.n();
    assert_eq!(coefficients.len(), m * n, "an m × n matrix of coefficients");
    out.resize(m, rows.d());
    let isa = isa::active();
    let mut plan = PLAN.take();
    plan.read(coefficients, n);
    plan.answers.clear();
    plan.answers.extend(out.rows_mut().iter_mut().map(<[f32]>::as_mut_ptr));
    let sparse = plan.terms.len() <= 2 * n;
    blocks::each(rows.d(), TASK, |columns| {
        if sparse {
            return stream(isa, rows, &plan, columns);
        }
        TILES.with_borrow_mut(|(wide, made)| {
            // On cache lines: a vector that straddles two costs two loads.
            wide.resize(n * STRIDE + 8, 0.0);
            made.resize(m * ANSWER, 0.0);
            let from = wide.as_ptr().align_offset(64).min(8);
            tiles(isa, rows, &plan, columns, (&mut wide[from..], made));
        });
    });
    PLAN.set(plan);
}

/// Sets the columns of the plan's answers, row by row: for few terms, each of them read once.
fn stream(isa: Isa, rows: Rows<'_>, plan: &Plan, columns: Range<usize>) {
    for (line, &answer) in plan.lines.iter().zip(&plan.answers) {
        let terms = &plan.terms[line.from..line.to];
        // SAFETY: every answer has d floats, of which this task alone writes these columns.
        let out =
            unsafe { std::slice::from_raw_parts_mut(answer.add(columns.start), columns.len()) };
        combine::sum_terms(isa, rows, terms, line.scale, columns.clone(), out);
    }
}

impl Plan {
    /// Drops the zeros of n coefficients a row.
    fn read(&mut self, coefficients: &[f64], n: usize) {
        self.terms.clear();
        self.lines.clear();
        for row in coefficients.chunks(n.max(1)) {
            let from = self.terms.len();
            self.terms.extend(row.iter().copied().enumerate().filter(|&(_, c)| c != 0.0));
            let terms = &self.terms[from..];
            let first = terms.first().map_or(0.0, |term| term.1);
            let scale = terms.iter().all(|term| term.1 == first).then_some(first);
            let twin = |line: &Line| self.terms[line.from..line.to] == *terms;
            let same = self.lines.iter().position(|line| line.same.is_none() && twin(line));
            self.lines.push(Line { from, to: self.terms.len(), scale, same });
        }
    }
}

kernel! {
    /// Sets the columns of the plan's answers; the room is for a tile of every row and answer.
    fn tiles(
        rows: Rows<'_>,
        plan: &Plan,
        columns: Range<usize>,
        room: (&mut [f64], &mut [f32]),
    ) = mix_tiles;
}

/// # Safety
/// The processor has `V`; no other task has the same columns of the plan's answers.
#[inline(always)]
unsafe fn mix_tiles<V: Lanes>(
    rows: Rows<'_>,
    plan: &Plan,
    columns: Range<usize>,
    room: (&mut [f64], &mut [f32]),
) {
    let (wide, made) = room;
    assert!(made.len() >= plan.lines.len() * ANSWER, "room for every answer");
    for from in columns.clone().step_by(TILE) {
        let len = TILE.min(columns.end - from);
        // SAFETY: `columns` lies in the rows; `wide` and `made` hold a tile of each row and answer.
        unsafe {
            widen::<V>(rows, from, len, wide);
            for k in (0..len).step_by(PARTS * V::WIDTH) {
                let distinct = plan.lines.iter().zip(made.chunks_exact_mut(ANSWER));
                for (line, made) in distinct.filter(|(line, _)| line.same.is_none()) {
                    let terms = &plan.terms[line.from..line.to];
                    let to = &mut made[k..k + PARTS * V::WIDTH];
                    match line.scale {
                        Some(scale) => add::<V, false>(terms, scale, wide, k, to),
                        None => add::<V, true>(terms, 1.0, wide, k, to),
                    }
                }
            }
        }
        for (i, (line, &answer)) in plan.lines.iter().zip(&plan.answers).enumerate() {
            let made = &made[line.same.unwrap_or(i) * ANSWER..][..len];
            // SAFETY: every answer has d floats, of which this task alone writes these columns.
            unsafe { answer.add(from).copy_from_nonoverlapping(made.as_ptr(), len) };
        }
    }
}

/// Copies `len` columns of each row into its tile of `wide`, in f64, padded with zeros.
///
/// # Safety
/// The processor has `V`; the rows have the columns; `wide` has STRIDE doubles a row.
#[inline(always)]
unsafe fn widen<V: Lanes>(rows: Rows<'_>, from: usize, len: usize, wide: &mut [f64]) {
    let whole = len / 16 * 16;
    for (row, wide) in rows.iter().zip(wide.chunks_exact_mut(STRIDE)) {
        let row = &row[from..from + len];
        for k in (0..whole).step_by(V::WIDTH) {
            // SAFETY: k + WIDTH ≤ whole ≤ len ≤ TILE.
            unsafe {
                V::prefetch(row.as_ptr().wrapping_add(TILE + k));
                V::store_wide(V::load_widened(row.as_ptr().add(k)), wide.as_mut_ptr().add(k));
            }
        }
        for k in whole..len.next_multiple_of(64) {
            wide[k] = row.get(k).map_or(0.0, |&x| f64::from(x));
        }
    }
}

/// Sets `out` to PARTS vectors of columns, from `k` on, of the scaled sum of the terms.
///
/// # Safety
/// The processor has `V`; `wide` has STRIDE doubles for each row that is a term, PARTS vectors
/// of them from k on.
#[inline(always)]
unsafe fn add<V: Lanes, const WEIGHTED: bool>(
    terms: &[(usize, f64)],
    scale: f64,
    wide: &[f64],
    k: usize,
    out: &mut [f32],
) {
    // SAFETY: passed on from the caller.
    unsafe {
        let mut sums = [V::splat_wide(0.0); PARTS];
        for &(row, weight) in terms {
            debug_assert!((row + 1) * STRIDE <= wide.len());
            let x = wide.as_ptr().add(row * STRIDE + k);
            for (part, sum) in sums.iter_mut().enumerate() {
                let x = V::load_wide(x.add(part * V::WIDTH));
                let x = if WEIGHTED { V::mul_wide(V::splat_wide(weight), x) } else { x };
                *sum = V::add_wide(*sum, x);
            }
        }
        for (part, &sum) in sums.iter().enumerate() {
            let sum = V::mul_wide(sum, V::splat_wide(scale));
            V::narrow(sum).store(out.as_mut_ptr().add(part * V::WIDTH));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mixes_are_rows_of_combinations() {
        let x = Matrix::from_rows(&[[1.0, 2.0], [3.0, 4.0], [8.0, 0.0]]);
        let mut mixed = Matrix::default();
        let coefficients = [0.5, 0.5, 0.0, 0.0, 0.0, 2.0, 1.0, -1.0, 0.25];
        mix(x.rows(), &coefficients, 3, &mut mixed);
        assert_eq!(mixed.row(0), [2.0, 3.0]);
        assert_eq!(mixed.row(1), [16.0, 0.0]);
        assert_eq!(mixed.row(2), [0.0, -2.0]);
    }
}
