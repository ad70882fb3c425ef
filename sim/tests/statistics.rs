//! Batch norm's running statistics over a run: they follow the passes, and evaluation uses them.

mod common;

use common::AtOnce;
use std::sync::Arc;
use varangian_base::{Domain, Seed, Stream};
use varangian_learn::data::{Dataset, Shape};
use varangian_learn::model::{self, Prepared};
use varangian_learn::optim::Optimiser;
use varangian_learn::{Batch, Targets};
use varangian_rules::Oracle;
use varangian_sim::Plan;
use varangian_sim::lockstep::Lockstep;
use varangian_train::{Evaluator, Passes, Validation};

/// Bright images of two classes, told apart by which half is brighter.
struct Halves(usize);

const SHAPE: Shape = Shape { channels: 3, height: 8, width: 8 };

impl Dataset for Halves {
    fn len(&self) -> usize {
        self.0
    }

    fn shape(&self) -> Shape {
        SHAPE
    }

    fn classes(&self) -> usize {
        2
    }

    fn label(&self, i: usize) -> u32 {
        (i % 2) as u32
    }

    fn fill(&self, indices: &[u32], _: &mut Stream, batch: &mut Batch) {
        batch.inputs.clear();
        for &i in indices {
            let mut noise = Seed(8).stream(Domain::Test, 0, u64::from(i));
            batch.inputs.extend((0..SHAPE.len()).map(|k| {
                let bright = (k % 8 < 4) == i.is_multiple_of(2);
                4.0 + if bright { 1.0 } else { 0.0 } + 0.5 * noise.normal() as f32
            }));
        }
        batch.targets = Targets::Labels(indices.iter().map(|&i| i % 2).collect());
        batch.len = indices.len();
    }
}

fn plan(passes: Passes) -> Plan {
    let data = Arc::new(Halves(100));
    let model = model::build("resnet20", SHAPE, 2).unwrap();
    Plan {
        model: Arc::from(model),
        train: data.clone(),
        test: data,
        passes,
        ..common::plan("median", "sign-flip", 4, 1, Optimiser::sgd(0.05))
    }
}

fn run(passes: Passes, steps: u64) -> Lockstep {
    let mut run = Lockstep::new(plan(passes)).unwrap();
    for _ in 0..steps {
        run.step();
    }
    run
}

#[test]
fn statistics_of_all_at_once_are_those_one_by_one() {
    let run = |attack: &str, at_once: bool| {
        let Plan { model, train, test, passes, .. } = plan(Passes::All);
        let other = common::plan("median", attack, 4, 1, Optimiser::sgd(0.05));
        let mut plan = Plan { model, train, test, passes, ..other };
        if at_once {
            plan.model = Arc::new(AtOnce { model: plan.model, calls: Arc::default() });
        }
        let mut run = Lockstep::new(plan).unwrap();
        (0..4).for_each(|_| {
            run.step();
        });
        (run.params().to_vec(), run.server().statistics().to_vec())
    };
    let (params, statistics) = run("label-flip", true);
    assert!(statistics.iter().any(|x| *x != 0.0 && *x != 1.0));
    assert_ne!(params, run("none", false).0, "labels are flipped");
    assert_eq!((params, statistics), run("label-flip", false));
}

#[test]
fn a_residual_network_is_judged_better_with_its_statistics_than_with_those_of_a_new_one() {
    let mut run = run(Passes::Honest, 25);
    let with = run.evaluate().tally;
    let Plan { model, test, .. } = plan(Passes::Honest);
    let mut prepared: Prepared = Box::new(());
    model.prepare(run.params(), &mut prepared);
    let mut evaluator = Evaluator::new(test.as_ref(), 100);
    let without = evaluator.run(model.as_ref(), run.params(), &prepared, test.as_ref());
    assert!(with.mean_loss() < without.mean_loss(), "{with:?} {without:?}");
    assert!(with.accuracy() >= 0.9 && with.hits >= without.hits, "{with:?} {without:?}");
}

#[test]
fn statistics_have_the_same_bits_at_any_number_of_threads_and_after_a_pause() {
    let with = |threads| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| run(Passes::Honest, 4).server().statistics().to_vec())
    };
    let one = with(1);
    assert!(one.iter().all(|x| x.is_finite()));
    assert_ne!(one, plan(Passes::Honest).model.init_buffers());
    assert_eq!(one, with(2));
    assert_eq!(one, with(8));
    let saved = run(Passes::Honest, 2).save();
    let mut later = Lockstep::new(plan(Passes::Honest)).unwrap();
    later.load(&saved).unwrap();
    for _ in 2..4 {
        later.step();
    }
    assert_eq!(one, later.server().statistics());
    assert_ne!(one, run(Passes::All, 4).server().statistics(), "hostile passes count where asked");
}

#[test]
fn validation_measures_losses_with_the_statistics_that_it_was_told() {
    let Plan { model, test, .. } = plan(Passes::Honest);
    let params = model.init(Seed(1));
    let mut oracle = Validation::new(model.clone(), test, 8, Seed(1)).unwrap();
    let new = oracle.loss(&params);
    let told: Vec<f32> = model.init_buffers().iter().map(|x| x + 1.0).collect();
    oracle.inform(&told);
    assert_ne!(new, oracle.loss(&params));
    oracle.inform(&model.init_buffers());
    assert_eq!(new, oracle.loss(&params));
}
