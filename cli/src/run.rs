//! `varangian run FILE.toml`: a matrix of runs, from one file to results and pictures.

use crate::terminal::Terminal;
use crate::{Failure, print};
use serde_json::{Value, json};
use std::path::PathBuf;
use varangian_lab::config::{Settings, Source, label_keys};
use varangian_lab::{Experiment, run};

/// What stands below the help of `varangian run`.
const EXAMPLES: &str = "Examples:
  varangian run experiments/first.toml
  varangian run my.toml --set learning_rate=0.2 --set 'rule=[\"median\", \"nnm | krum\"]'
  varangian run my.toml --dry-run                # what would be run; with --json, for a script
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
    /// Print that list as JSON, each run with all its settings
    #[arg(long, requires = "dry_run")]
    json: bool,
    #[command(flatten)]
    how: How,
}

/// How a matrix is run: nothing here changes results.
#[derive(clap::Args, Clone)]
pub(crate) struct How {
    /// The folder of data files
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// The folder for results [default: runs/NAME]
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Threads in all [default: one a core]
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..=1024))]
    threads: Option<u16>,
    /// Runs at a time [default: as many as threads]
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..=1024))]
    jobs: Option<u16>,
    /// Of n machines, do the i-th one's share of the runs
    #[arg(long, value_name = "I/N", value_parser = shard)]
    shard: Option<(usize, usize)>,
    /// Seconds between checkpoints of a run
    #[arg(long, value_name = "SECONDS", default_value_t = 60.0)]
    checkpoint_every: f64,
    /// Keep each run's last parameters as runs/KEY.model.safetensors, with PyTorch's names; runs
    /// that are over but kept none are done again
    #[arg(long)]
    save_models: bool,
    /// Have the folder's tables and pictures of these runs alone, where it holds runs of other
    /// settings: those stay in its folder runs, and in no table
    #[arg(long)]
    replace: bool,
    /// Show on the terminal what runs are doing: curves, weights of workers, refusals
    #[arg(long)]
    watch: bool,
    /// Print nothing but errors
    #[arg(long, short)]
    quiet: bool,
}

impl How {
    /// The same for whoever runs it.
    pub(crate) fn run(&self) -> run::How {
        run::How {
            data: self.data.clone(),
            out: self.out.clone(),
            threads: self.threads.map(usize::from),
            jobs: self.jobs.map(usize::from),
            shard: self.shard,
            checkpoint_every: self.checkpoint_every,
            save_models: self.save_models,
            replace: self.replace,
        }
    }

    /// Whether nothing but errors is printed.
    pub(crate) fn is_quiet(&self) -> bool {
        self.quiet
    }

    /// Who listens.
    pub(crate) fn terminal(&self) -> Terminal {
        Terminal::new(self.quiet, self.watch)
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
    let experiment = Experiment { how: args.how.run(), ..Experiment::load(&source)? };
    match args.dry_run {
        true if args.json => {
            print::line(&format!("{:#}", as_json(&experiment)?));
            Ok(())
        }
        true => list(&experiment),
        false => experiment.run(&mut args.how.terminal()).map(|_| ()),
    }
}

/// What [`list`] prints, for a script: each run with its key, whether it is over, and its settings.
pub(crate) fn as_json(experiment: &Experiment) -> Result<Value, Failure> {
    let planned = experiment.planned()?;
    let run = |(key, settings, over): &(String, Settings, bool)| json!({ "key": key, "over": over, "settings": settings });
    let tune = experiment.tune.as_ref();
    Ok(json!({
        "name": experiment.name, "folder": experiment.folder(),
        "runs": planned.runs.iter().map(run).collect::<Vec<_>>(),
        "candidates": tune.map_or(0, |tune| tune.candidates.len()),
        "tuning": planned.tuning.len(),
        "tuning_over": planned.tuning.iter().filter(|(_, _, over)| *over).count(),
        "steps": planned.steps, "gradients": planned.gradients, "takes": planned.takes,
        "notes": planned.notes,
    }))
}

/// Prints the runs of an experiment with their keys and whether they are over, and how many there
/// are.
pub(crate) fn list(experiment: &Experiment) -> Result<(), Failure> {
    let planned = experiment.planned()?;
    let settings: Vec<&Settings> = planned.runs.iter().map(|(_, settings, _)| settings).collect();
    let keys = label_keys(&settings);
    let row = |(key, own, over): &(String, Settings, bool)| {
        let state = if *over { "over" } else { "to do" };
        let label = own.label(&keys);
        vec![key.clone(), state.into(), label, own.attack.clone(), own.seed.to_string()]
    };
    let rows: Vec<Vec<String>> = planned.runs.iter().map(row).collect();
    let head = ["run", "state", "rule", "attack", "seed"];
    print::line(&print::table(&head, &rows, &[false, false, false, false, true]));
    planned.notes.iter().for_each(|line| print::told(&format!("note: {line}")));
    let left_of = |runs: &[(String, Settings, bool)]| runs.iter().filter(|run| !run.2).count();
    let tuned = experiment.tune.as_ref().map_or_else(String::new, |tune| {
        let (all, left) = (planned.tuning.len(), left_of(&planned.tuning));
        let open = if planned.is_open { ", so that their values and keys may change" } else { "" };
        let candidates = tune.candidates.len();
        format!(
            "; before them {all} runs, {left} to do, choose one of {candidates} candidates for each \
             rule{open}"
        )
    });
    let left = left_of(&planned.runs);
    let runs = if rows.len() == 1 { "1 run".into() } else { format!("{} runs", rows.len()) };
    let (steps, gradients) = (planned.steps, planned.gradients);
    let takes = planned.takes.map_or_else(String::new, |takes| format!(", about {takes}"));
    print::told(&format!(
        "{runs}, {left} to do{tuned}; {steps} steps, {gradients} gradients in all{takes}; nothing \
         was trained"
    ));
    Ok(())
}
