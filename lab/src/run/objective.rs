//! How far parameters are from the optimum of what honest workers minimise together, in f64: the
//! vertical axis of papers on finite sums.
//!
//! f(x) = (1/|G|)·Σ over honest workers i of (1/mᵢ)·Σⱼ ℓ(x; aᵢⱼ, yᵢⱼ) + (λ/2)·‖x‖², with ℓ the
//! logistic loss. Its minimiser is found once, by Newton's method with halved steps.

use crate::Failure;
use crate::config::Settings;
use varangian_base::{Domain, Seed, SpecError};
use varangian_learn::{Batch, Dataset, Sampler, Targets};
use varangian_sim::Course;

/// Newton steps at most; from 0 some ten are enough.
const STEPS: usize = 200;
/// Half the squared Newton decrement, which bounds f − f* to first order, at which it ends.
const DONE: f64 = 1e-16;

/// Binary logistic regression with an ℓ2 penalty on a table, and its least value.
pub(super) struct Objective {
    /// Samples with a 1 behind their numbers, row by row, d numbers each.
    rows: Vec<f64>,
    /// 0 or 1.
    labels: Vec<f64>,
    /// How much each sample counts; in sum 1.
    weights: Vec<f64>,
    lambda: f64,
    d: usize,
    least: f64,
}

impl Objective {
    /// The objective of the honest workers of a run.
    ///
    /// # Errors
    /// If Newton's method does not come to rest.
    pub(super) fn of(settings: &Settings, course: &Course) -> Result<Self, Failure> {
        let (data, sampler, n, hostile) = match course {
            Course::Lockstep(plan) | Course::Rounds(plan, _) | Course::Gossip(plan, _) => {
                (&plan.train, &plan.sampler, plan.n, plan.hostile_ids())
            }
            Course::Swarm(plan) => (&plan.train, &plan.sampler, plan.n, plan.hostile_ids()),
        };
        let honest = (0..n as u32).filter(|id| !hostile.contains(id)).collect::<Vec<_>>();
        let weights = weights(data.len(), sampler.as_ref(), &honest);
        let mut objective = Objective::table(data.as_ref(), weights, settings.regularise);
        let best = objective.minimise()?;
        objective.least = objective.value(&best);
        Ok(objective)
    }

    fn table(data: &dyn Dataset, weights: Vec<f64>, lambda: f64) -> Self {
        let all: Vec<u32> = (0..data.len() as u32).collect();
        let mut batch = Batch::default();
        data.fill(&all, &mut Seed(0).stream(Domain::Evaluation, 0, 0), &mut batch);
        let d = data.shape().len() + 1;
        let mut rows = Vec::with_capacity(data.len() * d);
        for row in batch.inputs.chunks_exact(d - 1) {
            rows.extend(row.iter().map(|&x| f64::from(x)));
            rows.push(1.0);
        }
        let labels = match &batch.targets {
            Targets::Labels(labels) => labels.iter().map(|&label| f64::from(label)).collect(),
            Targets::Values(values) => values.iter().map(|&value| f64::from(value)).collect(),
        };
        Objective { rows, labels, weights, lambda, d, least: 0.0 }
    }

    /// f(params) − f*, at least 0: what rounding leaves below is 0. Cost O(samples·d).
    pub(super) fn gap(&self, params: &[f32]) -> f64 {
        let x: Vec<f64> = params.iter().map(|&x| f64::from(x)).collect();
        let gap = self.value(&x) - self.least;
        if gap.is_nan() { gap } else { gap.max(0.0) }
    }

    fn samples(&self) -> impl Iterator<Item = (&[f64], f64, f64)> {
        let rows = self.rows.chunks_exact(self.d).zip(&self.labels).zip(&self.weights);
        rows.map(|((row, &label), &weight)| (row, label, weight))
    }

    fn value(&self, x: &[f64]) -> f64 {
        let loss = |(row, label, weight): (&[f64], f64, f64)| {
            let z = dot(row, x);
            // log(1 + eᶻ) without overflow.
            weight * (z.max(0.0) + (-z.abs()).exp().ln_1p() - label * z)
        };
        self.samples().map(loss).sum::<f64>() + 0.5 * self.lambda * dot(x, x)
    }

    /// ∇f and ∇²f, the latter row by row.
    fn slopes(&self, x: &[f64]) -> (Vec<f64>, Vec<f64>) {
        let d = self.d;
        let mut gradient: Vec<f64> = x.iter().map(|x| self.lambda * x).collect();
        let mut hessian = vec![0.0; d * d];
        (0..d).for_each(|k| hessian[k * d + k] = self.lambda);
        for (row, label, weight) in self.samples() {
            let p = 1.0 / (1.0 + (-dot(row, x)).exp());
            let (first, second) = (weight * (p - label), weight * p * (1.0 - p));
            for (i, &a) in row.iter().enumerate() {
                gradient[i] += first * a;
                let line = &mut hessian[i * d..][..d];
                line.iter_mut().zip(row).for_each(|(h, &b)| *h += second * a * b);
            }
        }
        (gradient, hessian)
    }

    fn minimise(&self) -> Result<Vec<f64>, SpecError> {
        let mut x = vec![0.0; self.d];
        let mut now = self.value(&x);
        for _ in 0..STEPS {
            let (gradient, hessian) = self.slopes(&x);
            let direction = solve(hessian, &gradient, self.d);
            if 0.5 * dot(&gradient, &direction) < DONE * now.abs().max(f64::MIN_POSITIVE) {
                return Ok(x);
            }
            let mut length = 1.0;
            let moved = loop {
                let next: Vec<f64> =
                    x.iter().zip(&direction).map(|(x, step)| x - length * step).collect();
                let value = self.value(&next);
                if value < now {
                    break Some((next, value));
                }
                length *= 0.5;
                if length < 1e-12 {
                    break None;
                }
            };
            // No step lowers f in f64: this is its least value as far as f64 can tell.
            let Some((next, value)) = moved else { return Ok(x) };
            (x, now) = (next, value);
        }
        Err(SpecError::new(format!(
            "optimum=newton: Newton's method did not come to rest in {STEPS} steps; f is {now}"
        )))
    }
}

/// How much each sample counts: alike within a worker's share, and each honest worker alike.
fn weights(samples: usize, sampler: &dyn Sampler, honest: &[u32]) -> Vec<f64> {
    let mut out = vec![0.0; samples];
    for &worker in honest {
        let share = sampler.share(worker);
        let each = 1.0 / (honest.len() as f64 * share.len() as f64);
        share.iter().for_each(|&sample| out[sample as usize] += each);
    }
    out
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

/// The solution of H·s = g for a positive definite H of d × d, by Cholesky's factors.
fn solve(mut h: Vec<f64>, g: &[f64], d: usize) -> Vec<f64> {
    for i in 0..d {
        for j in 0..=i {
            let inner = (0..j).map(|k| h[i * d + k] * h[j * d + k]).sum::<f64>();
            let rest = h[i * d + j] - inner;
            h[i * d + j] = if i == j { rest.sqrt() } else { rest / h[j * d + j] };
        }
    }
    let mut out = g.to_vec();
    for i in 0..d {
        let inner = (0..i).map(|k| h[i * d + k] * out[k]).sum::<f64>();
        out[i] = (out[i] - inner) / h[i * d + i];
    }
    for i in (0..d).rev() {
        let inner = (i + 1..d).map(|k| h[k * d + i] * out[k]).sum::<f64>();
        out[i] = (out[i] - inner) / h[i * d + i];
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use varangian_learn::data::load;
    use varangian_learn::partition::Minibatches;

    #[test]
    fn newton_ends_where_the_gradient_is_0_and_finite_differences_agree() {
        let split = load("logreg", None, Seed(3)).unwrap();
        let len = split.train.len();
        let objective = Objective::table(split.train.as_ref(), vec![1.0 / len as f64; len], 0.01);
        let best = objective.minimise().unwrap();
        let (gradient, _) = objective.slopes(&best);
        assert!(dot(&gradient, &gradient).sqrt() < 1e-8, "{gradient:?}");
        let from: Vec<f64> = (0..objective.d).map(|k| 0.1 * (k as f64 - 9.0)).collect();
        let (gradient, hessian) = objective.slopes(&from);
        for i in [0, 7, objective.d - 1] {
            let at = |h: f64| {
                let mut moved = from.clone();
                moved[i] += h;
                moved
            };
            let slope = (objective.value(&at(1e-5)) - objective.value(&at(-1e-5))) / 2e-5;
            assert!((slope - gradient[i]).abs() < 1e-8, "{i}: {slope} {}", gradient[i]);
            let (more, less) = (objective.slopes(&at(1e-5)).0, objective.slopes(&at(-1e-5)).0);
            for k in 0..objective.d {
                let curved = (more[k] - less[k]) / 2e-5;
                assert!((curved - hessian[i * objective.d + k]).abs() < 1e-7);
            }
        }
        let gap = |x: &[f64]| objective.value(x) - objective.value(&best);
        let near: Vec<f64> = best.iter().map(|x| x + 1e-4).collect();
        assert!(gap(&from) > 0.1 && gap(&near) > 0.0 && gap(&near) < 1e-5);
    }

    #[test]
    fn honest_workers_count_alike_and_hostile_ones_not_at_all() {
        let split = load("logreg", None, Seed(3)).unwrap();
        let sampler = Minibatches::iid(split.train.as_ref(), 7, 4, Seed(1)).unwrap();
        let found = weights(split.train.len(), &sampler, &[0, 2, 6]);
        assert!((found.iter().sum::<f64>() - 1.0).abs() < 1e-12);
        for worker in 0..7 {
            let own: f64 = sampler.share(worker).iter().map(|&i| found[i as usize]).sum();
            let wanted = if [0, 2, 6].contains(&worker) { 1.0 / 3.0 } else { 0.0 };
            assert!((own - wanted).abs() < 1e-12, "{worker}: {own}");
        }
    }
}
