//! `varangian run FILE.toml`: a matrix of runs, from one file to results and pictures.

mod drive;
mod dry;
mod ground;
pub(crate) mod heterogeneity;
mod interrupt;
pub(crate) mod live;
mod matrix;
pub(crate) mod memory;
mod notices;
mod one;
mod progress;
mod report;
mod setup;
mod tuning;

pub(crate) use crate::pictures::band;
pub use setup::{Course, Loaded, Shelf};

use crate::config::{self, Experiment, Settings, Source};
use crate::results::{Look, Outcome, Store, Sweep, bare, key};
use crate::{Failure, pictures, print};
use matrix::Shape;
use notices::Notices;
use one::{Job, Keep};
use progress::Progress;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;

/// What stands below the help of `varangian run`.
const EXAMPLES: &str = "Examples:
  varangian run experiments/first.toml
  varangian run my.toml --set learning_rate=0.2 --set 'rule=[\"median\", \"nnm | krum\"]'
  varangian run my.toml --dry-run                # what would be run
  varangian run my.toml --shard 2/8 --jobs 4     # one of eight machines that share the folder
`varangian keys` lists what a file can say. Runs that are over are never done again; after Ctrl-C
or a crash the same command goes on. `varangian results`, `plot` and `report` take the folder.";

/// Arguments of `varangian run`.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// The experiment file
    #[arg(value_name = "FILE.toml")]
    file: PathBuf,
    /// Change a key of the experiment; the value is TOML, or a bare text
    #[arg(long = "set", value_name = "KEY=VALUE")]
    set: Vec<String>,
    /// Replace the experiment's seeds by one
    #[arg(long)]
    seed: Option<u64>,
    /// List the runs with their keys and what is still to do, and train nothing
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    how: How,
}

/// How a matrix is run: nothing here changes results.
#[derive(clap::Args, Clone)]
pub(crate) struct How {
    /// The folder of data files
    #[arg(long, value_name = "DIR")]
    pub(crate) data: Option<PathBuf>,
    /// The folder for results [default: runs/NAME]
    #[arg(long, value_name = "DIR")]
    pub(crate) out: Option<PathBuf>,
    /// Threads in all [default: one a core]
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub(crate) threads: Option<u16>,
    /// Runs at a time [default: as many as threads]
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub(crate) jobs: Option<u16>,
    /// Of n machines, do the i-th one's share of the runs
    #[arg(long, value_name = "I/N", value_parser = shard)]
    pub(crate) shard: Option<(usize, usize)>,
    /// Seconds between checkpoints of a run
    #[arg(long, value_name = "SECONDS", default_value_t = 60.0)]
    pub(crate) checkpoint_every: f64,
    /// Keep each run's last parameters as runs/KEY.model.safetensors, with PyTorch's names; runs
    /// that are over but kept none are done again
    #[arg(long)]
    pub(crate) save_models: bool,
    /// Have the folder's tables and pictures of these runs alone, where it holds runs of other
    /// settings: those stay in its folder runs, and in no table
    #[arg(long)]
    pub(crate) replace: bool,
    /// Show on the terminal what runs are doing: curves, weights of workers, refusals
    #[arg(long)]
    pub(crate) watch: bool,
    /// Print nothing but errors
    #[arg(long, short)]
    pub(crate) quiet: bool,
}

#[cfg(test)]
impl How {
    /// Silently, into this folder.
    pub(crate) fn quiet(out: PathBuf) -> Self {
        How {
            data: None,
            out: Some(out),
            threads: Some(1),
            jobs: None,
            shard: None,
            checkpoint_every: 60.0,
            save_models: false,
            replace: false,
            watch: false,
            quiet: true,
        }
    }
}

/// Reads "i/n" with 1 ≤ i ≤ n.
fn shard(text: &str) -> Result<(usize, usize), String> {
    let pair = text.split_once('/').and_then(|(i, n)| Some((i.parse().ok()?, n.parse().ok()?)));
    match pair {
        Some((i, n)) if (1..=n).contains(&i) => Ok((i, n)),
        _ => Err("a share is written i/n with 1 ≤ i ≤ n".into()),
    }
}

/// Runs an experiment file.
pub(crate) fn run(args: &Args) -> Result<(), Failure> {
    let source = Source { path: args.file.clone(), set: args.set.clone(), seed: args.seed };
    let experiment = Experiment::load(&source)?;
    match args.dry_run {
        true => dry::list(&experiment, &args.how),
        false => execute(&experiment, &args.how).map(|_| ()),
    }
}

/// Runs what is left of an experiment and assembles the results of all of it, after the choice of
/// hyperparameters where the experiment asks for one.
///
/// # Errors
/// If anything is wrong with any run (nothing is run then), the folder cannot be written, or runs
/// failed or were interrupted (what is done is kept).
pub(crate) fn execute(experiment: &Experiment, how: &How) -> Result<Vec<Outcome>, Failure> {
    let Some(tune) = &experiment.tune else {
        return Ok(execute_runs(experiment, how, Twins::Once)?.0);
    };
    // What is wrong with the experiment is said before hours of tuning.
    check(experiment, &Shelf::new(how.data.clone()), Twins::Once)?;
    let chosen = tuning::choose(experiment, tune, how, &folder_of(experiment, how))?;
    Ok(execute_runs(&chosen, how, Twins::Once)?.0)
}

/// What becomes of runs that are one run under two names.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Twins {
    /// One of them is made, and the other is noted.
    Once,
    /// Each is made: candidates are compared one by one.
    Each,
}

fn folder_of(experiment: &Experiment, how: &How) -> PathBuf {
    how.out.clone().unwrap_or_else(|| PathBuf::from("runs").join(&experiment.name))
}

/// As [`execute`] for the runs as they stand: the outcomes that there are, and how many runs there
/// are in all.
fn execute_runs(
    experiment: &Experiment,
    how: &How,
    twins: Twins,
) -> Result<(Vec<Outcome>, usize), Failure> {
    let shelf = Shelf::new(how.data.clone());
    let Checked { jobs, mut notices, dropped } = check(experiment, &shelf, twins)?;
    let folder = folder_of(experiment, how);
    if !how.replace {
        demand_room(&folder, &jobs, &dropped)?;
    }
    let store = Store::make(&folder)?;
    let hash = matrix_hash(&jobs);
    let left: Vec<Job> = share(&jobs, how.shard).filter(|job| !is_done(&store, job, how)).collect();
    say_again(&store, &left);
    if !how.quiet {
        announce(experiment, &jobs, left.len(), &hash);
        notices.lines().iter().for_each(|line| print::note(&format!("note: {line}")));
    }
    report::write_experiment(&store, experiment, &jobs, &hash)?;
    let threads = how.threads.map_or_else(cores, usize::from);
    let settings = jobs.iter().map(|job| &job.settings);
    let measured = within(threads, || heterogeneity::measure_all(settings, &shelf, &store))??;
    if !how.quiet {
        measured.iter().for_each(|one| print::note(&one.to_string()));
    }
    let shape = Shape::of(threads, left.len(), how.jobs.map(usize::from));
    let steps = left.iter().map(|job| job.settings.steps).sum();
    let runs = jobs.iter().map(|job| &job.settings);
    let sweep = Sweep::of(runs, &store.tuned(), Vec::new());
    let progress = Progress::new(
        live::file(&store, how.shard),
        sweep,
        left.len(),
        steps,
        how.quiet,
        how.watch,
    );
    let stop = interrupt::flag();
    let keep = Keep { checkpoint_every: how.checkpoint_every, models: how.save_models };
    let ran = matrix::run_all(&left, &shelf, &store, shape, keep, &progress, stop);
    progress.clear();
    ran?;
    let (outcomes, text, undrawn) = report::tables(&store, &experiment.name, &jobs, &mut notices)?;
    if !how.quiet && !outcomes.is_empty() {
        print::line(&format!("{text}\nResults: {}", folder.display()));
    }
    let ended = ended(outcomes, jobs.len(), stop.load(Ordering::Relaxed))?;
    pictures::undrawn(&undrawn)?;
    Ok(ended)
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

/// What is left of an experiment once everything about it was found to be in order.
struct Checked {
    jobs: Vec<Job>,
    notices: Notices,
    /// The keys of runs that are another one's run.
    dropped: Vec<String>,
}

/// Every run's key, after everything about it was found to be in order: first what needs no data,
/// so that no wrong word is hidden behind a missing file.
fn check(experiment: &Experiment, shelf: &Shelf, twins: Twins) -> Result<Checked, Failure> {
    let mut notices = Notices::default();
    let mut runs = Vec::new();
    for settings in &experiment.runs {
        let place = || format!("{} × {}", settings.rule, settings.attack);
        let settings = one_spelling(settings)?;
        if experiment.skip_below_bound
            && let Some(why) = below_bound(&settings)?
        {
            notices.left_out(format!("left out: {why}"));
            continue;
        }
        ground::well_formed(&settings).map_err(|failure| failure.at(place()))?;
        runs.push((settings, place()));
    }
    let mut jobs = Vec::new();
    for (settings, place) in runs {
        let digest = shelf.digest(&settings).map_err(|failure| failure.at(&place))?;
        let course = shelf.course(&settings).map_err(|failure| failure.at(&place))?;
        let idle = config::idle(&settings, &shelf.ground(&settings, &course)?);
        ground::can_begin(course).map_err(|failure| failure.at(&place))?;
        notices.vain(&idle);
        let own = key(&settings, &digest);
        let effective = match twins {
            Twins::Once => key(&config::effective(&settings, &idle), &digest),
            Twins::Each => own.clone(),
        };
        jobs.push((Job { key: own, settings }, effective));
    }
    if jobs.is_empty() {
        return Err(Failure::refused("no run is left; every rule's bound is above n"));
    }
    notices.of(jobs.len());
    let (jobs, dropped) = notices::without_twins(jobs, &mut notices);
    Ok(Checked { jobs, notices, dropped })
}

/// Refuses a folder whose tables are of runs that are not among these: they would lose them.
fn demand_room(folder: &Path, jobs: &[Job], dropped: &[String]) -> Result<(), Failure> {
    let Ok(store) = Store::open(folder) else { return Ok(()) };
    // The hash alone: a version may write more of a key than another.
    let known: BTreeSet<&str> =
        jobs.iter().map(|job| &job.key).chain(dropped).map(|key| bare(key)).collect();
    let others = store.indexed().iter().filter(|key| !known.contains(bare(key))).count();
    match others {
        0 => Ok(()),
        _ => Err(Failure::refused(format!(
            "{} holds the results of {others} runs of other settings, whose tables these would \
             replace; --out DIR gives these runs a folder of their own, --replace takes this one",
            folder.display()
        ))),
    }
}

/// Why the rule or filter cannot take the settings' n and f, if it cannot.
fn below_bound(settings: &Settings) -> Result<Option<String>, Failure> {
    let (n, f) = (settings.n, settings.f);
    let refused = match setup::filter_of(&settings.rule)? {
        Some(entry) => entry.facts.bound.check(entry.name, n, f).err(),
        None => {
            let sample = settings.participation()?;
            let (n, f) = sample.map_or((n, f), |sample| (sample.workers, sample.f));
            varangian_rules::Pipeline::parse(&settings.rule)?.check(n, f).err()
        }
    };
    Ok(refused.map(|error| error.to_string()))
}

/// The settings with specifications in their one spelling, so that equal runs have equal keys.
fn one_spelling(settings: &Settings) -> Result<Settings, Failure> {
    let one = |text: &str| varangian_base::spec::parse(text).map(|spec| spec.to_string());
    let rule = match setup::filter_of(&settings.rule)? {
        Some(_) => one(&settings.rule)?,
        None => varangian_rules::Pipeline::parse(&settings.rule)?.spec().to_owned(),
    };
    let network = match settings.network.as_str() {
        "" => String::new(),
        network => one(network)?,
    };
    Ok(Settings {
        rule,
        network,
        attack: one(&settings.attack)?,
        dataset: one(&settings.dataset)?,
        validation_from: one(&settings.validation_from)?,
        model: one(&settings.model)?,
        partition: one(&settings.partition)?,
        sampling: one(&settings.sampling)?,
        schedule: one(&settings.schedule)?,
        message: match one(&settings.message)? {
            short if short == "one-bit" => "sign zero=plus-one".into(),
            message => message,
        },
        compression: one(&settings.compression)?,
        participation: one(&settings.participation)?,
        server_optimiser: one(&settings.server_optimiser)?,
        weights: one(&settings.weights)?,
        ..settings.clone()
    })
}

fn share(jobs: &[Job], shard: Option<(usize, usize)>) -> impl Iterator<Item = Job> {
    let (i, n) = shard.unwrap_or((1, 1));
    jobs.iter().skip(i - 1).step_by(n).cloned()
}

/// Failed runs are tried again, those whose model is wanted and missing, and those that are not as
/// they were written.
fn is_done(store: &Store, job: &Job, how: &How) -> bool {
    let text = |settings: &Settings| toml::to_string(settings).expect("scalars");
    store.load(&job.key).is_some_and(|outcome| {
        outcome.is_finished()
            && text(&outcome.settings) == text(&job.settings)
            && (!how.save_models || store.has_model(&outcome))
    })
}

/// Says which runs are there, are not believed, and are done again.
fn say_again(store: &Store, left: &[Job]) {
    let mut older = 0;
    for job in left {
        match store.look(&job.key) {
            Look::Damaged(why) => {
                print::note(&format!("run {} is done again: {why}", job.key));
            }
            Look::Unchecked(_) => older += 1,
            Look::Missing | Look::Whole(_) => {}
        }
    }
    if older > 0 {
        print::note(&format!(
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

fn announce(experiment: &Experiment, jobs: &[Job], left: usize, hash: &str) {
    let mut seeds: Vec<u64> = jobs.iter().map(|job| job.settings.seed).collect();
    seeds.sort_unstable();
    seeds.dedup();
    let seeds: Vec<String> = seeds.iter().map(u64::to_string).collect();
    print::note(&format!(
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
