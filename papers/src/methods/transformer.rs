//! Byz-NSGDM (Bolatov et al. 2026, arXiv 2603.12512) on a small transformer of characters: how well
//! the next character is told, in nats, under the mean and robust rules.

use crate::shapes::{Publication, Shape, show};
use std::path::Path;
use varangian_lab::Failure;
use varangian_lab::config::Settings;
use varangian_lab::results::{Outcome, mean, place};
use varangian_lab::run::Events;

/// The publication.
pub(crate) const PUBLICATION: Publication = Publication {
    name: "transformer",
    about: "Bolatov et al. 2026: normalised steps on a small transformer of characters",
    quick: include_str!("../../experiments/methods/transformer.toml"),
    full: include_str!("../../experiments/methods/transformer-full.toml"),
    judge,
    more,
};

const MIXED: &str = "nnm | trimmed-mean";

/// How the server steps.
fn way(settings: &Settings) -> &str {
    if settings.server_optimiser == "normalised" { "normalised" } else { "plain" }
}

/// The last losses of runs in nats a character: means over seeds.
struct Ends<'a>(&'a [Outcome]);

impl Ends<'_> {
    fn cell(&self, step: &str, rule: &str, attack: &str) -> Option<f64> {
        let is = |outcome: &&Outcome| {
            let own = &outcome.settings;
            way(own) == step && own.rule == rule && own.attack == attack
        };
        let last = |outcome: &Outcome| {
            let loss = outcome.curve("test_loss").last()?.1;
            Some(if loss.is_finite() { loss } else { f64::INFINITY })
        };
        let all: Vec<f64> = self.0.iter().filter(is).filter_map(last).collect();
        (!all.is_empty()).then(|| mean(&all))
    }

    /// The largest loss over the attacks, and under which.
    fn worst(&self, step: &str, rule: &str) -> Option<(f64, String)> {
        let mut attacks = Vec::new();
        for own in self.0.iter().map(|outcome| &outcome.settings) {
            if own.attack != "none" {
                place(&mut attacks, &own.attack);
            }
        }
        let cells = attacks
            .into_iter()
            .filter_map(|attack| Some((self.cell(step, rule, &attack)?, attack)));
        cells.max_by(|a, b| a.0.total_cmp(&b.0))
    }

    /// A claim about the worst loss of one run and a loss of another.
    fn shape(
        &self,
        claim: &str,
        (step, rule): (&str, &str),
        other: Option<(f64, String)>,
        test: impl Fn(f64, f64) -> bool,
    ) -> Shape {
        let found = self.worst(step, rule).zip(other);
        Shape {
            claim: claim.into(),
            found: match &found {
                Some(((one, attack), (other, what))) => {
                    format!("{one:.2} nats ({attack}); {other:.2} ({what})")
                }
                None => "–".into(),
            },
            holds: found.map(|((one, _), (other, _))| test(one, other)),
            moot: false,
        }
    }
}

fn judge(outcomes: &[Outcome]) -> Vec<Shape> {
    let ends = Ends(outcomes);
    let (fast, plain) = ("normalised", "plain");
    let clean =
        |rule: &str| ends.cell(fast, rule, "none").map(|loss| (loss, format!("{rule}, no attack")));
    let worst = |step: &str, rule: &str| {
        ends.worst(step, rule).map(|(loss, attack)| (loss, format!("{step}, {rule}, {attack}")))
    };
    vec![
        ends.shape(
            "normalised, mixed: the worst attack costs a tenth of the loss at most",
            (fast, MIXED),
            clean(MIXED),
            |worst, clean| worst <= 1.1 * clean,
        ),
        ends.shape(
            "no worse than the plain step under the same rule, attacked",
            (fast, MIXED),
            worst(plain, MIXED),
            |a, b| a <= b,
        ),
        ends.shape(
            "better than the trimmed mean without mixing, attacked",
            (fast, MIXED),
            worst(fast, "trimmed-mean"),
            |a, b| a <= b,
        ),
        ends.shape(
            "the mean breaks: its loss is a half above the clean one",
            (fast, "average"),
            clean("average"),
            |worst, clean| worst >= 1.5 * clean,
        ),
    ]
}

/// Every loss, in nats and in bits a character: a line a step and rule, a column an attack.
fn more(folder: &Path, outcomes: &[Outcome], events: &mut dyn Events) -> Result<(), Failure> {
    let ends = Ends(outcomes);
    let (mut ways, mut rules, mut attacks) = (Vec::new(), Vec::new(), Vec::new());
    for own in outcomes.iter().map(|outcome| &outcome.settings) {
        place(&mut ways, way(own));
        place(&mut rules, &own.rule);
        place(&mut attacks, &own.attack);
    }
    let mut rows = Vec::new();
    for step in &ways {
        for rule in &rules {
            let mut row = vec![step.clone(), rule.clone()];
            row.extend(attacks.iter().map(|attack| {
                let cell = ends.cell(step, rule, attack);
                let bits = |nats: f64| nats / std::f64::consts::LN_2;
                cell.map_or("-".into(), |nats| format!("{nats:.2} ({:.2} bits)", bits(nats)))
            }));
            rows.push(row);
        }
    }
    let mut head = vec!["step", "rule"];
    head.extend(attacks.iter().map(String::as_str));
    show((folder, "cells.txt"), &head, &rows, 2, events)
}

#[cfg(test)]
mod tests {
    use super::*;
    use varangian_lab::config::{Experiment, Source};
    use varangian_lab::results::Point;

    #[test]
    fn every_claim_has_its_runs_in_both_forms() {
        for text in [PUBLICATION.quick, PUBLICATION.full] {
            let experiment = Experiment::parse(text, "x", &Source::default()).unwrap();
            let outcome = |settings: &Settings| {
                let mut outcome = Outcome::sample("average", "none", 1, &[0.25, 0.5]);
                outcome.settings = settings.clone();
                let bad = settings.attack != "none" && settings.rule == "average";
                let value = if bad { f64::NAN } else { 2.0 };
                outcome.points.retain(|point| point.metric != "test_loss");
                outcome.points.push(Point { step: 10, metric: "test_loss".into(), value });
                outcome
            };
            let outcomes: Vec<Outcome> = experiment.runs.iter().map(outcome).collect();
            let shapes = judge(&outcomes);
            assert!(shapes.iter().all(|shape| shape.holds == Some(true)));
            assert!(shapes[0].found.contains("2.00 nats"), "{}", shapes[0].found);
            assert!(judge(&[]).iter().all(|shape| shape.holds.is_none()));
        }
    }
}
