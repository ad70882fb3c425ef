//! Mimic (Karimireddy, He & Jaggi 2022, §4 and appendix B): all hostile workers copy one honest
//! worker, so that its data are over-represented.
//!
//! Which one: the direction z of largest variance is learned by an online power iteration,
//! z ← t/(1+t)·z + 1/(1+t)·u/‖u‖ with u = Σᵢ⟨xᵢ − μ, z⟩(xᵢ − μ), and the row of largest ⟨xᵢ, z⟩ is
//! copied. After the warm-up the worker that was copied last is copied for ever.

use crate::write::{colluders, draw, purpose};
use crate::{Attack, AttackEntry, AttackFacts, Ground, Sees, View};
use varangian_base::blocks::{self, BLOCK};
use varangian_base::kernels::{combine, norms};
use varangian_base::{Kind, Memory, Param, RowsMut, SpecError, Value};

pub(crate) static ENTRY: AttackEntry = AttackEntry {
    name: "mimic",
    summary: "all copy the honest worker farthest along the learned direction of largest variance",
    paper: "Karimireddy, He & Jaggi, Byzantine-Robust Learning on Heterogeneous Datasets via Bucketing, ICLR 2022, arXiv 2006.09365, §4 and appendix B",
    differs: &["the first direction is drawn from the run's seed"],
    params: &[
        Param {
            name: "warmup",
            kind: Kind::Count { min: 1, max: usize::MAX },
            default: "50",
            help: "steps in which the direction is learned and the copied worker may change",
        },
        Param {
            name: "target",
            kind: Kind::Count { min: 0, max: u32::MAX as usize },
            default: "auto",
            help: "copy the first honest worker of at least this id; auto learns whom",
        },
    ],
    cost: "O(n·d) in the warm-up, O(f·d) after it",
    facts: AttackFacts::remembers(Sees::HONEST),
    build: |args| {
        let warmup = args.count("warmup").expect("has a default") as u64;
        let target = args.count("target").map(|id| id as u32);
        if target.is_some() && args.is_given("warmup") {
            return Err(SpecError::new("warmup is of use with target=auto only; both are given"));
        }
        let (mean, direction) = Default::default();
        Ok(Box::new(Mimic { warmup, target, seen: 0, mean, direction }))
    },
};

#[derive(Clone)]
struct Mimic {
    warmup: u64,
    /// Whom to copy; `None` while it is not learned.
    target: Option<u32>,
    /// Rounds seen so far.
    seen: u64,
    mean: Vec<f32>,
    direction: Vec<f32>,
}

impl Mimic {
    /// One round of the online power iteration.
    fn learn(&mut self, view: &View<'_>) {
        let d = view.honest.d();
        if self.seen == 0 {
            self.mean = vec![0.0; d];
            self.direction = vec![0.0; d];
            let worker = view.own.id(0);
            draw(view.seed, worker, 0, purpose::MIMIC, &mut self.direction, |stream, _, _| {
                stream.normal() as f32
            });
        }
        let old = self.seen as f64 / (1 + self.seen) as f64;
        let mut average = vec![0.0; d];
        combine::mean(view.honest, &mut average);
        blend(&mut self.mean, old, &average, 1.0 - old);
        let offset = norms::dot(&self.mean, &self.direction);
        let mut weights = Vec::new();
        norms::rows_dot(view.honest, &self.direction, &mut weights);
        weights.iter_mut().for_each(|dot| *dot -= offset);
        let mut step = vec![0.0; d];
        combine::combine(view.honest, &weights, &mut step);
        blend(&mut step, 1.0, &self.mean, -weights.iter().sum::<f64>());
        let norm = norms::norm2(&step).sqrt();
        if norm > 0.0 {
            blend(&mut self.direction, old, &step, (1.0 - old) / norm);
            let norm = norms::norm2(&self.direction).sqrt().max(f64::MIN_POSITIVE);
            blend(&mut self.direction, 1.0 / norm, &step, 0.0);
        }
        self.seen += 1;
    }
}

/// a ← α·a + β·b.
fn blend(a: &mut [f32], alpha: f64, b: &[f32], beta: f64) {
    blocks::fill(a, BLOCK, |range, a| {
        for (a, &b) in a.iter_mut().zip(&b[range]) {
            *a = (alpha * f64::from(*a) + beta * f64::from(b)) as f32;
        }
    });
}

impl Attack for Mimic {
    fn forge(&mut self, view: &mut View<'_>, out: RowsMut<'_>) {
        let honest = view.honest;
        let i = match self.target {
            // Where it was learnt and that worker is silent, the next one, or the last.
            Some(id) => (0..honest.n()).find(|&i| honest.id(i) >= id).unwrap_or(honest.n() - 1),
            None => {
                self.learn(view);
                let mut dots = Vec::new();
                norms::rows_dot(honest, &self.direction, &mut dots);
                // Of equals the lowest id, as everywhere.
                let best = (0..honest.n()).rev().max_by(|&a, &b| dots[a].total_cmp(&dots[b]));
                let best = best.expect("at least one honest worker");
                if self.seen == self.warmup {
                    self.target = Some(honest.id(best));
                }
                best
            }
        };
        colluders(out, |range, part| part.copy_from_slice(&honest.row(i)[range]));
    }

    fn sees(&self) -> Sees {
        Sees::HONEST
    }

    fn fork(&self) -> Box<dyn Attack> {
        Box::new(self.clone())
    }

    fn check(&self, honest: usize, _: usize, _: usize) -> Result<(), String> {
        if honest == 0 { Err("at least 1 honest worker".into()) } else { Ok(()) }
    }

    fn fits(&self, ground: Ground<'_>) -> Result<(), String> {
        match (self.target, ground.honest.last()) {
            (Some(id), Some(&last)) if id > last => {
                Err(format!("target ≤ {last}, the last honest worker; target = {id}"))
            }
            _ => Ok(()),
        }
    }

    fn save(&self) -> Memory {
        let mut memory = Memory::default();
        let target = self.target.map(u64::from);
        memory.put("seen", Value::Integers([self.seen].into_iter().chain(target).collect()));
        memory.put("mean", Value::Floats(self.mean.clone()));
        memory.put("direction", Value::Floats(self.direction.clone()));
        memory
    }

    fn load(&mut self, memory: &Memory) -> Result<(), SpecError> {
        let seen = memory.integers("seen")?;
        self.seen = *seen.first().ok_or_else(|| SpecError::new("memory \"seen\" is empty"))?;
        self.target = seen.get(1).map(|&id| id as u32);
        self.mean = memory.floats("mean")?.to_vec();
        self.direction = memory.floats("direction")?.to_vec();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use crate::scene::Scene;
    use varangian_base::Matrix;

    /// Rows that vary most along coordinate 2, worker 1 lowest and worker 3 highest.
    fn scene(step: u64) -> Scene {
        let mut scene = Scene::random(5, 2, 6, 40 + step);
        let honest: Vec<Vec<f32>> = (0..5)
            .map(|i| {
                let mut row: Vec<f32> = scene.honest.row(i).iter().map(|x| 0.1 * x + 1.0).collect();
                row[2] = [0.0, -9.0, 1.0, 8.0, 0.0][i];
                row
            })
            .collect();
        scene.honest = Matrix::from_rows(&honest);
        scene.step = step;
        scene
    }

    #[test]
    fn the_extreme_worker_is_copied_and_stays_the_target() {
        let mut attack = crate::build("mimic warmup=5").unwrap();
        let mut last = 0.0;
        for step in 0..5 {
            let mut scene = scene(step);
            let sent = scene.forge(attack.as_mut());
            let copied = (0..5).find(|&i| scene.honest.row(i) == sent[0]).unwrap();
            last = [0.0, -9.0, 1.0, 8.0, 0.0][copied];
        }
        // The direction's sign is arbitrary: one of the two ends.
        assert!(last == -9.0 || last == 8.0);
        let mut other = scene(9);
        // The warm-up is over: the same worker, whatever it sends.
        let id = if last == 8.0 { 3 } else { 1 };
        other.honest.row_mut(id)[2] = 0.0;
        let sent = other.forge(attack.as_mut());
        assert_eq!(sent[1], other.honest.row(id));
    }

    #[test]
    fn the_power_iteration_follows_its_formula() {
        // Against a plain f64 version of the recursion, over four rounds.
        let mut attack = crate::build("mimic warmup=100").unwrap();
        let mut state: Option<(Vec<f64>, Vec<f64>)> = None;
        for t in 0..4u64 {
            let mut scene = scene(t);
            let sent = scene.forge(attack.as_mut());
            let x: Vec<Vec<f64>> = (0..5)
                .map(|i| scene.honest.row(i).iter().map(|&v| f64::from(v)).collect())
                .collect();
            let mean = |k: usize| x.iter().map(|row| row[k]).sum::<f64>() / 5.0;
            let first = t == 0;
            let memory = attack.save();
            let (mut mu, mut z) = state.clone().unwrap_or_else(|| {
                // The first draw is the attack's own: any start is as good.
                let mut start = vec![0.0f32; 6];
                crate::write::draw(varangian_base::Seed(9), 5, 0, 3, &mut start, |s, _, _| {
                    s.normal() as f32
                });
                (vec![0.0; 6], start.iter().map(|&v| f64::from(v)).collect())
            });
            let old = t as f64 / (t + 1) as f64;
            (0..6).for_each(|k| mu[k] = old * mu[k] + (1.0 - old) * mean(k));
            let mut u = [0.0; 6];
            for row in &x {
                let w: f64 = (0..6).map(|k| (row[k] - mu[k]) * z[k]).sum();
                (0..6).for_each(|k| u[k] += w * (row[k] - mu[k]));
            }
            let norm = u.iter().map(|v| v * v).sum::<f64>().sqrt();
            let keep = if first { 0.0 } else { old };
            (0..6).for_each(|k| z[k] = keep * z[k] + (1.0 - keep) * u[k] / norm);
            let norm = z.iter().map(|v| v * v).sum::<f64>().sqrt();
            z.iter_mut().for_each(|v| *v /= norm);
            let learned = memory.floats("direction").unwrap();
            assert!((0..6).all(|k| (f64::from(learned[k]) - z[k]).abs() < 1e-4), "round {t}");
            let best = (0..5).max_by(|&a, &b| {
                let along = |i: usize| (0..6).map(|k| x[i][k] * z[k]).sum::<f64>();
                along(a).total_cmp(&along(b))
            });
            assert_eq!(sent[0], scene.honest.row(best.unwrap()));
            state = Some((mu, z));
        }
    }

    #[test]
    fn a_fixed_target_needs_no_learning() {
        let mut scene = scene(0);
        let sent = scene.forge(crate::build("mimic target=2").unwrap().as_mut());
        assert_eq!(sent[0], scene.honest.row(2));
    }
}
