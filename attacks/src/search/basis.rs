//! The directions in which hostile rows are searched: all scaled to the honest rows' spread.

use super::spectrum;
use crate::View;
use crate::write::{by_moments, draw, purpose, scaled_mean};
use varangian_base::blocks::{self, BLOCK};
use varangian_base::kernels::{combine, norms};
use varangian_base::{Matrix, Rows};

/// What a direction is, for the choice of first amplitudes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Against the honest mean.
    Mean,
    /// Against the standard deviations.
    Std,
    /// Against the signs of the mean.
    Sign,
    /// To the honest rows' extreme on the side against the mean, coordinate by coordinate.
    Edge,
    /// A leading component of the honest rows.
    Component,
    /// Against the server's last aggregate.
    Previous,
    /// Along what the rule was moved by so far.
    Drift,
    /// To the farthest honest row.
    Farthest,
    /// Noise.
    Random,
}

/// Leading components used.
const COMPONENTS: usize = 3;
/// Directions at most.
const MOST: usize = 8 + COMPONENTS;

/// The honest rows around their mean, and directions from it.
#[derive(Clone, Default)]
pub(crate) struct Basis {
    /// The honest mean.
    pub(crate) mean: Vec<f32>,
    /// ‖mean‖.
    pub(crate) mean_norm: f64,
    /// The root mean square distance of the honest rows to their mean (positive).
    pub(crate) spread: f64,
    /// The h deviations, then the directions.
    vectors: Matrix,
    /// The number of honest rows.
    pub(crate) h: usize,
    /// What each direction is.
    pub(crate) kinds: Vec<Kind>,
    /// Inner products of all vectors, `stride` a row; the lower triangle and its mirror.
    gram: Vec<f64>,
    partial: Vec<f64>,
}

impl Basis {
    /// Builds the directions for this round. `with_gram` says whether the inner products with the
    /// directions will be asked for. Cost O(h²·d), with them O((h + K)²·d).
    pub(crate) fn build(&mut self, view: &View<'_>, drift: &[f32], with_gram: bool) {
        let (h, d) = (view.honest.n(), view.honest.d());
        self.h = h;
        self.mean.resize(d, 0.0);
        scaled_mean(view.honest, 1.0, &mut self.mean);
        self.mean_norm = norms::norm2(&self.mean).sqrt();
        self.vectors.resize(h + MOST, d);
        for i in 0..h {
            subtract(view.honest.row(i), &self.mean, self.vectors.row_mut(i));
        }
        let total: f64 = (0..h).map(|i| norms::norm2(self.vectors.row(i))).sum();
        self.spread = (total / h as f64).sqrt();
        if self.spread == 0.0 {
            self.spread = if self.mean_norm > 0.0 { self.mean_norm } else { 1.0 };
        }
        self.gram.clear();
        self.gram.resize((h + MOST) * (h + MOST), 0.0);
        self.kinds.clear();
        self.inner_products(0, h);
        self.statistics(view);
        self.components();
        self.history(view, drift);
        if with_gram {
            self.inner_products(h, h + self.kinds.len());
        }
    }

    /// Adds a direction that `write` fills, scaled to the spread; drops it if it is zero.
    fn add(&mut self, kind: Kind, write: impl FnOnce(&Rows<'_>, &[f32], &mut [f32])) {
        let at = self.h + self.kinds.len();
        let mut row = std::mem::take(&mut self.partial_row(at));
        write(&self.vectors.rows().head(self.h), &self.mean, &mut row);
        let norm = norms::norm2(&row).sqrt();
        if norm > 0.0 && norm.is_finite() {
            let scale = self.spread / norm;
            let out = self.vectors.row_mut(at);
            out.iter_mut().zip(&row).for_each(|(x, &y)| *x = (scale * f64::from(y)) as f32);
            self.kinds.push(kind);
        }
    }

    fn partial_row(&self, at: usize) -> Vec<f32> {
        vec![0.0; self.vectors.row(at).len()]
    }

    fn statistics(&mut self, view: &View<'_>) {
        let honest = view.honest;
        self.add(Kind::Mean, |_, mean, row| {
            row.iter_mut().zip(mean).for_each(|(x, &m)| *x = -m);
        });
        self.add(Kind::Std, |_, _, row| by_moments(honest, 0, row, |_, _, sd| -sd));
        self.add(Kind::Sign, |_, mean, row| {
            row.iter_mut().zip(mean).for_each(|(x, &m)| *x = -crate::sign_votes::sign(m));
        });
        self.add(Kind::Edge, |deviations, mean, row| edge(*deviations, mean, row));
        let far = (0..self.h).max_by(|&a, &b| self.norm2(a).total_cmp(&self.norm2(b)));
        let far = far.expect("at least one honest row");
        self.add(Kind::Farthest, |deviations, _, row| row.copy_from_slice(deviations.row(far)));
    }

    fn components(&mut self) {
        let (h, stride) = (self.h, self.stride());
        let zz: Vec<f64> = (0..h * h).map(|p| self.gram[p / h * stride + p % h]).collect();
        let few = spectrum::leading_few(&zz, h, COMPONENTS);
        let largest = few.first().map_or(0.0, |(_, value)| *value);
        for (vector, value) in few {
            if value > 1e-9 * largest {
                self.add(Kind::Component, |deviations, _, row| {
                    combine::combine(*deviations, &vector, row);
                });
            }
        }
    }

    fn history(&mut self, view: &View<'_>, drift: &[f32]) {
        let previous = view.previous;
        if !previous.is_empty() {
            self.add(Kind::Previous, |_, _, row| {
                row.iter_mut().zip(previous).for_each(|(x, &p)| *x = -p);
            });
        }
        if !drift.is_empty() {
            self.add(Kind::Drift, |_, _, row| row.copy_from_slice(drift));
        }
        let (seed, worker, step) = (view.seed, view.own.id(0), view.step);
        self.add(Kind::Random, |_, _, row| {
            draw(seed, worker, step, purpose::SEARCH, row, |stream, _, _| stream.normal() as f32);
        });
    }

    /// Fills the inner products of vectors `from` to `to` − 1 with all before them.
    fn inner_products(&mut self, from: usize, to: usize) {
        let pairs: Vec<(usize, usize)> =
            (from..to).flat_map(|i| (0..=i).map(move |j| (i, j))).collect();
        let vectors = self.vectors.rows();
        blocks::map(pairs.len(), 1, &mut self.partial, |range, slot| {
            let (i, j) = pairs[range.start];
            *slot = norms::dot(vectors.row(i), vectors.row(j));
        });
        let stride = self.stride();
        for (&(i, j), &value) in pairs.iter().zip(&self.partial) {
            self.gram[i * stride + j] = value;
            self.gram[j * stride + i] = value;
        }
    }

    fn stride(&self) -> usize {
        self.h + MOST
    }

    /// The inner product of two vectors: deviations are 0 to h − 1, directions follow.
    pub(crate) fn inner(&self, i: usize, j: usize) -> f64 {
        self.gram[i * self.stride() + j]
    }

    fn norm2(&self, i: usize) -> f64 {
        self.inner(i, i)
    }

    /// The number of directions.
    pub(crate) fn count(&self) -> usize {
        self.kinds.len()
    }

    /// mean + Σ aₖuₖ, into `row`.
    pub(crate) fn write(&self, coefficients: &[f64], row: &mut [f32]) {
        let (mean, vectors) = (&self.mean, self.vectors.rows());
        blocks::fill(row, BLOCK, |range, part| {
            let mut sums: Vec<f64> = mean[range.clone()].iter().map(|&m| f64::from(m)).collect();
            for (k, &a) in coefficients.iter().enumerate() {
                if a != 0.0 {
                    let direction = &vectors.row(self.h + k)[range.clone()];
                    sums.iter_mut().zip(direction).for_each(|(s, &u)| *s += a * f64::from(u));
                }
            }
            part.iter_mut().zip(&sums).for_each(|(x, &s)| *x = s as f32);
        });
    }
}

fn subtract(a: &[f32], b: &[f32], out: &mut [f32]) {
    blocks::fill(out, BLOCK, |range, part| {
        for (k, x) in range.zip(part) {
            *x = a[k] - b[k];
        }
    });
}

/// The least deviation where the mean is positive, the largest where it is not.
fn edge(deviations: Rows<'_>, mean: &[f32], out: &mut [f32]) {
    blocks::fill(out, BLOCK, |range, part| {
        part.fill(0.0);
        for row in deviations.iter() {
            for ((x, &z), &m) in part.iter_mut().zip(&row[range.clone()]).zip(&mean[range.clone()])
            {
                *x = if m > 0.0 { x.min(z) } else { x.max(z) };
            }
        }
    });
}
