//! Bucketing (Karimireddy, He & Jaggi, ICLR 2022): rules on heterogeneous data with and without
//! buckets and momentum, beside the accuracies of the authors' published logs.

use super::shapes::{Publication, Shape};
use std::path::Path;
use varangian_lab::results::{Outcome, judge, mean};
use varangian_lab::run::Events;
use varangian_lab::{Failure, text};

/// The publication.
pub(super) const PUBLICATION: Publication = Publication {
    name: "bucketing",
    about: "Karimireddy, He & Jaggi 2022: buckets and momentum on heterogeneous data, the logs' cells",
    quick: include_str!("../experiments/bucketing/quick.toml"),
    full: include_str!("../experiments/bucketing/full.toml"),
    judge: shapes,
    more,
};

const ATTACKS: [&str; 5] = ["sign-flip", "label-flip", "mimic", "ipm", "alie"];
const RULES: [&str; 4] = ["krum", "median", "rfa", "centred-clipping"];

/// Rule, whether with momentum, whether with buckets of two; (last, best) in % by attack. NaN: not
/// among the published cells.
const PUBLISHED: [(&str, bool, bool, [(f64, f64); 5]); 12] = {
    const NONE: (f64, f64) = (f64::NAN, f64::NAN);
    const fn last(last: f64) -> [(f64, f64); 5] {
        [NONE, NONE, (last, f64::NAN), NONE, NONE]
    }
    [
        (
            "krum",
            false,
            false,
            [(27.5, 31.0), (1.0, 3.2), (38.1, 40.1), (36.6, 40.2), (77.3, 87.3)],
        ),
        ("krum", false, true, last(54.6)),
        (
            "krum",
            true,
            true,
            [(27.0, 29.8), (43.8, 48.1), (64.6, 65.6), (41.6, 59.0), (10.2, 81.3)],
        ),
        (
            "median",
            false,
            false,
            [(37.6, 47.0), (33.5, 51.1), (68.7, 70.7), (49.8, 52.5), (75.3, 87.0)],
        ),
        ("median", false, true, last(79.3)),
        (
            "median",
            true,
            false,
            [(44.6, 57.3), (46.7, 67.5), (54.6, 65.0), (32.1, 55.1), (9.9, 81.8)],
        ),
        (
            "median",
            true,
            true,
            [(60.3, 72.2), (71.5, 78.3), (82.7, 84.3), (59.9, 73.0), (39.2, 94.8)],
        ),
        (
            "rfa",
            false,
            false,
            [(69.7, 69.7), (91.1, 91.1), (79.5, 79.8), (16.3, 16.3), (63.1, 91.6)],
        ),
        ("rfa", false, true, last(91.6)),
        ("rfa", true, true, [(97.0, 97.1), (97.6, 97.6), (97.3, 97.4), (96.2, 96.3), (68.8, 98.1)]),
        (
            "centred-clipping",
            false,
            false,
            [(75.5, 75.5), (91.8, 91.8), (92.1, 92.1), (92.3, 92.3), (91.5, 91.6)],
        ),
        (
            "centred-clipping",
            true,
            true,
            [(97.9, 97.9), (97.9, 97.9), (97.9, 98.0), (97.9, 97.9), (98.1, 98.3)],
        ),
    ]
};

/// Centred clipping without momentum and with buckets under mimic, and the last accuracies without
/// attack on a long tail: rule, even split, one digit or two a worker, the same with buckets.
const MIMIC_CENTRED: f64 = 93.0;
const CLEAN: [(&str, [f64; 3]); 5] = [
    ("average", [98.8, 98.8, f64::NAN]),
    ("krum", [97.9, 90.6, 93.3]),
    ("median", [97.7, 80.4, 96.0]),
    ("rfa", [98.6, 82.7, 97.4]),
    ("centred-clipping", [98.8, 98.7, 98.7]),
];

/// The runs of a cell.
fn chosen<'a>(
    outcomes: &'a [Outcome],
    rule: &'a str,
    momentum: bool,
    buckets: bool,
    attack: &'a str,
) -> impl Iterator<Item = &'a Outcome> {
    outcomes.iter().filter(move |outcome| {
        let own = &outcome.settings;
        let last = own.rule.rsplit("| ").next().unwrap_or("");
        let named = last.split(' ').next() == Some(rule);
        let bucketed = own.rule.starts_with("bucketing");
        let attacked = own.attack.split(' ').next() == Some(attack);
        named && bucketed == buckets && attacked && (own.momentum > 0.0) == momentum
    })
}

/// Means over seeds of last and best accuracies, in %.
fn cell<'a>(runs: impl Iterator<Item = &'a Outcome>) -> Option<(f64, f64)> {
    let judged: Vec<_> =
        runs.filter_map(|outcome| judge(&outcome.curve("accuracy"), true)).collect();
    let of = |get: &dyn Fn(&varangian_lab::results::Judged) -> f64| {
        100.0 * mean(&judged.iter().map(get).collect::<Vec<_>>())
    };
    (!judged.is_empty()).then(|| (of(&|one| one.last), of(&|one| one.best)))
}

/// The published cell, if there is one; the best accuracy may be unknown.
fn published(rule: &str, momentum: bool, buckets: bool, attack: usize) -> Option<(f64, f64)> {
    if (rule, momentum, buckets, ATTACKS[attack]) == ("centred-clipping", false, true, "mimic") {
        return Some((MIMIC_CENTRED, f64::NAN));
    }
    let line = PUBLISHED.iter().find(|line| (line.0, line.1, line.2) == (rule, momentum, buckets));
    line.map(|line| line.3[attack]).filter(|cell| cell.0.is_finite())
}

fn text((last, best): (f64, f64)) -> String {
    match best.is_finite() {
        true => format!("{last:.1}/{best:.1}"),
        false => format!("{last:.1}"),
    }
}

/// Every cell, ours beside theirs.
fn attacked(outcomes: &[Outcome]) -> String {
    let (mut rows, mut apart) = (Vec::new(), Vec::new());
    for rule in RULES {
        for (momentum, buckets) in [(false, false), (false, true), (true, false), (true, true)] {
            let mut name = rule.to_owned();
            name.push_str(if momentum { ", momentum .9" } else { ", momentum 0" });
            name.push_str(if buckets { ", buckets of 2" } else { "" });
            let mut row = vec![name];
            for (k, attack) in ATTACKS.into_iter().enumerate() {
                let ours = cell(chosen(outcomes, rule, momentum, buckets, attack));
                let theirs = published(rule, momentum, buckets, k);
                if let (Some(ours), Some(theirs)) = (ours, theirs) {
                    apart.push(ours.0 - theirs.0);
                }
                let [ours, theirs] = [ours, theirs].map(|one| one.map_or("-".into(), text));
                row.push(format!("{ours} | {theirs}"));
            }
            rows.push(row);
        }
    }
    let mut head = vec!["last/best, %: ours | published"];
    head.extend(ATTACKS);
    let table = text::table(&head, &rows, &[false; 6]);
    if apart.is_empty() {
        return table;
    }
    let near = apart.iter().filter(|x| x.abs() <= 5.0).count();
    let above = apart.iter().filter(|x| **x > 5.0).count();
    format!(
        "{table}\nlast accuracies of the {} cells that both have: {near} within 5 points, {above} \
         higher, {} lower; mean difference {:+.1}\n",
        apart.len(),
        apart.len() - near - above,
        mean(&apart)
    )
}

/// No attack, on a long tail: what robust rules cost.
fn clean(outcomes: &[Outcome]) -> String {
    let ours = |rule: &str, sorted: bool, buckets: bool| {
        let own = chosen(outcomes, rule, false, buckets, "none")
            .filter(|outcome| outcome.settings.partition.contains("sorted") == sorted);
        cell(own).map_or("-".into(), |cell| format!("{:.1}", cell.0))
    };
    if outcomes.iter().all(|outcome| outcome.settings.attack != "none") {
        return String::new();
    }
    let row = |(rule, theirs): &(&str, [f64; 3])| {
        let cells = [(false, false), (true, false), (true, true)];
        let pair = |((sorted, buckets), theirs): ((bool, bool), &f64)| {
            let theirs = if theirs.is_nan() { "-".into() } else { format!("{theirs:.1}") };
            format!("{} | {theirs}", ours(rule, sorted, buckets))
        };
        std::iter::once((*rule).to_owned()).chain(cells.into_iter().zip(theirs).map(pair)).collect()
    };
    let rows: Vec<Vec<String>> = CLEAN.iter().map(row).collect();
    let head = ["no attack, last, %: ours | published", "even", "by digit", "by digit, buckets"];
    text::table(&head, &rows, &[false; 4])
}

fn more(folder: &Path, outcomes: &[Outcome], events: &mut dyn Events) -> Result<(), Failure> {
    let text = format!("{}\n{}", attacked(outcomes), clean(outcomes));
    varangian_lab::files::write(&folder.join("cells.txt"), text.as_bytes())?;
    events.text(&text);
    Ok(())
}

fn shapes(outcomes: &[Outcome]) -> Vec<Shape> {
    let worst = |rule: &'static str, momentum: bool, buckets: bool| {
        let cells = ATTACKS.map(|attack| {
            let own = cell(chosen(outcomes, rule, momentum, buckets, attack));
            own.map(|cell| (cell.0, attack))
        });
        let all: Option<Vec<(f64, &str)>> = cells.into_iter().collect();
        all.and_then(|all| all.into_iter().min_by(|a, b| a.0.total_cmp(&b.0)))
    };
    let shape = |claim: &str,
                 rule,
                 [with, against]: [(bool, bool); 2],
                 test: &dyn Fn(f64, f64) -> bool| {
        let [a, b] = [with, against].map(|(momentum, buckets)| worst(rule, momentum, buckets));
        let text = |one: Option<(f64, &str)>| {
            one.map_or("–".into(), |(value, attack)| format!("{value:.1} % ({attack})"))
        };
        let how = |(momentum, buckets): (bool, bool)| match (momentum, buckets) {
            (true, true) => "with both",
            (true, false) => "with momentum alone",
            (false, true) => "with buckets alone",
            (false, false) => "with neither",
        };
        Shape {
            claim: claim.into(),
            found: format!("worst attack: {} {}, {} {}", how(with), text(a), how(against), text(b)),
            holds: a.zip(b).map(|(a, b)| test(a.0, b.0)),
            moot: false,
        }
    };
    let (bare, both, momentum) = ((false, false), (true, true), (true, false));
    let better = |a: f64, b: f64| a > b;
    vec![
        shape("buckets and momentum raise Krum's worst case", "krum", [both, bare], &better),
        shape("buckets raise the median's, with momentum", "median", [both, momentum], &better),
        shape("both raise RFA's worst case", "rfa", [both, bare], &better),
        shape("both raise centred clipping's", "centred-clipping", [both, bare], &better),
        shape(
            "centred clipping with both stands every attack, above 85 %",
            "centred-clipping",
            [both, bare],
            &|a, _| a > 85.0,
        ),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use varangian_lab::config::{Experiment, Settings, Source};

    #[test]
    fn every_published_cell_has_its_run() {
        let experiment = Experiment::parse(PUBLICATION.full, "b", &Source::default()).unwrap();
        // 16 lines × 5 attacks, and 18 without attack, three seeds each.
        assert_eq!(experiment.runs.len(), 3 * (16 * 5 + 18));
        let outcome = |settings: &Settings| Outcome {
            settings: settings.clone(),
            ..Outcome::sample("average", "none", 1, &[0.25])
        };
        let outcomes: Vec<Outcome> = experiment.runs.iter().map(outcome).collect();
        let text = attacked(&outcomes);
        assert!(text.contains("of the 49 cells that both have"), "{text}");
        assert!(text.contains("25.0/25.0 | 27.5/31.0") && !text.contains("- |"), "{text}");
        assert!(clean(&outcomes).contains("25.0 | 98.8"), "{}", clean(&outcomes));
        assert_eq!(clean(&[]), "");
        assert!(shapes(&outcomes).iter().all(|shape| shape.holds.is_some()));
        assert!(shapes(&[]).iter().all(|shape| shape.holds.is_none()));
    }
}
