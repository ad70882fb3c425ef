//! The leaderboard: entries of one protocol side by side, best worst case first.

use super::backdoor::{self, Backdoors};
use super::check;
use super::code;
use super::cost;
use super::entry::{Entry, Kappa, Setting, known_or_nan};
use super::part::Part;
use super::protocol::{Kind, VERSION};
use crate::plot::{self, Picture};
use crate::results::mean;
use crate::run::{Events, How};
use crate::{Failure, files};
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

/// The largest leaderboard that is read, in bytes.
const MOST: u64 = 1 << 24;

/// Entries of one protocol, the best first.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Board {
    /// The protocol's version.
    pub version: u32,
    /// Its tier.
    pub tier: String,
    /// A hash of its text, and of the part of it that was judged.
    pub protocol: String,
    /// The part of the protocol that was judged; not written where it is the whole.
    #[serde(default, skip_serializing_if = "Part::is_whole")]
    pub only: Part,
    /// One for each pipeline.
    pub standings: Vec<Standing>,
}

/// An entry without its attacks: a line of the leaderboard. Accuracies are shares of 1.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Standing {
    /// The pipeline.
    pub rule: String,
    /// Whether it asks for the loss on samples of the server's own.
    pub validates: bool,
    /// Whether it names a rule or stage from outside the program.
    pub own: bool,
    /// The mean over settings of the accuracy under the worst attack.
    pub score: f64,
    /// Half of its 95 % interval over seeds; NaN of one seed.
    #[serde(deserialize_with = "known_or_nan")]
    pub half: f64,
    /// What the five usual attacks alone would have said; NaN where a part has none of them.
    #[serde(deserialize_with = "known_or_nan")]
    pub usual: f64,
    /// The mean over settings where hostile workers behave honestly.
    pub clean: f64,
    /// The mean over tasks where nobody is hostile and f = 0; NaN where a part has none.
    #[serde(deserialize_with = "known_or_nan")]
    pub calm: f64,
    /// Attacked runs that ended more than 5 points below their best.
    pub collapsed: usize,
    /// Attacked runs.
    pub runs: usize,
    /// Settings in which a search was worst, and the objective that was so most often.
    pub searched: usize,
    /// That objective's attack; empty where no search was worst anywhere.
    pub strategy: String,
    /// The share of stamped samples that are taken for a backdoor's target, the mean over settings
    /// of the worst; not written where backdoors were not measured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backdoor: Option<f64>,
    /// The same where nothing is stamped in training: by chance.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub chance: Option<f64>,
    /// κ at each f.
    pub kappa: Vec<Kappa>,
    /// Time of an aggregation in plain means, on the machine that judged.
    pub means: Option<f64>,
    /// The hash of the runs.
    pub configuration: String,
    /// Every setting.
    pub cells: Vec<Place>,
}

/// A pipeline in one setting.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Place {
    /// Where.
    pub setting: Setting,
    /// Whether the pipeline's bound leaves it out.
    pub refused: bool,
    /// The accuracy under the worst attack.
    pub worst: f64,
    /// That of each seed; none where the bound leaves the setting out, or in a leaderboard from
    /// before.
    #[serde(default)]
    pub seeds: Vec<f64>,
    /// That attack.
    pub by: String,
    /// Under the worst of the usual five; NaN where a part has none.
    #[serde(deserialize_with = "known_or_nan")]
    pub usual: f64,
    /// Where hostile workers behave honestly.
    pub clean: f64,
    /// The share of stamped samples that are taken for a backdoor's target; not written where that
    /// was not measured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backdoor: Option<f64>,
}

impl Standing {
    fn of(entry: &Entry) -> Self {
        let attacked = || {
            let lines = entry.cells.iter().flat_map(|cell| &cell.attacks);
            lines.filter(|line| line.kind != Kind::None.name())
        };
        let searches = entry.cells.iter().filter(|cell| Kind::of(&cell.by) == Kind::Search);
        let searches: Vec<&str> = searches.map(|cell| cell.by.as_str()).collect();
        let times = |attack: &str| searches.iter().filter(|one| **one == attack).count();
        // Equally often: the first.
        let strategy = searches.iter().rev().max_by_key(|one| times(one));
        let place = |cell: &super::Cell| Place {
            setting: cell.setting.clone(),
            refused: cell.refused.is_some(),
            worst: cell.worst,
            seeds: cell.seeds().to_vec(),
            by: cell.by.clone(),
            usual: cell.usual,
            clean: cell.clean,
            backdoor: entry.backdoor(&cell.setting),
        };
        let calm: Vec<f64> = entry.calm.iter().map(|one| one.accuracy).collect();
        Standing {
            rule: entry.rule.clone(),
            validates: entry.validates,
            own: entry.own,
            score: entry.score,
            half: entry.half,
            usual: entry.usual,
            clean: entry.clean,
            calm: mean(&calm),
            collapsed: attacked().map(|line| line.collapsed).sum(),
            runs: attacked().map(|line| line.seeds.len()).sum(),
            searched: searches.len(),
            strategy: strategy.map_or(String::new(), |one| (*one).to_owned()),
            backdoor: entry.backdoors.as_ref().map(|one| one.rate),
            chance: entry.backdoors.as_ref().map(|one| one.chance),
            kappa: entry.kappa.clone(),
            means: entry.cost.means,
            configuration: entry.configuration.clone(),
            cells: entry.cells.iter().map(place).collect(),
        }
    }

    /// Whether its means are those of its settings.
    fn agrees(&self) -> Result<(), String> {
        let mean_of = |of: fn(&Place) -> f64| mean(&self.cells.iter().map(of).collect::<Vec<_>>());
        let shares = self.cells.iter().flat_map(|place| [place.worst, place.clean]);
        shares.into_iter().try_for_each(|x| check::share("an accuracy", x))?;
        check::same("score", self.score, mean_of(|place| place.worst))?;
        check::same("usual", self.usual, mean_of(|place| place.usual))?;
        check::same("clean", self.clean, mean_of(|place| place.clean))
    }

    /// What the usual five leave unsaid, in accuracy.
    pub fn overstated(&self) -> f64 {
        self.usual - self.score
    }
}

impl Board {
    /// The entries in a folder, `*.json`.
    ///
    /// # Errors
    /// If the folder cannot be read, holds no entry, a file that is none, entries of two
    /// protocols, or of one that is not this program's version.
    pub fn read(folder: &Path) -> Result<Self, Failure> {
        Self::of(&Self::entries(folder)?).map_err(|failure| failure.at(folder.display()))
    }

    /// The entries of a folder, by file name; leaderboards that [`Board::json`] wrote beside them
    /// are passed over. Of a folder without entries in which just one folder has some: those.
    ///
    /// # Errors
    /// If the folder cannot be read, a file is no entry, or several folders in it have entries.
    pub fn entries(folder: &Path) -> Result<Vec<Entry>, Failure> {
        Self::paths(folder)?.iter().map(|path| Entry::read(path)).collect()
    }

    /// Of entries of another version of the program those whose pipeline answers otherwise in this
    /// one: "krum, by 0.1.0". Rules of one's own, and entries without a hash, are not told.
    pub fn strangers(entries: &[Entry]) -> Vec<String> {
        code::strangers(entries)
    }

    /// Times every pipeline of the entries in a folder anew, on this machine, and writes that into
    /// them; `told` hears of each rule and its time in plain means, `None` of rules of one's own,
    /// which stay as they are, and of those that ask for a loss. Nothing else in an entry changes.
    ///
    /// # Errors
    /// As [`Board::entries`]; if an entry cannot be written.
    pub fn retime(folder: &Path, told: impl FnMut(&str, Option<f64>)) -> Result<(), Failure> {
        cost::retime(&Self::paths(folder)?, told)
    }

    /// Measures backdoors for the entries in a folder that lack them, with the hyperparameters that
    /// each chose, and writes them into it; the runs are kept in `backdoors` there. `told` hears of
    /// each rule, `None` of rules of one's own, which stay as they are. Nothing else in an entry
    /// changes.
    ///
    /// # Errors
    /// As [`Board::entries`]; if a run cannot be done, or an entry cannot be written.
    pub fn backdoors(
        folder: &Path,
        how: &How,
        events: &mut dyn Events,
        told: impl FnMut(&str, Option<&Backdoors>),
    ) -> Result<(), Failure> {
        backdoor::complete(&Self::paths(folder)?, how, events, told)
    }

    fn paths(folder: &Path) -> Result<Vec<PathBuf>, Failure> {
        let files = json_files(folder)?;
        if !files.is_empty() {
            return Ok(files);
        }
        let list = std::fs::read_dir(folder).map_err(|e| Failure::file("read", folder, &e))?;
        let mut below: Vec<_> = list.flatten().map(|entry| entry.path()).collect();
        below.retain(|path| path.is_dir() && json_files(path).is_ok_and(|files| !files.is_empty()));
        below.sort();
        match below.as_slice() {
            [] => Ok(Vec::new()),
            [one] => json_files(one),
            several => {
                let names: Vec<_> = several.iter().map(|path| path.display().to_string()).collect();
                let text = format!("holds no entry itself; name one of {}", names.join(", "));
                Err(Failure::refused(text).at(folder.display()))
            }
        }
    }

    /// The leaderboard of these entries.
    ///
    /// # Errors
    /// If there is none, or they are of two protocols or another version.
    pub fn of(entries: &[Entry]) -> Result<Self, Failure> {
        let Some(first) = entries.first() else {
            let text = "holds no entry; `varangian benchmark RULE --out FOLDER` makes one";
            return Err(Failure::refused(text));
        };
        for entry in entries {
            let is_one = entry.protocol == first.protocol && entry.tier == first.tier;
            if entry.version != VERSION || !is_one {
                let of = |one: &Entry| {
                    let Entry { rule, tier, version, protocol, .. } = one;
                    format!("{rule} is of version {version}, tier {tier}, {protocol}")
                };
                let other = if entry.version != VERSION || entry.rule == first.rule {
                    String::new()
                } else {
                    format!("; {}", of(first))
                };
                return Err(Failure::refused(format!(
                    "entries are of one protocol of version {VERSION}: {}{other}",
                    of(entry)
                )));
            }
        }
        let mut rules: Vec<&str> = entries.iter().map(|entry| entry.rule.as_str()).collect();
        rules.sort_unstable();
        if let Some(pair) = rules.windows(2).find(|pair| pair[0] == pair[1]) {
            let text = format!("has two entries of \"{}\"; one of the two files must go", pair[0]);
            return Err(Failure::refused(text));
        }
        let mut standings: Vec<Standing> = entries.iter().map(Standing::of).collect();
        let order = |a: &Standing, b: &Standing| {
            b.score.total_cmp(&a.score).then_with(|| a.rule.cmp(&b.rule))
        };
        standings.sort_by(order);
        let (tier, protocol) = (first.tier.clone(), first.protocol.clone());
        Ok(Board { version: VERSION, tier, protocol, only: first.only.clone(), standings })
    }

    /// A leaderboard from a folder of entries, or from a file that [`Board::json`] made.
    ///
    /// # Errors
    /// If it is neither.
    pub fn load(path: &Path) -> Result<Self, Failure> {
        if path.is_dir() {
            return Board::read(path);
        }
        let bytes = files::read_own(path, MOST).map_err(|e| Failure::file("read", path, &e))?;
        Board::parse(&String::from_utf8_lossy(&bytes)).map_err(|failure| failure.at(path.display()))
    }

    /// A leaderboard from the text that [`Board::json`] makes.
    ///
    /// # Errors
    /// If it is none, has no entry, or is of another version.
    pub fn parse(text: &str) -> Result<Self, Failure> {
        let wrong = |error| Failure::refused(format!("is no leaderboard: {error}"));
        let board: Board = serde_json::from_str(text).map_err(wrong)?;
        if board.version != VERSION {
            return Err(Failure::refused(format!(
                "is a leaderboard of version {}; this program reads {VERSION}",
                board.version
            )));
        }
        if board.standings.is_empty() {
            return Err(Failure::refused("is a leaderboard without any entry"));
        }
        for standing in &board.standings {
            let why = standing.agrees().err();
            if let Some(why) = why {
                let rule = &standing.rule;
                return Err(Failure::refused(format!(
                    "does not agree with itself: {rule}: {why}; `varangian leaderboard FOLDER` writes \
                     it anew"
                )));
            }
        }
        Ok(board)
    }

    /// What part of the protocol was judged, between two texts; nothing where it is the whole.
    pub(super) fn part(&self, before: &str, after: &str) -> String {
        match self.only.is_whole() {
            true => String::new(),
            false => format!("{before}{}{after}", self.only.text()),
        }
    }

    /// As JSON: what [`Board::load`] reads.
    pub fn json(&self) -> String {
        serde_json::to_string_pretty(self).expect("plain values") + "\n"
    }

    /// The worst case of each pipeline in each setting, as a picture.
    pub fn picture(&self) -> Picture {
        let first = self.standings.first().map_or(&[][..], |first| &first.cells);
        let worst = |standing: &Standing| {
            let value = |place: &Place| if place.refused { f64::NAN } else { place.worst };
            standing.cells.iter().map(value).collect()
        };
        let grid = plot::Grid {
            rows: self.standings.iter().map(|standing| standing.rule.clone()).collect(),
            columns: first.iter().map(|place| place.setting.label()).collect(),
            values: self.standings.iter().map(worst).collect(),
        };
        let notes = vec![format!(
            "Protocol {}, version {}: the last ten evaluations, mean over seeds. Grey: the rule's \
             bound leaves it out.{}",
            self.tier,
            self.version,
            self.part(" Only ", ".")
        )];
        plot::heatmap("Accuracy under the worst attack", "setting", "pipeline", grid, notes)
    }
}

/// The files of a folder that may be entries, `*.json` but for leaderboards, sorted.
fn json_files(folder: &Path) -> Result<Vec<PathBuf>, Failure> {
    let list = std::fs::read_dir(folder).map_err(|e| Failure::file("read", folder, &e))?;
    let mut files: Vec<_> = list.flatten().map(|entry| entry.path()).collect();
    files.retain(|path| path.extension().is_some_and(|ending| ending == "json"));
    files.retain(|path| {
        let bytes = files::read_own(path, MOST).unwrap_or_default();
        serde_json::from_slice::<Board>(&bytes).is_err()
    });
    files.sort();
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::super::judge::tests::entry;
    use super::*;

    #[test]
    fn the_best_worst_case_comes_first_and_protocols_are_not_mixed() {
        let entries = [entry("average", 0.5), entry("median", 0.9), entry("krum", 0.7)];
        let board = Board::of(&entries).unwrap();
        let rules: Vec<&str> = board.standings.iter().map(|one| one.rule.as_str()).collect();
        assert_eq!(rules, ["median", "krum", "average"]);
        let median = &board.standings[0];
        assert_eq!((median.searched, median.cells.len()), (8, 8));
        assert_eq!(median.strategy, "worst budget=32 objective=loss");
        assert!((median.overstated() - 0.05).abs() < 1e-12);
        assert_eq!(median.runs, 8 * 12 * 5);
        let other = Entry { protocol: "another".into(), ..entry("faba", 0.5) };
        let mixed = Board::of(&[entries[0].clone(), other]).unwrap_err().to_string();
        assert!(mixed.contains("faba is of version 1, tier small, another; average is"), "{mixed}");
        let newer = Entry { version: VERSION + 1, ..entry("faba", 0.5) };
        let mixed = Board::of(&[newer, entries[0].clone()]).unwrap_err().to_string();
        assert!(
            mixed.ends_with(&format!("faba is of version 2, tier small, {}", entries[0].protocol))
        );
        let full = Entry { tier: "full".into(), ..entry("faba", 0.5) };
        assert!(Board::of(&[entries[0].clone(), full]).is_err());
        let twice = Board::of(&[entry("krum", 0.7), entry("krum", 0.8)]).unwrap_err().to_string();
        assert!(twice.contains("two entries of \"krum\""), "{twice}");
        assert!(Board::of(&[]).unwrap_err().to_string().contains("holds no entry"));
    }

    #[test]
    fn a_folder_of_entries_and_the_file_made_of_it_are_one_board() {
        let folder = tempfile::tempdir().unwrap();
        for one in [entry("median", 0.75), entry("nnm | krum", 0.5)] {
            super::super::judge::write(folder.path(), &one).unwrap();
        }
        let board = Board::load(folder.path()).unwrap();
        let file = folder.path().join("board.txt");
        std::fs::write(&file, board.json()).unwrap();
        assert_eq!(Board::load(&file).unwrap(), board);
        // The board's own file beside the entries, and the folder above them.
        std::fs::write(folder.path().join("board.json"), board.json()).unwrap();
        assert_eq!(Board::load(folder.path()).unwrap(), board);
        let above = tempfile::tempdir().unwrap();
        let make = |name: &str| {
            let below = above.path().join(name);
            std::fs::create_dir(&below).unwrap();
            super::super::judge::write(&below, &entry("median", 0.75)).unwrap();
        };
        make("small");
        std::fs::write(above.path().join("board.json"), board.json()).unwrap();
        assert_eq!(Board::load(above.path()).unwrap().standings.len(), 1);
        make("smaller");
        let error = Board::load(above.path()).unwrap_err().to_string();
        assert!(error.contains("holds no entry itself; name one of"), "{error}");
        assert!(board.picture().svg().contains("nnm | krum"));
        // What was changed by hand, or is of another version, is none.
        let refused = |changed: Board| {
            std::fs::write(&file, changed.json()).unwrap();
            Board::load(&file).unwrap_err().to_string()
        };
        let newer = Board { version: 7, ..board.clone() };
        assert!(refused(newer).contains("is a leaderboard of version 7; this program reads 1"));
        let empty = Board { standings: Vec::new(), ..board.clone() };
        assert!(refused(empty).contains("without any entry"));
        let mut better = board.clone();
        better.standings[0].score = 0.99;
        assert!(refused(better).contains("median: score is 0.99"));
        std::fs::write(&file, "{}").unwrap();
        assert!(Board::load(&file).unwrap_err().to_string().contains("is no leaderboard"));
    }

    #[test]
    fn the_shipped_board_and_its_page_are_those_of_the_shipped_entries() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        let entries = root.join("experiments/benchmark");
        let board = Board::read(&entries.join("small-v1")).unwrap();
        let shipped = std::fs::read_to_string(entries.join("leaderboard-small-v1.json")).unwrap();
        let again = "`varangian leaderboard experiments/benchmark/small-v1` writes it anew";
        assert!(shipped == board.json(), "leaderboard-small-v1.json is old: {again}");
        let page = std::fs::read_to_string(root.join("docs/leaderboard.md")).unwrap();
        assert!(page.contains(&board.markdown()), "docs/leaderboard.md has an old table: {again}");
        assert_eq!(board.protocol, super::super::Tier::Small.hash());
    }
}
