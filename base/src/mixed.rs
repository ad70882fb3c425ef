//! Rows as kernels read them: as they were sent, or linear combinations of them that are made
//! window by window as a kernel goes, so that no second n × d matrix is ever written.

use crate::blocks;
use crate::kernels::isa::{self, Isa};
use crate::kernels::mix;
use crate::{Matrix, Rows, RowsMut};
use std::cell::RefCell;
use std::ops::Range;

/// Columns of a window: the mixed rows of one stay in the L2 cache.
pub(crate) const WINDOW: usize = 1024;

thread_local! {
    /// A window of rows on their way out.
    static COPIED: RefCell<Matrix> = RefCell::default();
}

/// An m × n matrix of coefficients without its zeros: row i of the result is Σⱼ `C[i][j]`·xⱼ.
#[derive(Clone, Debug, Default)]
pub struct Recipe {
    n: usize,
    dense: Vec<f64>,
    scratch: Vec<f64>,
    pub(crate) terms: Vec<(usize, f64)>,
    pub(crate) lines: Vec<Line>,
    /// The lines that are like no other, in the order in which they are worked out.
    pub(crate) order: Vec<usize>,
    /// Terms that are added for a coordinate of every row.
    pub(crate) work: usize,
    rest: Vec<(usize, f64)>,
    keeps_workers: bool,
}

/// How one row of the result is made: some of the terms, and what their sum is scaled by.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Line {
    pub(crate) from: usize,
    pub(crate) to: usize,
    /// The one coefficient of all terms, where they have one.
    pub(crate) scale: Option<f64>,
    /// An earlier row that is made the same way.
    pub(crate) same: Option<usize>,
    /// How many of the terms are all those of the line that is worked out just before: its sum is
    /// gone on from.
    pub(crate) shared: usize,
}

impl Recipe {
    /// Makes this the m × n matrix `coefficients` (rows packed) applied to `rows`, which may be
    /// mixed themselves: then it holds the product. `keeps_workers` says that row i of the result
    /// still stands for the worker of row i. Cost O(m·n), times n where the rows are mixed.
    ///
    /// # Panics
    /// If there are not m·n coefficients.
    pub fn set(&mut self, coefficients: &[f64], m: usize, rows: Mixed<'_>, keeps_workers: bool) {
        let n = rows.n();
        assert_eq!(coefficients.len(), m * n, "an m × n matrix of coefficients");
        self.dense.clear();
        match rows.recipe {
            None => self.dense.extend_from_slice(coefficients),
            Some(inner) => {
                self.dense.resize(m * inner.n, 0.0);
                let (outer, product) = (coefficients.chunks(n), self.dense.chunks_mut(inner.n));
                outer.zip(product).for_each(|(weights, row)| inner.transposed(weights, row));
            }
        }
        self.n = rows.rows.n();
        self.keeps_workers = keeps_workers && rows.recipe.is_none_or(|inner| inner.keeps_workers);
        self.terms.clear();
        self.lines.clear();
        for row in self.dense.chunks(self.n.max(1)) {
            let from = self.terms.len();
            self.terms.extend(row.iter().copied().enumerate().filter(|&(_, c)| c != 0.0));
            let terms = &self.terms[from..];
            let first = terms.first().map_or(0.0, |term| term.1);
            let scale = terms.iter().all(|term| term.1 == first).then_some(first);
            let twin = |line: &Line| self.terms[line.from..line.to] == *terms;
            let same = self.lines.iter().position(|line| line.same.is_none() && twin(line));
            self.lines.push(Line { from, to: self.terms.len(), scale, same, shared: 0 });
        }
        self.share();
    }

    /// Orders the lines, weighted ones apart, from few terms to many, and puts first in a line the
    /// terms of the one before it, if it has them all and neither has weights: Bulyan's selections
    /// are nested.
    fn share(&mut self) {
        self.order.clear();
        self.order.extend((0..self.lines.len()).filter(|&i| self.lines[i].same.is_none()));
        let lines = &self.lines;
        let key = |i: usize| (lines[i].scale.is_some(), lines[i].to - lines[i].from, i);
        self.order.sort_unstable_by_key(|&i| key(i));
        self.work = self.order.iter().map(|&i| self.lines[i].to - self.lines[i].from).sum();
        for at in 1..self.order.len() {
            let (inner, outer) = (self.lines[self.order[at - 1]], self.lines[self.order[at]]);
            let (inner_terms, outer_terms) = (inner.from..inner.to, outer.from..outer.to);
            if inner.scale.is_none() || outer.scale.is_none() || inner_terms.is_empty() {
                continue;
            }
            let of_inner = |row: usize| self.terms[inner_terms.clone()].iter().any(|t| t.0 == row);
            let found = self.terms[outer_terms.clone()].iter().filter(|t| of_inner(t.0)).count();
            if found < inner_terms.len() {
                continue;
            }
            self.rest.clear();
            let rest = self.terms[outer_terms.clone()].iter().filter(|t| !of_inner(t.0));
            self.rest.extend(rest);
            let weight = self.terms[outer.from].1;
            for k in 0..found {
                self.terms[outer.from + k] = (self.terms[inner.from + k].0, weight);
            }
            self.terms[outer.from + found..outer.to].copy_from_slice(&self.rest);
            self.lines[self.order[at]].shared = found;
            self.work -= found;
        }
    }

    /// The number of rows that it makes.
    pub fn m(&self) -> usize {
        self.lines.len()
    }

    /// Turns weights of the rows that it makes into those of the rows that it reads: w ← Cᵀ·w.
    pub fn pull_back(&mut self, weights: &mut Vec<f64>) {
        let mut scratch = std::mem::take(&mut self.scratch);
        scratch.clear();
        scratch.resize(self.n, 0.0);
        self.transposed(weights, &mut scratch);
        weights.clone_from(&scratch);
        self.scratch = scratch;
    }

    /// `out` ← Cᵀ·`weights`, for n zeros in `out`.
    pub(crate) fn transposed(&self, weights: &[f64], out: &mut [f64]) {
        assert_eq!(weights.len(), self.m(), "one weight a row");
        for (line, &weight) in self.lines.iter().zip(weights) {
            for &(j, c) in &self.terms[line.from..line.to] {
                out[j] += weight * c;
            }
        }
    }
}

/// Rows as they were sent, or as a [`Recipe`] combines them. Mixed rows are f32, rounded once from
/// sums of f64 in row order (a row made of all that another is made of, and more, goes on from that
/// one's sum), wherever they are met.
#[derive(Clone, Copy)]
pub struct Mixed<'a> {
    rows: Rows<'a>,
    recipe: Option<&'a Recipe>,
}

impl<'a> From<Rows<'a>> for Mixed<'a> {
    fn from(rows: Rows<'a>) -> Self {
        Mixed { rows, recipe: None }
    }
}

impl<'a> Mixed<'a> {
    /// The rows that `recipe` makes of `rows`.
    ///
    /// # Panics
    /// If the recipe is for another number of rows.
    pub fn new(rows: Rows<'a>, recipe: &'a Recipe) -> Self {
        assert_eq!(rows.n(), recipe.n, "a recipe for as many rows");
        Mixed { rows, recipe: Some(recipe) }
    }

    /// The number of rows, after mixing.
    pub fn n(&self) -> usize {
        self.recipe.map_or(self.rows.n(), Recipe::m)
    }

    /// The number of coordinates of a row.
    pub fn d(&self) -> usize {
        self.rows.d()
    }

    /// The worker whose row i is; where mixing left no row to one worker, i.
    pub fn id(&self, i: usize) -> u32 {
        let kept = self.recipe.is_none_or(|recipe| recipe.keeps_workers);
        if kept { self.rows.id(i) } else { i as u32 }
    }

    /// The rows that were sent.
    pub fn sent(&self) -> Rows<'a> {
        self.rows
    }

    /// How they are combined; `None`: they are not.
    pub fn recipe(&self) -> Option<&'a Recipe> {
        self.recipe
    }

    /// Other rows, combined in the same way.
    pub fn of(&self, rows: Rows<'a>) -> Mixed<'a> {
        assert_eq!(rows.n(), self.rows.n(), "as many rows");
        Mixed { rows, ..*self }
    }

    /// Row i; where it is mixed, made in `room`.
    pub fn row<'b>(&self, i: usize, room: &'b mut Vec<f32>) -> &'b [f32]
    where
        'a: 'b,
    {
        let Some(recipe) = self.recipe else {
            return self.rows.row(i);
        };
        room.resize(self.d(), 0.0);
        mix::row(isa::active(), self.rows, recipe, i, room);
        room
    }

    /// Copies all rows into `out`, each entry of what was sent read once. Cost as that of a kernel
    /// over them.
    ///
    /// # Panics
    /// If `out` has another shape.
    pub fn copy_to(&self, out: RowsMut<'_>) {
        assert_eq!((out.n(), out.d()), (self.n(), self.d()), "room for all rows");
        let isa = isa::active();
        blocks::fill_rows(out, 4 * WINDOW, |range, out| {
            COPIED.with_borrow_mut(|room| {
                for columns in self.windows(range.clone()) {
                    let place = columns.start - range.start..columns.end - range.start;
                    let part = self.window(isa, columns, room);
                    for (i, out) in out.iter_mut().enumerate() {
                        out[place.clone()].copy_from_slice(part.row(i));
                    }
                }
            });
        });
    }

    /// Some columns of all rows, at most [`WINDOW`] of them where they are mixed, made in `room`.
    pub(crate) fn window<'b>(
        &self,
        isa: Isa,
        columns: Range<usize>,
        room: &'b mut Matrix,
    ) -> Rows<'b>
    where
        'a: 'b,
    {
        let Some(recipe) = self.recipe else {
            return self.rows.columns(columns);
        };
        let len = columns.len();
        // Longer than a window, so that rows do not start at the same place of a cache.
        room.resize(recipe.m(), WINDOW + 16);
        mix::window(isa, self.rows, recipe, columns, room);
        room.rows().columns(0..len)
    }

    /// Cuts `columns` into what [`Mixed::window`] takes at a time: all at once if nothing is mixed.
    pub(crate) fn windows(&self, columns: Range<usize>) -> impl Iterator<Item = Range<usize>> {
        let step = if self.recipe.is_some() { WINDOW } else { columns.len().max(1) };
        let end = columns.end;
        columns.step_by(step).map(move |from| from..(from + step).min(end))
    }

    /// Whether every entry that was sent is finite.
    pub fn is_finite(&self) -> bool {
        self.rows.is_finite()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_recipe_on_mixed_rows_is_the_product() {
        let x = Matrix::from_rows(&[[1.0, 2.0], [3.0, 4.0], [8.0, 0.0]]);
        let (mut halves, mut sum, mut room) = (Recipe::default(), Recipe::default(), Vec::new());
        halves.set(&[0.5, 0.5, 0.0, 0.0, 0.0, 2.0], 2, x.rows().into(), false);
        let mixed = Mixed::new(x.rows(), &halves);
        assert_eq!((mixed.n(), mixed.row(1, &mut room)), (2, &[16.0, 0.0][..]));
        sum.set(&[1.0, -1.0], 1, mixed, true);
        let mixed = Mixed::new(x.rows(), &sum);
        assert_eq!(mixed.row(0, &mut room), [-14.0, 3.0]);
        let mut weights = vec![2.0];
        sum.pull_back(&mut weights);
        assert_eq!(weights, [1.0, 1.0, -4.0]);
    }

    #[test]
    fn nested_sums_are_gone_on_from() {
        let d = 5000;
        let mut x = Matrix::zeros(7, d);
        for i in 0..7 {
            let value = |k: usize| ((i * d + k) as f32 * 0.37).sin() * 10f32.powi(i as i32 - 3);
            x.row_mut(i).iter_mut().enumerate().for_each(|(k, x)| *x = value(k));
        }
        // Lines 2 ⊂ 1 ⊂ 0, one that is line 1 again, one with weights, one apart.
        let rows: [&[usize]; 6] = [&[0, 1, 3, 4, 6], &[1, 4, 6], &[6, 4], &[1, 4, 6], &[0], &[2]];
        let mut coefficients = vec![0.0; 6 * 7];
        for (line, rows) in rows.iter().enumerate() {
            rows.iter().for_each(|&j| coefficients[line * 7 + j] = 1.0 / rows.len() as f64);
        }
        coefficients[4 * 7 + 2] = 0.25;
        let mut recipe = Recipe::default();
        recipe.set(&coefficients, 6, x.rows().into(), false);
        assert_eq!([0, 1, 2].map(|i| recipe.lines[i].shared), [3, 2, 0]);
        assert_eq!(recipe.work, 2 + 1 + 2 + 2 + 1, "terms that are added");
        let mixed = Mixed::new(x.rows(), &recipe);
        let (mut room, mut window) = (Vec::new(), Matrix::default());
        let mut whole = Matrix::zeros(6, d);
        mixed.copy_to(whole.rows_mut());
        assert!((0..6).all(|i| whole.row(i) == mixed.row(i, &mut room)));
        for columns in mixed.windows(0..d) {
            let part = mixed.window(isa::active(), columns.clone(), &mut window);
            for i in 0..6 {
                assert_eq!(part.row(i), &mixed.row(i, &mut room)[columns.clone()], "row {i}");
                for (at, k) in columns.clone().enumerate() {
                    let exact: f64 =
                        (0..7).map(|j| coefficients[i * 7 + j] * f64::from(x.row(j)[k])).sum();
                    assert!(
                        (f64::from(part.row(i)[at]) - exact).abs() <= 1e-6 * exact.abs().max(1.0)
                    );
                }
            }
        }
    }

    #[test]
    fn workers_are_known_until_rows_are_pooled() {
        let x = Matrix::zeros(2, 1);
        let ids = [4, 9];
        let rows = x.rows().with_ids(&ids);
        let (mut scaled, mut pooled) = (Recipe::default(), Recipe::default());
        scaled.set(&[1.0, 0.0, 0.0, 0.5], 2, rows.into(), true);
        assert_eq!(Mixed::new(rows, &scaled).id(1), 9);
        pooled.set(&[0.0, 1.0, 1.0, 0.0], 2, Mixed::new(rows, &scaled), false);
        assert_eq!(Mixed::new(rows, &pooled).id(1), 1);
    }
}
