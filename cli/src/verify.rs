//! `varangian verify FOLDER`: a server's audit checked, and its steps made again from the messages
//! that were logged.

mod again;
mod receipts;

use crate::{Failure, print};
use again::{Judged, Rounds};
use serde_json::{Value, json};
use std::path::PathBuf;
use varangian_base::Seed;
use varangian_lab::Experiment;
use varangian_lab::config::{Settings, Source};
use varangian_lab::results::{Look, Store};
use varangian_lab::run::Shelf;
use varangian_learn::optim::Optimiser;
use varangian_net::audit::{self, Begin, Entry, Level, Read};
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
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// What the audit was found to hold, where nothing disagreed.
#[derive(Default)]
struct Report {
    lines: usize,
    starts: usize,
    receipts: Vec<receipts::Checked>,
    again: Option<Again>,
}

/// Steps or messages that were made again.
struct Again {
    said: String,
    /// Steps, or of an asynchronous run messages.
    count: u64,
    /// The digest of the model at their end.
    model: String,
    /// Whether the run's record is here and has the same model.
    recorded: bool,
}

impl Report {
    fn json(&self) -> Value {
        let of = |one: &receipts::Checked| json!({ "file": one.path, "receipts": one.count, "undone": one.undone });
        let again = self.again.as_ref();
        json!({
            "lines": self.lines, "starts": self.starts,
            "receipts": self.receipts.iter().map(of).collect::<Vec<_>>(),
            "again": again.map(|again| again.count),
            "model": again.map(|again| &again.model),
            "recorded": again.map(|again| again.recorded),
        })
    }
}

/// Checks the audit.
///
/// # Errors
/// Names the first thing that does not agree.
pub(crate) fn run(args: &Args) -> Result<(), Failure> {
    let report = checked(args)?;
    if args.json {
        print::line(&format!("{:#}", report.json()));
    }
    Ok(())
}

/// The same, told line by line as it is found unless a script reads.
fn checked(args: &Args) -> Result<Report, Failure> {
    let tell = |text: &str| {
        if !args.json {
            print::line(text);
        }
    };
    let failed = |trouble: varangian_net::Trouble| Failure::failed(trouble.to_string());
    if !args.folder.join(audit::LINES).exists() {
        let folder = args.folder.display();
        return Err(Failure::refused(format!(
            "{folder} holds no audit: it has no {}, which a server with --audit leaves",
            audit::LINES
        )));
    }
    let Read { entries, is_cut } = audit::read(&args.folder).map_err(failed)?;
    let starts: Vec<&Begin> = entries.iter().filter_map(begin).collect();
    let Some(first) = starts.first() else {
        return Err(Failure::failed("the audit holds no start of a server"));
    };
    let (lines, times) = (entries.len(), starts.len());
    let mut report = Report { lines, starts: times, ..Report::default() };
    tell(&format!("the chain holds: {lines} lines, {times} starts of the server"));
    for path in &args.receipts {
        let checked = receipts::check(path, &entries)?;
        tell(&checked.text());
        report.receipts.push(checked);
    }
    if is_cut {
        return Err(Failure::failed(
            "the last line is cut, by a crash (then the server's next start mends it) or by \
             somebody",
        ));
    }
    if starts.iter().all(|start| start.level == Level::Digests) {
        tell("no messages were kept (--audit rows keeps them): no step is made again");
        return Ok(report);
    }
    for start in &starts {
        demand_like(start, first)?;
    }
    let pool = rayon::ThreadPoolBuilder::new()
        .num_threads(args.threads.map_or(0, usize::from))
        .build()
        .map_err(|error| Failure::failed(format!("cannot start threads: {error}")))?;
    let again = pool.install(|| made_again(args, &entries, first))?;
    tell(&again.said);
    Ok(Report { again: Some(again), ..report })
}

/// A start whose steps can be made again after those of the first one.
fn demand_like(start: &Begin, first: &Begin) -> Result<(), Failure> {
    let Begin { run, from, .. } = start;
    let why = if start.level == Level::Digests {
        "kept digests alone"
    } else if start.settings != first.settings {
        "has other settings than the first one"
    } else if first.from > 0 {
        "is the first of the audit: the steps before it were not logged"
    } else {
        return Ok(());
    };
    Err(Failure::failed(format!(
        "no step is made again: the start {run} of the server, at step {from}, {why}"
    )))
}

fn begin(entry: &Entry) -> Option<&Begin> {
    match entry {
        Entry::Begin(begin) => Some(begin),
        _ => None,
    }
}

/// Makes every step again that was not undone by a restart, and looks whether the run's record
/// says the same of its end.
fn made_again(args: &Args, entries: &[Entry], first: &Begin) -> Result<Again, Failure> {
    let settings = settings(&first.settings)?;
    let shelf = Shelf::new(args.data.clone());
    let bodies = audit::Bodies::open(&args.folder);
    let bodies = bodies.map_err(|trouble| Failure::failed(trouble.to_string()))?;
    let letters = |model: &dyn varangian_learn::Model, optimiser: &Optimiser, seed: Seed| {
        let starts = entries.iter().filter_map(begin);
        let of = starts.map(|start| letter(&start.codec, model, optimiser, seed));
        of.collect::<Result<Vec<_>, _>>()
    };
    let (said, steps, parameters) = match shelf.course(&settings)? {
        Course::Lockstep(plan) | Course::Rounds(plan, _) => {
            let letters = letters(plan.model.as_ref(), &plan.optimiser, plan.seed)?;
            Rounds::new(*plan, letters, bodies)?.run(entries)?
        }
        Course::Gossip(..) => {
            return Err(Failure::refused("a run without a server has no audit of one"));
        }
        Course::Swarm(plan) => {
            let letters = letters(plan.model.as_ref(), &plan.optimiser, plan.seed)?;
            Judged::new(*plan, letters, bodies)?.run(entries)?
        }
    };
    let store = Store::open(&args.folder)?;
    let looks = store.keys()?.into_iter().map(|key| store.look(&key));
    let record = looks.filter_map(|look| match look {
        Look::Whole(kept) | Look::Unchecked(kept) => Some(kept),
        _ => None,
    });
    let Some(kept) = record.into_iter().find(|kept| kept.settings == settings) else {
        let said = format!(
            "{said}; the run has {} steps and no record of its end is here: it is not over, or the \
             audit is cut",
            settings.steps
        );
        return Ok(Again { said, count: steps, model: parameters, recorded: false });
    };
    // The record has the first digits.
    let is_it = !kept.parameters.is_empty() && parameters.starts_with(&kept.parameters);
    if steps != settings.steps || !is_it {
        return Err(Failure::failed(format!(
            "{said}, {steps} of {} steps with the model {parameters} at their end; the run's \
             record has the model {}",
            settings.steps, kept.parameters
        )));
    }
    let said = format!("{said}, and the model is the one of the run's record");
    Ok(Again { said, count: steps, model: parameters, recorded: true })
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
    optimiser: &Optimiser,
    seed: Seed,
) -> Result<Letter, Failure> {
    let d = model.dim();
    let name = if matches!(codec, "f32" | "bf16" | "f16") { codec } else { "auto" };
    let codec = Codec::parse(name, optimiser, d, seed)?;
    Ok(Letter { d, statistics: model.buffers(), codec })
}
