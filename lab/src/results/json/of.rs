//! A folder's outcomes put into the shapes of the JSON text.

use super::super::{End, Fate, Outcome, Store, Sweep, fate, judge, metric, words};
use super::more::{self, Measures};
use super::{Ending, FORMAT, Final, Line, Meaning, Point, Results, Run, Running, Style, VERSION};
use crate::benchmark::Leaderboard;
use crate::config::Settings;
use crate::run::{Live, heterogeneity};
use crate::{files, pictures, plot};
use std::collections::BTreeMap;

/// What is known of a folder beside its outcomes.
#[derive(Clone, Debug, Default)]
pub struct About {
    /// What the experiment is called.
    pub name: String,
    /// Runs that there will be.
    pub planned: usize,
    /// As [`Results::missing`].
    pub missing: Option<String>,
    /// Keys that were tuned for each rule.
    pub tuned: Vec<String>,
    /// The rules in the experiment's order.
    pub rules: Vec<String>,
    /// As [`Results::notes`].
    pub notes: Vec<String>,
    /// The planned runs, by their keys, where the folder says what they are.
    pub plan: Vec<(String, Settings)>,
    /// As [`Results::configuration`].
    pub configuration: String,
    /// As [`Results::measured`].
    pub measured: Vec<String>,
    /// As [`Results::tuning`].
    pub tuning: String,
    /// As [`Results::leaderboard`]; [`About::of`] looks for none.
    pub leaderboard: Option<Leaderboard>,
}

impl About {
    /// What a folder says of itself.
    pub fn of(store: &Store, name: &str, planned: usize, missing: Option<String>) -> Self {
        About {
            name: name.to_owned(),
            planned,
            missing,
            tuned: store.tuned(),
            rules: store.rules(),
            notes: crate::run::notes(store),
            plan: store.plan(),
            configuration: more::bounded(files::text_of(&store.path("experiment.toml"))),
            measured: heterogeneity::kept(store).iter().map(ToString::to_string).collect(),
            tuning: match files::demand_own_folder(&store.path("tuning")) {
                Ok(()) => more::bounded(files::text_of(&store.path("tuning/tuning.txt"))),
                Err(_) => String::new(),
            },
            leaderboard: None,
        }
    }
}

impl Results {
    /// Of these outcomes, in the order of the experiment.
    pub fn of(about: &About, over: &[&Outcome]) -> Self {
        let all: Vec<&Settings> = about
            .plan
            .iter()
            .map(|(_, settings)| settings)
            .chain(over.iter().map(|outcome| &outcome.settings))
            .collect();
        let sweep = Sweep::of(all.iter().copied(), &about.tuned, about.rules.clone());
        let metric = metric(over.iter().copied());
        let fates: Vec<Fate> = over.iter().map(|outcome| Fate::of(outcome)).collect();
        let varies = sweep.tied.iter().chain(&sweep.keys).map(|key| (*key).to_owned()).collect();
        let measured = Measures::of(over, metric);
        let axes = more::axes(&all, &sweep);
        Results {
            format: FORMAT.into(),
            version: VERSION,
            program: env!("CARGO_PKG_VERSION").into(),
            name: about.name.clone(),
            planned: about.planned,
            over: over.len(),
            failed: over.iter().filter(|outcome| !outcome.is_finished()).count(),
            missing: about.missing.clone(),
            metric: metric.into(),
            higher_is_better: metric == "accuracy",
            asked: words::asked(&all, &sweep),
            methods: words::methods(&all, &sweep, metric, &about.configuration),
            configuration: about.configuration.clone(),
            varies,
            axes,
            common: more::common(&all, &sweep),
            metrics: measured.metrics(),
            definitions: more::definitions(metric),
            measured: about.measured.clone(),
            tuning: about.tuning.clone(),
            sampled: measured.said(),
            rules: sweep.rules.iter().enumerate().map(|(k, rule)| style(k, rule)).collect(),
            runs: over
                .iter()
                .zip(&fates)
                .map(|(one, fate)| run(one, fate, &sweep, &measured))
                .collect(),
            lines: lines(over, &sweep, &measured),
            meanings: meanings(&fates),
            notes: about.notes.clone(),
            leaderboard: about.leaderboard.clone(),
            running: Vec::new(),
            silent: false,
        }
    }

    /// Takes in the runs that go on; a rule that no finished run has gets a colour too.
    pub fn going_on(&mut self, running: &[Live], silent: bool, about: &About) {
        for live in running {
            if self.rules.iter().all(|known| known.rule != live.rule) {
                self.rules.push(style(self.rules.len(), &live.rule));
            }
        }
        let keys: Vec<&str> = self.varies.iter().map(String::as_str).collect();
        let of = |live: &Live| {
            let planned = about.plan.iter().find(|(key, _)| *key == live.key);
            planned.map(|(_, own)| more::values(own, &keys)).unwrap_or_default()
        };
        self.running = running.iter().map(|live| Running::of(live, of(live))).collect();
        self.silent = silent;
    }

    /// The text.
    pub fn text(&self) -> String {
        serde_json::to_string(self).expect("plain values")
    }

    /// The text but for the runs that go on: with [`Results::passing`] after it, it is
    /// [`Results::text`]. Who watches makes it anew only where a run has ended.
    pub fn lasting(&self) -> String {
        let mut text = self.text();
        let end = self.passing();
        assert!(text.ends_with(&end), "these fields stand last");
        text.truncate(text.len() - end.len());
        text
    }

    /// The end of the text: the runs that go on.
    pub fn passing(&self) -> String {
        let running = serde_json::to_string(&self.running).expect("plain values");
        format!(",\"running\":{running},\"silent\":{}}}", self.silent)
    }

    /// The text as it may stand inside an HTML page's `<script type="application/json">`: no name
    /// in it can end the element or open another.
    pub fn embedded(&self) -> String {
        embedded(&self.text())
    }
}

/// JSON that may stand inside an HTML page: "<" occurs in JSON only within texts, where its escape
/// means the same.
pub fn embedded(json: &str) -> String {
    json.replace('<', "\\u003c")
}

impl Running {
    fn of(live: &Live, settings: BTreeMap<String, serde_json::Value>) -> Self {
        let gone = live.curve.iter().map(|point| point.1).chain(live.weights.iter().copied());
        Running {
            key: live.key.clone(),
            rule: live.rule.clone(),
            attack: live.attack.clone(),
            setting: live.setting.clone(),
            settings,
            seed: live.seed.to_string(),
            step: live.step,
            steps: live.steps,
            curve: points(&live.curve),
            classifies: live.classifies,
            not_finite: gone.filter(|value| !value.is_finite()).count(),
            weights: live.weights.iter().map(|weight| finite(*weight)).collect(),
            refused: live.refused.clone(),
            reasons: live.reasons.clone(),
            hostile: live.hostile.clone(),
            expelled: live.expelled.clone(),
            skipped: live.skipped,
            served: live.served.clone(),
        }
    }
}

pub(super) fn finite(x: f64) -> Option<f64> {
    x.is_finite().then_some(x)
}

pub(super) fn points(curve: &[(u64, f64)]) -> Vec<Point> {
    curve.iter().map(|(step, value)| (*step, finite(*value))).collect()
}

/// As in every picture of the folder.
fn style(place: usize, rule: &str) -> Style {
    let (colour, dashes) = (plot::colour(place).to_owned(), plot::dashes(place).to_owned());
    Style { rule: rule.to_owned(), colour, dashes, mark: plot::mark(place).to_owned() }
}

fn run(outcome: &Outcome, fate: &Fate, sweep: &Sweep, measured: &Measures) -> Run {
    let metric = measured.metric;
    let curve = outcome.curve(metric);
    let own = &outcome.settings;
    let keys: Vec<&str> = sweep.tied.iter().chain(&sweep.keys).copied().collect();
    let refusals = more::refusals(outcome);
    Run {
        key: outcome.key.clone(),
        rule: own.rule.clone(),
        attack: own.attack.clone(),
        seed: own.seed.to_string(),
        settings: more::values(own, &keys),
        line: sweep.line(own),
        setting: sweep.setting(own),
        state: outcome.end.name().into(),
        error: match &outcome.end {
            End::Finished => None,
            End::Failed(why) => Some(why.clone()),
        },
        fate: ending(fate, &curve),
        r#final: judge(&curve, metric == "accuracy").map(|judged| Final {
            last: finite(judged.last),
            tail: finite(judged.tail),
            counted: judged.counted,
            best: finite(judged.best),
        }),
        curve: points(&more::thinned(&curve, measured.stride)),
        series: measured.series(outcome),
        refused: refusals.iter().map(|one| one.rows).sum(),
        refusals,
        seconds: finite(outcome.seconds),
    }
}

fn ending(fate: &Fate, curve: &[(u64, f64)]) -> Ending {
    let told = fate::told(&[*fate]).replace("1 of 1 ", "");
    Ending {
        told: if told == "-" { String::new() } else { told },
        collapsed: fate.collapsed,
        diverged: fate.diverged,
        never_learnt: fate.never_learnt,
        skipped: fate.skipped,
        steps: fate.steps,
        not_finite: curve.iter().filter(|point| !point.1.is_finite()).count(),
    }
}

fn meanings(fates: &[Fate]) -> Vec<Meaning> {
    let marks = fate::marks(fates);
    let holds = fate::DEFINITIONS.iter().filter(|one| marks.contains(one.0));
    let own = |(mark, word, meaning): &(char, &str, &str)| Meaning {
        mark: mark.to_string(),
        word: (*word).to_owned(),
        meaning: (*meaning).to_owned(),
    };
    holds.map(own).collect()
}

/// A mean curve over seeds for each rule, setting and attack, in the order of the runs.
fn lines(over: &[&Outcome], sweep: &Sweep, measured: &Measures) -> Vec<Line> {
    let Measures { metric, stride, .. } = *measured;
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
        let mean = pictures::band(curves).into_iter();
        let mean: Vec<_> = mean.map(|point| (point.step as u64, point.mean)).collect();
        line.curve = points(&more::thinned(&mean, stride));
        line.seeds = curves.len();
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_finite_is_null_with_its_fate_beside_it() {
        let outcomes = [
            Outcome::sample("krum", "alie", 1, &[0.25, 0.9]),
            Outcome::sample("krum", "alie", 2, &[0.25, f64::NAN]),
            Outcome::sample("krum", "alie", 3, &[0.25, f64::INFINITY, 0.9]),
        ];
        let about = About { planned: 4, ..About::default() };
        let results = Results::of(&about, &outcomes.iter().collect::<Vec<_>>());
        let value: serde_json::Value = serde_json::from_str(&results.text()).unwrap();
        let runs = &value["runs"];
        assert_eq!(runs[1]["curve"], serde_json::json!([[0, 0.25], [10, null]]));
        assert_eq!(runs[1]["final"]["last"], serde_json::Value::Null);
        assert_eq!(runs[1]["fate"]["told"], "diverged, never learnt");
        assert_eq!(
            (&runs[0]["final"]["last"], &runs[0]["fate"]["told"]),
            (&0.9.into(), &"".into())
        );
        // One that came back has not diverged, and its null is counted all the same.
        assert_eq!(runs[2]["fate"]["diverged"], false);
        assert_eq!(runs[2]["final"]["best"], serde_json::Value::Null);
        assert_eq!(runs[2]["fate"]["not_finite"], 1);
        assert_eq!(value["lines"][0]["curve"], serde_json::json!([[0, 0.25], [10, null]]));
        let marks = results.meanings.iter().map(|one| one.mark.as_str()).collect::<String>();
        assert_eq!(marks, "cdn");
        let back: Results = serde_json::from_str(&results.text()).unwrap();
        assert_eq!(back, results);
    }

    #[test]
    fn settings_that_vary_have_their_own_types() {
        let mut outcomes = [
            Outcome::sample("krum", "alie", 1, &[0.1]),
            Outcome::sample("krum", "alie", 1, &[0.2]),
        ];
        outcomes[1].settings.clip = 2.5;
        outcomes[1].settings.n = 15;
        outcomes[1].settings.seed = i64::MAX as u64;
        let results = Results::of(&About::default(), &outcomes.iter().collect::<Vec<_>>());
        assert_eq!(results.runs[1].seed, "9223372036854775807");
        assert_eq!(results.varies, ["n", "clip"]);
        let settings: Vec<String> =
            results.runs.iter().map(|run| serde_json::to_string(&run.settings).unwrap()).collect();
        assert_eq!(settings, [r#"{"clip":"inf","n":11}"#, r#"{"clip":2.5,"n":15}"#]);
        assert_eq!(results.lines.len(), 2);
    }

    #[test]
    fn no_name_ends_the_element_it_stands_in() {
        let outcome = Outcome::sample("krum", "</script><!--<script>", 1, &[0.1]);
        let about = About { notes: vec!["</SCRIPT>".into()], ..About::default() };
        let results = Results::of(&about, &[&outcome]);
        let text = results.embedded();
        assert!(!text.contains('<'), "{text}");
        assert_eq!(serde_json::from_str::<Results>(&text).unwrap(), results);
    }
}
