//! RSA (Li et al., AAAI 2019): without an attack as good as SGD; under attacks of any size it
//! learns where SGD fails.

use super::keeps;
use crate::shapes::{Ends, Publication, Shape, nothing_more};
use varangian_lab::results::Outcome;

/// The publication.
pub(crate) const PUBLICATION: Publication = Publication {
    name: "rsa",
    about: "Li et al. 2019: RSA's copies under workers that send one value or the negated one",
    quick: include_str!("../../experiments/methods/rsa.toml"),
    full: include_str!("../../experiments/methods/rsa-full.toml"),
    judge,
    more: nothing_more,
};

fn judge(outcomes: &[Outcome]) -> Vec<Shape> {
    let ends = Ends(outcomes);
    let mut shapes = vec![ends.shape(
        "without an attack RSA is within 5 points of SGD",
        &[("rsa", "none", None), ("average", "none", None)],
        |a| a[0] > a[1] - 0.05,
    )];
    for attack in ["constant", "sign-flip"] {
        shapes.push(keeps(&ends, "rsa", attack, 0.9));
        shapes.push(ends.shape(
            format!("{attack}: SGD fails"),
            &[("average", attack, None), ("average", "none", None)],
            |a| a[0] < 0.5 * a[1],
        ));
    }
    shapes
}
