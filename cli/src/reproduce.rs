//! `varangian reproduce`: published experiments as one command each, with our numbers beside
//! theirs.

use crate::run::How;
use crate::{Failure, print};
use clap::{ArgMatches, Command, FromArgMatches, Subcommand};
use serde_json::{Value, json};
use varangian_lab::config::Experiment;
use varangian_papers::{self as papers, Publication, Request, Shape, momentum, signsgd};

/// Arguments of `varangian reproduce`.
#[derive(clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    what: What,
}

/// One line a publication.
#[derive(Subcommand)]
enum What {
    /// El-Mhamdi, Guerraoui & Rouault 2021: momentum at the workers or at the update
    Momentum(Momentum),
    /// Akoun & Meyer 2022: SignSGD, Signum and distributed SGD against blind and Byzantine workers
    Signsgd(Signsgd),
    #[command(flatten)]
    Listed(Listed),
}

/// A publication of the list, by its name.
struct Listed {
    publication: &'static Publication,
    args: One,
}

impl Subcommand for Listed {
    fn augment_subcommands(command: Command) -> Command {
        papers::ALL.iter().fold(command, |command, one| {
            let each = <One as clap::Args>::augment_args(Command::new(one.name));
            command.subcommand(each.about(one.about))
        })
    }

    fn augment_subcommands_for_update(command: Command) -> Command {
        Self::augment_subcommands(command)
    }

    fn has_subcommand(name: &str) -> bool {
        papers::ALL.iter().any(|one| one.name == name)
    }
}

impl FromArgMatches for Listed {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Listed, clap::Error> {
        let missing = || clap::Error::new(clap::error::ErrorKind::MissingSubcommand);
        let (name, matches) = matches.subcommand().ok_or_else(missing)?;
        let publication = papers::ALL.iter().find(|one| one.name == name).ok_or_else(missing)?;
        Ok(Listed { publication, args: One::from_arg_matches(matches)? })
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Listed::from_arg_matches(matches)?;
        Ok(())
    }
}

/// Arguments of a publication whose experiments are files.
#[derive(clap::Args)]
struct One {
    /// The small form, minutes instead of days: on data that the program draws, and bucketing's on
    /// the files of MNIST
    #[arg(long)]
    quick: bool,
    /// Change a key of the experiment; the value is TOML, or a bare text
    #[arg(long = "set", value_name = "KEY=VALUE")]
    set: Vec<String>,
    /// Replace the experiment's seeds by one
    #[arg(long)]
    seed: Option<u64>,
    /// List the runs with their keys and about how long they take here, and train nothing
    #[arg(long)]
    dry_run: bool,
    /// Print what the publication shows and was found here as JSON, and no other table; with
    /// --dry-run the list
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    how: How,
}

impl One {
    fn run(&self, publication: &Publication) -> Result<(), Failure> {
        let (quick, set, seed) = (self.quick, self.set.clone(), self.seed);
        let request = Request { quick, set, seed, how: self.how.run() };
        let experiment = publication.experiment(&request)?;
        if self.dry_run {
            return listed(&experiment, self.json);
        }
        let mut terminal = self.how.terminal();
        if !self.json {
            return papers::all_hold(&publication.run(&request, &mut terminal)?);
        }
        let shapes = publication.run(&request, &mut terminal.without_tables())?;
        let shape = |one: &Shape| {
            let Shape { claim, found, holds, moot } = one;
            json!({ "claim": claim, "found": found, "holds": holds, "moot": moot })
        };
        let all: Vec<Value> = shapes.iter().map(shape).collect();
        print::line(&format!(
            "{:#}",
            json!({
                "name": publication.name, "about": publication.about, "quick": quick,
                "folder": experiment.folder(), "shapes": all,
            })
        ));
        papers::all_hold(&shapes)
    }
}

/// The runs of an experiment, as text or JSON.
fn listed(experiment: &Experiment, json: bool) -> Result<(), Failure> {
    if !json {
        return crate::run::list(experiment);
    }
    print::line(&format!("{:#}", crate::run::as_json(experiment)?));
    Ok(())
}

/// Arguments of `varangian reproduce momentum`.
#[derive(clap::Args)]
struct Momentum {
    /// One seed, the larger learning rate, classical momentum where there is: 46 runs instead of
    /// 920 (`--seed 1` alone: 184)
    #[arg(long)]
    quick: bool,
    /// What the published code did rather than what the paper says: `varangian keys profile`
    #[arg(long)]
    reference: bool,
    /// Gather the study metrics of every step: steps in which the rule is proven resilient, and
    /// pictures of the variance-norm ratios
    #[arg(long)]
    study: bool,
    /// Replace the experiment's seeds by one
    #[arg(long)]
    seed: Option<u64>,
    /// Change a key of the experiment; the value is TOML, or a bare text
    #[arg(long = "set", value_name = "KEY=VALUE")]
    set: Vec<String>,
    /// The data set: mnist, fashion-mnist, cifar10 or cifar100
    #[arg(long, default_value = "mnist", value_parser = momentum::dataset)]
    dataset: String,
    /// The publication's other model on the data: wide-resnet on cifar10
    #[arg(long)]
    model: Option<String>,
    /// List the runs with their keys and about how long they take here, and train nothing
    #[arg(long)]
    dry_run: bool,
    /// Print that list as JSON
    #[arg(long, requires = "dry_run")]
    json: bool,
    #[command(flatten)]
    how: How,
}

impl Momentum {
    fn run(&self) -> Result<(), Failure> {
        let grid = momentum::Grid {
            quick: self.quick,
            reference: self.reference,
            study: self.study,
            seed: self.seed,
            set: self.set.clone(),
            dataset: self.dataset.clone(),
            model: self.model.clone(),
            how: self.how.run(),
        };
        match self.dry_run {
            true => listed(&grid.experiment()?, self.json),
            false => grid.run(&mut self.how.terminal()),
        }
    }
}

/// Arguments of `varangian reproduce signsgd`.
#[derive(clap::Args)]
struct Signsgd {
    /// Which experiments to run
    #[arg(value_parser = names(), default_values = ["logreg", "linreg", "hidden"])]
    experiments: Vec<String>,
    /// Two seeds instead of ten, and two epochs of images
    #[arg(long)]
    quick: bool,
    #[command(flatten)]
    how: How,
}

fn names() -> clap::builder::PossibleValuesParser {
    signsgd::names().collect::<Vec<_>>().into()
}

impl Signsgd {
    fn run(&self) -> Result<(), Failure> {
        let experiments: Vec<&str> = self.experiments.iter().map(String::as_str).collect();
        signsgd::run(&experiments, self.quick, &self.how.run(), &mut self.how.terminal())
    }
}

/// Rules, attacks and papers without an experiment of their own, and which command covers them.
const ELSEWHERE: &[(&str, &str)] = &[
    ("krum", "zeno, fall-of-empires and bucketing run Krum, momentum Multi-Krum"),
    ("multi-krum", "momentum runs it"),
    ("bulyan", "momentum runs it, at f = 12 of 51"),
    ("phocas", "momentum runs it"),
    ("meamed", "momentum runs it"),
    ("trimmed-mean", "momentum runs it"),
    ("median", "momentum, zeno and fall-of-empires run it"),
    ("rfa", "bucketing runs it"),
    ("centred-clipping", "bucketing runs it"),
    ("geometric-median", "safeguard runs it"),
    ("kardam", "zeno++ runs it beside its filter"),
    ("alie", "momentum runs it at z = 1.5, bucketing too"),
    ("ipm", "fall-of-empires is its paper; momentum runs it as empire, bucketing too"),
    ("empire", "fall-of-empires is its paper; momentum runs it"),
    ("mimic", "bucketing is its paper"),
    ("label-flip", "zeno, zeno++, safeguard and bucketing run it"),
    ("sign-flip", "zeno, zeno++, safeguard and bucketing run it"),
    ("signum", "signsgd runs it"),
    ("bernstein", "signsgd runs its rules on a later report; its own experiment has no command"),
    ("majority", "signsgd runs it"),
];

/// Where what was asked for is covered, if it is, although it is no publication here.
pub(crate) fn elsewhere(asked: &str) -> Option<Failure> {
    let (_, where_) = ELSEWHERE.iter().find(|(name, _)| *name == asked.to_lowercase())?;
    let text = format!("reproduce has no experiment of {asked} alone: {where_}");
    Some(Failure::refused(text))
}

/// Runs the experiments of a publication.
pub(crate) fn run(args: &Args) -> Result<(), Failure> {
    match &args.what {
        What::Momentum(args) => args.run(),
        What::Signsgd(args) => args.run(),
        What::Listed(listed) => listed.args.run(listed.publication),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[derive(clap::Parser)]
    struct Whole {
        #[command(subcommand)]
        _what: What,
    }

    #[test]
    fn what_has_no_experiment_is_sent_to_one_that_is_there() {
        let command = Whole::command();
        let known: Vec<&str> = command.get_subcommands().map(clap::Command::get_name).collect();
        for (name, text) in ELSEWHERE {
            assert!(!known.contains(name), "{name}");
            assert!(known.iter().any(|known| text.contains(known)), "{name}: {text}");
        }
        assert!(elsewhere("Krum").unwrap().to_string().contains("zeno"));
        assert!(elsewhere("nothing").is_none());
    }
}
