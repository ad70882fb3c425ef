//! Clipping to the median norm, whole or by layer: a practice without a publication, whose promise
//! is that one worker's length moves nothing.

use super::keeps;
use crate::shapes::{Ends, Publication, Shape, nothing_more};
use varangian_lab::results::Outcome;

/// The practice.
pub(crate) const PUBLICATION: Publication = Publication {
    name: "per-block",
    about: "volunteer training's practice: clipping to the median norm, whole and by layer",
    quick: include_str!("../../experiments/methods/per-block.toml"),
    full: include_str!("../../experiments/methods/per-block-full.toml"),
    judge,
    more: nothing_more,
};

const WHOLE: &str = "clipping c=median | average";
const LAYERS: &str = "per-block by=layer | clipping c=median | average";

fn judge(outcomes: &[Outcome]) -> Vec<Shape> {
    let ends = Ends(outcomes);
    let mut shapes = Vec::new();
    for rule in [WHOLE, LAYERS] {
        shapes.push(ends.shape(
            format!("{rule}: no more than 2 points lost without an attack"),
            &[(rule, "none", None), ("average", "none", None)],
            |a| a[0] > a[1] - 0.02,
        ));
        for attack in ["gaussian", "sign-flip scale=100"] {
            shapes.push(keeps(&ends, rule, attack, 0.9));
        }
    }
    shapes
}
