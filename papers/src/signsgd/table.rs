//! The ends of runs beside the published ones, with their differences.

use super::published::{Learner, Published, Source};
use varangian_lab::config::Settings;
use varangian_lab::results::{Interval, Outcome, student};
use varangian_lab::text;

/// Differences that the comparison calls agreement: loss, and accuracy in points.
const CLOSE: (f64, f64) = (0.02, 1.5);

/// How a run learns.
pub(super) fn learner(settings: &Settings) -> Learner {
    match (settings.message.as_str(), settings.momentum > 0.0) {
        ("vector", _) => Learner::DistSgd,
        (_, false) => Learner::SignSgd,
        (_, true) => Learner::Signum,
    }
}

/// The attack's name without parameters.
pub(super) fn attack(settings: &Settings) -> &str {
    settings.attack.split_whitespace().next().unwrap_or("none")
}

/// What tells one line of the table from another: everything but the seed.
type Group<'a> = (Learner, usize, &'a str, usize, &'a str, &'a str);

fn group(settings: &Settings) -> Group<'_> {
    let Settings { rule, message, .. } = settings;
    let hostile = settings.f_real();
    let named = if attack(settings) == "mixed" { &settings.attack } else { attack(settings) };
    (learner(settings), settings.n, named, hostile, rule, message)
}

/// The value of a metric at the end of each of these runs.
fn ends(outcomes: &[&Outcome], metric: &str) -> Vec<f64> {
    outcomes.iter().filter_map(|run| run.curve(metric).last().map(|point| point.1)).collect()
}

/// The table of ends, line by line in the order of the runs.
pub(super) fn comparison(published: &[Published], source: Source, outcomes: &[Outcome]) -> String {
    let mut groups: Vec<(Group<'_>, Vec<&Outcome>)> = Vec::new();
    for outcome in outcomes.iter().filter(|outcome| outcome.is_finished()) {
        let key = group(&outcome.settings);
        match groups.iter_mut().find(|(known, _)| *known == key) {
            Some((_, runs)) => runs.push(outcome),
            None => groups.push((key, vec![outcome])),
        }
    }
    let (mut rows, mut counts) = (Vec::new(), [0; 3]);
    for (key, runs) in &groups {
        let theirs = published.iter().find(|cell| is(cell, key));
        let (row, verdict) = line(key, runs, theirs);
        if theirs.is_some() {
            counts[verdict as usize] += 1;
        }
        rows.push(row);
    }
    let theirs = source.short();
    let header = [
        "learner", "n", "attack", "f", "rule", "seeds", "loss", "range", theirs, "diff", "acc %",
        theirs, "diff",
    ];
    let right = [false, true, false, true, false, true, true, true, true, true, true, true, true];
    let text = text::table(&header, &rows, &right);
    let ([close, among, far], compared) = (counts, counts.iter().sum::<usize>());
    format!(
        "Means over seeds at the last step, ± half a Student 95 % interval, and the range over \
         seeds. {}\n\
         {text}{close} of {compared} {} agree within {} in loss and \
         {} points; {among} lie further off, yet among our seeds (~); {far} beyond them (*).\n",
        source.says(),
        source.cells(),
        CLOSE.0,
        CLOSE.1
    )
}

/// How a published cell compares with our seeds.
#[derive(Clone, Copy, PartialEq)]
enum Verdict {
    /// Within [`CLOSE`] of their mean.
    Close,
    /// Further off, but within their range.
    Among,
    /// Beyond all of them.
    Far,
}

impl Verdict {
    fn of(ours: &[f64], theirs: f64, tolerance: f64) -> Self {
        let mean = student(ours).mean;
        let below = ours.iter().any(|&x| x <= theirs);
        let above = ours.iter().any(|&x| x >= theirs);
        match (theirs.is_nan() || (mean - theirs).abs() <= tolerance, below && above) {
            (true, _) => Verdict::Close,
            (_, true) => Verdict::Among,
            _ => Verdict::Far,
        }
    }

    fn mark(self) -> &'static str {
        ["", "~", "*"][self as usize]
    }
}

/// Whether a published cell is that of a line: the plain vote on ternary signs, or the sum.
fn is(cell: &Published, key: &Group<'_>) -> bool {
    let (learner, n, attack, hostile, rule, message) = *key;
    let plain = matches!((rule, message), ("sum", "vector") | ("majority", "sign"));
    plain && (cell.learner, cell.n, cell.attack, cell.hostile) == (learner, n, attack, hostile)
}

fn line(key: &Group<'_>, runs: &[&Outcome], theirs: Option<&Published>) -> (Vec<String>, Verdict) {
    let (learner, n, attack, hostile, rule, _) = *key;
    let losses = ends(runs, "test_loss");
    let accuracies: Vec<f64> = ends(runs, "accuracy").iter().map(|x| 100.0 * x).collect();
    let published = theirs.map_or((f64::NAN, f64::NAN), |cell| (cell.loss, cell.accuracy));
    let (loss, accuracy) = (student(&losses), student(&accuracies));
    let by_loss = Verdict::of(&losses, published.0, CLOSE.0);
    let by_accuracy = Verdict::of(&accuracies, published.1, CLOSE.1);
    let worse = if by_loss as usize > by_accuracy as usize { by_loss } else { by_accuracy };
    let row = vec![
        learner.name().to_owned(),
        n.to_string(),
        attack.to_owned(),
        hostile.to_string(),
        rule.to_owned(),
        runs.len().to_string(),
        with_half(loss, 3),
        range(&losses),
        number(published.0, 3),
        signed(loss.mean - published.0, 3) + by_loss.mark(),
        with_half(accuracy, 1),
        number(published.1, 1),
        signed(accuracy.mean - published.1, 1) + by_accuracy.mark(),
    ];
    (row, worse)
}

fn range(ours: &[f64]) -> String {
    let low = ours.iter().copied().min_by(f64::total_cmp);
    let high = ours.iter().copied().max_by(f64::total_cmp);
    low.zip(high).map_or(String::new(), |(low, high)| format!("{low:.3}–{high:.3}"))
}

fn number(x: f64, digits: usize) -> String {
    if x.is_nan() { String::new() } else { format!("{x:.digits$}") }
}

fn signed(x: f64, digits: usize) -> String {
    if x.is_nan() { String::new() } else { format!("{x:+.digits$}") }
}

fn with_half(value: Interval, digits: usize) -> String {
    match (value.mean.is_nan(), value.half.is_nan()) {
        (true, _) => String::new(),
        (false, true) => number(value.mean, digits),
        (false, false) => format!("{} ±{}", number(value.mean, digits), number(value.half, digits)),
    }
}

#[cfg(test)]
mod tests {
    use super::super::published::cells;
    use super::*;
    use varangian_lab::results::Point;

    fn run(attack: &str, hostile: usize, seed: u64, loss: f64, accuracy: f64) -> Outcome {
        let mut outcome = Outcome::sample("majority", attack, seed, &[0.5, accuracy]);
        outcome.settings.n = 10;
        outcome.settings.message = "sign".into();
        outcome.settings.momentum = 0.0;
        outcome.settings.f_real = Some(hostile);
        outcome.points.push(Point { step: 10, metric: "test_loss".into(), value: loss });
        outcome
    }

    #[test]
    fn agreement_and_disagreement_are_counted_and_marked() {
        let outcomes = [
            run("none", 0, 1, 0.130, 0.95),
            run("none", 0, 2, 0.144, 0.95),
            run("kill", 4, 1, 0.600, 0.70),
            run("kill", 4, 2, 0.600, 0.70),
            run("kill", 3, 1, 0.200, 0.92),
            run("kill", 3, 2, 0.400, 0.92),
            run("random-signs", 4, 1, 0.2, 0.9),
        ];
        let text = comparison(&cells("logreg"), Source::of("logreg"), &outcomes);
        assert!(text.contains("1 of 3 published cells agree"), "{text}");
        assert!(text.contains("Theirs: digitised figures of one seed."), "{text}");
        let own = comparison(&cells("hidden"), Source::of("hidden"), &outcomes);
        assert!(own.contains("none of it is published") && !own.contains("heirs"), "{own}");
        assert!(!own.contains("digitised") && own.contains("cells of the second program"), "{own}");
        assert!(text.contains("1 lie further off, yet among our seeds (~); 1 beyond"), "{text}");
        assert!(text.contains("+0.002"), "{text}");
        assert!(text.contains("+0.152*") && text.contains("-17.7*"), "{text}");
        assert!(text.contains("+0.037~") && text.contains("0.200–0.400"), "{text}");
        let lonely = text.lines().find(|line| line.contains("random-signs")).unwrap();
        assert!(lonely.ends_with("90.0"), "{lonely}");
    }

    #[test]
    fn every_published_cell_is_there_once() {
        let count = |name| cells(name).len();
        assert_eq!([count("logreg"), count("linreg"), count("mnist-mnistnet")], [24; 3]);
        for name in ["logreg", "linreg", "mnist-mnistnet", "hidden"] {
            let all = cells(name);
            let same = |a: &Published, b: &Published| {
                (a.learner, a.n, a.attack, a.hostile) == (b.learner, b.n, b.attack, b.hostile)
            };
            assert!(all.iter().all(|a| all.iter().filter(|b| same(a, b)).count() == 1), "{name}");
        }
    }
}
