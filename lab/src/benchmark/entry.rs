//! What the benchmark found of one pipeline: the JSON file that makes a line of the leaderboard.

use super::backdoor::Backdoors;
use super::check;
use super::part::Part;
use crate::config::Settings;
use crate::results::Lock;
use crate::{Failure, files};
use serde::{Deserialize, Deserializer, Serialize};
use std::path::Path;

/// The word by which a file says what it is.
const FORMAT: &str = "varangian-benchmark";
/// The largest file that is read as an entry, in bytes.
const MOST: u64 = 1 << 24;

/// A judged pipeline. All accuracies are shares of the test samples, 0 to 1.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Entry {
    /// "varangian-benchmark".
    pub format: String,
    /// The protocol's version.
    pub version: u32,
    /// The protocol's tier: small or full.
    pub tier: String,
    /// A hash of the protocol's text, and of the part of it that was judged.
    pub protocol: String,
    /// The part of the protocol that was judged; not written where it is the whole.
    #[serde(default, skip_serializing_if = "Part::is_whole")]
    pub only: Part,
    /// A hash of the keys of all judged runs: of their settings, their data and this program's
    /// results version. Two entries with the same one are of the same numbers.
    pub configuration: String,
    /// The program's version.
    pub program: String,
    /// A hash of what the pipeline answers to fixed rows, its memory and draws included: code that
    /// answers otherwise has another. Not written in entries from before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    /// The pipeline in its one spelling.
    pub rule: String,
    /// Whether it asks for the loss on samples that the server holds, which others do without.
    pub validates: bool,
    /// Whether it names a rule or stage from outside this program.
    pub own: bool,
    /// The mean over cells of the accuracy under the worst attack.
    pub score: f64,
    /// Half of Student's 95 % interval of `score` over seeds; null, which is read as NaN, where a
    /// part has one seed.
    #[serde(deserialize_with = "known_or_nan")]
    pub half: f64,
    /// The same mean, had the five usual attacks been all; null where a part has none of them.
    #[serde(deserialize_with = "known_or_nan")]
    pub usual: f64,
    /// The same mean without an attack.
    pub clean: f64,
    /// Each task, partition and number of hostile workers.
    pub cells: Vec<Cell>,
    /// The accuracy with no hostile worker and f = 0 declared.
    pub calm: Vec<Calm>,
    /// How far backdoors open the models; not written where that was not measured, as of a part.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backdoors: Option<Backdoors>,
    /// κ at each f.
    pub kappa: Vec<Kappa>,
    /// What an aggregation costs.
    pub cost: Cost,
}

/// Where a pipeline was tried.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Setting {
    /// The data set.
    pub dataset: String,
    /// The model.
    pub model: String,
    /// How the training set is split.
    pub partition: String,
    /// Workers, hostile ones included.
    pub n: usize,
    /// Hostile workers, all of them declared.
    pub f: usize,
}

/// A pipeline in one setting, under each attack.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Cell {
    /// Where.
    pub setting: Setting,
    /// Why the pipeline cannot be run there; then it is worth a guess, and no attack is listed.
    pub refused: Option<String>,
    /// The chosen hyperparameters.
    pub tuned: Option<Tuned>,
    /// The accuracy under the worst attack; that of guessing where it is refused.
    pub worst: f64,
    /// The worst attack.
    pub by: String,
    /// The accuracy under the worst of the five usual attacks; null where a part has none.
    #[serde(deserialize_with = "known_or_nan")]
    pub usual: f64,
    /// The accuracy where hostile workers behave honestly.
    pub clean: f64,
    /// How the accuracy went; not written where it is not kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub curves: Option<Curves>,
    /// Every attack.
    pub attacks: Vec<Line>,
}

/// The accuracy over the steps, the mean over seeds: at most [`Curves::POINTS`] evaluations, the
/// first and the last among them, to four digits.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Curves {
    /// The steps at which was evaluated.
    pub steps: Vec<u64>,
    /// Under the worst attack, one for each step.
    pub worst: Vec<f64>,
    /// Where hostile workers behave honestly, one for each step.
    pub clean: Vec<f64>,
}

impl Curves {
    /// Evaluations that are kept.
    pub const POINTS: usize = 32;
}

/// What was chosen among the same candidates that every pipeline gets.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tuned {
    /// The step size.
    pub learning_rate: f64,
    /// The coefficient of the workers' momentum.
    pub momentum: f64,
}

/// One attack in one setting.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Line {
    /// The attack.
    pub attack: String,
    /// none, usual, time-coupled, published or search.
    pub kind: String,
    /// What it must know.
    pub knows: Vec<String>,
    /// The mean over seeds of the mean over the last ten evaluations.
    pub accuracy: f64,
    /// Half of Student's 95 % interval over seeds; null of one seed.
    #[serde(deserialize_with = "known_or_nan")]
    pub half: f64,
    /// The mean over seeds of the best evaluation: what papers report that show maxima.
    pub best: f64,
    /// The mean over the last ten evaluations for each seed.
    pub seeds: Vec<f64>,
    /// Runs that ended more than 5 points below their best.
    pub collapsed: usize,
}

/// A pipeline where nobody attacks and nobody is expected to.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Calm {
    /// Where.
    pub setting: Setting,
    /// The mean over seeds of the mean over the last ten evaluations.
    pub accuracy: f64,
}

/// κ of a pipeline: ‖F − x̄_S‖² ≤ κ·tr Σ_S.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Kappa {
    /// Workers.
    pub n: usize,
    /// Hostile ones.
    pub f: usize,
    /// The value or bound that is proven, if any is.
    pub known: Option<f64>,
    /// exact, bound or none.
    pub kind: String,
    /// The largest ratio that a search found, where there is one to be searched for.
    pub found: Option<f64>,
}

/// What an aggregation costs on the machine that judged: no part of the configuration.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Cost {
    /// Seconds of one core for an aggregation of `n` rows of `d` coordinates; `None` for what asks
    /// for a loss.
    pub seconds: Option<f64>,
    /// The same in those of the plain mean.
    pub means: Option<f64>,
    /// Rows.
    pub n: usize,
    /// Coordinates.
    pub d: usize,
    /// Bytes that a worker sends a coordinate and step.
    pub sent: f64,
    /// Bytes that the rule keeps a coordinate from one step to the next, for all workers.
    pub kept: Option<f64>,
    /// Seconds that all the runs took, of one core.
    pub runs: f64,
}

/// A number, or NaN for null, as which JSON has what is not known.
pub(super) fn known_or_nan<'de, D: Deserializer<'de>>(from: D) -> Result<f64, D::Error> {
    Ok(Option::deserialize(from)?.unwrap_or(f64::NAN))
}

impl Entry {
    /// The word of [`Entry::format`].
    pub(super) fn format() -> String {
        FORMAT.to_owned()
    }

    /// The share of stamped samples that are taken for a backdoor's target in a setting.
    pub(super) fn backdoor(&self, setting: &Setting) -> Option<f64> {
        let mut cells = self.backdoors.iter().flat_map(|one| &one.cells);
        cells.find(|cell| cell.setting == *setting).map(|cell| cell.rate)
    }

    /// The entry as it is written.
    pub fn text(&self) -> String {
        serde_json::to_string_pretty(self).expect("plain values") + "\n"
    }

    /// Reads an entry.
    ///
    /// # Errors
    /// If the file cannot be read, is no entry, or of another format; or if its numbers do not
    /// agree with each other, as after an edit.
    pub fn read(path: &Path) -> Result<Self, Failure> {
        let bytes = files::read_own(path, MOST).map_err(|e| Failure::file("read", path, &e))?;
        let wrong = |why: String| Failure::refused(why).at(path.display());
        let entry: Entry = serde_json::from_slice(&bytes)
            .map_err(|error| wrong(format!("is no entry of the benchmark: {error}")))?;
        if entry.format != FORMAT {
            return Err(wrong(format!("its format is \"{}\", not \"{FORMAT}\"", entry.format)));
        }
        check::agrees(&entry).map_err(|why| {
            wrong(format!("does not agree with itself: {why}; judge the pipeline again"))
        })?;
        Ok(entry)
    }

    /// Changes an entry as it stands now: what others changed in it meanwhile stays, and whoever
    /// else changes one in this folder waits.
    ///
    /// # Errors
    /// As [`Entry::read`]; if it cannot be written.
    pub(super) fn change(path: &Path, by: impl FnOnce(Entry) -> Entry) -> Result<(), Failure> {
        let _lock = Lock::take(&path.with_file_name(".varangian.lock"));
        files::write(path, by(Entry::read(path)?).text().as_bytes())
    }

    /// The file that it is written to in a folder.
    pub fn file(rule: &str) -> String {
        format!("{}.json", files::name(rule))
    }
}

impl Setting {
    /// That of a run.
    pub(super) fn of(settings: &Settings) -> Self {
        Setting {
            dataset: settings.dataset.clone(),
            model: settings.model.clone(),
            partition: settings.partition.clone(),
            n: settings.n,
            f: settings.f,
        }
    }

    /// "glyphs, sorted, f = 2 of 11".
    pub fn label(&self) -> String {
        let Setting { dataset, partition, n, f, .. } = self;
        format!("{dataset}, {partition}, f = {f} of {n}")
    }
}

impl Cell {
    /// The accuracies of each seed under the worst attack; none where the pipeline is refused.
    pub(super) fn seeds(&self) -> &[f64] {
        let line = self.attacks.iter().find(|line| line.attack == self.by);
        line.map_or(&[], |line| &line.seeds)
    }

    /// What the five usual attacks leave unsaid, in accuracy.
    pub fn overstated(&self) -> f64 {
        self.usual - self.worst
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_entries_of_this_format_are_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(Entry::file("../up | median"));
        assert_eq!(path.parent(), Some(folder.path()));
        let entry = super::super::judge::tests::entry("median", 0.75);
        std::fs::write(&path, entry.text()).unwrap();
        let read = Entry::read(&path).unwrap();
        assert_eq!(read.text(), entry.text());
        let other = entry.text().replacen(FORMAT, "something-else", 1);
        std::fs::write(&path, other).unwrap();
        let error = Entry::read(&path).unwrap_err().to_string();
        assert!(error.contains("its format is \"something-else\""), "{error}");
        std::fs::write(&path, "[]").unwrap();
        assert!(Entry::read(&path).unwrap_err().to_string().contains("is no entry"));
    }
}
