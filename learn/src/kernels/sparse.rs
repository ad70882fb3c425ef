//! Products with rows that are mostly one value: images on a plain background, sparse tables.
//!
//! A row x is c everywhere but at few places, so W·x = c·(row sums of W) + Σ W·(x − c) over those
//! places alone, and the gradient by W is c·(Σ d) everywhere plus what those places add. The sums
//! are those of the dense product in another order; a weight that is not finite is not seen by a
//! sample that is 0 there.

mod turn;

use super::panel::{PANEL, line, packed};
use super::vector::Vector;

/// Inputs whose weights stay in the first cache together.
const STRIP: usize = 48;
/// Columns of the right side that are summed together.
const GROUP: usize = 64;
/// Inputs whose part of the gradient is summed, then turned, together.
const TURN: usize = 16;
/// Rows of one width, as what differs from the background.
#[derive(Default)]
pub(crate) struct Sparse {
    /// Whether the last rows were sparse, so that the rest describes them.
    found: bool,
    /// The value everywhere else.
    background: f32,
    /// Where each row starts in the lists below, and where the last ends.
    starts: Vec<u32>,
    /// The column of each entry, ascending in a row.
    columns: Vec<u32>,
    /// What the entry adds to the background.
    values: Vec<f32>,
    /// The entries by column: where each column starts, the rows, the values.
    turned: Turned,
    /// Each row's next entry.
    next: Vec<u32>,
    /// A group's part of the right side, the background's part and the sums of a block.
    scratch: Vec<f32>,
}

/// The entries column by column.
#[derive(Default)]
struct Turned {
    starts: Vec<u32>,
    entries: Vec<(u32, f32)>,
}

impl Sparse {
    /// Takes rows of `width` floats apart, if at least two thirds are the first one or 0;
    /// otherwise answers no after few rows.
    pub(crate) fn gather(&mut self, rows: &[f32], width: usize) -> bool {
        let first = rows.first().copied().unwrap_or(0.0);
        self.found = self.gather_from(rows, width, first)
            || (first != 0.0 && self.gather_from(rows, width, 0.0));
        self.found
    }

    /// Whether the rows that `gather` met last were sparse.
    pub(crate) fn found(&self) -> bool {
        self.found
    }

    /// The value outside the entries.
    pub(crate) fn background(&self) -> f32 {
        self.background
    }

    fn gather_from(&mut self, rows: &[f32], width: usize, background: f32) -> bool {
        if !background.is_finite() || u32::try_from(rows.len()).is_err() {
            return false;
        }
        self.background = background;
        self.starts.clear();
        self.starts.push(0);
        self.columns.resize(rows.len() / 3 + 2 * width + 64, 0);
        self.values.resize(self.columns.len(), 0.0);
        let mut count = 0;
        for (r, row) in rows.chunks_exact(width).enumerate() {
            let (columns, values) = (&mut self.columns[count..], &mut self.values[count..]);
            count += differing(row, background, columns, values);
            self.starts.push(count as u32);
            if count > (r + 1) * width / 3 + width {
                return false;
            }
        }
        count <= rows.len() / 3
    }

    fn rows(&self) -> usize {
        self.starts.len() - 1
    }

    /// Row r's columns and values.
    fn row(&self, r: usize) -> (&[u32], &[f32]) {
        let range = self.starts[r] as usize..self.starts[r + 1] as usize;
        (&self.columns[range.clone()], &self.values[range])
    }

    /// out = rows · panels + `start`, as [`super::panel::times`] for the width × n matrix in
    /// `panels`; `start` holds what the background gives.
    pub(crate) fn times(
        &mut self,
        panels: &[f32],
        width: usize,
        n: usize,
        start: &[f32],
        out: &mut [f32],
    ) {
        assert!(panels.len() == packed(width, n) && start.len() == n);
        assert_eq!(out.len(), self.rows() * n);
        out.chunks_exact_mut(n).for_each(|row| row.copy_from_slice(start));
        let mut next = std::mem::take(&mut self.next);
        next.resize(self.rows(), 0);
        times_dispatch(self, &mut next, panels, n, out);
        self.next = next;
    }

    /// out = rightᵀ · rows: n × width, packed; `right` has n columns a row, and `right_sums` are
    /// the sums of its columns.
    pub(crate) fn gradient(
        &mut self,
        right: &[f32],
        right_sums: &[f32],
        width: usize,
        out: &mut [f32],
    ) {
        let (n, rows) = (right_sums.len(), self.rows());
        assert!(right.len() == rows * n && out.len() == n * width);
        let mut turned = std::mem::take(&mut self.turned);
        self.turn(width, &mut turned);
        let mut scratch = std::mem::take(&mut self.scratch);
        let (base, rest) = line(&mut scratch, (1 + TURN + rows) * GROUP).split_at_mut(GROUP);
        let (block, copy) = rest.split_at_mut(TURN * GROUP);
        for from in (0..n).step_by(GROUP) {
            let valid = (n - from).min(GROUP);
            let sums = &right_sums[from..from + valid];
            base.iter_mut().zip(sums).for_each(|(to, &sum)| *to = sum * self.background);
            for (to, row) in copy.chunks_exact_mut(GROUP).zip(right.chunks_exact(n)) {
                to[..valid].copy_from_slice(&row[from..from + valid]);
            }
            gradient_dispatch(&turned, n, from, copy, base, block, out);
        }
        (self.turned, self.scratch) = (turned, scratch);
    }

    /// Sorts the entries by column, rows ascending in each.
    fn turn(&self, width: usize, turned: &mut Turned) {
        let count = self.starts[self.rows()] as usize;
        let Turned { starts, entries } = turned;
        starts.clear();
        starts.resize(width + 1, 0);
        for &column in &self.columns[..count] {
            starts[column as usize + 1] += 1;
        }
        for i in 0..width {
            starts[i + 1] += starts[i];
        }
        entries.resize(count, (0, 0.0));
        for r in 0..self.rows() {
            let (columns, values) = self.row(r);
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

vectorised!(
    times_dispatch, times_body,
    (rows: &Sparse, next: &mut [u32], panels: &[f32], n: usize, out: &mut [f32])
);
vectorised!(gradient_dispatch, gradient_body, (turned: &Turned, n: usize, from: usize,
    right: &[f32], base: &[f32], block: &mut [f32], out: &mut [f32]));

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
unsafe fn times_body<V: Vector>(
    rows: &Sparse,
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
        unsafe { with_count!(count, times_columns::<V>(rows, next, panels, from, n, out)) }
    }
}

/// Adds to N registers of columns from `from` in all rows; `next` is each row's next entry. The
/// weights of a strip of inputs stay in the first cache while the rows pass.
#[inline(always)]
unsafe fn times_columns<V: Vector, const N: usize>(
    rows: &Sparse,
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
                        sums[j] = x.fma(V::load(panel[j].add(row)), sums[j]);
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
unsafe fn gradient_body<V: Vector>(
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
unsafe fn add_rows<V: Vector, const N: usize>(
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
                *total = x.fma(V::load(d.add(j * V::WIDTH)), *total);
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
            let mut sparse = Sparse::default();
            assert!(sparse.gather(&x, width), "{count} {width}");
            let mut panels = vec![f32::NAN; packed(width, n)];
            pack(width, n, &weights, |i| i * n, 1, &mut panels);
            let mut out = vec![f32::NAN; count * n];
            sparse.times(&panels, width, n, &start, &mut out);
            let column = |j: usize| right.iter().skip(j).step_by(n);
            let sums: Vec<f32> = (0..n).map(|j| column(j).sum()).collect();
            let mut gradient = vec![f32::NAN; n * width];
            sparse.gradient(&right, &sums, width, &mut gradient);
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
        let mut sparse = Sparse::default();
        assert!(!sparse.gather(&rows(30, 40, 0.0, 1.0, &mut stream), 40));
        assert!(!sparse.gather(&rows(30, 40, 0.0, 0.5, &mut stream), 40));
        assert!(!sparse.gather(&[f32::NAN; 40], 40));
        // The first entry is not the background, and a NaN is an entry like any other.
        let mut x = rows(30, 40, 0.0, 0.1, &mut stream);
        (x[0], x[7]) = (3.0, f32::NAN);
        assert!(sparse.gather(&x, 40) && sparse.background == 0.0);
        let (columns, values) = sparse.row(0);
        assert_eq!((columns[0], values[0]), (0, 3.0));
        assert!(columns.contains(&7));
    }
}
