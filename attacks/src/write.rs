//! Writing rows: one vector for all colluders, statistics of columns, addressed noise.

use varangian_base::blocks::{self, BLOCK};
pub(crate) use varangian_base::kernels::moments::{moments as by_moments, nearest};

use std::ops::Range;
use varangian_base::kernels::combine;
use varangian_base::{Domain, Rows, RowsMut, Seed, Stream};

/// Columns that are written and copied at a time: they are in the L1 cache when they are copied.
pub(crate) const PIECE: usize = 4096;

/// Lets `write` fill the first row, some columns at a time, and copies them into the others.
pub(crate) fn colluders(out: RowsMut<'_>, write: impl Fn(Range<usize>, &mut [f32]) + Sync) {
    blocks::fill_rows(out, PIECE, |range, parts| {
        let (first, rest) = parts.split_first_mut().expect("a row at least");
        write(range, first);
        rest.iter_mut().for_each(|part| part.copy_from_slice(first));
    });
}

/// Lets `write` fill the first row as a whole and copies it into the others.
pub(crate) fn copies(mut out: RowsMut<'_>, write: impl FnOnce(&mut [f32])) {
    let mut rows = out.iter_mut();
    let Some(first) = rows.next() else { return };
    write(first);
    let first: &[f32] = first;
    for row in rows {
        blocks::fill(row, BLOCK, |range, part| part.copy_from_slice(&first[range]));
    }
}

/// factor · mean of the rows, into `out`.
pub(crate) fn scaled_mean(rows: Rows<'_>, factor: f64, out: &mut [f32]) {
    let weights = vec![factor / rows.n() as f64; rows.n()];
    combine::combine(rows, &weights, out);
}

/// Sets out[k] to `value` of a stream, k and what stood there. Each block of coordinates has its
/// own stream at (`Domain::Attack`, worker, step, purpose and block).
pub(crate) fn draw(
    seed: Seed,
    worker: u32,
    step: u64,
    purpose: u32,
    out: &mut [f32],
    value: impl Fn(&mut Stream, usize, f32) -> f32 + Sync,
) {
    blocks::fill(out, BLOCK, |range, part| {
        let lane = u64::from(purpose) << 32 | (range.start / BLOCK) as u64;
        let mut stream = seed.lane(Domain::Attack, worker, step, lane);
        for (k, x) in range.zip(part) {
            *x = value(&mut stream, k, *x);
        }
    });
}

/// Random signs that stay the same for the whole run, into `out`: drawn at step 0 of a hostile
/// worker.
pub(crate) fn fixed_signs(seed: Seed, worker: u32, out: &mut [f32]) {
    draw(
        seed,
        worker,
        0,
        purpose::SIGNS,
        out,
        |stream, _, _| if stream.coin(0.5) { 1.0 } else { -1.0 },
    );
}

/// The purposes of draws: one number each, so that no two share a stream.
pub(crate) mod purpose {
    pub(crate) const NOISE: u32 = 0;
    pub(crate) const JITTER: u32 = 1;
    pub(crate) const BITS: u32 = 2;
    pub(crate) const MIMIC: u32 = 3;
    pub(crate) const FANG: u32 = 4;
    pub(crate) const SIGNS: u32 = 5;
    pub(crate) const SEARCH: u32 = 6;
}
