//! FoundationFL (Fang et al., NDSS 2025): synthetic rows make a trimmed mean or a median robust.

use super::keeps;
use crate::shapes::{Ends, Publication, Shape, nothing_more};
use varangian_lab::results::Outcome;

/// The publication.
pub(crate) const PUBLICATION: Publication = Publication {
    name: "foundation",
    about: "Fang et al. 2025: FoundationFL's synthetic rows before a trimmed mean and a median",
    quick: include_str!("../../experiments/methods/foundation.toml"),
    full: include_str!("../../experiments/methods/foundation-full.toml"),
    judge,
    more: nothing_more,
};

/// The starts of the rules' texts.
const TRIMMED: &str = "foundation | trimmed-mean";
const MEDIAN: &str = "foundation | median";

fn judge(outcomes: &[Outcome]) -> Vec<Shape> {
    let ends = Ends(outcomes);
    let mut shapes = vec![ends.shape(
        "without an attack the synthetic rows cost no more than 2 points",
        &[(TRIMMED, "none", None), ("average", "none", None)],
        |a| a[0] > a[1] - 0.02,
    )];
    for attack in ["fang", "min-max", "sign-flip", "gaussian"] {
        shapes.push(keeps(&ends, TRIMMED, attack, 0.9));
        for (with, without) in [(TRIMMED, "trimmed-mean"), (MEDIAN, "median")] {
            shapes.push(ends.shape(
                format!("{attack}: the {without} is better with synthetic rows"),
                &[(with, attack, None), (without, attack, None)],
                |a| a[0] >= a[1],
            ));
        }
    }
    shapes
}
