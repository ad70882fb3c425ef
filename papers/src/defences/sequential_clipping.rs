//! S-CC (Özfatura et al., IEEE TIFS 2024): relocated attacks break centred clipping; clipping from
//! bucket to bucket bears them.

use crate::shapes::{Ends, Publication, Shape, nothing_more};
use varangian_lab::results::Outcome;

/// The publication.
pub(crate) const PUBLICATION: Publication = Publication {
    name: "sequential-clipping",
    about: "Özfatura et al. 2024: the relocated attack on centred clipping, and S-CC against it",
    quick: include_str!("../../experiments/methods/sequential-clipping.toml"),
    full: include_str!("../../experiments/methods/sequential-clipping-full.toml"),
    judge,
    more: nothing_more,
};

fn judge(outcomes: &[Outcome]) -> Vec<Shape> {
    let ends = Ends(outcomes);
    let (centred, sequential) = ("centred-clipping", "sequential-clipping");
    let both = [(sequential, "relocation", None), (centred, "relocation", None)];
    vec![
        ends.shape(
            "without an attack S-CC is within 2 points of centred clipping",
            &[(sequential, "none", None), (centred, "none", None)],
            |a| a[0] > a[1] - 0.02,
        ),
        ends.shape(
            "the relocated attack harms centred clipping",
            &[(centred, "relocation", None), (centred, "none", None)],
            |a| a[0] < a[1] - 0.02,
        ),
        ends.shape("relocation: S-CC is better than centred clipping", &both, |a| a[0] > a[1]),
        ends.shape(
            "alie: S-CC is no worse than centred clipping",
            &[(sequential, "alie", None), (centred, "alie", None)],
            |a| a[0] > a[1] - 0.02,
        ),
    ]
}
