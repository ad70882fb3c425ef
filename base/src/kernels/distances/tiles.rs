//! Register tiles of pairs of rows over blocks of columns.
//!
//! A pair has 16 lanes whatever the registers: lane l sums the columns that are l modulo 16, and
//! the lanes meet in f64 in one fixed tree. Narrower registers go over a block more than once.

use crate::Rows;
use crate::kernels::lanes::Lanes;
use std::cell::RefCell;
use std::ops::Range;

/// Lanes of a sum.
const LANES: usize = 16;

/// Columns of a block: the rows of a tile stay in the L1 cache, and a lane sums 64 squares.
const BLOCK: usize = 1024;

/// The most rows of a tile.
const MOST: usize = 4;

/// A block of columns of all rows, and the sums that it is added to.
pub(super) struct Task<'a> {
    /// The first of the columns in each row.
    pub(super) rows: &'a [*const f32],
    /// The number of columns, a multiple of 16.
    pub(super) len: usize,
    /// Which pairs are wanted; empty: all.
    pub(super) wanted: &'a [bool],
    /// A sum for each pair (i, j), j < i, at i·(i−1)/2 + j.
    pub(super) sums: &'a mut [f64],
}

#[derive(Default)]
struct Scratch {
    rows: Vec<*const f32>,
    tail: Vec<f32>,
}

thread_local! {
    static SCRATCH: RefCell<Scratch> = RefCell::default();
}

/// Calls `work` with the columns `range` of the rows in whole multiples of 16, then with those that
/// remain, padded with zeros.
pub(super) fn with_columns(
    rows: Rows<'_>,
    range: Range<usize>,
    mut work: impl FnMut(&[*const f32], usize),
) {
    SCRATCH.with_borrow_mut(|Scratch { rows: columns, tail }| {
        let whole = range.len() / LANES * LANES;
        columns.clear();
        columns.extend(rows.iter().map(|row| row[range.clone()].as_ptr()));
        work(columns, whole);
        if whole == range.len() {
            return;
        }
        tail.clear();
        tail.resize(rows.n() * LANES, 0.0);
        columns.clear();
        for (row, tail) in rows.iter().zip(tail.chunks_exact_mut(LANES)) {
            let rest = &row[range.start + whole..range.end];
            tail[..rest.len()].copy_from_slice(rest);
            columns.push(tail.as_ptr());
        }
        work(columns, LANES);
    });
}

kernel! {
    /// Adds the squared differences, squared and first summed in f32.
    pub(super) fn narrow(task: Task<'_>) = narrow_blocks;
    /// Adds the squared differences, in f64 from the start.
    pub(super) fn wide(task: Task<'_>) = wide_blocks;
}

/// # Safety
/// The processor has `V`; each of the task's rows has its columns.
#[inline(always)]
unsafe fn narrow_blocks<V: Lanes>(task: Task<'_>) {
    // SAFETY: passed on from the caller.
    unsafe { blocks::<V, Narrow>(task) }
}

/// # Safety
/// As for `narrow_blocks`.
#[inline(always)]
unsafe fn wide_blocks<V: Lanes>(task: Task<'_>) {
    // SAFETY: passed on from the caller.
    unsafe { blocks::<V, Wide>(task) }
}

/// The lanes of a tile's sums after a block.
type Sums = [[[f64; LANES]; MOST]; MOST];

/// How a tile is summed.
trait Precision {
    /// Whether registers hold f32.
    const NARROW: bool;

    /// Sums the squared differences of I rows with J others (or, on the diagonal, of I rows among
    /// themselves) over the columns from `k` to `end`.
    ///
    /// # Safety
    /// The processor has `V`; each row has the columns, a multiple of 16.
    unsafe fn tile<V: Lanes, const I: usize, const J: usize, const DIAGONAL: bool>(
        a: &[*const f32],
        b: &[*const f32],
        columns: Range<usize>,
        sums: &mut Sums,
    );
}

/// # Safety
/// As for `narrow_blocks`.
#[inline(always)]
unsafe fn blocks<V: Lanes, P: Precision>(task: Task<'_>) {
    let tile = if P::NARROW { V::TILE } else { V::WIDE_TILE };
    let Task { rows, len, wanted, sums } = task;
    let n = rows.len();
    let mut lanes: Sums = [[[0.0; LANES]; MOST]; MOST];
    for from in (0..len).step_by(BLOCK) {
        let columns = from..(from + BLOCK).min(len);
        for i in (0..n).step_by(tile) {
            let a = &rows[i..(i + tile).min(n)];
            for j in (0..=i).step_by(tile) {
                let b = &rows[j..(j + tile).min(n)];
                if skip(wanted, i..i + a.len(), j..j + b.len()) {
                    continue;
                }
                // SAFETY: passed on from the caller.
                unsafe { choose::<V, P>(a, b, i == j, columns.clone(), &mut lanes) };
                add(sums, (i, a.len()), (j, b.len()), &lanes);
            }
        }
    }
}

/// Whether no pair of rows `a` with rows `b` is wanted.
fn skip(wanted: &[bool], a: Range<usize>, b: Range<usize>) -> bool {
    let asked = |i: usize, j: usize| j < i && wanted[i * (i - 1) / 2 + j];
    !wanted.is_empty() && !a.into_iter().any(|i| b.clone().any(|j| asked(i, j)))
}

/// The tile of these sizes. Off the diagonal `b`, which comes first, is whole; on it, rows that are
/// lacking are stood in for by the last.
///
/// # Safety
/// As for `Precision::tile`.
#[inline(always)]
unsafe fn choose<V: Lanes, P: Precision>(
    a: &[*const f32],
    b: &[*const f32],
    diagonal: bool,
    columns: Range<usize>,
    sums: &mut Sums,
) {
    let all: [*const f32; MOST] = std::array::from_fn(|s| a[s.min(a.len() - 1)]);
    macro_rules! tiles {
        ($whole:literal: $($rows:literal)*) => {
            match a.len() {
                _ if diagonal => {
                    let all = &all[..$whole];
                    P::tile::<V, $whole, $whole, true>(all, all, columns, sums)
                }
                $($rows => P::tile::<V, $rows, $whole, false>(a, b, columns, sums),)*
                rows => unreachable!("a tile of {rows} rows"),
            }
        };
    }
    let tile = if P::NARROW { V::TILE } else { V::WIDE_TILE };
    // SAFETY: passed on from the caller; the slices have the lengths that are matched.
    unsafe {
        // Only one branch is compiled for each `V` and `P`.
        if tile == 4 {
            tiles! { 4: 1 2 3 4 }
        } else if tile == 3 {
            tiles! { 3: 1 2 3 }
        } else {
            tiles! { 2: 1 2 }
        }
    }
}

/// Adds the tile of rows a.0 to a.0 + a.1 with rows b.0 to b.0 + b.1 to the sums of the pairs.
#[inline(always)]
fn add(sums: &mut [f64], a: (usize, usize), b: (usize, usize), lanes: &Sums) {
    for (s, i) in (a.0..a.0 + a.1).enumerate() {
        for (t, j) in (b.0..b.0 + b.1).enumerate().filter(|&(_, j)| j < i) {
            let mut tree = lanes[s][t];
            let mut width = LANES;
            while width > 1 {
                width /= 2;
                for lane in 0..width {
                    tree[lane] += tree[lane + width];
                }
            }
            sums[i * (i - 1) / 2 + j] += tree[0];
        }
    }
}

/// Squares of f32, summed in f32 over a block.
struct Narrow;

impl Precision for Narrow {
    const NARROW: bool = true;

    #[inline(always)]
    unsafe fn tile<V: Lanes, const I: usize, const J: usize, const DIAGONAL: bool>(
        a: &[*const f32],
        b: &[*const f32],
        columns: Range<usize>,
        sums: &mut Sums,
    ) {
        assert!(a.len() == I && b.len() == J);
        // SAFETY: the caller gives rows with these columns; lane + WIDTH ≤ 16.
        unsafe {
            for lane in (0..LANES).step_by(V::WIDTH) {
                let mut acc = [[V::splat(0.0); J]; I];
                let mut k = columns.start + lane;
                while k < columns.end {
                    let mut y = [V::splat(0.0); J];
                    for t in 0..J {
                        y[t] = V::load(b[t].add(k));
                    }
                    for s in 0..I {
                        let x = if DIAGONAL { y[s] } else { V::load(a[s].add(k)) };
                        for t in 0..if DIAGONAL { s } else { J } {
                            acc[s][t] = x.sub(y[t]).square_add(acc[s][t]);
                        }
                    }
                    k += LANES;
                }
                for s in 0..I {
                    for t in 0..if DIAGONAL { s } else { J } {
                        V::store_wide(acc[s][t].widen(), sums[s][t].as_mut_ptr().add(lane));
                    }
                }
            }
        }
    }
}

/// Everything in f64.
struct Wide;

impl Precision for Wide {
    const NARROW: bool = false;

    #[inline(always)]
    unsafe fn tile<V: Lanes, const I: usize, const J: usize, const DIAGONAL: bool>(
        a: &[*const f32],
        b: &[*const f32],
        columns: Range<usize>,
        sums: &mut Sums,
    ) {
        assert!(a.len() == I && b.len() == J);
        // SAFETY: the caller gives rows with these columns; lane + WIDTH ≤ 16.
        unsafe {
            for lane in (0..LANES).step_by(V::WIDTH) {
                let mut acc = [[V::splat_wide(0.0); J]; I];
                let mut k = columns.start + lane;
                while k < columns.end {
                    let mut y = [V::splat_wide(0.0); J];
                    for t in 0..J {
                        y[t] = V::load_widened(b[t].add(k));
                    }
                    for s in 0..I {
                        let x = if DIAGONAL { y[s] } else { V::load_widened(a[s].add(k)) };
                        for t in 0..if DIAGONAL { s } else { J } {
                            let difference = V::sub_wide(x, y[t]);
                            let square = V::mul_wide(difference, difference);
                            acc[s][t] = V::add_wide(acc[s][t], square);
                        }
                    }
                    k += LANES;
                }
                for s in 0..I {
                    for t in 0..if DIAGONAL { s } else { J } {
                        V::store_wide(acc[s][t], sums[s][t].as_mut_ptr().add(lane));
                    }
                }
            }
        }
    }
}
