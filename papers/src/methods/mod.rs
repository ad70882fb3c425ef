//! The methods of rounds, each with its experiment: local steps, samples of workers, compression.

pub(super) mod async_rules;
pub(super) mod backdoor;
pub(super) mod demoa;
pub(super) mod diloco;
pub(super) mod dm21;
pub(super) mod ef21;
pub(super) mod gossip;
pub(super) mod nsgdm;
pub(super) mod rosdhb;
pub(super) mod sign_muon;
pub(super) mod sto_sign;
pub(super) mod transformer;

use super::shapes::{Shape, end};
use std::path::Path;
use varangian_lab::config::Settings;
use varangian_lab::results::{Outcome, mean};
use varangian_lab::run::Events;
use varangian_lab::{Failure, text};

/// A way of training that a publication compares: its name, and which runs are of it.
pub(super) struct Way {
    pub(super) name: &'static str,
    pub(super) is: fn(&Settings) -> bool,
}

/// Of each way's runs those at its best rate where nobody attacks.
fn at_best_rates(outcomes: &[Outcome], ways: &[Way]) -> Vec<Outcome> {
    let mut out = Vec::new();
    for way in ways {
        let own: Vec<&Outcome> = outcomes.iter().filter(|one| (way.is)(&one.settings)).collect();
        let rate = |one: &Outcome| one.settings.learning_rate;
        let clean = |of: f64| {
            let is = |one: &&&Outcome| rate(one) == of && one.settings.attack == "none";
            mean(&own.iter().filter(is).filter_map(|one| end(one)).collect::<Vec<_>>())
        };
        let best = own.iter().map(|one| rate(one)).max_by(|a, b| clean(*a).total_cmp(&clean(*b)));
        out.extend(own.into_iter().filter(|one| Some(rate(one)) == best).cloned());
    }
    out
}

/// The ends of runs by way, rule and attack: means over seeds.
pub(super) struct Cells<'a>(pub(super) &'a [Outcome]);

impl Cells<'_> {
    /// The accuracy of a way under a rule and an attack, in %.
    pub(super) fn cell(&self, way: &Way, rule: &str, attack: &str) -> Option<f64> {
        let is = |outcome: &&Outcome| {
            let own = &outcome.settings;
            (way.is)(own) && own.rule == rule && own.attack == attack
        };
        let all: Vec<f64> = self.0.iter().filter(is).filter_map(end).collect();
        (!all.is_empty()).then(|| 100.0 * mean(&all))
    }

    /// The attacks that were run, none first and the others as they came.
    fn attacks(&self) -> Vec<&str> {
        let mut out = Vec::new();
        for outcome in self.0 {
            let attack = outcome.settings.attack.as_str();
            if !out.contains(&attack) {
                out.push(attack);
            }
        }
        out.sort_by_key(|attack| *attack != "none");
        out
    }

    /// The worst accuracy of a way under a rule over the attacks, and under which.
    pub(super) fn worst(&self, way: &Way, rule: &str) -> Option<(f64, &str)> {
        let attacks = self.attacks();
        let attacks = attacks.into_iter().filter(|attack| *attack != "none");
        let cells = attacks.filter_map(|attack| Some((self.cell(way, rule, attack)?, attack)));
        cells.min_by(|a, b| a.0.total_cmp(&b.0))
    }

    /// A claim about two ways, each by its worst case under a rule (`Some`), or without an attack.
    pub(super) fn claim(
        &self,
        claim: &str,
        ways: [(&Way, &str, bool); 2],
        test: impl Fn(f64, f64) -> bool,
    ) -> Shape {
        let found = ways.map(|(way, rule, attacked)| match attacked {
            true => self.worst(way, rule),
            false => self.cell(way, rule, "none").map(|found| (found, "no attack")),
        });
        let told = |((way, rule, _), found): (&(&Way, &str, bool), &Option<(f64, &str)>)| {
            let name = way.name;
            match found {
                Some((found, attack)) => format!("{name}, {rule}: {found:.1} % ({attack})"),
                None => format!("{name}, {rule}: –"),
            }
        };
        let texts: Vec<String> = ways.iter().zip(&found).map(told).collect();
        let [one, other] = found;
        Shape {
            claim: claim.into(),
            found: texts.join("; "),
            holds: one.zip(other).map(|(one, other)| test(one.0, other.0)),
            moot: false,
        }
    }

    /// Every cell: a line a rule and way, a column an attack, and the bytes that a worker sends a
    /// step.
    pub(super) fn table(&self, ways: &[Way]) -> String {
        let attacks = self.attacks();
        let mut rules: Vec<&str> = Vec::new();
        for outcome in self.0 {
            let rule = outcome.settings.rule.as_str();
            if !rules.contains(&rule) {
                rules.push(rule);
            }
        }
        let mut rows = Vec::new();
        for way in ways {
            for rule in &rules {
                let of = |outcome: &&Outcome| {
                    (way.is)(&outcome.settings) && outcome.settings.rule == *rule
                };
                let Some(run) = self.0.iter().find(of) else { continue };
                let up = run.curve("bytes/up").last().map_or(f64::NAN, |point| point.1);
                let mut row = vec![way.name.to_owned(), (*rule).to_owned(), format!("{up:.0}")];
                row.extend(attacks.iter().map(|attack| {
                    let cell = self.cell(way, rule, attack);
                    cell.map_or("-".into(), |cell| format!("{cell:.1}"))
                }));
                rows.push(row);
            }
        }
        let mut head = vec!["way", "rule", "bytes a message"];
        head.extend(&attacks);
        let right: Vec<bool> = (0..head.len()).map(|k| k >= 2).collect();
        text::table(&head, &rows, &right)
    }

    /// Writes the table to `cells.txt` and shows it.
    pub(super) fn show(
        &self,
        ways: &[Way],
        folder: &Path,
        events: &mut dyn Events,
    ) -> Result<(), Failure> {
        let table = self.table(ways);
        varangian_lab::files::write(&folder.join("cells.txt"), table.as_bytes())?;
        events.text(&table);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Publication;
    use varangian_lab::config::{Experiment, Source};

    #[test]
    fn every_experiment_has_the_runs_that_its_claims_need() {
        let all: [(Publication, &[Way]); 6] = [
            (demoa::PUBLICATION, &demoa::WAYS),
            (diloco::PUBLICATION, &diloco::WAYS),
            (dm21::PUBLICATION, &dm21::WAYS),
            (ef21::PUBLICATION, &ef21::WAYS),
            (nsgdm::PUBLICATION, &nsgdm::WAYS),
            (rosdhb::PUBLICATION, &rosdhb::WAYS),
        ];
        for (publication, ways) in all {
            for text in [publication.quick, publication.full] {
                let experiment = Experiment::parse(text, "x", &Source::default()).unwrap();
                let outcome = |settings: &Settings| Outcome {
                    settings: settings.clone(),
                    ..Outcome::sample("average", "none", 1, &[0.25, 0.5])
                };
                let outcomes: Vec<Outcome> = experiment.runs.iter().map(outcome).collect();
                let shapes = (publication.judge)(&outcomes);
                assert!(shapes.len() >= 3, "{}", publication.name);
                for shape in shapes {
                    assert!(shape.holds.is_some(), "{}: {}", publication.name, shape.found);
                }
                assert!((publication.judge)(&[]).iter().all(|shape| shape.holds.is_none()));
                // Each run is of one way.
                for outcome in &outcomes {
                    let own = ways.iter().filter(|way| (way.is)(&outcome.settings)).count();
                    assert_eq!(own, 1, "{}: {:?}", publication.name, outcome.settings);
                }
                let table = Cells(&outcomes).table(ways);
                assert!(table.contains("37.5") && !table.contains(" - "), "{table}");
            }
        }
    }
}
