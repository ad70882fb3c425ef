//! What a finished matrix leaves in its folder: tables, summary, pictures, its own configuration.

use super::one::Job;
use crate::Failure;
use crate::config::{Experiment, KEYS};
use crate::pictures;
use crate::results::{self, Outcome, Store, Table};

/// Writes tables, summary and curves; returns the summary.
///
/// # Errors
/// If the folder cannot be written.
pub(crate) fn assemble(store: &Store, name: &str, outcomes: &[Outcome]) -> Result<String, Failure> {
    store.write("results.csv", &results::tidy(outcomes))?;
    store.write("results.parquet", &results::parquet(outcomes))?;
    store.write("runs.csv", &results::run_index(outcomes))?;
    let table = Table::of(outcomes);
    let text = results::summary(&table);
    store.write("summary.txt", text.as_bytes())?;
    for (file, picture) in pictures::learning(name, outcomes, &table) {
        picture.write(&store.path(&file))?;
    }
    Ok(text)
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
    // A key that a table leaves out stands at its default.
    let line = |table: &toml::Table, key: &str| {
        table.get(key).map_or(String::new(), |value| format!("{key} = {value}\n"))
    };
    for key in keys().filter(|key| same(key)) {
        out.push_str(&line(&tables[0], key));
    }
    for (table, job) in tables.iter().zip(jobs) {
        out.push_str(&format!("\n[[run]] # {}\n", job.key));
        for key in keys().filter(|key| !same(key)) {
            out.push_str(&line(table, key));
        }
    }
    out
}
