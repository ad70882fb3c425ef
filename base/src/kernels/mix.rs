//! Mixing: windows of C·X for an m × n matrix of coefficients.
//!
//! Sums are f64 in the order of a recipe's terms, rounded once. Bits agree on every instruction
//! set.

use crate::kernels::combine;
use crate::kernels::isa::Isa;
use crate::kernels::lanes::Lanes;
use crate::mixed::Recipe;
use crate::{Matrix, Rows};
use std::cell::RefCell;
use std::ops::Range;

/// Columns of a tile: long enough pieces of each row for the processor to stream, while the tile of
/// all rows, as f64, stays in the L2 cache.
const TILE: usize = 512;

/// Doubles between the rows of a tile: an odd number of cache lines, so that the same columns of
/// all rows do not compete for the same places.
const STRIDE: usize = TILE + 8;

/// Floats of a cache line.
const LINE: usize = 16;

/// Vectors that are summed at a time: enough independent sums to hide the latency of an addition.
const PARTS: usize = 4;

thread_local! {
    static TILES: RefCell<Vec<f64>> = RefCell::default();
}

/// Writes the columns of the rows that `recipe` makes into the first columns of `out`, which has
/// room for whole steps of 64. Coefficients of 0 cost nothing, equal rows are worked out once,
/// where all of a row's coefficients are equal the rows are added and the sum is scaled, and a sum
/// that begins another is gone on from. Cost O(d · nonzero coefficients).
pub(crate) fn window(
    isa: Isa,
    rows: Rows<'_>,
    recipe: &Recipe,
    columns: Range<usize>,
    out: &mut Matrix,
) {
    assert!(columns.len().next_multiple_of(64) <= out.d().next_multiple_of(16), "room for all");
    if recipe.terms.len() <= 2 * rows.n() {
        for i in 0..recipe.m() {
            let out = &mut out.row_mut(i)[..columns.len()];
            line(isa, rows, recipe, i, columns.clone(), out);
        }
        return;
    }
    TILES.with_borrow_mut(|wide| {
        // On cache lines: a vector that straddles two costs two loads.
        wide.resize(rows.n() * STRIDE + 8, 0.0);
        let from = wide.as_ptr().align_offset(64).min(8);
        tiles(isa, rows, recipe, columns, &mut wide[from..], out);
    });
}

/// Writes row i of those that `recipe` makes.
pub(crate) fn row(isa: Isa, rows: Rows<'_>, recipe: &Recipe, i: usize, out: &mut [f32]) {
    crate::blocks::fill(out, crate::blocks::BLOCK, |columns, out| {
        line(isa, rows, recipe, i, columns, out);
    });
}

/// Columns of one row: for few terms, each of them read once.
fn line(
    isa: Isa,
    rows: Rows<'_>,
    recipe: &Recipe,
    i: usize,
    columns: Range<usize>,
    out: &mut [f32],
) {
    let line = recipe.lines[recipe.lines[i].same.unwrap_or(i)];
    combine::sum_terms(isa, rows, &recipe.terms[line.from..line.to], line.scale, columns, out);
}

kernel! {
    /// Sets the first columns of `out`; `wide` has room for a tile of every row.
    fn tiles(
        @isa; rows: Rows<'_>,
        recipe: &Recipe,
        columns: Range<usize>,
        wide: &mut [f64],
        out: &mut Matrix,
    ) = mix_tiles;
}

/// # Safety
/// The processor has `V`.
#[inline(always)]
unsafe fn mix_tiles<V: Lanes>(
    rows: Rows<'_>,
    recipe: &Recipe,
    columns: Range<usize>,
    wide: &mut [f64],
    out: &mut Matrix,
) {
    // Where a row is read about once it need not be widened beforehand.
    let direct = recipe.work <= 2 * rows.n();
    for from in columns.clone().step_by(TILE) {
        let (len, place) = (TILE.min(columns.end - from), from - columns.start);
        let direct = direct && len % (PARTS * LINE) == 0;
        if !direct {
            // SAFETY: `columns` lies in the rows; `wide` holds a tile of each row.
            unsafe { widen::<V>(rows, from, len, wide) };
        }
        // While a tile is worked on, each step asks for some lines of the next one.
        let lines = rows.n() * TILE / LINE;
        let steps = recipe.order.len() * len.div_ceil(PARTS * V::WIDTH);
        let (mut step, mut asked) = (0, 0);
        for k in (0..len).step_by(PARTS * V::WIDTH) {
            // SAFETY: the processor has `V`.
            let mut sums = unsafe { [V::splat_wide(0.0); PARTS] };
            for &i in &recipe.order {
                let line = recipe.lines[i];
                let terms = &recipe.terms[line.from + line.shared..line.to];
                step += 1;
                while asked < lines * step / steps {
                    let (row, at) = (asked * LINE / TILE, from + TILE + asked * LINE % TILE);
                    V::prefetch_far(rows.row(row).as_ptr().wrapping_add(at));
                    asked += 1;
                }
                // SAFETY: as above, and `to` holds PARTS vectors.
                unsafe {
                    if line.shared == 0 {
                        sums = [V::splat_wide(0.0); PARTS];
                    }
                    if direct {
                        let at = |row: usize| rows.row(row)[from..from + len].as_ptr().add(k);
                        let load = |row, part| V::load_widened(at(row).add(part * V::WIDTH));
                        add::<V>(terms, line.scale.is_none(), load, &mut sums);
                    } else {
                        let at = |row: usize| wide[row * STRIDE..][..TILE].as_ptr().add(k);
                        let load = |row, part| V::load_wide(at(row).add(part * V::WIDTH));
                        add::<V>(terms, line.scale.is_none(), load, &mut sums);
                    }
                    let to = &mut out.row_mut(i)[place + k..place + k + PARTS * V::WIDTH];
                    let scale = V::splat_wide(line.scale.unwrap_or(1.0));
                    for (part, &sum) in sums.iter().enumerate() {
                        let sum = V::narrow(V::mul_wide(sum, scale));
                        sum.store(to.as_mut_ptr().add(part * V::WIDTH));
                    }
                }
            }
        }
    }
    for (i, line) in recipe.lines.iter().enumerate() {
        if let Some(same) = line.same {
            out.copy_row(same, i);
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
                V::store_wide(V::load_widened(row.as_ptr().add(k)), wide.as_mut_ptr().add(k));
            }
        }
        for k in whole..len.next_multiple_of(64) {
            wide[k] = row.get(k).map_or(0.0, |&x| f64::from(x));
        }
    }
}

/// Adds the terms to PARTS vectors of sums; `load` gives a vector of a row.
///
/// # Safety
/// The processor has `V`, and `load` may be called on each row that is a term and each part.
#[inline(always)]
unsafe fn add<V: Lanes>(
    terms: &[(usize, f64)],
    weighted: bool,
    load: impl Fn(usize, usize) -> V::Wide,
    sums: &mut [V::Wide; PARTS],
) {
    if weighted {
        for &(row, weight) in terms {
            // SAFETY: passed on from the caller.
            let weight = unsafe { V::splat_wide(weight) };
            for (part, sum) in sums.iter_mut().enumerate() {
                *sum = V::add_wide(*sum, V::mul_wide(weight, load(row, part)));
            }
        }
    } else {
        for &(row, _) in terms {
            for (part, sum) in sums.iter_mut().enumerate() {
                *sum = V::add_wide(*sum, load(row, part));
            }
        }
    }
}
