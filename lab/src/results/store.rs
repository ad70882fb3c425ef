//! The folder of a matrix of runs: one pair of files a run, each there whole or not at all.

use super::key::{bare, is_key, key, lettered};
use super::lock::Lock;
use super::record::{self, Look};
use crate::config::Settings;
use crate::{Failure, files};
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

/// A value of a metric at a step.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Point {
    /// The step, from 0: the value at the parameters before this step.
    pub step: u64,
    /// What was measured.
    pub metric: String,
    /// Its value.
    pub value: f64,
}

/// How a run ended.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum End {
    /// All steps were taken.
    Finished,
    /// It could not be finished; why.
    Failed(String),
}

impl End {
    /// One word.
    pub fn name(&self) -> &'static str {
        match self {
            End::Finished => "finished",
            End::Failed(_) => "failed",
        }
    }

    /// Why it failed; nothing if it did not.
    pub fn error(&self) -> &str {
        match self {
            End::Finished => "",
            End::Failed(why) => why,
        }
    }
}

/// What a run left.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// The run's key.
    pub key: String,
    /// Its settings.
    pub settings: Settings,
    /// Everything measured, by step.
    pub points: Vec<Point>,
    /// How it ended.
    pub end: End,
    /// BLAKE3 of the final parameters' bytes.
    pub parameters: String,
    /// Wall-clock seconds that it took, on one thread unless it had more.
    pub seconds: f64,
    /// BLAKE3 of the file of its last parameters, in hexadecimal digits; empty where none is kept.
    pub model: String,
}

impl Outcome {
    /// Whether all steps were taken.
    pub fn is_finished(&self) -> bool {
        self.end == End::Finished
    }

    /// (step, value) of a metric, by step.
    pub fn curve(&self, metric: &str) -> Vec<(u64, f64)> {
        let points = self.points.iter().filter(|point| point.metric == metric);
        points.map(|point| (point.step, point.value)).collect()
    }

    /// An outcome with this accuracy curve, evaluated every ten steps: for tests of whatever shows
    /// results.
    #[doc(hidden)]
    pub fn sample(rule: &str, attack: &str, seed: u64, accuracy: &[f64]) -> Self {
        let (rule, attack) = (rule.to_owned(), attack.to_owned());
        let settings = Settings { rule, attack, seed, f_real: Some(0), ..Settings::default() };
        let point = |(k, &value): (usize, &f64)| Point {
            step: 10 * k as u64,
            metric: "accuracy".into(),
            value,
        };
        Outcome {
            key: key(&settings, &[0; 32]),
            settings,
            points: accuracy.iter().enumerate().map(point).collect(),
            end: End::Finished,
            parameters: "ab".into(),
            seconds: 1.5,
            model: String::new(),
        }
    }
}

/// What a folder holds of a matrix of runs.
pub struct Kept {
    /// The outcomes that are there, in the order of the experiment.
    pub outcomes: Vec<Outcome>,
    /// The runs that there will be.
    pub planned: usize,
    /// How many of the outcomes carry no checksum.
    unchecked: usize,
    /// How many runs are there and are not what was written.
    damaged: usize,
}

impl Kept {
    /// What to say of tables and pictures that lack runs, or show some that nobody vouches for.
    pub fn missing(&self) -> Option<String> {
        said(self.outcomes.len(), self.planned, self.unchecked, self.damaged)
    }
}

/// What to say of results that lack runs, hold runs without a checksum, or hold damaged ones.
pub fn said(over: usize, planned: usize, unchecked: usize, damaged: usize) -> Option<String> {
    let mut says: Vec<String> = missing(over, planned).into_iter().collect();
    if damaged > 0 {
        says.push(format!(
            "{damaged} runs are not as they were written and are left out; varangian run does them \
                 again"
        ));
    }
    if unchecked > 0 {
        says.push(format!(
                "{unchecked} runs carry no checksum, as before results had one: whether they are as they \
                 were written cannot be told"
            ));
    }
    (!says.is_empty()).then(|| says.join(". "))
}

/// "Partial: …" where fewer runs are over than planned.
pub fn missing(over: usize, planned: usize) -> Option<String> {
    (over < planned).then(|| {
        format!("Partial: {over} of {planned} runs are over; worst cases are over these alone")
    })
}

/// The folder of a matrix of runs.
#[derive(Clone, Debug)]
pub struct Store {
    folder: PathBuf,
}

impl Store {
    /// Makes the folder where it is missing.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn make(folder: &Path) -> Result<Self, Failure> {
        files::make_folder(folder)?;
        let runs = folder.join("runs");
        files::demand_own_folder(&runs)?;
        files::make_folder(&runs)?;
        Ok(Store { folder: folder.to_owned() })
    }

    /// A folder that is there.
    ///
    /// # Errors
    /// If it holds no runs.
    pub fn open(folder: &Path) -> Result<Self, Failure> {
        let store = Store { folder: folder.to_owned() };
        files::demand_own_folder(&store.folder.join("runs"))?;
        match store.folder.join("runs").is_dir() {
            true => Ok(store),
            false => {
                let text = format!("{} holds no results: it has no folder runs", folder.display());
                Err(Failure::refused(text))
            }
        }
    }

    /// A folder that need not hold any results, for who shows what else is in it.
    pub fn around(folder: &Path) -> Self {
        Store { folder: folder.to_owned() }
    }

    /// A path inside the folder.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// Writes one of the assembled files.
    ///
    /// # Errors
    /// If the folder cannot be written.
    pub fn write(&self, name: &str, bytes: &[u8]) -> Result<(), Failure> {
        files::write(&self.path(name), bytes)
    }

    /// Waits until no other process assembles the folder's tables and pictures.
    pub fn lock(&self) -> Lock {
        Lock::take(&self.path(".varangian.lock"))
    }

    /// Keeps an outcome. The JSON file goes last: a run without it was not finished.
    ///
    /// # Errors
    /// If the folder cannot be written.
    pub fn save(&self, outcome: &Outcome) -> Result<(), Failure> {
        let (text, table) = record::written(outcome);
        files::write(&self.part(&outcome.key, "csv"), table.as_bytes())?;
        files::write(&self.part(&outcome.key, "json"), text.as_bytes())
    }

    /// Where the last parameters of a run go, if they are kept.
    pub fn model_file(&self, key: &str) -> PathBuf {
        self.part(key, "model.safetensors")
    }

    /// The outcome kept under `key`, if it is there just as it was written.
    pub fn load(&self, key: &str) -> Option<Outcome> {
        match self.look(key) {
            Look::Whole(outcome) => Some(outcome),
            _ => None,
        }
    }

    /// As [`Store::load`], for who shows results and makes none: also one from before results had
    /// checksums.
    pub fn read(&self, key: &str) -> Option<Outcome> {
        match self.look(key) {
            Look::Whole(outcome) | Look::Unchecked(outcome) => Some(outcome),
            _ => None,
        }
    }

    /// What stands under `key`.
    pub fn look(&self, key: &str) -> Look {
        if !is_key(key) {
            return Look::Missing;
        }
        let text = match files::read_own(&self.part(key, "json"), files::TEXT) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Look::Missing,
            Err(error) => return Look::Damaged(format!("its record cannot be read: {error}")),
        };
        let table = files::read_own(&self.part(key, "csv"), files::TABLE);
        record::look(&lettered(key), &text, table.ok().as_deref())
    }

    /// Whether the kept parameters of a run are those that were written.
    pub fn has_model(&self, outcome: &Outcome) -> bool {
        let bytes = files::read_own(&self.model_file(&outcome.key), files::TABLE);
        bytes.is_ok_and(|bytes| blake3::hash(&bytes).to_hex().as_str() == outcome.model)
    }

    /// Every outcome of the folder's experiment that is there, in the experiment's order, whether
    /// its runs are all over or not.
    ///
    /// # Errors
    /// If no run of it is over, or the folder holds something else.
    pub fn kept(&self) -> Result<Kept, Failure> {
        let keys = self.planned()?;
        let (mut outcomes, mut unchecked, mut damaged) = (Vec::new(), 0, 0);
        for key in &keys {
            let look = self.look(key);
            unchecked += usize::from(matches!(look, Look::Unchecked(_)));
            damaged += usize::from(matches!(look, Look::Damaged(_)));
            outcomes.extend(look.outcome());
        }
        if !outcomes.is_empty() {
            return Ok(Kept { outcomes, planned: keys.len(), unchecked, damaged });
        }
        let folder = self.folder.display();
        let count = keys.len();
        Err(Failure::refused(match self.path("experiment.toml").is_file() && count > 0 {
            _ if damaged > 0 => format!(
                "{folder} has no results that can be shown: {damaged} of its {count} runs are not \
                 as they were written; varangian run does them again"
            ),
            true => format!("{folder} has no results yet: none of its {count} runs is over"),
            false => {
                let files = self.run_files();
                let found = if files.is_empty() { "no run" } else { "no file" };
                let is = if files.is_empty() { "" } else { " is one" };
                format!(
                    "{folder} holds no results of varangian run: {found} in its folder runs{is}"
                )
            }
        }))
    }

    /// The outcomes of the runs that are over, in the experiment's order.
    ///
    /// # Errors
    /// If no run is over, or the folder holds something else.
    pub fn outcomes(&self) -> Result<Vec<Outcome>, Failure> {
        Ok(self.kept()?.outcomes)
    }

    /// The keys of the folder's experiment: as its configuration lists them, which is there from
    /// the start; else as the index of runs does; else all that were kept.
    ///
    /// # Errors
    /// If the folder cannot be read.
    pub fn planned(&self) -> Result<Vec<String>, Failure> {
        let text = files::text_of(&self.path("experiment.toml"));
        let listed = text.lines().filter_map(|line| line.strip_prefix("[[run]] # "));
        let listed = listed.map(str::trim).filter(|key| is_key(key));
        let listed: Vec<String> = listed.map(lettered).collect();
        if !listed.is_empty() {
            return Ok(listed);
        }
        let keys = self.indexed();
        if keys.iter().any(|key| self.read(key).is_some()) {
            return Ok(keys);
        }
        self.keys()
    }

    /// The keys in `runs.csv`.
    pub fn indexed(&self) -> Vec<String> {
        let text = files::text_of(&self.path("runs.csv"));
        let mut index = csv::Reader::from_reader(text.as_bytes());
        let keys = index.records().flatten();
        keys.filter_map(|row| row.get(0).filter(|key| is_key(key)).map(lettered)).collect()
    }

    /// The rules of the folder's experiment in its order, those included whose runs are not over.
    pub fn rules(&self) -> Vec<String> {
        let text = files::text_of(&self.path("experiment.toml"));
        let Ok(table) = text.parse::<toml::Table>() else { return Vec::new() };
        let of = |table: &toml::Table| Some(table.get("rule")?.as_str()?.to_owned());
        let mut rules: Vec<String> = of(&table).into_iter().collect();
        let runs = table.get("run").and_then(toml::Value::as_array).into_iter().flatten();
        for rule in runs.filter_map(|run| of(run.as_table()?)) {
            super::place(&mut rules, &rule);
        }
        rules
    }

    /// The keys that `[tune]` chose for each rule of the folder's experiment.
    pub fn tuned(&self) -> Vec<String> {
        if files::demand_own_folder(&self.path("tuning")).is_err() {
            return Vec::new();
        }
        let text = files::text_of(&self.path("tuning").join("tuning.csv"));
        let mut table = csv::Reader::from_reader(text.as_bytes());
        let head = table.headers().cloned().unwrap_or_default();
        let Some(k) = head.iter().position(|name| name == "candidate") else { return Vec::new() };
        let first = table.records().flatten().next();
        let candidate = first.as_ref().and_then(|row| row.get(k)).unwrap_or_default().to_owned();
        let names = candidate.split(", ").filter_map(|part| part.split_once('='));
        names.map(|(name, _)| name.to_owned()).collect()
    }

    /// Where a file of a run stands, by its key and ending. One that was kept before keys had a
    /// letter goes on under its name of then.
    pub fn part(&self, key: &str, ending: &str) -> PathBuf {
        assert!(is_key(key), "{key} is no key");
        let runs = self.folder.join("runs");
        let path = runs.join(format!("{key}.{ending}"));
        let older = runs.join(format!("{}.{ending}", bare(key)));
        if !path.exists() && older.exists() { older } else { path }
    }

    /// The names of the files of single runs.
    pub fn run_files(&self) -> Vec<String> {
        let list = std::fs::read_dir(self.folder.join("runs")).into_iter().flatten();
        list.filter_map(|entry| entry.ok()?.file_name().into_string().ok()).collect()
    }

    /// The keys of all runs that were kept, ascending.
    ///
    /// # Errors
    /// If the folder cannot be read.
    pub fn keys(&self) -> Result<Vec<String>, Failure> {
        let folder = self.folder.join("runs");
        let list = std::fs::read_dir(&folder);
        let list = list.map_err(|error| Failure::file("read", &folder, &error))?;
        let names = list.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
        let mut keys: Vec<String> =
            names.filter_map(|name| name.strip_suffix(".json").map(lettered)).collect();
        keys.retain(|key| is_key(key));
        keys.sort_unstable();
        keys.dedup();
        Ok(keys)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_outcome_comes_back_bit_for_bit() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::make(folder.path()).unwrap();
        for value in [0.1 + 0.2, f64::NAN, f64::INFINITY, 1e-310] {
            let kept = Outcome::sample("krum", "none", 1, &[value]);
            store.save(&kept).unwrap();
            let back = store.load(&kept.key).unwrap();
            assert_eq!(back.points[0].value.to_bits(), value.to_bits());
            assert_eq!((back.settings, back.end), (kept.settings, kept.end));
        }
    }

    #[test]
    fn what_is_half_written_is_not_there() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::make(folder.path()).unwrap();
        let kept = Outcome::sample("krum", "none", 1, &[1.0]);
        store.save(&kept).unwrap();
        std::fs::write(store.part(&kept.key, "json"), "{\"key\":").unwrap();
        assert!(store.load(&kept.key).is_none());
        assert!(store.load("unknown").is_none());
        assert_eq!(Store::open(&folder.path().join("no")).unwrap_err().code(), 2);
    }

    #[test]
    fn a_folder_of_bare_keys_is_read_and_goes_on_and_a_running_one_says_so() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::make(folder.path()).unwrap();
        let kept = Outcome::sample("krum", "none", 1, &[1.0]);
        let other = Outcome::sample("median", "none", 1, &[1.0]);
        assert!(kept.key.starts_with('r') && kept.key.parse::<f64>().is_err());
        store.save(&kept).unwrap();
        let runs = folder.path().join("runs");
        for ending in ["json", "csv"] {
            let old = runs.join(format!("{}.{ending}", bare(&kept.key)));
            std::fs::rename(store.part(&kept.key, ending), old).unwrap();
        }
        assert_eq!(store.load(&kept.key).unwrap().key, kept.key);
        store.save(&kept).unwrap();
        assert_eq!(std::fs::read_dir(&runs).unwrap().count(), 2);
        assert_eq!(store.keys().unwrap(), std::slice::from_ref(&kept.key));
        let list = format!(
            "[[run]] # {}\nrule = 'b'\n\n[[run]] # {}\nrule = 'a'\n",
            bare(&kept.key),
            other.key
        );
        store.write("experiment.toml", list.as_bytes()).unwrap();
        let half = store.kept().unwrap();
        assert!(half.missing().unwrap().starts_with("Partial: 1 of 2 runs are over"));
        assert_eq!(store.rules(), ["b", "a"]);
        store.save(&other).unwrap();
        assert_eq!(store.kept().unwrap().missing(), None);
    }

    #[test]
    fn no_text_of_a_folder_becomes_a_path() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::make(&folder.path().join("out")).unwrap();
        let kept = Outcome::sample("krum", "none", 1, &[1.0]);
        store.save(&kept).unwrap();
        // What the names would reach is a whole outcome.
        for ending in ["json", "csv"] {
            let copy = folder.path().join(format!("{}.{ending}", kept.key));
            std::fs::copy(store.part(&kept.key, ending), copy).unwrap();
        }
        let absolute = folder.path().join(&kept.key).display().to_string();
        let escape = format!("../../{}", kept.key);
        for key in [escape.as_str(), &absolute, "..", "", "r0123456789ab/../x", "r0123456789aé"] {
            assert!(matches!(store.look(key), Look::Missing), "{key}");
            let list = format!("[[run]] # {key}\n[[run]] # {}\n", kept.key);
            store.write("experiment.toml", list.as_bytes()).unwrap();
            assert_eq!(store.planned().unwrap(), [kept.key.as_str()], "{key}");
        }
        std::fs::remove_file(store.path("experiment.toml")).unwrap();
        let index = format!("run,state\n\"{escape}\",\"finished\"\n");
        store.write("runs.csv", index.as_bytes()).unwrap();
        assert_eq!(store.indexed(), Vec::<String>::new());
        assert_eq!(store.planned().unwrap(), [kept.key.as_str()]);
    }

    #[test]
    #[cfg(unix)]
    fn links_and_pipes_inside_a_folder_lead_nowhere() {
        use std::os::unix::fs::symlink;
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        let store = Store::make(&at("real")).unwrap();
        let kept = Outcome::sample("krum", "none", 1, &[1.0]);
        store.save(&kept).unwrap();
        // The folder itself may be a link.
        symlink(at("real"), at("link")).unwrap();
        assert!(Store::open(&at("link")).unwrap().load(&kept.key).is_some());
        std::fs::create_dir(at("other")).unwrap();
        symlink(at("real/runs"), at("other/runs")).unwrap();
        assert!(Store::open(&at("other")).unwrap_err().to_string().ends_with("found a link"));
        assert!(Store::make(&at("other")).is_err());
        let table = store.part(&kept.key, "csv");
        std::fs::rename(&table, at("table")).unwrap();
        symlink(at("table"), &table).unwrap();
        assert!(matches!(store.look(&kept.key), Look::Damaged(_)));
        let record = store.part(&kept.key, "json");
        std::fs::remove_file(&record).unwrap();
        assert!(std::process::Command::new("mkfifo").arg(&record).status().unwrap().success());
        assert!(matches!(store.look(&kept.key), Look::Damaged(_)), "and nobody waits");
    }

    #[test]
    fn a_foreign_folder_is_refused_in_one_line() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::make(folder.path()).unwrap();
        let says = |store: &Store| store.kept().map(|_| ()).unwrap_err().to_string();
        assert!(says(&store).ends_with("no run in its folder runs"), "{}", says(&store));
        std::fs::write(folder.path().join("runs/other.json"), "[1, 2]").unwrap();
        std::fs::write(folder.path().join("runs.csv"), b"\xff\xfe,\n\"").unwrap();
        assert!(says(&store).ends_with("no file in its folder runs is one"), "{}", says(&store));
        store.write("experiment.toml", b"[[run]] # 0123456789ab\n").unwrap();
        assert!(says(&store).ends_with("none of its 1 runs is over"), "{}", says(&store));
    }

    #[test]
    fn every_setting_and_the_data_change_the_key() {
        let (start, start_prefix) = ("file".into(), "module.".into());
        let base = Settings { f_real: Some(0), start, start_prefix, ..Settings::default() };
        let mut keys = vec![key(&base, &[0; 32]), key(&base, &[1; 32])];
        let table = toml::Table::try_from(&base).unwrap();
        for (name, value) in &table {
            let mut changed = table.clone();
            let other = match value {
                toml::Value::Integer(x) => toml::Value::Integer(x + 1),
                toml::Value::Float(x) => {
                    toml::Value::Float(if x.is_finite() { x + 1.0 } else { 2.0 })
                }
                toml::Value::Boolean(x) => toml::Value::Boolean(!x),
                toml::Value::String(x) => toml::Value::String(format!("{x}2")),
                other => panic!("{other}"),
            };
            changed.insert(name.clone(), other);
            keys.push(key(&Settings::read(changed).unwrap(), &[0; 32]));
        }
        let count = keys.len();
        keys.sort_unstable();
        keys.dedup();
        assert_eq!(keys.len(), count);
    }
}
