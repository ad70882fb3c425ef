//! Networks as tables of comparators over a tile of columns that stays in the L1 cache: any n, any
//! ranks, no code of their own.

use super::job::{Job, STEP};
use crate::kernels::isa::Isa;
use crate::kernels::lanes::Lanes;
use crate::kernels::network::{Network, Read, network};
use std::sync::{Arc, Mutex};

/// The network for the ranks `from` to `to` − 1 of n, made once in a process.
pub(super) fn table(n: usize, from: usize, to: usize) -> Arc<Network> {
    type Made = Vec<((usize, usize, usize), Arc<Network>)>;
    static MADE: Mutex<Made> = Mutex::new(Vec::new());
    let mut made = MADE.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    let key = (n, from, to);
    if let Some((_, table)) = made.iter().find(|(known, _)| *known == key) {
        return table.clone();
    }
    let table = Arc::new(network(n, from, to));
    made.push((key, table.clone()));
    table
}

/// Floats of a tile: two thirds of the smallest L1 cache in use.
const TILE: usize = 5 * 1024;

/// Columns of a tile of n rows.
fn width(n: usize) -> usize {
    (TILE / n / STEP * STEP).clamp(STEP, 4 * STEP)
}

/// Reduces the block's columns into `out`, with the comparators of `network`.
pub(super) fn run(isa: Isa, job: &mut Job<'_>, network: &Network, out: &mut [f32]) {
    let floats = width(job.n) * job.n;
    if job.tile.len() < floats {
        job.tile.resize(floats, 0.0);
    }
    interpret(isa, job, network, out);
}

kernel! {
    fn interpret(@isa; job: &mut Job<'_>, network: &Network, out: &mut [f32]) = drive;
}

/// # Safety
/// The processor has `V`.
#[inline(always)]
unsafe fn drive<V: Lanes>(job: &mut Job<'_>, network: &Network, out: &mut [f32]) {
    let columns = width(job.n);
    for (t, out) in out.chunks_mut(columns).enumerate() {
        let from = t * columns;
        // SAFETY: passed on from the caller; the chunk's columns are of the block, and the tile
        // has n·columns floats.
        unsafe {
            fill::<V>(job, from, columns, out.len());
            compare::<V>(network, job.tile, columns);
            answer::<V>(job, &network.order, from, columns, out);
        }
    }
}

/// Copies `width` columns of each row into the tile; NaN enters as +∞, −0 as +0.
///
/// # Safety
/// The processor has `V`; the sources have `width` ≤ `columns` columns at `from`; the tile fits.
#[inline(always)]
unsafe fn fill<V: Lanes>(job: &mut Job<'_>, from: usize, columns: usize, width: usize) {
    assert!(job.tile.len() >= job.n * columns, "the tile holds every row");
    for i in 0..job.n {
        // SAFETY: row i has the columns; the tile has room for `columns` of each row.
        unsafe {
            let row = job.sources[i].add(from);
            let to = job.tile.as_mut_ptr().add(i * columns);
            if width == columns {
                for w in (0..columns).step_by(V::WIDTH) {
                    let x = V::load(row.add(w));
                    x.min(V::splat(f32::INFINITY)).add(V::splat(0.0)).store(to.add(w));
                }
                continue;
            }
            for w in 0..columns {
                let x = if w < width { row.add(w).read() } else { 0.0 };
                to.add(w).write(if x.is_nan() { f32::INFINITY } else { x + 0.0 });
            }
        }
    }
}

/// # Safety
/// The processor has `V`; the tile has `columns` floats a wire.
#[inline(always)]
unsafe fn compare<V: Lanes>(network: &Network, tile: &mut [f32], columns: usize) {
    let wires = network.order.len();
    assert!(tile.len() >= wires * columns, "the tile holds every wire");
    let tile = tile.as_mut_ptr();
    for c in &network.comparators {
        debug_assert!(c.a < wires && c.b < wires && c.a != c.b);
        // SAFETY: both wires lie in the tile, and `columns` is a multiple of 16.
        unsafe {
            let (a, b) = (tile.add(c.a * columns), tile.add(c.b * columns));
            match c.read {
                Read::Both => exchange::<V, true, true>(a, b, columns),
                Read::Least => exchange::<V, true, false>(a, b, columns),
                Read::Greatest => exchange::<V, false, true>(a, b, columns),
            }
        }
    }
}

/// Puts the lesser of each pair into `a` and the greater into `b`, where they are wanted.
///
/// # Safety
/// The processor has `V`; both hold `columns` floats, a multiple of 16.
#[inline(always)]
unsafe fn exchange<V: Lanes, const LEAST: bool, const GREATEST: bool>(
    a: *mut f32,
    b: *mut f32,
    columns: usize,
) {
    for w in (0..columns).step_by(STEP) {
        for w in (w..w + STEP).step_by(V::WIDTH) {
            // SAFETY: passed on from the caller; WIDTH divides 16.
            unsafe {
                let (x, y) = (V::load(a.add(w)), V::load(b.add(w)));
                if LEAST {
                    x.min(y).store(a.add(w));
                }
                if GREATEST {
                    x.max(y).store(b.add(w));
                }
            }
        }
    }
}

/// # Safety
/// The processor has `V`; the tile holds the sorted columns `from` on of the block.
#[inline(always)]
unsafe fn answer<V: Lanes>(
    job: &mut Job<'_>,
    order: &[usize],
    from: usize,
    columns: usize,
    out: &mut [f32],
) {
    let tile = job.tile.as_mut_ptr();
    let mut last = [0.0f32; STEP];
    let mut w = 0;
    while w < out.len() {
        let width = V::WIDTH.min(out.len() - w);
        let mut centre = job.centre.wrapping_add(from + w);
        if width < V::WIDTH && job.given() {
            // SAFETY: a given centre has the block's columns; `last` has room for 16.
            unsafe { std::ptr::copy_nonoverlapping(centre, last.as_mut_ptr(), width) };
            centre = last.as_ptr();
        }
        let mut lanes = [0.0f32; STEP];
        // SAFETY: every wire has `columns` floats in the tile, a multiple of WIDTH; `lanes` has
        // room for 16; the centre has WIDTH columns or a padded copy.
        let open = unsafe {
            let at = |rank: usize| tile.add(order[rank] * columns + w);
            let (answer, open) = job.reduce::<V>(at, centre);
            answer.store(lanes.as_mut_ptr());
            open
        };
        out[w..w + width].copy_from_slice(&lanes[..width]);
        let open = open & (u32::MAX >> (32 - width));
        if open != 0 {
            job.settle_open(from + w, open, &mut out[w..w + width]);
        }
        w += V::WIDTH;
    }
}
