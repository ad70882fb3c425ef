//! Byz-EF21 (Rammal, Gruntkowska, Fedin, Gorbunov & Richtárik, AISTATS 2024, arXiv 2310.09804):
//! error feedback whose states the server combines.

use super::{Cells, Way};
use crate::shapes::{Publication, Shape};
use std::path::Path;
use varangian_lab::Failure;
use varangian_lab::results::Outcome;
use varangian_lab::run::Events;

/// The publication.
pub(crate) const PUBLICATION: Publication = Publication {
    name: "ef21",
    about: "Rammal et al. 2024: error feedback, a rule over the states that the server keeps",
    quick: include_str!("../../experiments/methods/ef21.toml"),
    full: include_str!("../../experiments/methods/ef21-full.toml"),
    judge,
    more,
};

pub(super) const WAYS: [Way; 4] = [
    Way { name: "Byz-EF21, a twentieth", is: |s| s.compression.starts_with("ef21") },
    Way { name: "largest twentieth, no memory", is: |s| s.compression.starts_with("top-k") },
    Way { name: "random twentieth", is: |s| s.compression.starts_with("rand-k") },
    Way { name: "everything", is: |s| s.compression == "none" },
];

fn judge(outcomes: &[Outcome]) -> Vec<Shape> {
    let cells = Cells(outcomes);
    let [ef21, top, random, all] = &WAYS;
    let robust = "nnm | trimmed-mean";
    let better = |a: f64, b: f64| a > b;
    vec![
        cells.claim(
            "better than an unbiased compressor of as many coordinates, attacked",
            [(ef21, robust, true), (random, robust, true)],
            better,
        ),
        cells.claim(
            "better than the largest coordinates without memory, attacked",
            [(ef21, robust, true), (top, robust, true)],
            better,
        ),
        cells.claim(
            "as good as without compression (within 5 points), attacked",
            [(ef21, robust, true), (all, robust, true)],
            |a, b| a > b - 5.0,
        ),
        cells.claim(
            "the rule's worst case is better than the mean's",
            [(ef21, robust, true), (ef21, "average", true)],
            better,
        ),
    ]
}

fn more(folder: &Path, outcomes: &[Outcome], events: &mut dyn Events) -> Result<(), Failure> {
    Cells(outcomes).show(&WAYS, folder, events)
}
