//! What an experiment would run, checked as it would be, with nothing trained.

use super::check::{Checked, Twins, check};
use super::one::Job;
use super::{cores, estimate, is_done, within};
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
    /// About how long the runs that are not over take, "12 min", by a few steps that were timed.
    pub takes: Option<String>,
}

impl Experiment {
    /// Checks every run as [`Experiment::run`] does, and trains nothing.
    ///
    /// # Errors
    /// If anything is wrong with any run.
    pub fn planned(&self) -> Result<Planned, Failure> {
        self.how.check()?;
        let shelf = self.shelf();
        let Checked { jobs, notices, .. } = check(self, &shelf, Twins::Once)?;
        let store = Store::open(&self.folder()).ok();
        let over = |job: &Job| store.as_ref().is_some_and(|store| is_done(store, job, self));
        let sum = |of: &dyn Fn(&Job) -> u64| jobs.iter().map(of).fold(0, u64::saturating_add);
        let left: Vec<&Job> = jobs.iter().filter(|job| !over(job)).collect();
        let threads = self.how.threads.unwrap_or_else(cores);
        let takes = within(1, || estimate::seconds(&left, &shelf))?;
        let takes = takes.map(|seconds| seconds / threads as f64);
        Ok(Planned {
            steps: sum(&|job| job.settings().steps),
            gradients: sum(&|job| job.read().gradients()),
            takes: takes.map(estimate::told),
            notes: notices.lines(),
            runs: jobs
                .iter()
                .map(|job| (job.key.clone(), job.settings().clone(), over(job)))
                .collect(),
        })
    }
}
