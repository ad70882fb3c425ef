//! A folder of results as one JSON text, for the live page, the HTML report, and whoever reads
//! results from another language. `docs/results-json.md` says what each field means.
//!
//! A number that is not finite is `None` here and null in JSON; the run's [`Ending`] stands beside
//! it and says so.

mod more;
mod of;

pub use of::{About, embedded};

use crate::benchmark::Leaderboard;
use crate::run::Served;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What the text calls itself.
pub const FORMAT: &str = "varangian-results";
/// The version of the fields. New fields keep it; a field that goes or means something else raises
/// it.
pub const VERSION: u32 = 1;

/// (step, value): the value is `None` where it is not finite.
pub type Point = (u64, Option<f64>);

/// A folder of results.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Results {
    /// [`FORMAT`].
    pub format: String,
    /// [`VERSION`].
    pub version: u32,
    /// The version of the program that wrote this.
    pub program: String,
    /// What the experiment is called.
    pub name: String,
    /// Runs that there will be.
    pub planned: usize,
    /// Runs that are over.
    pub over: usize,
    /// Of those, the runs that failed.
    pub failed: usize,
    /// What a reader must know first: that runs are missing, or are not as they were written.
    pub missing: Option<String>,
    /// What the curves show: "accuracy", a share from 0 to 1, or "test_loss".
    pub metric: String,
    /// Whether more of it is better.
    pub higher_is_better: bool,
    /// What was asked, in a sentence made from the configuration.
    pub asked: String,
    /// How it was done, as a paragraph for a paper.
    pub methods: String,
    /// `experiment.toml` as it stands.
    pub configuration: String,
    /// The settings that vary beside rule, attack and seed.
    pub varies: Vec<String>,
    /// Everything by which runs can be told apart: rule, attack, what varies, and the seed.
    pub axes: Vec<Axis>,
    /// The settings that all runs share.
    pub common: BTreeMap<String, serde_json::Value>,
    /// What was measured beside the metric; [`Series`] refer to them by their place.
    pub metrics: Vec<Metric>,
    /// All rules in the order of the experiment, and how each is drawn everywhere.
    pub rules: Vec<Style>,
    /// The runs that are over, in the order of the experiment.
    pub runs: Vec<Run>,
    /// Means over seeds.
    pub lines: Vec<Line>,
    /// What the words and signs of tables and pictures mean.
    pub definitions: Vec<Definition>,
    /// How unlike the workers' data are, a sentence a partition.
    pub measured: Vec<String>,
    /// How hyperparameters were chosen; empty where they were given.
    pub tuning: String,
    /// What was left out of the curves to keep them small.
    pub sampled: Option<String>,
    /// What the words mean that stand in some run's fate.
    pub meanings: Vec<Meaning>,
    /// What was set in vain, what was left out, which names are one run: the notes of `notes.json`
    /// as sentences.
    pub notes: Vec<String>,
    /// The leaderboard of the benchmark's entries that lie beside the runs.
    #[serde(default)]
    pub leaderboard: Option<Leaderboard>,
    /// The runs that go on.
    pub running: Vec<Running>,
    /// Whether nothing has been heard of them for long.
    pub silent: bool,
}

/// How a rule is drawn.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Style {
    /// The rule.
    pub rule: String,
    /// Its colour, as "#0072B2".
    pub colour: String,
    /// Its dashes, as SVG has them; empty for a solid line.
    pub dashes: String,
    /// Its mark: circle, square, triangle, diamond, triangle-down or cross.
    pub mark: String,
}

/// What tells runs apart.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Axis {
    /// The key.
    pub key: String,
    /// What it means.
    pub meaning: String,
    /// Whether it belongs to the rules: each has its own value.
    pub tied: bool,
    /// Its values: numbers by size, others in the order of the experiment.
    pub values: Vec<serde_json::Value>,
}

/// Something that was measured.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Metric {
    /// As it is kept in `runs/KEY.csv`.
    pub name: String,
    /// As it stands at an axis.
    pub label: String,
    /// Whether it is a share from 0 to 1.
    pub share: bool,
}

/// A measurement of a run by step.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Series {
    /// Its place in [`Results::metrics`].
    pub metric: usize,
    /// Its values.
    pub curve: Vec<Point>,
}

/// Rows of a worker that were refused for a reason.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Refusal {
    /// The reason.
    pub reason: String,
    /// The worker, as the run's table has it; "honest" or "hostile" where only that is kept.
    pub worker: String,
    /// Rows, over all steps.
    pub rows: u64,
}

/// What a word or sign means.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Definition {
    /// The word or sign.
    pub term: String,
    /// Its meaning.
    pub meaning: String,
}

/// A run that is over.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Run {
    /// Its key: its files are `runs/KEY.json` and `runs/KEY.csv`.
    pub key: String,
    /// Its rule.
    pub rule: String,
    /// Its attack.
    pub attack: String,
    /// Its seed in digits: it may be above 2^53, which readers of numbers as doubles would round.
    pub seed: String,
    /// Its values of the settings that vary. A number that is not finite is a text, as "inf".
    pub settings: BTreeMap<String, serde_json::Value>,
    /// The rule with what belongs to it: "krum (batch=16)".
    pub line: String,
    /// What else varies, in words: "n=15, momentum_at=worker"; empty where nothing does.
    pub setting: String,
    /// "finished" or "failed".
    pub state: String,
    /// Why it failed.
    pub error: Option<String>,
    /// What broke in it.
    pub fate: Ending,
    /// The metric by step; step 0 is the untrained start.
    pub curve: Vec<Point>,
    /// What the curve is worth; nothing where there is none.
    pub r#final: Option<Final>,
    /// What else was measured.
    pub series: Vec<Series>,
    /// Rows of workers that were refused, over all steps.
    pub refused: u64,
    /// Which, and why.
    pub refusals: Vec<Refusal>,
    /// Seconds that it took; a stranger's record may say anything.
    pub seconds: Option<f64>,
}

/// What broke in a run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Ending {
    /// All of it in words, as "diverged, never learnt"; empty where nothing broke.
    pub told: String,
    /// Whether it ended far below its own best.
    pub collapsed: bool,
    /// Whether it ended at a loss without bounds.
    pub diverged: bool,
    /// Whether it never got above its untrained start.
    pub never_learnt: bool,
    /// Steps that the server did not take.
    pub skipped: u64,
    /// Steps of the run.
    pub steps: u64,
    /// Values of the curve that are not finite.
    pub not_finite: usize,
}

/// What a curve is worth.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Final {
    /// The last value.
    pub last: Option<f64>,
    /// Mean of the last ten evaluations, or of as many as follow the start.
    pub tail: Option<f64>,
    /// Evaluations in `tail`.
    pub counted: usize,
    /// The best value.
    pub best: Option<f64>,
}

/// The mean over seeds of a rule's curves in a setting under an attack.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Line {
    /// As in [`Run`].
    pub setting: String,
    /// The attack.
    pub attack: String,
    /// As in [`Run`].
    pub line: String,
    /// The rule, which is how it is drawn.
    pub rule: String,
    /// Runs in the mean.
    pub seeds: usize,
    /// The mean by step.
    pub curve: Vec<Point>,
}

/// What a word of a fate means.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Meaning {
    /// Its letter in tables.
    pub mark: String,
    /// The word.
    pub word: String,
    /// Its definition.
    pub meaning: String,
}

/// A run that goes on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Running {
    /// Its key.
    pub key: String,
    /// Its rule.
    pub rule: String,
    /// Its attack.
    pub attack: String,
    /// What else tells it from the others.
    pub setting: String,
    /// Its values of the settings that vary; none where its folder does not say.
    pub settings: BTreeMap<String, serde_json::Value>,
    /// Its seed in digits: it may be above 2^53, which readers of numbers as doubles would round.
    pub seed: String,
    /// Steps done.
    pub step: u64,
    /// Steps in all.
    pub steps: u64,
    /// The metric so far.
    pub curve: Vec<Point>,
    /// Whether the metric is an accuracy.
    pub classifies: bool,
    /// Values so far, of the curve and of the weights, that are not finite.
    pub not_finite: usize,
    /// By worker: the mean of its weight over steps; empty where the rule gives none.
    pub weights: Vec<Option<f64>>,
    /// By worker: rows refused so far.
    pub refused: Vec<u64>,
    /// Reasons of refusals, with counts.
    pub reasons: BTreeMap<String, u64>,
    /// The workers that attack.
    pub hostile: Vec<u32>,
    /// Workers that the rule has expelled.
    pub expelled: Vec<u32>,
    /// Steps that were skipped.
    pub skipped: u64,
    /// How its workers stand, where they are elsewhere.
    #[serde(default)]
    pub served: Option<Served>,
}
