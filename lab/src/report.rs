//! Folders of results as one HTML file with everything in it, which needs no network.

use crate::benchmark::Leaderboard;
use crate::pictures::{self, Subject};
use crate::results::json::{About, Results};
use crate::results::{self, Store};
use crate::{Failure, files, page};
use std::path::{Path, PathBuf};

/// A report that was written.
#[derive(Clone, Debug)]
pub struct Report {
    /// The file.
    pub file: PathBuf,
    /// What its readers must know, which it says too: that runs are missing, or not as written.
    pub missing: Option<String>,
}

/// Writes `report.html` into a folder of results, with those of `others` beside them. A folder of
/// the benchmark has its leaderboard in it, and so has one of a pipeline's runs below.
///
/// # Errors
/// If there are no results and no entries, or the folder cannot be written.
pub fn write(folder: &Path, others: &[PathBuf]) -> Result<Report, Failure> {
    let first = Read::of(folder)?;
    let mut missing = first.missing.clone();
    let (mut texts, mut plain) = (vec![first.json], first.plain);
    for other in others {
        let read = Read::of(other)?;
        texts.push(read.json);
        plain += &read.plain;
        missing = missing.or(read.missing);
    }
    let html = page::alone(&first.name, &texts, &plain);
    let file = folder.join("report.html");
    files::write(&file, html.as_bytes())?;
    Ok(Report { file, missing })
}

/// What is shown of a folder.
struct Read {
    name: String,
    json: String,
    plain: String,
    missing: Option<String>,
}

impl Read {
    fn of(folder: &Path) -> Result<Self, Failure> {
        let found = Store::open(folder).and_then(|store| Ok((store.kept()?, store)));
        let leaderboard = match folder.is_dir() {
            true => Leaderboard::beside(folder)?,
            false => None,
        };
        let (kept, store) = match (found, leaderboard.as_ref()) {
            (Ok(found), _) => found,
            // The benchmark's folder has entries, and each pipeline's runs in a folder below.
            (Err(_), Some(board)) => return Ok(Self::alone(folder, board)),
            (Err(failure), None) => return Err(failure),
        };
        let (name, missing) = (pictures::name_of(folder), kept.missing());
        let about = About::of(&store, &name, kept.planned, missing.clone());
        let about = About { leaderboard, ..about };
        let results = Results::of(&about, &kept.outcomes.iter().collect::<Vec<_>>());
        let subject = Subject::of(&store, &name, &kept.outcomes, missing.clone());
        let mut plain = format!("{name}\n\n{}\n\n", results.asked);
        plain += &results::summary(subject.table(), missing.as_deref(), None);
        plain += &results.notes.iter().map(|note| format!("\n{note}\n")).collect::<String>();
        Ok(Read { name, json: results.embedded(), plain, missing })
    }

    /// A leaderboard, and no runs.
    fn alone(folder: &Path, board: &Leaderboard) -> Self {
        let name = pictures::name_of(folder);
        let plain = format!("{name}\n\n{}", board.text());
        Read { json: board.embedded(&name), name, plain, missing: None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::results::Outcome;

    #[test]
    fn the_report_stands_alone_and_holds_its_results() {
        let folder = tempfile::tempdir().unwrap();
        let one = folder.path().join("one");
        let other = folder.path().join("other");
        for at in [&one, &other] {
            let store = Store::make(at).unwrap();
            store.save(&Outcome::sample("krum", "none", 1, &[0.5, 0.9])).unwrap();
            store.save(&Outcome::sample("krum", "</script><b>", 1, &[0.7, 0.1])).unwrap();
        }
        let text = "name = 'a & b'\n[[run]] # r0123456789ab\n";
        Store::open(&other).unwrap().write("experiment.toml", text.as_bytes()).unwrap();
        let failure = write(&other, &[]).unwrap_err().to_string();
        assert!(failure.contains("has no results yet"), "{failure}");
        std::fs::remove_file(other.join("experiment.toml")).unwrap();
        let report = write(&one, std::slice::from_ref(&other)).unwrap();
        let html = std::fs::read_to_string(report.file).unwrap();
        assert!(!html.contains("</script><b>") && html.contains("!c collapsed: ended more"));
        let data = |id: &str| {
            let (_, rest) = html.split_once(&format!("id=\"{id}\">")).unwrap();
            serde_json::from_str::<Results>(rest.split_once("</script>").unwrap().0).unwrap()
        };
        assert_eq!(data("varangian-results").runs.len(), 2);
        assert_eq!(data("varangian-results-2").name, "other");
    }
}
