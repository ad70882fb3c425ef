//! Backdoors: BadNets (Gu, Dolan-Gavitt & Garg 2017, arXiv 1708.06733) and model replacement
//! (Bagdasaryan et al., AISTATS 2020, arXiv 1807.00459), against the mean and robust rules.

use crate::shapes::{Publication, Shape, end, show};
use std::path::Path;
use varangian_lab::Failure;
use varangian_lab::results::{Outcome, mean, place};
use varangian_lab::run::Events;

/// The publication.
pub(crate) const PUBLICATION: Publication = Publication {
    name: "backdoor",
    about: "Gu et al. 2017, Bagdasaryan et al. 2020: a patch of pixels, under the mean and robust rules",
    quick: include_str!("../../experiments/methods/backdoor.toml"),
    full: include_str!("../../experiments/methods/backdoor-full.toml"),
    judge,
    more,
};

const CHANCE: &str = "backdoor fraction=0";
const POISONED: &str = "backdoor";
const REPLACED: &str = "backdoor scale=5";

/// The ends of runs in %: means over seeds.
struct Ends<'a>(&'a [Outcome]);

impl Ends<'_> {
    fn mean(
        &self,
        (rule, partition, attack): (&str, &str, &str),
        of: fn(&Outcome) -> Option<f64>,
    ) -> Option<f64> {
        let is = |outcome: &&Outcome| {
            let own = &outcome.settings;
            own.rule == rule && own.partition.starts_with(partition) && own.attack == attack
        };
        let all: Vec<f64> = self.0.iter().filter(is).filter_map(of).collect();
        (!all.is_empty()).then(|| 100.0 * mean(&all))
    }

    /// How often the patch is taken for the target at the end.
    fn rate(&self, rule: &str, partition: &str, attack: &str) -> Option<f64> {
        let last = |outcome: &Outcome| outcome.curve("backdoor_rate").last().map(|point| point.1);
        self.mean((rule, partition, attack), last)
    }

    /// A claim about rates of a rule, with their names.
    fn shape(
        &self,
        claim: &str,
        all: &[(&str, &str, &str)],
        test: impl Fn(&[f64]) -> bool,
    ) -> Shape {
        let found: Vec<Option<f64>> = all
            .iter()
            .map(|(rule, partition, attack)| self.rate(rule, partition, attack))
            .collect();
        let told = |((rule, partition, attack), found): (&(&str, &str, &str), &Option<f64>)| {
            let found = found.map_or("–".into(), |rate| format!("{rate:.1} %"));
            format!("{rule}, {partition}, {attack}: {found}")
        };
        let texts: Vec<String> = all.iter().zip(&found).map(told).collect();
        let whole: Option<Vec<f64>> = found.into_iter().collect();
        Shape {
            claim: claim.into(),
            found: texts.join("; "),
            holds: whole.map(|whole| test(&whole)),
            moot: false,
        }
    }
}

fn judge(outcomes: &[Outcome]) -> Vec<Shape> {
    let ends = Ends(outcomes);
    let mixed = "nnm | trimmed-mean";
    let accuracy = |attack| ends.mean(("average", "iid", attack), end);
    let kept = accuracy(CHANCE).zip(accuracy(POISONED));
    vec![
        ends.shape(
            "the mean: most stamped images are taken for the target",
            &[("average", "iid", POISONED), ("average", "iid", CHANCE)],
            |rates| rates[0] > 50.0 && rates[0] > rates[1] + 30.0,
        ),
        Shape {
            claim: "the mean: accuracy shows nothing (3 points at most)".into(),
            found: match kept {
                Some((clean, poisoned)) => format!("{poisoned:.1} %, without a patch {clean:.1} %"),
                None => "–".into(),
            },
            holds: kept.map(|(clean, poisoned)| (clean - poisoned).abs() <= 3.0),
            moot: false,
        },
        ends.shape(
            "replacement opens it at least as far, against the mean",
            &[("average", "iid", REPLACED), ("average", "iid", POISONED)],
            |rates| rates[0] >= rates[1],
        ),
        ends.shape(
            "clipping to the median length takes from rows what scaling gave them",
            &[("clipping c=median | average", "iid", REPLACED), ("average", "iid", REPLACED)],
            |rates| rates[0] < rates[1],
        ),
        ends.shape(
            "ours: a robust rule can leave it wide open (above 50 %), as none promises to close it",
            &[("geometric-median", "dirichlet", POISONED)],
            |rates| rates[0] > 50.0,
        ),
        ends.shape(
            "ours: mixing and trimming keep it shut here, where two of ten stamp (below 5 %)",
            &[(mixed, "iid", REPLACED), (mixed, "dirichlet", POISONED)],
            |rates| rates.iter().all(|&rate| rate < 5.0),
        ),
    ]
}

/// Every rate and accuracy: a line a partition and rule, two columns an attack.
fn more(folder: &Path, outcomes: &[Outcome], events: &mut dyn Events) -> Result<(), Failure> {
    let ends = Ends(outcomes);
    let (mut rules, mut partitions, mut attacks) = (Vec::new(), Vec::new(), Vec::new());
    for own in outcomes.iter().map(|outcome| &outcome.settings) {
        place(&mut rules, &own.rule);
        place(&mut partitions, &own.partition);
        place(&mut attacks, &own.attack);
    }
    let shown = |x: Option<f64>| x.map_or("-".into(), |x| format!("{x:.1}"));
    let mut rows = Vec::new();
    for partition in &partitions {
        for rule in &rules {
            let mut row = vec![partition.clone(), rule.clone()];
            for attack in &attacks {
                row.push(shown(ends.rate(rule, partition, attack)));
                row.push(shown(ends.mean((rule, partition, attack), end)));
            }
            rows.push(row);
        }
    }
    let heads: Vec<[String; 2]> =
        attacks.iter().map(|attack| [format!("{attack}: rate"), "accuracy".into()]).collect();
    let mut head = vec!["partition", "rule"];
    head.extend(heads.iter().flatten().map(String::as_str));
    show((folder, "cells.txt"), &head, &rows, 2, events)
}

#[cfg(test)]
mod tests {
    use super::*;
    use varangian_lab::config::{Experiment, Settings, Source};
    use varangian_lab::results::Point;

    #[test]
    fn every_claim_has_its_runs_in_both_forms() {
        for text in [PUBLICATION.quick, PUBLICATION.full] {
            let experiment = Experiment::parse(text, "x", &Source::default()).unwrap();
            let outcome = |settings: &Settings| {
                let mut outcome = Outcome::sample("average", "none", 1, &[0.25, 0.5]);
                outcome.settings = settings.clone();
                let rate = if settings.attack == CHANCE { 0.1 } else { 0.9 };
                let metric = "backdoor_rate".to_owned();
                outcome.points.push(Point { step: 10, metric, value: rate });
                outcome
            };
            let outcomes: Vec<Outcome> = experiment.runs.iter().map(outcome).collect();
            let shapes = judge(&outcomes);
            let holds: Vec<Option<bool>> = shapes.iter().map(|shape| shape.holds).collect();
            assert_eq!(holds, [true, true, true, false, true, false].map(Some));
            assert!(shapes[0].found.contains("90.0 %"), "{}", shapes[0].found);
            assert!(judge(&[]).iter().all(|shape| shape.holds.is_none()));
        }
    }
}
