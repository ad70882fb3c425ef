//! LASA (Xu, Zhang & Hu, WACV 2025): sparse rows judged layer by layer, on data that differ.

use super::keeps;
use crate::shapes::{Ends, Publication, Shape, nothing_more};
use varangian_lab::results::Outcome;

/// The publication.
pub(crate) const PUBLICATION: Publication = Publication {
    name: "lasa",
    about: "Xu, Zhang & Hu 2025: LASA's sparse rows, judged by layer, under four attacks",
    quick: include_str!("../../experiments/methods/lasa.toml"),
    full: include_str!("../../experiments/methods/lasa-full.toml"),
    judge,
    more: nothing_more,
};

const LASA: &str = "per-block by=layer | lasa";

fn judge(outcomes: &[Outcome]) -> Vec<Shape> {
    let ends = Ends(outcomes);
    let mut shapes = vec![ends.shape(
        "without an attack LASA is within 5 points of the mean",
        &[(LASA, "none", None), ("average", "none", None)],
        |a| a[0] > a[1] - 0.05,
    )];
    for attack in ["sign-flip", "gaussian", "alie", "min-max"] {
        shapes.push(keeps(&ends, LASA, attack, 0.9));
        shapes.push(ends.shape(
            format!("{attack}: LASA is no worse than the trimmed mean and Multi-Krum"),
            &[(LASA, attack, None), ("trimmed-mean", attack, None), ("multi-krum", attack, None)],
            |a| a[1..].iter().all(|&other| a[0] > other - 0.01),
        ));
    }
    shapes
}
