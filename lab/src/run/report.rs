//! What a finished matrix leaves in its folder: tables, summary, pictures, its own configuration.

use super::notices::Notices;
use super::one::Job;
use crate::Failure;
use crate::config::{Experiment, KEYS};
use crate::pictures::{self, Subject};
use crate::results::{self, End, Outcome, Store, Tidy};
use std::collections::BTreeSet;
use std::fs;

/// The runs that are over, their tables, pictures and summary, the last in lines of at most `width`
/// characters for who reads it now, and what could not be drawn.
///
/// Others may be at the same folder: one at a time assembles, where the file system knows locks;
/// and where it does not, whoever wrote last goes on until what it wrote is of the runs that are
/// there. A run that was over before the last table was begun is in it, either way.
///
/// # Errors
/// If the folder cannot be written.
pub(super) fn tables(
    store: &Store,
    name: &str,
    jobs: &[Job],
    notices: &mut Notices,
    width: Option<usize>,
) -> Result<(Vec<Outcome>, String, Vec<Failure>), Failure> {
    let over = || -> Vec<Outcome> { jobs.iter().filter_map(|job| store.load(&job.key)).collect() };
    let lock = store.lock();
    let mut outcomes = over();
    loop {
        if outcomes.is_empty() {
            return Ok((outcomes, String::new(), Vec::new()));
        }
        let (text, shown, undrawn) = assemble(store, name, &outcomes, jobs.len(), width)?;
        notices.compare(&outcomes);
        notices.write(store)?;
        let text = format!("{text}{}", notices.section());
        store.write("summary.txt", text.as_bytes())?;
        let now = over();
        let ends = |all: &[Outcome]| -> Vec<(String, End)> {
            all.iter().map(|one| (one.key.clone(), one.end.clone())).collect()
        };
        if ends(&now) == ends(&outcomes) {
            drop(lock);
            return Ok((outcomes, format!("{shown}{}", notices.section()), undrawn));
        }
        outcomes = now;
    }
}

/// Writes tables, summary and curves; returns the summary as wide as it is and within `width`, and
/// what could not be drawn: tables are there whatever becomes of a picture. `planned`: the runs
/// that there will be.
///
/// # Errors
/// If the folder cannot be written.
fn assemble(
    store: &Store,
    name: &str,
    outcomes: &[Outcome],
    planned: usize,
    width: Option<usize>,
) -> Result<(String, String, Vec<Failure>), Failure> {
    let tidy = Tidy::of(outcomes);
    store.write("results.csv", &tidy.csv())?;
    store.write("results.parquet", &results::parquet(&tidy))?;
    store.write("runs.csv", &results::run_index(outcomes))?;
    let missing = results::missing(outcomes.len(), planned);
    let subject = Subject::of(store, name, outcomes, missing.clone());
    let summary = |width| results::summary(subject.table(), missing.as_deref(), width);
    let text = summary(None);
    store.write("summary.txt", text.as_bytes())?;
    let drawings = subject.learning();
    let files: BTreeSet<&str> = drawings.iter().map(|drawing| drawing.file.as_str()).collect();
    remove_stale(store, subject.table().metric, &files);
    let (_, trouble) = pictures::write_all(store, &drawings);
    Ok((text, summary(width), trouble))
}

/// Takes away what an assembly of fewer runs drew: its pictures are named by what varied then, and
/// would stand beside the new ones for ever. One that cannot be removed stays.
fn remove_stale(store: &Store, metric: &str, drawn: &BTreeSet<&str>) {
    let folder = store.path("");
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        let stem = path.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default();
        let picture = ["svg", "png"].map(Some).contains(&path.extension().and_then(|e| e.to_str()));
        let rest = stem.strip_prefix(metric);
        let ours = |rest: &str| rest.is_empty() || rest.starts_with('-') && rest.contains('=');
        if picture && rest.is_some_and(ours) && !drawn.contains(stem) {
            let _ = fs::remove_file(path);
        }
    }
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
        jobs.iter().map(|job| toml::Table::try_from(job.settings()).expect("scalars")).collect();
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pictures_of_fewer_runs_make_room_and_nothing_else_does() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::make(folder.path()).unwrap();
        let run = |n: usize, batch: usize| {
            let mut outcome = Outcome::sample("krum", "none", 1, &[0.1, 0.9]);
            (outcome.settings.n, outcome.settings.batch) = (n, batch);
            outcome
        };
        let drawn = || {
            let names =
                fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name());
            let mut names: Vec<String> = names
                .map(|name| name.into_string().unwrap())
                .filter(|n| n.contains("acc"))
                .collect();
            names.sort();
            names
        };
        fs::write(folder.path().join("accuracy.svg"), "of one setting").unwrap();
        for mine in ["accuracy-mine.png", "accuracy-n=9.txt", "my-accuracy-n=9.png"] {
            fs::write(folder.path().join(mine), "mine").unwrap();
        }
        assemble(&store, "name", &[run(10, 12), run(11, 12)], 2, None).unwrap();
        let of = |middle: &[&str]| {
            let mut names: Vec<String> =
                ["accuracy-mine.png", "accuracy-n=9.txt", "my-accuracy-n=9.png"]
                    .map(String::from)
                    .into();
            for middle in middle {
                names.extend(["svg", "png"].map(|end| format!("accuracy-{middle}.{end}")));
            }
            names.sort();
            names
        };
        assert_eq!(drawn(), of(&["n=10", "n=11"]));
        assemble(&store, "name", &[run(10, 12), run(11, 12), run(11, 24)], 4, None).unwrap();
        assert_eq!(drawn(), of(&["n=10-batch=12", "n=11-batch=12", "n=11-batch=24"]));
    }
}
