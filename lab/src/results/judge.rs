//! What a run's curve is worth: its last value, the mean of its last ten, its best.

use super::{Fate, Interval, Outcome, Sweep, stats};
use crate::text;
use std::collections::BTreeMap;

/// Evaluations in "the last ten".
const TAIL: usize = 10;
/// Seeds from which an interval says something: Student's for two is 13 times their distance.
const SEEDS: usize = 3;

/// What one run's curve of a metric is worth.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Judged {
    /// At the last evaluation.
    pub last: f64,
    /// Mean over the last ten evaluations, or over all where there are fewer; never of the
    /// untrained start.
    pub tail: f64,
    /// Evaluations in `tail`.
    pub counted: usize,
    /// The best of all evaluations.
    pub best: f64,
}

/// Judges a curve of (step, value), where a value at step 0 is that of the untrained start; `None`
/// without evaluations. A loss is best where it is least.
pub fn judge(curve: &[(u64, f64)], higher_is_better: bool) -> Option<Judged> {
    let last = curve.last()?.1;
    let trained: Vec<f64> = curve.iter().filter(|point| point.0 > 0).map(|point| point.1).collect();
    let tail = &trained[trained.len().saturating_sub(TAIL)..];
    let values = curve.iter().map(|point| point.1);
    let best = match higher_is_better {
        true => values.fold(f64::NEG_INFINITY, f64::max),
        false => values.fold(f64::INFINITY, f64::min),
    };
    // A curve without any number has no best.
    let best = if curve.iter().all(|point| point.1.is_nan()) { f64::NAN } else { best };
    Some(Judged { last, tail: stats::mean(tail), counted: tail.len(), best })
}

/// The runs of one line of a table under one attack, over seeds.
#[derive(Clone, Debug, Default)]
pub struct Cell {
    /// One a seed, in the order of the runs.
    pub seeds: Vec<Judged>,
    /// What broke in each of them.
    pub fates: Vec<Fate>,
    /// Runs that failed.
    pub failed: usize,
}

impl Cell {
    /// Mean of one of the numbers over seeds, and Student's interval from three seeds on.
    pub fn over(&self, of: impl Fn(&Judged) -> f64) -> Interval {
        let values: Vec<f64> = self.seeds.iter().map(of).collect();
        match values.len() {
            0..SEEDS => Interval { mean: stats::mean(&values), half: f64::NAN },
            _ => stats::student(&values),
        }
    }

    /// Takes in a run.
    pub fn add(&mut self, outcome: &Outcome, judged: Option<Judged>) {
        match judged {
            Some(judged) if outcome.is_finished() => {
                self.seeds.push(judged);
                self.fates.push(Fate::of(outcome));
            }
            _ => self.failed += 1,
        }
    }
}

/// A matrix of judgements: lines (a rule with whatever else varies) by attacks.
#[derive(Clone, Debug)]
pub struct Table {
    /// The metric that is judged.
    pub metric: &'static str,
    /// Whether more of it is better.
    pub higher_is_better: bool,
    /// The lines' labels, in the order of the runs.
    pub lines: Vec<String>,
    /// Each line's label in two parts: the rule with what belongs to it, and the setting.
    pub parts: Vec<(String, String)>,
    /// The attacks, in the order of the runs.
    pub attacks: Vec<String>,
    /// The cells that were run, by line and attack.
    pub cells: BTreeMap<(usize, usize), Cell>,
}

impl Table {
    /// Judges outcomes by accuracy, or by test loss where there is no accuracy.
    pub fn of(outcomes: &[Outcome], sweep: &Sweep) -> Self {
        let metric = metric(outcomes.iter());
        let higher_is_better = metric == "accuracy";
        let (lines, attacks, cells) = (Vec::new(), Vec::new(), BTreeMap::new());
        let parts = Vec::new();
        let mut table = Table { metric, higher_is_better, lines, parts, attacks, cells };
        for outcome in outcomes {
            let own = &outcome.settings;
            let line = place(&mut table.lines, &sweep.label(own));
            if line == table.parts.len() {
                table.parts.push((sweep.line(own), sweep.setting(own)));
            }
            let attack = place(&mut table.attacks, &outcome.settings.attack);
            let judged = judge(&outcome.curve(metric), higher_is_better);
            table.cells.entry((line, attack)).or_default().add(outcome, judged);
        }
        table
    }

    /// The attack under which a line's tail mean is worst, among cells with results. What is not
    /// finite is worse than any number.
    pub fn worst(&self, line: usize) -> Option<(usize, &Cell)> {
        let cells = self.cells.iter().filter(|((l, _), cell)| *l == line && !cell.seeds.is_empty());
        let sign = if self.higher_is_better { 1.0 } else { -1.0 };
        let cells = cells.map(|((_, attack), cell)| (*attack, cell));
        cells.min_by(|(_, a), (_, b)| {
            let of = |cell: &Cell| or_worst(sign * cell.over(|judged| judged.tail).mean);
            of(a).total_cmp(&of(b))
        })
    }

    /// The lines of each setting, in the order of the runs: tables name a setting once.
    pub fn settings(&self) -> Vec<(&str, Vec<usize>)> {
        let mut out: Vec<(&str, Vec<usize>)> = Vec::new();
        for (line, (_, setting)) in self.parts.iter().enumerate() {
            match out.iter_mut().find(|one| one.0 == setting) {
                Some(one) => one.1.push(line),
                None => out.push((setting, vec![line])),
            }
        }
        out
    }

    /// What broke in all of its runs.
    pub fn fates(&self) -> Vec<Fate> {
        self.cells.values().flat_map(|cell| cell.fates.iter().copied()).collect()
    }

    /// "last 10 evaluations", or how many there are where they are fewer: the untrained start is
    /// no evaluation of a trained model.
    pub fn tail(&self) -> String {
        let all = self.cells.values().flat_map(|cell| &cell.seeds).map(|judged| judged.counted);
        let (least, most) = all.fold((TAIL, 0), |(a, b), k| (a.min(k), b.max(k)));
        match (least, most) {
            (TAIL, _) | (_, 0) => format!("last {TAIL} evaluations"),
            (1, 1) => format!("last evaluation (no more follow the start; {TAIL} are wanted)"),
            (least, most) if least == most => {
                format!("last {least} evaluations (all that follow the start; {TAIL} are wanted)")
            }
            (least, most) => format!("last {least} to {most} evaluations ({TAIL} are wanted)"),
        }
    }

    /// One of a cell's numbers over seeds: "93.1 ± 0.4" in points, or a loss; with two seeds
    /// "93.1 [92.0, 94.2]", the mean and both.
    pub fn text(&self, cell: &Cell, of: impl Fn(&Judged) -> f64) -> String {
        let number = |x: f64| match self.higher_is_better {
            true => format!("{:.1}", 100.0 * x),
            false => text::number(x),
        };
        let Interval { mean, half } = cell.over(&of);
        match &cell.seeds[..] {
            [] => "-".into(),
            [_] => number(mean),
            [a, b] => {
                let (a, b) = (of(a), of(b));
                let (low, high) = if a > b { (b, a) } else { (a, b) };
                format!("{} [{}, {}]", number(mean), number(low), number(high))
            }
            _ => format!("{} ± {}", number(mean), number(half)),
        }
    }

    /// What the tables' figures are, in a sentence each.
    pub fn explained(&self) -> Vec<String> {
        let many = |k: std::ops::RangeInclusive<usize>| {
            self.cells.values().any(|cell| k.contains(&cell.seeds.len()))
        };
        let mut out = Vec::new();
        if many(SEEDS..=usize::MAX) {
            out.push("± Student's 95 % over seeds".to_owned());
        }
        if many(2..=2) {
            out.push("[a, b]: both of two seeds, of which no interval follows".to_owned());
        }
        let beyond = |cell: &Cell| {
            let Interval { mean, half } = cell.over(|judged| judged.tail);
            mean - half < 0.0 || self.higher_is_better && mean + half > 1.0
        };
        if self.cells.values().any(beyond) {
            out.push(
                "a ± that reaches below 0 or above 100 % says that seeds differ too much for an \
                 interval"
                    .into(),
            );
        }
        out
    }
}

/// What is judged: accuracy, or the test loss where there is none.
pub fn metric<'a>(mut outcomes: impl Iterator<Item = &'a Outcome>) -> &'static str {
    match outcomes.any(|outcome| !outcome.curve("accuracy").is_empty()) {
        true => "accuracy",
        false => "test_loss",
    }
}

/// The number where it is finite, else the worst there is.
pub fn or_worst(x: f64) -> f64 {
    if x.is_finite() { x } else { f64::NEG_INFINITY }
}

/// Where `name` stands in `list`, at its end if it was not there.
pub fn place(list: &mut Vec<String>, name: &str) -> usize {
    list.iter().position(|known| known == name).unwrap_or_else(|| {
        list.push(name.to_owned());
        list.len() - 1
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn curve(values: &[f64]) -> Vec<(u64, f64)> {
        values.iter().enumerate().map(|(k, &value)| (10 * k as u64, value)).collect()
    }

    #[test]
    fn the_mean_of_the_last_ten_never_holds_the_untrained_start() {
        let mut values = vec![0.9; 12];
        values.push(0.1);
        let judged = judge(&curve(&values), true).unwrap();
        assert_eq!((judged.last, judged.best, judged.counted), (0.1, 0.9, 10));
        assert!((judged.tail - 0.82).abs() < 1e-12);
        let short = judge(&curve(&[0.1, 0.6, 0.8]), true).unwrap();
        assert_eq!((short.tail, short.counted), (0.7, 2));
        let loss = judge(&curve(&[2.0, 1.0, 3.0]), false).unwrap();
        assert_eq!((loss.best, loss.tail), (1.0, 2.0));
        assert_eq!(judge(&[], true), None);
        assert!(judge(&curve(&[f64::NAN; 3]), false).unwrap().best.is_nan());
    }

    fn table(outcomes: &[Outcome]) -> Table {
        Table::of(outcomes, &Sweep::default())
    }

    #[test]
    fn the_worst_attack_is_the_lowest_tail_mean_and_nan_is_worse() {
        let outcomes = [("none", 0.9), ("alie", 0.3), ("ipm", 0.5)]
            .map(|(attack, value)| Outcome::sample("krum", attack, 1, &[0.1, value]));
        let worst = table(&outcomes);
        let (attack, cell) = worst.worst(0).unwrap();
        assert_eq!((worst.attacks[attack].as_str(), cell.seeds[0].last), ("alie", 0.3));
        for nan in [f64::NAN, -f64::NAN, f64::INFINITY] {
            let losses = [("alie", 1e9), ("ipm", nan), ("none", 3.0)].map(|(attack, value)| {
                let mut outcome = Outcome::sample("krum", attack, 1, &[0.1, value]);
                outcome.points.iter_mut().for_each(|point| point.metric = "test_loss".into());
                outcome
            });
            assert_eq!(table(&losses).worst(0).unwrap().0, 1);
        }
    }

    #[test]
    fn few_evaluations_and_few_seeds_are_said() {
        let run = |seed: u64, values: &[f64]| Outcome::sample("krum", "none", seed, values);
        let two = table(&[run(1, &[0.1, 0.6, 0.8]), run(2, &[0.1, 0.2, 0.4])]);
        assert!(two.tail().starts_with("last 2 evaluations (all"), "{}", two.tail());
        assert_eq!(two.text(&two.cells[&(0, 0)], |judged| judged.tail), "50.0 [30.0, 70.0]");
        assert!(two.explained()[0].starts_with("[a, b]"));
        let long = table(&[run(1, &[0.5; 11]), run(2, &[0.5; 11]), run(3, &[0.5; 11])]);
        assert_eq!(long.tail(), "last 10 evaluations");
        assert_eq!(long.text(&long.cells[&(0, 0)], |judged| judged.best), "50.0 ± 0.0");
        assert_eq!(long.explained(), ["± Student's 95 % over seeds"]);
        let apart = table(&[run(1, &[0.1, 1.0]), run(2, &[0.1, 0.1]), run(3, &[0.1, 0.1])]);
        assert_eq!(apart.explained().len(), 2);
    }
}
