//! `varangian duel`: rules against attacks on given rows, the harm of each pair, and the worst
//! found.

mod harm;
mod kappa;
mod record;

pub use harm::{Arena, Harm};
pub use kappa::{Known, found, known};

use crate::{Failure, aggregate, print};
use serde_json::{Value, json};
use std::path::PathBuf;
use varangian_attacks::search::Measure;
use varangian_lab::results::cells::{self, Cell};
use varangian_lab::{files, plot};
use varangian_rules::Pipeline;
use varangian_rules::entry::Family;

/// Attacks that are tried when none is named: one of each kind that works on rows, and the search.
const ATTACKS: &[&str] = &[
    "sign-flip",
    "alie z=1.5",
    "ipm",
    "ipm epsilon=10",
    "min-max",
    "min-sum",
    "mimic",
    "fang",
    "worst",
];

/// The most trials of a search: days of work.
const MOST_TRIALS: i64 = 1_000_000_000;

/// Arguments of `varangian duel`.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// A rule: "nnm | multi-krum m=3"; repeat for more, leave out for all that accept n and f
    #[arg(long, value_name = "SPEC")]
    rule: Vec<String>,
    /// An attack: "alie z=1.5"; repeat for more, leave out for one of each kind and the search
    #[arg(long, value_name = "SPEC")]
    attack: Vec<String>,
    /// The number of hostile workers
    #[arg(long)]
    f: usize,
    /// What the honest workers send: an .npy matrix, workers × coordinates (in f32: f64 rows that
    /// f32 cannot tell apart are refused); without it, the gradients of a model after some steps of
    /// honest training
    #[arg(long, value_name = "HONEST.npy", conflicts_with_all = ["dataset", "model", "partition", "n", "batch", "at_step", "data"])]
    input: Option<PathBuf>,
    /// Training: the data set
    #[arg(long, default_value = "glyphs", value_name = "SPEC")]
    dataset: String,
    /// Training: the model
    #[arg(long, default_value = "mlp", value_name = "SPEC")]
    model: String,
    /// Training: how the data are split over workers
    #[arg(long, default_value = "iid", value_name = "SPEC")]
    partition: String,
    /// Training: the number of workers, hostile ones included
    #[arg(long, default_value_t = 11)]
    n: usize,
    /// Training: samples a worker and step
    #[arg(long, default_value_t = 32)]
    batch: usize,
    /// Training: the step at which rows are taken
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u64).range(..=1 << 40))]
    at_step: u64,
    /// Training: the folder of data sets that are read from files
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// Search for the worst data of each rule as well, with this many trials
    #[arg(long, value_name = "TRIALS", allow_negative_numbers = true)]
    #[arg(value_parser = clap::value_parser!(u32).range(2..=MOST_TRIALS))]
    kappa: Option<u32>,
    /// Write duel.csv, duel.svg and duel.png into this folder
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Seed of attacks that draw
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// One rule against all attacks.
struct Line {
    rule: String,
    cells: Vec<Result<Harm, String>>,
    known: Known,
    found: Option<f64>,
    /// What one round cannot show of the rule.
    note: Option<String>,
}

/// Reads rows, lets every attack meet every rule, prints the table.
pub(crate) fn run(args: &Args) -> Result<(), Failure> {
    let arena = record::arena(args)?;
    let rules = rules(args, arena.n(), arena.f)?;
    let attacks: Vec<String> = match args.attack.is_empty() {
        true => ATTACKS.iter().map(ToString::to_string).collect(),
        false => args.attack.clone(),
    };
    for attack in &attacks {
        // The rule on which a search tries its rows must be one that takes n and f.
        if let Some(tried) = varangian_attacks::build(attack)?.tries() {
            let tried = varangian_rules::build(tried, arena.n(), arena.f);
            let tried = tried.map_err(|why| Failure::from(why).at(attack))?;
            aggregate::demand_no_oracle(&tried).map_err(|why| why.at(attack))?;
        }
    }
    let lines = rules.iter().map(|rule| line(args, &arena, rule, &attacks));
    let lines: Vec<Line> = lines.collect::<Result<_, Failure>>()?;
    if let Some(folder) = &args.out {
        let path = folder.join("duel.csv");
        std::fs::create_dir_all(folder).map_err(|e| Failure::file("create", folder, &e))?;
        files::write(&path, &csv(&arena, &lines, &attacks))?;
    }
    print::line(&match args.json {
        true => format!("{:#}", to_json(&arena, &lines, &attacks)),
        false => table(&lines, &attacks),
    });
    // Last: a picture that cannot be drawn takes nothing else along.
    args.out.as_ref().map_or(Ok(()), |folder| picture(&lines, &attacks).write(&folder.join("duel")))
}

fn rules(args: &Args, n: usize, f: usize) -> Result<Vec<String>, Failure> {
    if args.rule.is_empty() {
        let fits = |name: &str| varangian_rules::build(name, n, f).is_ok();
        let all = varangian_rules::ALL.iter().filter(|entry| {
            let facts = &entry.facts;
            facts.family == Family::Rule && !facts.needs_oracle && fits(entry.name)
        });
        return Ok(all.map(|entry| entry.name.to_owned()).collect());
    }
    for rule in &args.rule {
        aggregate::demand_no_oracle(&varangian_rules::build(rule, n, f)?)?;
    }
    Ok(args.rule.clone())
}

fn line(args: &Args, arena: &Arena, rule: &str, attacks: &[String]) -> Result<Line, Failure> {
    let fight = |attack: &String| arena.fight(rule, attack).map_err(|error| error.to_string());
    let cells = attacks.iter().map(fight).collect();
    let (n, f) = (arena.n(), arena.f);
    let search = |trials: u32| -> Result<f64, Failure> {
        let mut best = 0.0f64;
        // One coordinate is enough for most rules, two for those that compare directions.
        for d in [1, 2] {
            let shape = (n, f, d);
            best = best.max(found(rule, shape, trials as usize / 2, Measure::Trace, arena.seed)?);
        }
        Ok(best)
    };
    let found = args.kappa.map(search).transpose()?;
    let note = aggregate::note(&Pipeline::parse(rule)?);
    Ok(Line { rule: rule.to_owned(), cells, known: known(rule, n, f)?, found, note })
}

fn number(x: f64) -> String {
    match x.abs() {
        size if size != 0.0 && !(1e-3..1e4).contains(&size) => format!("{x:.1e}"),
        _ => format!("{x:.3}"),
    }
}

fn table(lines: &[Line], attacks: &[String]) -> String {
    let mut header = vec!["rule"];
    header.extend(attacks.iter().map(String::as_str));
    header.extend(["worst", "by", "κ known"]);
    let with_found = lines.iter().any(|line| line.found.is_some());
    header.extend(with_found.then_some("κ found"));
    let row = |line: &Line| {
        let cell = |cell: &Result<Harm, String>| match cell {
            Ok(harm) => number(harm.ratio),
            Err(_) => "–".to_owned(),
        };
        let mut row = vec![line.rule.clone()];
        row.extend(line.cells.iter().map(cell));
        let (by, worst) = worst(line, attacks);
        row.extend([if worst.is_nan() { "–".to_owned() } else { number(worst) }, by]);
        row.push(match line.known {
            Known::Exact(value) => format!("= {}", number(value)),
            Known::AtMost(value) => format!("≤ {}", number(value)),
            Known::Nothing => "?".to_owned(),
        });
        row.extend(line.found.map(|value| format!("≥ {}", number(value))));
        row
    };
    let rows: Vec<Vec<String>> = lines.iter().map(row).collect();
    let mut right = vec![true; header.len()];
    right[0] = false;
    right[attacks.len() + 2] = false;
    let title = "Squared distance from the honest mean, in traces of the honest covariance";
    let mut text = format!("{title}\n\n{}", print::table(&header, &rows, &right).trim_end());
    let mut notes: Vec<&String> = lines.iter().filter_map(|line| line.note.as_ref()).collect();
    notes.dedup();
    notes.iter().for_each(|note| text.push_str(&format!("\n\nNote: {note}")));
    text.push_str(&failures(lines, attacks));
    text
}

/// Why duels were not fought, each reason once.
fn failures(lines: &[Line], attacks: &[String]) -> String {
    let mut seen = Vec::new();
    for line in lines {
        for (cell, attack) in line.cells.iter().zip(attacks) {
            let reason = cell.as_ref().err().map(|why| format!("\n\n– {attack}: {why}"));
            seen.extend(reason.filter(|reason| !seen.contains(reason)));
        }
    }
    seen.concat()
}

/// What is left of the honest step, between 0 and 1, for each rule under each attack.
fn picture(lines: &[Line], attacks: &[String]) -> plot::Picture {
    let left = |cell: &Result<Harm, String>| match cell {
        Ok(harm) => harm.progress.clamp(0.0, 1.0),
        Err(_) => f64::NAN,
    };
    let grid = plot::Grid {
        rows: lines.iter().map(|line| line.rule.clone()).collect(),
        columns: attacks.to_vec(),
        values: lines.iter().map(|line| line.cells.iter().map(left).collect()).collect(),
    };
    let notes = vec![
        "1: the whole step of the honest mean, in its direction; 0: none of it, or the other \
         direction. The printed table is of another quantity: the squared distance."
            .to_owned(),
    ];
    plot::heatmap("Share of the honest step that is left", "attack", "rule", grid, notes)
}

/// The attack of largest ratio, and the ratio.
fn worst(line: &Line, attacks: &[String]) -> (String, f64) {
    let cells = line.cells.iter().zip(attacks);
    let fought = cells.filter_map(|(cell, attack)| Some((cell.as_ref().ok()?.ratio, attack)));
    let best = fought.max_by(|a, b| a.0.total_cmp(&b.0));
    best.map_or(("none".into(), f64::NAN), |(ratio, attack)| (attack.clone(), ratio))
}

fn csv(arena: &Arena, lines: &[Line], attacks: &[String]) -> Vec<u8> {
    let header =
        ["rule", "attack", "n", "f", "d", "ratio", "progress", "hostile_weight", "refused"];
    let mut rows = Vec::new();
    for line in lines {
        for (cell, attack) in line.cells.iter().zip(attacks) {
            let Ok(harm) = cell else { continue };
            rows.push(vec![
                Cell::text(&line.rule),
                Cell::text(attack),
                Cell::count(arena.n()),
                Cell::count(arena.f),
                Cell::count(arena.honest.d()),
                Cell::Real(harm.ratio),
                Cell::Real(harm.progress),
                Cell::Real(harm.hostile_weight.unwrap_or(f64::NAN)),
                Cell::count(harm.refused),
            ]);
        }
    }
    cells::csv(&header, rows.into_iter())
}

fn to_json(arena: &Arena, lines: &[Line], attacks: &[String]) -> Value {
    let cell = |(cell, attack): (&Result<Harm, String>, &String)| {
        let harm = cell.as_ref().ok();
        json!({ "attack": attack, "ratio": harm.map(|harm| harm.ratio),
            "progress": harm.map(|harm| harm.progress),
            "hostile_weight": harm.map(|harm| harm.hostile_weight),
            "refused": harm.map(|harm| harm.refused), "error": cell.as_ref().err() })
    };
    let line = |line: &Line| {
        let cells: Vec<Value> = line.cells.iter().zip(attacks).map(cell).collect();
        let (by, worst) = worst(line, attacks);
        let (known, kind) = match line.known {
            Known::Exact(value) => (Some(value), "exact"),
            Known::AtMost(value) => (Some(value), "bound"),
            Known::Nothing => (None, "none"),
        };
        json!({ "rule": line.rule, "duels": cells, "worst": worst, "by": by,
            "kappa_known": known, "kappa_kind": kind, "kappa_found": line.found,
            "note": line.note })
    };
    let lines: Vec<Value> = lines.iter().map(line).collect();
    json!({ "n": arena.n(), "f": arena.f, "d": arena.honest.d(), "rules": lines })
}
