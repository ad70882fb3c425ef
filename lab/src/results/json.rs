//! A folder of results as one JSON document: what the live page shows and what a report holds.
//!
//! `docs/results-json.md` says what each field means. Numbers that are not finite are null, with
//! what happened beside them.

use super::{Fate, Outcome, Store, Sweep, fate, judge, metric, place};
use crate::run::live::{self, Live};
use crate::run::notes;
use crate::{files, pictures, plot, text};
use serde::Serialize;
use std::collections::BTreeMap;
use std::time::Duration;

/// The name of the format, which the document carries as `format`.
pub const FORMAT: &str = "varangian-results";

/// The version of the format, which the document carries as `version`. It rises when a field goes
/// or changes its meaning; readers pass over fields that they do not know.
pub const VERSION: u32 = 1;

/// A process that has written nothing for this long goes on no more.
const SILENT: Duration = Duration::from_secs(10);

/// The whole document.
#[derive(Clone, Debug, Serialize)]
pub struct Results {
    /// [`FORMAT`].
    pub format: &'static str,
    /// [`VERSION`].
    pub version: u32,
    /// The experiment's name.
    pub name: String,
    /// Runs that there will be.
    pub planned: usize,
    /// Runs that are over.
    pub over: usize,
    /// Those of them that failed.
    pub failed: usize,
    /// What curves show: `accuracy` or `test_loss`.
    pub metric: &'static str,
    /// The rules in the order of the experiment, and how each is drawn.
    pub rules: Vec<Style>,
    /// Mean curves over seeds of what is over.
    pub lines: Vec<Line>,
    /// The runs that are over, in the order of the experiment.
    pub runs: Vec<Row>,
    /// The runs that go on.
    pub running: Vec<Live>,
    /// Whether none of these has said anything for ten seconds.
    pub silent: bool,
    /// What the marks of `broke` mean.
    pub meanings: Vec<String>,
    /// What a reader should know: values that do nothing, runs left out, runs under two names.
    pub notes: Vec<String>,
}

/// How a rule is drawn, in this folder's every picture.
#[derive(Clone, Debug, Serialize)]
pub struct Style {
    /// The rule.
    pub rule: String,
    /// Its colour: `#0072B2`.
    pub colour: String,
    /// Its dashes, as SVG's `stroke-dasharray`; empty: a solid line.
    pub dashes: String,
}

/// A mean curve over seeds.
#[derive(Clone, Debug, Serialize)]
pub struct Line {
    /// What else tells it from others: `n=15, momentum_at=worker`.
    pub setting: String,
    /// The attack.
    pub attack: String,
    /// The line's name: its rule, and what of a tuned choice varies.
    pub line: String,
    /// The rule.
    pub rule: String,
    /// Runs behind it.
    pub seeds: usize,
    /// (step, mean); null where it is not finite.
    pub curve: Vec<(f64, Option<f64>)>,
}

/// A run that is over.
#[derive(Clone, Debug, Serialize)]
pub struct Row {
    /// Its key.
    pub key: String,
    /// The line that it belongs to.
    pub rule: String,
    /// Its setting.
    pub setting: String,
    /// Its attack.
    pub attack: String,
    /// Its seed.
    pub seed: u64,
    /// `finished` or `failed`.
    pub state: &'static str,
    /// Why it failed; empty where it did not.
    pub error: String,
    /// The last value of the metric; null where it is not finite or nothing was evaluated.
    pub last: Option<f64>,
    /// The best value, likewise.
    pub best: Option<f64>,
    /// Both as a reader sees them: `87.0 %`, `NaN`; null where nothing was evaluated.
    pub shown: Option<[String; 2]>,
    /// Seconds that it took.
    pub seconds: f64,
    /// Messages that the intake refused.
    pub refused: f64,
    /// What broke: `diverged`, `collapsed`; `-` where nothing did.
    pub broke: String,
    /// BLAKE3 of its last parameters' bytes: sixteen hexadecimal digits.
    pub parameters: String,
}

/// A folder of results that is looked at again and again: what is over is read once.
pub struct Watched {
    store: Store,
    name: String,
    finished: BTreeMap<String, Outcome>,
}

impl Watched {
    /// A folder that is there.
    ///
    /// # Errors
    /// If it holds no runs.
    pub fn open(folder: &std::path::Path) -> Result<Self, crate::Failure> {
        let (store, name) = (Store::open(folder)?, pictures::name_of(folder));
        Ok(Watched { store, name, finished: BTreeMap::new() })
    }

    /// The folder now.
    pub fn now(&mut self) -> Results {
        let planned = self.store.planned().unwrap_or_default();
        self.finished.retain(|key, _| planned.contains(key));
        for key in &planned {
            if !self.finished.contains_key(key) {
                let read = self.store.read(key).map(|outcome| (key.clone(), outcome));
                self.finished.extend(read);
            }
        }
        let over: Vec<&Outcome> = planned.iter().filter_map(|key| self.finished.get(key)).collect();
        Results::of(&self.store, &self.name, &over, planned.len())
    }
}

impl Results {
    /// The document of these outcomes of a folder, of `planned` that there will be.
    pub fn of(store: &Store, name: &str, over: &[&Outcome], planned: usize) -> Self {
        let (running, silent) = running(store);
        let runs = over.iter().map(|outcome| &outcome.settings);
        let mut sweep = Sweep::of(runs, &store.tuned(), store.rules());
        for live in &running {
            place(&mut sweep.rules, &live.rule);
        }
        let metric = metric(over.iter().copied());
        let fates: Vec<Fate> = over.iter().map(|outcome| Fate::of(outcome)).collect();
        Results {
            format: FORMAT,
            version: VERSION,
            name: name.to_owned(),
            planned,
            over: over.len(),
            failed: over.iter().filter(|outcome| !outcome.is_finished()).count(),
            metric,
            rules: styles(&sweep),
            lines: lines(over, &sweep, metric),
            runs: over.iter().map(|outcome| row(outcome, &sweep, metric)).collect(),
            running,
            silent,
            meanings: fate::meanings(&fates),
            notes: notes(store),
        }
    }

    /// The document on one line.
    pub fn text(&self) -> String {
        serde_json::to_string(self).expect("plain values")
    }
}

fn styles(sweep: &Sweep) -> Vec<Style> {
    let style = |(k, rule): (usize, &String)| Style {
        rule: rule.clone(),
        colour: plot::colour(k).to_string(),
        dashes: plot::dashes(k).to_string(),
    };
    sweep.rules.iter().enumerate().map(style).collect()
}

/// The runs that go on, of all processes at the folder; where none has said anything for long, what
/// was said last, and that it is old.
fn running(store: &Store) -> (Vec<Live>, bool) {
    let (mut fresh, mut silent) = (Vec::new(), Vec::<Live>::new());
    for path in live::files(store) {
        let Ok(text) = files::read_own(&path, files::TEXT) else { continue };
        let runs: Vec<Live> = serde_json::from_slice(&text).unwrap_or_default();
        let written = std::fs::metadata(&path).and_then(|about| about.modified());
        let age = written.ok().and_then(|time| time.elapsed().ok());
        let old = age.is_some_and(|age| age > SILENT);
        if old { &mut silent } else { &mut fresh }.extend(runs);
    }
    let old = fresh.is_empty() && !silent.is_empty();
    (if old { silent } else { fresh }, old)
}

/// A mean curve over seeds for each rule, setting and attack.
fn lines(over: &[&Outcome], sweep: &Sweep, metric: &str) -> Vec<Line> {
    let mut places: BTreeMap<[String; 3], usize> = BTreeMap::new();
    let (mut lines, mut curves) = (Vec::<Line>::new(), Vec::<Vec<Vec<(u64, f64)>>>::new());
    for outcome in over {
        let own = &outcome.settings;
        let name = [sweep.setting(own), own.attack.clone(), sweep.line(own)];
        let place = *places.entry(name.clone()).or_insert(lines.len());
        if place == lines.len() {
            let [setting, attack, line] = name;
            let (rule, curve) = (own.rule.clone(), Vec::new());
            lines.push(Line { setting, attack, line, rule, seeds: 0, curve });
            curves.push(Vec::new());
        }
        curves[place].extend(Some(outcome.curve(metric)).filter(|curve| !curve.is_empty()));
    }
    for (line, curves) in lines.iter_mut().zip(&curves) {
        line.seeds = curves.len();
        let finite = |mean: f64| mean.is_finite().then_some(mean);
        let band = pictures::band(curves);
        line.curve = band.iter().map(|point| (point.step, finite(point.mean))).collect();
    }
    lines
}

fn row(outcome: &Outcome, sweep: &Sweep, metric: &str) -> Row {
    let own = &outcome.settings;
    let judged = judge(&outcome.curve(metric), metric == "accuracy");
    let refused = outcome.points.iter().filter(|point| point.metric.starts_with("refused/"));
    // A number that is not finite is null in JSON, and must not read as "not measured".
    let shown = |x: f64| match metric {
        "accuracy" if x.is_finite() => format!("{:.1} %", 100.0 * x),
        _ => text::number(x),
    };
    let finite = |x: f64| x.is_finite().then_some(x);
    Row {
        key: outcome.key.clone(),
        rule: sweep.line(own),
        setting: sweep.setting(own),
        attack: own.attack.clone(),
        seed: own.seed,
        state: outcome.end.name(),
        error: outcome.end.error().to_owned(),
        last: judged.and_then(|judged| finite(judged.last)),
        best: judged.and_then(|judged| finite(judged.best)),
        shown: judged.map(|judged| [shown(judged.last), shown(judged.best)]),
        seconds: outcome.seconds,
        refused: refused.map(|point| point.value).sum(),
        broke: fate::told(&[Fate::of(outcome)]).replace("1 of 1 ", ""),
        parameters: outcome.parameters.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::results::key;
    use serde_json::{Value, json};

    #[test]
    fn settings_stay_apart_colours_are_the_experiments_and_nan_is_null() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::make(folder.path()).unwrap();
        let run = |rule: &str, n: usize, values: &[f64]| {
            let mut outcome = Outcome::sample(rule, "alie", 1, values);
            outcome.settings.n = n;
            outcome.key = key(&outcome.settings, &[0; 32]);
            store.save(&outcome).unwrap();
            outcome.key
        };
        let keys = [run("krum", 9, &[0.1, 0.9]), run("krum", 11, &[0.1, f64::NAN])];
        let text = format!(
            "rule = 'median'\n[[run]] # {}\n[[run]] # {}\n[[run]] # r0123456789ab\n",
            keys[0], keys[1]
        );
        store.write("experiment.toml", text.as_bytes()).unwrap();
        let notes = r#"{"set_in_vain":[],"left_out":["left out: krum"],"one_run":[]}"#;
        store.write("notes.json", notes.as_bytes()).unwrap();
        let mut live = Live::default();
        live.curve.push((0, f64::NAN));
        store.write("live.json", &serde_json::to_vec(&[live]).unwrap()).unwrap();
        let now = Watched::open(folder.path()).unwrap().now();
        let state: Value = serde_json::from_str(&now.text()).unwrap();
        assert_eq!((&state["format"], &state["version"]), (&json!(FORMAT), &json!(VERSION)));
        assert_eq!((&state["over"], &state["planned"]), (&json!(2), &json!(3)));
        assert_eq!(state["running"][0]["curve"], json!([[0, null]]));
        let lines = state["lines"].as_array().unwrap();
        assert_eq!((lines.len(), &lines[1]["setting"]), (2, &json!("n=11")));
        assert_eq!(lines[1]["curve"], json!([[0.0, 0.1], [10.0, null]]));
        assert_eq!(state["runs"][1]["broke"], "diverged, never learnt");
        let last = (&state["runs"][1]["last"], &state["runs"][1]["shown"][0]);
        assert_eq!(last, (&json!(null), &json!("NaN")));
        assert_eq!(state["rules"][1]["colour"], "#D55E00");
        assert!(state["meanings"][0].as_str().unwrap().starts_with("!d diverged"));
        assert_eq!(state["notes"], json!(["left out: krum"]));
    }
}
