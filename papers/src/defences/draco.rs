//! DRACO (Chen, Wang, Charles & Papailiopoulos, ICML 2018): the model of a run without an attack,
//! at r gradients for each that counts.

use super::cost;
use crate::shapes::{Ends, Publication, Shape};
use varangian_lab::results::Outcome;

/// The publication.
pub(crate) const PUBLICATION: Publication = Publication {
    name: "draco",
    about: "Chen et al. 2018: DRACO's repetition code recovers the run without an attack exactly",
    quick: include_str!("../../experiments/methods/draco.toml"),
    full: include_str!("../../experiments/methods/draco-full.toml"),
    judge,
    more: |folder, outcomes, events| {
        cost(folder, outcomes, events, |outcome| {
            let n = outcome.settings.n;
            (n, n / TIMES)
        })
    },
};

/// Workers of a group in the experiments.
const TIMES: usize = 5;

fn judge(outcomes: &[Outcome]) -> Vec<Shape> {
    let ends = Ends(outcomes);
    let of = |attack: &'static str| {
        let is = move |one: &&Outcome| {
            one.settings.rule.starts_with("draco") && one.settings.attack.starts_with(attack)
        };
        outcomes.iter().filter(is).map(|one| (one.settings.seed, &one.parameters))
    };
    let mut shapes = Vec::new();
    for attack in ["sign-flip", "constant", "alie"] {
        let mut pairs = Vec::new();
        for (seed, clean) in of("none") {
            let under = of(attack).filter(|(other, _)| *other == seed);
            pairs.extend(under.map(|(_, parameters)| parameters == clean));
        }
        let same = pairs.iter().filter(|same| **same).count();
        shapes.push(Shape {
            claim: format!("{attack}: the last parameters are those without an attack, to the bit"),
            found: format!("{same} of {} pairs of runs end on the same bits", pairs.len()),
            holds: (!pairs.is_empty()).then_some(same == pairs.len()),
            moot: false,
        });
        if attack != "alie" {
            shapes.push(ends.shape(
                format!("{attack}: the mean fails"),
                &[("average", attack, None), ("average", "none", None)],
                |a| a[0] < 0.5 * a[1],
            ));
        }
    }
    shapes
}
