//! A matrix of runs, from an [`Experiment`] to results and pictures in a folder.
//!
//! Nothing here reads arguments, prints, or handles signals: whoever runs an experiment listens to
//! its [`Events`].

mod backdoor;
mod check;
mod digest;
mod drive;
mod estimate;
mod events;
mod ground;
pub mod heterogeneity;
mod how;
mod kept;
pub mod live;
mod matrix;
mod mean;
pub mod memory;
mod notices;
mod objective;
mod one;
mod outline;
mod planned;
mod progress;
mod report;
mod served;
mod setup;
mod station;
mod tuning;
mod world;

pub use events::{Events, Silent};
pub use how::How;
pub use kept::Kept;
pub use live::Live;
pub(crate) use notices::notes;
pub use planned::Planned;
pub use served::{Served, Suspicion};
pub use setup::{Loaded, Shelf, is_filter};
pub use station::{Brought, Station};
pub use world::{World, Worlds};

use crate::config::{Experiment, Settings};
use crate::results::{Look, Outcome, Store, Sweep, bare};
use crate::{Failure, pictures};
use check::{Checked, Twins, check, demand_room};
use matrix::Shape;
use one::{Job, Keep};
use progress::Progress;
use std::path::PathBuf;

impl Experiment {
    /// Runs what is left of the experiment and assembles the results of all of it in its folder,
    /// after the choice of hyperparameters where the experiment asks for one. Runs that are over
    /// are never done again; the outcomes of all are returned in the experiment's order.
    ///
    /// # Errors
    /// If anything is wrong with any run (nothing is run then), the folder cannot be written, or
    /// runs failed or were stopped (what is done is kept, and the same call goes on).
    pub fn run(&self, events: &mut dyn Events) -> Result<Vec<Outcome>, Failure> {
        self.how.check()?;
        let shelf = self.shelf();
        let Some(tune) = &self.tune else {
            return Ok(run_all(self, &shelf, Twins::Once, events)?.0);
        };
        // What is wrong with the experiment is said before hours of tuning.
        check(self, &shelf, Twins::Once)?;
        let chosen = tuning::choose(self, tune, &shelf, events)?;
        Ok(run_all(&chosen, &shelf, Twins::Once, events)?.0)
    }

    /// Checks every run as [`Experiment::run`] does before it begins, and does nothing.
    ///
    /// # Errors
    /// If anything is wrong with any run.
    pub fn check(&self) -> Result<(), Failure> {
        self.how.check()?;
        check(self, &self.shelf(), Twins::Once).map(|_| ())
    }

    /// The folder of its results.
    pub fn folder(&self) -> PathBuf {
        self.how.out.clone().unwrap_or_else(|| PathBuf::from("runs").join(&self.name))
    }

    /// Where its data are loaded to.
    fn shelf(&self) -> Shelf {
        Shelf::among(self.how.data.clone(), self.own.clone())
    }
}

/// Runs an experiment's runs as they stand: the outcomes that there are, and how many runs there
/// are in all.
fn run_all(
    experiment: &Experiment,
    shelf: &Shelf,
    twins: Twins,
    events: &mut dyn Events,
) -> Result<(Vec<Outcome>, usize), Failure> {
    let how = &experiment.how;
    let Checked { jobs, mut notices, dropped } = check(experiment, shelf, twins)?;
    let folder = experiment.folder();
    if !how.replace {
        demand_room(&folder, &jobs, &dropped)?;
    }
    let store = Store::make(&folder)?;
    let hash = matrix_hash(&jobs);
    let left: Vec<Job> =
        share(&jobs, how.shard).filter(|job| !is_done(&store, job, experiment)).collect();
    say_again(&store, &left, events);
    announce(experiment, &jobs, left.len(), &hash, events);
    notices.lines().iter().for_each(|line| events.note(&format!("note: {line}")));
    report::write_experiment(&store, experiment, &jobs, &hash)?;
    let threads = how.threads.unwrap_or_else(cores);
    let reads = jobs.iter().map(Job::read);
    let whether = experiment.heterogeneity;
    let measured =
        within(threads, || heterogeneity::measure_all(reads, shelf, &store, whether, events))??;
    measured.iter().for_each(|one| events.note(&one.to_string()));
    if !is_worth_it(&left, threads, shelf, events)? {
        return Err(Failure::refused("nothing was trained, as was answered"));
    }
    let shape = Shape::of(threads, left.len(), how.jobs);
    let steps = left.iter().map(|job| job.settings().steps).fold(0, u64::saturating_add);
    let sweep = Sweep::of(jobs.iter().map(|job| job.settings()), &store.tuned(), Vec::new());
    let file = live::file(&store, how.shard);
    let progress = Progress::new(file, sweep, (left.len(), steps), events);
    let keep = Keep { checkpoint_every: how.checkpoint_every, models: how.save_models };
    let ran =
        matrix::run_all(&left, shelf, &store, shape, keep, (&progress, experiment.world.world()));
    let stopped = progress.end();
    ran?;
    let width = events.width();
    let (outcomes, text, undrawn) =
        report::tables(&store, &experiment.name, &jobs, &mut notices, width)?;
    if !outcomes.is_empty() {
        events.text(&format!("{text}\nResults: {}", folder.display()));
    }
    let ended = ended(outcomes, jobs.len(), stopped)?;
    pictures::undrawn(&undrawn)?;
    Ok(ended)
}

/// Gradients of minibatches above which it is said beforehand about how long they take.
const MANY: u64 = 100_000;
/// Seconds above which it is asked whether to begin: a week.
const LONG: f64 = 7.0 * 86400.0;

/// Says about how long many runs take, and asks before weeks of work; whether to begin.
///
/// # Errors
/// If threads cannot be started.
fn is_worth_it(
    left: &[Job],
    threads: usize,
    shelf: &Shelf,
    events: &mut dyn Events,
) -> Result<bool, Failure> {
    let gradients = left.iter().map(|job| job.read().gradients());
    if gradients.fold(0, u64::saturating_add) < MANY {
        return Ok(true);
    }
    let all: Vec<&Job> = left.iter().collect();
    let Some(seconds) = within(1, || estimate::seconds(&all, shelf))? else { return Ok(true) };
    let seconds = seconds / threads as f64;
    let text = format!("about {} on {threads} threads", estimate::told(seconds));
    events.note(&text);
    Ok(seconds < LONG || events.confirm(&format!("{text}: begin?")))
}

/// What has become of `runs` runs.
fn ended(
    outcomes: Vec<Outcome>,
    runs: usize,
    interrupted: bool,
) -> Result<(Vec<Outcome>, usize), Failure> {
    let failed = outcomes.iter().filter(|outcome| !outcome.is_finished()).count();
    match (interrupted, failed) {
        (true, _) => Err(Failure::interrupted(format!(
            "interrupted; {} of {runs} runs are done and kept, the same command goes on",
            outcomes.len()
        ))),
        (false, 0) => Ok((outcomes, runs)),
        (false, _) if runs == 1 => {
            Err(Failure::failed(format!("the run failed: {}", outcomes[0].end.error())))
        }
        (false, _) => {
            Err(Failure::failed(format!("{failed} of {runs} runs failed; runs.csv says why")))
        }
    }
}

/// Work on a pool of its own.
fn within<T: Send>(threads: usize, work: impl FnOnce() -> T + Send) -> Result<T, Failure> {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build();
    let pool = pool.map_err(|error| Failure::failed(format!("cannot start threads: {error}")))?;
    Ok(pool.install(work))
}

fn share(jobs: &[Job], shard: Option<(usize, usize)>) -> impl Iterator<Item = Job> {
    let (i, n) = shard.unwrap_or((1, 1));
    jobs.iter().skip(i - 1).step_by(n).cloned()
}

/// Failed runs are tried again, those whose model is wanted and missing, and those that are not as
/// they were written; also those that name something from outside whose version nobody says.
fn is_done(store: &Store, job: &Job, experiment: &Experiment) -> bool {
    let Experiment { how, own, .. } = experiment;
    if own.version.is_empty() && own.is_in(job.settings()) {
        return false;
    }
    let text = |settings: &Settings| toml::to_string(settings).expect("scalars");
    store.load(&job.key).is_some_and(|outcome| {
        outcome.is_finished()
            && text(&outcome.settings) == text(job.settings())
            && (!how.save_models || store.has_model(&outcome))
    })
}

/// Says which runs are there, are not believed, and are done again.
fn say_again(store: &Store, left: &[Job], events: &mut dyn Events) {
    let mut older = 0;
    for job in left {
        match store.look(&job.key) {
            Look::Damaged(why) => events.note(&format!("run {} is done again: {why}", job.key)),
            Look::Unchecked(_) => older += 1,
            Look::Missing | Look::Whole(_) => {}
        }
    }
    if older > 0 {
        events.note(&format!(
            "{older} runs carry no checksum, as before results had one, and are done again"
        ));
    }
}

/// The hash of a matrix: of its runs' keys in order.
fn matrix_hash(jobs: &[Job]) -> String {
    let mut hasher = blake3::Hasher::new();
    jobs.iter().for_each(|job| {
        // As before keys had a letter: the same matrix keeps its hash.
        hasher.update(bare(&job.key).as_bytes());
    });
    hasher.finalize().to_hex().to_string()
}

fn announce(
    experiment: &Experiment,
    jobs: &[Job],
    left: usize,
    hash: &str,
    events: &mut dyn Events,
) {
    let mut seeds: Vec<u64> = jobs.iter().map(|job| job.settings().seed).collect();
    seeds.sort_unstable();
    seeds.dedup();
    let seeds: Vec<String> = seeds.iter().map(u64::to_string).collect();
    events.note(&format!(
        "varangian {}: {}, {} runs ({} to do), seed {}, configuration {}",
        env!("CARGO_PKG_VERSION"),
        experiment.name,
        jobs.len(),
        left,
        seeds.join(" "),
        &hash[..16]
    ));
}

fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}
