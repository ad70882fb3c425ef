//! Bucketing (Karimireddy, He & Jaggi, ICLR 2022): rules on heterogeneous data with and without
//! buckets and momentum, beside the accuracies of the authors' published logs.

mod logs;

use self::logs::{PUBLISHED, Run};
use super::shapes::{Publication, Shape};
use std::path::Path;
use varangian_lab::results::{Outcome, judge, mean};
use varangian_lab::run::Events;
use varangian_lab::{Failure, text};

/// The publication.
pub(super) const PUBLICATION: Publication = Publication {
    name: "bucketing",
    about: "Karimireddy, He & Jaggi 2022: buckets, momentum, heterogeneous data; their logs' cells",
    quick: include_str!("../../experiments/bucketing/quick.toml"),
    full: include_str!("../../experiments/bucketing/full.toml"),
    judge: shapes,
    more,
};

const ATTACKS: [&str; 5] = ["sign-flip", "label-flip", "mimic", "ipm", "alie"];

/// The published last accuracies without attack on a long tail: rule, even split, one digit or two
/// a worker, the same with buckets.
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
fn cell<'a>(runs: impl Iterator<Item = &'a Outcome>) -> Option<Run> {
    let judged: Vec<_> =
        runs.filter_map(|outcome| judge(&outcome.curve("accuracy"), true)).collect();
    let of = |get: &dyn Fn(&varangian_lab::results::Judged) -> f64| {
        100.0 * mean(&judged.iter().map(get).collect::<Vec<_>>())
    };
    (!judged.is_empty()).then(|| (of(&|one| one.last), of(&|one| one.best)))
}

fn text((last, best): Run) -> String {
    format!("{last:.1}/{best:.1}")
}

/// The least and the greatest last accuracy.
fn range(runs: &[Run; 3]) -> (f64, f64) {
    let last = runs.map(|run| run.0);
    (last.into_iter().fold(f64::INFINITY, f64::min), last.into_iter().fold(0.0, f64::max))
}

/// "38.1/40.1 (30.9 to 46.3)": the means of last and best, and the range of the last.
fn spread(runs: &[Run; 3]) -> String {
    let (least, most) = range(runs);
    let means = (mean(&runs.map(|run| run.0)), mean(&runs.map(|run| run.1)));
    format!("{} ({least:.1} to {most:.1})", text(means))
}

/// How ours lies to theirs.
struct Apart {
    cell: String,
    /// Ours less the nearest of theirs; 0 within their range.
    beyond: f64,
    /// The difference of the means.
    difference: f64,
}

/// Every cell, ours beside theirs, and how they lie to each other.
fn attacked(outcomes: &[Outcome]) -> String {
    let (mut rows, mut apart) = (Vec::new(), Vec::new());
    for (rule, momentum, buckets, cells) in PUBLISHED {
        let mut name = rule.to_owned();
        name.push_str(if momentum { ", momentum .9" } else { ", momentum 0" });
        name.push_str(if buckets { ", buckets of 2" } else { "" });
        let mut row = vec![name.clone()];
        for (attack, theirs) in ATTACKS.into_iter().zip(&cells) {
            let ours = cell(chosen(outcomes, rule, momentum, buckets, attack));
            row.push(format!("{} | {}", ours.map_or("-".into(), text), spread(theirs)));
            let (least, most) = range(theirs);
            apart.extend(ours.map(|(last, _)| Apart {
                cell: format!("{name}, {attack}"),
                beyond: (last - most).max(0.0) + (last - least).min(0.0),
                difference: last - mean(&theirs.map(|run| run.0)),
            }));
        }
        rows.push(row);
    }
    let mut head = vec!["last/best, %: ours | published (least to most last)"];
    head.extend(ATTACKS);
    text::table(&head, &rows, &[false; 6]) + &told(&apart)
}

/// How many cells lie where the published ones do, and which do not.
fn told(apart: &[Apart]) -> String {
    if apart.is_empty() {
        return String::new();
    }
    let within = apart.iter().filter(|one| one.beyond == 0.0).count();
    let near = apart.iter().filter(|one| one.beyond.abs() <= 5.0).count();
    let differences: Vec<f64> = apart.iter().map(|one| one.difference).collect();
    let mut text = format!(
        "\nlast accuracies of the {} cells that were run: {within} within the range of the three \
         published seeds, {near} no farther than 5 points from it; mean difference {:+.1}\n",
        apart.len(),
        mean(&differences)
    );
    for one in apart.iter().filter(|one| one.beyond.abs() > 5.0) {
        let way = if one.beyond > 0.0 { "above" } else { "below" };
        text += &format!("{}: {:.1} points {way} the range\n", one.cell, one.beyond.abs());
    }
    text
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
        assert!(text.contains("of the 80 cells that were run: 10 within the range"), "{text}");
        let cell = "25.0/25.0 | 27.5/30.9 (17.4 to 35.4)";
        assert!(text.contains(cell) && !text.contains("- |"), "{text}");
        assert!(text.contains("15 no farther than 5 points from it"), "{text}");
        assert!(text.contains("momentum 0, ipm: 9.0 points below the range"), "{text}");
        assert!(clean(&outcomes).contains("25.0 | 98.8"), "{}", clean(&outcomes));
        assert_eq!(clean(&[]), "");
        assert!(shapes(&outcomes).iter().all(|shape| shape.holds.is_some()));
        assert!(shapes(&[]).iter().all(|shape| shape.holds.is_none()));
    }
}
