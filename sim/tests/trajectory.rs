//! Whole trajectories beside a slow double-precision replay that is written from the published
//! formulas alone (El-Mhamdi, Guerraoui & Rouault 2021, §2 and its code): clipping, momentum at
//! each place, Nesterov's look-ahead, attacks on what is sent, rules with lower-id ties.

mod common;

use common::{Four, Points, plan};
use varangian_learn::Sampler;
use varangian_learn::optim::{Clip, ClipMode, Momentum, Optimiser, Placement};
use varangian_sim::lockstep::Lockstep;

/// The replay's problem: the model and data of [`plan`].
const D: usize = 70;
const CURVATURE: f64 = 0.5;
const RATE: f64 = 0.1;
const MU: f64 = 0.9;
const CLIP: f64 = 2.0;
const N: usize = 11;
const F: usize = 3;
const STEPS: u64 = 40;

type Row = Vec<f64>;

/// Parameters after [`STEPS`] steps.
fn replay(rule: &str, attack: &str, placement: Placement, nesterov: bool) -> Row {
    let data = Points::random(100, D);
    let h = N - F;
    let mut theta: Row = (0..D).map(|k| f64::from(k as f32 / 10.0 - 3.0)).collect();
    let mut server = vec![0.0; D];
    let mut workers = vec![vec![0.0; D]; h];
    for step in 0..STEPS {
        let mut rows: Vec<Row> = Vec::new();
        for (id, own) in workers.iter_mut().enumerate() {
            let buffer = if placement == Placement::Worker { &*own } else { &server };
            let reach = if nesterov { MU * RATE } else { 0.0 };
            let point: Row = theta.iter().zip(buffer).map(|(x, v)| x - reach * v).collect();
            let mut gradient = gradient(&data, &point, id as u32, step);
            let norm = gradient.iter().map(|x| x * x).sum::<f64>().sqrt();
            if norm > CLIP {
                gradient.iter_mut().for_each(|x| *x *= CLIP / norm);
            }
            rows.push(match placement {
                Placement::Update | Placement::WorkerTwice | Placement::Rows => gradient,
                Placement::Server => add(&gradient, MU, &server),
                Placement::Worker => {
                    *own = add(&gradient, MU, own);
                    own.clone()
                }
            });
        }
        let forged = forge(attack, &rows);
        rows.extend(std::iter::repeat_n(forged, F));
        let aggregate = aggregate(rule, &rows);
        let update = match placement {
            Placement::Update => {
                server = add(&aggregate, MU, &server);
                &server
            }
            _ => {
                server.clone_from(&aggregate);
                &aggregate
            }
        };
        theta = add(&theta, -RATE, update);
    }
    theta
}

/// x + c·y.
fn add(x: &[f64], c: f64, y: &[f64]) -> Row {
    x.iter().zip(y).map(|(x, y)| x + c * y).collect()
}

fn gradient(data: &Points, theta: &[f64], worker: u32, step: u64) -> Row {
    let mut indices = Vec::new();
    Four { len: 100 }.draw(worker, step, &mut indices);
    let mut out = vec![0.0; D];
    for &i in &indices {
        let point = &data.points[i as usize * D..][..D];
        for k in 0..D {
            out[k] += CURVATURE * (theta[k] - f64::from(point[k])) / indices.len() as f64;
        }
    }
    out
}

/// mean − 1.5·(sample deviation), or (1 − 1.1)·mean.
fn forge(attack: &str, honest: &[Row]) -> Row {
    let h = honest.len() as f64;
    (0..D)
        .map(|k| {
            let mean = honest.iter().map(|row| row[k]).sum::<f64>() / h;
            let square = honest.iter().map(|row| (row[k] - mean).powi(2)).sum::<f64>();
            match attack {
                "alie z=1.5" => mean - 1.5 * (square / (h - 1.0)).sqrt(),
                _ => -0.1 * mean,
            }
        })
        .collect()
}

fn aggregate(rule: &str, rows: &[Row]) -> Row {
    if rule.starts_with("multi-krum") {
        return krum(rows);
    }
    (0..D)
        .map(|k| {
            let mut column: Vec<f64> = rows.iter().map(|row| row[k]).collect();
            column.sort_by(f64::total_cmp);
            match rule {
                "median" => column[N / 2],
                "trimmed-mean" => column[F..N - F].iter().sum::<f64>() / (N - 2 * F) as f64,
                _ => {
                    let centre = column[N / 2];
                    column.sort_by(|a, b| (a - centre).abs().total_cmp(&(b - centre).abs()));
                    column[..N - F].iter().sum::<f64>() / (N - F) as f64
                }
            }
        })
        .collect()
}

/// The published code's: unsquared distances to n − f − 1 neighbours, the mean of n − f − 2 rows.
fn krum(rows: &[Row]) -> Row {
    let distance = |i: usize, j: usize| {
        rows[i].iter().zip(&rows[j]).map(|(a, b)| (a - b).powi(2)).sum::<f64>().sqrt()
    };
    let score = |i: usize| {
        let others = (0..N).filter(|&j| j != i);
        let mut distances: Vec<f64> = others.map(|j| distance(i, j)).collect();
        distances.sort_by(f64::total_cmp);
        distances[..N - F - 1].iter().sum::<f64>()
    };
    let mut order: Vec<(f64, usize)> = (0..N).map(|i| (score(i), i)).collect();
    order.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
    let m = N - F - 2;
    let sum = order[..m].iter().fold(vec![0.0; D], |sum, (_, i)| add(&sum, 1.0, &rows[*i]));
    sum.iter().map(|x| x / m as f64).collect()
}

#[test]
fn every_placement_rule_and_attack_follows_the_slow_replay() {
    let rules = ["median", "trimmed-mean", "meamed", "multi-krum variant=distributed-momentum"];
    for rule in rules {
        for attack in ["alie z=1.5", "empire factor=1.1"] {
            for placement in [Placement::Update, Placement::Server, Placement::Worker] {
                for nesterov in [false, true] {
                    let momentum =
                        Momentum { coefficient: MU, dampening: 0.0, nesterov, placement };
                    let clip = Some(Clip { bound: CLIP, mode: ClipMode::Rescale });
                    let optimiser = Optimiser { momentum, clip, ..Optimiser::sgd(RATE) };
                    let mut run = Lockstep::new(plan(rule, attack, N, F, optimiser)).unwrap();
                    for _ in 0..STEPS {
                        run.step();
                    }
                    let slow = replay(rule, attack, placement, nesterov);
                    let apart = run.params().iter().zip(&slow);
                    let apart: f64 = apart.map(|(a, b)| (f64::from(*a) - b).powi(2)).sum();
                    let size: f64 = slow.iter().map(|x| x * x).sum();
                    let error = (apart / size).sqrt();
                    assert!(error < 1e-5, "{rule} {attack} {placement:?} {nesterov}: {error:e}");
                }
            }
        }
    }
}

#[test]
fn krum_selects_24_hostile_rows_of_25_in_the_first_step_of_the_published_setting() {
    // n = 51, f = 24, ALIE at 1.5: identical rows near the mean crowd out all but one honest row.
    let rule = "multi-krum variant=distributed-momentum";
    let optimiser = Optimiser::sgd(RATE);
    let mut run = Lockstep::new(plan(rule, "alie z=1.5", 51, 24, optimiser)).unwrap();
    let weight = run.step().hostile_weight().unwrap();
    assert!((weight - 0.96).abs() < 1e-9, "{weight}");
}
