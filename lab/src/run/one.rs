//! One run: from its plan to its outcome, with what is measured on the way.

use super::progress::Progress;
use super::setup::Course;
use super::swarm;
use crate::config::Settings;
use crate::results::{End, Outcome, Point};
use std::collections::BTreeMap;
use varangian_base::SpecError;
use varangian_learn::Dataset;
use varangian_sim::Plan;
use varangian_sim::lockstep::{Evaluation, Lockstep, Observer, StepRecord, drive};
use varangian_sim::network::Network;
use varangian_sim::rounds::Rounds;
use varangian_train::{COLUMNS, Traffic};

/// A run of a matrix.
#[derive(Clone)]
pub(crate) struct Job {
    /// The hash of everything that can change its result.
    pub(crate) key: String,
    /// Its settings.
    pub(crate) settings: Settings,
}

/// Runs the course of `job` on the current thread pool. `None` if it was stopped.
pub(crate) fn run(
    job: &Job,
    course: Course,
    progress: &Progress,
    stop: &dyn Fn() -> bool,
) -> Option<Outcome> {
    let begun = crate::clock::now();
    let notes = |test: &dyn Dataset, traffic| {
        let notes = Notes::new(test.classes() > 0, progress);
        Notes { traffic, ..notes }
    };
    let ended = match course {
        Course::Lockstep(plan) => lockstep(*plan, notes, stop),
        Course::Rounds(plan, network) => rounds(*plan, network, notes, stop),
        Course::Swarm(plan) => swarm::run(*plan, &job.settings, notes, stop),
    };
    let (points, end, parameters) = match ended {
        Ok(Some((points, parameters))) => (points, End::Finished, parameters),
        Ok(None) => return None,
        Err(error) => (Vec::new(), End::Failed(error.to_string()), String::new()),
    };
    Some(Outcome {
        key: job.key.clone(),
        settings: job.settings.clone(),
        points,
        end,
        parameters,
        seconds: begun.elapsed().as_secs_f64(),
    })
}

/// What a run left: its points and the hash of its parameters; `None` if it was stopped.
pub(super) type Ended = Result<Option<(Vec<Point>, String)>, SpecError>;

fn lockstep<'a>(
    plan: Plan,
    notes: impl FnOnce(&dyn Dataset, Traffic) -> Notes<'a>,
    stop: &dyn Fn() -> bool,
) -> Ended {
    let (steps, every) = (plan.steps, plan.evaluate_every);
    let traffic = Traffic::of(plan.model.dim(), &plan.optimiser.message, &plan.rule);
    let mut notes = notes(plan.test.as_ref(), traffic);
    let mut run = Lockstep::new(plan)?;
    if !drive(&mut run, steps, every, &mut notes, stop) {
        return Ok(None);
    }
    Ok(Some((notes.finish(steps), hash(run.params()))))
}

fn rounds<'a>(
    plan: Plan,
    network: Network,
    notes: impl FnOnce(&dyn Dataset, Traffic) -> Notes<'a>,
    stop: &dyn Fn() -> bool,
) -> Ended {
    let (steps, every) = (plan.steps, plan.evaluate_every);
    let traffic = Traffic::of(plan.model.dim(), &plan.optimiser.message, &plan.rule);
    let mut notes = notes(plan.test.as_ref(), traffic);
    let mut run = Rounds::new(plan, network)?;
    for step in 0..=steps {
        if step % every == 0 || step == steps {
            notes.evaluation(&run.evaluate());
            notes.put(step, "seconds", run.now());
        }
        if step == steps {
            break;
        }
        if stop() {
            return Ok(None);
        }
        notes.step(&run.step());
    }
    Ok(Some((notes.finish(steps), hash(run.params()))))
}

/// BLAKE3 of the parameters' little-endian bytes.
pub(super) fn hash(params: &[f32]) -> String {
    let mut hasher = blake3::Hasher::new();
    params.iter().for_each(|x| {
        hasher.update(&x.to_le_bytes());
    });
    hasher.finalize().to_hex()[..16].to_owned()
}

/// What is measured in a run.
pub(super) struct Notes<'a> {
    points: Vec<Point>,
    refused: BTreeMap<(&'static str, u32), u64>,
    skipped: u64,
    expelled: Vec<u32>,
    classifies: bool,
    pub(super) progress: &'a Progress,
    traffic: Traffic,
    train_loss: Mean,
    hostile_weight: Mean,
}

/// A mean over the steps since the last evaluation.
#[derive(Default)]
struct Mean {
    sum: f64,
    count: u64,
}

impl Mean {
    fn add(&mut self, value: f64) {
        self.sum += value;
        self.count += 1;
    }

    /// The mean, which then starts again; nothing if there was no value.
    fn take(&mut self) -> Option<f64> {
        let Mean { sum, count } = std::mem::take(self);
        (count > 0).then(|| sum / count as f64)
    }
}

impl<'a> Notes<'a> {
    fn new(classifies: bool, progress: &'a Progress) -> Self {
        let (points, refused) = (Vec::new(), BTreeMap::new());
        let traffic = Traffic { up: 0, down: 0 };
        let (train_loss, hostile_weight) = Default::default();
        Notes {
            points,
            refused,
            skipped: 0,
            expelled: Vec::new(),
            classifies,
            progress,
            traffic,
            train_loss,
            hostile_weight,
        }
    }

    /// Counts an honest minibatch loss.
    pub(super) fn loss(&mut self, loss: f64) {
        self.train_loss.add(loss);
    }

    pub(super) fn put(&mut self, step: u64, metric: &str, value: f64) {
        self.points.push(Point { step, metric: metric.to_owned(), value });
    }

    /// Everything measured; the counts of the whole run and the bytes a worker and step come last.
    pub(super) fn finish(mut self, steps: u64) -> Vec<Point> {
        self.put(steps, "bytes/up", self.traffic.up as f64);
        self.put(steps, "bytes/down", self.traffic.down as f64);
        let refused = std::mem::take(&mut self.refused);
        for ((reason, worker), count) in refused {
            self.put(steps, &format!("refused/{reason}/worker-{worker}"), count as f64);
        }
        if self.skipped > 0 {
            self.put(steps, "skipped_steps", self.skipped as f64);
        }
        self.points
    }
}

impl Observer for Notes<'_> {
    fn step(&mut self, record: &StepRecord<'_>) {
        let closed = record.closed;
        self.train_loss.add(record.loss);
        if let Some(weight) = record.hostile_weight() {
            self.hostile_weight.add(weight);
        }
        if let Some(row) = record.study {
            for (name, &value) in COLUMNS.iter().zip(row) {
                self.put(closed.step, &format!("study/{name}"), value);
            }
        }
        for refusal in &closed.refused {
            *self.refused.entry((refusal.reason.name(), refusal.worker)).or_default() += 1;
        }
        if closed.verdict.expelled != self.expelled {
            for worker in &closed.verdict.expelled {
                if !self.expelled.contains(worker) {
                    self.put(closed.step, &format!("expelled/worker-{worker}"), 1.0);
                }
            }
            self.expelled.clone_from(&closed.verdict.expelled);
            self.put(closed.step, "expelled", self.expelled.len() as f64);
        }
        self.skipped += u64::from(closed.skipped.is_some());
        self.progress.step();
    }

    fn evaluation(&mut self, evaluation: &Evaluation) {
        if let Some(loss) = self.train_loss.take() {
            self.put(evaluation.step, "train_loss", loss);
        }
        if let Some(weight) = self.hostile_weight.take() {
            self.put(evaluation.step, "hostile_weight", weight);
        }
        if self.classifies {
            self.put(evaluation.step, "accuracy", evaluation.tally.accuracy());
        }
        self.put(evaluation.step, "test_loss", evaluation.tally.mean_loss());
    }
}
