//! Training without a server: trajectories against a slow replay in f64 of the papers' formulas,
//! that the bits hold, that identities hold with runs that have a server.

mod common;

use common::{Four, Points, plan};
use varangian_base::Seed;
use varangian_learn::Sampler;
use varangian_learn::optim::{Momentum, Optimiser, Placement};
use varangian_sim::gossip::{Gossip, Graph, Peers};
use varangian_sim::lockstep::Lockstep;
use varangian_sim::{Hostile, Plan};

const D: usize = 70;
const N: usize = 9;
const HONEST: usize = 7;
const RATE: f64 = 0.3;

type Row = Vec<f64>;

fn optimiser() -> Optimiser {
    let placement = Placement::Worker;
    let momentum = Momentum { coefficient: 0.9, dampening: 0.9, nesterov: false, placement };
    Optimiser { momentum, ..Optimiser::sgd(RATE) }
}

/// Two of nine nodes hostile; each may have f hostile neighbours.
fn made(rule: &str, f: usize) -> Plan {
    let whole = plan(rule, "alie z=1.5", N, f, optimiser());
    Plan { f_real: N - HONEST, ..whole }
}

fn gradient(theta: &[f64], worker: u32, step: u64) -> Row {
    let data = Points::random(100, D);
    let mut indices = Vec::new();
    Four { len: 100 }.draw(worker, step, &mut indices);
    let mut out = vec![0.0; D];
    for &i in &indices {
        let point = &data.points[i as usize * D..][..D];
        for k in 0..D {
            out[k] += 0.5 * (theta[k] - f64::from(point[k])) / indices.len() as f64;
        }
    }
    out
}

/// mean + 1.5·(sample deviation) of models: of x̄ − x, which the attack is shown, mean − 1.5·….
fn alie(honest: &[Row]) -> Row {
    let h = honest.len() as f64;
    let of = |k: usize| {
        let mean = honest.iter().map(|row| row[k]).sum::<f64>() / h;
        let square = honest.iter().map(|row| (row[k] - mean).powi(2)).sum::<f64>();
        mean + 1.5 * (square / (h - 1.0)).sqrt()
    };
    (0..D).map(of).collect()
}

fn away(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| (a - b).powi(2)).sum::<f64>().sqrt()
}

/// own + Σ factor·(xⱼ − own).
fn blended(own: &[f64], terms: &[(f64, &Row)]) -> Row {
    let of = |k: usize| own[k] + terms.iter().map(|(c, x)| c * (x[k] - own[k])).sum::<f64>();
    (0..D).map(of).collect()
}

/// What a node makes of its own model and of its neighbours', with weights.
fn mixed(method: &str, b: usize, eta: f64, own: &Row, sent: &[(f64, &Row)]) -> Row {
    let mut near: Vec<(f64, &Row)> = sent.to_vec();
    near.sort_by(|x, y| away(own, x.1).total_cmp(&away(own, y.1)));
    let degree = sent.len();
    let clipped = |c: f64, x: &Row, tau: f64| c * (tau / away(own, x)).min(1.0);
    match method {
        "nna" => {
            let each = 1.0 / (1 + degree - b) as f64;
            let kept: Vec<_> = near[..degree - b].iter().map(|(_, x)| (each, *x)).collect();
            blended(own, &kept)
        }
        "cs-plus" => {
            let tau = away(own, near[degree - 2 * b].1);
            let all: Vec<_> = sent.iter().map(|(_, x)| (clipped(eta, x, tau), *x)).collect();
            blended(own, &all)
        }
        "clipped-gossip" => {
            // Regular graphs: all weights are alike.
            let w = sent[0].0;
            let kept = degree - b;
            let sum: f64 = near[..kept].iter().map(|(w, x)| w * away(own, x).powi(2)).sum();
            let tau = (sum / (b as f64 * w)).sqrt();
            let all: Vec<_> = sent.iter().map(|(w, x)| (clipped(*w, x, tau), *x)).collect();
            blended(own, &all)
        }
        "bridge" => {
            let of = |k: usize| {
                let mut column: Row = sent.iter().map(|(_, x)| x[k]).collect();
                column.sort_by(f64::total_cmp);
                let kept = &column[b..degree - b];
                (own[k] + kept.iter().sum::<f64>()) / (1 + kept.len()) as f64
            };
            (0..D).map(of).collect()
        }
        "rule" => {
            let of = |k: usize| {
                let mut column: Row = sent.iter().map(|(_, x)| x[k]).chain([own[k]]).collect();
                column.sort_by(f64::total_cmp);
                let kept = &column[b..column.len() - b];
                kept.iter().sum::<f64>() / kept.len() as f64
            };
            (0..D).map(of).collect()
        }
        _ => blended(own, sent),
    }
}

fn replay(method: &str, b: usize, graph: impl Fn(u64) -> Graph, steps: u64) -> Vec<Row> {
    let start: Row = (0..D).map(|k| f64::from(k as f32 / 10.0 - 3.0)).collect();
    let (mut models, mut momenta) = (vec![start; HONEST], vec![vec![0.0; D]; HONEST]);
    for step in 0..steps {
        let mut moved = Vec::new();
        for (id, (x, v)) in models.iter().zip(&mut momenta).enumerate() {
            let g = gradient(x, id as u32, step);
            v.iter_mut().zip(&g).for_each(|(v, g)| *v = 0.9 * *v + 0.1 * g);
            moved.push(x.iter().zip(&*v).map(|(x, v)| x - RATE * v).collect::<Row>());
        }
        let (forged, graph) = (alie(&moved), graph(step));
        let all: Vec<u32> = (0..N as u32).collect();
        let eta = 1.0 / graph.laplacian(&all).last().unwrap();
        for id in 0..HONEST as u32 {
            let own = &moved[id as usize];
            let sent: Vec<(f64, &Row)> = graph
                .neighbours(id)
                .iter()
                .map(|&j| (graph.weight(id, j), moved.get(j as usize).unwrap_or(&forged)))
                .collect();
            models[id as usize] = mixed(method, b, eta, own, &sent);
        }
    }
    models
}

#[test]
fn every_method_follows_a_slow_replay() {
    for (method, shape, b) in [
        ("average", "(erdos-renyi p=0.6)", 1),
        ("nna", "complete", 2),
        ("nna", "(ring reach=3)", 2),
        ("clipped-gossip", "(ring reach=3)", 2),
        ("cs-plus", "(ring reach=3)", 2),
        ("cs-plus", "complete", 2),
        ("bridge", "(ring reach=3)", 2),
        ("rule", "(ring reach=3)", 2),
    ] {
        let gossip = Gossip::parse(&format!("gossip method={method} graph={shape}")).unwrap();
        let rule = if method == "rule" { "trimmed-mean" } else { "average" };
        let mut run = Peers::new(made(rule, b), gossip).unwrap();
        let steps = 25;
        (0..steps).for_each(|_| assert!(run.step().loss.is_finite()));
        let slow = replay(method, b, |_| gossip.shape.draw(N, Seed(3), 0), steps);
        for (fast, slow) in run.models().iter().zip(&slow) {
            let fast: Row = fast.iter().map(|&x| f64::from(x)).collect();
            let error = away(&fast, slow) / away(slow, &vec![0.0; D]);
            assert!(error < 1e-5, "{method} on {shape}: {error:e}");
        }
        assert!(run.disagreement() > 1e-6, "{method}");
    }
}

#[test]
fn a_graph_that_changes_is_drawn_at_every_step() {
    let text = "gossip method=nna graph=(erdos-renyi p=0.9) change=each-step";
    let gossip = Gossip::parse(text).unwrap();
    let mut run = Peers::new(made("average", 2), gossip).unwrap();
    (0..20).for_each(|_| assert!(run.step().loss.is_finite()));
    let slow = replay("nna", 2, |step| gossip.shape.draw(N, Seed(3), step), 20);
    for (fast, slow) in run.models().iter().zip(&slow) {
        let fast: Row = fast.iter().map(|&x| f64::from(x)).collect();
        assert!(away(&fast, slow) < 1e-5 * away(slow, &vec![0.0; D]));
    }
}

#[test]
fn plain_gossip_of_everybody_is_the_mean_of_a_server() {
    let make = || plan("average", "none", N, 0, optimiser());
    let mut peers = Peers::new(make(), Gossip::parse("gossip").unwrap()).unwrap();
    let mut served = Lockstep::new(make()).unwrap();
    for _ in 0..15 {
        peers.step();
        served.step();
    }
    let far = peers.params().iter().zip(served.params()).map(|(a, b)| (a - b).abs());
    assert!(far.fold(0.0, f32::max) < 1e-4);
    assert!(peers.disagreement() < 1e-9, "{}", peers.disagreement());
}

#[test]
fn dissensus_undoes_gossip_and_clipping_bounds_it() {
    let run = |method: &str| {
        let text = format!("gossip method={method} graph=(ring reach=3) dissensus=2");
        let whole = plan("average", "none", N, 1, optimiser());
        let plan = Plan { f_real: 1, ..whole };
        let mut run = Peers::new(plan, Gossip::parse(&text).unwrap()).unwrap();
        (0..60).for_each(|_| assert!(run.step().loss.is_finite()));
        run.disagreement()
    };
    let plain = run("average");
    for method in ["nna", "cs-plus", "clipped-gossip"] {
        let found = run(method);
        assert!(found < 0.2 * plain, "{method}: {found} {plain}");
    }
}

#[test]
fn the_bits_hold_over_threads_and_a_pause() {
    for text in [
        "gossip method=nna",
        "gossip method=clipped-gossip graph=(ring reach=3)",
        "gossip method=cs-plus graph=(erdos-renyi p=0.9) change=each-step",
        "gossip method=bridge graph=(ring reach=3)",
    ] {
        for attack in ["alie z=1.5", "sign-flip", "gaussian sd=1"] {
            let make = || {
                let attack = varangian_attacks::build(attack).unwrap();
                let plan = Plan { attack, hostile: Hostile::Random, ..made("average", 2) };
                Peers::new(plan, Gossip::parse(text).unwrap()).unwrap()
            };
            let on = |threads: usize| {
                let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
                pool.install(|| {
                    let mut run = make();
                    (0..12).for_each(|_| assert!(run.step().loss.is_finite()));
                    run.models().iter().flatten().copied().collect::<Vec<f32>>()
                })
            };
            let bits = on(1);
            assert_eq!((on(2), on(8)), (bits.clone(), bits.clone()), "{text}");
            let mut first = make();
            (0..5).for_each(|_| assert!(first.step().loss.is_finite()));
            let mut second = make();
            second.load(&first.save()).unwrap();
            assert_eq!(second.steps(), 5);
            (0..7).for_each(|_| assert!(second.step().loss.is_finite()));
            assert_eq!(second.models().iter().flatten().copied().collect::<Vec<f32>>(), bits);
            assert_eq!(second.params(), {
                let mut whole = make();
                (0..12).for_each(|_| assert!(whole.step().loss.is_finite()));
                whole.params().to_vec()
            });
        }
    }
}

#[test]
fn what_gossip_cannot_go_with_is_refused() {
    let refused = |text: &str, plan: Plan| {
        let gossip = Gossip::parse(text).unwrap();
        Peers::new(plan, gossip).err().unwrap().to_string()
    };
    let median = made("median", 2);
    assert!(refused("gossip method=nna", median).contains("rule must be average; got median"));
    let error = refused("gossip method=bridge graph=ring", made("average", 1));
    assert!(error.contains("needs 3 neighbours of each node; one has 2"), "{error}");
    let cut = Plan { hostile: Hostile::Random, f_real: 4, ..made("average", 1) };
    assert!(refused("gossip method=nna graph=ring", cut).contains("must be connected"));
    let mut signs = made("average", 1);
    signs.optimiser.message = varangian_learn::optim::Message::parse("sign").unwrap();
    assert!(refused("gossip", signs).contains("message must be vector"));
    let mut update = made("average", 1);
    update.optimiser.momentum.placement = Placement::Update;
    assert!(refused("gossip", update).contains("momentum_at must be worker"));
    let error = Gossip::parse("gossip change=each-step").unwrap_err().to_string();
    assert!(error.contains("graph must be erdos-renyi"), "{error}");
    assert!(Gossip::parse("gossip eta=0.1").unwrap_err().to_string().contains("cs-plus"));
    let error = Gossip::parse("gossip graph=(rings)").unwrap_err().to_string();
    assert!(error.starts_with("graph: unknown graph \"rings\""), "{error}");
}
