//! `varangian verify FOLDER`: a server's audit checked, and its steps made again from the messages
//! that were logged.

mod again;
mod receipts;

use crate::{Failure, print};
use again::{Judged, Rounds};
use std::path::PathBuf;
use varangian_lab::Experiment;
use varangian_lab::config::{Settings, Source};
use varangian_lab::run::Shelf;
use varangian_net::audit::{self, Begin, Entry, Level};
use varangian_sim::Course;
use varangian_train::wire::{Codec, Letter};

/// What stands below the help of `varangian verify`.
const EXAMPLES: &str = "Examples:
  varangian serve my.toml --insecure --audit rows --out served
  varangian verify served
  varangian verify served --receipts worker-3.receipts      # of varangian work --receipts
The chain of the log shows whether a line was changed. With --audit rows every step is made again
from the same messages under the same rule, and must give the same bits.";

/// Arguments of `varangian verify`.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// The folder of a server that was run with --audit
    #[arg(value_name = "FOLDER")]
    folder: PathBuf,
    /// A worker's receipts: each is the server's, and in the log
    #[arg(long, value_name = "FILE")]
    receipts: Vec<PathBuf>,
    /// The folder of data files
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// Threads of the rule [default: one a core]
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..=1024))]
    threads: Option<u16>,
}

/// Checks the audit.
///
/// # Errors
/// Names the first thing that does not agree.
pub(crate) fn run(args: &Args) -> Result<(), Failure> {
    let failed = |trouble: varangian_net::Trouble| Failure::failed(trouble.to_string());
    let entries = audit::entries(&args.folder).map_err(failed)?;
    let starts: Vec<&Begin> = entries.iter().filter_map(begin).collect();
    let Some(first) = starts.first() else {
        return Err(Failure::failed("the audit holds no start of a server"));
    };
    let (lines, times) = (entries.len(), starts.len());
    print::line(&format!("the chain holds: {lines} lines, {times} starts of the server"));
    for path in &args.receipts {
        receipts::check(path, &entries)?;
    }
    if starts.iter().any(|start| start.level != Level::Rows) {
        print::line("no messages were kept (--audit rows keeps them): no step is made again");
        return Ok(());
    }
    if let Some(start) = starts.iter().find(|start| start.settings != first.settings) {
        let (run, from) = (start.run, start.from);
        return Err(Failure::failed(format!(
            "the start {run} at step {from} has other settings than the first one"
        )));
    }
    if first.from > 0 {
        let from = first.from;
        return Err(Failure::failed(format!(
            "the audit begins at step {from}: the steps before it cannot be made again"
        )));
    }
    let pool = rayon::ThreadPoolBuilder::new()
        .num_threads(args.threads.map_or(0, usize::from))
        .build()
        .map_err(|error| Failure::failed(format!("cannot start threads: {error}")))?;
    let said = pool.install(|| made_again(args, &entries, first))?;
    print::line(&said);
    Ok(())
}

fn begin(entry: &Entry) -> Option<&Begin> {
    match entry {
        Entry::Begin(begin) => Some(begin),
        _ => None,
    }
}

/// Makes every step again that was not undone by a restart.
fn made_again(args: &Args, entries: &[Entry], first: &Begin) -> Result<String, Failure> {
    let settings = settings(&first.settings)?;
    let shelf = Shelf::new(args.data.clone());
    let bodies = audit::Bodies::open(&args.folder);
    let bodies = bodies.map_err(|trouble| Failure::failed(trouble.to_string()))?;
    match shelf.course(&settings)? {
        Course::Lockstep(plan) | Course::Rounds(plan, _) => {
            let letter = letter(&first.codec, plan.model.as_ref(), &plan.optimiser)?;
            Rounds::new(*plan, letter, bodies)?.run(entries)
        }
        Course::Swarm(plan) => {
            let letter = letter(&first.codec, plan.model.as_ref(), &plan.optimiser)?;
            Judged::new(*plan, letter, bodies)?.run(entries)
        }
    }
}

/// The one run that the settings of an audit describe.
fn settings(text: &str) -> Result<Settings, Failure> {
    let experiment = Experiment::parse(text, "audited", &Source::default())?;
    match &experiment.runs[..] {
        [settings] => Ok(settings.clone()),
        runs => Err(Failure::failed(format!("an audit is of one run; found {}", runs.len()))),
    }
}

/// The shape of the messages of an audited run.
fn letter(
    codec: &str,
    model: &dyn varangian_learn::Model,
    optimiser: &varangian_learn::optim::Optimiser,
) -> Result<Letter, Failure> {
    let d = model.dim();
    let name = if matches!(codec, "f32" | "bf16" | "f16") { codec } else { "auto" };
    let codec = Codec::parse(name, optimiser, d)?;
    Ok(Letter { d, statistics: model.buffers(), codec })
}
