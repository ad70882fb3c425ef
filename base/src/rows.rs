//! n × d matrices of gradients: `Matrix` owns, `Rows` and `RowsMut` borrow.
//!
//! Row-major `f32`. Consecutive rows start `stride` floats apart; an owned matrix pads its rows to
//! a multiple of 16 floats so that every row starts on a cache line. Padding is never read.

use crate::blocks::{self, BLOCK};
use crate::kernels::elementwise;
use crate::kernels::isa::{self, Isa};
use crate::shard::Shard;
use crate::watch::Watch;
use std::sync::atomic::{AtomicBool, Ordering};

/// Floats in one 64-byte cache line.
const LINE: usize = 16;

/// A borrowed n × d matrix: one gradient a row, rows in ascending worker id.
///
/// Rules may assume that every entry is finite; the intake sees to it.
#[derive(Clone, Copy)]
pub struct Rows<'a> {
    data: &'a [f32],
    n: usize,
    d: usize,
    stride: usize,
    ids: Option<&'a [u32]>,
    watch: Option<&'a Watch>,
    shard: Option<Shard<'a>>,
}

impl<'a> Rows<'a> {
    /// Views `data` as n rows of d floats, packed. Worker ids are 0 to n − 1.
    ///
    /// # Panics
    /// If `data` does not hold exactly n·d floats.
    pub fn new(data: &'a [f32], n: usize, d: usize) -> Self {
        assert_eq!(data.len(), n * d, "a {n} × {d} matrix needs {} floats", n * d);
        Rows { data, n, d, stride: d, ids: None, watch: None, shard: None }
    }

    /// Views `data` as n rows of d floats that start `stride` floats apart.
    ///
    /// # Panics
    /// If the rows overlap or do not fit into `data`.
    pub fn strided(data: &'a [f32], n: usize, d: usize, stride: usize) -> Self {
        assert!(stride >= d, "rows of {d} floats cannot start {stride} apart");
        assert!(n == 0 || data.len() >= (n - 1) * stride + d, "too few floats for {n} rows");
        Rows { data, n, d, stride, ids: None, watch: None, shard: None }
    }

    /// The same rows with the worker ids that sent them, ascending.
    ///
    /// # Panics
    /// If there is not one id a row, or the ids do not ascend.
    pub fn with_ids(self, ids: &'a [u32]) -> Self {
        assert_eq!(ids.len(), self.n, "one id a row");
        assert!(ids.windows(2).all(|w| w[0] < w[1]), "ids ascend");
        Rows { ids: Some(ids), ..self }
    }

    /// The same rows, of which a kernel that can do so tells `watch` whether they are finite.
    pub fn watched(self, watch: &'a Watch) -> Self {
        Rows { watch: Some(watch), ..self }
    }

    /// The same rows, as those columns of longer ones that this process holds.
    ///
    /// # Panics
    /// If the shard has other columns than the rows.
    pub fn sharded(self, shard: Shard<'a>) -> Self {
        assert_eq!(shard.columns().len(), self.d, "the shard's columns are those of the rows");
        Rows { shard: Some(shard), ..self }
    }

    /// Where the other columns are, if these are not all.
    pub fn shard(&self) -> Option<Shard<'a>> {
        self.shard
    }

    /// Looks whether these columns, which the caller has just read, are finite, if somebody wants
    /// to know.
    pub(crate) fn look(&self, isa: Isa) {
        if self.watch.is_some() {
            self.iter().for_each(|row| self.look_at(isa, row));
        }
    }

    /// Looks whether numbers are finite that are so where some columns of all rows are.
    pub(crate) fn look_at(&self, isa: Isa, numbers: &[f32]) {
        self.watch.iter().for_each(|watch| watch.tell(elementwise::is_finite(isa, numbers)));
    }

    /// Says whether all columns of all rows are finite, as sums over them show.
    pub(crate) fn found(&self, finite: bool) {
        self.watch.iter().for_each(|watch| watch.tell(finite));
        self.looked_at_all();
    }

    /// Whether somebody who wants to know has been told that a row is not finite.
    pub fn known_odd(&self) -> bool {
        self.watch.is_some_and(Watch::odd)
    }

    /// Says that all columns of all rows were looked at.
    pub(crate) fn looked_at_all(&self) {
        self.watch.iter().for_each(|watch| watch.end());
    }

    /// The number of rows.
    pub fn n(&self) -> usize {
        self.n
    }

    /// The number of coordinates of a row.
    pub fn d(&self) -> usize {
        self.d
    }

    /// Floats between the starts of two consecutive rows.
    pub fn stride(&self) -> usize {
        self.stride
    }

    /// Row i.
    pub fn row(&self, i: usize) -> &'a [f32] {
        &self.data[i * self.stride..i * self.stride + self.d]
    }

    /// The worker that sent row i.
    pub fn id(&self, i: usize) -> u32 {
        self.ids.map_or(i as u32, |ids| ids[i])
    }

    /// The rows in order.
    pub fn iter(&self) -> impl Iterator<Item = &'a [f32]> + use<'a> {
        let rows = *self;
        (0..rows.n).map(move |i| rows.row(i))
    }

    /// The first k rows.
    pub fn head(&self, k: usize) -> Rows<'a> {
        assert!(k <= self.n, "{k} of {} rows", self.n);
        Rows { n: k, ids: self.ids.map(|ids| &ids[..k]), ..*self }
    }

    /// The coordinates in `range` of every row.
    ///
    /// # Panics
    /// If the range does not lie in 0 to d.
    pub fn columns(&self, range: std::ops::Range<usize>) -> Rows<'a> {
        assert!(range.start <= range.end && range.end <= self.d, "{range:?} of {} columns", self.d);
        let data = &self.data[range.start.min(self.data.len())..];
        Rows { data, d: range.len(), shard: None, ..*self }
    }

    /// The rows from k on.
    pub fn tail(&self, k: usize) -> Rows<'a> {
        assert!(k <= self.n, "{k} of {} rows", self.n);
        let data = &self.data[(k * self.stride).min(self.data.len())..];
        Rows { data, n: self.n - k, ids: self.ids.map(|ids| &ids[k..]), ..*self }
    }

    /// Whether every entry is finite. Cost O(n·d).
    pub fn is_finite(&self) -> bool {
        let (isa, odd) = (isa::active(), AtomicBool::new(false));
        blocks::each(self.d, BLOCK, |columns| {
            let mut rows = self.iter();
            if !odd.load(Ordering::Relaxed)
                && !rows.all(|row| elementwise::is_finite(isa, &row[columns.clone()]))
            {
                odd.store(true, Ordering::Relaxed);
            }
        });
        !odd.into_inner()
    }
}

/// A mutably borrowed n × d matrix.
pub struct RowsMut<'a> {
    data: &'a mut [f32],
    n: usize,
    d: usize,
    stride: usize,
}

impl<'a> RowsMut<'a> {
    /// Views `data` as n rows of d floats, packed.
    pub fn new(data: &'a mut [f32], n: usize, d: usize) -> Self {
        assert_eq!(data.len(), n * d, "a {n} × {d} matrix needs {} floats", n * d);
        RowsMut { data, n, d, stride: d }
    }

    /// The number of rows.
    pub fn n(&self) -> usize {
        self.n
    }

    /// The number of coordinates of a row.
    pub fn d(&self) -> usize {
        self.d
    }

    /// Row i, read only.
    pub fn row(&self, i: usize) -> &[f32] {
        &self.data[i * self.stride..i * self.stride + self.d]
    }

    /// Row i, to write.
    pub fn row_mut(&mut self, i: usize) -> &mut [f32] {
        &mut self.data[i * self.stride..i * self.stride + self.d]
    }

    /// The rows in order, to write; may be handed to different threads.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = &mut [f32]> {
        let d = self.d;
        self.data.chunks_mut(self.stride.max(1)).take(self.n).map(move |row| &mut row[..d])
    }

    /// The rows in order, each borrowed for as long as the matrix is.
    pub fn into_iter_mut(self) -> impl Iterator<Item = &'a mut [f32]> {
        let d = self.d;
        self.data.chunks_mut(self.stride.max(1)).take(self.n).map(move |row| &mut row[..d])
    }

    /// Copies row 0 into every other row: colluders that send the same vector.
    pub fn copy_first(&mut self) {
        let (n, stride) = (self.n, self.stride);
        for i in 1..n {
            self.data.copy_within(0..self.d, i * stride);
        }
    }

    /// The rows, read only.
    pub fn as_rows(&self) -> Rows<'_> {
        Rows::strided(self.data, self.n, self.d, self.stride)
    }

    /// The rows from `from` on (to split hostile workers into groups).
    pub fn split_at(self, from: usize) -> (RowsMut<'a>, RowsMut<'a>) {
        assert!(from <= self.n, "{from} of {} rows", self.n);
        let cut = (from * self.stride).min(self.data.len());
        let (a, b) = self.data.split_at_mut(cut);
        let (d, stride) = (self.d, self.stride);
        (RowsMut { data: a, n: from, d, stride }, RowsMut { data: b, n: self.n - from, d, stride })
    }

    /// A shorter borrow of the same rows.
    pub fn reborrow(&mut self) -> RowsMut<'_> {
        RowsMut { data: self.data, n: self.n, d: self.d, stride: self.stride }
    }
}

/// An owned n × d matrix whose rows start on cache lines. Reused from round to round.
#[derive(Clone, Default)]
pub struct Matrix {
    lines: Vec<Line>,
    n: usize,
    d: usize,
    stride: usize,
}

#[derive(Clone, Copy)]
#[repr(C, align(64))]
struct Line([f32; LINE]);

/// Bytes from which memory is worth large pages.
#[cfg(target_os = "linux")]
const LARGE: usize = 4 << 20;

/// Asks the system to back large memory with large pages: kernels read all rows at once, a page of
/// each, and with small pages spend much of their time on addresses. Whether it does changes
/// nothing else.
#[cfg(target_os = "linux")]
fn in_large_pages<T>(of: &mut Vec<T>) {
    unsafe extern "C" {
        fn madvise(
            from: *mut std::ffi::c_void,
            len: usize,
            advice: std::ffi::c_int,
        ) -> std::ffi::c_int;
    }
    /// MADV_HUGEPAGE of linux/mman.h.
    const HUGE_PAGES: std::ffi::c_int = 14;
    const PAGE: usize = 4096;
    let bytes = of.capacity() * size_of::<T>();
    if bytes < LARGE {
        return;
    }
    let start = of.as_mut_ptr().cast::<u8>();
    let skip = start.align_offset(PAGE);
    let len = (bytes - skip) / PAGE * PAGE;
    // SAFETY: whole pages within the vector's own allocation; the advice changes no content, and
    // a refusal is no error.
    unsafe { madvise(start.add(skip).cast(), len, HUGE_PAGES) };
}

#[cfg(not(target_os = "linux"))]
fn in_large_pages<T>(_: &mut Vec<T>) {}

/// `len` zeros for a kernel to overwrite: large ones in large pages, which are first touched by the
/// threads that write to them.
pub fn zeros(len: usize) -> Vec<f32> {
    let mut zeros = vec![0.0; len];
    in_large_pages(&mut zeros);
    zeros
}

impl Matrix {
    /// An n × d matrix of zeros.
    pub fn zeros(n: usize, d: usize) -> Self {
        let mut matrix = Matrix::default();
        matrix.resize(n, d);
        matrix
    }

    /// A matrix with the given rows.
    ///
    /// # Panics
    /// If the rows differ in length.
    pub fn from_rows<R: AsRef<[f32]>>(rows: &[R]) -> Self {
        let d = rows.first().map_or(0, |row| row.as_ref().len());
        let mut matrix = Matrix::zeros(rows.len(), d);
        for (i, row) in rows.iter().enumerate() {
            matrix.row_mut(i).copy_from_slice(row.as_ref());
        }
        matrix
    }

    /// Makes this an n × d matrix; keeps the allocation if it is large enough. The entries are
    /// unspecified (but initialised).
    pub fn resize(&mut self, n: usize, d: usize) {
        let stride = d.div_ceil(LINE) * LINE;
        let lines = n * stride / LINE;
        if lines > self.lines.capacity() {
            self.lines.reserve_exact(lines - self.lines.len());
            in_large_pages(&mut self.lines);
        }
        self.lines.resize(lines, Line([0.0; LINE]));
        (self.n, self.d, self.stride) = (n, d, stride);
    }

    /// The number of rows.
    pub fn n(&self) -> usize {
        self.n
    }

    /// The number of coordinates of a row.
    pub fn d(&self) -> usize {
        self.d
    }

    /// Row i.
    pub fn row(&self, i: usize) -> &[f32] {
        &self.flat()[i * self.stride..i * self.stride + self.d]
    }

    /// Row i, to write.
    pub fn row_mut(&mut self, i: usize) -> &mut [f32] {
        let (stride, d) = (self.stride, self.d);
        &mut self.flat_mut()[i * stride..i * stride + d]
    }

    /// The rows.
    pub fn rows(&self) -> Rows<'_> {
        Rows::strided(self.flat(), self.n, self.d, self.stride)
    }

    /// The rows, to write.
    pub fn rows_mut(&mut self) -> RowsMut<'_> {
        let (n, d, stride) = (self.n, self.d, self.stride);
        RowsMut { data: self.flat_mut(), n, d, stride }
    }

    /// Copies row `from` over row `to`.
    pub fn copy_row(&mut self, from: usize, to: usize) {
        let (stride, d) = (self.stride, self.d);
        self.flat_mut().copy_within(from * stride..from * stride + d, to * stride);
    }

    /// Copies `rows` into this matrix.
    pub fn copy_from(&mut self, rows: Rows<'_>) {
        self.resize(rows.n(), rows.d());
        for i in 0..rows.n() {
            self.row_mut(i).copy_from_slice(rows.row(i));
        }
    }

    fn flat(&self) -> &[f32] {
        // SAFETY: `Line` is `repr(C)` over `[f32; LINE]` without padding, so `lines` is
        // `lines.len() * LINE` consecutive initialised floats.
        unsafe { std::slice::from_raw_parts(self.lines.as_ptr().cast(), self.lines.len() * LINE) }
    }

    fn flat_mut(&mut self) -> &mut [f32] {
        let len = self.lines.len() * LINE;
        // SAFETY: as in `flat`; the borrow of `self` is exclusive.
        unsafe { std::slice::from_raw_parts_mut(self.lines.as_mut_ptr().cast(), len) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_matrix_pads_rows_to_cache_lines_and_hides_the_padding() {
        let mut matrix = Matrix::zeros(3, 17);
        matrix.row_mut(1).fill(2.0);
        assert_eq!(matrix.rows().stride(), 32);
        assert_eq!(matrix.rows().row(1), [2.0; 17]);
        assert_eq!(matrix.rows().row(2), [0.0; 17]);
        assert_eq!(matrix.row(0).as_ptr() as usize % 64, 0);
    }

    #[test]
    fn split_rows_are_disjoint_and_complete() {
        let mut data: Vec<f32> = (0..12).map(|x| x as f32).collect();
        let (mut a, mut b) = RowsMut::new(&mut data, 4, 3).split_at(1);
        assert_eq!((a.n(), b.n()), (1, 3));
        a.row_mut(0)[0] = -1.0;
        b.copy_first();
        assert_eq!(b.row(2), [3.0, 4.0, 5.0]);
        assert_eq!(data[..4], [-1.0, 1.0, 2.0, 3.0]);
    }

    #[test]
    fn columns_are_a_window_of_the_same_rows() {
        let data: Vec<f32> = (0..12).map(|x| x as f32).collect();
        let window = Rows::new(&data, 3, 4).columns(2..4);
        assert_eq!((window.row(0), window.row(2)), (&[2.0, 3.0][..], &[10.0, 11.0][..]));
        assert_eq!((window.columns(2..2).d(), Rows::new(&[], 0, 4).columns(4..4).n()), (0, 0));
    }

    #[test]
    fn an_entry_that_is_not_finite_is_found_wherever_it_stands() {
        let d = 3 * BLOCK + 5;
        let mut data = vec![f32::MAX; 2 * d];
        assert!(Rows::new(&data, 2, d).is_finite());
        for place in [0, BLOCK, d - 1, d, 2 * d - 1] {
            for odd in [f32::NAN, f32::NEG_INFINITY] {
                data[place] = odd;
                assert!(!Rows::new(&data, 2, d).is_finite(), "{odd} at {place}");
                data[place] = -f32::MAX;
            }
        }
        // What stands between the rows is nobody's.
        assert!(Rows::strided(&[1.0, f32::NAN, 2.0], 2, 1, 2).is_finite());
    }

    #[test]
    fn large_memory_is_of_zeros_too() {
        assert_eq!(zeros(3), [0.0; 3]);
        let large = zeros((4 << 20) + 1);
        assert!(large.len() == (4 << 20) + 1 && large.iter().all(|x| x.to_bits() == 0));
    }

    #[test]
    #[should_panic(expected = "ids ascend")]
    fn ids_must_ascend() {
        Rows::new(&[1.0, 2.0], 2, 1).with_ids(&[4, 4]);
    }
}
