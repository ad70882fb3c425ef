//! What a run's curve is worth: its last value, the mean of its last ten, its best.

use super::{Interval, Outcome, stats};
use crate::config::label_keys;
use std::collections::BTreeMap;

/// Evaluations in "the last ten".
const TAIL: usize = 10;
/// How far below its best a run may end before it counts as collapsed: 5 points.
const COLLAPSE: f64 = 0.05;

/// What one run's curve of a metric is worth.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Judged {
    /// At the last evaluation.
    pub last: f64,
    /// Mean over the last ten evaluations, or over all where there are fewer.
    pub tail: f64,
    /// The best of all evaluations.
    pub best: f64,
    /// Whether an accuracy ended more than 5 points below its best.
    pub collapsed: bool,
}

/// Judges a curve; `None` without evaluations. A loss is best where it is least.
pub fn judge(curve: &[f64], higher_is_better: bool) -> Option<Judged> {
    let (&last, len) = (curve.last()?, curve.len());
    let tail = stats::mean(&curve[len.saturating_sub(TAIL)..]);
    let best = match higher_is_better {
        true => curve.iter().copied().fold(f64::NEG_INFINITY, f64::max),
        false => curve.iter().copied().fold(f64::INFINITY, f64::min),
    };
    Some(Judged { last, tail, best, collapsed: higher_is_better && best - last > COLLAPSE })
}

/// The runs of one line of a table under one attack, over seeds.
#[derive(Clone, Debug, Default)]
pub struct Cell {
    /// One a seed, in the order of the runs.
    pub seeds: Vec<Judged>,
    /// Runs that failed.
    pub failed: usize,
}

impl Cell {
    /// Mean and interval over seeds of one of the numbers.
    pub fn over(&self, of: impl Fn(&Judged) -> f64) -> Interval {
        stats::student(&self.seeds.iter().map(of).collect::<Vec<_>>())
    }

    /// Seeds that collapsed.
    pub fn collapsed(&self) -> usize {
        self.seeds.iter().filter(|judged| judged.collapsed).count()
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
    /// The attacks, in the order of the runs.
    pub attacks: Vec<String>,
    /// The cells that were run, by line and attack.
    pub cells: BTreeMap<(usize, usize), Cell>,
}

impl Table {
    /// Judges outcomes by accuracy, or by test loss where there is no accuracy.
    pub fn of(outcomes: &[Outcome]) -> Self {
        let classifies = outcomes.iter().any(|outcome| !outcome.curve("accuracy").is_empty());
        let metric = if classifies { "accuracy" } else { "test_loss" };
        let settings: Vec<_> = outcomes.iter().map(|outcome| &outcome.settings).collect();
        let keys = label_keys(&settings);
        let (lines, attacks) = (Vec::new(), Vec::new());
        let cells = BTreeMap::new();
        let mut table = Table { metric, higher_is_better: classifies, lines, attacks, cells };
        for outcome in outcomes {
            let line = place(&mut table.lines, &outcome.settings.label(&keys));
            let attack = place(&mut table.attacks, &outcome.settings.attack);
            let cell = table.cells.entry((line, attack)).or_default();
            let curve: Vec<f64> = outcome.curve(metric).iter().map(|point| point.1).collect();
            match judge(&curve, classifies) {
                Some(judged) if outcome.is_finished() => cell.seeds.push(judged),
                _ => cell.failed += 1,
            }
        }
        table
    }

    /// The attack under which a line's tail mean is worst, among cells with results.
    pub fn worst(&self, line: usize) -> Option<(usize, &Cell)> {
        let cells = self.cells.iter().filter(|((l, _), cell)| *l == line && !cell.seeds.is_empty());
        let sign = if self.higher_is_better { 1.0 } else { -1.0 };
        let cells = cells.map(|((_, attack), cell)| (*attack, cell));
        cells.min_by(|(_, a), (_, b)| {
            let of = |cell: &Cell| sign * cell.over(|judged| judged.tail).mean;
            of(a).total_cmp(&of(b))
        })
    }
}

/// Where `name` stands in `list`, at its end if it was not there.
pub(crate) fn place(list: &mut Vec<String>, name: &str) -> usize {
    list.iter().position(|known| known == name).unwrap_or_else(|| {
        list.push(name.to_owned());
        list.len() - 1
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_curve_that_falls_has_collapsed_and_a_loss_is_best_low() {
        let mut curve = vec![0.9; 12];
        curve.push(0.1);
        let judged = judge(&curve, true).unwrap();
        assert_eq!((judged.last, judged.best, judged.collapsed), (0.1, 0.9, true));
        assert!((judged.tail - 0.82).abs() < 1e-12);
        let loss = judge(&[2.0, 1.0, 3.0], false).unwrap();
        assert_eq!((loss.best, loss.collapsed), (1.0, false));
        assert_eq!(judge(&[], true), None);
    }

    #[test]
    fn the_worst_attack_is_the_lowest_tail_mean() {
        let outcomes = [("none", 0.9), ("alie", 0.3), ("ipm", 0.5)]
            .map(|(attack, value)| Outcome::sample("krum", attack, 1, &[0.1, value]));
        let table = Table::of(&outcomes);
        let (attack, cell) = table.worst(0).unwrap();
        assert_eq!((table.attacks[attack].as_str(), cell.seeds[0].last), ("alie", 0.3));
    }
}
