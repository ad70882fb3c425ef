//! The report's figures: a column a learner, a line a share of adversaries; and our extra panels.

use super::table::{attack, learner};
use std::collections::{BTreeMap, BTreeSet};
use varangian_lab::pictures::band;
use varangian_lab::plot::{Curve, Panel, Picture, curves_over};
use varangian_lab::results::{Outcome, place};

/// The figures of an experiment, with their files' names.
pub(super) fn all(name: &str, outcomes: &[Outcome]) -> Vec<(String, Picture)> {
    let runs: Vec<&Outcome> = outcomes.iter().filter(|outcome| outcome.is_finished()).collect();
    if name == "hidden" {
        let (plain, others): (Vec<&Outcome>, Vec<&Outcome>) = runs.into_iter().partition(is_plain);
        let title = "SignSGD collapses where Signum learns on: parity of n, and opposition";
        let mut figures = metrics(&plain, "collapse", title, panel_of_hidden);
        let title = "one-bit messages, mixed adversaries, other rules";
        figures.extend(metrics(&others, "others", title, |run| {
            format!("{}, {}", panel_of_hidden(run), run.settings.rule)
        }));
        return figures;
    }
    let mut figures = Vec::new();
    for (kind, title) in [("blind", "blind inversion"), ("byzantine", "Byzantine collusion")] {
        let chosen: Vec<&Outcome> = runs.iter().copied().filter(|run| is(kind, run)).collect();
        let title = format!("{name}: {title}");
        figures.extend(metrics(&chosen, kind, &title, |run| learner(&run.settings).name().into()));
    }
    figures
}

/// Whether a hidden run is a ternary vote against plain collusion or opposition.
fn is_plain(run: &&Outcome) -> bool {
    let settings = &run.settings;
    let vote = settings.rule == "majority" && settings.message == "sign" && settings.f == 0;
    vote && ["kill", "oppose"].contains(&attack(settings))
}

/// Whether a run belongs into a figure: runs without hostile workers stand in both.
fn is(kind: &str, run: &Outcome) -> bool {
    match attack(&run.settings) {
        "none" => true,
        "blind-inversion" => kind == "blind",
        _ => kind == "byzantine",
    }
}

fn panel_of_hidden(run: &Outcome) -> String {
    let settings = &run.settings;
    format!("{}, {}, n = {}", learner(settings).name(), attack(settings), settings.n)
}

/// A figure a metric that the runs have.
fn metrics(
    runs: &[&Outcome],
    file: &str,
    title: &str,
    panel: impl Fn(&Outcome) -> String,
) -> Vec<(String, Picture)> {
    let has = |metric: &str| runs.iter().any(|run| !run.curve(metric).is_empty());
    [("loss", "test_loss", "test loss"), ("accuracy", "accuracy", "test accuracy")]
        .into_iter()
        .filter(|(_, metric, _)| has(metric))
        .map(|(short, metric, label)| {
            (format!("{file}-{short}"), figure(runs, title, metric, label, &panel))
        })
        .collect()
}

/// A panel for each of `panel`, in the report's order of learners; a line a number of adversaries.
fn figure(
    runs: &[&Outcome],
    title: &str,
    metric: &str,
    label: &str,
    panel: &impl Fn(&Outcome) -> String,
) -> Picture {
    let mut ordered = runs.to_vec();
    ordered.sort_by_key(|run| {
        let settings = &run.settings;
        (learner(settings), attack(settings) != "none", panel(run), settings.f_real())
    });
    let (mut titles, mut counts) = (Vec::new(), Vec::new());
    for run in &ordered {
        counts.push(run.settings.f_real());
        place(&mut titles, &panel(run));
    }
    counts.sort_unstable();
    counts.dedup();
    let mut lines: BTreeMap<(usize, usize), Vec<Vec<(u64, f64)>>> = BTreeMap::new();
    for run in &ordered {
        let line = counts.binary_search(&run.settings.f_real()).expect("collected above");
        lines.entry((place(&mut titles, &panel(run)), line)).or_default().push(run.curve(metric));
    }
    let mut panels: Vec<Panel> =
        titles.iter().map(|title| Panel { title: title.clone(), curves: Vec::new() }).collect();
    for ((panel, line), seeds) in lines {
        panels[panel].curves.push(Curve { line, points: band(&seeds) });
    }
    let n: BTreeSet<usize> = ordered.iter().map(|run| run.settings.n).collect();
    let share = |f: &usize| match n.first() {
        Some(n_of_all) if n.len() == 1 => format!("{:.0} %", 100.0 * *f as f64 / *n_of_all as f64),
        _ => format!("{f} hostile"),
    };
    let legend: Vec<String> = counts.iter().map(share).collect();
    let percent = metric == "accuracy";
    curves_over("epoch", title, label, &legend, in_epochs(panels, &ordered), percent)
}

/// These experiments are evaluated once an epoch.
fn in_epochs(mut panels: Vec<Panel>, runs: &[&Outcome]) -> Vec<Panel> {
    let epoch = runs.first().map_or(1, |run| run.settings.evaluate_every) as f64;
    let curves = panels.iter_mut().flat_map(|panel| &mut panel.curves);
    curves.flat_map(|curve| &mut curve.points).for_each(|point| point.step /= epoch);
    panels
}
