//! One asynchronous run: arrivals instead of steps, and what became of them.

use super::one::{Ended, Notes, hash};
use crate::config::Settings;
use varangian_learn::Dataset;
use varangian_sim::lockstep::Observer;
use varangian_sim::swarm::{AsyncPlan, Swarm};
use varangian_train::Traffic;

/// Runs `steps` arrivals, evaluating before every `evaluate_every`-th one and at the end.
pub(super) fn run<'a>(
    plan: AsyncPlan,
    settings: &Settings,
    notes: impl FnOnce(&dyn Dataset, Traffic) -> Notes<'a>,
    stop: &dyn Fn() -> bool,
) -> Ended {
    let bytes = 4 * plan.model.dim();
    let mut notes = notes(plan.test.as_ref(), Traffic { up: bytes, down: bytes });
    let mut swarm = Swarm::new(plan)?;
    let (steps, every) = (settings.steps, settings.evaluate_every);
    let (mut staleness, mut seconds) = (0.0, 0.0);
    for arrival in 0..=steps {
        if arrival % every == 0 || arrival == steps {
            notes.evaluation(&swarm.evaluate());
            notes.put(arrival, "seconds", seconds);
        }
        if arrival == steps || stop() {
            break;
        }
        let Some(record) = swarm.step() else { break };
        if !record.hostile {
            notes.loss(record.loss);
        }
        staleness += record.outcome.staleness as f64;
        seconds = record.time;
        notes.tick();
    }
    if stop() {
        return Ok(None);
    }
    let [honest, hostile] = swarm.fates();
    for (who, fates) in [("honest", honest), ("hostile", hostile)] {
        let judged = fates.stepped + fates.held + fates.rejected;
        if judged > 0 {
            notes.put(steps, &format!("arrivals/{who}"), judged as f64);
            notes.put(steps, &format!("rejected/{who}"), fates.rejected_share());
        }
    }
    notes.put(steps, "staleness", staleness / swarm.queue().judged().max(1) as f64);
    Ok(Some((notes.finish(steps), hash(swarm.queue().params()))))
}
