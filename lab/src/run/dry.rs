//! `varangian run --dry-run`: what would be run, checked as it would be, and nothing trained.

use super::{Checked, How, Shelf, Twins, check, folder_of, is_done};
use crate::config::{Experiment, Settings, label_keys};
use crate::results::Store;
use crate::{Failure, print};

/// Prints the runs of an experiment with their keys and whether they are over, and how many there
/// are. Of a tuned experiment, these are the runs before the choice.
///
/// # Errors
/// If anything is wrong with any run.
pub(super) fn list(experiment: &Experiment, how: &How) -> Result<(), Failure> {
    let shelf = Shelf::new(how.data.clone());
    let Checked { jobs, notices, .. } = check(experiment, &shelf, Twins::Once)?;
    let store = Store::open(&folder_of(experiment, how)).ok();
    let settings: Vec<&Settings> = jobs.iter().map(|job| &job.settings).collect();
    let keys = label_keys(&settings);
    let mut left = 0;
    let rows: Vec<Vec<String>> = jobs
        .iter()
        .map(|job| {
            let over = store.as_ref().is_some_and(|store| is_done(store, job, how));
            left += usize::from(!over);
            let own = &job.settings;
            let state = if over { "over" } else { "to do" };
            let label = own.label(&keys);
            vec![job.key.clone(), state.into(), label, own.attack.clone(), own.seed.to_string()]
        })
        .collect();
    let head = ["run", "state", "rule", "attack", "seed"];
    print::line(&print::table(&head, &rows, &[false, false, false, false, true]));
    notices.lines().iter().for_each(|line| print::line(&format!("note: {line}")));
    let tuned = experiment.tune.as_ref().map_or_else(String::new, |tune| {
        format!(", with {} candidates for each rule to choose from", tune.candidates.len())
    });
    let steps = jobs.iter().map(|job| job.settings.steps).fold(0, u64::saturating_add);
    let gradients = jobs.iter().map(|job| gradients(&job.settings)).fold(0, u64::saturating_add);
    let runs = if jobs.len() == 1 { "1 run".into() } else { format!("{} runs", jobs.len()) };
    print::line(&format!(
        "{runs}, {left} to do{tuned}; {steps} steps, {gradients} gradients in all; nothing was \
         trained"
    ));
    Ok(())
}

/// The gradients that a run computes: one a worker and step, or one an arrival.
fn gradients(settings: &Settings) -> u64 {
    let asynchronous = super::setup::filter_of(&settings.rule).is_ok_and(|entry| entry.is_some());
    settings.steps.saturating_mul(if asynchronous { 1 } else { settings.n as u64 })
}
