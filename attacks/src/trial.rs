//! Trying rows on the rule: all n rows in worker order, a probe, and the harm of its answer.

use crate::{Probe, View};
use varangian_base::kernels::combine;
use varangian_base::{Matrix, Rows};

/// The n rows of a round, honest ones in place, hostile ones to be filled in and tried.
#[derive(Clone, Default)]
pub(crate) struct Trial {
    rows: Matrix,
    ids: Vec<u32>,
    /// Where the hostile rows stand.
    hostile: Vec<usize>,
    answer: Vec<f32>,
    /// The mean of the honest rows.
    pub(crate) mean: Vec<f32>,
}

impl Trial {
    /// Copies the honest rows into place. Cost O(n·d).
    pub(crate) fn begin(&mut self, view: &View<'_>) {
        let (honest, own) = (view.honest, view.own);
        let (n, d) = (honest.n() + own.n(), honest.d());
        let order = worker_order(honest, own);
        self.rows.resize(n, d);
        self.ids.clear();
        self.hostile.clear();
        for (at, &(id, hostile, i)) in order.iter().enumerate() {
            self.ids.push(id);
            match hostile {
                true => self.hostile.push(at),
                false => self.rows.row_mut(at).copy_from_slice(honest.row(i)),
            }
        }
        self.answer.resize(d, 0.0);
        self.mean.resize(d, 0.0);
        combine::mean(honest, &mut self.mean);
    }

    /// The i-th hostile row, to write.
    pub(crate) fn row_mut(&mut self, i: usize) -> &mut [f32] {
        self.rows.row_mut(self.hostile[i])
    }

    /// Copies hostile row `from` over hostile row `to`.
    pub(crate) fn copy_hostile(&mut self, from: usize, to: usize) {
        self.rows.copy_row(self.hostile[from], self.hostile[to]);
    }

    /// Writes the first hostile row by `write` and copies it into the others.
    pub(crate) fn colluders(&mut self, write: impl FnOnce(&mut [f32])) {
        write(self.row_mut(0));
        for i in 1..self.hostile.len() {
            self.copy_hostile(0, i);
        }
    }

    /// What the rule answers to the rows as they stand; `None` where a hostile row or the answer is
    /// not finite (the server would refuse such a row).
    pub(crate) fn answer(&mut self, probe: &mut dyn Probe) -> Option<&[f32]> {
        let finite = |row: &[f32]| row.iter().all(|x| x.is_finite());
        let rows = &self.rows;
        if !self.hostile.iter().all(|&at| finite(rows.row(at))) {
            return None;
        }
        let ids = self.ids.windows(2).all(|w| w[0] < w[1]);
        let rows = if ids { self.rows.rows().with_ids(&self.ids) } else { self.rows.rows() };
        probe.aggregate(rows, &mut self.answer);
        finite(&self.answer).then_some(&self.answer)
    }

    /// ‖answer − honest mean‖², or NaN where there is no answer.
    pub(crate) fn distance2(&mut self, probe: &mut dyn Probe) -> f64 {
        if self.answer(probe).is_none() {
            return f64::NAN;
        }
        varangian_base::kernels::norms::distance2(&self.answer, &self.mean)
    }
}

/// (worker id, whether hostile, index among its kind) in the order in which the server sees the
/// rows: by id; where two ids collide, as in rows without ids, honest rows come first.
pub(crate) fn worker_order(honest: Rows<'_>, own: Rows<'_>) -> Vec<(u32, bool, usize)> {
    let mut order: Vec<(u32, bool, usize)> =
        (0..honest.n()).map(|i| (honest.id(i), false, i)).collect();
    order.extend((0..own.n()).map(|i| (own.id(i), true, i)));
    let mut sorted = order.clone();
    sorted.sort_unstable();
    if sorted.windows(2).all(|w| w[0].0 < w[1].0) { sorted } else { order }
}
