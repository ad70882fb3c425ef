//! Asynchronous training in virtual time: workers fetch, compute and send each at its own pace; the
//! server judges every arrival at once.
//!
//! Gradients of workers under way depend on what they fetched alone, so all that are not computed
//! yet are computed together, one worker a thread, when the first of them is needed.

mod resume;

use crate::events::{Agenda, Trace};
use crate::lockstep::Evaluation;
use crate::network::{Network, Temperament};
use crate::plan::fits;
use crate::{Collusion, Flight, Hostile, Squad};
use std::sync::Arc;
use varangian_attacks::Attack;
use varangian_base::{Domain, Seed, SpecError};
use varangian_learn::optim::{Message, Optimiser};
use varangian_learn::{Dataset, Model, Sampler};
use varangian_rules::{Filter, Oracle};
use varangian_train::{Evaluator, Fate, Outcome, Passes, Queue, QueueSettings, Reason};

/// Where staleness comes from.
#[derive(Clone, Debug, PartialEq)]
pub enum Staleness {
    /// From delays in virtual time.
    Network(Network),
    /// Each arrival comes from a worker drawn at random and was taken at a model drawn from the
    /// newest `max_delay` + 1 that the server keeps (the simulator of Zeno++'s authors).
    Uniform {
        /// The largest age, in steps.
        max_delay: usize,
    },
}

/// Everything that an asynchronous run needs.
pub struct AsyncPlan {
    /// The model.
    pub model: Arc<dyn Model>,
    /// What workers learn from.
    pub train: Arc<dyn Dataset>,
    /// What the model is judged on.
    pub test: Arc<dyn Dataset>,
    /// Which samples a worker draws.
    pub sampler: Arc<dyn Sampler>,
    /// The number of workers.
    pub n: usize,
    /// The number of hostile workers that the server is told of.
    pub f: usize,
    /// The number of workers that attack.
    pub f_real: usize,
    /// Which workers attack.
    pub hostile: Hostile,
    /// Who judges arrivals.
    pub filter: Box<dyn Filter>,
    /// The attack.
    pub attack: Box<dyn Attack>,
    /// Arrivals before the attack begins.
    pub clean: u64,
    /// Momentum at worker or update, clipping, schedule.
    pub optimiser: Optimiser,
    /// Whose forward passes move the model's running statistics.
    pub passes: Passes,
    /// Validation data for filters that ask for it.
    pub oracle: Option<Box<dyn Oracle + Send>>,
    /// Where staleness comes from.
    pub staleness: Staleness,
    /// Models that the server keeps, the newest included.
    pub keep: usize,
    /// Test samples used in an evaluation.
    pub test_samples: usize,
    /// The seed of everything random.
    pub seed: Seed,
}

impl AsyncPlan {
    /// Whether a run of it can begin.
    ///
    /// # Errors
    /// If the numbers do not fit together, or the attack tries the rule, which an asynchronous
    /// server does not lend.
    pub fn check(&self) -> Result<(), SpecError> {
        let (n, f_real) = (self.n, self.f_real);
        if n == 0 || f_real >= n {
            return Err(SpecError::new(format!(
                "at least one worker must be honest; got n = {n}, f_real = {f_real}"
            )));
        }
        self.optimiser.check()?;
        if let Staleness::Network(network) = &self.staleness {
            network.check(n)?;
        }
        Queue::check(&self.optimiser)?;
        if self.optimiser.message.is_of_finite_sums() {
            return Err(SpecError::new(
                "message=marina, saga and dasha build on the step before; a filter takes gradients of \
                 any age, so that message must be another beside it",
            ));
        }
        if matches!(self.optimiser.message, Message::Cyclic { .. }) {
            return Err(SpecError::new(
                "message=draco-cyclic is undone by the rule draco-cyclic from all rows of a step; a \
                 filter takes one message at a time",
            ));
        }
        if f_real > 0 {
            let hostile = self.hostile.ids(n, f_real, self.seed);
            fits(self.attack.as_ref(), n, &hostile, &*self.model, &*self.train)?;
        }
        Collusion::check(self.attack.as_ref(), n, self.f, f_real)
    }
}

impl AsyncPlan {
    /// The ids of the hostile workers, ascending.
    pub fn hostile_ids(&self) -> Vec<u32> {
        self.hostile.ids(self.n, self.f_real, self.seed)
    }
}

/// What is known of an arrival when it was judged.
#[derive(Clone, Copy, Debug)]
pub struct ArrivalRecord {
    /// The virtual time, in seconds (arrivals so far, where staleness is drawn).
    pub time: f64,
    /// The worker's minibatch loss.
    pub loss: f64,
    /// Whether the sender is hostile.
    pub hostile: bool,
    /// What became of it.
    pub outcome: Outcome,
}

/// Counts of fates, of honest and of hostile arrivals apart.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Fates {
    /// Steps made along arrivals.
    pub stepped: u64,
    /// Arrivals held.
    pub held: u64,
    /// Arrivals that the filter threw away.
    pub rejected: u64,
    /// Messages that the intake refused.
    pub refused: u64,
}

impl Fates {
    /// The share of judged arrivals that the filter threw away.
    pub fn rejected_share(&self) -> f64 {
        self.rejected as f64 / (self.stepped + self.held + self.rejected) as f64
    }
}

enum Event {
    /// A message arrives.
    Arrive { worker: u32, number: u64 },
    /// A worker that crashed or whose message was lost asks for the model.
    Return(u32),
}

/// An asynchronous run, between arrivals.
pub struct Swarm {
    squad: Squad,
    queue: Queue,
    staleness: Staleness,
    seed: Seed,
    temperaments: Vec<Temperament>,
    agenda: Agenda<Event>,
    now: f64,
    clean: u64,
    passes: Passes,
    n: usize,
    test: Arc<dyn Dataset>,
    evaluator: Evaluator,
    fates: [Fates; 2],
    /// The sum of the ages of all arrivals, and the time of the last one.
    staleness_sum: f64,
    last: f64,
    trace: Trace,
}

impl Swarm {
    /// Sets the run up at time 0, with parameters drawn from the seed.
    ///
    /// # Errors
    /// As [`AsyncPlan::check`].
    pub fn new(plan: AsyncPlan) -> Result<Self, SpecError> {
        plan.check()?;
        let (n, f, seed) = (plan.n, plan.f, plan.seed);
        let temperaments = match &plan.staleness {
            Staleness::Network(network) => network.temperaments(n, seed, &plan.hostile_ids()),
            Staleness::Uniform { .. } => Vec::new(),
        };
        let settings = QueueSettings {
            n,
            f,
            filter: plan.filter,
            optimiser: plan.optimiser.clone(),
            arrivals_per_epoch: plan.sampler.steps_per_epoch() * n as f64
                / plan.optimiser.local.steps as f64,
            keep: plan.keep,
            buffers: plan.model.init_buffers(),
            seed,
        };
        let queue = Queue::new(settings, plan.model.init(seed), plan.oracle)?;
        let collusion = Collusion::new(plan.attack, n, f, plan.f_real, plan.hostile, seed)?;
        let evaluator = Evaluator::new(plan.test.as_ref(), plan.test_samples);
        let (model, train) = (plan.model, plan.train);
        let squad = Squad::new(model, train, plan.sampler, plan.optimiser, collusion, n, seed);
        let mut swarm = Swarm {
            squad,
            queue,
            staleness: plan.staleness,
            seed,
            temperaments,
            agenda: Agenda::default(),
            now: 0.0,
            clean: plan.clean,
            passes: plan.passes,
            n,
            test: plan.test,
            evaluator,
            fates: [Fates::default(); 2],
            staleness_sum: 0.0,
            last: 0.0,
            trace: Trace::default(),
        };
        if matches!(swarm.staleness, Staleness::Network(_)) {
            (0..n as u32).for_each(|worker| swarm.send_off(worker));
        }
        Ok(swarm)
    }

    /// Goes on until one arrival is judged or refused; `None` if nothing will ever arrive again.
    pub fn step(&mut self) -> Option<ArrivalRecord> {
        loop {
            let (worker, number) = match self.staleness {
                Staleness::Network(_) => match self.next_message()? {
                    Some(message) => message,
                    None => continue,
                },
                Staleness::Uniform { max_delay } => self.draw_message(max_delay),
            };
            let record = self.deliver(worker, number);
            if matches!(self.staleness, Staleness::Network(_))
                && self.squad.is_current(worker, number)
            {
                self.send_off(worker);
            }
            if let Some(record) = record {
                self.staleness_sum += record.outcome.staleness as f64;
                self.last = record.time;
                return Some(record);
            }
        }
    }

    /// The next event: a message, or a worker that asks again (`Some(None)`).
    fn next_message(&mut self) -> Option<Option<(u32, u64)>> {
        let (at, event) = self.agenda.pop()?;
        self.now = at;
        match event {
            Event::Arrive { worker, number } => Some(Some((worker, number))),
            Event::Return(worker) => {
                self.send_off(worker);
                Some(None)
            }
        }
    }

    /// A worker drawn at random takes a gradient at a model drawn from the newest.
    fn draw_message(&mut self, max_delay: usize) -> (u32, u64) {
        let mut stream = self.seed.stream(Domain::Network, 0, self.queue.judged());
        let worker = stream.below(self.n) as u32;
        let kept = self.queue.kept().min(max_delay + 1);
        let (version, params) = self.queue.fetch_old(stream.below(kept));
        self.now += 1.0;
        (worker, self.squad.depart(worker, version, params, self.queue.rate()))
    }

    /// The server answers a worker with the newest model, and the worker sets out.
    fn send_off(&mut self, worker: u32) {
        let Staleness::Network(network) = &self.staleness else { return };
        let temperament = self.temperaments[worker as usize];
        if temperament.silent {
            return;
        }
        let (version, params) = self.queue.fetch();
        let number = self.squad.depart(worker, version, params, self.queue.rate());
        let journey = network.journey(self.seed, worker, number, temperament.slowdown);
        match (journey.back, journey.arrival) {
            (Some(back), _) => {
                self.squad.cancel(worker);
                self.agenda.enter(self.now + back, Event::Return(worker));
            }
            (None, None) => {
                let again = journey.ready + network.deadline;
                self.agenda.enter(self.now + again, Event::Return(worker));
            }
            (None, Some(at)) => {
                self.agenda.enter(self.now + at, Event::Arrive { worker, number });
                if let Some(second) = journey.again {
                    self.agenda.enter(self.now + second, Event::Arrive { worker, number });
                }
            }
        }
    }

    /// Hands a message to the server and lets it judge; `None` where it is one that came before.
    fn deliver(&mut self, worker: u32, number: u64) -> Option<ArrivalRecord> {
        if !self.squad.is_current(worker, number) {
            // A second copy, after the worker has set out again: what it computes now is not due.
            self.trace.add(self.now.to_bits());
            self.trace.add(u64::from(worker));
            return None;
        }
        let attacks = self.queue.judged() >= self.clean;
        let Flight { version, loss, .. } = self.squad.finish(worker, attacks);
        let hostile = self.squad.is_hostile(worker);
        let fates = &mut self.fates[usize::from(hostile)];
        let received = self.queue.receive(worker, number, version, self.squad.message(worker));
        self.trace.add(self.now.to_bits());
        self.trace.add(u64::from(worker));
        if let Err(refusal) = received {
            if refusal.reason == Reason::Duplicate {
                return None;
            }
            // It came all the same: a run whose workers send nothing else ends after its arrivals.
            fates.refused += 1;
            let outcome = self.queue.turn_away(worker, version);
            return Some(ArrivalRecord { time: self.now, loss, hostile, outcome });
        }
        if !hostile || self.passes == Passes::All {
            self.queue.follow(self.squad.statistics(worker));
        }
        let outcome = self.queue.judge().expect("it has just come");
        match outcome.fate {
            Fate::Step => fates.stepped += 1,
            Fate::Hold => fates.held += 1,
            Fate::Reject(_) | Fate::NotFinite => fates.rejected += 1,
            Fate::Refused => unreachable!("it was received"),
        }
        self.trace.add(outcome.staleness);
        self.trace.add(u64::from(outcome.fate == Fate::Step));
        Some(ArrivalRecord { time: self.now, loss, hostile, outcome })
    }

    /// Evaluates the current parameters on the test samples; `step` counts judged arrivals.
    pub fn evaluate(&mut self) -> Evaluation {
        let (params, test) = (self.queue.params(), self.test.as_ref());
        let statistics = self.queue.statistics();
        let tally = self.squad.evaluate(&mut self.evaluator, params, statistics, test);
        Evaluation { step: self.queue.judged(), tally }
    }

    /// Evaluates other parameters and running statistics, those of the model before `step`.
    pub fn evaluate_at(&mut self, step: u64, params: &[f32], statistics: &[f32]) -> Evaluation {
        let test = self.test.as_ref();
        let tally = self.squad.evaluate(&mut self.evaluator, params, statistics, test);
        Evaluation { step, tally }
    }

    /// Fates of honest and of hostile arrivals so far.
    pub fn fates(&self) -> [Fates; 2] {
        self.fates
    }

    /// The sum of the ages of all arrivals so far, in steps.
    pub fn staleness(&self) -> f64 {
        self.staleness_sum
    }

    /// The virtual time of the last arrival, in seconds; 0 before the first.
    pub fn last_arrival(&self) -> f64 {
        self.last
    }

    /// What a worker sent last.
    pub fn sent(&self, worker: u32) -> &[f32] {
        self.squad.message(worker)
    }

    /// The server.
    pub fn queue(&self) -> &Queue {
        &self.queue
    }

    /// The fingerprint of what happened and of the parameters.
    pub fn trace(&self) -> u64 {
        let mut trace = self.trace;
        trace.add_floats(self.queue.params());
        trace.hash()
    }
}
