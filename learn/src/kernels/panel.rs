//! Products of scattered rows with packed weights: the loop under convolutions.
//!
//! A row of the left matrix is a few contiguous runs of a slice: an output pixel of a convolution
//! over a channels-last image reads one run a kernel row. So nothing is gathered beforehand, and
//! any kernel size and stride is one loop. The right matrix is packed in panels of 32 columns.

use super::{Lanes, kernel};

/// Columns of a panel.
pub(crate) const PANEL: usize = 32;

/// Rows that are made of runs: entry s·`run` + i of row r stands at `bases[r] + segments[s] + i`.
#[derive(Clone, Copy)]
pub(crate) struct Taps<'a> {
    pub(crate) data: &'a [f32],
    pub(crate) bases: &'a [u32],
    pub(crate) segments: &'a [u32],
    pub(crate) run: usize,
}

impl Taps<'_> {
    /// The length of a row.
    pub(crate) fn len(&self) -> usize {
        self.segments.len() * self.run
    }

    /// Whether every run lies within the slice.
    fn inside(&self) -> bool {
        let far = |x: &[u32]| x.iter().copied().max().unwrap_or(0) as usize;
        self.bases.is_empty() || far(self.bases) + far(self.segments) + self.run <= self.data.len()
    }
}

/// Floats that a k × n matrix takes when packed.
pub(crate) fn packed(k: usize, n: usize) -> usize {
    n.div_ceil(PANEL) * PANEL * k
}

/// Packs a k × n matrix into panels: panel, row, column. Entry (i, j) stands at
/// `row(i)` + j·`across` of `from`.
pub(crate) fn pack(
    k: usize,
    n: usize,
    from: &[f32],
    row: impl Fn(usize) -> usize,
    across: usize,
    out: &mut [f32],
) {
    assert_eq!(out.len(), packed(k, n));
    for (p, panel) in out.chunks_exact_mut(PANEL * k).enumerate() {
        let columns = (n - p * PANEL).min(PANEL);
        for (i, to) in panel.chunks_exact_mut(PANEL).enumerate() {
            let from = from[row(i) + p * PANEL * across..].iter().step_by(across);
            to[..columns].iter_mut().zip(from).for_each(|(to, &x)| *to = x);
            to[columns..].fill(0.0);
        }
    }
}

/// out = rows · panels + `start`: n columns, rows of `out` packed, `start` added to each row
/// (n floats, or none for zeros).
pub(crate) fn times(rows: &Taps, panels: &[f32], n: usize, start: &[f32], out: &mut [f32]) {
    assert!(rows.inside(), "every run lies within the slice");
    assert!(panels.len() == packed(rows.len(), n) && out.len() == rows.bases.len() * n);
    assert!(start.is_empty() || start.len() == n);
    times_dispatch(rows, panels, n, start, out);
}

/// sums += rowsᵀ · right: `right` and `sums` have n columns, packed.
pub(crate) fn transposed_times(rows: &Taps, right: &[f32], n: usize, sums: &mut [f32]) {
    assert!(rows.inside(), "every run lies within the slice");
    assert!(right.len() == rows.bases.len() * n && sums.len() == rows.len() * n);
    transposed_dispatch(rows, right, n, sums);
}

kernel! {
    fn times_dispatch(
        rows: &Taps,
        panels: &[f32],
        n: usize,
        start: &[f32],
        out: &mut [f32],
    ) = times_body, portable 8, tiles 8 4 2;
}
kernel! {
    fn transposed_dispatch(
        rows: &Taps,
        right: &[f32],
        n: usize,
        sums: &mut [f32],
    ) = transposed_body, portable 8, tiles 8 4 4;
}

/// The columns of one tile.
#[derive(Clone, Copy)]
struct Columns {
    /// The first.
    from: usize,
    /// How many are valid.
    valid: usize,
    /// The width of the whole matrix.
    n: usize,
}

impl Columns {
    /// The tile of up to four registers at column `from`, or of two where there are half as many
    /// registers; and how many it has.
    #[inline(always)]
    fn at<V: Lanes>(from: usize, n: usize) -> (Columns, usize) {
        let valid = (n - from).min(strip::<V>());
        (Columns { from, valid, n }, valid.div_ceil(V::WIDTH))
    }
}

/// Columns of the widest tile: four registers of AVX-512, which has 32 of them, else two.
const fn strip<V: Lanes>() -> usize {
    if V::WIDTH == 16 { 64 } else { 2 * V::WIDTH }
}

#[inline(always)]
unsafe fn times_body<V: Lanes, const R: usize>(
    rows: &Taps,
    panels: &[f32],
    n: usize,
    start: &[f32],
    out: &mut [f32],
) {
    for from in (0..n).step_by(strip::<V>()) {
        let (c, registers) = Columns::at::<V>(from, n);
        // SAFETY: `times` checked the runs, the panels and the output; tiles stay inside both.
        // As many rows as leave no register unused: products wait for none of their own.
        unsafe {
            match (V::WIDTH, registers) {
                (16, 4) => times_rows::<V, 6, 4>(rows, panels, c, start, out),
                (16, 3) => times_rows::<V, 8, 3>(rows, panels, c, start, out),
                (16, 2) => times_rows::<V, 12, 2>(rows, panels, c, start, out),
                (16, _) => times_rows::<V, 16, 1>(rows, panels, c, start, out),
                (_, 2) => times_rows::<V, R, 2>(rows, panels, c, start, out),
                _ => times_rows::<V, R, 1>(rows, panels, c, start, out),
            }
        }
    }
}

/// All rows times the columns of N registers, in tiles of R, 2 and 1.
#[inline(always)]
unsafe fn times_rows<V: Lanes, const R: usize, const N: usize>(
    rows: &Taps,
    panels: &[f32],
    c: Columns,
    start: &[f32],
    out: &mut [f32],
) {
    let (mut r, count) = (0, rows.bases.len());
    // SAFETY: passed on to the caller.
    unsafe {
        while r + R <= count {
            times_tile::<V, R, N>(rows, r, panels, c, start, out);
            r += R;
        }
        while r + 2 <= count {
            times_tile::<V, 2, N>(rows, r, panels, c, start, out);
            r += 2;
        }
        if r < count {
            times_tile::<V, 1, N>(rows, r, panels, c, start, out);
        }
    }
}

/// R rows from row r times the columns of N registers.
#[inline(always)]
unsafe fn times_tile<V: Lanes, const R: usize, const N: usize>(
    rows: &Taps,
    r: usize,
    panels: &[f32],
    c: Columns,
    start: &[f32],
    out: &mut [f32],
) {
    // SAFETY: the caller checked that runs, panels, start and output hold what is read.
    unsafe {
        let left: [usize; N] = std::array::from_fn(|j| c.valid - (j * V::WIDTH).min(c.valid));
        let mut sums = [[V::splat(0.0); N]; R];
        if !start.is_empty() {
            let from = start.as_ptr().add(c.from);
            for j in 0..N {
                let bias = V::load_some(from.add(j * V::WIDTH), left[j]);
                for sums in &mut sums {
                    sums[j] = bias;
                }
            }
        }
        let weights: [*const f32; N] = std::array::from_fn(|j| {
            let column = c.from + j * V::WIDTH;
            let panel = column / PANEL * PANEL * rows.len();
            panels.as_ptr().add(panel + column % PANEL)
        });
        let mut entry = 0;
        for &segment in rows.segments {
            let at: [*const f32; R] = std::array::from_fn(|i| {
                rows.data.as_ptr().add((*rows.bases.get_unchecked(r + i) + segment) as usize)
            });
            for k in 0..rows.run {
                let w: [V; N] = std::array::from_fn(|j| V::load(weights[j].add(entry)));
                entry += PANEL;
                for i in 0..R {
                    let x = V::splat(*at[i].add(k));
                    for j in 0..N {
                        sums[i][j] = x.mul_add(w[j], sums[i][j]);
                    }
                }
            }
        }
        for (i, sums) in sums.iter().enumerate() {
            let to = out.as_mut_ptr().add((r + i) * c.n + c.from);
            for (j, sum) in sums.iter().enumerate() {
                sum.store_some(to.add(j * V::WIDTH), left[j]);
            }
        }
    }
}

/// Rows taken together, so that their runs and right sides stay in the first cache.
const STRIP: usize = 128;

#[inline(always)]
unsafe fn transposed_body<V: Lanes, const R: usize>(
    rows: &Taps,
    right: &[f32],
    n: usize,
    sums: &mut [f32],
) {
    for (bases, right) in rows.bases.chunks(STRIP).zip(right.chunks(STRIP * n)) {
        let rows = Taps { bases, ..*rows };
        for from in (0..n).step_by(strip::<V>()) {
            let (c, registers) = Columns::at::<V>(from, n);
            // SAFETY: `transposed_times` checked the runs, the right side and the sums.
            unsafe {
                match (V::WIDTH, registers) {
                    (16, 4) => transposed_entries::<V, 6, 4>(&rows, right, c, sums),
                    (16, 3) => transposed_entries::<V, 8, 3>(&rows, right, c, sums),
                    (16, 2) => transposed_entries::<V, 12, 2>(&rows, right, c, sums),
                    (16, _) => transposed_entries::<V, 12, 1>(&rows, right, c, sums),
                    (_, 2) => transposed_entries::<V, R, 2>(&rows, right, c, sums),
                    _ => transposed_entries::<V, R, 1>(&rows, right, c, sums),
                }
            }
        }
    }
}

/// All entries of the rows, whatever their runs, in tiles of R, 4, 2 and 1.
#[inline(always)]
unsafe fn transposed_entries<V: Lanes, const R: usize, const N: usize>(
    rows: &Taps,
    right: &[f32],
    c: Columns,
    sums: &mut [f32],
) {
    let (mut k, len) = (0, rows.len());
    // SAFETY: passed on to the caller.
    unsafe {
        while k + R <= len {
            transposed_tile::<V, R, N>(rows, k, right, c, sums);
            k += R;
        }
        while k + 4 <= len {
            transposed_tile::<V, 4, N>(rows, k, right, c, sums);
            k += 4;
        }
        while k + 2 <= len {
            transposed_tile::<V, 2, N>(rows, k, right, c, sums);
            k += 2;
        }
        if k < len {
            transposed_tile::<V, 1, N>(rows, k, right, c, sums);
        }
    }
}

/// Entries k to k + R of every row, times the columns of N registers.
#[inline(always)]
unsafe fn transposed_tile<V: Lanes, const R: usize, const N: usize>(
    rows: &Taps,
    k: usize,
    right: &[f32],
    c: Columns,
    sums: &mut [f32],
) {
    // SAFETY: the caller checked that runs, right side and sums hold what is touched.
    unsafe {
        let left: [usize; N] = std::array::from_fn(|j| c.valid - (j * V::WIDTH).min(c.valid));
        let to = sums.as_mut_ptr().add(k * c.n + c.from);
        let mut totals: [[V; N]; R] = std::array::from_fn(|i| {
            std::array::from_fn(|j| V::load_some(to.add(i * c.n + j * V::WIDTH), left[j]))
        });
        let data: [*const f32; R] = std::array::from_fn(|i| {
            let (segment, at) = ((k + i) / rows.run, (k + i) % rows.run);
            rows.data.as_ptr().add(rows.segments[segment] as usize + at)
        });
        let mut d = right.as_ptr().add(c.from);
        for &base in rows.bases {
            let d_now: [V; N] = std::array::from_fn(|j| V::load_some(d.add(j * V::WIDTH), left[j]));
            d = d.wrapping_add(c.n);
            for i in 0..R {
                let x = V::splat(*data[i].add(base as usize));
                for j in 0..N {
                    totals[i][j] = x.mul_add(d_now[j], totals[i][j]);
                }
            }
        }
        for (i, totals) in totals.iter().enumerate() {
            for (j, total) in totals.iter().enumerate() {
                total.store_some(to.add(i * c.n + j * V::WIDTH), left[j]);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use varangian_base::{Domain, Seed};

    /// Both products against sums in f64, on odd shapes.
    #[test]
    fn both_products_agree_with_f64() {
        let mut stream = Seed(2).stream(Domain::Test, 0, 0);
        for (count, runs, run, n) in
            [(1, 1, 1, 1), (9, 3, 6, 20), (300, 2, 13, 33), (17, 5, 7, 64), (8, 1, 40, 50)]
        {
            let data: Vec<f32> = (0..4096).map(|_| stream.normal() as f32).collect();
            let bases: Vec<u32> = (0..count).map(|_| stream.below(2000) as u32).collect();
            let segments: Vec<u32> = (0..runs).map(|_| stream.below(2000) as u32).collect();
            let rows = Taps { data: &data, bases: &bases, segments: &segments, run };
            let k = runs * run;
            let mut draw =
                |len: usize| -> Vec<f32> { (0..len).map(|_| stream.normal() as f32).collect() };
            let (weights, bias, right) = (draw(k * n), draw(n), draw(count * n));
            let at = |r: usize, t: usize| {
                f64::from(data[bases[r] as usize + segments[t / run] as usize + t % run])
            };
            let mut panels = vec![f32::NAN; packed(k, n)];
            pack(k, n, &weights, |i| i * n, 1, &mut panels);
            let mut out = vec![f32::NAN; count * n];
            times(&rows, &panels, n, &bias, &mut out);
            let mut sums = vec![1.0; k * n];
            transposed_times(&rows, &right, n, &mut sums);
            for j in 0..n {
                for r in 0..count {
                    let want: f64 = (0..k).map(|t| at(r, t) * f64::from(weights[t * n + j])).sum();
                    let error = f64::from(out[r * n + j]) - want - f64::from(bias[j]);
                    assert!(error.abs() < 3e-5, "{count} {n}: {error}");
                }
                for t in 0..k {
                    let want: f64 =
                        (0..count).map(|r| at(r, t) * f64::from(right[r * n + j])).sum();
                    let error = f64::from(sums[t * n + j]) - want - 1.0;
                    assert!(error.abs() < 3e-5, "{count} {n}: {error}");
                }
            }
        }
    }
}
