//! What an experiment would run, checked as it would be, with nothing trained.

use super::check::{Checked, Twins, check};
use super::is_done;
use crate::Failure;
use crate::config::{Experiment, Settings};
use crate::results::Store;

/// What an experiment would run. Of a tuned one, these are the runs before the choice.
#[derive(Clone, Debug)]
pub struct Planned {
    /// Each run in order: its key, its settings, and whether it is over in the folder.
    pub runs: Vec<(String, Settings, bool)>,
    /// What a reader should know: values that do nothing, runs that are left out.
    pub notes: Vec<String>,
    /// Steps in all.
    pub steps: u64,
    /// Gradients in all: one a worker and step, or one an arrival.
    pub gradients: u64,
}

impl Experiment {
    /// Checks every run as [`Experiment::run`] does, and trains nothing.
    ///
    /// # Errors
    /// If anything is wrong with any run.
    pub fn planned(&self) -> Result<Planned, Failure> {
        let Checked { jobs, notices, .. } = check(self, &self.shelf(), Twins::Once)?;
        let store = Store::open(&self.folder()).ok();
        let over = |job| store.as_ref().is_some_and(|store| is_done(store, job, self));
        let filtered =
            |own: &Settings| self.own.filter_of(&own.rule).is_ok_and(|entry| entry.is_some());
        let gradients =
            |own: &Settings| own.steps.saturating_mul(if filtered(own) { 1 } else { own.n as u64 });
        let sum = |of: &dyn Fn(&Settings) -> u64| {
            jobs.iter().map(|job| of(&job.settings)).fold(0, u64::saturating_add)
        };
        Ok(Planned {
            steps: sum(&|own| own.steps),
            gradients: sum(&gradients),
            notes: notices.lines(),
            runs: jobs
                .iter()
                .map(|job| (job.key.clone(), job.settings.clone(), over(job)))
                .collect(),
        })
    }
}
