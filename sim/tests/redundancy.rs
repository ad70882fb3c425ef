//! RSA, election coding, DRACO and reactive redundancy: whole trajectories against slow replays,
//! exact recovery, and that the bits hold.

mod common;

use common::{Four, plan};
use std::sync::Arc;
use varangian_base::{Domain, Memory, Seed};
use varangian_learn::model::Place;
use varangian_learn::optim::{Message, Optimiser};
use varangian_learn::{Batch, Sampler};
use varangian_sim::Plan;
use varangian_sim::lockstep::Lockstep;

/// Draws as [`Four`], for groups of workers, who stand in a ring of n.
struct Groups {
    draws: Four,
    times: u32,
    n: u32,
}

impl Sampler for Groups {
    fn draw(&self, worker: u32, step: u64, indices: &mut Vec<u32>) {
        self.draws.draw(worker / self.times, step, indices);
    }

    fn beside(&self, worker: u32, k: u32) -> u32 {
        (worker + k) % self.n
    }

    fn steps_per_epoch(&self) -> f64 {
        10.0
    }
}

fn groups(times: u32, n: usize, of: Plan) -> Plan {
    let sampler = Groups { draws: Four { len: 100 }, times, n: n as u32 };
    Plan { sampler: Arc::new(sampler), ..of }
}

fn sending(message: &str, rate: f64) -> Optimiser {
    Optimiser { message: Message::parse(message).unwrap(), ..Optimiser::sgd(rate) }
}

fn make(run: &mut Lockstep, steps: u64) {
    for _ in 0..steps {
        run.step();
    }
}

fn after(plan: Plan, steps: u64) -> Vec<u32> {
    let mut run = Lockstep::new(plan).unwrap();
    make(&mut run, steps);
    run.params().iter().map(|x| x.to_bits()).collect()
}

/// The gradient of `worker`'s minibatch.
fn gradient(plan: &Plan, worker: u32, step: u64, at: &[f32]) -> Vec<f32> {
    let (mut indices, mut batch) = (Vec::new(), Batch::default());
    plan.sampler.draw(worker, step, &mut indices);
    let mut draws = Seed(0).stream(Domain::Augment, worker, step);
    plan.train.fill(&indices, &mut draws, &mut batch);
    let mut prepared: varangian_learn::model::Prepared = Box::new(());
    plan.model.prepare(at, &mut prepared);
    let (mut space, mut out) = (plan.model.workspace(), vec![0.0; at.len()]);
    let place = Place { seed: plan.seed, worker, step };
    plan.model.gradient(at, &prepared, &batch, place, &mut space, &mut out);
    out
}

fn sign(x: f32) -> f32 {
    if x == 0.0 { 0.0 } else { x.signum() }
}

#[test]
fn rsa_follows_a_slow_replay_of_the_papers_recursion() {
    let (n, rate, lambda) = (4, 0.05f32, 0.3f32);
    let make = || plan("rsa lambda=0.3", "none", n, 0, sending("rsa lambda=0.3", 0.05));
    let told = make();
    let mut server = told.model.init(told.seed);
    let mut copies = vec![server.clone(); n];
    for step in 0..30 {
        let mut push = vec![0.0; server.len()];
        for (worker, copy) in (0..).zip(&mut copies) {
            let fresh = gradient(&told, worker, step, copy);
            for k in 0..server.len() {
                push[k] += sign(server[k] - copy[k]);
                copy[k] -= rate * (fresh[k] + lambda * sign(copy[k] - server[k]));
            }
        }
        server.iter_mut().zip(&push).for_each(|(x, push)| *x -= rate * lambda * push);
    }
    let found = after(make(), 30);
    let off = |(found, wanted): (&u32, &f32)| (f32::from_bits(*found) - wanted).abs();
    let far = found.iter().zip(&server).map(off).fold(0.0, f32::max);
    assert!(far < 1e-4, "{far}");
    assert!(server != told.model.init(told.seed));
}

#[test]
fn election_coding_counts_the_signs_of_the_neighbours_minibatches() {
    // In rings of five and seven the two votes never differ.
    let (n, rate) = (9, 0.25f32);
    let of = |message: &str| {
        groups(1, n, plan("majority", "none", n, 0, sending(message, f64::from(rate))))
    };
    assert_eq!(after(of("election times=1"), 20), after(of("sign"), 20));
    // Long enough to come where minibatches differ in their signs.
    let (told, steps) = (of("sign"), 60);
    let mut wanted = told.model.init(told.seed);
    for step in 0..steps {
        let signs: Vec<Vec<f32>> = (0..n as u32)
            .map(|worker| gradient(&told, worker, step, &wanted).into_iter().map(sign).collect())
            .collect();
        for (k, x) in wanted.iter_mut().enumerate() {
            let sent = |i: usize| sign((0..3).map(|j| signs[(i + j) % n][k]).sum::<f32>());
            *x -= rate * sign((0..n).map(sent).sum::<f32>());
        }
    }
    let wanted: Vec<u32> = wanted.iter().map(|x| x.to_bits()).collect();
    assert_eq!(after(of("election times=3"), steps), wanted);
    assert_ne!(wanted, after(of("sign"), steps));
}

#[test]
fn draco_ends_on_the_bits_of_a_run_without_an_attack() {
    let of = |attack: &str, f_real: usize| {
        let whole = groups(3, 9, plan("draco r=3", attack, 9, 1, Optimiser::sgd(0.1)));
        Plan { f_real, ..whole }
    };
    let clean = after(of("none", 0), 25);
    for attack in ["sign-flip scale=100", "constant value=1e30", "alie z=1.5", "non-finite", "zero"]
    {
        assert_eq!(after(of(attack, 1), 25), clean, "{attack}");
    }
    // Where every worker draws its own, no group agrees, and nothing is learnt.
    let alone = plan("draco r=3", "none", 9, 1, Optimiser::sgd(0.1));
    let start = alone.model.init(alone.seed);
    let alone = after(Plan { f_real: 0, ..alone }, 3);
    assert!(alone.iter().zip(&start).all(|(a, b)| *a == b.to_bits()));
}

#[test]
fn the_cyclic_code_makes_the_steps_of_the_mean_of_all_gradients() {
    let of = |rule: &str, message: &str, attack: &str, f_real: usize| {
        let whole = groups(1, 9, plan(rule, attack, 9, 2, sending(message, 0.1)));
        Plan { f_real, ..whole }
    };
    let floats = |bits: Vec<u32>| bits.into_iter().map(f32::from_bits).collect::<Vec<_>>();
    let (rule, message) = ("draco-cyclic r=5 n=9", "draco-cyclic r=5");
    let mean = floats(after(of("average", "vector", "none", 0), 25));
    let start = of("average", "vector", "none", 0);
    let start = start.model.init(start.seed);
    let apart = |a: &[f32], b: &[f32]| {
        a.iter().zip(b).map(|(a, b)| f64::from(a - b).powi(2)).sum::<f64>().sqrt()
    };
    let moved = apart(&mean, &start);
    for (attack, f_real) in
        [("none", 0), ("sign-flip scale=100", 2), ("constant value=1e30", 2), ("alie z=1.5", 2)]
    {
        let found = floats(after(of(rule, message, attack, f_real), 25));
        assert!(apart(&found, &mean) < 1e-4 * moved, "{attack}: {}", apart(&found, &mean));
    }
    // A row that is refused is one of the two.
    let found = floats(after(of(rule, message, "non-finite", 2), 25));
    assert!(apart(&found, &mean) < 1e-4 * moved);
}

/// Draws as [`Four`] by worker, and by group in the steps that are checked.
struct Checking {
    draws: Four,
    times: u32,
    chance: f64,
    seed: Seed,
}

impl Sampler for Checking {
    fn draw(&self, worker: u32, step: u64, indices: &mut Vec<u32>) {
        let who = match self.seed.checks(step, self.chance) {
            true => 1000 + worker / self.times,
            false => worker,
        };
        self.draws.draw(who, step, indices);
    }

    fn steps_per_epoch(&self) -> f64 {
        10.0
    }
}

fn checking(attack: &str, (chance, times): (f64, u32), n: usize, f: usize) -> Plan {
    let rule = format!("reactive chance={chance} r={times}");
    let whole = plan(&rule, attack, n, f, Optimiser::sgd(0.1));
    let (draws, seed) = (Four { len: 100 }, whole.seed);
    Plan { sampler: Arc::new(Checking { draws, times, chance, seed }), ..whole }
}

#[test]
fn reactive_redundancy_follows_a_slow_replay_and_catches_liars_alone() {
    let (n, f, steps) = (9, 1, 40);
    let told = checking("constant value=0.5", (0.2, 3), n, f);
    let mut wanted = told.model.init(told.seed);
    let (mut caught, mut before) = (false, 0);
    for step in 0..steps {
        let checked = told.seed.checks(step, 0.2);
        caught |= checked;
        before += u64::from(!caught);
        // The last worker is hostile; in a step that is checked the first of a group stands for it.
        let who: Vec<u32> = if checked { vec![0, 3, 6] } else { (0..8).collect() };
        let mut sum = vec![0.0f64; wanted.len()];
        for &worker in &who {
            let fresh = gradient(&told, worker, step, &wanted);
            sum.iter_mut().zip(&fresh).for_each(|(sum, &x)| *sum += f64::from(x));
        }
        let lies = if caught { 0 } else { 1 };
        sum.iter_mut().for_each(|sum| *sum += 0.5 * f64::from(lies));
        let count = (who.len() + lies as usize) as f64;
        wanted.iter_mut().zip(&sum).for_each(|(x, sum)| *x -= (0.1 * sum / count) as f32);
    }
    assert!(caught && before > 1, "{before}");
    let found = after(checking("constant value=0.5", (0.2, 3), n, f), steps);
    let off = |(found, wanted): (&u32, &f32)| (f32::from_bits(*found) - wanted).abs();
    let far = found.iter().zip(&wanted).map(off).fold(0.0, f32::max);
    assert!(far < 1e-4, "{far}");
}

#[test]
fn the_same_bits_at_any_number_of_threads_and_after_a_pause() {
    let of = |k: usize| match k {
        7 => checking("sign-flip scale=3", (0.3, 5), 11, 2),
        0 => plan("rsa lambda=0.1", "sign-flip", 7, 2, sending("rsa lambda=0.1", 0.05)),
        1 => groups(1, 7, plan("majority", "oppose", 7, 2, sending("election times=3", 0.05))),
        2 => plan(
            "per-block length=9 | clipping c=median | average",
            "alie",
            7,
            2,
            Optimiser::sgd(0.1),
        ),
        3 => plan("per-block length=9 | centred-clipping tau=1", "alie", 7, 2, Optimiser::sgd(0.1)),
        4 => plan("sequential-clipping tau=1", "relocation", 7, 2, Optimiser::sgd(0.1)),
        5 => plan("gas p=7", "alie", 7, 2, Optimiser::sgd(0.1)),
        _ => plan("signguard share=0.5", "alie", 7, 2, Optimiser::sgd(0.1)),
    };
    for k in 0..8 {
        let on = |threads: usize| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| after(of(k), 12))
        };
        let whole = on(1);
        assert_eq!(on(3), whole, "{k}");
        let mut first = Lockstep::new(of(k)).unwrap();
        make(&mut first, 5);
        let saved: Memory = first.save();
        let mut rest = Lockstep::new(of(k)).unwrap();
        rest.load(&saved).unwrap();
        make(&mut rest, 7);
        let bits: Vec<u32> = rest.params().iter().map(|x| x.to_bits()).collect();
        assert_eq!(bits, whole, "{k} after a pause");
    }
}

#[test]
fn what_rsa_and_election_cannot_go_with_is_refused() {
    let with = |change: fn(&mut Optimiser)| {
        let mut optimiser = sending("election", 0.1);
        change(&mut optimiser);
        Lockstep::new(plan("majority", "none", 5, 0, optimiser)).err().unwrap().to_string()
    };
    assert!(with(|o| o.local.steps = 2).contains("local_steps=1"));
    let worker = |o: &mut Optimiser| {
        o.momentum.coefficient = 0.9;
        o.momentum.placement = varangian_learn::optim::Placement::Worker;
    };
    assert!(with(worker).contains("momentum=0"));
    assert!(Message::parse("election times=4").is_err());
}
