//! The `varangian` command: arguments, terminal, signals, exit codes.
//!
//! The only place with any of these. A subcommand is one module with a clap `Args` and a `run`, and
//! one line in `Command`.

// `print` writes to both streams: a closed one is no panic, and what steers a terminal is escaped.
#![warn(clippy::print_stderr)]

mod admin;
mod aggregate;
mod arrays;
mod benchmark;
mod ca;
mod catalogue;
mod compare;
mod data;
mod diagnose;
pub mod duel;
mod evidence;
mod forge;
mod interrupt;
mod keys;
mod leaderboard;
mod manual;
mod plot;
mod print;
mod query;
mod recommend;
mod replay;
mod report;
mod reproduce;
mod run;
mod serve;
mod show;
mod style;
mod suspects;
mod table;
mod tensorboard;
mod terminal;
mod theory;
mod top;
mod verify;
mod watch;
mod work;

pub use catalogue::catalogue;
pub(crate) use varangian_lab::Failure;

use clap::error::{ContextKind, ContextValue};
use clap::{CommandFactory, Parser, Subcommand};
use std::ffi::OsString;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use varangian_base::SpecError;
use varangian_base::kernels::isa;

/// What stands below the help.
const START: &str = "Start here:
  varangian run experiments/first.toml      # six rules, five attacks: tables and pictures
  varangian rules trimmed-mean              # what a rule is, and its bound on n and f
  varangian duel --f 2 --rule \"nnm | krum\" --attack alie";

/// Training with workers that cannot be trusted.
#[derive(Parser)]
#[command(name = "varangian", version, propagate_version = true, after_help = START)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

/// Every subcommand; its arguments and `run` stand in the module of the same name.
#[derive(Subcommand)]
pub(crate) enum Command {
    /// Run an experiment file: rules × attacks × seeds, to tables and pictures
    Run(run::Args),
    /// List the keys of an experiment file, or explain one
    Keys(keys::Args),
    /// Show one step of a kept run again: who sent what, and what the rule gave each
    Replay(replay::Args),
    /// Filter, group and judge the runs of a folder of results
    Results(query::Args),
    /// Draw everything that a folder of results can show, or one figure for a paper
    Plot(plot::Args),
    /// Write a table for a paper: LaTeX, Markdown or CSV
    Table(table::Args),
    /// Compare folders of results: paired differences, tests, mean ranks
    Compare(compare::Args),
    /// Write results as TensorBoard event files
    Tensorboard(tensorboard::Args),
    /// Serve a page that follows a folder of results
    Watch(watch::Args),
    /// Write one HTML file that holds all of a folder of results
    Report(report::Args),
    /// List the aggregation rules, or explain one
    Rules(show::Args),
    /// List the filters of asynchronous training, or explain one
    Filters(show::Args),
    /// List the attacks, or explain one
    Attacks(show::Args),
    /// List the models, or explain one
    Models(show::Args),
    /// List the data sets, or explain one
    Datasets(show::Args),
    /// List the partitions of the training set, or explain one
    Partitions(show::Args),
    /// Write the catalogue of everything that has a name
    Catalogue(catalogue::Args),
    /// Print what a shell needs to complete commands and options
    Completions(manual::CompletionArgs),
    /// Print the manual's page, or write the pages of all commands
    Man(manual::ManArgs),
    /// Aggregate rows from an .npy file
    Aggregate(aggregate::Args),
    /// Write what hostile workers would send beside honest rows from an .npy file
    Forge(forge::Args),
    /// Say which of some rows is unlike the others, since when, and what to do
    Diagnose(diagnose::Args),
    /// Say who was off in what a guard has written down, since when, and how sure that is
    Evidence(suspects::Args),
    /// Let attacks meet rules on given rows
    Duel(duel::Args),
    /// Run a published experiment and set our numbers beside its own
    Reproduce(reproduce::Args),
    /// Judge pipelines by their worst case, all by one fixed protocol
    Benchmark(benchmark::Args),
    /// Set judged pipelines side by side, best worst case first
    Leaderboard(leaderboard::Args),
    /// Say which pipeline to take for n workers, f of them hostile, or that none helps
    Recommend(recommend::Args),
    /// List data sets, verify a folder of data files, or fetch a public set
    Data(data::Args),
    /// Evaluate published bounds
    Theory(theory::Args),
    /// Serve a run whose workers come over a network
    Serve(serve::Args),
    /// Work for a server: compute gradients of one's own data
    Work(work::Args),
    /// Make the certificates of a server and its workers, and take them back
    Ca(ca::Args),
    /// Give a server that runs an order: pause, checkpoint, stop, revoke
    Admin(admin::Args),
    /// Show a server that runs: its step, its workers, what was refused
    Top(top::Args),
    /// Check a server's audit: make its steps again from the messages that were logged
    Verify(verify::Args),
}

impl Command {
    fn run(self) -> Result<(), Failure> {
        isa::requested()?;
        match self {
            Command::Run(args) => run::run(&args),
            Command::Keys(args) => keys::run(&args),
            Command::Replay(args) => replay::run(&args),
            Command::Results(args) => query::run(&args),
            Command::Plot(args) => plot::run(&args),
            Command::Table(args) => table::run(&args),
            Command::Compare(args) => compare::run(&args),
            Command::Tensorboard(args) => tensorboard::run(&args),
            Command::Watch(args) => watch::run(&args),
            Command::Report(args) => report::run(&args),
            Command::Rules(args) => show::rules(&args),
            Command::Filters(args) => show::filters(&args),
            Command::Attacks(args) => show::attacks(&args),
            Command::Models(args) => show::models(&args),
            Command::Datasets(args) => show::datasets(&args),
            Command::Partitions(args) => show::partitions(&args),
            Command::Catalogue(args) => catalogue::run(&args),
            Command::Completions(args) => manual::completions(&args),
            Command::Man(args) => manual::man(&args),
            Command::Aggregate(args) => aggregate::run(&args),
            Command::Forge(args) => forge::run(&args),
            Command::Diagnose(args) => diagnose::run(&args),
            Command::Evidence(args) => suspects::run(&args),
            Command::Duel(args) => duel::run(&args),
            Command::Reproduce(args) => reproduce::run(&args),
            Command::Benchmark(args) => benchmark::run(&args),
            Command::Leaderboard(args) => leaderboard::run(&args),
            Command::Recommend(args) => recommend::run(&args),
            Command::Data(args) => data::run(&args),
            Command::Theory(args) => theory::run(&args),
            Command::Serve(args) => serve::run(&args),
            Command::Work(args) => work::run(&args),
            Command::Ca(args) => ca::run(&args),
            Command::Admin(args) => admin::run(&args),
            Command::Top(args) => top::run(&args),
            Command::Verify(args) => verify::run(&args),
        }
    }
}

/// Runs the command of this process's command line.
pub fn main() -> ExitCode {
    ExitCode::from(run(&std::env::args_os().collect::<Vec<_>>()))
}

/// Runs the command of a command line, its name first, and prints what went wrong as one line;
/// returns the exit code.
pub fn run(arguments: &[OsString]) -> u8 {
    end_quietly_at_limits();
    let done = match Cli::try_parse_from(arguments) {
        Ok(cli) => cli.command.run().and_then(|()| print::all_written()),
        Err(error) => refused(&error, arguments),
    };
    match done {
        Ok(()) => 0,
        Err(failure) => {
            print::note(&format!("varangian: {failure}"));
            failure.code()
        }
    }
}

/// A limit on the size of files is an error of the write that meets it, with its line and its exit
/// code, and not a signal that ends the process.
fn end_quietly_at_limits() {
    #[cfg(unix)]
    {
        let passed = Arc::new(AtomicBool::new(false));
        // That it cannot be set changes nothing until a limit is met.
        let _ = signal_hook::flag::register(signal_hook::consts::SIGXFSZ, passed);
    }
}

/// What the command line's reader says: help and version are "errors" of it too.
fn refused(error: &clap::Error, arguments: &[OsString]) -> Result<(), Failure> {
    if let Some(failure) = unknown_command(error, arguments) {
        return Err(failure);
    }
    if error.use_stderr() {
        let text = error.render().to_string();
        let text = text.trim_end();
        return Err(Failure::usage(text.strip_prefix("error: ").unwrap_or(text)));
    }
    match error.print() {
        Err(e) if e.kind() != std::io::ErrorKind::BrokenPipe => {
            Err(Failure::refused(format!("cannot write to standard output: {e}")))
        }
        _ => Ok(()),
    }
}

/// An unknown command, with the one that is meant.
fn unknown_command(error: &clap::Error, arguments: &[OsString]) -> Option<Failure> {
    let (ContextKind::InvalidSubcommand, ContextValue::String(asked)) =
        error.context().find(|(kind, _)| *kind == ContextKind::InvalidSubcommand)?
    else {
        return None;
    };
    let mut command = Cli::command();
    for word in arguments.iter().skip(1).take_while(|word| *word != asked.as_str()) {
        if let Some(below) = command.find_subcommand(word) {
            command = below.clone();
        }
    }
    if command.get_name() == "reproduce"
        && let Some(failure) = reproduce::elsewhere(asked)
    {
        return Some(failure);
    }
    let known: Vec<&str> = command.get_subcommands().map(clap::Command::get_name).collect();
    let what = match command.get_name() {
        "varangian" => "command".to_owned(),
        name => format!("{name} command"),
    };
    Some(SpecError::unknown(&what, asked, &known).into())
}
