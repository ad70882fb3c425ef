//! A whole step of the MNIST setting of distributed momentum (n = 51, f = 24, batch 83, 784-100-10
//! MLP), rule by rule beside the plain mean, one evaluation on 10,000 images, and what certificates
//! add to a step.
//!
//! `cargo bench --bench step -- [--data DIR] [--steps N]`; without a folder it runs on glyphs.

#![allow(clippy::print_stdout, clippy::disallowed_methods)]

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;
use varangian_base::{Seed, spec};
use varangian_learn::data::{self, Split};
use varangian_learn::model;
use varangian_learn::optim::{Clip, ClipMode, Momentum, Optimiser, Placement};
use varangian_learn::partition::{self, Minibatches, Samples, Sampling};
use varangian_rules::{Effort, Pipeline};
use varangian_sim::lockstep::Lockstep;
use varangian_sim::{Hostile, Plan};
use varangian_train::Passes;

const N: usize = 51;
const F: usize = 24;

fn main() {
    let args: Vec<String> = std::env::args().collect();
    let value = |name: &str| args.iter().position(|a| a == name).and_then(|i| args.get(i + 1));
    let data = value("--data").map(PathBuf::from);
    let steps: u64 = value("--steps").map_or(30, |text| text.parse().expect("a number of steps"));
    let set = if data.is_some() { "mnist" } else { "glyphs" };
    let split = data::load(set, data, Seed(1)).unwrap_or_else(|error| panic!("{error}"));
    println!(
        "{set}, mlp 784-100-10, n = {N}, f = {F}, batch 83, ALIE z = 1.5, momentum 0.9 at worker"
    );
    for threads in [1, 2] {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("a pool");
        pool.install(|| {
            table(&split, steps, threads);
            if threads == 1 {
                certificates(&split, steps);
            }
        });
    }
}

fn table(split: &Split, steps: u64, threads: usize) {
    println!("\n{threads} thread(s)      ms a step   ÷ mean");
    let mut mean = 0.0;
    for rule in ["average", "median", "trimmed-mean", "krum", "multi-krum", "geometric-median"] {
        let f = if rule == "average" { 0 } else { F };
        let mut run = Lockstep::new(plan(split, rule, (N, f))).expect("a valid plan");
        for _ in 0..3 {
            run.step();
        }
        let start = Instant::now();
        for _ in 0..steps {
            run.step();
        }
        let ms = start.elapsed().as_secs_f64() * 1e3 / steps as f64;
        if rule == "average" {
            mean = ms;
        }
        println!("{rule:<18} {ms:>9.2} {:>8.2}", ms / mean);
        if rule == "geometric-median" {
            let start = Instant::now();
            let tally = run.evaluate().tally;
            let ms = start.elapsed().as_secs_f64() * 1e3;
            println!("evaluation         {ms:>9.2}            of {} images", tally.count);
        }
    }
}

/// What a certificate adds to a step of one thread, in the same setting and with 11 workers.
fn certificates(split: &Split, steps: u64) {
    println!("\nkrum, lower quartiles    ms a step   + fast   + sharp");
    for (n, f) in [(11, 2), (11, 4), (N, F)] {
        let of = |certificate| Plan { certificate, ..plan(split, "krum", (n, f)) };
        let kinds = [None, Some(Effort::Fast), Some(Effort::Sharp)];
        let mut runs = kinds.map(|kind| Lockstep::new(of(kind)).expect("a valid plan"));
        let mut seconds = [const { Vec::new() }; 3];
        // Turn by turn: whatever else the machine does meets all three.
        for turn in 0..steps + 3 {
            for (run, seconds) in runs.iter_mut().zip(&mut seconds) {
                let start = Instant::now();
                run.step();
                if turn >= 3 {
                    seconds.push(start.elapsed().as_secs_f64());
                }
            }
        }
        // Lower quartiles: most steps in which the machine does something else too are above them.
        let [plain, fast, sharp] = seconds.map(|mut seconds| {
            seconds.sort_by(f64::total_cmp);
            seconds[seconds.len() / 4]
        });
        let more = |with: f64| 100.0 * (with / plain - 1.0);
        println!(
            "n = {n:<2}, f = {f:<8} {:>9.2} {:>7.1} % {:>7.1} %",
            plain * 1e3,
            more(fast),
            more(sharp)
        );
    }
}

fn plan(split: &Split, rule: &str, (n, f): (usize, usize)) -> Plan {
    let samples = Samples::of(split.train.as_ref());
    let iid = partition::make(&spec::parse("iid").expect("known")).expect("known");
    let shares = iid.split(&samples, n, Seed(1)).expect("enough samples").samples;
    let sampling = Sampling::Epochs { drop_last: false };
    let sampler = Minibatches::new(shares, 83, sampling, Seed(1)).expect("no empty share");
    let placement = Placement::Worker;
    let momentum = Momentum { coefficient: 0.9, dampening: 0.0, nesterov: false, placement };
    let clip = Some(Clip { bound: 2.0, mode: ClipMode::Rescale });
    let model = model::build("mlp", split.train.shape(), split.train.classes());
    Plan {
        model: model.expect("an MLP takes any shape").into(),
        train: Arc::clone(&split.train),
        test: Arc::clone(&split.test),
        sampler: Arc::new(sampler),
        n,
        f,
        f_real: if n == N { F } else { f },
        hostile: Hostile::Last,
        participation: None,
        non_finite: varangian_train::NonFinite::default(),
        weights: None,
        rule: Pipeline::parse(rule).expect("a known rule"),
        attack: varangian_attacks::build("alie z=1.5").expect("a known attack"),
        optimiser: Optimiser { momentum, clip, ..Optimiser::sgd(0.5) },
        passes: Passes::Honest,
        oracle: None,
        test_samples: 10_000,
        study: None,
        certificate: None,
        seed: Seed(1),
    }
}
