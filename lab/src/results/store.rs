//! The folder of a matrix of runs: one pair of files a run, each there whole or not at all.

use crate::config::Settings;
use crate::{Failure, files};
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

/// Changes whenever the same settings would give other results than before: part of every key.
const RESULTS_VERSION: u32 = 7;

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

    /// An outcome with this accuracy curve, evaluated every ten steps.
    #[cfg(test)]
    pub(crate) fn sample(rule: &str, attack: &str, seed: u64, accuracy: &[f64]) -> Self {
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
        }
    }
}

/// What stands in `runs/KEY.json`.
#[derive(Serialize, Deserialize)]
struct Record {
    key: String,
    end: End,
    parameters: String,
    seconds: f64,
    version: String,
    settings: String,
}

/// The hash of everything that can change a run's result: its settings, the data, and this
/// program's results version. Twelve hexadecimal digits.
pub fn key(settings: &Settings, data: &[u8; 32]) -> String {
    let mut hasher = blake3::Hasher::new();
    hasher.update(&RESULTS_VERSION.to_le_bytes());
    hasher.update(data);
    hasher.update(toml::to_string(settings).expect("scalars").as_bytes());
    hasher.finalize().to_hex()[..12].to_owned()
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
        files::make_folder(&folder.join("runs"))?;
        Ok(Store { folder: folder.to_owned() })
    }

    /// A folder that is there.
    ///
    /// # Errors
    /// If it holds no runs.
    pub fn open(folder: &Path) -> Result<Self, Failure> {
        let store = Store { folder: folder.to_owned() };
        match store.folder.join("runs").is_dir() {
            true => Ok(store),
            false => {
                let text = format!("{} holds no results: it has no folder runs", folder.display());
                Err(Failure::refused(text))
            }
        }
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

    /// Keeps an outcome. The JSON file goes last: a run without it was not finished.
    ///
    /// # Errors
    /// If the folder cannot be written.
    pub fn save(&self, outcome: &Outcome) -> Result<(), Failure> {
        let table = points_text(&outcome.points);
        files::write(&self.part(&outcome.key, "csv"), table.as_bytes())?;
        let record = Record {
            key: outcome.key.clone(),
            end: outcome.end.clone(),
            parameters: outcome.parameters.clone(),
            seconds: outcome.seconds,
            version: env!("CARGO_PKG_VERSION").into(),
            settings: toml::to_string(&outcome.settings).expect("scalars"),
        };
        let text = serde_json::to_string_pretty(&record).expect("plain values");
        files::write(&self.part(&outcome.key, "json"), text.as_bytes())
    }

    /// Where the last parameters of a run go, if they are kept.
    pub fn model_file(&self, key: &str) -> PathBuf {
        self.part(key, "model.safetensors")
    }

    /// The outcome kept under `key`, if there is one that can be read.
    pub fn load(&self, key: &str) -> Option<Outcome> {
        let text = std::fs::read_to_string(self.part(key, "json")).ok()?;
        let record: Record = serde_json::from_str(&text).ok()?;
        let settings = crate::config::read_settings(&record.settings).ok()?;
        let points = read_points(&std::fs::read(self.part(key, "csv")).ok()?)?;
        let Record { key, end, parameters, seconds, .. } = record;
        Some(Outcome { key, settings, points, end, parameters, seconds })
    }

    /// Every outcome of the folder, in the order of its run index.
    ///
    /// # Errors
    /// If there is no run index, or no outcome in it can be read.
    pub fn outcomes(&self) -> Result<Vec<Outcome>, Failure> {
        let path = self.path("runs.csv");
        let fail = |error: &dyn std::fmt::Display| Failure::file("read", &path, error);
        let mut reader = csv::Reader::from_path(&path).map_err(|error| fail(&error))?;
        let mut outcomes = Vec::new();
        for record in reader.records() {
            let record = record.map_err(|error| fail(&error))?;
            outcomes.extend(record.get(0).and_then(|key| self.load(key)));
        }
        match outcomes.is_empty() {
            true => Err(fail(&"no run in it is kept in this folder")),
            false => Ok(outcomes),
        }
    }

    /// A file among those of single runs.
    pub(crate) fn run_file(&self, name: &str) -> PathBuf {
        self.folder.join("runs").join(name)
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
            names.filter_map(|name| name.strip_suffix(".json").map(str::to_owned)).collect();
        keys.sort_unstable();
        Ok(keys)
    }

    fn part(&self, key: &str, ending: &str) -> PathBuf {
        self.run_file(&format!("{key}.{ending}"))
    }
}

/// Points as CSV: `step,metric,value`.
pub(super) fn points_text(points: &[Point]) -> String {
    let mut writer = csv::Writer::from_writer(Vec::new());
    for point in points {
        writer.serialize(point).expect("memory is never full");
    }
    String::from_utf8(writer.into_inner().expect("memory is never full")).expect("text")
}

/// Points from CSV, if it is whole.
pub(super) fn read_points(text: &[u8]) -> Option<Vec<Point>> {
    csv::Reader::from_reader(text).deserialize().collect::<Result<_, _>>().ok()
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
