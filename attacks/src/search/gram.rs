//! Trials in Gram space: where a rule sees only distances, a candidate costs O(n²), not O(n·d).

use super::basis::Basis;
use super::climb::Plan;
use crate::Probe;
use varangian_base::kernels::distances::Pairs;

/// A round as a distance rule sees it, and what follows from the weights that it answers.
pub(crate) struct Field<'a> {
    basis: &'a Basis,
    /// For each row in worker order: whether it is hostile, and its place among its kind.
    order: &'a [(u32, bool, usize)],
    pairs: Pairs,
    weights: Vec<f64>,
    /// F − mean over the vectors of the basis.
    answer: Vec<f64>,
    group_of: Vec<usize>,
}

impl<'a> Field<'a> {
    pub(crate) fn new(basis: &'a Basis, order: &'a [(u32, bool, usize)]) -> Self {
        let (pairs, answer, group_of) = Default::default();
        let weights = vec![0.0; order.len()];
        let mut field = Field { basis, order, pairs, weights, answer, group_of };
        field.pairs.resize(order.len());
        for (a, &(_, hostile, i)) in order.iter().enumerate() {
            for (b, &(_, other, j)) in order[..a].iter().enumerate() {
                if !hostile && !other {
                    let inner = |i, j| basis.inner(i, j);
                    let square = inner(i, i) + inner(j, j) - 2.0 * inner(i, j);
                    field.pairs.set(a, b, square.max(0.0));
                }
            }
        }
        field
    }

    /// F − mean as coefficients of the basis's vectors, or `None` if the rule sees more than
    /// distances.
    pub(crate) fn answer(&mut self, plan: &Plan, probe: &mut dyn Probe) -> Option<&[f64]> {
        self.place(plan);
        if !probe.weigh(&self.pairs, &mut self.weights) {
            return None;
        }
        let (h, count) = (self.basis.h, self.basis.count());
        self.answer.clear();
        self.answer.resize(h + count, 0.0);
        let mut total = 0.0;
        for (&(_, hostile, i), &w) in self.order.iter().zip(&self.weights) {
            total += w;
            if hostile {
                let coefficients = &plan.groups[self.group_of[i]].1;
                for (sum, &a) in self.answer[h..].iter_mut().zip(coefficients) {
                    *sum += w * a;
                }
            } else {
                self.answer[i] += w;
            }
        }
        // Weights that do not sum to 1 leave a part of the mean: u₀ is −mean·spread/‖mean‖.
        if self.basis.mean_norm > 0.0 {
            self.answer[h] -= (total - 1.0) * self.basis.mean_norm / self.basis.spread;
        }
        Some(&self.answer)
    }

    /// Sets the distances of the hostile rows.
    fn place(&mut self, plan: &Plan) {
        let (basis, h) = (self.basis, self.basis.h);
        self.group_of.clear();
        for (g, (workers, _)) in plan.groups.iter().enumerate() {
            self.group_of.resize(self.group_of.len() + workers, g);
        }
        let along = |a: &[f64], j: usize| -> f64 {
            a.iter().enumerate().map(|(k, a)| a * basis.inner(h + k, j)).sum()
        };
        let to_honest: Vec<Vec<f64>> =
            plan.groups.iter().map(|(_, a)| (0..h).map(|i| along(a, i)).collect()).collect();
        let between = |a: &[f64], b: &[f64]| -> f64 {
            b.iter().enumerate().map(|(k, b)| b * along(a, h + k)).sum()
        };
        let count = plan.groups.len();
        let mut products = vec![0.0; count * count];
        for g in 0..count {
            for e in 0..=g {
                let value = between(&plan.groups[g].1, &plan.groups[e].1);
                (products[g * count + e], products[e * count + g]) = (value, value);
            }
        }
        for (a, &(_, hostile, i)) in self.order.iter().enumerate() {
            for (b, &(_, other, j)) in self.order[..a].iter().enumerate() {
                let square = match (hostile, other) {
                    (false, false) => continue,
                    (true, true) => {
                        let (g, e) = (self.group_of[i], self.group_of[j]);
                        let own = products[g * count + g] + products[e * count + e];
                        own - 2.0 * products[g * count + e]
                    }
                    _ => {
                        let (i, j) = if hostile { (i, j) } else { (j, i) };
                        let g = self.group_of[i];
                        products[g * count + g] - 2.0 * to_honest[g][j] + basis.inner(j, j)
                    }
                };
                self.pairs.set(a, b, square.max(0.0));
            }
        }
    }

    /// ⟨Σ aᵢvᵢ, Σ bⱼvⱼ⟩ over the basis's vectors.
    pub(crate) fn inner(&self, a: &[f64], b: &[f64]) -> f64 {
        let row = |i: usize| -> f64 {
            b.iter().enumerate().map(|(j, b)| b * self.basis.inner(i, j)).sum()
        };
        a.iter().enumerate().filter(|(_, a)| **a != 0.0).map(|(i, a)| a * row(i)).sum()
    }
}
