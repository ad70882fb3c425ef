//! Register tiles of pairs of rows over blocks of columns.
//!
//! A pair has 16 lanes whatever the registers: lane l sums the columns that are l modulo 16, and
//! the lanes meet in f64 in one fixed tree. Narrower registers go over a block more than once.

use super::pairs_below;
use crate::kernels::lanes::Lanes;
use std::cell::RefCell;
use std::ops::Range;

/// Lanes of a sum.
pub(super) const LANES: usize = 16;

/// Rows of whole tiles, whatever the registers.
pub(super) const WHOLE: usize = 12;

/// Columns of a block: the rows of a tile stay in the L1 cache, and a lane sums 64 squares.
pub(super) const BLOCK: usize = 1024;

/// The most rows of a tile.
const MOST: usize = 4;

/// A block of columns of all rows, and the sums that it is added to.
pub(super) struct Task<'a> {
    /// The first of the columns in each row.
    pub(super) rows: &'a [*const f32],
    /// The rows i of the pairs (i, j) to work out, from a multiple of `WHOLE`.
    pub(super) band: Range<usize>,
    /// The number of columns, a multiple of 16.
    pub(super) len: usize,
    /// Whether the next block of columns lies behind this one in memory, so that it can be asked
    /// for ahead.
    pub(super) ahead: bool,
    /// Which pairs are wanted; empty: all.
    pub(super) wanted: &'a [bool],
    /// The sums of each pair (i, j), j < i, of the band, in the order (1, 0), (2, 0), (2, 1), …, 16
    /// a pair: one a lane.
    pub(super) lanes: &'a mut [f64],
}

#[derive(Default)]
struct Scratch {
    rows: Vec<*const f32>,
    tail: Vec<f32>,
}

thread_local! {
    static SCRATCH: RefCell<Scratch> = RefCell::default();
}

/// Calls `work` with the columns of the rows, all of one length, in whole multiples of 16, then
/// with those that remain, padded with zeros.
pub(super) fn with_columns<'a>(
    rows: impl Iterator<Item = &'a [f32]> + Clone,
    mut work: impl FnMut(&[*const f32], usize),
) {
    SCRATCH.with_borrow_mut(|Scratch { rows: columns, tail }| {
        columns.clear();
        columns.extend(rows.clone().map(<[f32]>::as_ptr));
        let len = rows.clone().next().map_or(0, <[f32]>::len);
        let whole = len / LANES * LANES;
        work(columns, whole);
        if whole == len {
            return;
        }
        tail.clear();
        tail.resize(columns.len() * LANES, 0.0);
        columns.clear();
        for (row, tail) in rows.zip(tail.chunks_exact_mut(LANES)) {
            tail[..len - whole].copy_from_slice(&row[whole..]);
            columns.push(tail.as_ptr());
        }
        work(columns, LANES);
    });
}

kernel! {
    /// Adds the squared differences, squared and first summed in f32.
    pub(super) fn narrow(@isa; task: Task<'_>) = narrow_blocks;
    /// Adds the squared differences, in f64 from the start.
    pub(super) fn wide(@isa; task: Task<'_>) = wide_blocks;
}

/// # Safety
/// The processor has `V`; each of the task's rows has its columns.
#[inline(always)]
unsafe fn narrow_blocks<V: Lanes>(task: Task<'_>) {
    // SAFETY: passed on from the caller.
    unsafe { blocks::<V, Narrow<V>>(task) }
}

/// # Safety
/// As for `narrow_blocks`.
#[inline(always)]
unsafe fn wide_blocks<V: Lanes>(task: Task<'_>) {
    // SAFETY: passed on from the caller.
    unsafe { blocks::<V, Wide<V>>(task) }
}

/// In what a tile is summed.
trait Precision {
    /// Rows of a tile: tile² sums and some operands fit in registers.
    const TILE: usize;

    /// Sums in registers.
    type Sum: Copy;

    /// No sum yet.
    ///
    /// # Safety
    /// The processor has the registers.
    unsafe fn zero() -> Self::Sum;

    /// The values at `from`.
    ///
    /// # Safety
    /// The processor has the registers; `from` points to as many floats.
    unsafe fn load(from: *const f32) -> Self::Sum;

    /// sum + (x − y)².
    fn add(x: Self::Sum, y: Self::Sum, sum: Self::Sum) -> Self::Sum;

    /// Adds the sums to those at `to`.
    ///
    /// # Safety
    /// `to` points to as many doubles.
    unsafe fn add_to(sum: Self::Sum, to: *mut f64);
}

/// Squares of f32, summed in f32 over a block.
struct Narrow<V>(V);

impl<V: Lanes> Precision for Narrow<V> {
    const TILE: usize = V::TILE;
    type Sum = V;

    #[inline(always)]
    unsafe fn zero() -> V {
        // SAFETY: passed on from the caller.
        unsafe { V::splat(0.0) }
    }

    #[inline(always)]
    unsafe fn load(from: *const f32) -> V {
        // SAFETY: passed on from the caller.
        unsafe { V::load(from) }
    }

    #[inline(always)]
    fn add(x: V, y: V, sum: V) -> V {
        x.sub(y).square_add(sum)
    }

    #[inline(always)]
    unsafe fn add_to(sum: V, to: *mut f64) {
        // SAFETY: passed on from the caller.
        unsafe { V::store_wide(V::add_wide(V::load_wide(to), sum.widen()), to) }
    }
}

/// Everything in f64.
struct Wide<V>(V);

impl<V: Lanes> Precision for Wide<V> {
    const TILE: usize = V::WIDE_TILE;
    type Sum = V::Wide;

    #[inline(always)]
    unsafe fn zero() -> V::Wide {
        // SAFETY: passed on from the caller.
        unsafe { V::splat_wide(0.0) }
    }

    #[inline(always)]
    unsafe fn load(from: *const f32) -> V::Wide {
        // SAFETY: passed on from the caller.
        unsafe { V::load_widened(from) }
    }

    #[inline(always)]
    fn add(x: V::Wide, y: V::Wide, sum: V::Wide) -> V::Wide {
        let difference = V::sub_wide(x, y);
        V::add_wide(sum, V::mul_wide(difference, difference))
    }

    #[inline(always)]
    unsafe fn add_to(sum: V::Wide, to: *mut f64) {
        // SAFETY: passed on from the caller.
        unsafe { V::store_wide(V::add_wide(V::load_wide(to), sum), to) }
    }
}

/// # Safety
/// As for `narrow_blocks`.
#[inline(always)]
unsafe fn blocks<V: Lanes, P: Precision>(task: Task<'_>) {
    let Task { rows, band, len, ahead, wanted, lanes } = task;
    let n = rows.len();
    let before = pairs_below(band.start);
    // While a block is worked on, each tile asks for the next block of some of the rows.
    let across = n.div_ceil(P::TILE);
    let share = if ahead { n.div_ceil((across * (across + 1) / 2).max(1)) } else { 0 };
    for from in (0..len).step_by(BLOCK) {
        let columns = from..(from + BLOCK).min(len);
        let mut asked = 0;
        for i in band.clone().step_by(P::TILE) {
            let a = &rows[i..(i + P::TILE).min(n)];
            for j in (0..=i).step_by(P::TILE) {
                let b = &rows[j..(j + P::TILE).min(n)];
                if skip(wanted, i..i + a.len(), j..j + b.len()) {
                    continue;
                }
                let next = &rows[asked.min(n)..(asked + share).min(n)];
                asked += share;
                // SAFETY: passed on from the caller.
                unsafe { choose::<V, P>((i, a), (j, b), next, columns.clone(), (before, lanes)) };
            }
        }
    }
}

/// Whether no pair of rows `a` with rows `b` is wanted.
fn skip(wanted: &[bool], a: Range<usize>, b: Range<usize>) -> bool {
    let asked = |i: usize, j: usize| j < i && wanted[i * (i - 1) / 2 + j];
    !wanted.is_empty() && !a.into_iter().any(|i| b.clone().any(|j| asked(i, j)))
}

/// The tile of rows `a` and `b`, each given with the index of its first. Off the diagonal `b`,
/// which comes first, is whole; on it, rows that are lacking are stood in for by the last.
///
/// # Safety
/// As for `tile`.
#[inline(always)]
unsafe fn choose<V: Lanes, P: Precision>(
    (i, a): (usize, &[*const f32]),
    (j, b): (usize, &[*const f32]),
    next: &[*const f32],
    columns: Range<usize>,
    sums: (usize, &mut [f64]),
) {
    let all: [*const f32; MOST] = std::array::from_fn(|s| a[s.min(a.len() - 1)]);
    macro_rules! tiles {
        ($whole:literal: $($rows:literal)*) => {
            match a.len() {
                _ if i == j => {
                    let all = (i, &all[..$whole]);
                    tile::<V, P, $whole, $whole, true>(all, all, a.len(), next, columns, sums)
                }
                $($rows => {
                    tile::<V, P, $rows, $whole, false>((i, a), (j, b), $rows, next, columns, sums)
                },)*
                rows => unreachable!("a tile of {rows} rows"),
            }
        };
    }
    // SAFETY: passed on from the caller; the slices have the lengths that are matched.
    unsafe {
        // Only one branch is compiled for each `V` and `P`.
        if P::TILE == 4 {
            tiles! { 4: 1 2 3 4 }
        } else if P::TILE == 3 {
            tiles! { 3: 1 2 3 }
        } else {
            tiles! { 2: 1 2 }
        }
    }
}

/// The sum of a pair's 16 lanes, in one fixed tree.
pub(super) fn fold(lanes: &[f64]) -> f64 {
    let mut parts: [f64; LANES] = lanes.try_into().expect("16 lanes");
    let mut count = LANES;
    while count > 1 {
        count /= 2;
        for p in 0..count {
            parts[p] += parts[p + count];
        }
    }
    parts[0]
}

/// Adds the squared differences of I rows with J others (or, on the diagonal, of the first `real`
/// of I rows among themselves) over some columns, and asks for the next block of the rows `next`.
///
/// # Safety
/// The processor has `V`; each row has the columns, a multiple of 16.
#[inline(always)]
unsafe fn tile<V: Lanes, P: Precision, const I: usize, const J: usize, const DIAGONAL: bool>(
    (i, a): (usize, &[*const f32]),
    (j, b): (usize, &[*const f32]),
    real: usize,
    next: &[*const f32],
    columns: Range<usize>,
    (before, lanes): (usize, &mut [f64]),
) {
    assert!(a.len() == I && b.len() == J && real <= I);
    // SAFETY: the caller gives rows with these columns; lane + WIDTH ≤ 16.
    unsafe {
        // One row is asked for in the loop, without a branch there (where none is left, columns at
        // hand are); more than one, as few rows have, at once.
        let (first, more) = next.split_first().unzip();
        let first = first.map_or(b[0], |row: &*const f32| row.wrapping_add(BLOCK));
        for row in more.unwrap_or_default() {
            for k in columns.clone().step_by(LANES) {
                V::prefetch_far(row.wrapping_add(k + BLOCK));
            }
        }
        for lane in (0..LANES).step_by(V::WIDTH) {
            let mut acc = [[P::zero(); J]; I];
            let mut k = columns.start + lane;
            while k < columns.end {
                V::prefetch_far(first.wrapping_add(k));
                let mut y = [P::zero(); J];
                for t in 0..J {
                    y[t] = P::load(b[t].add(k));
                }
                for s in 0..I {
                    let x = if DIAGONAL { y[s] } else { P::load(a[s].add(k)) };
                    for t in 0..if DIAGONAL { s } else { J } {
                        acc[s][t] = P::add(x, y[t], acc[s][t]);
                    }
                }
                k += LANES;
            }
            for s in (0..I).filter(|&s| s < real) {
                let row = pairs_below(i + s) + j - before;
                for t in 0..if DIAGONAL { s } else { J } {
                    let at = LANES * (row + t) + lane;
                    P::add_to(acc[s][t], lanes[at..at + V::WIDTH].as_mut_ptr());
                }
            }
        }
    }
}
