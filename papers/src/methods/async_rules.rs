//! Gradients that arrive one at a time: the weighted rules and the double momentum of Dahan & Levy
//! (2025, arXiv 2501.09621), Zeno++ (Xie, Koyejo & Gupta, ICML 2020), Kardam (Damaskinos et al.,
//! ICML 2018), BASGD (Yang & Li 2021, arXiv 2003.00937) and plain steps, on the same arrivals.

use crate::shapes::{Publication, Shape, end, show};
use std::path::Path;
use varangian_lab::Failure;
use varangian_lab::config::Settings;
use varangian_lab::results::{Outcome, mean, place};
use varangian_lab::run::Events;

/// The publication.
pub(crate) const PUBLICATION: Publication = Publication {
    name: "async-rules",
    about: "Dahan & Levy 2025: weighted rules, double momentum, beside Zeno++, Kardam and BASGD",
    quick: include_str!("../../experiments/methods/async-rules.toml"),
    full: include_str!("../../experiments/methods/async-rules-full.toml"),
    judge,
    more,
};

/// How a run trains: the rule, and whether both ends keep a momentum of their own.
fn way(settings: &Settings) -> String {
    match settings.message.starts_with("storm") {
        true => format!("{}, double momentum", settings.rule),
        false => settings.rule.clone(),
    }
}

/// How many times faster hostile workers compute.
fn haste(settings: &Settings) -> &str {
    let word = settings.network.split_whitespace().find_map(|word| word.strip_prefix("haste="));
    word.unwrap_or("1")
}

/// A place in the table: a way, how hasty hostile workers are, and an attack.
type At<'a> = (&'a str, &'a str, &'a str);

struct Ends<'a>(&'a [Outcome]);

impl Ends<'_> {
    /// The accuracy at the end in %: the mean over seeds.
    fn cell(&self, (name, fast, attack): At<'_>) -> Option<f64> {
        let is = |outcome: &&Outcome| {
            let own = &outcome.settings;
            way(own) == name && haste(own) == fast && own.attack == attack
        };
        let all: Vec<f64> = self.0.iter().filter(is).filter_map(end).collect();
        (!all.is_empty()).then(|| 100.0 * mean(&all))
    }

    /// Everything of one kind that was run, in the order of the runs.
    fn kinds(&self, of: impl Fn(&Settings) -> String) -> Vec<String> {
        let mut out = Vec::new();
        self.0.iter().for_each(|outcome| {
            place(&mut out, &of(&outcome.settings));
        });
        out
    }

    /// The worst accuracy of a way over the attacks, and under which.
    fn worst(&self, name: &str, fast: &str) -> Option<(f64, String)> {
        let attacks = self.kinds(|own| own.attack.clone());
        let attacks = attacks.into_iter().filter(|attack| attack != "none");
        let cells = attacks.filter_map(|attack| Some((self.cell((name, fast, &attack))?, attack)));
        cells.min_by(|a, b| a.0.total_cmp(&b.0))
    }

    /// A claim about the worst case of a way and its accuracy where nobody attacks.
    fn shape(
        &self,
        claim: &str,
        (name, fast): (&str, &str),
        test: impl Fn(f64, f64) -> bool,
    ) -> Shape {
        let found = self.worst(name, fast).zip(self.cell((name, fast, "none")));
        Shape {
            claim: claim.into(),
            found: match &found {
                Some(((worst, attack), clean)) => {
                    format!("{worst:.1} % ({attack}); no attack {clean:.1} %")
                }
                None => "–".into(),
            },
            holds: found.map(|((worst, _), clean)| test(worst, clean)),
            moot: false,
        }
    }

    /// Whether all runs of a network met the same arrivals: as many of hostile workers, at the same
    /// times.
    fn alike(&self) -> Shape {
        let networks = self.kinds(|own| own.network.clone());
        let differ = networks.iter().filter(|network| {
            let own = self.0.iter().filter(|run| run.settings.network == **network);
            let met = |run: &Outcome| {
                let of = |metric: &str| run.curve(metric).last().map(|point| point.1.to_bits());
                let times = run.curve("seconds").iter().map(|point| point.1.to_bits()).collect();
                (times, of("arrivals/honest"), of("arrivals/hostile"))
            };
            let all: Vec<(Vec<u64>, Option<u64>, Option<u64>)> = own.map(met).collect();
            // A lost model ends with gradients that are refused, and are counted elsewhere.
            let whole = |one: &(Vec<u64>, Option<u64>, Option<u64>)| (one.1, one.2);
            let counts: Vec<_> = all.iter().map(whole).filter(|one| one.1.is_some()).collect();
            all.iter().any(|one| one.0 != all[0].0)
                || counts.iter().any(|one| one.0 == counts[0].0 && one.1 != counts[0].1)
        });
        let differ = differ.count();
        Shape {
            claim: "ours: whatever judges them, arrivals are the same".into(),
            found: format!("{} networks, {differ} of them with runs that differ", networks.len()),
            holds: (!self.0.is_empty()).then_some(differ == 0),
            moot: false,
        }
    }
}

fn judge(outcomes: &[Outcome]) -> Vec<Shape> {
    let ends = Ends(outcomes);
    let keeps = |worst: f64, clean: f64| worst >= 0.85 * clean;
    let breaks = |worst: f64, clean: f64| worst < 0.5 * clean;
    let double = "weighted lambda=0.47, double momentum";
    vec![
        ends.alike(),
        ends.shape("plain asynchronous steps break (lose half)", ("async-sgd", "1"), breaks),
        ends.shape("ω-CTMA keeps 85 % of its accuracy, every attack", ("weighted", "1"), keeps),
        ends.shape("so with double momentum (μ²-SGD)", ("weighted, double momentum", "1"), keeps),
        ends.shape(
            "hostile weight 0.44, told so (λ = 0.47): ω-CTMA with double momentum keeps 85 %",
            (double, "2"),
            keeps,
        ),
        ends.shape(
            "hostile weight 0.64, beyond the bound: ω-CTMA breaks (loses half)",
            (double, "6"),
            breaks,
        ),
        ends.shape(
            "there a buffer takes what its workers send as one: BASGD does not break",
            ("basgd buffers=7", "6"),
            |worst, clean| !breaks(worst, clean),
        ),
        ends.shape(
            "there samples on the server tell: Zeno++ does not break",
            ("zeno++ rho=0.02 k=10", "6"),
            |worst, clean| !breaks(worst, clean),
        ),
    ]
}

/// Every cell: a line a way and haste, a column an attack.
fn more(folder: &Path, outcomes: &[Outcome], events: &mut dyn Events) -> Result<(), Failure> {
    let ends = Ends(outcomes);
    let attacks = ends.kinds(|own| own.attack.clone());
    let mut rows = Vec::new();
    for fast in ends.kinds(|own| haste(own).to_owned()) {
        for name in ends.kinds(way) {
            let mut row = vec![fast.clone(), name.clone()];
            row.extend(attacks.iter().map(|attack| {
                let cell = ends.cell((&name, &fast, attack));
                cell.map_or("-".into(), |cell| format!("{cell:.1}"))
            }));
            rows.push(row);
        }
    }
    let mut head = vec!["haste", "way"];
    head.extend(attacks.iter().map(String::as_str));
    show((folder, "cells.txt"), &head, &rows, 2, events)
}

#[cfg(test)]
mod tests {
    use super::*;
    use varangian_lab::config::{Experiment, Source};

    #[test]
    fn every_claim_has_its_runs_and_other_arrivals_are_seen() {
        for text in [PUBLICATION.quick, PUBLICATION.full] {
            let experiment = Experiment::parse(text, "x", &Source::default()).unwrap();
            let outcome = |settings: &Settings| Outcome {
                settings: settings.clone(),
                ..Outcome::sample("average", "none", 1, &[0.25, 0.5])
            };
            let mut outcomes: Vec<Outcome> = experiment.runs.iter().map(outcome).collect();
            let shapes = judge(&outcomes);
            for shape in &shapes {
                assert!(shape.holds.is_some(), "{}: {}", shape.claim, shape.found);
            }
            assert_eq!(shapes[0].holds, Some(true));
            let point =
                varangian_lab::results::Point { step: 10, metric: "seconds".into(), value: 3.0 };
            outcomes[0].points.push(point);
            assert_eq!(judge(&outcomes)[0].holds, Some(false));
            assert!(judge(&[]).iter().all(|shape| shape.holds.is_none()));
        }
    }
}
