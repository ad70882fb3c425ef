//! `varangian theory`: published bounds as functions, with their conditions checked.

mod server;

use crate::{Failure, print};
use clap::Subcommand;
use serde_json::{Value, json};
use std::path::PathBuf;
use varangian_base::Seed;
use varangian_papers::theory::{Sheet, Table, empires, minority, participation, signsgd};

/// Arguments of `varangian theory`.
#[derive(clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    what: What,
    /// Print JSON: the tables' numbers, with as many digits as the text has
    #[arg(long, global = true)]
    json: bool,
}

/// One line a theory.
#[derive(Subcommand)]
enum What {
    /// Sign descent with majority vote: sign errors, vote failures, convergence bounds
    Signsgd(Signsgd),
    /// Inner-product manipulation: when the median and Krum turn against the gradient
    Empires(Empires),
    /// Honest rows of other data: what rules retain of one such client, beside ACFA's table
    Minority(Minority),
    /// Zeno: the bound on a step and on a run, its lemma, and what is false or loose in them
    Zeno(server::Zeno),
    /// Zeno++: what its test lets through, and a bound that follows from the test alone
    ZenoPp(server::ZenoPp),
    /// Samples of workers: how many to draw so that the hostile ones stay a minority in all rounds
    Participation(Participation),
    /// SafeguardSGD: steps to a nearly stationary point, speed-up, and thresholds
    Safeguard(server::Safeguard),
}

/// Arguments of `varangian theory minority`.
#[derive(clap::Args)]
#[command(allow_negative_numbers = true)] // refused by what they are for
struct Minority {
    /// n, numbers of clients, the odd one included
    #[arg(long, value_delimiter = ',', default_value = "10,20,40")]
    clients: Vec<usize>,
    /// Coordinates of a row
    #[arg(long, default_value_t = 32, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    coordinates: u32,
    /// Rounds behind each figure; the source has 50
    #[arg(long, default_value_t = 4000)]
    #[arg(value_parser = clap::value_parser!(u32).range(2..=1_000_000))]
    rounds: u32,
    /// The mean of the odd client's coordinates; the others' is 0
    #[arg(long, default_value_t = 3.0)]
    shift: f64,
    /// A rule beside those of the source, with f = 1; repeat for more [default: five of them]
    #[arg(long, value_name = "SPEC")]
    rule: Vec<String>,
    /// The seed
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

impl Minority {
    fn sheet(&self) -> Result<Sheet, Failure> {
        let usual = minority::Minority::default();
        let rules = if self.rule.is_empty() { usual.rules } else { self.rule.clone() };
        let minority = minority::Minority {
            clients: self.clients.clone(),
            coordinates: self.coordinates as usize,
            rounds: self.rounds as usize,
            shift: self.shift,
            rules,
            seed: Seed(self.seed),
        };
        Ok(minority.table()?)
    }
}

/// Prints the tables of a theory.
pub(crate) fn run(args: &Args) -> Result<(), Failure> {
    let measures = match &args.what {
        What::Signsgd(args) => args.measure.is_some(),
        What::Safeguard(args) => args.measures(),
        _ => false,
    };
    if args.json && measures {
        return Err(Failure::refused(
            "--json prints the bounds, and --measure draws runs beside them: take one of the two",
        ));
    }
    let sheet = match &args.what {
        What::Signsgd(args) => args.sheet()?,
        What::Empires(args) => empires::tables(args.draws as usize, Seed(args.seed)),
        What::Zeno(args) => args.sheet()?,
        What::ZenoPp(args) => args.sheet()?,
        What::Safeguard(args) => args.sheet()?,
        What::Participation(args) => args.sheet()?,
        What::Minority(args) => args.sheet()?,
    };
    if args.json {
        print::line(&format!("{:#}", as_json(&sheet)));
        return Ok(());
    }
    print::told(&sheet.text());
    match &args.what {
        What::Signsgd(args) => args.measured(),
        What::Safeguard(args) => args.measured(),
        _ => Ok(()),
    }
}

/// What a theory says, for a script: a cell is a number or null in a column of numbers, else text.
fn as_json(sheet: &Sheet) -> Value {
    let cell = |table: &Table, row: usize, column: usize| match table.numeric[column] {
        true => json!(table.number(row, column)),
        false => json!(table.rows[row][column]),
    };
    let row = |table: &Table, row: usize| -> Vec<Value> {
        (0..table.columns.len()).map(|column| cell(table, row, column)).collect()
    };
    let table = |table: &Table| {
        let rows: Vec<Vec<Value>> = (0..table.rows.len()).map(|k| row(table, k)).collect();
        json!({ "name": table.name, "columns": table.columns, "rows": rows })
    };
    let numbers = sheet.numbers().iter().map(|(name, x)| ((*name).to_owned(), json!(x)));
    json!({
        "tables": sheet.tables().map(table).collect::<Vec<_>>(),
        "numbers": Value::Object(numbers.collect()),
        "sentences": sheet.sentences().collect::<Vec<_>>(),
    })
}

/// Arguments of `varangian theory empires`.
#[derive(clap::Args)]
struct Empires {
    /// Draws behind each expectation
    #[arg(long, default_value_t = 100_000, value_parser = clap::value_parser!(u32).range(1000..))]
    draws: u32,
    /// The seed
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

/// Arguments of `varangian theory participation`.
#[derive(clap::Args)]
#[command(allow_negative_numbers = true)] // refused by what they are for
struct Participation {
    /// n, all workers
    #[arg(long, default_value_t = 100)]
    workers: u64,
    /// b, numbers of hostile ones among them
    #[arg(long, value_delimiter = ',', default_value = "10,20")]
    hostile: Vec<u64>,
    /// T, the number of rounds
    #[arg(long, default_value_t = 500)]
    rounds: u64,
    /// The chance that some round holds more hostile workers than are reckoned with
    #[arg(long, default_value_t = 0.01)]
    risk: f64,
    /// Sizes of samples to look at; by default some from the least to n
    #[arg(long, value_delimiter = ',')]
    samples: Vec<u64>,
}

impl Participation {
    fn sheet(&self) -> Result<Sheet, Failure> {
        let numbers = participation::Numbers {
            workers: self.workers,
            hostile: self.hostile.clone(),
            rounds: self.rounds,
            risk: self.risk,
            samples: self.samples.clone(),
        };
        Ok(numbers.tables()?)
    }
}

/// Arguments of `varangian theory signsgd`.
#[derive(clap::Args)]
#[command(allow_negative_numbers = true)] // refused below, by what they are for
struct Signsgd {
    /// Signal-to-noise ratios S = |g|/σ for the table of sign errors
    #[arg(long, value_delimiter = ',', default_value = "0.1,0.5,1,1.1547,2,3")]
    snr: Vec<f64>,
    /// M, the number of workers
    #[arg(long, default_value_t = 10)]
    workers: u64,
    /// f, numbers of hostile workers
    #[arg(long, value_delimiter = ',', default_value = "0,1,2,3,4")]
    hostile: Vec<u64>,
    /// p, the probability that an honest worker sends the true sign of a coordinate
    #[arg(long, default_value_t = 0.9)]
    p: f64,
    /// K, the number of steps; batches are K and N = K²
    #[arg(long, default_value_t = 100)]
    steps: u64,
    /// f(x₀) − f*
    #[arg(long, default_value_t = 2.0)]
    gap: f64,
    /// ‖L‖₁
    #[arg(long, default_value_t = 4.0)]
    smoothness: f64,
    /// ‖σ‖₁ of one sample
    #[arg(long, default_value_t = 3.0)]
    sigma: f64,
    /// β of Signum, for the warm-up of its theorem
    #[arg(long, default_value_t = 0.9)]
    beta: f64,
    /// Also run the vote on linear regression against each number of hostile workers, blind and
    /// opposing, and draw the gradient's norm beside its bounds to FILE.svg and FILE.png
    #[arg(long, value_name = "FILE")]
    measure: Option<PathBuf>,
}

impl Signsgd {
    fn numbers(&self) -> signsgd::Numbers {
        signsgd::Numbers {
            snr: self.snr.clone(),
            workers: self.workers,
            hostile: self.hostile.clone(),
            p: self.p,
            steps: self.steps,
            gap: self.gap,
            smoothness: self.smoothness,
            sigma: self.sigma,
            beta: self.beta,
        }
    }

    fn sheet(&self) -> Result<Sheet, Failure> {
        self.numbers().tables()
    }

    fn measured(&self) -> Result<(), Failure> {
        let Some(path) = &self.measure else { return Ok(()) };
        let (lines, picture) = self.numbers().measured()?;
        print::line("\nMeasured on linear regression: mean of ‖g‖₁ over the run, and its bounds");
        lines.iter().for_each(|line| print::line(line));
        picture.write(path)
    }
}
