//! What the JSON text says beside the metric: axes, other measurements, refusals, definitions.

use super::super::{Outcome, Sweep};
use super::of::points;
use super::{Axis, Definition, Metric, Refusal, Series};
use crate::config::{KEYS, Settings};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// Points of the metric that a text holds at most, and of all other measurements together.
const MOST: usize = 1_000_000;
const MOST_BESIDE: usize = 300_000;
/// Bytes of a configuration that a text quotes.
const QUOTED: usize = 1 << 20;

/// The text, or its beginning where it is very long.
pub(super) fn bounded(mut text: String) -> String {
    if text.len() > QUOTED {
        let end = (0..=QUOTED).rev().find(|end| text.is_char_boundary(*end)).unwrap_or(0);
        text.truncate(end);
        text.push_str("\n# and so on: the file is longer\n");
    }
    text
}

/// A run's values of these keys. A number that is not finite is a text.
pub(super) fn values(own: &Settings, keys: &[&str]) -> BTreeMap<String, Value> {
    let table = own.table();
    let value = |key: &&str| {
        let value = table.get(*key).and_then(|value| serde_json::to_value(value).ok());
        let value = value.filter(|value| !value.is_null());
        ((*key).to_owned(), value.unwrap_or_else(|| own.text(key).into()))
    };
    keys.iter().map(value).collect()
}

/// Rule, attack, what varies, and the seed, each with its values.
pub(super) fn axes(runs: &[&Settings], sweep: &Sweep) -> Vec<Axis> {
    let middle = sweep.tied.iter().chain(&sweep.keys).copied();
    let keys: Vec<&str> = ["rule", "attack"].into_iter().chain(middle).chain(["seed"]).collect();
    let mut found: Vec<Vec<Value>> = vec![Vec::new(); keys.len()];
    let mut seen: Vec<BTreeSet<String>> = vec![BTreeSet::new(); keys.len()];
    for run in runs {
        let own = values(run, &keys);
        for (k, key) in keys.iter().enumerate() {
            let value = match *key {
                // Its digits may be more than a reader of doubles keeps.
                "seed" => Value::from(run.seed.to_string()),
                key => own[key].clone(),
            };
            if seen[k].insert(value.to_string()) {
                found[k].push(value);
            }
        }
    }
    let axis = |(key, mut values): (&&str, Vec<Value>)| {
        if *key == "rule" {
            values.sort_by_key(|value| sweep.place(value.as_str().unwrap_or_default()));
        } else if values.iter().all(Value::is_number) {
            let number = |value: &Value| value.as_f64().unwrap_or(f64::NAN);
            values.sort_by(|a, b| number(a).total_cmp(&number(b)));
        }
        let meaning = KEYS.iter().find(|one| one.name == *key).map_or("", |one| one.help);
        let (key, tied) = ((*key).to_owned(), sweep.tied.contains(key));
        Axis { key, meaning: meaning.to_owned(), tied, values }
    };
    keys.iter().zip(found).map(axis).collect()
}

/// The settings that all runs share.
pub(super) fn common(runs: &[&Settings], sweep: &Sweep) -> BTreeMap<String, Value> {
    let Some(first) = runs.first() else { return BTreeMap::new() };
    let varies = |key: &str| sweep.tied.contains(&key) || sweep.keys.contains(&key);
    let keys = KEYS.iter().map(|key| key.name);
    let keys: Vec<&str> =
        keys.filter(|key| !["rule", "attack", "seed"].contains(key) && !varies(key)).collect();
    values(first, &keys)
}

/// What the words of tables and pictures mean.
pub(super) fn definitions(metric: &str) -> Vec<Definition> {
    let what = if metric == "accuracy" { "accuracy" } else { "test loss" };
    let worst = if metric == "accuracy" { "least" } else { "largest" };
    let all = [
        ("last", format!("the {what} at the last evaluation")),
        (
            "mean of the last 10",
            format!(
                "the mean {what} over the last ten evaluations, or over as many as there are after \
                 the untrained start, which never counts"
            ),
        ),
        ("best", format!("the best {what} of all evaluations; nobody knows beforehand when it is")),
        (
            "worst case",
            format!(
                "the {worst} mean over seeds among the attacks (and whatever else is not held \
                 fixed): what a rule guarantees, as far as these runs tell"
            ),
        ),
        (
            "±",
            "half of Student's 95 % interval of the mean over seeds, from three seeds on; of two \
             seeds no interval follows"
                .into(),
        ),
        (
            "paired",
            "runs of one seed share their minibatches whatever the rule: differences are taken seed \
             by seed, and their interval is narrower than that of two separate means"
                .into(),
        ),
        (
            "G, B",
            "(G, B)-dissimilarity of the workers' gradients: their mean squared distance from the \
             mean gradient is at most G² + B² times its squared length"
                .into(),
        ),
        ("!", "something broke in some of the runs; the letters after it say what".into()),
    ];
    all.map(|(term, meaning)| Definition { term: term.into(), meaning }).into()
}

/// Which rows were refused, and why.
pub(super) fn refusals(outcome: &Outcome) -> Vec<Refusal> {
    let named = outcome.points.iter().filter_map(|point| {
        let rest = point.metric.strip_prefix("refused/")?;
        let (reason, worker) = rest.rsplit_once("/worker-").unwrap_or(("stale or late", rest));
        let (reason, worker) = (reason.to_owned(), worker.to_owned());
        Some(Refusal { reason, worker, rows: point.value as u64 })
    });
    named.collect()
}

/// Every k-th point, and the first and the last.
pub(super) fn thinned(curve: &[(u64, f64)], stride: usize) -> Vec<(u64, f64)> {
    let last = curve.len().saturating_sub(1);
    let kept = curve.iter().enumerate().filter(|(k, _)| k % stride == 0 || *k == last);
    kept.map(|(_, point)| *point).collect()
}

/// What was measured in some run, and how much of it is kept.
pub(super) struct Measures {
    /// The metric.
    pub(super) metric: &'static str,
    /// Every how many-th point of the metric is kept.
    pub(super) stride: usize,
    /// Every how many-th point of what else was measured is kept.
    beside: usize,
    names: Vec<String>,
    places: BTreeMap<String, usize>,
}

impl Measures {
    /// What these runs hold.
    pub(super) fn of(over: &[&Outcome], metric: &'static str) -> Self {
        let (mut names, mut places) = (Vec::new(), BTreeMap::new());
        let (mut count, mut others) = (0usize, 0usize);
        for point in over.iter().flat_map(|outcome| &outcome.points) {
            if point.metric == metric {
                count += 1;
            } else if shown(&point.metric) {
                others += 1;
                if !places.contains_key(&point.metric) {
                    places.insert(point.metric.clone(), names.len());
                    names.push(point.metric.clone());
                }
            }
        }
        let (stride, beside) = (count.div_ceil(MOST).max(1), others.div_ceil(MOST_BESIDE).max(1));
        Measures { metric, stride, beside, names, places }
    }

    /// How each is called.
    pub(super) fn metrics(&self) -> Vec<Metric> {
        let of = |name: &String| {
            let (label, share) = match name.as_str() {
                "hostile_weight" => ("weight of hostile rows".to_owned(), true),
                "backdoor_rate" => ("stamped samples taken for the target".to_owned(), true),
                "train_loss" => ("honest minibatch loss".to_owned(), false),
                "test_loss" => ("test loss".to_owned(), false),
                "bytes/up" => ("bytes a worker and step, to the server".to_owned(), false),
                "bytes/down" => ("bytes a worker and step, from the server".to_owned(), false),
                "certificate/radius" => ("certified distance from the honest mean".into(), false),
                "certificate/promised" => ("that distance as κ promises it".into(), false),
                "certificate/descent" => ("hostile rows with certified descent".into(), false),
                "certificate/margin" => {
                    ("how far rows may move with the same ones selected".into(), false)
                }
                "certificate/length" => ("length of the aggregate".into(), false),
                name => (name.strip_prefix("study/").unwrap_or(name).replace('_', " "), false),
            };
            Metric { name: name.clone(), label, share }
        };
        self.names.iter().map(of).collect()
    }

    /// What else a run measured.
    pub(super) fn series(&self, outcome: &Outcome) -> Vec<Series> {
        let mut curves: BTreeMap<usize, Vec<(u64, f64)>> = BTreeMap::new();
        for point in &outcome.points {
            if let Some(&metric) = self.places.get(&point.metric) {
                curves.entry(metric).or_default().push((point.step, point.value));
            }
        }
        let series = |(metric, curve): (usize, Vec<(u64, f64)>)| Series {
            metric,
            curve: points(&thinned(&curve, self.beside)),
        };
        curves.into_iter().map(series).collect()
    }

    /// What was left out.
    pub(super) fn said(&self) -> Option<String> {
        let part = |what: &str, stride: usize| {
            (stride > 1).then(|| format!("of the curves of {what} every {stride}th point is kept"))
        };
        let name = self.metric.replace('_', " ");
        let said: Vec<String> = [part(&name, self.stride), part("other measurements", self.beside)]
            .into_iter()
            .flatten()
            .collect();
        (!said.is_empty()).then(|| {
            format!(
                "To keep this page small, {}; means and ends are of all points",
                said.join("; ")
            )
        })
    }
}

/// Whether a measurement is shown as a curve: what is of one worker is not.
fn shown(metric: &str) -> bool {
    !metric.contains("/worker-") && !metric.starts_with("refused/")
}

#[cfg(test)]
mod tests {
    use super::super::super::Point;
    use super::*;

    #[test]
    fn axes_are_sorted_by_number_or_by_the_experiment() {
        let run = |rule: &str, n: usize, partition: &str| Settings {
            rule: rule.into(),
            partition: partition.into(),
            n,
            ..Settings::default()
        };
        let runs = [run("median", 15, "sorted"), run("krum", 9, "iid"), run("krum", 101, "iid")];
        let runs: Vec<&Settings> = runs.iter().collect();
        let sweep = Sweep::of(runs.iter().copied(), &[], vec!["krum".into()]);
        let axes = axes(&runs, &sweep);
        let told: Vec<String> = axes
            .iter()
            .map(|axis| format!("{} {}", axis.key, Value::from(axis.values.clone())))
            .collect();
        let wanted = [
            r#"rule ["krum","median"]"#,
            r#"attack ["none"]"#,
            r#"partition ["sorted","iid"]"#,
            "n [9,15,101]",
            r#"seed ["1"]"#,
        ];
        assert_eq!(told, wanted);
        let common = common(&runs, &sweep);
        assert_eq!((&common["batch"], common.contains_key("n")), (&Value::from(32), false));
        assert_eq!(common["clip"], Value::from("inf"));
    }

    #[test]
    fn measurements_are_named_refusals_told_apart_and_long_curves_thinned() {
        let mut one = Outcome::sample("krum", "alie", 1, &[0.1, 0.9]);
        for (metric, value) in [
            ("refused/not-finite/worker-003", 7.0),
            ("refused/hostile", 2.0),
            ("hostile_weight", 0.2),
        ] {
            one.points.push(Point { step: 10, metric: metric.into(), value });
        }
        let measured = Measures::of(&[&one], "accuracy");
        assert_eq!(measured.metrics().len(), 1);
        assert_eq!(measured.series(&one)[0].curve, [(10, Some(0.2))]);
        assert_eq!((measured.said(), measured.stride), (None, 1));
        let told: Vec<_> = refusals(&one).into_iter().map(|one| (one.worker, one.rows)).collect();
        assert_eq!(told, [("003".to_owned(), 7), ("hostile".to_owned(), 2)]);
        let curve: Vec<(u64, f64)> = (0..8).map(|k| (k, 0.5)).collect();
        let steps: Vec<u64> = thinned(&curve, 3).into_iter().map(|point| point.0).collect();
        assert_eq!(steps, [0, 3, 6, 7]);
        let thin = Measures { stride: 4, ..measured };
        assert!(thin.said().unwrap().contains("accuracy every 4th point"));
    }

    #[test]
    fn a_long_configuration_is_cut_between_letters() {
        let text = bounded("é".repeat(QUOTED));
        assert!(text.len() < QUOTED + 100 && text.ends_with("longer\n"));
        assert_eq!(bounded("short".into()), "short");
    }
}
