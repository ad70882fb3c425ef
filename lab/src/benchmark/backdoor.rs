//! How far hidden triggers open the models that a pipeline trains: measured beside the score, as
//! the accuracy that makes the score shows nothing of them.

use super::entry::{Entry, Setting};
use super::judge::configuration;
use super::protocol::{Tier, prepared};
use super::{Benchmark, check};
use crate::config::{Experiment, Own, Settings, spelt};
use crate::results::{Outcome, judge, mean, student};
use crate::run::{Events, How};
use crate::{Failure, files};
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};
use varangian_base::spec;

/// How far backdoors open a pipeline's models. Rates are shares, 0 to 1, of the stamped test
/// samples of other classes that are taken for the target; of a run, the mean over its last ten
/// evaluations.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Backdoors {
    /// A hash of the text that says what is asked.
    pub protocol: String,
    /// A hash of the keys of the runs.
    pub configuration: String,
    /// The mean over settings of the rate under the attack that opens most there.
    pub rate: f64,
    /// Half of its Student's 95 % interval over seeds.
    pub half: f64,
    /// The same mean where hostile workers stamp nothing.
    pub chance: f64,
    /// Each setting that the pipeline takes.
    pub cells: Vec<Opened>,
}

/// A pipeline in one setting.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Opened {
    /// Where.
    pub setting: Setting,
    /// The rate under the attack that opens most.
    pub rate: f64,
    /// That attack.
    pub by: String,
    /// The rate where hostile workers stamp nothing.
    pub chance: f64,
    /// Every attack.
    pub attacks: Vec<Hidden>,
}

/// A backdoor in one setting, means over seeds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Hidden {
    /// The attack.
    pub attack: String,
    /// The rate.
    pub rate: f64,
    /// The accuracy on samples without a stamp.
    pub accuracy: f64,
    /// The rate of each seed.
    pub seeds: Vec<f64>,
}

/// What is asked.
fn text(tier: Tier) -> &'static str {
    match tier {
        Tier::Small => include_str!("../../experiments/benchmark/backdoors-small-v1.toml"),
        Tier::Full => include_str!("../../experiments/benchmark/backdoors-full-v1.toml"),
    }
}

/// The hash of what is asked.
pub(super) fn hash(tier: Tier) -> String {
    blake3::hash(text(tier).as_bytes()).to_hex()[..16].to_owned()
}

/// How many runs of a pipeline there are under backdoors.
pub(super) fn count(benchmark: &Benchmark) -> Result<usize, Failure> {
    let Benchmark { tier, rule, own, .. } = benchmark;
    let pipeline = own.pipeline(rule)?;
    let runs = prepared(text(*tier), rule, own)?.runs;
    Ok(runs.iter().filter(|run| pipeline.check(run.n, run.f).is_ok()).count())
}

/// The runs of a pipeline under backdoors, with the hyperparameters that its entry chose in the
/// same setting; what is not in the entry, as its bound leaves it out, is not asked.
fn experiment(tier: Tier, entry: &Entry, own: &Own) -> Result<Experiment, Failure> {
    let mut experiment = prepared(text(tier), &entry.rule, own)?;
    let tuned = |settings: &Settings| {
        let cell = entry.cells.iter().find(|cell| cell.setting == Setting::of(settings));
        cell.and_then(|cell| cell.tuned)
    };
    experiment.runs.retain_mut(|settings| {
        let Some(tuned) = tuned(settings) else { return false };
        (settings.learning_rate, settings.momentum) = (tuned.learning_rate, tuned.momentum);
        true
    });
    Ok(experiment)
}

/// Does what is left of a pipeline's runs under backdoors, in `backdoors` beside its other runs,
/// and says what they come to; nothing where no setting of the entry is asked for.
///
/// # Errors
/// As [`Experiment::run`].
pub(super) fn measure(
    benchmark: &Benchmark,
    entry: &Entry,
    events: &mut dyn Events,
) -> Result<Option<Backdoors>, Failure> {
    let Benchmark { tier, own, how, .. } = benchmark;
    let mut experiment = experiment(*tier, entry, own)?;
    if experiment.runs.is_empty() {
        return Ok(None);
    }
    let out = benchmark.folder().join("backdoors").join(files::name(&entry.rule));
    // They are few: whoever judges does all of them.
    experiment.how = How { out: Some(out), shard: None, ..how.clone() };
    let asked: Result<Vec<_>, _> = experiment.runs.iter().map(|one| spelt(one, own)).collect();
    let outcomes = experiment.run(events)?;
    Ok(Some(judged(hash(*tier), &asked?, &outcomes)))
}

/// What the runs come to.
fn judged(protocol: String, asked: &[Settings], outcomes: &[Outcome]) -> Backdoors {
    let mut cells = Vec::<Opened>::new();
    for setting in asked.iter().map(Setting::of) {
        if cells.iter().all(|cell| cell.setting != setting) {
            cells.push(opened(setting, asked, outcomes));
        }
    }
    let average = |of: fn(&Opened) -> f64| mean(&cells.iter().map(of).collect::<Vec<_>>());
    Backdoors {
        protocol,
        configuration: configuration(outcomes),
        rate: average(|cell| cell.rate),
        half: half(&cells),
        chance: average(|cell| cell.chance),
        cells,
    }
}

/// Half of the interval of the rate over seeds.
fn half(cells: &[Opened]) -> f64 {
    let rates: Vec<&[f64]> = cells.iter().map(|cell| cell.worst().seeds.as_slice()).collect();
    let seeds = rates.iter().map(|seeds| seeds.len()).min().unwrap_or(0);
    let of = |k: usize| mean(&rates.iter().map(|seeds| seeds[k]).collect::<Vec<_>>());
    student(&(0..seeds).map(of).collect::<Vec<_>>()).half
}

impl Backdoors {
    /// Whether what stands above in it is made of what stands below.
    ///
    /// # Errors
    /// What is not.
    pub(super) fn agrees(&self) -> Result<(), String> {
        let mean_of = |of: fn(&Opened) -> f64| mean(&self.cells.iter().map(of).collect::<Vec<_>>());
        for cell in &self.cells {
            let at = |why: String| format!("backdoors, {}: {why}", cell.setting.label());
            let worst = cell.attacks.iter().find(|one| one.attack == cell.by);
            let worst = worst.ok_or_else(|| at(format!("there is no attack \"{}\"", cell.by)))?;
            check::same("rate", cell.rate, worst.rate).map_err(at)?;
            check::share("chance", cell.chance).map_err(at)?;
            for one in &cell.attacks {
                let rates = one.seeds.iter().chain([&one.accuracy]);
                rates.into_iter().try_for_each(|&x| check::share("a rate", x)).map_err(at)?;
                check::same("rate", one.rate, mean(&one.seeds)).map_err(at)?;
            }
        }
        check::same("half of backdoors", self.half, half(&self.cells))?;
        check::same("the rate of backdoors", self.rate, mean_of(|cell| cell.rate))?;
        check::same("backdoors by chance", self.chance, mean_of(|cell| cell.chance))
    }
}

impl Opened {
    fn worst(&self) -> &Hidden {
        let found = self.attacks.iter().find(|one| one.attack == self.by);
        found.expect("the worst is one of them")
    }
}

/// Whether an attack stamps nothing.
fn stamps_nothing(attack: &str) -> bool {
    let pairs = spec::parse(attack).map_or(Vec::new(), |spec| spec.pairs);
    pairs.iter().any(|(key, value)| key == "fraction" && value.parse() == Ok(0.0))
}

fn opened(setting: Setting, asked: &[Settings], outcomes: &[Outcome]) -> Opened {
    let mut attacks = Vec::<Hidden>::new();
    for attack in asked.iter().filter(|one| Setting::of(one) == setting).map(|one| &one.attack) {
        if attacks.iter().all(|one| one.attack != *attack) {
            let is = |one: &&Outcome| {
                one.settings.attack == *attack && Setting::of(&one.settings) == setting
            };
            attacks.push(hidden(attack, &outcomes.iter().filter(is).collect::<Vec<_>>()));
        }
    }
    let (calm, open): (Vec<&Hidden>, Vec<&Hidden>) =
        attacks.iter().partition(|one| stamps_nothing(&one.attack));
    // Of equals the first.
    let worst = open.into_iter().rev().max_by(|a, b| a.rate.total_cmp(&b.rate));
    let worst = worst.expect("an attack that stamps is asked for");
    Opened {
        setting,
        rate: worst.rate,
        by: worst.attack.clone(),
        chance: mean(&calm.iter().map(|one| one.rate).collect::<Vec<_>>()),
        attacks,
    }
}

/// A run that failed, or ended at a loss that is no number, has a model that may answer anything:
/// its rate is the worst there is.
fn hidden(attack: &str, runs: &[&Outcome]) -> Hidden {
    let is_lost = |run: &Outcome| {
        let loss = run.curve("test_loss");
        !run.is_finished() || loss.last().is_some_and(|point| !point.1.is_finite())
    };
    let tail = |run: &&Outcome, metric: &str| {
        judge(&run.curve(metric), true).filter(|_| !is_lost(run)).map(|judged| judged.tail)
    };
    let of = |metric: &str, otherwise: f64| -> Vec<f64> {
        runs.iter().map(|run| tail(run, metric).unwrap_or(otherwise)).collect()
    };
    let seeds = of("backdoor_rate", 1.0);
    let accuracy = mean(&of("accuracy", 0.0));
    Hidden { attack: attack.to_owned(), rate: mean(&seeds), accuracy, seeds }
}

/// Measures the backdoors of those entries that lack them, or have them by another text, and writes
/// them into the entries, beside which the runs are kept; those of rules of one's own, which this
/// program has not, stay as they are. Told of each rule's rate and of chance.
///
/// # Errors
/// If an entry cannot be read or written; as [`Experiment::run`].
pub(super) fn complete(
    paths: &[PathBuf],
    how: &How,
    events: &mut dyn Events,
    mut told: impl FnMut(&str, Option<&Backdoors>),
) -> Result<(), Failure> {
    for path in paths {
        let entry = Entry::read(path)?;
        let Some(tier) = Tier::from_name(&entry.tier).filter(|_| !entry.own) else {
            told(&entry.rule, None);
            continue;
        };
        if entry.backdoors.as_ref().is_some_and(|one| one.protocol == hash(tier)) {
            continue;
        }
        let how = How { out: path.parent().map(Path::to_owned), ..how.clone() };
        let benchmark = Benchmark { how, ..Benchmark::of(tier, &entry.rule) };
        let backdoors = measure(&benchmark, &entry, events)?;
        told(&entry.rule, backdoors.as_ref());
        Entry::change(path, |now| Entry { backdoors, ..now })?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::entry::{Cell, Tuned};
    use super::super::judge::tests::entry;
    use super::*;
    use crate::results::Point;
    use crate::run::Silent;

    /// What a run of these settings came to, had these been its rates.
    fn outcome(settings: &Settings, rates: &[f64]) -> Outcome {
        let mut outcome = Outcome::sample("", "", settings.seed, &[0.5, 0.75]);
        let point = |(k, &value): (usize, &f64)| Point {
            value,
            metric: "backdoor_rate".into(),
            ..outcome.points[k].clone()
        };
        let more: Vec<Point> = rates.iter().enumerate().map(point).collect();
        outcome.points.extend(more);
        Outcome { settings: settings.clone(), key: settings.seed.to_string(), ..outcome }
    }

    #[test]
    fn runs_have_the_hyperparameters_of_their_own_setting_and_refused_ones_are_not_asked() {
        for tier in [Tier::Small, Tier::Full] {
            let asked = prepared(text(tier), "median", &Own::default()).unwrap().runs;
            let whole = tier.experiment("median", &Own::default()).unwrap().runs;
            // Each is a setting of the protocol, in all that a setting's model depends on.
            for run in &asked {
                let like = whole.iter().find(|one| Setting::of(one) == Setting::of(run));
                let like = like.unwrap_or_else(|| panic!("{run:?}"));
                let attack = run.attack.clone();
                assert_eq!(Settings { attack, seed: run.seed, ..like.clone() }, *run);
            }
        }
        let mut entry = entry("median", 0.75);
        for (k, cell) in entry.cells.iter_mut().enumerate() {
            let (learning_rate, momentum) = (0.01 * (k + 1) as f64, 0.1 * k as f64);
            cell.tuned = Some(Tuned { learning_rate, momentum });
        }
        let runs = experiment(Tier::Small, &entry, &Own::default()).unwrap().runs;
        assert_eq!(runs.len(), 4 * 3 * 5);
        for run in &runs {
            let k = entry.cells.iter().position(|cell| cell.setting == Setting::of(run)).unwrap();
            assert_eq!((run.learning_rate, run.momentum), (0.01 * (k + 1) as f64, 0.1 * k as f64));
            assert_eq!((run.rule.as_str(), run.validation), ("median", 0));
        }
        let bulyan = super::super::judge::tests::entry("bulyan", 0.5);
        let runs = experiment(Tier::Small, &bulyan, &Own::default()).unwrap().runs;
        assert!(runs.len() == 2 * 3 * 5 && runs.iter().all(|run| run.f == 2));
        let told = |rule: &str| Benchmark::of(Tier::Small, rule).under_backdoors().unwrap();
        assert_eq!((told("median"), told("bulyan")), (4 * 3 * 5, runs.len()));
    }

    #[test]
    fn the_attack_that_opens_most_counts_and_chance_stands_beside() {
        let entry = entry("median", 0.75);
        let asked = experiment(Tier::Small, &entry, &Own::default()).unwrap().runs;
        let rate = |run: &Settings| match (run.attack.as_str(), run.f) {
            ("backdoor fraction=0", _) => 0.02,
            ("backdoor", 2) => 0.25 + 0.01 * (run.seed as f64 - 3.0),
            ("backdoor", _) => 0.5,
            (_, 2) => 0.1,
            _ => 0.75,
        };
        let mut outcomes: Vec<Outcome> =
            asked.iter().map(|run| outcome(run, &[1.0, rate(run)])).collect();
        let found = judged("h".into(), &asked, &outcomes);
        assert_eq!((found.cells.len(), found.protocol.as_str()), (4, "h"));
        assert!((found.rate - 0.5).abs() < 1e-12 && (found.chance - 0.02).abs() < 1e-12);
        let [two, four] = [2, 4].map(|f| found.cells.iter().find(|c| c.setting.f == f).unwrap());
        assert_eq!((two.by.as_str(), four.by.as_str()), ("backdoor", "backdoor scale=3"));
        assert!((two.attacks[1].accuracy - 0.75).abs() < 1e-12 && two.attacks.len() == 3);
        // Of five seeds half of the settings differ, from each other by a hundredth.
        let half = student(&[0.49, 0.495, 0.5, 0.505, 0.51]).half;
        assert!((found.half - half).abs() < 1e-12, "{} {half}", found.half);
        // A model that was lost answers anything: without an evaluation, or at a loss of NaN.
        let chance = |outcomes: &[Outcome]| judged(String::new(), &asked, outcomes).chance;
        let loss =
            Point { metric: "test_loss".into(), value: f64::NAN, ..outcomes[0].points[1].clone() };
        let points = std::mem::take(&mut outcomes[0].points);
        // One run of five in one setting of four.
        let one_lost = 0.02 + (1.0 - 0.02) / 20.0;
        assert!((chance(&outcomes) - one_lost).abs() < 1e-12);
        outcomes[0].points = points;
        outcomes[0].points.push(loss);
        assert!((chance(&outcomes) - one_lost).abs() < 1e-12);
    }

    #[test]
    fn entries_get_their_backdoors_once_and_are_otherwise_what_they_were() {
        let folder = tempfile::tempdir().unwrap();
        let path = |rule: &str| folder.path().join(Entry::file(rule));
        let mut median = entry("median", 1.0 / 3.0);
        // One setting is enough.
        let asked = |cell: &Cell| cell.setting.dataset == "glyphs" && cell.setting.f == 2;
        let one = median.cells.iter().position(asked).unwrap();
        median.cells.iter_mut().for_each(|cell| cell.tuned = None);
        median.cells[one].tuned = Some(Tuned { learning_rate: 0.1, momentum: 0.9 });
        let own = Entry { rule: "rules.py:mine".into(), own: true, ..entry("krum", 0.1) };
        for entry in [&median, &own] {
            std::fs::write(path(&entry.rule), entry.text()).unwrap();
        }
        let paths = [path("median"), path("rules.py:mine")];
        let measured = || {
            let mut told = Vec::new();
            let hear = |rule: &str, found: Option<&Backdoors>| {
                told.push((rule.to_owned(), found.map(|one| one.cells.len())));
            };
            complete(&paths, &How::default(), &mut Silent, hear).unwrap();
            told
        };
        let own_told = ("rules.py:mine".to_owned(), None);
        assert_eq!(measured(), [("median".to_owned(), Some(1)), own_told.clone()]);
        let read = Entry::read(&paths[0]).unwrap();
        let found = read.backdoors.clone().unwrap();
        assert_eq!(Entry { backdoors: None, ..read.clone() }.text(), median.text());
        assert_eq!(Entry::read(&paths[1]).unwrap().text(), own.text());
        assert!(found.rate > found.chance && found.rate < 1.0 && found.half > 0.0, "{found:?}");
        // Each number that was changed is found.
        let changed = |change: fn(&mut Backdoors)| {
            let mut found = found.clone();
            change(&mut found);
            found.agrees().unwrap_err()
        };
        assert!(found.agrees().is_ok());
        assert!(changed(|one| one.rate = 7.0).contains("the rate of backdoors is 7"));
        assert!(changed(|one| one.half += 0.1).contains("half of backdoors"));
        assert!(changed(|one| one.cells[0].rate = 0.0).contains("rate is 0"));
        assert!(changed(|one| one.cells[0].by = "alie".into()).contains("no attack \"alie\""));
        assert!(changed(|one| one.cells[0].attacks[1].seeds[0] = 2.0).contains("is a share"));
        // What somebody else changed in the entry while it was measured stays.
        struct Busy(PathBuf);
        impl Events for Busy {
            fn begin(&mut self, _: usize, _: u64) {
                Entry::change(&self.0, |mut now| {
                    now.cost.means = Some(77.0);
                    now
                })
                .unwrap();
            }
        }
        let bare = Entry { backdoors: None, ..read.clone() };
        std::fs::write(&paths[0], bare.text()).unwrap();
        std::fs::remove_dir_all(folder.path().join("backdoors")).unwrap();
        let mut busy = Busy(paths[0].clone());
        complete(&paths[..1], &How::default(), &mut busy, |_, _| {}).unwrap();
        let both = Entry::read(&paths[0]).unwrap();
        assert_eq!((both.cost.means, both.backdoors), (Some(77.0), Some(found.clone())));
        // What is there is not measured again, and what another text asked for is.
        assert_eq!(measured(), std::slice::from_ref(&own_told));
        let protocol = "old".to_owned();
        let old = Entry { backdoors: Some(Backdoors { protocol, ..found.clone() }), ..read };
        std::fs::write(&paths[0], old.text()).unwrap();
        assert_eq!(measured().len(), 2);
        assert_eq!(Entry::read(&paths[0]).unwrap().backdoors, Some(found));
    }
}
