//! SignMuon (Mishra, Trivedi & Kumar 2026, arXiv 2605.16311): one bit a coordinate of a step that
//! knows matrices.

use super::{Cells, Way, at_best_rates};
use crate::shapes::{Publication, Shape};
use std::path::Path;
use varangian_lab::Failure;
use varangian_lab::results::Outcome;
use varangian_lab::run::Events;

/// The publication.
pub(crate) const PUBLICATION: Publication = Publication {
    name: "sign-muon",
    about: "Mishra et al. 2026: votes by the signs of polar factors, beside Signum's",
    quick: include_str!("../../experiments/methods/sign-muon.toml"),
    full: include_str!("../../experiments/methods/sign-muon-full.toml"),
    judge,
    more,
};

const WAYS: [Way; 2] = [
    Way { name: "SignMuon", is: |s| s.message.starts_with("sign-muon") },
    Way { name: "Signum", is: |s| s.message == "sign" },
];

fn judge(outcomes: &[Outcome]) -> Vec<Shape> {
    let kept = at_best_rates(outcomes, &WAYS);
    let cells = Cells(&kept);
    let ([muon, signum], vote) = (&WAYS, "majority");
    vec![
        cells.claim(
            "better than Signum, each at its best rate",
            [(muon, vote, false), (signum, vote, false)],
            |a, b| a > b,
        ),
        cells.claim(
            "ours: 3 of 11 hostile cost it no more than they cost Signum, in the worst case",
            [(muon, vote, true), (signum, vote, true)],
            |a, b| a >= b,
        ),
    ]
}

fn more(folder: &Path, outcomes: &[Outcome], events: &mut dyn Events) -> Result<(), Failure> {
    Cells(&at_best_rates(outcomes, &WAYS)).show(&WAYS, folder, events)
}
