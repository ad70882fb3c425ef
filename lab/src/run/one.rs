//! One run: from its plan to its outcome, with what is measured on the way.

use super::progress::Progress;
use crate::config::Settings;
use crate::results::{End, Outcome, Point};
use std::collections::BTreeMap;
use varangian_sim::Plan;
use varangian_sim::lockstep::{Evaluation, Lockstep, Observer, StepRecord, drive};
use varangian_train::{COLUMNS, Traffic};

/// A run of a matrix.
#[derive(Clone)]
pub(crate) struct Job {
    /// The hash of everything that can change its result.
    pub(crate) key: String,
    /// Its settings.
    pub(crate) settings: Settings,
}

/// Runs the plan of `job` on the current thread pool. `None` if it was stopped.
pub(crate) fn run(
    job: &Job,
    plan: Plan,
    progress: &Progress,
    stop: &dyn Fn() -> bool,
) -> Option<Outcome> {
    let begun = crate::clock::now();
    let (steps, every) = (plan.steps, plan.evaluate_every);
    let classifies = plan.test.classes() > 0;
    let mut notes = Notes::new(classifies, progress);
    notes.traffic = Traffic::of(plan.model.dim(), &plan.optimiser.message, &plan.rule);
    let outcome = |points, end, parameters| Outcome {
        key: job.key.clone(),
        settings: job.settings.clone(),
        points,
        end,
        parameters,
        seconds: begun.elapsed().as_secs_f64(),
    };
    let mut lockstep = match Lockstep::new(plan) {
        Ok(lockstep) => lockstep,
        Err(error) => {
            return Some(outcome(Vec::new(), End::Failed(error.to_string()), String::new()));
        }
    };
    if !drive(&mut lockstep, steps, every, &mut notes, stop) {
        return None;
    }
    let parameters = hash(lockstep.params());
    Some(outcome(notes.finish(steps), End::Finished, parameters))
}

/// BLAKE3 of the parameters' little-endian bytes.
fn hash(params: &[f32]) -> String {
    let mut hasher = blake3::Hasher::new();
    params.iter().for_each(|x| {
        hasher.update(&x.to_le_bytes());
    });
    hasher.finalize().to_hex()[..16].to_owned()
}

/// What is measured in a run.
struct Notes<'a> {
    points: Vec<Point>,
    refused: BTreeMap<(&'static str, u32), u64>,
    skipped: u64,
    classifies: bool,
    progress: &'a Progress,
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
            classifies,
            progress,
            traffic,
            train_loss,
            hostile_weight,
        }
    }

    fn put(&mut self, step: u64, metric: &str, value: f64) {
        self.points.push(Point { step, metric: metric.to_owned(), value });
    }

    /// Everything measured; the counts of the whole run and the bytes a worker and step come last.
    fn finish(mut self, steps: u64) -> Vec<Point> {
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
