//! SafeguardSGD (Allen-Zhu et al., ICLR 2021): the submission's table, and who was expelled when.

use super::shapes::{Ends, Publication, Shape};
use std::path::Path;
use varangian_lab::plot::{Curve, Panel, Spread, curves};
use varangian_lab::results::{Outcome, place};
use varangian_lab::run::Events;
use varangian_lab::{Failure, text};

/// The publication.
pub(super) const PUBLICATION: Publication = Publication {
    quick: include_str!("../experiments/safeguard/quick.toml"),
    full: include_str!("../experiments/safeguard/full.toml"),
    judge,
    more,
};

fn judge(outcomes: &[Outcome]) -> Vec<Shape> {
    let ends = Ends(outcomes);
    let ideal = ("average", "none", Some(0));
    let mut shapes = vec![ends.shape(
        "variance attack: only the safeguard comes near the ideal",
        &[
            ideal,
            ("safeguard", "variance", None),
            ("average", "variance", None),
            ("median", "variance", None),
            ("geometric-median", "variance", None),
            ("krum", "variance", None),
            ("zeno", "variance", None),
        ],
        |a| a[1] > a[0] - 0.05 && a[2..].iter().all(|&other| other < a[1] - 0.05),
    )];
    for attack in ["sign-flip", "zero", "label-flip", "delayed-gradient", "safeguard-attack"] {
        shapes.push(ends.defended(
            format!("{attack}: the double safeguard comes near the ideal"),
            &[("safeguard", attack, None), ideal, ("single-safeguard", attack, None)],
            ("average", attack, None),
            |a| a[0] > a[1] - 0.05,
        ));
    }
    let mut honest =
        expulsions(outcomes).filter(|(outcome, worker, _)| is_honest(outcome, *worker));
    let any = expulsions(outcomes).next().is_some();
    let found = match honest.next() {
        None => "no honest worker".to_owned(),
        Some((outcome, worker, step)) => {
            format!("worker {worker} at step {step} of {}", outcome.settings.rule)
        }
    };
    let holds = (any || !outcomes.is_empty()).then(|| found == "no honest worker");
    shapes.push(Shape {
        claim: "no honest worker is ever expelled".into(),
        found,
        holds,
        moot: false,
    });
    shapes
}

fn is_honest(outcome: &Outcome, worker: usize) -> bool {
    worker < outcome.settings.n - outcome.settings.f_real()
}

/// (run, worker, step) of every expulsion.
fn expulsions(outcomes: &[Outcome]) -> impl Iterator<Item = (&Outcome, usize, u64)> {
    outcomes.iter().flat_map(|outcome| {
        outcome.points.iter().filter_map(move |point| {
            let worker = point.metric.strip_prefix("expelled/worker-")?;
            Some((outcome, worker.parse().ok()?, point.step))
        })
    })
}

/// Who was expelled when, as a table and as a picture.
fn more(folder: &Path, outcomes: &[Outcome], events: &mut dyn Events) -> Result<(), Failure> {
    let row = |(outcome, worker, step): (&Outcome, usize, u64)| {
        let who = if is_honest(outcome, worker) { "honest" } else { "hostile" };
        let settings = &outcome.settings;
        let cells = [settings.attack.clone(), settings.rule.clone(), settings.seed.to_string()];
        [cells.to_vec(), vec![worker.to_string(), who.into(), step.to_string()]].concat()
    };
    let rows: Vec<Vec<String>> = expulsions(outcomes).map(row).collect();
    let head = ["attack", "rule", "seed", "worker", "who", "expelled at"];
    let right = [false, false, true, true, false, true];
    let table = text::table(&head, &rows, &right);
    events.text(&table);
    varangian_lab::files::write(&folder.join("expelled.txt"), table.as_bytes())?;
    let (mut rules, mut panels) = (Vec::new(), Vec::<Panel>::new());
    for outcome in outcomes.iter().filter(|o| o.settings.rule.contains("safeguard")) {
        let attack = &outcome.settings.attack;
        let panel = panels.iter().position(|panel| panel.title == *attack).unwrap_or(panels.len());
        if panel == panels.len() {
            panels.push(Panel { title: attack.clone(), curves: Vec::new() });
        }
        let line = place(&mut rules, &outcome.settings.rule);
        panels[panel].curves.push(Curve { line, points: stairs(outcome) });
    }
    if panels.is_empty() {
        return Ok(());
    }
    let picture = curves("workers expelled", "workers expelled", &rules, panels, false);
    picture.write(&folder.join("expelled"))
}

/// The number of expelled workers against the step, as stairs.
fn stairs(outcome: &Outcome) -> Vec<Spread> {
    let point =
        |step: u64, mean: f64| Spread { step: step as f64, low: f64::NAN, mean, high: f64::NAN };
    let mut points = vec![point(0, 0.0)];
    let mut now = 0.0;
    for (step, count) in outcome.curve("expelled") {
        points.extend([point(step, now), point(step, count)]);
        now = count;
    }
    points.push(point(outcome.settings.steps, now));
    points
}
