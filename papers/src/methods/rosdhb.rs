//! RoSDHB (Gupta, Honsell, Xu, Gupta & Neglia 2025, arXiv 2508.17129): coordinated sparsification,
//! momenta of each worker at the server, a robust rule.

use super::{Cells, Way};
use crate::shapes::{Publication, Shape};
use std::path::Path;
use varangian_lab::Failure;
use varangian_lab::results::Outcome;
use varangian_lab::run::Events;

/// The publication.
pub(crate) const PUBLICATION: Publication = Publication {
    name: "rosdhb",
    about: "Gupta et al. 2025: one random tenth of the coordinates for all, momenta at the server",
    quick: include_str!("../../experiments/methods/rosdhb.toml"),
    full: include_str!("../../experiments/methods/rosdhb-full.toml"),
    judge,
    more,
};

pub(super) const WAYS: [Way; 4] = [
    Way { name: "the same tenth", is: |s| s.compression.contains("shared") },
    Way {
        name: "own tenths",
        is: |s| s.compression.contains("keep=0.1") && !s.compression.contains("shared"),
    },
    Way { name: "own twentieths", is: |s| s.compression.contains("keep=0.05") },
    Way { name: "everything", is: |s| s.compression == "none" },
];

fn judge(outcomes: &[Outcome]) -> Vec<Shape> {
    let cells = Cells(outcomes);
    let [same, own, half, all] = &WAYS;
    let robust = "nnm | trimmed-mean";
    vec![
        cells.claim(
            "a tenth of the coordinates comes near everything (within 10 points), attacked",
            [(same, robust, true), (all, robust, true)],
            |a, b| a > b - 10.0,
        ),
        cells.claim(
            "coordinated tenths are better than own ones, attacked",
            [(same, robust, true), (own, robust, true)],
            |a, b| a > b,
        ),
        cells.claim(
            "and than own ones of as many bytes",
            [(same, robust, true), (half, robust, true)],
            |a, b| a > b,
        ),
        cells.claim(
            "with them the rule's worst case is better than the mean's",
            [(same, robust, true), (same, "average", true)],
            |a, b| a > b,
        ),
    ]
}

fn more(folder: &Path, outcomes: &[Outcome], events: &mut dyn Events) -> Result<(), Failure> {
    Cells(outcomes).show(&WAYS, folder, events)
}
