//! SignGuard (Xu, Huang, Song & Lan, ICDCS 2022): near the clean accuracy under attacks on norms
//! and on signs.

use super::keeps;
use crate::shapes::{Ends, Publication, Shape, nothing_more};
use varangian_lab::results::Outcome;

/// The publication.
pub(crate) const PUBLICATION: Publication = Publication {
    name: "signguard",
    about: "Xu et al. 2022: SignGuard's filters of norms and sign shares under four attacks",
    quick: include_str!("../../experiments/methods/signguard.toml"),
    full: include_str!("../../experiments/methods/signguard-full.toml"),
    judge,
    more: nothing_more,
};

fn judge(outcomes: &[Outcome]) -> Vec<Shape> {
    let ends = Ends(outcomes);
    let mut shapes = vec![ends.shape(
        "without an attack SignGuard is within 2 points of the mean",
        &[("signguard", "none", None), ("average", "none", None)],
        |a| a[0] > a[1] - 0.02,
    )];
    for attack in ["sign-flip", "gaussian", "alie", "min-max"] {
        shapes.push(keeps(&ends, "signguard", attack, 0.9));
    }
    shapes
}
