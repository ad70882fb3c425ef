//! The leaderboard as the page of results shows it, and where one is found.

use super::board::{Board, Standing};
use super::board_text::row;
use super::entry::{Curves, Entry};
use crate::results::json::{About, Results};
use crate::{Failure, files, page, text};
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

/// The largest file that is read as an entry, in bytes.
const MOST: u64 = 1 << 24;

/// A leaderboard with every attack and curve that its entries hold. Accuracies are shares of 1,
/// `None` where they are not known.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Leaderboard {
    /// The protocol's tier: small or full.
    pub tier: String,
    /// Its version.
    pub version: u32,
    /// A hash of its text.
    pub protocol: String,
    /// The part of it that was judged, "attack=alie"; empty for the whole.
    pub only: String,
    /// A line a pipeline, the best worst case first.
    pub standings: Vec<Shown>,
}

/// A pipeline.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Shown {
    /// The pipeline in its one spelling.
    pub rule: String,
    /// What stands in the table: the pipeline, with what it refuses or holds.
    pub line: String,
    /// The mean over settings of the accuracy under the worst attack.
    pub score: Option<f64>,
    /// Half of its 95 % interval over seeds.
    pub half: Option<f64>,
    /// The same mean, had the five usual attacks been all.
    pub usual: Option<f64>,
    /// Where hostile workers behave honestly.
    pub clean: Option<f64>,
    /// Where nobody is hostile and f = 0.
    pub calm: Option<f64>,
    /// "search 5 of 8, loss": in how many settings a search is worst.
    pub by: String,
    /// Attacked runs that ended more than 5 points below their best.
    pub collapsed: usize,
    /// Attacked runs.
    pub attacked: usize,
    /// The share of stamped samples that are taken for a backdoor's target.
    pub backdoor: Option<f64>,
    /// The same by chance.
    pub chance: Option<f64>,
    /// κ, proven and found, at each f.
    pub kappa: String,
    /// Time of an aggregation in plain means.
    pub means: Option<f64>,
    /// Every setting.
    pub cells: Vec<Place>,
}

/// A pipeline in one setting.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Place {
    /// "glyphs, sorted, f = 2 of 11".
    pub setting: String,
    /// Whether the pipeline's bound leaves it out.
    pub refused: bool,
    /// The accuracy under the worst attack.
    pub worst: Option<f64>,
    /// That attack.
    pub by: String,
    /// The accuracy under the worst of the usual five.
    pub usual: Option<f64>,
    /// Where hostile workers behave honestly.
    pub clean: Option<f64>,
    /// How the accuracy went under the worst attack and under none, where it is kept.
    pub curves: Option<Curves>,
    /// Every attack; empty where the leaderboard alone is there, without its entries.
    pub attacks: Vec<Under>,
}

/// An attack in a setting.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Under {
    /// The attack.
    pub attack: String,
    /// The accuracy under it.
    pub accuracy: Option<f64>,
    /// Half of its 95 % interval over seeds.
    pub half: Option<f64>,
}

impl Board {
    /// The leaderboard as a page in one file that needs no network. Of the pipelines whose
    /// `entries` are there every attack and curve is shown, of the others each setting's worst.
    pub fn html(&self, entries: &[Entry]) -> String {
        let title = format!("Leaderboard of the worst case, {} tier", self.tier);
        let shown = Leaderboard::of(self, entries).embedded(&title);
        page::alone(&title, &[shown], &self.table(None))
    }
}

impl Leaderboard {
    /// Of a leaderboard and those of its entries that are there.
    pub fn of(board: &Board, entries: &[Entry]) -> Self {
        let shown = |(k, one): (usize, &Standing)| {
            shown(k + 1, one, entries.iter().find(|entry| entry.rule == one.rule))
        };
        Leaderboard {
            tier: board.tier.clone(),
            version: board.version,
            protocol: board.protocol.clone(),
            only: board.only.text(),
            standings: board.standings.iter().enumerate().map(shown).collect(),
        }
    }

    /// The results that the page shows of a leaderboard alone, as they may stand inside an element.
    pub fn embedded(&self, name: &str) -> String {
        let (name, leaderboard) = (name.to_owned(), Some(self.clone()));
        Results::of(&About { name, leaderboard, ..About::default() }, &[]).embedded()
    }

    /// What is read of it without a script: place, pipeline, worst case and usual five.
    pub fn text(&self) -> String {
        let percent = |x: Option<f64>| super::board_text::percent(x.unwrap_or(f64::NAN));
        let line = |(k, one): (usize, &Shown)| {
            vec![(k + 1).to_string(), one.line.clone(), percent(one.score), percent(one.usual)]
        };
        let lines: Vec<Vec<String>> = self.standings.iter().enumerate().map(line).collect();
        let head = ["#", "pipeline", "worst case", "usual five"];
        text::table_within(None, &head, &lines, &[true, false, true, true])
    }

    /// That of the entries in a folder, which may hold other files; of a folder without any, those
    /// of the one part of the protocol below; nothing where it has none.
    ///
    /// # Errors
    /// If the folder or an entry in it cannot be read, or they are of two protocols; or if several
    /// parts have entries.
    pub fn within(folder: &Path) -> Result<Option<Self>, Failure> {
        let (mut folder, mut files) = (folder.to_owned(), Self::files(folder)?);
        if files.is_empty() {
            let mut parts = parts(&folder);
            parts.retain(|part| Self::files(part).is_ok_and(|files| !files.is_empty()));
            match parts.as_slice() {
                [] => return Ok(None),
                [one] => (folder, files) = (one.clone(), Self::files(one)?),
                several => {
                    let names = several.iter().map(|path| path.display().to_string());
                    let names = names.collect::<Vec<_>>().join(", ");
                    let text = format!("holds no entry itself; name one of {names}");
                    return Err(Failure::refused(text).at(folder.display()));
                }
            }
        }
        let entries: Vec<Entry> =
            files.iter().map(|file| Entry::read(file)).collect::<Result<_, _>>()?;
        let board = Board::of(&entries).map_err(|why| why.at(folder.display()))?;
        Ok(Some(Leaderboard::of(&board, &entries)))
    }

    /// That of a benchmark's folder, or of one that holds the runs of a pipeline in it
    /// (`FOLDER/runs/RULE`); nothing where neither has entries.
    ///
    /// # Errors
    /// As [`Leaderboard::within`] of the folder itself.
    pub fn beside(folder: &Path) -> Result<Option<Self>, Failure> {
        if let Some(own) = Self::within(folder)? {
            return Ok(Some(own));
        }
        Ok(above(folder).and_then(|above| Self::within(&above).ok().flatten()))
    }

    /// The files that [`Leaderboard::beside`] looks into, unread: where none of them has changed,
    /// it says what it said.
    pub fn candidates(folder: &Path) -> Vec<PathBuf> {
        let both = std::iter::once(folder.to_owned()).chain(above(folder)).chain(parts(folder));
        both.flat_map(|folder| json_files(&folder).unwrap_or_default()).collect()
    }

    /// The files of a folder that call themselves entries, sorted.
    fn files(folder: &Path) -> Result<Vec<PathBuf>, Failure> {
        let mut all = json_files(folder)?;
        all.retain(|path| {
            let text = files::read_own(path, MOST).unwrap_or_default();
            let format = format!("\"{}\"", Entry::format());
            text.windows(format.len()).any(|window| window == format.as_bytes())
        });
        Ok(all)
    }
}

/// The files `*.json` of a folder, sorted.
fn json_files(folder: &Path) -> Result<Vec<PathBuf>, Failure> {
    let list = std::fs::read_dir(folder).map_err(|e| Failure::file("read", folder, &e))?;
    let mut all: Vec<PathBuf> = list.flatten().map(|entry| entry.path()).collect();
    all.retain(|path| path.extension().is_some_and(|ending| ending == "json"));
    all.sort();
    Ok(all)
}

/// The folders of parts of the protocol in a folder, sorted.
fn parts(folder: &Path) -> Vec<PathBuf> {
    let list = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let is_part = |path: &PathBuf| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        name.starts_with("part-") && path.is_dir()
    };
    let mut all: Vec<PathBuf> = list.map(|entry| entry.path()).filter(is_part).collect();
    all.sort();
    all
}

/// The benchmark's folder of a folder `runs/RULE`.
fn above(folder: &Path) -> Option<PathBuf> {
    let whole = folder.canonicalize().ok()?;
    let runs = whole.parent().filter(|parent| parent.ends_with("runs"))?;
    runs.parent().map(Path::to_owned)
}

/// A number, where it is one.
fn known(x: f64) -> Option<f64> {
    Some(x).filter(|x| x.is_finite())
}

fn shown(place: usize, one: &Standing, entry: Option<&Entry>) -> Shown {
    let texts = row(place, one);
    let cell = |(k, place): (usize, &super::Place)| {
        let own = entry.and_then(|entry| entry.cells.get(k));
        let under = |line: &super::Line| Under {
            attack: line.attack.clone(),
            accuracy: known(line.accuracy),
            half: known(line.half),
        };
        Place {
            setting: place.setting.label(),
            refused: place.refused,
            worst: known(place.worst),
            by: place.by.clone(),
            usual: known(place.usual),
            clean: known(place.clean),
            curves: own.and_then(|cell| cell.curves.clone()),
            attacks: own.map_or(Vec::new(), |cell| cell.attacks.iter().map(under).collect()),
        }
    };
    Shown {
        rule: one.rule.clone(),
        line: texts[1].clone(),
        score: known(one.score),
        half: known(one.half),
        usual: known(one.usual),
        clean: known(one.clean),
        calm: known(one.calm),
        by: texts[8].clone(),
        collapsed: one.collapsed,
        attacked: one.runs,
        backdoor: one.backdoor,
        chance: one.chance,
        kappa: texts[11].clone(),
        means: one.means,
        cells: one.cells.iter().enumerate().map(cell).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::judge::tests::entry;
    use super::super::judge::write;
    use super::*;

    #[test]
    fn entries_are_found_in_a_folder_and_above_a_pipelines_runs() {
        let folder = tempfile::tempdir().unwrap();
        let runs = folder.path().join("runs/median");
        std::fs::create_dir_all(&runs).unwrap();
        assert_eq!(Leaderboard::beside(folder.path()).unwrap(), None);
        assert_eq!(Leaderboard::beside(&runs).unwrap(), None);
        write(folder.path(), &entry("median", 0.9)).unwrap();
        write(folder.path(), &entry("average", 0.5)).unwrap();
        // What else lies there is no entry, whatever is in it.
        std::fs::write(folder.path().join("notes.json"), "{}").unwrap();
        std::fs::write(runs.join("notes.json"), "[1").unwrap();
        let own = Leaderboard::beside(folder.path()).unwrap().unwrap();
        assert_eq!(Leaderboard::beside(&runs).unwrap().as_ref(), Some(&own));
        assert_eq!(Leaderboard::candidates(&runs).len(), 1 + 3);
        let first = &own.standings[0];
        assert_eq!((first.rule.as_str(), first.cells.len()), ("median", 8));
        assert_eq!((first.cells[0].attacks.len(), own.only.as_str()), (13, ""));
        assert_eq!(first.cells[0].by, "worst budget=32 objective=loss");
        assert!(first.cells[0].curves.as_ref().unwrap().steps.len() > 1);
        // A broken entry is said where it lies, and hides no runs below.
        let broken = format!("{{\"format\": \"{}\"}}", Entry::format());
        std::fs::write(folder.path().join("broken.json"), broken).unwrap();
        let error = Leaderboard::beside(folder.path()).unwrap_err().to_string();
        assert!(error.contains("is no entry of the benchmark"), "{error}");
        assert_eq!(Leaderboard::beside(&runs).unwrap(), None);
    }

    #[test]
    fn the_page_of_a_board_alone_takes_names_for_texts() {
        let odd = Entry { rule: "</script><script>alert(1)".into(), ..entry("krum", 0.5) };
        let entries = [entry("nnm | median", 0.9), odd];
        let board = Board::of(&entries).unwrap();
        let html = board.html(&entries);
        assert!(!html.contains("<script>alert") && html.contains("&lt;script&gt;alert(1)"));
        assert!(html.contains("poisoned-fl") && html.contains("\"curves\":{\"steps\""));
        // Of a file alone the worst is known, and each attack is not.
        assert!(!board.html(&[]).contains("poisoned-fl"));
    }

    #[test]
    fn what_is_not_known_is_null() {
        let mut one = entry("median", 0.75);
        (one.half, one.usual) = (f64::NAN, f64::NAN);
        one.cells[0].curves = None;
        let board = Board::of(std::slice::from_ref(&one)).unwrap();
        let shown = Leaderboard::of(&board, &[one]);
        let json = serde_json::to_value(&shown).unwrap();
        let first = &json["standings"][0];
        assert!(first["half"].is_null() && first["cells"][0]["curves"].is_null());
        assert_eq!(serde_json::from_value::<Leaderboard>(json.clone()).unwrap(), shown);
        assert!(Leaderboard::of(&board, &[]).standings[0].cells[0].attacks.is_empty());
    }
}
