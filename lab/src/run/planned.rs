//! What an experiment would run, checked as it would be, with nothing trained.

use super::check::{Checked, Twins, check};
use super::one::Job;
use super::{Shelf, cores, estimate, is_done, share, tuning, within};
use crate::Failure;
use crate::config::{Experiment, Settings, Tune};
use crate::results::Store;

/// What an experiment would run, or a shard's share of it.
#[derive(Clone, Debug)]
pub struct Planned {
    /// Each run in order: its key, its settings, and whether it is over in the folder. Of a tuned
    /// experiment they have the values that were chosen, if that is done, or those of the file.
    pub runs: Vec<(String, Settings, bool)>,
    /// The runs of which hyperparameters are chosen before, likewise.
    pub tuning: Vec<(String, Settings, bool)>,
    /// Whether hyperparameters are still to be chosen, so that other values may be run.
    pub is_open: bool,
    /// What a reader should know: values that do nothing, runs that are left out.
    pub notes: Vec<String>,
    /// Steps in all, with those of tuning.
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
        let (tuning, chosen) = match &self.tune {
            Some(tune) => before(self, tune, &shelf)?,
            None => (Vec::new(), None),
        };
        let is_open = self.tune.is_some() && chosen.is_none();
        let experiment = chosen.as_ref().unwrap_or(self);
        let Checked { jobs, notices, .. } = check(experiment, &shelf, Twins::Once)?;
        let runs = looked_at(experiment, share(&jobs, self.how.shard));
        let jobs = || tuning.iter().chain(&runs);
        let sum =
            |of: &dyn Fn(&Job) -> u64| jobs().map(|(job, _)| of(job)).fold(0, u64::saturating_add);
        let left: Vec<&Job> = jobs().filter(|(_, over)| !over).map(|(job, _)| job).collect();
        let threads = self.how.threads.unwrap_or_else(cores);
        let takes = within(1, || estimate::seconds(&left, &shelf))?;
        let takes = takes.map(|seconds| seconds / threads as f64);
        Ok(Planned {
            steps: sum(&|job| job.settings().steps),
            gradients: sum(&|job| job.read().gradients()),
            takes: takes.map(estimate::told),
            notes: notices.lines(),
            runs: told(&runs),
            tuning: told(&tuning),
            is_open,
        })
    }
}

fn told(jobs: &[(Job, bool)]) -> Vec<(String, Settings, bool)> {
    jobs.iter().map(|(job, over)| (job.key.clone(), job.settings().clone(), *over)).collect()
}

/// Jobs with whether they are over in the experiment's folder.
fn looked_at(experiment: &Experiment, jobs: impl Iterator<Item = Job>) -> Vec<(Job, bool)> {
    let store = Store::open(&experiment.folder()).ok();
    let over = |job: &Job| store.as_ref().is_some_and(|store| is_done(store, job, experiment));
    jobs.map(|job| (job.clone(), over(&job))).collect()
}

/// A share of the runs of which hyperparameters are chosen, and the experiment with those chosen,
/// where all runs are over.
fn before(
    experiment: &Experiment,
    tune: &Tune,
    shelf: &Shelf,
) -> Result<(Vec<(Job, bool)>, Option<Experiment>), Failure> {
    let trial = tuning::trial(experiment, tune)?;
    let Checked { jobs, .. } = check(&trial, shelf, Twins::Each)?;
    let all = looked_at(&trial, jobs.iter().cloned());
    let store = Store::open(&trial.folder()).ok().filter(|_| all.iter().all(|(_, over)| *over));
    let chosen = store.map(|store| {
        let outcomes: Vec<_> = all.iter().filter_map(|(job, _)| store.load(&job.key)).collect();
        tuning::chosen(experiment, tune, &outcomes)
    });
    let own = share(&jobs, experiment.how.shard);
    Ok((looked_at(&trial, own), chosen.transpose()?))
}
