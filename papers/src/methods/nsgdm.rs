//! Byz-NSGDM (Bolatov et al. 2026, arXiv 2603.12512): a step of a given length along the
//! rule's answer.

use super::{Cells, Way};
use crate::shapes::{Publication, Shape};
use std::path::Path;
use varangian_lab::Failure;
use varangian_lab::results::Outcome;
use varangian_lab::run::Events;

/// The publication.
pub(crate) const PUBLICATION: Publication = Publication {
    name: "nsgdm",
    about: "Byz-NSGDM (Bolatov et al. 2026): normalised steps with momentum, unequal data",
    quick: include_str!("../../experiments/methods/nsgdm.toml"),
    full: include_str!("../../experiments/methods/nsgdm-full.toml"),
    judge,
    more,
};

pub(super) const WAYS: [Way; 2] = [
    Way { name: "normalised", is: |s| s.server_optimiser == "normalised" },
    Way { name: "plain", is: |s| s.server_optimiser == "sgd" },
];

fn judge(outcomes: &[Outcome]) -> Vec<Shape> {
    let cells = Cells(outcomes);
    let [normalised, plain] = &WAYS;
    let (mixed, krum) = ("nnm | trimmed-mean", "nnm | krum");
    vec![
        cells.claim(
            "no worse than the plain step at the same rate, attacked",
            [(normalised, mixed, true), (plain, mixed, true)],
            |a, b| a >= b,
        ),
        cells.claim(
            "the same under Krum, with nearest neighbours mixed",
            [(normalised, krum, true), (plain, krum, true)],
            |a, b| a >= b,
        ),
        cells.claim(
            "ours: the worst attack costs 10 points at most",
            [(normalised, mixed, true), (normalised, mixed, false)],
            |a, b| a > b - 10.0,
        ),
        cells.claim(
            "the rule's worst case is better than the mean's",
            [(normalised, mixed, true), (normalised, "average", true)],
            |a, b| a > b,
        ),
    ]
}

fn more(folder: &Path, outcomes: &[Outcome], events: &mut dyn Events) -> Result<(), Failure> {
    Cells(outcomes).show(&WAYS, folder, events)
}
