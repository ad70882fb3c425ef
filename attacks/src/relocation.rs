//! Relocated orthogonal perturbation (Özfatura, Özfatura, Küpçü & Gündüz 2022): against centred
//! clipping. The hostile row stands near the point to which rows are clipped, so that clipping
//! leaves it alone, and is moved at an angle to the reference.
//!
//! Location: π·m + (1 − π)·mean with m the last aggregate. Reference: r = λ·m + (1 − λ)·mean (the
//! mean in the first step). The move has length z and the angle θ to r, in the plane of r and of
//! the all-ones vector.

use crate::write::{colluders, scaled_mean};
use crate::{Attack, AttackEntry, AttackFacts, Sees, View};
use varangian_base::kernels::norms;
use varangian_base::{Kind, Param, RowsMut};

/// Sums that are kept side by side.
const LANES: usize = 8;

pub(crate) static ENTRY: AttackEntry = AttackEntry {
    name: "relocation",
    summary: "near the server's last aggregate, moved at an angle: against centred clipping",
    paper: "Özfatura, Özfatura, Küpçü & Gündüz, Byzantines Can Also Learn From History: Fall of Centered Clipping in Federated Learning, 2022, arXiv 2208.09894, §IV",
    differs: &["defaults and the choice of the all-ones vector are those of the authors' code"],
    params: &[
        Param {
            name: "z",
            kind: Kind::Real { min: 0.0, max: 1e30 },
            default: "auto",
            help: "the length of the move; auto is ALIE's z",
        },
        Param {
            name: "angle",
            kind: Kind::Real { min: 0.0, max: 360.0 },
            default: "90",
            help: "degrees between the move and the reference",
        },
        Param {
            name: "lambda",
            kind: Kind::Real { min: 0.0, max: 1.0 },
            default: "0.9",
            help: "λ, the last aggregate's part in the reference",
        },
        Param {
            name: "pi",
            kind: Kind::Real { min: 0.0, max: 1.0 },
            default: "1",
            help: "π, the last aggregate's part in the location",
        },
    ],
    cost: "O(n·d)",
    facts: AttackFacts::reads(Sees { server: true, ..Sees::HONEST }),
    build: |args| {
        let real = |name| args.real(name).expect("has a default");
        let angle = real("angle").to_radians();
        let (z, lambda, pi) = (args.real("z"), real("lambda"), real("pi"));
        Ok(Box::new(Relocation { z, angle, lambda, pi, mean: Vec::new() }))
    },
};

#[derive(Clone)]
struct Relocation {
    z: Option<f64>,
    angle: f64,
    lambda: f64,
    pi: f64,
    mean: Vec<f32>,
}

impl Attack for Relocation {
    fn forge(&mut self, view: &mut View<'_>, out: RowsMut<'_>) {
        let (d, previous) = (view.honest.d(), view.previous);
        self.mean.resize(d, 0.0);
        scaled_mean(view.honest, 1.0, &mut self.mean);
        let mean = &self.mean;
        let lambda = if norms::norm2(previous) == 0.0 { 0.0 } else { self.lambda };
        let reference =
            |k: usize| lambda * f64::from(previous[k]) + (1.0 - lambda) * f64::from(mean[k]);
        // Sums in lanes, which meet in order: one addition need not wait for the last.
        let (mut sums, mut norms2) = ([0.0; LANES], [0.0; LANES]);
        for from in (0..d).step_by(LANES) {
            for (lane, k) in (from..d.min(from + LANES)).enumerate() {
                let r = reference(k);
                sums[lane] += r;
                norms2[lane] += r * r;
            }
        }
        let (sum, norm2): (f64, f64) = (sums.iter().sum(), norms2.iter().sum());
        // 1 − ⟨1, r⟩r/‖r‖² and its length, which is 0 where r is constant.
        let slope = if norm2 > 0.0 { sum / norm2 } else { 0.0 };
        let rest = (d as f64 - slope * sum).max(0.0).sqrt();
        let z = self.z.unwrap_or_else(|| crate::alie_z(view.n, view.n - view.honest.n()));
        let across =
            if rest > 1e-9 * (d as f64).sqrt() { z * self.angle.sin() / rest } else { 0.0 };
        let along = if norm2 > 0.0 { z * self.angle.cos() / norm2.sqrt() } else { 0.0 };
        let pi = self.pi;
        colluders(out, |range, part| {
            let places = previous[range.clone()].iter().zip(&mean[range]);
            for (x, (&previous, &mean)) in part.iter_mut().zip(places) {
                let (previous, mean) = (f64::from(previous), f64::from(mean));
                let r = lambda * previous + (1.0 - lambda) * mean;
                let place = pi * previous + (1.0 - pi) * mean;
                *x = (place + across * (1.0 - slope * r) + along * r) as f32;
            }
        });
    }

    fn sees(&self) -> Sees {
        Sees { server: true, ..Sees::HONEST }
    }

    fn fork(&self) -> Box<dyn Attack> {
        Box::new(self.clone())
    }

    fn check(&self, honest: usize, _: usize, _: usize) -> Result<(), String> {
        if honest == 0 { Err("at least 1 honest worker".into()) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use crate::build;
    use crate::scene::Scene;
    use varangian_base::kernels::{combine, norms};

    #[test]
    fn the_move_has_its_length_and_angle_and_starts_at_its_place() {
        for (angle, pi, lambda) in [(90.0, 1.0, 0.9), (270.0, 0.0, 0.5), (180.0, 0.3, 1.0)] {
            let mut scene = Scene::random(6, 2, 50, 3);
            let spec = format!("relocation z=3 angle={angle} pi={pi} lambda={lambda}");
            let sent = scene.forge(build(&spec).unwrap().as_mut());
            let mut mean = vec![0.0; 50];
            combine::mean(scene.honest.rows(), &mut mean);
            let blend = |w: f64, k: usize| {
                w * f64::from(scene.previous[k]) + (1.0 - w) * f64::from(mean[k])
            };
            let step: Vec<f64> = (0..50).map(|k| f64::from(sent[0][k]) - blend(pi, k)).collect();
            let length = step.iter().map(|x| x * x).sum::<f64>().sqrt();
            assert!((length - 3.0).abs() < 1e-5, "{length}");
            let r: Vec<f64> = (0..50).map(|k| blend(lambda, k)).collect();
            let norm = r.iter().map(|x| x * x).sum::<f64>().sqrt();
            let cos = step.iter().zip(&r).map(|(a, b)| a * b).sum::<f64>() / (norm * length);
            assert!((cos - f64::to_radians(angle).cos()).abs() < 1e-5, "{angle}: {cos}");
        }
    }

    #[test]
    fn the_first_step_starts_from_the_mean_direction() {
        let mut scene = Scene::random(6, 2, 50, 3);
        scene.previous.fill(0.0);
        let sent = scene.forge(build("relocation z=1").unwrap().as_mut());
        let mut mean = vec![0.0; 50];
        combine::mean(scene.honest.rows(), &mut mean);
        assert!(norms::dot(&sent[0], &mean).abs() < 1e-5);
    }
}
