//! One loop for every kind of run: steps, evaluations, checkpoints.

use super::one::{Context, Notes};
use crate::results::checkpoint;
use crate::{Failure, clock};
use std::time::Duration;
use varangian_sim::{Advance, Run};

/// Parameters from which on the untrained model is evaluated after the first step and not before
/// it: an evaluation may take many times as long as a step, and whoever waits sees that it goes on.
const LARGE: usize = 1_000_000;
/// How often whoever runs a server is told how its workers stand.
const GLANCE: Duration = Duration::from_millis(500);

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
    let mut start = None;
    // The steps that were evaluated and saved last: who waits for others comes by here often.
    let (mut looked, mut saved) = (None, None);
    let mut glanced = since;
    loop {
        let step = run.step();
        match step.is_multiple_of(every) || step >= steps {
            _ if looked.replace(step) == Some(step) => {}
            true if step == 0 && steps > 1 && run.params().len() >= LARGE => {
                let seconds = run.seconds();
                start = Some((run.params().to_vec(), run.statistics().to_vec(), seconds));
            }
            true => look(notes, run),
            false => {}
        }
        if step >= steps {
            break;
        }
        let stop = (context.stop)() || run.is_stopped();
        let due = since.elapsed().as_secs_f64() >= context.keep.checkpoint_every;
        if run.wants_saving() || !fresh && saved != Some(step) && (stop || due) {
            if let Some(memory) = run.save() {
                checkpoint::save(context.store, key, &notes.checkpoint(step, memory))?;
            }
            (since, saved) = (clock::now(), Some(step));
        }
        if stop {
            context.progress.halt();
            return Ok(false);
        }
        fresh = false;
        let mut waits = false;
        match run.advance() {
            Some(Advance::Waiting) => waits = true,
            Some(Advance::Step(record)) => notes.step(&record),
            Some(Advance::Arrival(record)) => notes.arrival(&record),
            None => {
                look(notes, run);
                break;
            }
        }
        // Also where nothing came: who is waited for is what one wants to know then.
        if glanced.elapsed() >= GLANCE
            && let Some(attendance) = run.attendance()
        {
            notes.attendance(&attendance);
            glanced = clock::now();
        }
        if !waits && let Some((params, statistics, seconds)) = start.take() {
            let evaluation = run.evaluate_at(0, &params, &statistics);
            notes.untrained(&evaluation, seconds, (&params, &statistics));
        }
    }
    notes.end(run);
    run.end();
    Ok(true)
}

/// Evaluates the run where it stands, and notes that.
fn look(notes: &mut Notes<'_, '_>, run: &mut dyn Run) {
    let evaluation = run.evaluate();
    notes.evaluation(
        &evaluation,
        (run.seconds(), run.disagreement()),
        (run.params(), run.statistics()),
    );
}

#[cfg(test)]
mod tests {
    use crate::Experiment;
    use crate::results::Outcome;
    use crate::run::Silent;

    #[test]
    fn a_large_model_is_evaluated_later_at_its_start_and_with_the_same_numbers() {
        let folder = tempfile::tempdir().unwrap();
        let run = |steps: u64| -> Outcome {
            let text = format!(
                "model = 'mlp hidden=1300'\nn = 2\nbatch = 2\nsteps = {steps}\n\
                 evaluate_every = 1\ntest_samples = 10"
            );
            let mut experiment = Experiment::from_text(&text).unwrap();
            experiment.how.out = Some(folder.path().join(steps.to_string()));
            experiment.run(&mut Silent).unwrap().remove(0)
        };
        // One step alone is evaluated before it.
        let (before, later) = (run(1), run(2));
        for metric in ["test_loss", "accuracy", "train_loss"] {
            let (before, later) = (before.curve(metric), later.curve(metric));
            let first: Vec<u64> = later.iter().map(|point| point.0).collect();
            let wanted = if metric == "train_loss" { vec![1, 2] } else { vec![0, 1, 2] };
            assert_eq!(first, wanted, "{metric}");
            assert_eq!(before, later[..before.len()], "{metric}");
        }
    }
}
