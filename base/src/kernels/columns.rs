//! Order statistics of columns: each coordinate's n values, sorted in registers, reduced to one.
//!
//! A value enters as it is, except that −0 enters as +0 and NaN as +∞; then `<` orders all values,
//! the answer does not depend on the order of the rows, and no NaN can corrupt a column. Sums are
//! of f64, in sorted order, rounded once. Bits agree on every instruction set.
//!
//! Up to 64 rows run through straight-line networks, one value a register; more rows, and the
//! portable path, through a table of comparators over a block that stays in the L1 cache.

mod interpreted;
mod job;
mod straight;

use crate::blocks::{self, BLOCK};
use crate::kernels::isa;
use crate::{Matrix, Mixed, Rows};
use job::{Job, SCRATCH, Statistic};
use std::cell::RefCell;

/// Columns that one task handles: small enough to balance threads, large enough to pay for one.
const TASK: usize = 4096;

/// The rows that a kernel looks at: all of a matrix, or those picked by index, ascending.
#[derive(Clone, Copy)]
pub struct Picked<'a> {
    rows: Mixed<'a>,
    picked: Option<&'a [usize]>,
}

impl<'a> Picked<'a> {
    /// The rows at the indices `picked`.
    ///
    /// # Panics
    /// If an index is out of range.
    pub fn of(rows: impl Into<Mixed<'a>>, picked: &'a [usize]) -> Self {
        let rows = rows.into();
        assert!(picked.iter().all(|&i| i < rows.n()), "a picked row is one of the rows");
        Picked { rows, picked: Some(picked) }
    }

    /// The number of rows looked at.
    pub fn n(&self) -> usize {
        self.picked.map_or(self.rows.n(), <[usize]>::len)
    }

    /// The number of coordinates.
    pub fn d(&self) -> usize {
        self.rows.d()
    }
}

impl<'a> From<Rows<'a>> for Picked<'a> {
    fn from(rows: Rows<'a>) -> Self {
        Picked { rows: rows.into(), picked: None }
    }
}

impl<'a> From<Mixed<'a>> for Picked<'a> {
    fn from(rows: Mixed<'a>) -> Self {
        Picked { rows, picked: None }
    }
}

thread_local! {
    /// A window of mixed rows.
    static WINDOW: RefCell<Matrix> = RefCell::default();
}

/// What the values closest to it are averaged around.
#[derive(Clone, Copy, Debug)]
pub enum Centre<'a> {
    /// The median, for even n the mean of the two middle values.
    Median,
    /// The median, for even n the lower of the two middle values.
    LowerMedian,
    /// The mean of what remains without so many of the least and so many of the greatest values.
    TrimmedMean(usize),
    /// A given vector of d floats.
    Given(&'a [f32]),
}

/// The median of each column: for even n the mean of the two middle values. Cost O(n·log²n·d).
pub fn median<'a>(rows: impl Into<Picked<'a>>, out: &mut [f32]) {
    let rows = rows.into();
    let n = rows.n();
    run(rows, Statistic::Pair { low: (n.max(1) - 1) / 2, high: n / 2 }, out);
}

/// The lower median of each column: for even n the lower of the two middle values.
pub fn lower_median<'a>(rows: impl Into<Picked<'a>>, out: &mut [f32]) {
    let rows = rows.into();
    let low = (rows.n().max(1) - 1) / 2;
    run(rows, Statistic::Pair { low, high: low }, out);
}

/// The mean of each column without its f least and f greatest values.
///
/// # Panics
/// If n ≤ 2f.
pub fn trimmed_mean<'a>(rows: impl Into<Picked<'a>>, f: usize, out: &mut [f32]) {
    let rows = rows.into();
    assert!(rows.n() > 2 * f, "{} rows leave nothing without twice {f}", rows.n());
    run(rows, Statistic::Window { from: f, to: rows.n() - f }, out);
}

/// The mean of each column's values of rank `from` to `to` − 1, ascending from 0.
///
/// # Panics
/// If the window is empty or exceeds the n rows.
pub fn window_mean<'a>(rows: impl Into<Picked<'a>>, from: usize, to: usize, out: &mut [f32]) {
    let rows = rows.into();
    assert!(from < to && to <= rows.n(), "ranks {from} to {to} of {} rows", rows.n());
    run(rows, Statistic::Window { from, to }, out);
}

/// The mean of each column's k values closest to a centre. Of two values equally far the lesser is
/// closer, so that the order of rows does not matter; distances from the f64 centre are compared
/// without rounding.
///
/// # Panics
/// If k is 0 or exceeds the n rows, if a trimmed mean as the centre needs more rows, or a given
/// centre has not d coordinates.
pub fn mean_around<'a>(rows: impl Into<Picked<'a>>, centre: Centre<'_>, k: usize, out: &mut [f32]) {
    let rows = rows.into();
    assert!(0 < k && k <= rows.n(), "{k} of {} rows", rows.n());
    match centre {
        Centre::TrimmedMean(f) => assert!(rows.n() > 2 * f, "{} rows, f = {f}", rows.n()),
        Centre::Given(c) => assert_eq!(c.len(), rows.d(), "the centre has d coordinates"),
        Centre::Median | Centre::LowerMedian => {}
    }
    run(rows, Statistic::Around { centre, k }, out);
}

fn run(rows: Picked<'_>, statistic: Statistic<'_>, out: &mut [f32]) {
    assert_eq!(out.len(), rows.d(), "the output has d coordinates");
    let n = rows.n();
    assert!(n > 0, "a column has values");
    let isa = isa::active();
    let (from, to) = statistic.ranks(n);
    let table = (!straight::covers(isa, n)).then(|| interpreted::table(n, from, to));
    blocks::fill(out, TASK, |range, out| {
        SCRATCH.with_borrow_mut(|scratch| {
            WINDOW.with_borrow_mut(|window| {
                for columns in rows.rows.windows(range.clone()) {
                    let place = columns.start - range.start..columns.end - range.start;
                    let statistic = statistic.at(columns.clone());
                    let part = rows.rows.window(isa, columns, window);
                    let mut job = Job::new(part, rows.picked, statistic, scratch);
                    match &table {
                        None => straight::run(isa, &mut job, &mut out[place]),
                        Some(table) => interpreted::run(isa, &mut job, table, &mut out[place]),
                    }
                    // Now that they are in the cache: networks read all rows side by side, which
                    // is how memory is fastest.
                    part.look(isa);
                }
            });
        });
    });
    if rows.picked.is_none() && rows.rows.recipe().is_none() {
        rows.rows.sent().looked_at_all();
    }
}

/// Sets `out[k]` = reduce(the sorted values of column k), by `f32::total_cmp`: for any statistic
/// that has no kernel of its own. Cost O(n·log n) a column.
pub fn sorted(rows: Rows<'_>, out: &mut [f32], reduce: impl Fn(&[f32]) -> f32 + Sync) {
    /// Columns handled together: a block is transposed so that each column is contiguous.
    const TILE: usize = 64;
    assert_eq!(out.len(), rows.d(), "the output has d coordinates");
    let n = rows.n();
    assert!(n > 0, "a column has values");
    blocks::fill(out, BLOCK, |range, out| {
        SCRATCH.with_borrow_mut(|scratch| {
            let columns = scratch.tile(TILE * n);
            for (t, out) in out.chunks_mut(TILE).enumerate() {
                let from = range.start + t * TILE;
                for i in 0..n {
                    let row = &rows.row(i)[from..from + out.len()];
                    for (k, &x) in row.iter().enumerate() {
                        columns[k * n + i] = x;
                    }
                }
                for (k, out) in out.iter_mut().enumerate() {
                    let column = &mut columns[k * n..(k + 1) * n];
                    column.sort_unstable_by(f32::total_cmp);
                    *out = reduce(column);
                }
            }
        });
    });
}

/// Sets `out[k]` = reduce(the values of column k with their rows' weights, ascending by value; of
/// equal values, by row): for statistics of weighted rows. Cost O(n·log n) a column.
///
/// # Panics
/// If there is not one weight a row, or no row.
pub fn weighted<'a>(
    rows: impl Into<Mixed<'a>>,
    weights: &[f64],
    out: &mut [f32],
    reduce: impl Fn(&[(f32, f64)]) -> f32 + Sync,
) {
    let rows = rows.into();
    assert_eq!(out.len(), rows.d(), "the output has d coordinates");
    assert_eq!(weights.len(), rows.n(), "one weight a row");
    assert!(rows.n() > 0, "a column has values");
    let isa = isa::active();
    blocks::fill(out, TASK, |range, out| {
        let mut column = Vec::with_capacity(rows.n());
        WINDOW.with_borrow_mut(|window| {
            for columns in rows.windows(range.clone()) {
                let place = columns.start - range.start..columns.end - range.start;
                let part = rows.window(isa, columns, window);
                for (k, out) in out[place].iter_mut().enumerate() {
                    column.clear();
                    // −0 enters as +0, as in every statistic of columns.
                    column.extend((0..part.n()).map(|i| (part.row(i)[k] + 0.0, weights[i])));
                    column.sort_by(|a, b| a.0.total_cmp(&b.0));
                    *out = reduce(&column);
                }
            }
        });
    });
}
