//! Local steps, samples of workers, compression and adaptive servers: what each must equal where
//! it says nothing new, and that the bits hold.

mod common;

use common::{AtOnce, plan};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use varangian_learn::optim::{
    Clip, ClipMode, Compression, Local, Message, Momentum, Optimiser, Placement, Regulariser,
    ServerOptimiser,
};
use varangian_sim::lockstep::Lockstep;
use varangian_sim::network::Network;
use varangian_sim::rounds::Rounds;
use varangian_sim::{Hostile, Plan, Scenario, swarm::Staleness};
use varangian_train::Participation;

fn make(run: &mut Lockstep, steps: u64) {
    for _ in 0..steps {
        run.step();
    }
}

fn after(plan: Plan, steps: u64) -> Vec<f32> {
    let mut run = Lockstep::new(plan).unwrap();
    make(&mut run, steps);
    run.params().to_vec()
}

fn gap(a: &[f32], b: &[f32]) -> f32 {
    a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max)
}

fn with_momentum(rate: f64) -> Optimiser {
    let placement = Placement::Worker;
    let momentum = Momentum { coefficient: 0.9, dampening: 0.9, nesterov: false, placement };
    Optimiser { momentum, ..Optimiser::sgd(rate) }
}

/// Everything at once: a sample of five in nine, two local steps, the largest half, Adam.
fn everything() -> Plan {
    let optimiser = Optimiser {
        local: Local { steps: 2, rate: Some(0.05) },
        compression: Compression::parse("top-k keep=0.5").unwrap(),
        server: ServerOptimiser::parse("adam").unwrap(),
        ..with_momentum(0.1)
    };
    let participation = Some(Participation::of(5, 1));
    Plan { participation, ..plan("median", "alie", 9, 2, optimiser) }
}

#[test]
fn local_steps_of_one_worker_are_plain_steps() {
    // The same minibatches in the same order: 10 rounds of 5 local steps, 50 steps.
    let local = Local { steps: 5, rate: None };
    let rounds = Optimiser { local, ..Optimiser::sgd(0.1) };
    let rounds = after(plan("average", "none", 1, 0, rounds), 10);
    let plain = after(plan("average", "none", 1, 0, Optimiser::sgd(0.1)), 50);
    assert!(gap(&rounds, &plain) < 1e-5, "{rounds:?} {plain:?}");
    let mut short = Optimiser::sgd(0.1);
    short.local = Local { steps: 5, rate: Some(1e-9) };
    let short = after(plan("average", "none", 1, 0, short), 10);
    assert!(gap(&short, &plain) > 1e-3, "a local rate of its own is used");
}

#[test]
fn what_leaves_nothing_out_changes_no_bit() {
    for hostile in [Hostile::Last, Hostile::First, Hostile::Random] {
        let plan = |compression, participation| {
            let optimiser = Optimiser { compression, ..with_momentum(0.1) };
            Plan { hostile, participation, ..plan("krum", "alie", 9, 2, optimiser) }
        };
        let bare = after(plan(Compression::None, None), 20);
        let whole = Compression::TopK { keep: 1.0, feedback: true };
        let all = Participation::of(9, 2);
        assert_eq!(bare, after(plan(whole, Some(all)), 20), "{hostile:?}");
        let half = Participation::of(7, 2);
        assert_ne!(bare, after(plan(whole, Some(half)), 20), "{hostile:?}");
    }
}

#[test]
fn gradients_all_at_once_are_those_one_by_one() {
    let momentum = |placement, nesterov| {
        let momentum = Momentum { coefficient: 0.9, dampening: 0.5, nesterov, placement };
        let regulariser = Regulariser::HalfSquared(0.01);
        let compression = Compression::parse("top-k keep=0.5").unwrap();
        let clip = Some(Clip { bound: 1.0, mode: ClipMode::Rescale });
        Optimiser { momentum, regulariser, clip, compression, ..Optimiser::sgd(0.1) }
    };
    let signs = Optimiser { message: Message::Stochastic { bound: 1.0 }, ..Optimiser::sgd(0.1) };
    let few = Some(Participation::of(5, 1));
    let steps = 12;
    for (optimiser, attack, participation, at_once) in [
        (momentum(Placement::Worker, false), "sign-flip", None, true),
        (momentum(Placement::Worker, false), "alie", few, true),
        (momentum(Placement::Server, false), "none", None, true),
        (momentum(Placement::Update, true), "alie", few, true),
        (signs, "none", None, true),
        (momentum(Placement::Worker, true), "alie", None, false),
        (everything().optimiser, "none", None, false),
    ] {
        let make = || Plan { participation, ..plan("median", attack, 9, 2, optimiser.clone()) };
        let calls = Arc::<AtomicUsize>::default();
        let model = Arc::new(AtOnce { model: make().model, calls: calls.clone() });
        let all = after(Plan { model, ..make() }, steps);
        assert_eq!(all, after(make(), steps), "{attack}");
        assert_eq!(calls.load(Ordering::Relaxed) > 0, at_once, "{attack}");
    }
}

#[test]
fn the_bits_do_not_depend_on_threads_nor_on_a_pause() {
    let whole = after(everything(), 12);
    for threads in [1, 2, 8] {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        assert_eq!(pool.install(|| after(everything(), 12)), whole, "{threads}");
    }
    let mut first = Lockstep::new(everything()).unwrap();
    make(&mut first, 5);
    let mut second = Lockstep::new(everything()).unwrap();
    second.load(&first.save()).unwrap();
    make(&mut second, 7);
    assert_eq!(second.params(), whole);
}

#[test]
fn a_network_without_faults_ends_on_the_bits_of_lockstep() {
    let text = "network compute=(constant t=1) down=(constant t=0.1) up=(constant t=0.1)";
    let Staleness::Network(network) = Scenario::parse(text).unwrap().staleness else { panic!() };
    let network: Network = network;
    let mut run = Rounds::new(everything(), network).unwrap();
    let before = run.now();
    for _ in 0..12 {
        run.step();
    }
    assert_eq!(run.params(), after(everything(), 12));
    // Nobody waits for those who were not drawn: a round takes what its messages take.
    assert!(run.now() - before < 12.0 * 1.3, "{}", run.now());
}

#[test]
fn each_round_holds_its_sample_and_the_rest_is_neither_refused_nor_missed() {
    let mut run = Lockstep::new(everything()).unwrap();
    let seen = Mutex::new([0; 9]);
    for _ in 0..60 {
        let record = run.step();
        assert_eq!((record.closed.n, record.closed.f, record.closed.refused.len()), (5, 1, 0));
        assert!(record.closed.skipped.is_none() && record.loss.is_finite());
        record.closed.ids.iter().for_each(|&id| seen.lock().unwrap()[id as usize] += 1);
    }
    assert!(seen.into_inner().unwrap().iter().all(|&rounds| (18..50).contains(&rounds)));
}

#[test]
fn a_round_of_hostile_workers_alone_is_survived() {
    // One worker a round of six, two of them hostile: a third of the rounds hold no honest one.
    let mut tried = 0;
    for attack in varangian_attacks::ALL.iter().map(|entry| entry.name) {
        let participation = Some(Participation::of(1, 0));
        let plan = plan("average", attack, 6, 2, Optimiser::sgd(0.1));
        // Points have no labels to flip.
        let Ok(mut run) = Lockstep::new(Plan { participation, ..plan }) else { continue };
        make(&mut run, 20);
        assert!(run.params().iter().all(|x| x.is_finite()), "{attack}");
        tried += 1;
    }
    assert!(tried > 28, "{tried} of {}", varangian_attacks::ALL.len());
}

#[test]
fn what_does_not_fit_together_is_refused_by_name() {
    let refused = |plan: Plan| Lockstep::new(plan).err().unwrap().to_string();
    let signs = varangian_learn::optim::Message::parse("sign").unwrap();
    let mut plan = everything();
    plan.optimiser.message = signs;
    assert!(refused(plan).contains("compression shortens vectors"));
    let mut plan = everything();
    plan.optimiser.momentum.placement = Placement::Update;
    assert!(refused(plan).contains("server_optimiser"));
    let plan = Plan { study: Some(1), ..everything() };
    assert!(refused(plan).contains("participation"));
    let sample = Some(Participation::of(2, 1));
    let plan = Plan { participation: sample, ..everything() };
    assert!(refused(plan).contains("median needs n ≥ 2f + 1; got n = 2, f = 1"));
}

/// A bowl in which every aggregate counts as short and no attempt leads far enough.
fn perturbed() -> Plan {
    let server = ServerOptimiser::parse("byzantine-pgd epsilon=50 r=0.3 R=90 Q=2 T=4").unwrap();
    let optimiser = Optimiser { server, ..Optimiser::sgd(0.3) };
    plan("median", "alie", 9, 2, optimiser)
}

#[test]
fn perturbations_hold_their_bits_over_threads_and_a_pause_and_come_to_rest() {
    let whole = after(perturbed(), 40);
    for threads in [1, 2, 8] {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        assert_eq!(pool.install(|| after(perturbed(), 40)), whole, "{threads}");
    }
    let (mut run, mut events) = (Lockstep::new(perturbed()).unwrap(), Vec::new());
    for step in 0..40 {
        if step == 20 {
            let mut second = Lockstep::new(perturbed()).unwrap();
            second.load(&run.save()).unwrap();
            run = second;
        }
        events.extend(run.step().closed.verdict.event.clone());
    }
    assert_eq!(run.params(), whole);
    assert!(events.iter().any(|event| event == "perturbed: attempt 2 of 2"), "{events:?}");
    assert!(events.last().unwrap().contains("no way out in 2 attempts"), "{events:?}");
    let mut plan = perturbed();
    plan.optimiser.momentum.coefficient = 0.9;
    let error = Lockstep::new(plan).err().unwrap().to_string();
    assert!(error.contains("byzantine-pgd"), "{error}");
    assert!(varangian_train::Queue::check(&perturbed().optimiser).is_err());
}
