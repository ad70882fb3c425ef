//! From the runs of a pipeline to what the benchmark says of it.

use super::code;
use super::entry::{Calm, Cell, Cost, Curves, Entry, Line, Setting, Tuned};
use super::kappas::kappas;
use super::part::Part;
use super::protocol::{Kind, Tier, VERSION, chance, knowledge};
use crate::config::{Own, Settings};
use crate::results::{Fate, Judged, Outcome, judge, mean, student};
use crate::{Failure, files};
use std::collections::BTreeMap;
use std::path::Path;

/// What `outcomes`, the runs of one pipeline, come to. `asked` are the settings that the protocol
/// asks for: what the rule's bound leaves out of them is there without a run.
///
/// # Errors
/// If runs are missing, as where other shards have not done theirs yet.
pub(super) fn entry(
    tier: Tier,
    own: &Own,
    asked: &[Settings],
    outcomes: &[Outcome],
    cost: Cost,
) -> Result<Entry, Failure> {
    let rule = asked[0].rule.clone();
    let (mut cells, mut calm) = (Vec::<Cell>::new(), Vec::<Calm>::new());
    for settings in asked {
        let setting = Setting::of(settings);
        if settings.f == 0 {
            let known = calm.iter().any(|one| one.setting == setting);
            if !known && let Some(accuracy) = undisturbed(&setting, own, asked, outcomes)? {
                calm.push(Calm { setting, accuracy });
            }
        } else if cells.iter().all(|cell| cell.setting != setting) {
            cells.push(cell(setting, own, asked, outcomes)?);
        }
    }
    let average = |of: fn(&Cell) -> f64| mean(&cells.iter().map(of).collect::<Vec<_>>());
    let pipeline = own.pipeline(&rule)?;
    Ok(Entry {
        format: Entry::format(),
        version: VERSION,
        tier: tier.name().to_owned(),
        protocol: tier.hash(),
        only: Part::default(),
        configuration: configuration(outcomes),
        program: env!("CARGO_PKG_VERSION").to_owned(),
        code: Some(code::of(&rule, own)?),
        validates: pipeline.needs_oracle(),
        own: own.is_in(&asked[0]),
        score: average(|cell| cell.worst),
        half: student(&by_seed(&cells)).half,
        usual: average(|cell| cell.usual),
        clean: average(|cell| cell.clean),
        kappa: kappas(&rule, own, &cells)?,
        rule,
        cells,
        calm,
        backdoors: None,
        cost,
    })
}

/// The score of each seed: the mean over cells under the attack that is worst in the mean.
pub(super) fn by_seed(cells: &[Cell]) -> Vec<f64> {
    means_by_seed(cells.iter().map(|cell| (cell.seeds(), cell.worst)).collect())
}

/// The means over cells for each seed, of each cell its seeds and what it is worth without them.
pub(super) fn means_by_seed(cells: Vec<(&[f64], f64)>) -> Vec<f64> {
    let seeds = cells.iter().map(|(seeds, _)| seeds.len()).max().unwrap_or(0);
    let of = |k: usize| {
        let value = |(seeds, worst): &(&[f64], f64)| seeds.get(k).copied().unwrap_or(*worst);
        mean(&cells.iter().map(value).collect::<Vec<_>>())
    };
    (0..seeds).map(of).collect()
}

/// The least accuracy under an attack, and the first attack that has it; NaN where there is none.
pub(super) fn worst(lines: &[Line]) -> (f64, &str) {
    let attacked = lines.iter().filter(|line| line.kind != Kind::None.name());
    let least = attacked.min_by(|a, b| a.accuracy.total_cmp(&b.accuracy));
    least.map_or((f64::NAN, ""), |line| (line.accuracy, &line.attack))
}

/// The least accuracy under an attack of this kind; NaN where there is none.
pub(super) fn least(lines: &[Line], kind: Kind) -> f64 {
    let accuracies = lines.iter().filter(|line| line.kind == kind.name());
    accuracies.map(|line| line.accuracy).min_by(f64::total_cmp).unwrap_or(f64::NAN)
}

/// The runs in a setting under an attack, one for each seed that was asked for; none at all where
/// the rule's bound leaves them out.
fn runs<'a>(
    setting: &Setting,
    attack: &str,
    own: &Own,
    asked: &[Settings],
    outcomes: &'a [Outcome],
) -> Result<Vec<&'a Outcome>, Failure> {
    let is = |one: &Settings| Setting::of(one) == *setting && one.attack == attack;
    let found: Vec<&Outcome> = outcomes.iter().filter(|one| is(&one.settings)).collect();
    let wanted = asked.iter().filter(|one| is(one)).count();
    match found.len() {
        there if there == wanted => Ok(found),
        0 if is_left_out(setting, own, asked)? => Ok(found),
        there => Err(Failure::waiting(format!(
            "this shard's share is done: {there} of {wanted} runs of {} under {attack} are there; \
             when those of the other shards are over, give the same command again",
            setting.label()
        ))),
    }
}

/// Whether the rule's bound leaves a setting out.
fn is_left_out(setting: &Setting, own: &Own, asked: &[Settings]) -> Result<bool, Failure> {
    Ok(own.pipeline(&asked[0].rule)?.check(setting.n, setting.f).is_err())
}

fn undisturbed(
    setting: &Setting,
    own: &Own,
    asked: &[Settings],
    outcomes: &[Outcome],
) -> Result<Option<f64>, Failure> {
    let runs = runs(setting, "none", own, asked, outcomes)?;
    Ok((!runs.is_empty()).then(|| mean(&tails(&runs))))
}

/// The last ten evaluations of each run in the mean; a run without any is worth nothing.
fn judged(run: &Outcome) -> Judged {
    let nothing = Judged { last: 0.0, tail: 0.0, counted: 0, best: 0.0 };
    judge(&run.curve("accuracy"), true).filter(|_| run.is_finished()).unwrap_or(nothing)
}

fn tails(runs: &[&Outcome]) -> Vec<f64> {
    runs.iter().map(|run| judged(run).tail).collect()
}

fn cell(
    setting: Setting,
    own: &Own,
    asked: &[Settings],
    outcomes: &[Outcome],
) -> Result<Cell, Failure> {
    let mut attacks: Vec<&str> = Vec::new();
    for settings in asked.iter().filter(|one| Setting::of(one) == setting) {
        if !attacks.contains(&settings.attack.as_str()) {
            attacks.push(&settings.attack);
        }
    }
    let (mut lines, mut tuned) = (Vec::new(), None);
    for attack in attacks {
        let runs = runs(&setting, attack, own, asked, outcomes)?;
        let Some(first) = runs.first() else { continue };
        let (learning_rate, momentum) = (first.settings.learning_rate, first.settings.momentum);
        tuned = Some(Tuned { learning_rate, momentum });
        lines.push(line(attack, own, &runs));
    }
    if lines.is_empty() {
        let why = own.pipeline(&asked[0].rule)?.check(setting.n, setting.f);
        let why = why.err().map(|why| why.to_string());
        let missing = || {
            Failure::waiting(format!(
                "this shard's share is done: no run of {} is there; when those of the other shards \
                 are over, give the same command again",
                setting.label()
            ))
        };
        let refused = Some(why.ok_or_else(missing)?);
        let guess = chance(&setting.dataset);
        let (worst, usual, clean) = (guess, guess, guess);
        let (by, curves) = (String::new(), None);
        return Ok(Cell {
            setting,
            refused,
            tuned,
            worst,
            by,
            usual,
            clean,
            curves,
            attacks: lines,
        });
    }
    let (worst, by) = worst(&lines);
    let by = by.to_owned();
    let (usual, clean) = (least(&lines, Kind::Usual), least(&lines, Kind::None));
    let [under, without] = [&by, "none"].map(|attack| runs(&setting, attack, own, asked, outcomes));
    let curves = curves(&under?, &without?);
    Ok(Cell { setting, refused: None, tuned, worst, by, usual, clean, curves, attacks: lines })
}

/// The means over seeds of the accuracy at those steps at which all of these runs were evaluated,
/// thinned out evenly; nothing where there are none.
fn curves(worst: &[&Outcome], clean: &[&Outcome]) -> Option<Curves> {
    let means = |runs: &[&Outcome]| {
        let mut by_step: BTreeMap<u64, Vec<f64>> = BTreeMap::new();
        for (step, value) in runs.iter().flat_map(|run| run.curve("accuracy")) {
            by_step.entry(step).or_default().push(value);
        }
        by_step.retain(|_, values| values.len() == runs.len());
        by_step.into_iter().map(|(step, values)| (step, mean(&values))).collect::<BTreeMap<_, _>>()
    };
    let (worst, clean) = (means(worst), means(clean));
    let both = worst.iter().filter_map(|(step, one)| Some((*step, *one, *clean.get(step)?)));
    let all: Vec<(u64, f64, f64)> = both.filter(|(_, a, b)| (a + b).is_finite()).collect();
    let kept = all.len().min(Curves::POINTS);
    let place = |k: usize| k * (all.len() - 1) / (kept - 1).max(1);
    let points: Vec<(u64, f64, f64)> = (0..kept).map(|k| all[place(k)]).collect();
    let digits = |x: f64| (1e4 * x).round() / 1e4;
    (!points.is_empty()).then(|| Curves {
        steps: points.iter().map(|point| point.0).collect(),
        worst: points.iter().map(|point| digits(point.1)).collect(),
        clean: points.iter().map(|point| digits(point.2)).collect(),
    })
}

fn line(attack: &str, own: &Own, runs: &[&Outcome]) -> Line {
    let seeds = tails(runs);
    let interval = student(&seeds);
    let bests: Vec<f64> = runs.iter().map(|run| judged(run).best).collect();
    Line {
        attack: attack.to_owned(),
        kind: Kind::of(attack).name().to_owned(),
        knows: knowledge(attack, own),
        accuracy: interval.mean,
        half: interval.half,
        best: mean(&bests),
        seeds,
        collapsed: runs.iter().filter(|run| Fate::of(run).collapsed).count(),
    }
}

/// A hash of the keys of the runs, in order of the keys: of all that their numbers depend on.
pub(super) fn configuration(outcomes: &[Outcome]) -> String {
    let mut keys: Vec<&str> = outcomes.iter().map(|outcome| outcome.key.as_str()).collect();
    keys.sort_unstable();
    blake3::hash(keys.join("\n").as_bytes()).to_hex()[..16].to_owned()
}

/// Writes the entry into the folder.
///
/// # Errors
/// If it cannot be written.
pub(super) fn write(folder: &Path, entry: &Entry) -> Result<(), Failure> {
    files::make_folder(folder)?;
    files::write(&folder.join(Entry::file(&entry.rule)), entry.text().as_bytes())
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::results::key;

    fn cost() -> Cost {
        let (seconds, means, kept) = (Some(0.001), Some(2.5), Some(0.0));
        Cost { seconds, means, n: 11, d: 1000, sent: 4.0, kept, runs: 60.0 }
    }

    /// The entry of a rule whose runs all end at `value`, but for the search, which costs another
    /// tenth, and mimicry, which costs a twentieth.
    pub(in crate::benchmark) fn entry(rule: &str, value: f64) -> Entry {
        judge_all(rule, |settings| match settings.attack.as_str() {
            "worst budget=32 objective=loss" => value - 0.1,
            "mimic" => value - 0.05,
            _ => value,
        })
        .unwrap()
    }

    fn outcomes(rule: &str, of: impl Fn(&Settings) -> f64) -> (Vec<Settings>, Vec<Outcome>) {
        let asked = Tier::Small.experiment(rule, &Own::default()).unwrap().runs;
        let fits = |one: &&Settings| varangian_rules::build(rule, one.n, one.f).is_ok();
        let outcome = |settings: &Settings| Outcome {
            settings: settings.clone(),
            key: key(settings, &[0; 32]),
            ..Outcome::sample("", "", 1, &[0.1, of(settings)])
        };
        let all = asked.iter().filter(fits).map(outcome).collect();
        (asked, all)
    }

    /// The entry of a rule whose runs end as `of` says.
    pub(in crate::benchmark) fn judge_all(
        rule: &str,
        of: impl Fn(&Settings) -> f64,
    ) -> Result<Entry, Failure> {
        let (asked, outcomes) = outcomes(rule, of);
        super::entry(Tier::Small, &Own::default(), &asked, &outcomes, cost())
    }

    #[test]
    fn the_worst_attack_of_each_cell_counts_and_the_usual_five_say_less() {
        let entry = entry("median", 0.75);
        assert_eq!((entry.cells.len(), entry.calm.len()), (8, 4));
        assert!((entry.score - 0.65).abs() < 1e-12 && (entry.usual - 0.7).abs() < 1e-12);
        assert!((entry.clean - 0.75).abs() < 1e-12 && entry.half.abs() < 1e-12);
        for cell in &entry.cells {
            assert_eq!(
                (cell.by.as_str(), cell.attacks.len()),
                ("worst budget=32 objective=loss", 13)
            );
            assert!((cell.overstated() - 0.05).abs() < 1e-12);
            assert!(cell.attacks.iter().all(|line| line.seeds.len() == 5));
        }
        // The sample's two evaluations, the untrained start before them.
        let curves = entry.cells[0].curves.as_ref().unwrap();
        assert_eq!(curves.steps.len(), curves.worst.len());
        assert_eq!((curves.worst.last(), curves.clean.last()), (Some(&0.65), Some(&0.75)));
        // (n − 1)/(n + 1 − 2f) for an odd n: exact, and found.
        for (kappa, exact) in entry.kappa.iter().zip([10.0 / 8.0, 10.0 / 4.0]) {
            assert_eq!((kappa.known, kappa.kind.as_str()), (Some(exact), "exact"));
            let found = kappa.found.unwrap();
            assert!(found > 0.9 * exact && found < 1.001 * exact, "{found} {exact}");
        }
    }

    #[test]
    fn what_a_bound_leaves_out_is_worth_a_guess_and_what_is_missing_is_asked_for() {
        let bulyan = judge_all("bulyan", |_| 0.8).unwrap();
        let refused: Vec<&Cell> =
            bulyan.cells.iter().filter(|cell| cell.refused.is_some()).collect();
        assert_eq!(refused.len(), 4);
        let guesses = |cell: &&Cell| cell.setting.f == 4 && [0.1, 0.5].contains(&cell.worst);
        assert!(refused.iter().all(guesses));
        assert!(refused[0].refused.as_ref().unwrap().contains("n ≥ 4f + 3"));
        assert_eq!(bulyan.kappa.len(), 1);
        let (asked, mut some) = outcomes("median", |_| 0.8);
        some.pop();
        let own = Own::default();
        let missing = super::entry(Tier::Small, &own, &asked, &some, cost()).unwrap_err();
        assert!(missing.to_string().contains("4 of 5 runs"), "{missing}");
    }

    #[test]
    fn curves_are_means_of_what_all_seeds_have_and_keep_their_ends() {
        let run = |seed: u64, values: &[f64]| Outcome::sample("median", "alie", seed, values);
        let rising: Vec<f64> = (0..100).map(|k| f64::from(k) / 100.0).collect();
        let higher: Vec<f64> = rising.iter().map(|x| x + 0.001).collect();
        let (one, other) = (run(1, &rising), run(2, &higher));
        let found = curves(&[&one, &other], &[&one]).unwrap();
        assert_eq!(found.steps.len(), Curves::POINTS);
        let steps: Vec<u64> = one.curve("accuracy").iter().map(|point| point.0).collect();
        assert_eq!((found.steps.first(), found.steps.last()), (steps.first(), steps.last()));
        assert_eq!((found.worst.last(), found.clean.last()), (Some(&0.9905), Some(&0.99)));
        assert!(found.worst.is_sorted() && found.steps.is_sorted());
        // A seed that ended early, and what is not finite, leave their steps out.
        let short = run(2, &[0.5, f64::NAN, 0.7]);
        let found = curves(&[&one, &short], &[&one]).unwrap();
        assert_eq!(found.worst, [0.25, 0.36]);
        assert_eq!(curves(&[&run(1, &[])], &[&one]), None);
    }

    #[test]
    fn the_configuration_is_that_of_the_runs_whatever_their_order() {
        let (_, mut some) = outcomes("median", |_| 0.8);
        let whole = configuration(&some);
        some.reverse();
        assert_eq!(configuration(&some), whole);
        some.pop();
        assert_ne!(configuration(&some), whole);
    }
}
