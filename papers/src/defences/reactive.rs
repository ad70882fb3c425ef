//! Randomised reactive redundancy (Gupta & Vaidya 2019): who lies is caught sooner or later, and
//! SGD goes on without; checks cost a small share of DRACO's work.

use super::keeps;
use crate::shapes::{Ends, Publication, Shape, end};
use std::path::Path;
use varangian_lab::results::Outcome;
use varangian_lab::run::Events;
use varangian_lab::{Failure, text};

/// The publication.
pub(crate) const PUBLICATION: Publication = Publication {
    name: "reactive",
    about: "Gupta & Vaidya 2019: work that is repeated in a few steps catches who lies for good",
    quick: include_str!("../../experiments/methods/reactive.toml"),
    full: include_str!("../../experiments/methods/reactive-full.toml"),
    judge,
    more: spent,
};

const REACTIVE: &str = "reactive";

/// The chance of a check in the experiments, and the workers of a group.
const CHECKED: (f64, usize) = (0.1, 5);

fn judge(outcomes: &[Outcome]) -> Vec<Shape> {
    let ends = Ends(outcomes);
    let mut shapes = vec![ends.shape(
        "without an attack it is within 2 points of the mean",
        &[(REACTIVE, "none", None), ("average", "none", None)],
        |a| a[0] > a[1] - 0.02,
    )];
    for attack in ["sign-flip", "constant", "alie", "min-max"] {
        shapes.push(keeps(&ends, REACTIVE, attack, 0.95));
        shapes.push(ends.shape(
            format!("{attack}: no worse than the geometric median"),
            &[(REACTIVE, attack, None), ("geometric-median", attack, None)],
            |a| a[0] > a[1] - 0.01,
        ));
    }
    shapes.push(ends.shape(
        "alie: as good as DRACO, whose every step is repeated work",
        &[(REACTIVE, "alie", None), ("draco", "alie", None)],
        |a| a[0] > a[1] - 0.02,
    ));
    shapes
}

/// Writes and shows the different gradients that count a step, of as many as the workers take.
fn spent(folder: &Path, outcomes: &[Outcome], events: &mut dyn Events) -> Result<(), Failure> {
    let row = |outcome: &Outcome| {
        let (settings, (chance, times)) = (&outcome.settings, CHECKED);
        let n = settings.n as f64;
        let different = match settings.rule.split(' ').next() {
            Some(REACTIVE) => (1.0 - chance) * n + chance * (n / times as f64),
            Some("draco") => n / times as f64,
            _ => n,
        };
        let at_end = end(outcome).map_or("–".into(), |x| format!("{:.1} %", 100.0 * x));
        let (rule, attack) = (settings.rule.clone(), settings.attack.clone());
        vec![rule, attack, settings.n.to_string(), format!("{different:.1}"), at_end]
    };
    let rows: Vec<Vec<String>> = outcomes.iter().map(row).collect();
    let head =
        ["rule", "attack", "gradients a step", "different ones, mean", "accuracy at the end"];
    let table = text::table(&head, &rows, &[false, false, true, true, true]);
    varangian_lab::files::write(&folder.join("cost.txt"), table.as_bytes())?;
    events.text(&table);
    Ok(())
}
