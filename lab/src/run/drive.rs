//! One loop for every kind of run: steps, evaluations, checkpoints.

use super::one::{Context, Notes};
use crate::results::checkpoint;
use crate::{Failure, clock};
use varangian_sim::{Advance, Run};

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
            notes.evaluation(&run.evaluate(), run.seconds());
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
        match run.advance() {
            Some(Advance::Step(record)) => notes.step(&record),
            Some(Advance::Arrival(record)) => notes.arrival(&record),
            None => {
                notes.evaluation(&run.evaluate(), run.seconds());
                break;
            }
        }
    }
    notes.end(run);
    Ok(true)
}
