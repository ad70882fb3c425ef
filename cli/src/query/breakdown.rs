//! f*: how many attackers a rule stands.

use super::answer::{Answer, Field};
use crate::Failure;
use std::collections::BTreeMap;
use varangian_lab::pictures::is_attacked;
use varangian_lab::results::{Outcome, Sweep, judge, mean, or_worst, place};

/// How far below no attack a rule may fall and still hold: 5 points.
const POINTS: f64 = 0.05;

/// The runs of one rule in one setting of everything but the attack.
#[derive(Default)]
struct Line {
    name: String,
    /// Tail accuracies without any attacker, by how many the server is told of.
    clean: BTreeMap<usize, Vec<f64>>,
    /// Tail accuracies by how many really attack and how.
    attacked: BTreeMap<usize, BTreeMap<String, Vec<f64>>>,
    failed: usize,
}

/// f* by rule and setting: the most workers that really attack such that at them, and at all fewer
/// that were tried, the worst tail mean over attacks is within 5 points of the same without any
/// (at the least f where that was run). Unknown where nobody attacked.
///
/// # Errors
/// If nothing was run without attack.
pub(super) fn table(
    outcomes: &[Outcome],
    sweep: &Sweep,
    missing: Option<String>,
) -> Result<Answer, Failure> {
    if outcomes.iter().all(|outcome| outcome.curve("accuracy").is_empty()) {
        let text = "--breakdown compares accuracies, and these runs have none: no classes";
        return Err(Failure::refused(text));
    }
    let told_apart = outcomes.iter().any(|one| one.settings.f != one.settings.f_real())
        && sweep.keys.contains(&"f");
    let apart = |key: &&str| *key != "f_real" && (*key != "f" || told_apart);
    let keys: Vec<&str> = sweep.keys.iter().copied().filter(apart).collect();
    let (mut names, mut lines) = (Vec::new(), Vec::<Line>::new());
    for outcome in outcomes {
        let own = &outcome.settings;
        let setting = own.label(&keys);
        let name = match setting.as_str() {
            "" => sweep.line(own),
            setting => format!("{}, {setting}", sweep.line(own)),
        };
        let k = place(&mut names, &name);
        if k == lines.len() {
            lines.push(Line { name, ..Line::default() });
        }
        lines[k].add(outcome);
    }
    let rows: Vec<Vec<Field>> = lines.iter().filter_map(Line::row).collect();
    if rows.is_empty() {
        return Err(Failure::refused("a breakdown needs runs without attack; there are none"));
    }
    let mut notes: Vec<String> = missing.into_iter().collect();
    notes.push(
        "f*: the most workers that really attack (f_real) such that at them, and at all fewer that \
         were tried, the mean accuracy of the last evaluations under the worst attack is within 5 \
         points of no attack; unknown: nobody attacked"
            .into(),
    );
    let failed: usize = lines.iter().map(|line| line.failed).sum();
    if failed > 0 {
        notes.push(format!("{failed} failed runs are left out"));
    }
    let head = ["rule", "f*", "attackers tried", "no attack"].map(String::from).to_vec();
    Ok(Answer { head, rows, names: 1, notes })
}

impl Line {
    fn add(&mut self, outcome: &Outcome) {
        let own = &outcome.settings;
        let judged = judge(&outcome.curve("accuracy"), true).filter(|_| outcome.is_finished());
        let Some(judged) = judged else {
            self.failed += 1;
            return;
        };
        match is_attacked(outcome) {
            true => {
                let by_attack = self.attacked.entry(own.f_real()).or_default();
                by_attack.entry(own.attack.clone()).or_default().push(judged.tail);
            }
            false => self.clean.entry(own.f).or_default().push(judged.tail),
        }
    }

    fn row(&self) -> Option<Vec<Field>> {
        let clean = mean(self.clean.values().next()?);
        let worst = |attacks: &BTreeMap<String, Vec<f64>>| {
            attacks.values().map(|seeds| or_worst(mean(seeds))).fold(f64::INFINITY, f64::min)
        };
        let held = self.attacked.iter().take_while(|(_, all)| worst(all) >= clean - POINTS).last();
        let holds = match (self.attacked.is_empty(), held) {
            (true, _) => "unknown".into(),
            (false, None) => "none".into(),
            (false, Some((f, _))) => f.to_string(),
        };
        let tried: Vec<String> = self.attacked.keys().map(usize::to_string).collect();
        let tried = if tried.is_empty() { "none".into() } else { tried.join(" ") };
        Some(vec![
            Field::text(&self.name),
            Field::text(holds),
            Field::text(tried),
            Field::Number(clean),
        ])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(f: usize, f_real: usize, attack: &str, partition: &str, value: f64) -> Outcome {
        let mut outcome = Outcome::sample("krum", attack, 1, &[0.1, value]);
        (outcome.settings.f, outcome.settings.f_real) = (f, Some(f_real));
        outcome.settings.partition = partition.into();
        outcome
    }

    fn rows(outcomes: &[Outcome]) -> Vec<String> {
        let settings = outcomes.iter().map(|outcome| &outcome.settings);
        let answer = table(outcomes, &Sweep::of(settings, &[], Vec::new()), None).unwrap();
        answer.text(true, false).lines().skip(1).map(str::to_owned).collect()
    }

    #[test]
    fn it_counts_who_really_attacks() {
        let nobody = [run(4, 0, "none", "iid", 0.9), run(4, 0, "ipm", "iid", 0.9)];
        assert_eq!(rows(&nobody), ["\"krum\",\"unknown\",\"none\",0.9"]);
        let told_four = [
            run(4, 0, "none", "iid", 0.9),
            run(4, 0, "ipm", "iid", 0.9),
            run(4, 2, "ipm", "iid", 0.87),
            run(4, 4, "ipm", "iid", 0.2),
        ];
        assert_eq!(rows(&told_four), ["\"krum\",\"2\",\"2 4\",0.9"]);
        let as_told = [
            run(0, 0, "none", "iid", 0.9),
            run(1, 1, "ipm", "iid", 0.9),
            run(2, 2, "ipm", "iid", f64::NAN),
        ];
        assert_eq!(rows(&as_told), ["\"krum\",\"1\",\"1 2\",0.9"]);
    }

    #[test]
    fn settings_are_not_pooled() {
        let mut runs = Vec::new();
        for (partition, value) in [("iid", 0.9), ("by-label", 0.3)] {
            runs.push(run(2, 2, "none", partition, 0.9));
            runs.push(run(2, 2, "ipm", partition, value));
        }
        let wanted = [
            "\"krum, partition=iid\",\"2\",\"2\",0.9",
            "\"krum, partition=by-label\",\"none\",\"2\",0.9",
        ];
        assert_eq!(rows(&runs), wanted);
        assert!(table(&runs[1..2], &Sweep::default(), None).is_err());
    }
}
