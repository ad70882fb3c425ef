//! DRACO's cyclic code (Chen, Wang, Charles & Papailiopoulos, ICML 2018, §4.2): the mean of all
//! gradients whatever f workers send, at 2f + 1 gradients a worker.

use super::cost;
use crate::shapes::{Ends, Publication, Shape};
use varangian_lab::results::Outcome;

/// The publication.
pub(crate) const PUBLICATION: Publication = Publication {
    name: "draco-cyclic",
    about: "Chen et al. 2018: DRACO's cyclic code ends where the mean without an attack does",
    quick: include_str!("../../experiments/methods/draco-cyclic.toml"),
    full: include_str!("../../experiments/methods/draco-cyclic-full.toml"),
    judge,
    more: |folder, outcomes, events| {
        cost(folder, outcomes, events, |outcome| {
            let settings = &outcome.settings;
            let times = if settings.message.starts_with("draco-cyclic") { TIMES } else { 1 };
            (times * settings.n, settings.n)
        })
    },
};

/// Gradients that a worker takes in the experiments.
const TIMES: usize = 5;
const RULE: &str = "draco-cyclic";

fn judge(outcomes: &[Outcome]) -> Vec<Shape> {
    let ends = Ends(outcomes);
    let clean = ("average", "none", None);
    let mut shapes = vec![ends.shape(
        "without an attack: the accuracy of the mean, within a point",
        &[(RULE, "none", None), clean],
        |a| (a[0] - a[1]).abs() < 0.01,
    )];
    for attack in ["sign-flip", "constant", "alie"] {
        shapes.push(ends.shape(
            format!("{attack}: the accuracy of the mean without an attack, within a point"),
            &[(RULE, attack, None), clean],
            |a| (a[0] - a[1]).abs() < 0.01,
        ));
        shapes.push(ends.shape(
            format!("{attack}: the geometric median ends worse"),
            &[("geometric-median", attack, None), (RULE, attack, None)],
            |a| a[0] < a[1],
        ));
    }
    for attack in ["sign-flip", "constant"] {
        shapes.push(ends.shape(
            format!("{attack}: the mean fails"),
            &[("average", attack, None), clean],
            |a| a[0] < 0.5 * a[1],
        ));
    }
    shapes
}
