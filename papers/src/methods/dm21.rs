//! Byz-DM21 (AISTATS 2026, arXiv 2603.15144): EF21 of a momentum of a momentum, for small batches.

use super::{Cells, Way};
use crate::shapes::{Publication, Shape};
use std::path::Path;
use varangian_lab::Failure;
use varangian_lab::results::Outcome;
use varangian_lab::run::Events;

/// The publication.
pub(crate) const PUBLICATION: Publication = Publication {
    name: "dm21",
    about: "Byz-DM21 (2026): EF21 of a double momentum, with batches of four",
    quick: include_str!("../../experiments/methods/dm21.toml"),
    full: include_str!("../../experiments/methods/dm21-full.toml"),
    judge,
    more,
};

pub(super) const WAYS: [Way; 4] = [
    Way {
        name: "double momentum, EF21",
        is: |s| s.momentum_at == "worker-twice" && s.compression != "none",
    },
    Way { name: "momentum, EF21", is: |s| s.momentum > 0.0 && s.momentum_at == "worker" },
    Way { name: "EF21 alone", is: |s| s.momentum == 0.0 },
    Way { name: "double momentum, everything", is: |s| s.compression == "none" },
];

fn judge(outcomes: &[Outcome]) -> Vec<Shape> {
    let cells = Cells(outcomes);
    let [double, single, alone, all] = &WAYS;
    let robust = "nnm | trimmed-mean";
    vec![
        cells.claim(
            "small batches: better than EF21 alone, attacked",
            [(double, robust, true), (alone, robust, true)],
            |a, b| a > b,
        ),
        cells.claim(
            "ours: no worse than with one momentum (within 1 point), attacked",
            [(double, robust, true), (single, robust, true)],
            |a, b| a > b - 1.0,
        ),
        cells.claim(
            "ours: a twentieth is as good as everything (within 5 points), attacked",
            [(double, robust, true), (all, robust, true)],
            |a, b| a > b - 5.0,
        ),
        cells.claim(
            "the rule's worst case is better than the mean's",
            [(double, robust, true), (double, "average", true)],
            |a, b| a > b,
        ),
    ]
}

fn more(folder: &Path, outcomes: &[Outcome], events: &mut dyn Events) -> Result<(), Failure> {
    Cells(outcomes).show(&WAYS, folder, events)
}
