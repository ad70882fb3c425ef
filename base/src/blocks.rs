//! Work in fixed blocks on the current thread pool.
//!
//! Blocks are cut by position, never by thread, and partial results meet in block order: the bits
//! of a result do not depend on how many threads computed it. The pool is rayon's current one;
//! whoever wants a certain number of threads installs a pool around the call.

use crate::RowsMut;
use rayon::prelude::*;
use std::ops::Range;

/// Coordinates in a block unless a kernel says otherwise: 16 Ki floats, half an L2 cache for a
/// few rows. Smaller inputs run on the calling thread.
pub const BLOCK: usize = 16 * 1024;

/// Calls `work` on each block of `out` with the block's range.
pub fn fill<T: Send>(out: &mut [T], block: usize, work: impl Fn(Range<usize>, &mut [T]) + Sync) {
    assert!(block > 0, "a block holds something");
    let len = out.len();
    let range = |b: usize| b * block..((b + 1) * block).min(len);
    if len <= block || rayon::current_num_threads() == 1 {
        for (b, part) in out.chunks_mut(block).enumerate() {
            work(range(b), part);
        }
    } else {
        out.par_chunks_mut(block).enumerate().for_each(|(b, part)| work(range(b), part));
    }
}

/// As [`fill`] on two outputs of the same length, cut at the same places.
pub fn fill_both<A: Send, B: Send>(
    a: &mut [A],
    b: &mut [B],
    block: usize,
    work: impl Fn(Range<usize>, &mut [A], &mut [B]) + Sync,
) {
    assert!(block > 0, "a block holds something");
    assert_eq!(a.len(), b.len(), "two outputs of one length");
    let len = a.len();
    let range = |i: usize| i * block..((i + 1) * block).min(len);
    if len <= block || rayon::current_num_threads() == 1 {
        for (i, (a, b)) in a.chunks_mut(block).zip(b.chunks_mut(block)).enumerate() {
            work(range(i), a, b);
        }
    } else {
        let both = a.par_chunks_mut(block).zip(b.par_chunks_mut(block));
        both.enumerate().for_each(|(i, (a, b))| work(range(i), a, b));
    }
}

/// Calls `work` on each block of columns with its range and each row's part of it.
pub fn fill_rows(
    rows: RowsMut<'_>,
    block: usize,
    work: impl Fn(Range<usize>, &mut [&mut [f32]]) + Sync,
) {
    assert!(block > 0, "a block holds something");
    let (n, len) = (rows.n(), rows.d());
    if n == 0 {
        return;
    }
    let mut rows: Vec<_> = rows.into_iter_mut().map(|row| row.chunks_mut(block)).collect();
    let mut parts: Vec<&mut [f32]> = Vec::with_capacity(n * len.div_ceil(block));
    for _ in 0..len.div_ceil(block) {
        parts.extend(rows.iter_mut().filter_map(Iterator::next));
    }
    let range = |b: usize| b * block..((b + 1) * block).min(len);
    if len <= block || rayon::current_num_threads() == 1 {
        parts.chunks_mut(n).enumerate().for_each(|(b, parts)| work(range(b), parts));
    } else {
        parts.par_chunks_mut(n).enumerate().for_each(|(b, parts)| work(range(b), parts));
    }
}

/// Calls `work` on each block of 0 to `len` − 1.
pub fn each(len: usize, block: usize, work: impl Fn(Range<usize>) + Sync) {
    assert!(block > 0, "a block holds something");
    let blocks = len.div_ceil(block);
    let range = |b: usize| b * block..((b + 1) * block).min(len);
    if blocks <= 1 || rayon::current_num_threads() == 1 {
        (0..blocks).for_each(|b| work(range(b)));
    } else {
        (0..blocks).into_par_iter().for_each(|b| work(range(b)));
    }
}

/// Calls `work` on each block of 0 to `len` − 1, writing one slot of `partial` a block; the caller
/// folds the slots in order. `partial` is resized to the number of blocks.
pub fn map<T: Send + Clone + Default>(
    len: usize,
    block: usize,
    partial: &mut Vec<T>,
    work: impl Fn(Range<usize>, &mut T) + Sync,
) {
    assert!(block > 0, "a block holds something");
    let blocks = len.div_ceil(block);
    partial.resize(blocks, T::default());
    let range = |b: usize| b * block..((b + 1) * block).min(len);
    if blocks <= 1 || rayon::current_num_threads() == 1 {
        for (b, slot) in partial.iter_mut().enumerate() {
            work(range(b), slot);
        }
    } else {
        partial.par_iter_mut().enumerate().for_each(|(b, slot)| work(range(b), slot));
    }
}
