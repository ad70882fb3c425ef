//! SafeguardSGD (Allen-Zhu et al., ICLR 2021): the submission's table, and who was expelled when.

use super::shapes::{Ends, Publication, Shape};
use std::path::Path;
use varangian_lab::plot::{Curve, Panel, Spread, curves};
use varangian_lab::results::{Outcome, place};
use varangian_lab::run::Events;
use varangian_lab::{Failure, text};

/// The publication.
pub(super) const PUBLICATION: Publication = Publication {
    name: "safeguard",
    about: "Allen-Zhu et al. 2021: SafeguardSGD against six attacks, and who is expelled when",
    quick: include_str!("../experiments/safeguard/quick.toml"),
    full: include_str!("../experiments/safeguard/full.toml"),
    judge,
    more,
};

/// The shapes of each data set: where there are several, each claim says of which it is.
fn judge(outcomes: &[Outcome]) -> Vec<Shape> {
    let datasets = datasets(outcomes);
    if datasets.len() < 2 {
        return judge_one(outcomes);
    }
    let of = |name: &String| {
        let own = outcomes.iter().filter(|outcome| dataset(outcome) == *name);
        let own: Vec<Outcome> = own.cloned().collect();
        let said = |shape: Shape| Shape { claim: format!("{name}: {}", shape.claim), ..shape };
        judge_one(&own).into_iter().map(said).collect::<Vec<_>>()
    };
    datasets.iter().flat_map(of).collect()
}

/// The name of a run's data set.
fn dataset(outcome: &Outcome) -> &str {
    outcome.settings.dataset.split(' ').next().unwrap_or("")
}

fn datasets(outcomes: &[Outcome]) -> Vec<String> {
    let mut found = Vec::new();
    for outcome in outcomes {
        place(&mut found, dataset(outcome));
    }
    found
}

fn judge_one(outcomes: &[Outcome]) -> Vec<Shape> {
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
    let single = better_single(outcomes, "variance");
    shapes.push(ends.shape(
        "variance attack: so does the single safeguard, at the better of its windows",
        &[ideal, (&single, "variance", None), ("average", "variance", None)],
        |a| a[1] > a[0] - 0.05 && a[2] < a[1] - 0.05,
    ));
    for attack in ["sign-flip", "zero", "label-flip", "delayed-gradient", "safeguard-attack"] {
        let single = better_single(outcomes, attack);
        shapes.push(ends.defended(
            format!("{attack}: the double safeguard comes near the ideal"),
            &[("safeguard", attack, None), ideal, (&single, attack, None)],
            ("average", attack, None),
            |a| a[0] > a[1] - 0.05,
        ));
    }
    shapes.push(nobody_honest(outcomes));
    shapes
}

/// The single safeguard with the window that ends best against this attack: in no run, its name.
fn better_single(outcomes: &[Outcome], attack: &str) -> String {
    let ends = Ends(outcomes);
    let mut forms = Vec::new();
    for rule in outcomes.iter().map(|outcome| &outcome.settings.rule) {
        if rule.starts_with("single-safeguard") {
            place(&mut forms, rule);
        }
    }
    let end = |rule: &String| ends.accuracy(rule, attack, None).unwrap_or(f64::NEG_INFINITY);
    let best = forms.iter().max_by(|a, b| end(a).total_cmp(&end(b)));
    best.cloned().unwrap_or_else(|| "single-safeguard".into())
}

fn nobody_honest(outcomes: &[Outcome]) -> Shape {
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
    Shape { claim: "no honest worker is ever expelled".into(), found, holds, moot: false }
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
        let data = dataset(outcome).to_owned();
        let (attack, rule) = (settings.attack.clone(), settings.rule.clone());
        let cells = [data, attack, rule, settings.seed.to_string()];
        [cells.to_vec(), vec![worker.to_string(), who.into(), step.to_string()]].concat()
    };
    let rows: Vec<Vec<String>> = expulsions(outcomes).map(row).collect();
    let head = ["data set", "attack", "rule", "seed", "worker", "who", "expelled at"];
    let right = [false, false, false, true, true, false, true];
    let table = text::table(&head, &rows, &right);
    events.text(&table);
    varangian_lab::files::write(&folder.join("expelled.txt"), table.as_bytes())?;
    let (mut rules, mut panels) = (Vec::new(), Vec::<Panel>::new());
    let datasets = datasets(outcomes);
    for outcome in outcomes.iter().filter(|o| o.settings.rule.contains("safeguard")) {
        let title = match datasets.len() {
            1 => outcome.settings.attack.clone(),
            _ => format!("{}, {}", dataset(outcome), outcome.settings.attack),
        };
        let panel = panels.iter().position(|panel| panel.title == title).unwrap_or(panels.len());
        if panel == panels.len() {
            panels.push(Panel { title, curves: Vec::new() });
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

#[cfg(test)]
mod tests {
    use super::*;

    fn run(dataset: &str, rule: &str, attack: &str, end: f64) -> Outcome {
        let mut outcome = Outcome::sample(rule, attack, 1, &[end; 3]);
        outcome.settings.dataset = dataset.into();
        outcome
    }

    #[test]
    fn the_better_window_is_judged_and_each_data_set_alone() {
        let of = |dataset: &str, long: f64| {
            vec![
                run(dataset, "average", "none", 0.9),
                run(dataset, "average", "variance", 0.3),
                run(dataset, "single-safeguard t=300", "variance", 0.4),
                run(dataset, "single-safeguard t=600", "variance", long),
            ]
        };
        let single = |outcomes: &[Outcome]| -> Vec<(String, Option<bool>)> {
            let shapes = judge(outcomes).into_iter().filter(|s| s.claim.contains("single"));
            shapes.map(|shape| (shape.claim, shape.holds)).collect()
        };
        let one = of("cifar10 crop=4", 0.88);
        assert_eq!(better_single(&one, "variance"), "single-safeguard t=600");
        assert_eq!(single(&one)[0].1, Some(true));
        let both = [one, of("cifar100", 0.5)].concat();
        let found = single(&both);
        assert!(found[0].0.starts_with("cifar10: ") && found[0].1 == Some(true), "{found:?}");
        assert!(found[1].0.starts_with("cifar100: ") && found[1].1 == Some(false), "{found:?}");
        assert_eq!(single(&[])[0].1, None);
    }
}
