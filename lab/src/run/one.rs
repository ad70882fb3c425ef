//! One run: from its plan to its outcome, with what is measured on the way.

use super::backdoor::Backdoor;
use super::drive;
use super::mean::Mean;
use super::objective::Objective;
use super::outline::{hash, outline};
use super::progress::Progress;
use super::setup::Shelf;
use super::world::World;
use crate::config::{Read, Settings, Words};
use crate::results::checkpoint::{self, Checkpoint};
use crate::results::{End, Outcome, Point, Store};
use crate::{Failure, clock, files};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use varangian_base::{Memory, Value};
use varangian_learn::model::state::{self, State};
use varangian_rules::Certificate;
use varangian_sim::lockstep::{Evaluation, StepRecord};
use varangian_sim::swarm::ArrivalRecord;
use varangian_sim::{Attendance, Course, Run};
use varangian_train::{COLUMNS, Traffic, VOTES};

/// A run of a matrix.
#[derive(Clone)]
pub(crate) struct Job {
    /// The hash of everything that can change its result.
    pub(crate) key: String,
    read: Arc<Read>,
    /// How it is driven, until it begins; nothing where too many wait.
    course: Arc<Mutex<Option<Course>>>,
}

impl Job {
    /// A run whose words are read, and how it is driven if that is kept.
    pub(crate) fn new(key: String, read: Read, course: Option<Course>) -> Self {
        Job { key, read: Arc::new(read), course: Arc::new(Mutex::new(course)) }
    }

    /// Its settings.
    pub(crate) fn settings(&self) -> &Settings {
        &self.read.settings
    }

    /// What its words name.
    pub(crate) fn words(&self) -> &Words {
        &self.read.words
    }

    /// Its settings and what their words name.
    pub(crate) fn read(&self) -> &Read {
        &self.read
    }

    /// How it is driven: built once, where that was kept and nobody took it before.
    ///
    /// # Errors
    /// As [`Shelf::course`].
    pub(crate) fn course(&self, shelf: &Shelf) -> Result<Course, Failure> {
        let kept = self.course.lock().expect("no thread panicked").take();
        kept.map_or_else(|| shelf.course_of(&self.read), Ok)
    }
}

/// What runs keep beside their outcomes.
#[derive(Clone, Copy)]
pub(crate) struct Keep {
    /// Seconds between checkpoints.
    pub(crate) checkpoint_every: f64,
    /// Whether last parameters stay.
    pub(crate) models: bool,
}

/// What a run shares with the others of its matrix.
pub(crate) struct Context<'a, 'e> {
    /// Where results and checkpoints go.
    pub(crate) store: &'a Store,
    /// Told of every step.
    pub(crate) progress: &'a Progress<'e>,
    /// Where runs happen.
    pub(crate) world: &'a dyn World,
    /// What is kept beside outcomes.
    pub(crate) keep: Keep,
    /// Asked between steps.
    pub(crate) stop: &'a dyn Fn() -> bool,
    /// Whether a checkpoint is taken up.
    pub(crate) resume: bool,
}

/// How far a run came.
pub(crate) enum Left {
    /// To its end.
    Over(Box<Outcome>),
    /// As far as its checkpoint, when it was stopped.
    Stopped,
    /// Nowhere: its checkpoint is not one of it; why.
    Unfit(String),
}

/// Runs the course of `job` on the current thread pool, from its checkpoint where there is one.
///
/// # Errors
/// If a checkpoint or the last parameters cannot be written.
pub(crate) fn run(job: &Job, course: Course, context: &Context<'_, '_>) -> Result<Left, Failure> {
    let begun = clock::now();
    context.progress.begin(job);
    let (classifies, traffic) = outline(&course);
    let objective = match job.settings().optimum()? {
        true => Some(Objective::of(job.settings(), &course)?),
        false => None,
    };
    let backdoor = Backdoor::of(&course);
    let mut notes = Notes {
        traffic,
        objective,
        backdoor,
        ..Notes::new(classifies, &job.key, context.progress)
    };
    let Settings { steps, evaluate_every, .. } = *job.settings();
    let model = course.model().clone();
    let mut kept = String::new();
    let (points, end, parameters) = match context.world.begin(job.settings(), course) {
        Err(error) => (Vec::new(), End::Failed(error.to_string()), String::new()),
        Ok(mut run) => {
            if context.resume
                && let Err(why) = notes.resume(run.as_mut(), context.store, &job.key, steps)
            {
                return Ok(Left::Unfit(why));
            }
            let pace = (steps, evaluate_every);
            if !drive::drive(run.as_mut(), pace, &job.key, &mut notes, context)? {
                return Ok(Left::Stopped);
            }
            if context.keep.models {
                let (params, buffers) = (run.params().to_vec(), run.statistics().to_vec());
                let bytes = state::to_bytes(model.as_ref(), &State { params, buffers });
                files::write(&context.store.model_file(&job.key), &bytes)?;
                kept = blake3::hash(&bytes).to_hex().to_string();
            }
            (notes.finish(steps), End::Finished, hash(run.params()))
        }
    };
    Ok(Left::Over(Box::new(Outcome {
        key: job.key.clone(),
        settings: job.settings().clone(),
        points,
        end,
        parameters,
        seconds: begun.elapsed().as_secs_f64(),
        model: kept,
    })))
}

/// What is measured in a run.
pub(super) struct Notes<'a, 'e> {
    points: Vec<Point>,
    refused: BTreeMap<String, u64>,
    skipped: u64,
    expelled: Vec<u32>,
    /// The step of the last evaluation: one that a pause repeats is not noted twice.
    evaluated: Option<u64>,
    classifies: bool,
    key: &'a str,
    progress: &'a Progress<'e>,
    traffic: Traffic,
    /// What the gap to the optimum is measured by, where it is.
    objective: Option<Objective>,
    /// What a backdoor is measured by, where the attack hides one.
    backdoor: Option<Backdoor>,
    train_loss: Mean,
    hostile_weight: Mean,
}

impl<'a, 'e> Notes<'a, 'e> {
    fn new(classifies: bool, key: &'a str, progress: &'a Progress<'e>) -> Self {
        let (points, refused) = (Vec::new(), BTreeMap::new());
        let traffic = Traffic { up: 0, down: 0 };
        let (train_loss, hostile_weight) = Default::default();
        Notes {
            points,
            refused,
            skipped: 0,
            expelled: Vec::new(),
            evaluated: None,
            classifies,
            key,
            progress,
            traffic,
            objective: None,
            backdoor: None,
            train_loss,
            hostile_weight,
        }
    }

    /// Notes an arrival.
    pub(super) fn arrival(&mut self, record: &ArrivalRecord) {
        if !record.hostile {
            self.train_loss.add(record.loss);
        }
        self.progress.step(self.key, |live| live.arrive(record));
    }

    /// Notes how workers elsewhere stand.
    pub(super) fn attendance(&mut self, now: &Attendance) {
        self.progress.told(self.key, |live| live.attend(now));
    }

    /// Notes what is known of arrivals at the end only.
    pub(super) fn end(&mut self, run: &dyn Run) {
        let Some(arrivals) = run.arrivals() else { return };
        let judged = run.step();
        for (who, fates) in [("honest", arrivals.honest), ("hostile", arrivals.hostile)] {
            let sent = fates.stepped + fates.held + fates.rejected;
            if sent > 0 {
                self.put(judged, &format!("arrivals/{who}"), sent as f64);
                self.put(judged, &format!("rejected/{who}"), fates.rejected_share());
            }
            if fates.refused > 0 {
                self.put(judged, &format!("refused/{who}"), fates.refused as f64);
            }
        }
        self.put(judged, "staleness", arrivals.staleness / judged.max(1) as f64);
    }

    fn put(&mut self, step: u64, metric: &str, value: f64) {
        self.points.push(Point { step, metric: metric.to_owned(), value });
    }

    /// Goes on from the checkpoint of `key`, a run of `steps` steps, where there is one.
    ///
    /// # Errors
    /// Why what is there does not fit. The run may have taken up a part of it then: another one has
    /// to begin.
    pub(super) fn resume(
        &mut self,
        run: &mut dyn Run,
        store: &Store,
        key: &str,
        steps: u64,
    ) -> Result<(), String> {
        let Some(checkpoint) = checkpoint::load(store, key, steps)? else { return Ok(()) };
        let size = (run.params().len(), run.statistics().len());
        run.load(&checkpoint.memory).map_err(|error| error.to_string())?;
        if run.step() != checkpoint.step || (run.params().len(), run.statistics().len()) != size {
            return Err("what it holds is of another step or another model".into());
        }
        let evaluations = checkpoint.points.iter().filter(|point| point.metric == "test_loss");
        self.evaluated = evaluations.map(|point| point.step).max();
        self.points = checkpoint.points;
        self.refused = checkpoint.refused;
        self.skipped = checkpoint.skipped;
        if let Ok(expelled) = checkpoint.memory.integers("notes/expelled") {
            self.expelled = expelled.iter().map(|&worker| worker as u32).collect();
        }
        self.train_loss.load(&checkpoint.memory, "notes/train_loss");
        self.hostile_weight.load(&checkpoint.memory, "notes/hostile_weight");
        self.progress.resumed(key, checkpoint.step);
        let metric = if self.classifies { "accuracy" } else { "test_loss" };
        for point in self.points.iter().filter(|point| point.metric == metric) {
            self.progress.evaluated(key, point.step, point.value, self.classifies);
        }
        Ok(())
    }

    /// The run before `step`.
    pub(super) fn checkpoint(&self, step: u64, mut memory: Memory) -> Checkpoint {
        let expelled = self.expelled.iter().map(|&worker| u64::from(worker)).collect();
        memory.put("notes/expelled", Value::Integers(expelled));
        self.train_loss.save(&mut memory, "notes/train_loss");
        self.hostile_weight.save(&mut memory, "notes/hostile_weight");
        let (points, refused) = (self.points.clone(), self.refused.clone());
        Checkpoint { step, points, refused, skipped: self.skipped, memory }
    }

    /// Everything measured; the counts of the whole run and the bytes a worker and step come last.
    fn finish(mut self, steps: u64) -> Vec<Point> {
        self.put(steps, "bytes/up", self.traffic.up as f64);
        self.put(steps, "bytes/down", self.traffic.down as f64);
        let refused = std::mem::take(&mut self.refused);
        for (what, count) in refused {
            self.put(steps, &format!("refused/{what}"), count as f64);
        }
        if self.skipped > 0 {
            self.put(steps, "skipped_steps", self.skipped as f64);
        }
        self.points
    }
}

impl Notes<'_, '_> {
    /// Notes a step.
    pub(super) fn step(&mut self, record: &StepRecord<'_>) {
        let closed = record.closed;
        if record.losses > 0 {
            self.train_loss.add(record.loss);
        }
        if let Some(weight) = record.hostile_weight() {
            self.hostile_weight.add(weight);
        }
        if let Some(row) = record.study {
            for (k, (name, &value)) in COLUMNS.iter().zip(row).enumerate() {
                if !(VOTES.contains(&k) && value.is_nan()) {
                    self.put(closed.step, &format!("study/{name}"), value);
                }
            }
        }
        if let Some(certificate) = &closed.certificate {
            let Certificate { radius, promised, descent, length, margin, .. } = *certificate;
            self.put(closed.step, "certificate/radius", radius);
            if let Some(promised) = promised {
                self.put(closed.step, "certificate/promised", promised);
            }
            // −1: no descent even if nobody is hostile.
            self.put(closed.step, "certificate/descent", descent.map_or(-1.0, |f| f as f64));
            self.put(closed.step, "certificate/length", length);
            if let Some(margin) = margin {
                self.put(closed.step, "certificate/margin", margin);
            }
        }
        for refusal in &closed.refused {
            let what = format!("{}/worker-{:03}", refusal.reason.name(), refusal.worker);
            *self.refused.entry(what).or_default() += 1;
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
        self.progress.step(self.key, |live| live.look(record));
    }

    /// Notes the evaluation of the untrained model where the first step came before it: what was
    /// measured in that step belongs to the next evaluation.
    pub(super) fn untrained(
        &mut self,
        evaluation: &Evaluation,
        seconds: Option<f64>,
        at: (&[f32], &[f32]),
    ) {
        let means = [&mut self.train_loss, &mut self.hostile_weight].map(std::mem::take);
        self.evaluation(evaluation, (seconds, None), at);
        [self.train_loss, self.hostile_weight] = means;
    }

    /// Notes an evaluation at these parameters and running statistics, its virtual time and how far
    /// nodes are apart, once: a pause repeats the last one.
    pub(super) fn evaluation(
        &mut self,
        evaluation: &Evaluation,
        (seconds, apart): (Option<f64>, Option<f64>),
        (params, statistics): (&[f32], &[f32]),
    ) {
        if self.evaluated.replace(evaluation.step) == Some(evaluation.step) {
            return;
        }
        if let Some(loss) = self.train_loss.take() {
            self.put(evaluation.step, "train_loss", loss);
        }
        if let Some(weight) = self.hostile_weight.take() {
            self.put(evaluation.step, "hostile_weight", weight);
        }
        let (step, tally) = (evaluation.step, &evaluation.tally);
        if self.classifies {
            self.put(step, "accuracy", tally.accuracy());
        }
        self.put(step, "test_loss", tally.mean_loss());
        let gap = self.objective.as_ref().map(|objective| objective.gap(params));
        let rate = self.backdoor.as_mut().map(|backdoor| backdoor.rate(params, statistics));
        let more = [("disagreement", apart), ("optimality_gap", gap), ("backdoor_rate", rate)];
        for (metric, value) in more.into_iter().chain([("seconds", seconds)]) {
            if let Some(value) = value {
                self.put(step, metric, value);
            }
        }
        let value = if self.classifies { tally.accuracy() } else { tally.mean_loss() };
        self.progress.evaluated(self.key, step, value, self.classifies);
    }
}
