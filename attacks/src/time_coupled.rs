//! Time-coupled ALIE (after Karimireddy, He & Jaggi 2021): the same side of every coordinate in
//! every round. Each row looks like noise of z standard deviations; only their sum over rounds
//! gives them away.

use crate::write::{by_moments, colluders, fixed_signs};
use crate::{Attack, AttackEntry, AttackFacts, Sees, View};
use varangian_base::{Kind, Memory, Param, RowsMut, SpecError, Value};

pub(crate) static ENTRY: AttackEntry = AttackEntry {
    name: "time-coupled-alie",
    summary: "a little is enough, on the same side of each coordinate in every round",
    paper: "Karimireddy, He & Jaggi, Learning from History for Byzantine Robust Optimization, ICML 2021, arXiv 2012.10333, §3; Baruch et al. 2019",
    differs: &[
        "the paper describes the attack in words; the sides are drawn once, or those against the first mean",
    ],
    params: &[
        Param {
            name: "z",
            kind: Kind::Real { min: 0.0, max: 1e6 },
            default: "auto",
            help: "standard deviations; auto is ALIE's z",
        },
        Param {
            name: "sides",
            kind: Kind::Choice(&["random", "first"]),
            default: "random",
            help: "drawn once for the run, or against the honest mean of the first attacked step",
        },
    ],
    cost: "O(n·d)",
    facts: AttackFacts::remembers(Sees::HONEST),
    build: |args| {
        let (z, first) = (args.real("z"), args.text("sides") == "first");
        Ok(Box::new(TimeCoupled { z, first, sides: Vec::new() }))
    },
};

#[derive(Clone)]
struct TimeCoupled {
    z: Option<f64>,
    first: bool,
    sides: Vec<f32>,
}

impl Attack for TimeCoupled {
    fn forge(&mut self, view: &mut View<'_>, out: RowsMut<'_>) {
        let honest = view.honest;
        if self.sides.is_empty() {
            self.sides = vec![0.0; honest.d()];
            match self.first {
                true => by_moments(
                    honest,
                    0,
                    &mut self.sides,
                    |_, mean, _| {
                        if mean > 0.0 { -1.0 } else { 1.0 }
                    },
                ),
                false => fixed_signs(view.seed, view.own.id(0), &mut self.sides),
            }
        }
        let z = self.z.unwrap_or_else(|| crate::alie_z(view.n, view.n - honest.n()));
        let sides = &self.sides;
        colluders(out, |range, part| {
            let (honest, sides) = (honest.columns(range.clone()), &sides[range]);
            by_moments(honest, 1, part, |k, mean, sd| mean + z * f64::from(sides[k]) * sd);
        });
    }

    fn sees(&self) -> Sees {
        Sees::HONEST
    }

    fn fork(&self) -> Box<dyn Attack> {
        Box::new(self.clone())
    }

    fn check(&self, honest: usize, _: usize, _: usize) -> Result<(), String> {
        if honest < 2 { Err("at least 2 honest workers".into()) } else { Ok(()) }
    }

    fn save(&self) -> Memory {
        let mut memory = Memory::default();
        memory.put("sides", Value::Floats(self.sides.clone()));
        memory
    }

    fn load(&mut self, memory: &Memory) -> Result<(), SpecError> {
        self.sides = memory.floats("sides")?.to_vec();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use crate::scene::Scene;

    #[test]
    fn every_coordinate_keeps_its_side_at_z_deviations() {
        for spec in ["time-coupled-alie z=0.5", "time-coupled-alie z=0.5 sides=first"] {
            let mut attack = crate::build(spec).unwrap();
            let mut first = Vec::new();
            for step in 0..4 {
                let mut scene = Scene::random(6, 2, 30, step);
                let sent = scene.forge(attack.as_mut());
                let sides: Vec<f64> = (0..30)
                    .map(|k| {
                        let x = |i: usize| f64::from(scene.honest.row(i)[k]);
                        let mean = (0..6).map(x).sum::<f64>() / 6.0;
                        let var = (0..6).map(|i| (x(i) - mean).powi(2)).sum::<f64>() / 5.0;
                        let side = (f64::from(sent[0][k]) - mean) / var.sqrt() / 0.5;
                        if step == 0 && spec.ends_with("first") {
                            assert_eq!(side.signum(), -mean.signum());
                        }
                        side
                    })
                    .collect();
                assert!(sides.iter().all(|s| (s.abs() - 1.0).abs() < 1e-4), "{sides:?}");
                let signs: Vec<f64> = sides.iter().map(|s| s.signum()).collect();
                if step == 0 {
                    assert!(signs.contains(&1.0) && signs.contains(&-1.0));
                    first = signs;
                } else {
                    assert_eq!(signs, first);
                }
            }
        }
    }
}
