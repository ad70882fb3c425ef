//! Squared norms, inner products and distances of single vectors and of rows with one vector.
//!
//! Everything is f64: 16 interleaved sums over a chunk of columns, folded pairwise, chunks added in
//! order. Bits agree on every instruction set, and between a row alone and among others.

use crate::blocks;
use crate::kernels::isa::{self, Isa};
use crate::kernels::lanes::Lanes;
use crate::{Matrix, Mixed, Rows};
use std::cell::RefCell;
use std::ops::Range;

/// Floats that are asked for ahead of those that are added.
const AHEAD: usize = 512;

/// Interleaved sums.
const LANES: usize = 16;

/// Columns of a chunk: a vector's chunk stays in the L2 cache while all rows meet it.
const CHUNK: usize = 16 * 1024;

/// What is summed of a row's value a and the vector's b.
#[derive(Clone, Copy)]
enum Of {
    /// a²; there is no vector.
    Square,
    /// a·b.
    Product,
    /// (a − b)².
    SquaredDifference,
}

const SQUARE: u8 = Of::Square as u8;
const PRODUCT: u8 = Of::Product as u8;
const DIFFERENCE: u8 = Of::SquaredDifference as u8;

/// ⟨a, b⟩ in f64.
pub fn dot(a: &[f32], b: &[f32]) -> f64 {
    whole(Of::Product, a, b)
}

/// ‖a‖² in f64.
pub fn norm2(a: &[f32]) -> f64 {
    whole(Of::Square, a, a)
}

/// ‖a − b‖² in f64, by differences.
pub fn distance2(a: &[f32], b: &[f32]) -> f64 {
    whole(Of::SquaredDifference, a, b)
}

/// ‖xᵢ‖² of every row, into `out`. Cost O(n·d).
pub fn rows_norm2<'a>(rows: impl Into<Mixed<'a>>, out: &mut Vec<f64>) {
    every_row(Of::Square, rows.into(), &[], out);
}

/// ⟨xᵢ, c⟩ of every row, into `out`. Cost O(n·d).
pub fn rows_dot<'a>(rows: impl Into<Mixed<'a>>, centre: &[f32], out: &mut Vec<f64>) {
    every_row(Of::Product, checked(rows.into(), centre), centre, out);
}

/// ‖xᵢ − c‖² of every row, into `out`. Cost O(n·d).
pub fn rows_distance2<'a>(rows: impl Into<Mixed<'a>>, centre: &[f32], out: &mut Vec<f64>) {
    every_row(Of::SquaredDifference, checked(rows.into(), centre), centre, out);
}

/// A row's sums, on cache lines.
#[derive(Clone, Copy)]
#[repr(C, align(64))]
pub(super) struct Sums(pub(super) [f64; LANES]);

impl Sums {
    const ZERO: Sums = Sums([0.0; LANES]);

    /// All of them, folded pairwise.
    pub(super) fn fold(mut self) -> f64 {
        let mut width = LANES;
        while width > 1 {
            width /= 2;
            for lane in 0..width {
                self.0[lane] += self.0[lane + width];
            }
        }
        self.0[0]
    }
}

/// What a thread keeps: a window of mixed rows, and the sums of every row.
#[derive(Default)]
struct Scratch {
    window: Matrix,
    sums: Vec<Sums>,
}

thread_local! {
    static SCRATCH: RefCell<Scratch> = RefCell::default();
}

fn whole(of: Of, a: &[f32], b: &[f32]) -> f64 {
    assert_eq!(a.len(), b.len());
    let isa = isa::active();
    let mut total = 0.0;
    for (a, b) in a.chunks(CHUNK).zip(b.chunks(CHUNK)) {
        let mut sums = [Sums::ZERO];
        add(isa, of, Rows::new(a, 1, a.len()), b, &mut sums);
        total += sums[0].fold();
    }
    total
}

/// The rows, if the vector is as long.
fn checked<'a>(rows: Mixed<'a>, centre: &[f32]) -> Mixed<'a> {
    assert_eq!(centre.len(), rows.d(), "the vector has d coordinates");
    rows
}

/// The centre is empty where only squares are summed.
fn every_row(of: Of, rows: Mixed<'_>, centre: &[f32], out: &mut Vec<f64>) {
    let (n, d) = (rows.n(), rows.d());
    let isa = isa::active();
    // One slot for every chunk and row; chunks are folded into the first n.
    out.clear();
    out.resize(d.div_ceil(CHUNK).max(1) * n, 0.0);
    blocks::fill(out, n.max(1), |slots, out| {
        let from = slots.start / n * CHUNK;
        SCRATCH.with_borrow_mut(|scratch| {
            chunk(isa, of, rows, centre, from..(from + CHUNK).min(d), scratch);
            out.iter_mut().zip(&scratch.sums).for_each(|(out, sums)| *out = sums.fold());
        });
    });
    if let Some(shard) = rows.sent().shard() {
        *out = shard.blocks(&out[..d.div_ceil(CHUNK) * n], n, CHUNK);
        out.resize(out.len().max(n), 0.0);
    }
    let (first, rest) = out.split_at_mut(n);
    for sums in rest.chunks_exact(n.max(1)) {
        first.iter_mut().zip(sums).for_each(|(total, sum)| *total += sum);
    }
    out.truncate(n);
}

/// Sets the sums of every row over a chunk of columns.
fn chunk(
    isa: Isa,
    of: Of,
    rows: Mixed<'_>,
    centre: &[f32],
    columns: Range<usize>,
    scratch: &mut Scratch,
) {
    let Scratch { window, sums } = scratch;
    sums.clear();
    sums.resize(rows.n(), Sums::ZERO);
    for columns in rows.windows(columns) {
        let part = rows.window(isa, columns.clone(), window);
        let centre = if centre.is_empty() { centre } else { &centre[columns] };
        add(isa, of, part, centre, sums);
    }
}

kernel! {
    /// Adds the rows' terms to their sums; all columns but the last of a chunk come in steps of 16.
    fn add(@isa; of: Of, rows: Rows<'_>, centre: &[f32], sums: &mut [Sums]) = add_rows;
}

/// # Safety
/// The processor has `V`.
#[inline(always)]
unsafe fn add_rows<V: Lanes>(of: Of, rows: Rows<'_>, centre: &[f32], sums: &mut [Sums]) {
    // SAFETY: passed on from the caller.
    unsafe {
        match of {
            Of::Square => rows_of::<V, SQUARE>(rows, centre, sums),
            Of::Product => rows_of::<V, PRODUCT>(rows, centre, sums),
            Of::SquaredDifference => rows_of::<V, DIFFERENCE>(rows, centre, sums),
        }
    }
}

/// # Safety
/// The processor has `V`.
#[inline(always)]
unsafe fn rows_of<V: Lanes, const OF: u8>(rows: Rows<'_>, centre: &[f32], sums: &mut [Sums]) {
    // SAFETY: passed on from the caller.
    unsafe {
        match V::WIDTH {
            16 => groups::<V, OF, 4>(rows, centre, sums),
            8 => groups::<V, OF, 2>(rows, centre, sums),
            _ => groups::<V, OF, 1>(rows, centre, sums),
        }
    }
}

/// Rows in groups of N, as many as have their sums in registers: several streams from memory at a
/// time, and the centre is widened once for all.
///
/// # Safety
/// The processor has `V`.
#[inline(always)]
unsafe fn groups<V: Lanes, const OF: u8, const N: usize>(
    rows: Rows<'_>,
    centre: &[f32],
    sums: &mut [Sums],
) {
    assert!(sums.len() == rows.n() && (OF == SQUARE || centre.len() == rows.d()));
    let (fours, rest) = sums.as_chunks_mut::<N>();
    let alone = fours.len() * N;
    // SAFETY: passed on from the caller; every row and the centre have the rows' columns.
    unsafe {
        for (g, sums) in fours.iter_mut().enumerate() {
            let group = std::array::from_fn(|s| rows.row(g * N + s));
            group_of::<V, OF, N>(group, centre, sums);
        }
        for (i, sums) in rest.iter_mut().enumerate() {
            let sums = std::array::from_mut(sums);
            group_of::<V, OF, 1>([rows.row(alone + i)], centre, sums);
        }
    }
}

/// What is summed of a and b.
#[inline(always)]
fn term<V: Lanes, const OF: u8>(a: V::Wide, b: V::Wide) -> V::Wide {
    match OF {
        SQUARE => V::mul_wide(a, a),
        PRODUCT => V::mul_wide(a, b),
        _ => {
            let difference = V::sub_wide(a, b);
            V::mul_wide(difference, difference)
        }
    }
}

/// # Safety
/// The processor has `V`; the rows and the centre have the same length.
#[inline(always)]
unsafe fn group_of<V: Lanes, const OF: u8, const N: usize>(
    rows: [&[f32]; N],
    centre: &[f32],
    sums: &mut [Sums; N],
) {
    let len = rows[0].len();
    let whole = len / LANES * LANES;
    let tail = |x: &[f32]| {
        let mut padded = [0.0f32; LANES];
        padded[..len - whole].copy_from_slice(&x[whole..]);
        padded
    };
    let tails = rows.map(tail);
    let last = if OF == SQUARE { [0.0; LANES] } else { tail(centre) };
    // SAFETY: passed on from the caller; the padded ends have 16 floats, and so has a sum doubles.
    unsafe {
        let at = rows.map(<[f32]>::as_ptr);
        lanes_of::<V, OF, N>(at, centre.as_ptr(), whole, sums);
        if whole < len {
            let at = tails.each_ref().map(|tail| tail.as_ptr());
            lanes_of::<V, OF, N>(at, last.as_ptr(), LANES, sums);
        }
    }
}

/// Adds `len` columns.
///
/// # Safety
/// The processor has `V`; the rows, and the centre where it counts, have `len` columns, a multiple
/// of 16.
#[inline(always)]
unsafe fn lanes_of<V: Lanes, const OF: u8, const N: usize>(
    rows: [*const f32; N],
    centre: *const f32,
    len: usize,
    sums: &mut [Sums; N],
) {
    let parts = LANES / V::WIDTH;
    // SAFETY: passed on from the caller; part · WIDTH + WIDTH ≤ 16.
    unsafe {
        let mut acc = [[V::splat_wide(0.0); LANES / 4]; N];
        for s in 0..N {
            for part in 0..parts {
                acc[s][part] = V::load_wide(sums[s].0.as_ptr().add(part * V::WIDTH));
            }
        }
        for k in (0..len).step_by(LANES) {
            for row in rows {
                V::prefetch(row.wrapping_add(k + AHEAD));
            }
            for part in 0..parts {
                let at = k + part * V::WIDTH;
                let mut b = V::splat_wide(0.0);
                if OF != SQUARE {
                    b = V::load_widened(centre.add(at));
                }
                for s in 0..N {
                    let a = V::load_widened(rows[s].add(at));
                    acc[s][part] = V::add_wide(acc[s][part], term::<V, OF>(a, b));
                }
            }
        }
        for s in 0..N {
            for part in 0..parts {
                V::store_wide(acc[s][part], sums[s].0.as_mut_ptr().add(part * V::WIDTH));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_common_offset_does_not_cancel() {
        let a: Vec<f32> = (0..1000).map(|k| 4096.0 + (k % 7) as f32 / 1024.0).collect();
        let b: Vec<f32> = (0..1000).map(|k| 4096.0 + (k % 5) as f32 / 1024.0).collect();
        let exact: f64 =
            (0..1000).map(|k| (((k % 7) as f64 - (k % 5) as f64) / 1024.0).powi(2)).sum();
        assert!((distance2(&a, &b) - exact).abs() < 1e-12 * exact);
        assert_eq!(dot(&[1.0, 2.0], &[3.0, 4.0]), 11.0);
        assert_eq!(norm2(&[3.0; 33]), 297.0);
    }
}
