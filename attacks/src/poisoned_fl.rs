//! PoisonedFL (Xie, Fang & Gong 2025, §4): without any knowledge of the honest rows, push along
//! one random sign vector s for the whole run, with a size driven by what the server did.
//!
//! Row = c·‖g‖·v ⊙ s with g the last aggregate and v ∝ |g − b·‖g‖/‖b‖| for the last row b. Every
//! 50 rounds a binomial test asks whether the model moved along s; where it did not, c shrinks by
//! 0.7 down to 0.5.

use crate::write::{colluders, fixed_signs};
use crate::{Attack, AttackEntry, AttackFacts, Sees, View};
use varangian_base::blocks::{self, BLOCK};
use varangian_base::kernels::norms;
use varangian_base::{Kind, Memory, Param, RowsMut, SpecError, Value};

pub(crate) static ENTRY: AttackEntry = AttackEntry {
    name: "poisoned-fl",
    summary: "one random sign vector for the whole run, sized by the server's last step",
    paper: "Xie, Fang & Gong, Model Poisoning Attacks to Federated Learning via Multi-Round Consistency, CVPR 2025, arXiv 2404.15611, §4",
    differs: &[
        "on gradients in place of model updates, which turns the sign of a random vector",
        "zeros in the first step, when there is no last aggregate",
    ],
    params: &[
        Param {
            name: "factor",
            kind: Kind::Real { min: 0.0, max: 1e6 },
            default: "8",
            help: "c at the start",
        },
        Param {
            name: "period",
            kind: Kind::Count { min: 1, max: usize::MAX },
            default: "50",
            help: "rounds between two tests",
        },
    ],
    cost: "O(f·d)",
    facts: AttackFacts::remembers(Sees { server: true, ..Sees::NOTHING }),
    build: |args| {
        let factor = args.real("factor").expect("has a default");
        let period = args.count("period").expect("has a default") as u64;
        let (signs, last, then) = Default::default();
        Ok(Box::new(PoisonedFl { factor, period, signs, last, then, rounds: 0 }))
    },
};

/// What c is multiplied by after a failed test, and where it stops.
const SHRINK: f64 = 0.7;
const LEAST: f64 = 0.5;
/// The 99 % quantile of the standard normal: the test's level.
const QUANTILE: f64 = 2.326_347_874;

#[derive(Clone)]
struct PoisonedFl {
    factor: f64,
    period: u64,
    rounds: u64,
    signs: Vec<f32>,
    /// The last row sent.
    last: Vec<f32>,
    /// The parameters at the last test.
    then: Vec<f32>,
}

impl PoisonedFl {
    /// Shrinks the factor if the model did not move along the signs since the last test.
    fn test(&mut self, params: &[f32]) {
        if self.rounds.is_multiple_of(self.period) {
            if self.rounds > 0 && self.factor * SHRINK >= LEAST && !self.followed(params) {
                self.factor *= SHRINK;
            }
            self.then.clear();
            self.then.extend_from_slice(params);
        }
    }

    fn followed(&self, params: &[f32]) -> bool {
        let moved = self.then.iter().zip(params).zip(&self.signs);
        // The model moves against the aggregate.
        let aligned = moved.filter(|((then, now), s)| (**then - **now) * **s > 0.0).count();
        let d = params.len() as f64;
        aligned as f64 >= d / 2.0 + QUANTILE * d.sqrt() / 2.0
    }
}

impl Attack for PoisonedFl {
    fn forge(&mut self, view: &mut View<'_>, mut out: RowsMut<'_>) {
        let (d, previous) = (out.d(), view.previous);
        if self.signs.is_empty() {
            self.signs = vec![0.0; d];
            self.last = vec![0.0; d];
            fixed_signs(view.seed, view.own.id(0), &mut self.signs);
        }
        self.test(view.params);
        self.rounds += 1;
        let size = norms::norm2(previous).sqrt();
        let ratio = size / (norms::norm2(&self.last).sqrt() + 1e-9);
        let mut scale = std::mem::take(&mut self.last);
        blocks::fill(&mut scale, BLOCK, |range, part| {
            for (x, &g) in part.iter_mut().zip(&previous[range]) {
                *x = (f64::from(g) - f64::from(*x) * ratio).abs() as f32;
            }
        });
        let norm = norms::norm2(&scale).sqrt();
        let factor = if norm > 0.0 { self.factor * size / norm } else { 0.0 };
        let signs = &self.signs;
        colluders(out.reborrow(), |range, part| {
            for (x, (&scale, &sign)) in
                part.iter_mut().zip(scale[range.clone()].iter().zip(&signs[range]))
            {
                *x = (factor * f64::from(scale)) as f32 * sign;
            }
        });
        scale.copy_from_slice(out.row(0));
        self.last = scale;
    }

    fn sees(&self) -> Sees {
        Sees { server: true, ..Sees::NOTHING }
    }

    fn fork(&self) -> Box<dyn Attack> {
        Box::new(self.clone())
    }

    fn save(&self) -> Memory {
        let mut memory = Memory::default();
        memory.put("factor", Value::Doubles(vec![self.factor]));
        memory.put("rounds", Value::Integers(vec![self.rounds]));
        for (name, values) in [("signs", &self.signs), ("last", &self.last), ("then", &self.then)] {
            memory.put(name, Value::Floats(values.clone()));
        }
        memory
    }

    fn load(&mut self, memory: &Memory) -> Result<(), SpecError> {
        let empty = || SpecError::new("memory of poisoned-fl is empty");
        self.factor = *memory.doubles("factor")?.first().ok_or_else(empty)?;
        self.rounds = *memory.integers("rounds")?.first().ok_or_else(empty)?;
        self.signs = memory.floats("signs")?.to_vec();
        self.last = memory.floats("last")?.to_vec();
        self.then = memory.floats("then")?.to_vec();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use crate::scene::Scene;

    #[test]
    fn rows_follow_the_formula_and_the_factor_shrinks_when_the_model_resists() {
        let mut attack = crate::build("poisoned-fl period=2").unwrap();
        let mut last = [0.0f64; 20];
        let mut factor = 8.0;
        for step in 0..6u64 {
            let mut scene = Scene::random(4, 2, 20, step);
            scene.step = step;
            scene.params.fill(1.0);
            if step == 0 {
                scene.previous.fill(0.0);
            }
            let sent = scene.forge(attack.as_mut());
            // A model that stands still follows nobody.
            factor *= if step > 0 && step % 2 == 0 { 0.7 } else { 1.0 };
            let g: Vec<f64> = scene.previous.iter().map(|&x| f64::from(x)).collect();
            let norm = |x: &[f64]| x.iter().map(|x| x * x).sum::<f64>().sqrt();
            let ratio = norm(&g) / (norm(&last) + 1e-9);
            let v: Vec<f64> = (0..20).map(|k| (g[k] - last[k] * ratio).abs()).collect();
            for k in 0..20 {
                let wanted = if step == 0 { 0.0 } else { factor * norm(&g) * v[k] / norm(&v) };
                let found = f64::from(sent[0][k]);
                assert!((found.abs() - wanted).abs() < 1e-4 * wanted.max(1.0), "{step} {k}");
                last[k] = found;
            }
            assert_eq!(sent[0], sent[1]);
        }
    }
}
