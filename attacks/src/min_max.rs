//! Min-max and min-sum (Shejwalkar & Houmansadr 2021, §IV-D): mean + γ·p with the largest γ at
//! which the hostile row is no farther from the honest ones than these are from each other.
//!
//! Min-max: maxᵢ‖b − xᵢ‖ ≤ maxᵢⱼ‖xᵢ − xⱼ‖. Each i gives a quadratic inequality in γ; the least of
//! the larger roots is the answer. Min-sum: Σᵢ‖b − xᵢ‖² ≤ maxᵢ Σⱼ‖xᵢ − xⱼ‖². Both sides hold the
//! same Σ‖xᵢ − mean‖², so that γ = maxᵢ‖xᵢ − mean‖/‖p‖. With `limit=min` the right side is the
//! least of these sums, and γ = minᵢ‖xᵢ − mean‖/‖p‖.

use crate::write::{colluders, nearest, scaled_mean};
use crate::{Attack, AttackEntry, AttackFacts, Sees, View};
use varangian_base::blocks::{self, BLOCK};
use varangian_base::kernels::distances::Pairs;
use varangian_base::kernels::moments::means_and_deviations;
use varangian_base::kernels::norms;
use varangian_base::spec::Args;
use varangian_base::{Kind, Param, Rows, RowsMut, SpecError};

const PAPER: &str = "Shejwalkar & Houmansadr, Manipulating the Byzantine: Optimizing Model Poisoning Attacks and Defenses for Federated Learning, NDSS 2021, §IV-D";

const DIRECTION: Param = Param {
    name: "direction",
    kind: Kind::Choice(&["std", "unit", "sign"]),
    default: "std",
    help: "p: minus the standard deviations, minus the unit vector of the mean, minus the signs of the mean",
};

pub(crate) static ENTRY: AttackEntry = AttackEntry {
    name: "min-max",
    summary: "as far from the mean as the two farthest honest rows are from each other",
    paper: PAPER,
    differs: &["γ in closed form in place of a bisection"],
    params: &[DIRECTION],
    cost: "O(h²·d)",
    facts: AttackFacts::reads(Sees::HONEST),
    build: |args| build(args, Bound::Max),
};

pub(crate) static SUM: AttackEntry = AttackEntry {
    name: "min-sum",
    summary: "as far from the mean as the sum of squared distances to the honest rows allows",
    paper: PAPER,
    differs: &[
        "γ in closed form in place of a bisection",
        "limit = min takes the least of the sums, as the code in circulation does; the paper takes the largest",
    ],
    params: &[
        DIRECTION,
        Param {
            name: "limit",
            kind: Kind::Choice(&["max", "min"]),
            default: "max",
            help: "which honest row's sum of squared distances the hostile row keeps below: the largest, or the least (the code in circulation)",
        },
    ],
    cost: "O(n·d)",
    facts: AttackFacts::reads(Sees::HONEST),
    build: |args| {
        build(args, if args.text("limit") == "min" { Bound::LeastSum } else { Bound::Sum })
    },
};

fn build(args: &Args, bound: Bound) -> Result<Box<dyn Attack>, SpecError> {
    let direction = match args.text("direction") {
        "std" => Direction::Std,
        "unit" => Direction::Unit,
        _ => Direction::Sign,
    };
    let (mean, along, pairs, to_mean, dots) = Default::default();
    Ok(Box::new(Bounded { bound, direction, mean, along, pairs, to_mean, dots }))
}

#[derive(Clone, Copy, PartialEq)]
enum Bound {
    Max,
    Sum,
    LeastSum,
}

#[derive(Clone, Copy)]
enum Direction {
    Std,
    Unit,
    Sign,
}

#[derive(Clone)]
struct Bounded {
    bound: Bound,
    direction: Direction,
    mean: Vec<f32>,
    /// The direction p.
    along: Vec<f32>,
    pairs: Pairs,
    to_mean: Vec<f64>,
    dots: Vec<f64>,
}

impl Bounded {
    fn aim(&mut self, honest: Rows<'_>) {
        self.mean.resize(honest.d(), 0.0);
        self.along.resize(honest.d(), 0.0);
        let value: &(dyn Fn(f32, f64) -> f32 + Sync) = match self.direction {
            Direction::Std => {
                means_and_deviations(honest, 1, &mut self.mean, &mut self.along);
                self.along.iter_mut().for_each(|p| *p = -*p);
                return;
            }
            Direction::Unit => &|mean, scale| (scale * f64::from(mean)) as f32,
            Direction::Sign => &|mean, _| if mean == 0.0 { 0.0 } else { -mean.signum() },
        };
        scaled_mean(honest, 1.0, &mut self.mean);
        let mean = &self.mean;
        let scale = -1.0 / norms::norm2(mean).sqrt().max(f64::MIN_POSITIVE);
        blocks::fill(&mut self.along, BLOCK, |range, part| {
            part.iter_mut().zip(&mean[range]).for_each(|(p, &m)| *p = value(m, scale));
        });
    }

    fn gamma(&mut self, honest: Rows<'_>) -> f64 {
        let length2 = norms::norm2(&self.along);
        if length2 == 0.0 {
            return 0.0;
        }
        norms::rows_distance2(honest, &self.mean, &mut self.to_mean);
        let farness = self.to_mean.iter().copied();
        match self.bound {
            Bound::Sum => return (farness.fold(0.0, f64::max) / length2).sqrt(),
            Bound::LeastSum => return (farness.fold(f64::INFINITY, f64::min) / length2).sqrt(),
            Bound::Max => {}
        }
        self.pairs.squared_distances(honest);
        let h = honest.n();
        let widest = (0..h).flat_map(|i| self.pairs.row(i)).copied().fold(0.0, f64::max);
        let offset = norms::dot(&self.along, &self.mean);
        norms::rows_dot(honest, &self.along, &mut self.dots);
        let root = |i: usize| {
            // ‖p‖²γ² + 2bγ + c ≤ 0 with b = ⟨p, mean − xᵢ⟩, c = ‖mean − xᵢ‖² − widest ≤ 0.
            let b = offset - self.dots[i];
            let c = (self.to_mean[i] - widest).min(0.0);
            ((b * b - length2 * c).sqrt() - b) / length2
        };
        (0..h).map(root).fold(f64::INFINITY, f64::min).max(0.0)
    }
}

impl Attack for Bounded {
    fn forge(&mut self, view: &mut View<'_>, out: RowsMut<'_>) {
        self.aim(view.honest);
        let gamma = self.gamma(view.honest);
        let (mean, along) = (&self.mean, &self.along);
        colluders(out, |range, part| {
            let places = mean[range.clone()].iter().zip(&along[range]);
            for (x, (&mean, &along)) in part.iter_mut().zip(places) {
                *x = nearest(f64::from(mean) + gamma * f64::from(along));
            }
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
}

#[cfg(test)]
mod tests {
    use crate::build;
    use crate::scene::Scene;

    /// The slack of the constraint at mean + γ·p, in f64; negative where it is violated. `least`:
    /// of the row of least sum.
    fn slack(scene: &Scene, row: &[f64], max: bool, least: bool) -> f64 {
        let h = scene.honest.n();
        let x = |i: usize| scene.honest.row(i).iter().map(|&v| f64::from(v));
        let d2 =
            |a: &[f64], i: usize| a.iter().zip(x(i)).map(|(a, b)| (a - b).powi(2)).sum::<f64>();
        let own = |i: usize| x(i).collect::<Vec<f64>>();
        let fold = |of: &[f64]| {
            let all = (0..h).map(|i| d2(of, i));
            if max { all.fold(0.0, f64::max) } else { all.sum() }
        };
        let sides = (0..h).map(|i| fold(&own(i)));
        let side = if least { sides.fold(f64::MAX, f64::min) } else { sides.fold(0.0, f64::max) };
        side - fold(row)
    }

    #[test]
    fn gamma_is_the_one_that_bisection_finds() {
        for seed in 0..4 {
            for (name, max) in [("min-max", true), ("min-sum", false), ("min-sum limit=min", false)]
            {
                let least = name.ends_with("limit=min");
                for direction in ["std", "unit", "sign"] {
                    let mut scene = Scene::random(7, 2, 11, seed);
                    let spec = format!("{name} direction={direction}");
                    let sent = scene.forge(build(&spec).unwrap().as_mut());
                    let mean: Vec<f64> = (0..11)
                        .map(|k| {
                            (0..7).map(|i| f64::from(scene.honest.row(i)[k])).sum::<f64>() / 7.0
                        })
                        .collect();
                    let sd = |k: usize| {
                        let square = |i| (f64::from(scene.honest.row(i)[k]) - mean[k]).powi(2);
                        ((0..7).map(square).sum::<f64>() / 6.0).sqrt()
                    };
                    let norm = mean.iter().map(|m| m * m).sum::<f64>().sqrt();
                    let p = |k: usize| match direction {
                        "std" => -sd(k),
                        "unit" => -mean[k] / norm,
                        _ => -mean[k].signum(),
                    };
                    let at = |g: f64| (0..11).map(|k| mean[k] + g * p(k)).collect::<Vec<f64>>();
                    let (mut low, mut high) = (0.0, 1e3);
                    for _ in 0..100 {
                        let middle = (low + high) / 2.0;
                        let inside = slack(&scene, &at(middle), max, least) >= 0.0;
                        if inside { low = middle } else { high = middle }
                    }
                    crate::scene::close(&sent[0], &at(low));
                }
            }
        }
    }

    #[test]
    fn equal_honest_rows_leave_no_room() {
        let row: &[f32] = &[1.0, 2.0];
        for spec in ["min-max", "min-sum direction=unit"] {
            assert_eq!(crate::scene::forge(spec, &[row; 3], &[row], 1), [[1.0, 2.0]]);
        }
    }
}
