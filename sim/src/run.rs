//! A run between two steps, however it is driven.

use crate::Plan;
use crate::gossip::{Gossip, Peers};
use crate::lockstep::{Evaluation, Lockstep, StepRecord};
use crate::network::Network;
use crate::rounds::Rounds;
use crate::swarm::{ArrivalRecord, AsyncPlan, Fates, Swarm};
use std::sync::Arc;
use varangian_base::{Memory, SpecError};
use varangian_learn::Model;

/// How a run is driven, and all that it needs.
pub enum Course {
    /// Every worker answers every step.
    Lockstep(Box<Plan>),
    /// Rounds with deadlines in virtual time.
    Rounds(Box<Plan>, Network),
    /// One gradient at a time.
    Swarm(Box<AsyncPlan>),
    /// No server: nodes that exchange models along a graph.
    Gossip(Box<Plan>, Gossip),
}

impl Course {
    /// The model that is trained.
    pub fn model(&self) -> &Arc<dyn Model> {
        match self {
            Course::Lockstep(plan) | Course::Rounds(plan, _) | Course::Gossip(plan, _) => {
                &plan.model
            }
            Course::Swarm(plan) => &plan.model,
        }
    }

    /// The run, before its first step.
    ///
    /// # Errors
    /// If its numbers do not fit together.
    pub fn begin(self) -> Result<Box<dyn Run>, SpecError> {
        Ok(match self {
            Course::Lockstep(plan) => Box::new(Lockstep::new(*plan)?),
            Course::Rounds(plan, network) => Box::new(Rounds::new(*plan, network)?),
            Course::Swarm(plan) => Box::new(Swarm::new(*plan)?),
            Course::Gossip(plan, gossip) => Box::new(Peers::new(*plan, gossip)?),
        })
    }
}

/// What is known of a step when it is over.
pub enum Advance<'a> {
    /// All rows of a step were aggregated.
    Step(StepRecord<'a>),
    /// An arrival was judged, or refused.
    Arrival(ArrivalRecord),
    /// Nothing yet: a run whose workers are elsewhere waits for them. Nothing has changed, and
    /// whoever drives it may stop it here as between two steps.
    Waiting,
}

/// What became of all arrivals so far.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Arrivals {
    /// Of honest workers.
    pub honest: Fates,
    /// Of hostile workers.
    pub hostile: Fates,
    /// The sum of their ages, in steps.
    pub staleness: f64,
}

/// How the workers of a run stand that are elsewhere, as whoever runs the server sees them.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Attendance {
    /// By worker: whether it is connected.
    pub present: Vec<bool>,
    /// By worker: messages that were admitted since the server was started.
    pub admitted: Vec<u64>,
    /// By worker: rounds that waited for it in vain.
    pub missed: Vec<u64>,
    /// Workers whose identity was taken from them, ascending.
    pub revoked: Vec<u32>,
    /// Seconds of the longest round since this was asked last; none where none was closed.
    pub longest: Option<f64>,
    /// What `suspicion` counts: "evidence", "refusals" or "verdicts".
    pub by: &'static str,
    /// By worker: the share of its last messages that tell against it.
    pub suspicion: Vec<f64>,
}

/// A run between two steps; in asynchronous training a step is an arrival.
pub trait Run: Send {
    /// Steps made.
    fn step(&self) -> u64;

    /// Makes a step and says how it went; nothing where none will ever come.
    fn advance(&mut self) -> Option<Advance<'_>>;

    /// Whether somebody has asked for a checkpoint since this was asked last.
    fn wants_saving(&mut self) -> bool {
        false
    }

    /// Whether somebody has asked the run to stop here, to go on later.
    fn is_stopped(&self) -> bool {
        false
    }

    /// How workers elsewhere stand, where they are.
    fn attendance(&mut self) -> Option<Attendance> {
        None
    }

    /// The run is over: whoever takes part may go.
    fn end(&mut self) {}

    /// Evaluates the current parameters on the test samples.
    fn evaluate(&mut self) -> Evaluation;

    /// Evaluates other parameters and running statistics, those of the model before `step`, on the
    /// same samples.
    fn evaluate_at(&mut self, step: u64, params: &[f32], statistics: &[f32]) -> Evaluation;

    /// The virtual time of the last step, in seconds, where there is one.
    fn seconds(&self) -> Option<f64> {
        None
    }

    /// What became of arrivals, where steps are arrivals.
    fn arrivals(&self) -> Option<Arrivals> {
        None
    }

    /// How far nodes that have a model each are apart: the mean over honest ones of the squared
    /// distance to the mean of their models.
    fn disagreement(&self) -> Option<f64> {
        None
    }

    /// The current parameters; the mean over honest nodes where each has its own.
    fn params(&self) -> &[f32];

    /// The current running statistics, in the layout of the model's buffers.
    fn statistics(&self) -> &[f32];

    /// Everything that the next step depends on; `None` where something of it cannot be kept.
    fn save(&self) -> Option<Memory>;

    /// Restores what `save` returned.
    ///
    /// # Errors
    /// If the memory is of another plan; the run may have taken up a part of it then.
    fn load(&mut self, memory: &Memory) -> Result<(), SpecError>;
}

impl Run for Lockstep {
    fn step(&self) -> u64 {
        self.server().step()
    }

    fn advance(&mut self) -> Option<Advance<'_>> {
        Some(Advance::Step(Lockstep::step(self)))
    }

    fn evaluate(&mut self) -> Evaluation {
        Lockstep::evaluate(self)
    }

    fn evaluate_at(&mut self, step: u64, params: &[f32], statistics: &[f32]) -> Evaluation {
        Lockstep::evaluate_at(self, step, params, statistics)
    }

    fn params(&self) -> &[f32] {
        Lockstep::params(self)
    }

    fn statistics(&self) -> &[f32] {
        self.server().statistics()
    }

    fn save(&self) -> Option<Memory> {
        // What a study remembers is in no checkpoint: such runs start over.
        (!self.studies()).then(|| Lockstep::save(self))
    }

    fn load(&mut self, memory: &Memory) -> Result<(), SpecError> {
        Lockstep::load(self, memory)
    }
}

impl Run for Rounds {
    fn step(&self) -> u64 {
        self.server().step()
    }

    fn advance(&mut self) -> Option<Advance<'_>> {
        Some(Advance::Step(Rounds::step(self)))
    }

    fn evaluate(&mut self) -> Evaluation {
        Rounds::evaluate(self)
    }

    fn evaluate_at(&mut self, step: u64, params: &[f32], statistics: &[f32]) -> Evaluation {
        Rounds::evaluate_at(self, step, params, statistics)
    }

    fn seconds(&self) -> Option<f64> {
        Some(self.now())
    }

    fn params(&self) -> &[f32] {
        Rounds::params(self)
    }

    fn statistics(&self) -> &[f32] {
        self.server().statistics()
    }

    fn save(&self) -> Option<Memory> {
        (!self.studies()).then(|| Rounds::save(self))
    }

    fn load(&mut self, memory: &Memory) -> Result<(), SpecError> {
        Rounds::load(self, memory)
    }
}

impl Run for Swarm {
    fn step(&self) -> u64 {
        self.queue().judged()
    }

    fn advance(&mut self) -> Option<Advance<'_>> {
        Swarm::step(self).map(Advance::Arrival)
    }

    fn evaluate(&mut self) -> Evaluation {
        Swarm::evaluate(self)
    }

    fn evaluate_at(&mut self, step: u64, params: &[f32], statistics: &[f32]) -> Evaluation {
        Swarm::evaluate_at(self, step, params, statistics)
    }

    fn seconds(&self) -> Option<f64> {
        Some(self.last_arrival())
    }

    fn arrivals(&self) -> Option<Arrivals> {
        let [honest, hostile] = self.fates();
        Some(Arrivals { honest, hostile, staleness: self.staleness() })
    }

    fn params(&self) -> &[f32] {
        self.queue().params()
    }

    fn statistics(&self) -> &[f32] {
        self.queue().statistics()
    }

    fn save(&self) -> Option<Memory> {
        Some(Swarm::save(self))
    }

    fn load(&mut self, memory: &Memory) -> Result<(), SpecError> {
        Swarm::load(self, memory)
    }
}
