//! Products with rows that are mostly one value: images on a plain background, sparse tables.
//!
//! A row x is c everywhere but at few places, so W·x = c·(row sums of W) + Σ W·(x − c) over those
//! places alone, and the gradient by W is c·(Σ d) everywhere plus what those places add. The sums
//! are those of the dense product in another order; a weight that is not finite is not seen by a
//! sample that is 0 there.

mod turn;

use super::floats::Floats;
use super::panel::{PANEL, packed};
use super::{Lanes, kernel};
use crate::batch::{Entries, Listed};

/// Inputs whose weights stay in the first cache together.
const STRIP: usize = 48;
/// Columns of the right side that are summed together.
const GROUP: usize = 64;
/// Inputs whose part of the gradient is summed, then turned, together.
const TURN: usize = 16;
/// Scratch memory of products with listed rows.
#[derive(Default)]
pub(crate) struct Sparse {
    /// The entries by column: where each column starts, the rows, the values.
    turned: Turned,
    /// Each row's next entry.
    next: Vec<u32>,
    /// A group's part of the right side, the background's part and the sums of a block.
    scratch: Floats,
}

/// The entries column by column.
#[derive(Default)]
struct Turned {
    starts: Vec<u32>,
    entries: Vec<(u32, f32)>,
}

/// Lists rows of `width` floats apart, if at least two thirds are the first one or 0; otherwise
/// answers no after few rows.
pub(crate) fn gather(entries: &mut Entries, rows: &[f32], width: usize) -> bool {
    let first = rows.first().copied().unwrap_or(0.0);
    gather_from(entries, rows, width, first)
        || (first != 0.0 && gather_from(entries, rows, width, 0.0))
}

fn gather_from(entries: &mut Entries, rows: &[f32], width: usize, background: f32) -> bool {
    if !entries.start(rows.len() / width.max(1), width, background) {
        return false;
    }
    for row in rows.chunks_exact(width) {
        let (columns, values) = entries.room();
        let count = differing(row, background, columns, values);
        if !entries.end_row(count) {
            return false;
        }
    }
    entries.end()
}

impl Sparse {
    /// out = rows · panels + `start`, as [`super::panel::times`] for the width × n matrix in
    /// `panels`; `start` holds what the background gives.
    pub(crate) fn times(
        &mut self,
        rows: Listed<'_>,
        panels: &[f32],
        width: usize,
        n: usize,
        start: &[f32],
        out: &mut [f32],
    ) {
        assert!(panels.len() == packed(width, n) && start.len() == n);
        assert_eq!(out.len(), rows.rows() * n);
        out.chunks_exact_mut(n).for_each(|row| row.copy_from_slice(start));
        self.next.resize(rows.rows(), 0);
        times_dispatch(rows, &mut self.next, panels, n, out);
    }

    /// out = rightᵀ · rows: n × width, packed; `right` has n columns a row, and `right_sums` are
    /// the sums of its columns.
    pub(crate) fn gradient(
        &mut self,
        listed: Listed<'_>,
        right: &[f32],
        right_sums: &[f32],
        width: usize,
        out: &mut [f32],
    ) {
        let (n, rows) = (right_sums.len(), listed.rows());
        assert!(right.len() == rows * n && out.len() == n * width);
        let Sparse { turned, scratch, .. } = self;
        turned.fill(listed, width);
        let (base, rest) = scratch.room((1 + TURN + rows) * GROUP).split_at_mut(GROUP);
        let (block, copy) = rest.split_at_mut(TURN * GROUP);
        for from in (0..n).step_by(GROUP) {
            let valid = (n - from).min(GROUP);
            let sums = &right_sums[from..from + valid];
            base.iter_mut().zip(sums).for_each(|(to, &sum)| *to = sum * listed.background);
            for (to, row) in copy.chunks_exact_mut(GROUP).zip(right.chunks_exact(n)) {
                to[..valid].copy_from_slice(&row[from..from + valid]);
            }
            gradient_dispatch(turned, n, from, copy, base, block, out);
        }
    }
}

impl Turned {
    /// Sorts the entries by column, rows ascending in each.
    fn fill(&mut self, rows: Listed<'_>, width: usize) {
        let Turned { starts, entries } = self;
        let from = rows.starts[0] as usize..rows.starts[rows.rows()] as usize;
        starts.clear();
        starts.resize(width + 1, 0);
        for &column in &rows.columns[from.clone()] {
            starts[column as usize + 1] += 1;
        }
        for i in 0..width {
            starts[i + 1] += starts[i];
        }
        entries.resize(from.len(), (0, 0.0));
        for r in 0..rows.rows() {
            let (columns, values) = rows.row(r);
            for (&column, &value) in columns.iter().zip(values) {
                let next = &mut starts[column as usize];
                entries[*next as usize] = (r as u32, value);
                *next += 1;
            }
        }
        // Each start has moved to the next column's.
        starts.copy_within(..width, 1);
        starts[0] = 0;
    }
}

/// Lists the columns where `row` differs from the background, and by how much; answers how many.
fn differing(row: &[f32], background: f32, columns: &mut [u32], values: &mut [f32]) -> usize {
    assert!(columns.len() >= row.len() + 16 && values.len() >= row.len() + 16, "room for a row");
    #[cfg(target_arch = "x86_64")]
    if super::isa::active() == super::Isa::Avx512 {
        // SAFETY: `isa` answers this only where the processor has these features; the assert
        // above gives each store of up to 16 entries its room.
        return unsafe { differing_avx512(row, background, columns, values) };
    }
    let mut count = 0;
    for (i, &x) in row.iter().enumerate() {
        columns[count] = i as u32;
        values[count] = x - background;
        count += usize::from(x != background);
    }
    count
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx512vl,avx512dq,avx512bw,avx2,fma")]
unsafe fn differing_avx512(
    row: &[f32],
    background: f32,
    columns: &mut [u32],
    values: &mut [f32],
) -> usize {
    use std::arch::x86_64::*;
    let back = _mm512_set1_ps(background);
    let lanes = _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
    let mut count = 0;
    for from in (0..row.len()).step_by(16) {
        let left = (row.len() - from).min(16);
        let valid = ((1u32 << left) - 1) as __mmask16;
        // SAFETY: only the `left` lanes of the row are read; `count` is at most `from`, so that
        // 16 more entries lie within both lists, which hold 16 more than the row.
        unsafe {
            let x = _mm512_maskz_loadu_ps(valid, row.as_ptr().add(from));
            let other = _mm512_mask_cmp_ps_mask::<_CMP_NEQ_UQ>(valid, x, back);
            let at = _mm512_add_epi32(lanes, _mm512_set1_epi32(from as i32));
            let (at, by) = (
                _mm512_maskz_compress_epi32(other, at),
                _mm512_maskz_compress_ps(other, _mm512_sub_ps(x, back)),
            );
            _mm512_storeu_epi32(columns.as_mut_ptr().add(count).cast(), at);
            _mm512_storeu_ps(values.as_mut_ptr().add(count), by);
            count += other.count_ones() as usize;
        }
    }
    count
}

kernel! {
    fn times_dispatch(
        rows: Listed<'_>,
        next: &mut [u32],
        panels: &[f32],
        n: usize,
        out: &mut [f32],
    ) = times_body, portable 8;
}
kernel! {
    fn gradient_dispatch(
        turned: &Turned,
        n: usize,
        from: usize,
        right: &[f32],
        base: &[f32],
        block: &mut [f32],
        out: &mut [f32],
    ) = gradient_body, portable 8;
}

/// Calls `$tile::<V, count>` for a count of registers from 1 to 8.
macro_rules! with_count {
    ($count:expr, $tile:ident::<$v:ident>($($arg:expr),*)) => {
        match $count {
            1 => $tile::<$v, 1>($($arg),*),
            2 => $tile::<$v, 2>($($arg),*),
            3 => $tile::<$v, 3>($($arg),*),
            4 => $tile::<$v, 4>($($arg),*),
            5 => $tile::<$v, 5>($($arg),*),
            6 => $tile::<$v, 6>($($arg),*),
            7 => $tile::<$v, 7>($($arg),*),
            _ => $tile::<$v, 8>($($arg),*),
        }
    };
}

#[inline(always)]
unsafe fn times_body<V: Lanes>(
    rows: Listed<'_>,
    next: &mut [u32],
    panels: &[f32],
    n: usize,
    out: &mut [f32],
) {
    let group = 8 * V::WIDTH;
    for from in (0..n).step_by(group) {
        let count = (n - from).min(group).div_ceil(V::WIDTH);
        next.copy_from_slice(&rows.starts[..rows.rows()]);
        // SAFETY: `times` checked panels and output; `gather` lists columns below the width.
        unsafe { with_count!(count, times_columns::<V>(&rows, next, panels, from, n, out)) }
    }
}

/// Adds to N registers of columns from `from` in all rows; `next` is each row's next entry. The
/// weights of a strip of inputs stay in the first cache while the rows pass.
#[inline(always)]
unsafe fn times_columns<V: Lanes, const N: usize>(
    rows: &Listed<'_>,
    next: &mut [u32],
    panels: &[f32],
    from: usize,
    n: usize,
    out: &mut [f32],
) {
    let width = panels.len() / n.next_multiple_of(PANEL);
    // SAFETY: passed on to the caller; a register never crosses a panel, as its width divides it.
    unsafe {
        let panel: [*const f32; N] = std::array::from_fn(|j| {
            let column = from + j * V::WIDTH;
            panels.as_ptr().add(column / PANEL * PANEL * width + column % PANEL)
        });
        let last = n - (from + (N - 1) * V::WIDTH);
        for end in (STRIP..width + STRIP).step_by(STRIP) {
            for (r, next) in next.iter_mut().enumerate() {
                let (mut k, stop) = (*next as usize, rows.starts[r + 1] as usize);
                let inside = |k: usize| k < stop && (*rows.columns.get_unchecked(k) as usize) < end;
                if !inside(k) {
                    continue;
                }
                let to = out.as_mut_ptr().add(r * n + from);
                let mut sums: [V; N] = std::array::from_fn(|j| {
                    let left = if j + 1 < N { V::WIDTH } else { last };
                    V::load_some(to.add(j * V::WIDTH), left)
                });
                while inside(k) {
                    let row = *rows.columns.get_unchecked(k) as usize * PANEL;
                    let x = V::splat(*rows.values.get_unchecked(k));
                    for j in 0..N {
                        sums[j] = x.mul_add(V::load(panel[j].add(row)), sums[j]);
                    }
                    k += 1;
                }
                for (j, sum) in sums.iter().enumerate() {
                    let left = if j + 1 < N { V::WIDTH } else { last };
                    sum.store_some(to.add(j * V::WIDTH), left);
                }
                *next = k as u32;
            }
        }
    }
}

/// The gradient of the columns of one group.
#[inline(always)]
unsafe fn gradient_body<V: Lanes>(
    turned: &Turned,
    n: usize,
    from: usize,
    right: &[f32],
    base: &[f32],
    block: &mut [f32],
    out: &mut [f32],
) {
    let width = turned.starts.len() - 1;
    let valid = (n - from).min(GROUP);
    for first in (0..width).step_by(TURN) {
        let columns = (width - first).min(TURN);
        for (c, sums) in block.chunks_exact_mut(GROUP).take(columns).enumerate() {
            let range = turned.starts[first + c] as usize..turned.starts[first + c + 1] as usize;
            let entries = &turned.entries[range];
            for part in (0..valid).step_by(8 * V::WIDTH) {
                let count = (valid - part).min(8 * V::WIDTH).div_ceil(V::WIDTH);
                let (base, right, sums) = (&base[part..], &right[part..], &mut sums[part..]);
                // SAFETY: a row of the group is whole registers, also behind the valid columns.
                unsafe { with_count!(count, add_rows::<V>(entries, right, base, sums)) }
            }
        }
        turn::turn(block, columns, from..from + valid, first, width, out);
    }
}

/// `sums` = `base` + Σ value · row of `right` over the entries, N registers.
#[inline(always)]
unsafe fn add_rows<V: Lanes, const N: usize>(
    entries: &[(u32, f32)],
    right: &[f32],
    base: &[f32],
    sums: &mut [f32],
) {
    // SAFETY: the caller has N registers in `base`, in `sums` and in each row; entries name rows.
    unsafe {
        let mut totals: [V; N] = std::array::from_fn(|j| V::load(base.as_ptr().add(j * V::WIDTH)));
        for &(row, value) in entries {
            let (d, x) = (right.as_ptr().add(row as usize * GROUP), V::splat(value));
            for (j, total) in totals.iter_mut().enumerate() {
                *total = x.mul_add(V::load(d.add(j * V::WIDTH)), *total);
            }
        }
        for (j, total) in totals.iter().enumerate() {
            total.store(sums.as_mut_ptr().add(j * V::WIDTH));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::panel::pack;
    use super::*;
    use varangian_base::{Domain, Seed, Stream};

    /// Rows that are `background` but at about `share` of their places.
    fn rows(
        count: usize,
        width: usize,
        background: f32,
        share: f64,
        stream: &mut Stream,
    ) -> Vec<f32> {
        let mut entry = |_| match stream.uniform() < share as f32 {
            true => stream.normal() as f32,
            false => background,
        };
        (0..count * width).map(&mut entry).collect()
    }

    #[test]
    fn both_products_agree_with_f64_on_odd_shapes_and_every_instruction_set() {
        use crate::kernels::isa::{self, Isa};
        for isa in Isa::ALL.into_iter().filter(|isa| isa.available()) {
            isa::with(isa, compare_on_odd_shapes);
        }
    }

    fn compare_on_odd_shapes() {
        let mut stream = Seed(4).stream(Domain::Test, 0, 0);
        for (count, width, n, background, share) in [
            (1, 1, 1, 0.0, 0.0),
            (3, 33, 10, -0.4242, 0.2),
            (20, 50, 100, -0.4242, 0.2),
            (40, 17, 129, 1.5, 0.1),
            (7, 64, 16, 0.0, 0.25),
            (90, 784, 33, 0.1, 0.2),
        ] {
            let mut x = rows(count, width, background, share, &mut stream);
            x[0] = background;
            let mut draw =
                |len: usize| -> Vec<f32> { (0..len).map(|_| stream.normal() as f32).collect() };
            let (weights, start, right) = (draw(width * n), draw(n), draw(count * n));
            let (mut sparse, mut entries) = (Sparse::default(), Entries::default());
            assert!(gather(&mut entries, &x, width), "{count} {width}");
            let listed = entries.listed(0..count, width).unwrap();
            let mut panels = vec![f32::NAN; packed(width, n)];
            pack(width, n, &weights, |i| i * n, 1, &mut panels);
            let mut out = vec![f32::NAN; count * n];
            sparse.times(listed, &panels, width, n, &start, &mut out);
            let column = |j: usize| right.iter().skip(j).step_by(n);
            let sums: Vec<f32> = (0..n).map(|j| column(j).sum()).collect();
            let mut gradient = vec![f32::NAN; n * width];
            sparse.gradient(listed, &right, &sums, width, &mut gradient);
            let exact = |v: f32| f64::from(v);
            for j in 0..n {
                for r in 0..count {
                    let term = |i: usize| {
                        (exact(x[r * width + i]) - exact(background)) * exact(weights[i * n + j])
                    };
                    let want = exact(start[j]) + (0..width).map(term).sum::<f64>();
                    assert!((exact(out[r * n + j]) - want).abs() < 3e-5 * (1.0 + want.abs()));
                }
                for i in 0..width {
                    let term = |r: usize| exact(x[r * width + i]) * exact(right[r * n + j]);
                    let want: f64 = (0..count).map(term).sum();
                    let error = exact(gradient[j * width + i]) - want;
                    assert!(error.abs() < 5e-5, "{count} {width} {n}: {error}");
                }
            }
        }
    }

    #[test]
    fn what_is_not_sparse_is_left_alone() {
        let mut stream = Seed(5).stream(Domain::Test, 0, 0);
        let mut entries = Entries::default();
        assert!(!gather(&mut entries, &rows(30, 40, 0.0, 1.0, &mut stream), 40));
        assert!(!gather(&mut entries, &rows(30, 40, 0.0, 0.5, &mut stream), 40));
        assert!(!gather(&mut entries, &[f32::NAN; 40], 40));
        // The first entry is not the background, and a NaN is an entry like any other.
        let mut x = rows(30, 40, 0.0, 0.1, &mut stream);
        (x[0], x[7]) = (3.0, f32::NAN);
        assert!(gather(&mut entries, &x, 40));
        let listed = entries.listed(0..1, 40).unwrap();
        assert_eq!(listed.background, 0.0);
        let (columns, values) = listed.row(0);
        assert_eq!((columns[0], values[0]), (0, 3.0));
        assert!(columns.contains(&7));
    }
}
