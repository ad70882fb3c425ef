//! Sign messages through the whole round: Signum's arithmetic, votes under every rule, attacks on
//! votes.

mod common;

use common::plan;
use std::sync::Arc;
use varangian_base::{Domain, Seed, Stream, spec};
use varangian_learn::data::{self, Shape};
use varangian_learn::model::Tensor;
use varangian_learn::optim::{Message, Momentum, Optimiser, Placement, Schedule};
use varangian_learn::partition::{self, Minibatches, Samples, Sampling};
use varangian_learn::{Batch, Dataset, Targets};
use varangian_rules::Pipeline;
use varangian_sim::lockstep::Lockstep;
use varangian_sim::{Hostile, Plan};
use varangian_train::{Passes, VOTES};

/// Signum's optimiser: v ← (1 − β)·g + β·v at the worker, then its sign.
fn signum(rate: f64, beta: f64, zero: &str) -> Optimiser {
    let placement = Placement::Worker;
    Optimiser {
        momentum: Momentum { coefficient: beta, dampening: beta, nesterov: false, placement },
        message: Message::parse(&format!("sign zero={zero}")).unwrap(),
        ..Optimiser::sgd(rate)
    }
}

fn after(plan: Plan, steps: u64) -> Vec<f32> {
    let mut run = Lockstep::new(plan).unwrap();
    (0..steps).for_each(|_| {
        run.step();
    });
    run.params().to_vec()
}

#[test]
fn one_worker_without_momentum_steps_by_the_sign() {
    let start = plan("majority", "none", 1, 0, signum(0.25, 0.0, "zero")).model.init(Seed(3));
    let end = after(plan("majority", "none", 1, 0, signum(0.25, 0.0, "zero")), 1);
    let plain = after(plan("average", "none", 1, 0, Optimiser::sgd(1e-3)), 1);
    for k in 0..start.len() {
        let downhill = (plain[k] - start[k]).signum();
        assert!((end[k] - start[k] - 0.25 * downhill).abs() < 1e-6, "coordinate {k}");
    }
}

/// A bowl whose parameters are a matrix and a vector behind it.
fn shaped(of: Plan, shapes: &[&[usize]]) -> Plan {
    let start: Vec<f32> = of.model.init(of.seed);
    let mut bowl = common::Bowl::new(0.5, &start);
    let mut offset = 0;
    bowl.tensors.clear();
    for shape in shapes {
        let shape = shape.to_vec();
        let len: usize = shape.iter().product();
        bowl.tensors.push(Tensor { name: format!("at{offset}"), shape, offset });
        offset += len;
    }
    Plan { model: Arc::new(bowl), ..of }
}

#[test]
fn sign_muon_votes_by_the_signs_of_polar_factors_of_momenta() {
    let shapes: [&[usize]; 3] = [&[4, 10], &[5, 2, 2], &[10]];
    let of = |message: &str| {
        let mut optimiser = signum(0.05, 0.9, "zero");
        optimiser.message = Message::parse(message).unwrap();
        shaped(plan("majority", "none", 5, 0, optimiser), &shapes)
    };
    let told = of("sign");
    let tensors = told.model.tensors().to_vec();
    let mut wanted = told.model.init(told.seed);
    let mut momenta = vec![vec![0.0f32; wanted.len()]; 5];
    for step in 0..30 {
        let mut votes = vec![0i32; wanted.len()];
        for (worker, v) in (0..).zip(&mut momenta) {
            let (mut indices, mut batch) = (Vec::new(), Batch::default());
            told.sampler.draw(worker, step, &mut indices);
            let mut draws = Seed(0).stream(Domain::Augment, worker, step);
            told.train.fill(&indices, &mut draws, &mut batch);
            for (k, v) in v.iter_mut().enumerate() {
                let points = batch.inputs.chunks(wanted.len());
                let gradient: f32 = points.map(|x| 0.5 * (wanted[k] - x[k]) / 4.0).sum();
                *v = 0.9 * *v + 0.1 * gradient;
            }
            let mut row = v.clone();
            varangian_learn::optim::polar(&tensors, 5, &mut row);
            votes.iter_mut().zip(&row).for_each(|(votes, x)| *votes += sign_of(*x));
        }
        let step = |(x, votes): (&mut f32, &i32)| *x -= 0.05 * votes.signum() as f32;
        wanted.iter_mut().zip(&votes).for_each(step);
    }
    let found = after(of("sign-muon"), 30);
    assert!(found.iter().zip(&wanted).all(|(a, b)| (a - b).abs() < 1e-4));
    assert_ne!(found, after(of("sign"), 30));
    // Of vectors alone it is the plain sign.
    let flat = |message: &str| {
        let mut optimiser = signum(0.05, 0.9, "zero");
        optimiser.message = Message::parse(message).unwrap();
        after(plan("majority", "none", 5, 0, optimiser), 30)
    };
    assert_eq!(flat("sign-muon"), flat("sign"));
}

fn sign_of(x: f32) -> i32 {
    i32::from(x > 0.0) - i32::from(x < 0.0)
}

#[test]
fn decay_alone_shrinks_and_frozen_votes_freeze() {
    // n = 2 with one opposer: every coordinate ties, so only the decay moves.
    let frozen = |decay: f64| {
        let optimiser = Optimiser { weight_decay: decay, ..signum(0.1, 0.0, "zero") };
        let mut plan = plan("majority", "oppose", 2, 0, optimiser);
        plan.f_real = 1;
        plan
    };
    let start = frozen(0.0).model.init(Seed(3));
    assert_eq!(after(frozen(0.0), 20), start);
    let shrunk = after(frozen(0.5), 20);
    let factor = 0.95f32.powi(20);
    assert!(shrunk.iter().zip(&start).all(|(x, x0)| (x - factor * x0).abs() < 1e-5));
}

#[test]
fn a_sum_that_one_worker_cancels_stays_where_it_is() {
    let mut plan = plan("average", "sign-flip of=mean scale=9", 10, 0, Optimiser::sgd(1.0));
    plan.f_real = 1;
    let start = plan.model.init(Seed(3));
    let end = after(plan, 30);
    assert!(end.iter().zip(&start).all(|(x, x0)| (x - x0).abs() < 1e-4));
}

#[test]
fn signs_go_under_any_rule_and_blind_and_byzantine_meet_in_one_run() {
    for rule in ["majority", "majority ties=plus-one", "krum", "median", "nnm | trimmed-mean"] {
        for attack in ["mixed groups='1 blind-inversion; 1 kill'", "kill-wire", "random-signs"] {
            for zero in ["zero", "plus-one", "random"] {
                let end = after(plan(rule, attack, 9, 2, signum(0.01, 0.9, zero)), 5);
                assert!(end.iter().all(|x| x.is_finite()), "{rule} {attack} {zero}");
            }
        }
    }
}

#[test]
fn votes_are_the_same_bits_at_any_number_of_threads() {
    let run = |threads| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| {
            after(plan("majority ties=random", "kill", 8, 2, signum(0.1, 0.5, "random")), 20)
        })
    };
    let one = run(1);
    assert!(one == run(2) && one == run(8));
}

/// The fault-tolerance report's logistic regression, for some epochs of 67 steps.
fn accuracy(n: usize, hostile: usize, attack: &str, beta: f64, epochs: u64) -> f64 {
    let seed = Seed(8005);
    let data::Split { train, test } = data::load("logreg", None, seed).unwrap();
    let iid = partition::make(&spec::parse("iid").unwrap()).unwrap();
    let shares = iid.split(&Samples::of(train.as_ref()), n, seed).unwrap().samples;
    let sampling = Sampling::Epochs { drop_last: false };
    let model = varangian_learn::model::build("logreg-net", train.shape(), 2).unwrap();
    let plan = Plan {
        model: Arc::from(model),
        sampler: Arc::new(Minibatches::new(shares, 12, sampling, seed).unwrap()),
        train,
        test,
        n,
        f: 0,
        f_real: hostile,
        hostile: Hostile::Last,
        participation: None,
        non_finite: varangian_train::NonFinite::default(),
        weights: None,
        rule: Pipeline::parse("majority").unwrap(),
        attack: varangian_attacks::build(attack).unwrap(),
        optimiser: Optimiser {
            schedule: Schedule::parse("decay every=30").unwrap(),
            ..signum(1e-4, beta, "zero")
        },
        passes: Passes::Honest,
        oracle: None,
        test_samples: 2000,
        study: None,
        certificate: None,
        seed,
    };
    let mut run = Lockstep::new(plan).unwrap();
    (0..67 * epochs).for_each(|_| {
        run.step();
    });
    run.evaluate().tally.accuracy()
}

#[test]
fn an_even_number_of_workers_hides_how_strong_collusion_is() {
    let even = accuracy(10, 4, "kill", 0.0, 25);
    let odd = accuracy(11, 4, "kill", 0.0, 25);
    let signum = accuracy(11, 4, "kill", 0.9, 25);
    assert!(even > 0.78, "SignSGD, n = 10: {even}");
    assert!(odd < even - 0.15, "SignSGD, n = 11: {odd} against {even}");
    assert!(signum > odd + 0.25, "Signum, n = 11: {signum} against {odd}");
}

/// Random images of ten classes.
struct Images;

impl Dataset for Images {
    fn len(&self) -> usize {
        200
    }

    fn shape(&self) -> Shape {
        Shape { channels: 1, height: 8, width: 8 }
    }

    fn classes(&self) -> usize {
        10
    }

    fn label(&self, i: usize) -> u32 {
        i as u32 % 10
    }

    fn fill(&self, indices: &[u32], _: &mut Stream, batch: &mut Batch) {
        batch.begin(indices.len(), self.shape().len());
        for (image, &i) in batch.inputs.chunks_mut(self.shape().len()).zip(indices) {
            Seed(6).stream(Domain::Test, i, 0).fill_uniform(image);
        }
        batch.targets = Targets::Labels(indices.iter().map(|&i| self.label(i as usize)).collect());
    }
}

#[test]
fn abstentions_arm_collusion_and_shared_dropout_masks_disarm_it() {
    // n = 10, f = 4: where an odd number of the six honest workers abstain, a tie becomes a flip.
    // Signs of zeros as +1 leave nobody who abstains, hence nothing to flip.
    let shares = |model: &str, zero: &str| {
        let mut plan = plan("majority", "kill", 10, 0, signum(1e-5, 0.0, zero));
        let (data, classes) = (Arc::new(Images), Images.classes());
        plan.model =
            Arc::from(varangian_learn::model::build(model, data.shape(), classes).unwrap());
        (plan.train, plan.test) = (data.clone(), data);
        (plan.f_real, plan.study) = (4, Some(1));
        let mut run = Lockstep::new(plan).unwrap();
        let mut sums = [0.0; 4];
        for _ in 0..10 {
            let row = run.step().study.unwrap();
            let votes = row[VOTES].iter().zip(&mut sums);
            votes.for_each(|(share, sum)| *sum += share / 10.0);
        }
        sums
    };
    let [moved, flipped, unanimous, abstained] = shares("mnistnet", "zero");
    assert!(abstained > 0.1 && flipped > 0.05, "{abstained} abstain, {flipped} flip");
    assert!(moved >= flipped && moved <= flipped + unanimous + abstained, "{moved}");
    let shared = shares("mnistnet dropout-masks=shared", "zero");
    assert!(shared[1] < 0.9 * flipped, "{} with shared masks, {flipped} without", shared[1]);
    let bits = shares("mnistnet", "plus-one");
    assert_eq!([bits[1], bits[3]], [0.0, 0.0], "nobody abstains, nothing flips");
    assert!((bits[0] - bits[2]).abs() < 1e-12, "what all agree on moves");
}
