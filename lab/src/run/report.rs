//! What a finished matrix leaves in its folder: tables, summary, pictures, its own configuration.

use super::one::Job;
use crate::Failure;
use crate::config::{Experiment, KEYS, label_keys};
use crate::plot::{Curve, Panel, Spread, curves};
use crate::results::{self, Interval, Outcome, Store, Table, student};
use std::collections::{BTreeMap, BTreeSet};

/// Writes tables, summary and curves; returns the summary.
///
/// # Errors
/// If the folder cannot be written.
pub(crate) fn assemble(store: &Store, name: &str, outcomes: &[Outcome]) -> Result<String, Failure> {
    store.write("results.csv", &results::tidy(outcomes))?;
    store.write("runs.csv", &results::run_index(outcomes))?;
    let table = Table::of(outcomes);
    let text = results::summary(&table);
    store.write("summary.txt", text.as_bytes())?;
    for (suffix, group) in groups(outcomes) {
        let picture = accuracy(name, &suffix, &group, &table);
        let file = format!("{}{}", table.metric, file_suffix(&suffix));
        picture.write(&store.path(&file))?;
    }
    Ok(text)
}

/// Outcomes by what varies beside rule, attack and seed: one picture each.
fn groups(outcomes: &[Outcome]) -> BTreeMap<String, Vec<&Outcome>> {
    let settings: Vec<_> = outcomes.iter().map(|outcome| &outcome.settings).collect();
    let keys: Vec<&str> = label_keys(&settings).into_iter().filter(|key| *key != "rule").collect();
    let mut groups: BTreeMap<String, Vec<&Outcome>> = BTreeMap::new();
    for outcome in outcomes.iter().filter(|outcome| outcome.is_finished()) {
        groups.entry(outcome.settings.label(&keys)).or_default().push(outcome);
    }
    groups
}

/// "-momentum_at=worker", with nothing that a file name cannot hold.
fn file_suffix(suffix: &str) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() || "=._-".contains(c) { c } else { '-' };
    let text: String = suffix.replace(", ", "-").chars().map(plain).collect();
    if text.is_empty() { text } else { format!("-{text}") }
}

/// The metric against the step: a panel an attack, a line a rule, a Student band over seeds.
fn accuracy(name: &str, suffix: &str, group: &[&Outcome], table: &Table) -> crate::plot::Picture {
    let (mut rules, mut panels) = (Vec::new(), Vec::<Panel>::new());
    let mut seeds: BTreeMap<(usize, usize), Vec<Vec<(u64, f64)>>> = BTreeMap::new();
    for outcome in group {
        let rule = results::place(&mut rules, &outcome.settings.rule);
        let attack = &outcome.settings.attack;
        let panel = panels.iter().position(|panel| panel.title == *attack).unwrap_or(panels.len());
        if panel == panels.len() {
            panels.push(Panel { title: attack.clone(), curves: Vec::new() });
        }
        seeds.entry((panel, rule)).or_default().push(outcome.curve(table.metric));
    }
    for ((panel, line), curves) in seeds {
        panels[panel].curves.push(Curve { line, points: band(&curves) });
    }
    let mut title = if suffix.is_empty() { name.to_owned() } else { format!("{name}: {suffix}") };
    title.push_str(&band_note(group));
    let label = if table.higher_is_better { "test accuracy" } else { "test loss" };
    curves(&title, label, &rules, panels, table.higher_is_better)
}

/// With fewer seeds than this, Student's interval is wider than any picture: the range is drawn.
const FEW: usize = 5;

/// What the bands of a picture are.
fn band_note(group: &[&Outcome]) -> String {
    let seeds: BTreeSet<u64> = group.iter().map(|outcome| outcome.settings.seed).collect();
    match seeds.len() {
        0 | 1 => String::new(),
        few if few < FEW => format!(" (bands: range of {few} seeds)"),
        many => format!(" (bands: 95 % Student interval of {many} seeds)"),
    }
}

/// (step, low, mean, high) over seeds at each step that all of them have.
pub(crate) fn band(curves: &[Vec<(u64, f64)>]) -> Vec<Spread> {
    let shortest = curves.iter().map(Vec::len).min().unwrap_or(0);
    let point = |k: usize| {
        let values: Vec<f64> = curves.iter().map(|curve| curve[k].1).collect();
        let Interval { mean, half } = student(&values);
        let (low, high) = match values.len() {
            0 | 1 => (f64::NAN, f64::NAN),
            few if few < FEW => (
                values.iter().copied().fold(f64::INFINITY, f64::min),
                values.iter().copied().fold(f64::NEG_INFINITY, f64::max),
            ),
            _ => (mean - half, mean + half),
        };
        Spread { step: curves[0][k].0 as f64, low, mean, high }
    };
    (0..shortest).map(point).collect()
}

/// Writes `experiment.toml`: the resolved configuration, which runs as it stands.
///
/// # Errors
/// If the folder cannot be written.
pub(super) fn write_experiment(
    store: &Store,
    experiment: &Experiment,
    jobs: &[Job],
    hash: &str,
) -> Result<(), Failure> {
    store.write("experiment.toml", resolved(&experiment.name, jobs, hash).as_bytes())
}

fn resolved(name: &str, jobs: &[Job], hash: &str) -> String {
    let tables: Vec<toml::Table> =
        jobs.iter().map(|job| toml::Table::try_from(&job.settings).expect("scalars")).collect();
    let keys = || KEYS.iter().map(|key| key.name);
    let same = |key: &str| tables.iter().all(|table| table.get(key) == tables[0].get(key));
    let version = env!("CARGO_PKG_VERSION");
    let mut out = format!("# varangian {version}, configuration {hash}\n");
    out.push_str(&format!("name = {}\n", toml::Value::from(name)));
    for key in keys().filter(|key| same(key)) {
        out.push_str(&format!("{key} = {}\n", tables[0][key]));
    }
    for (table, job) in tables.iter().zip(jobs) {
        out.push_str(&format!("\n[[run]] # {}\n", job.key));
        for key in keys().filter(|key| !same(key)) {
            out.push_str(&format!("{key} = {}\n", table[key]));
        }
    }
    out
}
