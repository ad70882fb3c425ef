//! One loop for every kind of run: steps, evaluations, checkpoints.

use super::one::{Context, Notes};
use super::setup::Course;
use crate::results::checkpoint;
use crate::{Failure, clock};
use varangian_base::{Memory, SpecError, Value};
use varangian_sim::lockstep::{Lockstep, Observer};
use varangian_sim::rounds::Rounds;
use varangian_sim::swarm::Swarm;

/// A run between two steps; in asynchronous training a step is an arrival.
pub(super) trait Run {
    /// Steps made.
    fn step(&self) -> u64;

    /// Evaluates the model and notes what was found.
    fn evaluate(&mut self, notes: &mut Notes<'_, '_>);

    /// Makes a step; false where none will ever come.
    fn advance(&mut self, notes: &mut Notes<'_, '_>) -> bool;

    /// The current parameters.
    fn params(&self) -> &[f32];

    /// The current running statistics, in the layout of the model's buffers.
    fn buffers(&self) -> &[f32];

    /// Everything that the next step depends on; `None` where something of it cannot be kept.
    fn save(&self) -> Option<Memory>;

    /// Restores what `save` returned.
    fn load(&mut self, memory: &Memory) -> Result<(), SpecError>;

    /// Notes what is known at the end only.
    fn end(&self, notes: &mut Notes<'_, '_>) {
        let _ = notes;
    }
}

/// The course's run, before its first step.
///
/// # Errors
/// If its numbers do not fit together.
pub(super) fn begin(course: Course) -> Result<Box<dyn Run>, SpecError> {
    Ok(match course {
        Course::Lockstep(plan) => {
            let studies = plan.study.is_some();
            Box::new(Synchronous { run: Lockstep::new(*plan)?, studies })
        }
        Course::Rounds(plan, network) => {
            let studies = plan.study.is_some();
            Box::new(Networked { run: Rounds::new(*plan, network)?, studies })
        }
        Course::Swarm(plan) => {
            Box::new(Asynchronous { run: Swarm::new(*plan)?, staleness: 0.0, seconds: 0.0 })
        }
    })
}

/// Drives a run from where it stands to its last step, evaluating before every `every`-th step and
/// at the end. Returns whether it got there: stopped, it leaves a checkpoint.
///
/// # Errors
/// If a checkpoint cannot be written.
pub(super) fn drive(
    run: &mut dyn Run,
    (steps, every): (u64, u64),
    key: &str,
    notes: &mut Notes<'_, '_>,
    context: &Context<'_, '_>,
) -> Result<bool, Failure> {
    let mut since = clock::now();
    // At least one step between two pauses: a run goes on however short they are.
    let mut fresh = true;
    loop {
        let step = run.step();
        if step.is_multiple_of(every) || step >= steps {
            run.evaluate(notes);
        }
        if step >= steps {
            break;
        }
        let stop = (context.stop)();
        if !fresh && (stop || since.elapsed().as_secs_f64() >= context.keep.checkpoint_every) {
            if let Some(memory) = run.save() {
                checkpoint::save(context.store, key, &notes.checkpoint(step, memory))?;
            }
            since = clock::now();
        }
        if stop {
            return Ok(false);
        }
        fresh = false;
        if !run.advance(notes) {
            run.evaluate(notes);
            break;
        }
    }
    run.end(notes);
    Ok(true)
}

struct Synchronous {
    run: Lockstep,
    studies: bool,
}

impl Run for Synchronous {
    fn step(&self) -> u64 {
        self.run.server().step()
    }

    fn evaluate(&mut self, notes: &mut Notes<'_, '_>) {
        notes.evaluation(&self.run.evaluate());
    }

    fn advance(&mut self, notes: &mut Notes<'_, '_>) -> bool {
        notes.step(&self.run.step());
        true
    }

    fn params(&self) -> &[f32] {
        self.run.params()
    }

    fn buffers(&self) -> &[f32] {
        self.run.server().statistics()
    }

    fn save(&self) -> Option<Memory> {
        // What a study remembers is in no checkpoint: such runs start over.
        (!self.studies).then(|| self.run.save())
    }

    fn load(&mut self, memory: &Memory) -> Result<(), SpecError> {
        self.run.load(memory)
    }
}

struct Networked {
    run: Rounds,
    studies: bool,
}

impl Run for Networked {
    fn step(&self) -> u64 {
        self.run.server().step()
    }

    fn evaluate(&mut self, notes: &mut Notes<'_, '_>) {
        notes.evaluation_at(&self.run.evaluate(), self.run.now());
    }

    fn advance(&mut self, notes: &mut Notes<'_, '_>) -> bool {
        notes.step(&self.run.step());
        true
    }

    fn params(&self) -> &[f32] {
        self.run.params()
    }

    fn buffers(&self) -> &[f32] {
        self.run.server().statistics()
    }

    fn save(&self) -> Option<Memory> {
        (!self.studies).then(|| self.run.save())
    }

    fn load(&mut self, memory: &Memory) -> Result<(), SpecError> {
        self.run.load(memory)
    }
}

struct Asynchronous {
    run: Swarm,
    /// The sum over arrivals.
    staleness: f64,
    /// The time of the last arrival.
    seconds: f64,
}

impl Run for Asynchronous {
    fn step(&self) -> u64 {
        self.run.queue().judged()
    }

    fn evaluate(&mut self, notes: &mut Notes<'_, '_>) {
        notes.evaluation_at(&self.run.evaluate(), self.seconds);
    }

    fn advance(&mut self, notes: &mut Notes<'_, '_>) -> bool {
        let Some(record) = self.run.step() else { return false };
        if !record.hostile {
            notes.loss(record.loss);
        }
        self.staleness += record.outcome.staleness as f64;
        self.seconds = record.time;
        notes.tick();
        true
    }

    fn params(&self) -> &[f32] {
        self.run.queue().params()
    }

    fn buffers(&self) -> &[f32] {
        self.run.queue().statistics()
    }

    fn save(&self) -> Option<Memory> {
        let mut memory = self.run.save();
        memory.put("notes/arrivals", Value::Doubles(vec![self.staleness, self.seconds]));
        Some(memory)
    }

    fn load(&mut self, memory: &Memory) -> Result<(), SpecError> {
        let &[staleness, seconds] = memory.doubles("notes/arrivals")? else {
            return Err(SpecError::new("checkpoint: the sums over arrivals are cut short"));
        };
        self.run.load(memory)?;
        (self.staleness, self.seconds) = (staleness, seconds);
        Ok(())
    }

    fn end(&self, notes: &mut Notes<'_, '_>) {
        let (judged, [honest, hostile]) = (self.step(), self.run.fates());
        for (who, fates) in [("honest", honest), ("hostile", hostile)] {
            let sent = fates.stepped + fates.held + fates.rejected;
            if sent > 0 {
                notes.put(judged, &format!("arrivals/{who}"), sent as f64);
                notes.put(judged, &format!("rejected/{who}"), fates.rejected_share());
            }
            if fates.refused > 0 {
                notes.put(judged, &format!("refused/{who}"), fates.refused as f64);
            }
        }
        notes.put(judged, "staleness", self.staleness / judged.max(1) as f64);
    }
}
