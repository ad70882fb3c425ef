//! Hyperparameters chosen before the runs: each rule gets the candidate that is best in its worst
//! case over attacks, on samples held out of the training set, with the same budget for all rules.

use super::check::Twins;
use super::{Events, How, Shelf, Worlds, run_all};
use crate::config::{Experiment, Settings, Tune, demand_few, spelt};
use crate::results::cells::{self, Cell};
use crate::results::{Outcome, judge, mean};
use crate::{Failure, files, text};
use std::collections::BTreeSet;

/// What one rule's candidates came to.
struct Choice {
    /// The settings without adversary, seed and tuned keys.
    base: Settings,
    /// By candidate: the worst attack, and the mean over seeds of the last ten under it.
    worst: Vec<(String, f64)>,
    best: usize,
}

/// The experiment with each rule's best candidate; `tuning.csv` and the runs behind it are kept in
/// the folder `tuning` of the results.
///
/// # Errors
/// If a run cannot be done, failed or is missing because other shards do it.
pub(super) fn choose(
    experiment: &Experiment,
    tune: &Tune,
    shelf: &Shelf,
    events: &mut dyn Events,
) -> Result<Experiment, Failure> {
    let trial = trial(experiment, tune)?;
    let folder = trial.folder();
    files::demand_own_folder(&folder)?;
    let (outcomes, expected) = run_all(&trial, shelf, Twins::Each, events)?;
    if outcomes.len() < expected {
        return Err(Failure::waiting(format!(
            "this shard's share is done: {} of {expected} tuning runs are there; when those of the \
             other shards are over, give the same command again",
            outcomes.len()
        )));
    }
    let choices = judged(experiment, tune, &outcomes)?;
    files::write(&folder.join("tuning.csv"), &table(tune, &choices))?;
    let text = summary(tune, &choices, outcomes.len());
    files::write(&folder.join("tuning.txt"), text.as_bytes())?;
    events.text(&text);
    with_best(experiment, tune, &choices)
}

/// The runs of which the choice is made, as an experiment of its own.
///
/// # Errors
/// If there are too many, or a candidate's value is none of its key.
pub(super) fn trial(experiment: &Experiment, tune: &Tune) -> Result<Experiment, Failure> {
    let runs = trials(experiment, tune)?;
    let (name, skip_below_bound) = (format!("{}-tuning", experiment.name), true);
    let out = Some(experiment.folder().join("tuning"));
    let how = How { out, save_models: false, ..experiment.how.clone() };
    let base = Experiment { tune: None, world: Worlds::default(), ..experiment.clone() };
    Ok(Experiment { name, runs, skip_below_bound, how, ..base })
}

/// The experiment with each rule's best candidate, of all outcomes of the trial.
///
/// # Errors
/// If a candidate has no outcome.
pub(super) fn chosen(
    experiment: &Experiment,
    tune: &Tune,
    outcomes: &[Outcome],
) -> Result<Experiment, Failure> {
    with_best(experiment, tune, &judged(experiment, tune, outcomes)?)
}

fn with_best(
    experiment: &Experiment,
    tune: &Tune,
    choices: &[Choice],
) -> Result<Experiment, Failure> {
    let mut runs: Vec<Settings> = Vec::new();
    for settings in &experiment.runs {
        let base = without_adversary(&tune.with(settings, 0)?);
        let Some(choice) = choices.iter().find(|choice| choice.base == base) else {
            runs.push(settings.clone());
            continue;
        };
        let chosen = tune.with(settings, choice.best)?;
        if !runs.contains(&chosen) {
            runs.push(chosen);
        }
    }
    Ok(Experiment { runs, tune: None, ..experiment.clone() })
}

/// Every run's settings with every candidate, judged on held-out training samples.
fn trials(experiment: &Experiment, tune: &Tune) -> Result<Vec<Settings>, Failure> {
    let seeds = tune.seeds.len().max(1);
    let asked = [experiment.runs.len(), tune.candidates.len(), seeds];
    let asked = asked.into_iter().fold(1, usize::saturating_mul);
    demand_few(asked).map_err(|failure| failure.at("[tune]"))?;
    let (mut runs, mut seen) = (Vec::new(), BTreeSet::new());
    for settings in &experiment.runs {
        for k in 0..tune.candidates.len() {
            let one = tune.with(settings, k)?;
            let seeds = if tune.seeds.is_empty() { &[settings.seed][..] } else { &tune.seeds };
            for &seed in seeds {
                let one = Settings { seed, judge_on: tune.validation, ..one.clone() };
                one.check_numbers()?;
                if seen.insert(toml::to_string(&one).expect("scalars")) {
                    runs.push(one);
                }
            }
        }
    }
    Ok(runs)
}

/// What the choice may depend on: the adversary, what is really hostile and the seed are not known
/// to who chooses.
fn without_adversary(settings: &Settings) -> Settings {
    let (attack, hostile) = ("none".into(), "last".into());
    Settings { attack, hostile, f_real: Some(0), seed: 0, judge_on: 0, ..settings.clone() }
}

fn judged(
    experiment: &Experiment,
    tune: &Tune,
    outcomes: &[Outcome],
) -> Result<Vec<Choice>, Failure> {
    let mut choices: Vec<Choice> = Vec::new();
    for settings in &experiment.runs {
        let settings = spelt(settings, &experiment.own)?;
        let base = without_adversary(&tune.with(&settings, 0)?);
        if choices.iter().any(|choice| choice.base == base) {
            continue;
        }
        let mut worst = Vec::new();
        for k in 0..tune.candidates.len() {
            let one = without_adversary(&tune.with(&settings, k)?);
            let own: Vec<&Outcome> =
                outcomes.iter().filter(|o| without_adversary(&o.settings) == one).collect();
            worst.extend(worst_case(&own));
        }
        if worst.len() < tune.candidates.len() {
            // The rule's bound is above n: the experiment leaves it out or refuses it.
            continue;
        }
        let mut best = 0;
        for (k, (_, value)) in worst.iter().enumerate() {
            // Equal candidates: the first.
            if value.total_cmp(&worst[best].1).is_gt() {
                best = k;
            }
        }
        choices.push(Choice { base, worst, best });
    }
    Ok(choices)
}

/// The attack (with how many really attack) under which the mean over seeds of the last ten is
/// worst; higher is better: a loss counts negatively, a failed or diverged run is worse than any.
fn worst_case(outcomes: &[&Outcome]) -> Option<(String, f64)> {
    let adversary = |outcome: &Outcome| {
        let own = &outcome.settings;
        (own.attack.clone(), own.f_real(), own.hostile.clone())
    };
    let mut all: Vec<_> = outcomes.iter().map(|outcome| adversary(outcome)).collect();
    all.sort();
    all.dedup();
    let value = |outcome: &Outcome| {
        let (metric, sign) = match outcome.curve("accuracy").is_empty() {
            true => ("test_loss", -1.0),
            false => ("accuracy", 1.0),
        };
        let tail =
            judge(&outcome.curve(metric), true).map_or(f64::NAN, |judged| sign * judged.tail);
        if tail.is_finite() && outcome.is_finished() { tail } else { f64::NEG_INFINITY }
    };
    let of = |one: &(String, usize, String)| {
        let own = outcomes.iter().filter(|outcome| adversary(outcome) == *one);
        mean(&own.map(|outcome| value(outcome)).collect::<Vec<_>>())
    };
    let valued = all.into_iter().map(|one| (of(&one), one));
    let (value, (attack, ..)) = valued.min_by(|a, b| a.0.total_cmp(&b.0))?;
    Some((attack, value))
}

fn label(base: &Settings) -> String {
    format!("{}, n={}, f={}", base.rule, base.n, base.f)
}

/// What tells choices apart beside rule, n, f and what is tuned: the keys that vary between them.
fn others(tune: &Tune, choices: &[Choice]) -> Vec<&'static str> {
    let bases: Vec<&Settings> = choices.iter().map(|choice| &choice.base).collect();
    let tuned = |key: &str| tune.candidates.iter().any(|one| one.contains_key(key));
    let named = |key: &str| ["rule", "n", "f", "f_real"].contains(&key);
    crate::config::label_keys(&bases).into_iter().filter(|key| !named(key) && !tuned(key)).collect()
}

fn table(tune: &Tune, choices: &[Choice]) -> Vec<u8> {
    let keys: Vec<&str> =
        others(tune, choices).into_iter().filter(|key| *key != "partition").collect();
    let mut header = vec!["rule", "partition"];
    header.extend(&keys);
    header.extend(["candidate", "worst_attack", "worst_case", "chosen"]);
    let mut rows = Vec::new();
    for choice in choices {
        for (k, (attack, value)) in choice.worst.iter().enumerate() {
            let mut row = vec![Cell::text(label(&choice.base)), Cell::text(&choice.base.partition)];
            let settings = toml::Table::try_from(&choice.base).expect("scalars");
            row.extend(keys.iter().map(|key| Cell::of(settings.get(*key))));
            row.extend([Cell::text(tune.label(k)), Cell::text(attack)]);
            row.extend([Cell::Real(*value), Cell::Truth(k == choice.best)]);
            rows.push(row);
        }
    }
    cells::csv(&header, rows.into_iter())
}

fn summary(tune: &Tune, choices: &[Choice], runs: usize) -> String {
    let keys = others(tune, choices);
    let row = |choice: &Choice| {
        let (attack, value) = &choice.worst[choice.best];
        let mut row = vec![label(&choice.base)];
        row.extend(keys.iter().map(|key| choice.base.text(key)));
        row.extend([tune.label(choice.best), attack.clone(), text::number(*value)]);
        row
    };
    let rows: Vec<Vec<String>> = choices.iter().map(row).collect();
    let mut head = vec!["rule"];
    head.extend(&keys);
    head.extend(["chosen", "worst attack", "worst case on validation"]);
    let right: Vec<bool> = (1..=head.len()).map(|k| k == head.len()).collect();
    format!(
        "Chosen among {} candidates for each rule, {runs} runs on {} held-out training samples\n\n{}",
        tune.candidates.len(),
        tune.validation,
        text::table(&head, &rows, &right)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_choice_is_the_best_worst_case_and_never_sees_who_attacks() {
        let text = "rule = ['median', 'krum']\nn = 9\nf = 2\nattack = ['none', 'alie']\n\
                    [tune]\nlearning_rate = [0.1, 0.5, 0.9]\nseed = 7";
        let experiment = Experiment::parse(text, "t", &Default::default()).unwrap();
        let tune = experiment.tune.clone().unwrap();
        let trials = trials(&experiment, &tune).unwrap();
        assert_eq!(trials.len(), 2 * 2 * 3);
        assert!(trials.iter().all(|one| one.seed == 7 && one.judge_on == 1000));
        let outcome = |settings: &Settings| {
            // Under attack the middle rate is best; without one the largest would be.
            let value = match (settings.attack.as_str(), settings.learning_rate) {
                ("none", rate) => rate,
                (_, rate) => 0.4 - (rate - 0.5).abs(),
            };
            Outcome { settings: settings.clone(), ..Outcome::sample("", "", 1, &[0.0, value]) }
        };
        let outcomes: Vec<Outcome> = trials.iter().map(outcome).collect();
        let choices = judged(&experiment, &tune, &outcomes).unwrap();
        assert_eq!(choices.len(), 2);
        for choice in &choices {
            assert_eq!((choice.best, choice.worst[1].0.as_str()), (1, "alie"));
        }
        let text = summary(&tune, &choices, outcomes.len());
        assert!(text.contains("learning_rate=0.5"), "{text}");
        let two = |partition: &str| {
            let base = Settings { partition: partition.into(), ..choices[0].base.clone() };
            Choice { base, worst: choices[0].worst.clone(), best: 1 }
        };
        let text = summary(&tune, &[two("iid"), two("by-label")], 4);
        assert!(text.contains("partition") && text.contains("by-label"), "{text}");
    }

    #[test]
    fn a_diverged_run_is_worse_than_any() {
        let good = Outcome::sample("krum", "none", 1, &[0.1, 0.3]);
        let gone = Outcome::sample("krum", "alie", 1, &[0.1, f64::NAN]);
        assert_eq!(worst_case(&[&good, &gone]).unwrap(), ("alie".into(), f64::NEG_INFINITY));
        assert_eq!(worst_case(&[]), None);
    }
}
