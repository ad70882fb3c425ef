//! The asynchronous server: gradients arrive one at a time, taken at older models, and a filter
//! judges each at once.

use crate::descent::Descent;
use crate::escape::Moment;
use crate::{Keeping, Reason, Refusal, Running, inspect};
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use varangian_base::{Memory, Seed, SpecError, Value};
use varangian_learn::optim::{Optimiser, Placement, ServerOptimiser};
use varangian_rules::{Arrival, Decision, Filter, Oracle};

/// What an asynchronous server is told at the start.
pub struct QueueSettings {
    /// The number of workers.
    pub n: usize,
    /// The declared number of hostile workers.
    pub f: usize,
    /// Who judges arrivals.
    pub filter: Box<dyn Filter>,
    /// Momentum at the server, schedule, weight decay.
    pub optimiser: Optimiser,
    /// Arrivals in an epoch, for schedules that count epochs.
    pub arrivals_per_epoch: f64,
    /// Models kept, the newest included, for filters that look at the one a gradient was taken at.
    pub keep: usize,
    /// The model's running statistics at the start, or none.
    pub buffers: Vec<f32>,
    /// The run's seed.
    pub seed: Seed,
}

/// What became of a candidate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// The model moved along it.
    Step,
    /// The filter keeps it for later.
    Hold,
    /// The filter threw it away.
    Reject(&'static str),
    /// The filter's answer was not finite: no step.
    NotFinite,
    /// The intake refused it: nobody judged it.
    Refused,
}

impl Fate {
    /// Its name in logs: "step", "hold", "reject: its reason", "not-finite" or "refused".
    pub fn name(self) -> String {
        match self {
            Fate::Step => "step".to_owned(),
            Fate::Hold => "hold".to_owned(),
            Fate::Reject(why) => format!("reject: {why}"),
            Fate::NotFinite => "not-finite".to_owned(),
            Fate::Refused => "refused".to_owned(),
        }
    }
}

/// A candidate that was judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// How many were judged before it.
    pub arrival: u64,
    /// Who sent it.
    pub worker: u32,
    /// Steps made since the model at which it was taken.
    pub staleness: u64,
    /// What became of it.
    pub fate: Fate,
}

/// A gradient that waits to be judged.
struct Candidate {
    worker: u32,
    version: u64,
    body: Vec<f32>,
}

/// The asynchronous server: a machine that is told of messages and asked to judge the oldest.
///
/// At most one candidate a worker waits: a later message takes the place of an earlier one that
/// was not yet judged, so that no worker can fill the queue.
pub struct Queue {
    settings: QueueSettings,
    params: Arc<Vec<f32>>,
    version: u64,
    /// The newest models, oldest first; the last is `params`.
    models: VecDeque<(u64, Arc<Vec<f32>>)>,
    descent: Descent,
    out: Vec<f32>,
    waiting: VecDeque<Candidate>,
    /// By worker, the number of its last message.
    last: BTreeMap<u32, u64>,
    free: Vec<Vec<f32>>,
    oracle: Option<Box<dyn Oracle + Send>>,
    running: Running,
    judged: u64,
}

impl Queue {
    /// Whether an asynchronous server can step so.
    ///
    /// # Errors
    /// If momentum is placed or applied in a way that it has no use for.
    pub fn check(optimiser: &Optimiser) -> Result<(), SpecError> {
        let momentum = optimiser.momentum;
        if momentum.coefficient > 0.0
            && (momentum.nesterov || momentum.placement == Placement::Server)
        {
            return Err(SpecError::new(
                "asynchronous training takes momentum at \"update\" or \"worker\", without Nesterov",
            ));
        }
        if let Some(keeping) = Keeping::of(optimiser, None) {
            let what = keeping.key();
            return Err(SpecError::new(format!(
                "{what} has the server combine a row that it keeps of each worker: training in step"
            )));
        }
        if matches!(optimiser.server, ServerOptimiser::Perturbed(_)) {
            return Err(SpecError::new(
                "server_optimiser=byzantine-pgd judges θ by the aggregate at θ: training in step",
            ));
        }
        Ok(())
    }

    /// A server at version 0 with these parameters.
    ///
    /// # Errors
    /// If momentum lives elsewhere than at the worker or the update, or Nesterov's look-ahead is
    /// asked.
    pub fn new(
        settings: QueueSettings,
        params: Vec<f32>,
        oracle: Option<Box<dyn Oracle + Send>>,
    ) -> Result<Self, SpecError> {
        Self::check(&settings.optimiser)?;
        let d = params.len();
        let params = Arc::new(params);
        let mut settings = settings;
        let running = Running::new(std::mem::take(&mut settings.buffers));
        Ok(Queue {
            running,
            descent: Descent::new(&settings.optimiser, d),
            settings,
            models: VecDeque::from([(0, Arc::clone(&params))]),
            params,
            version: 0,
            out: vec![0.0; d],
            waiting: VecDeque::new(),
            last: BTreeMap::new(),
            free: Vec::new(),
            oracle,
            judged: 0,
        })
    }

    /// The model now, to be handed to a worker.
    pub fn fetch(&self) -> (u64, Arc<Vec<f32>>) {
        (self.version, Arc::clone(&self.params))
    }

    /// The model that was `age` steps ago, or the oldest that is kept.
    pub fn fetch_old(&self, age: usize) -> (u64, Arc<Vec<f32>>) {
        let at = self.models.len() - 1 - age.min(self.models.len() - 1);
        let (version, params) = &self.models[at];
        (*version, Arc::clone(params))
    }

    /// How many models are kept now, the newest included.
    pub fn kept(&self) -> usize {
        self.models.len()
    }

    /// The current parameters.
    pub fn params(&self) -> &[f32] {
        &self.params
    }

    /// The model's running statistics, for evaluations at the current parameters.
    pub fn statistics(&self) -> &[f32] {
        self.running.values()
    }

    /// Moves the running statistics by the forward pass of one arrival; see [`Running::follow`].
    pub fn follow(&mut self, pass: &[f32]) {
        self.running.follow(std::iter::once(pass));
        if let Some(oracle) = &mut self.oracle {
            oracle.inform(self.running.values());
        }
    }

    /// Steps made.
    pub fn version(&self) -> u64 {
        self.version
    }

    /// Candidates judged, and arrivals turned away.
    pub fn judged(&self) -> u64 {
        self.judged
    }

    /// The learning rate of the next step.
    pub fn rate(&self) -> f64 {
        self.settings.optimiser.rate(self.judged, self.settings.arrivals_per_epoch)
    }

    /// Takes a worker's `number`-th message, a gradient taken at `version`.
    ///
    /// # Errors
    /// The refusal: unknown sender, a number that is not new, a version that does not exist yet,
    /// a wrong length, a coordinate that is not finite.
    pub fn receive(
        &mut self,
        from: u32,
        number: u64,
        version: u64,
        body: &[f32],
    ) -> Result<(), Refusal> {
        let refuse = |reason, detail| Err(Refusal { worker: from, reason, detail });
        let (n, d) = (self.settings.n, self.out.len());
        if from as usize >= n {
            let detail = format!("workers are 0 to {}", n.saturating_sub(1));
            return refuse(Reason::UnknownWorker, detail);
        }
        if self.last.get(&from).is_some_and(|&last| number <= last) {
            let detail = format!("message {number} or a later one has come before");
            return refuse(Reason::Duplicate, detail);
        }
        if version > self.version {
            let detail =
                format!("version {} is the newest, the message has {version}", self.version);
            return refuse(Reason::WrongStep, detail);
        }
        if body.len() != d {
            return refuse(
                Reason::WrongLength,
                format!("{d} coordinates are wanted, {} came", body.len()),
            );
        }
        if let Err(k) = inspect(body) {
            return refuse(Reason::NotFinite, format!("{} at coordinate {k}", body[k]));
        }
        self.last.insert(from, number);
        self.admit(from, version, body);
        Ok(())
    }

    /// Lets every worker count its messages anew, as after a start whose run id is new.
    pub fn forget_numbers(&mut self) {
        self.last.clear();
    }

    fn admit(&mut self, worker: u32, version: u64, body: &[f32]) {
        let earlier = self.waiting.iter_mut().find(|candidate| candidate.worker == worker);
        if let Some(earlier) = earlier {
            earlier.version = version;
            earlier.body.copy_from_slice(body);
            return;
        }
        let mut copy = self.free.pop().unwrap_or_default();
        copy.clear();
        copy.extend_from_slice(body);
        self.waiting.push_back(Candidate { worker, version, body: copy });
    }

    /// Judges the candidate that waits longest and steps where the filter says so; `None` where
    /// nothing waits.
    pub fn judge(&mut self) -> Option<Outcome> {
        let candidate = self.waiting.pop_front()?;
        let rate = self.rate();
        let stale = self.models.iter().find(|(version, _)| *version == candidate.version);
        let oracle = self.oracle.as_mut().map(|oracle| oracle.as_mut() as &mut dyn Oracle);
        let mut arrival = Arrival {
            gradient: &candidate.body,
            worker: candidate.worker,
            version: candidate.version,
            now: self.version,
            params: &self.params,
            stale: stale.map(|(_, params)| params.as_slice()),
            learning_rate: rate as f32,
            n: self.settings.n,
            f: self.settings.f,
            oracle,
            seed: self.settings.seed,
        };
        let staleness = arrival.staleness();
        let fate = match self.settings.filter.offer(&mut arrival, &mut self.out) {
            Decision::Step if inspect(&self.out).is_err() => Fate::NotFinite,
            Decision::Step => Fate::Step,
            Decision::Hold => Fate::Hold,
            Decision::Reject(why) => Fate::Reject(why),
        };
        if fate == Fate::Step {
            self.step(rate);
        }
        let (arrival, worker) = (self.judged, candidate.worker);
        self.judged += 1;
        self.free.push(candidate.body);
        Some(Outcome { arrival, worker, staleness, fate })
    }

    /// Counts an arrival that was refused among those that were judged, so that schedules and runs
    /// of so many arrivals go on. `version` is that of the model it was taken at.
    pub fn turn_away(&mut self, worker: u32, version: u64) -> Outcome {
        let (arrival, staleness) = (self.judged, self.version.saturating_sub(version));
        self.judged += 1;
        Outcome { arrival, worker, staleness, fate: Fate::Refused }
    }

    fn step(&mut self, rate: f64) {
        let spare = if self.models.len() >= self.settings.keep.max(1) {
            self.models.pop_front().map(|(_, params)| params)
        } else {
            None
        };
        let old = Arc::clone(&self.params);
        // Reuse a model that nobody holds any more.
        let mut next = match spare.map(Arc::try_unwrap) {
            Some(Ok(mut spare)) => {
                spare.copy_from_slice(&old);
                spare
            }
            _ => old.to_vec(),
        };
        let moment = Moment { seed: self.settings.seed, step: self.version };
        self.descent.step(&self.settings.optimiser, (rate, moment), &self.out, &mut next);
        self.params = Arc::new(next);
        self.version += 1;
        self.models.push_back((self.version, Arc::clone(&self.params)));
    }

    /// Saves everything, the kept models included. Only when nothing waits.
    pub fn save(&self) -> Memory {
        assert!(self.waiting.is_empty(), "judge what waits before saving");
        let mut memory = Memory::default();
        let versions = self.models.iter().map(|(version, _)| *version).collect();
        memory.put("versions", Value::Integers(versions));
        for (version, params) in &self.models {
            memory.put(&format!("model-{version}"), Value::Floats(params.to_vec()));
        }
        let last = self.last.iter().flat_map(|(&worker, &number)| [u64::from(worker), number]);
        memory.put("last", Value::Integers(last.collect()));
        self.descent.save(&mut memory);
        memory.put("counts", Value::Integers(vec![self.version, self.judged]));
        let drawn = self.oracle.as_ref().map_or(0, |oracle| oracle.drawn());
        memory.put("oracle", Value::Integers(vec![drawn]));
        self.running.save(&mut memory);
        memory.absorb("filter", self.settings.filter.save());
        memory
    }

    /// Restores what `save` returned.
    ///
    /// # Errors
    /// If the memory is of another model, filter or optimiser.
    pub fn load(&mut self, memory: &Memory) -> Result<(), SpecError> {
        let floats = |name: &str, wanted: usize| match memory.floats(name)? {
            saved if saved.len() == wanted => Ok(saved.to_vec()),
            saved => Err(SpecError::new(format!(
                "checkpoint: {name} should hold {wanted} floats; found {}",
                saved.len()
            ))),
        };
        let mut models = VecDeque::new();
        for &version in memory.integers("versions")? {
            let params = floats(&format!("model-{version}"), self.out.len())?;
            models.push_back((version, Arc::new(params)));
        }
        let (Some((newest, params)), [version, judged]) =
            (models.back(), memory.integers("counts")?)
        else {
            return Err(SpecError::new("checkpoint: there should be a model and two counts"));
        };
        if newest != version {
            return Err(SpecError::new(format!(
                "checkpoint: the newest model should be of version {version}; found {newest}"
            )));
        }
        self.descent.load(memory)?;
        self.settings.filter.load(&memory.part("filter"))?;
        if let (Some(oracle), [drawn]) = (&mut self.oracle, memory.integers("oracle")?) {
            oracle.resume(*drawn);
        }
        self.running.load(memory)?;
        if let Some(oracle) = &mut self.oracle {
            oracle.inform(self.running.values());
        }
        let last = memory.integers("last")?.chunks_exact(2);
        self.last = last.map(|pair| (pair[0] as u32, pair[1])).collect();
        (self.version, self.judged) = (*version, *judged);
        self.params = Arc::clone(params);
        self.models = models;
        self.waiting.clear();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use varangian_rules::build_filter;

    fn queue(filter: &str, keep: usize) -> Queue {
        let settings = QueueSettings {
            n: 4,
            f: 1,
            filter: build_filter(filter, 4, 1).unwrap(),
            optimiser: Optimiser::sgd(0.5),
            arrivals_per_epoch: 10.0,
            keep,
            buffers: Vec::new(),
            seed: Seed(1),
        };
        Queue::new(settings, vec![1.0, 2.0], None).unwrap()
    }

    #[test]
    fn arrivals_are_judged_in_order_one_a_worker_and_step_at_once() {
        let mut queue = queue("async-sgd", 3);
        queue.receive(2, 0, 0, &[2.0, 0.0]).unwrap();
        queue.receive(0, 0, 0, &[0.0, 2.0]).unwrap();
        queue.receive(2, 1, 0, &[4.0, 0.0]).unwrap();
        let (version, old) = queue.fetch();
        let first = queue.judge().unwrap();
        assert_eq!((first.worker, first.staleness, first.fate), (2, 0, Fate::Step));
        assert_eq!(queue.params(), [-1.0, 2.0], "the later message took the earlier one's place");
        let second = queue.judge().unwrap();
        assert_eq!((second.worker, second.staleness, second.arrival), (0, 1, 1));
        assert_eq!((queue.judge(), queue.params()), (None, &[-1.0, 1.0][..]));
        assert_eq!((version, old.as_slice()), (0, &[1.0, 2.0][..]), "who holds a model keeps it");
        assert_eq!(queue.fetch_old(1).1.as_slice(), [-1.0, 2.0]);
        assert_eq!(queue.fetch_old(9).0, 0);
    }

    #[test]
    fn each_kind_of_bad_message_is_refused() {
        let mut queue = queue("async-sgd", 1);
        let mut reason = |from, number, version, body: &[f32]| {
            queue.receive(from, number, version, body).err().map(|refusal| refusal.reason)
        };
        assert_eq!(reason(0, 5, 0, &[1.0, 1.0]), None);
        assert_eq!(reason(0, 5, 0, &[1.0, 1.0]), Some(Reason::Duplicate));
        assert_eq!(reason(4, 0, 0, &[1.0, 1.0]), Some(Reason::UnknownWorker));
        assert_eq!(reason(1, 0, 1, &[1.0, 1.0]), Some(Reason::WrongStep));
        assert_eq!(reason(1, 0, 0, &[1.0]), Some(Reason::WrongLength));
        assert_eq!(reason(1, 0, 0, &[1.0, f32::INFINITY]), Some(Reason::NotFinite));
    }

    #[test]
    fn a_loaded_queue_goes_on_where_the_saved_one_stopped() {
        let arrive = |queue: &mut Queue, t: u64| {
            let (worker, version) = ((t % 4) as u32, queue.version() - queue.version().min(t % 3));
            queue.receive(worker, t, version, &[(t as f32).sin(), 0.25]).unwrap();
            queue.judge().unwrap()
        };
        for filter in ["async-sgd", "kardam", "kardam-reduced", "basgd", "weighted"] {
            let mut whole = queue(filter, 3);
            (0..30).for_each(|t| {
                arrive(&mut whole, t);
            });
            let mut resumed = queue(filter, 3);
            resumed.load(&whole.save()).unwrap();
            for t in 30..60 {
                assert_eq!(arrive(&mut resumed, t), arrive(&mut whole, t), "{filter}");
            }
            assert_eq!(resumed.params(), whole.params(), "{filter}");
            assert_eq!(resumed.fetch_old(2), whole.fetch_old(2), "{filter}");
            let reason = resumed.receive(1, 57, 0, &[0.0; 2]).unwrap_err().reason;
            assert_eq!(reason, Reason::Duplicate, "it knows who sent what");
        }
        let mut other = queue("async-sgd", 3);
        let memory = other.save();
        assert!(other.load(&Memory::default()).is_err());
        let mut longer = Queue::new(queue("async-sgd", 3).settings, vec![0.0; 3], None).unwrap();
        let error = longer.load(&memory).unwrap_err().to_string();
        assert_eq!(error, "checkpoint: model-0 should hold 3 floats; found 2");
    }

    #[test]
    fn what_is_rejected_leaves_the_model_bit_for_bit() {
        // Without validation data Zeno++ takes nothing.
        let mut queue = queue("zeno++", 2);
        for number in 0..5 {
            queue.receive(1, number, 0, &[1.0, 1.0]).unwrap();
            assert!(matches!(queue.judge().unwrap().fate, Fate::Reject(_)));
        }
        assert_eq!((queue.params(), queue.version(), queue.judged()), (&[1.0, 2.0][..], 0, 5));
    }
}
