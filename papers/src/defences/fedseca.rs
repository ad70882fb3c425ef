//! FedSECA (CVPR 2025): elected signs, on data that differ.

use super::keeps;
use crate::shapes::{Ends, Publication, Shape, nothing_more};
use varangian_lab::results::Outcome;

/// The publication.
pub(crate) const PUBLICATION: Publication = Publication {
    name: "fedseca",
    about: "FedSECA 2025: elected signs and the mean of their entries, under four attacks",
    quick: include_str!("../../experiments/methods/fedseca.toml"),
    full: include_str!("../../experiments/methods/fedseca-full.toml"),
    judge,
    more: nothing_more,
};

fn judge(outcomes: &[Outcome]) -> Vec<Shape> {
    let ends = Ends(outcomes);
    let mut shapes = vec![ends.shape(
        "without an attack FedSECA is within 5 points of the mean",
        &[("fedseca", "none", None), ("average", "none", None)],
        |a| a[0] > a[1] - 0.05,
    )];
    for attack in ["sign-flip", "gaussian", "alie", "min-max"] {
        shapes.push(keeps(&ends, "fedseca", attack, 0.9));
        shapes.push(ends.shape(
            format!("{attack}: FedSECA is no worse than the trimmed mean and Multi-Krum"),
            &[
                ("fedseca", attack, None),
                ("trimmed-mean", attack, None),
                ("multi-krum", attack, None),
            ],
            |a| a[1..].iter().all(|&other| a[0] > other - 0.01),
        ));
    }
    shapes
}
