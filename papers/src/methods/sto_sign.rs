//! Stochastic signs with error feedback (Jin, Huang, He, Dai & Wu 2020, arXiv 2002.10940): signs
//! whose odds are the gradient's, for workers whose data differ.

use super::{Cells, Way, at_best_rates};
use crate::shapes::{Publication, Shape};
use std::path::Path;
use varangian_lab::Failure;
use varangian_lab::results::Outcome;
use varangian_lab::run::Events;

/// The publication.
pub(crate) const PUBLICATION: Publication = Publication {
    name: "sto-sign",
    about: "Jin et al. 2020: stochastic signs with error feedback, where data differ",
    quick: include_str!("../../experiments/methods/sto-sign.toml"),
    full: include_str!("../../experiments/methods/sto-sign-full.toml"),
    judge,
    more,
};

const FEEDBACK: &str = "scaled-sign";
const WAYS: [Way; 4] = [
    Way { name: "signSGD", is: |s| s.message == "sign" },
    Way { name: "sto-sign", is: |s| drawn(&s.message) && s.server_optimiser == "sgd" },
    Way { name: "with error feedback", is: |s| s.server_optimiser == FEEDBACK },
    Way { name: "scaled without it", is: |s| s.server_optimiser.ends_with("feedback=false") },
];

fn drawn(message: &str) -> bool {
    message.starts_with("stochastic-sign")
}

fn judge(outcomes: &[Outcome]) -> Vec<Shape> {
    let kept = at_best_rates(outcomes, &WAYS);
    let cells = Cells(&kept);
    let [plain, drawn, fed, scaled] = &WAYS;
    let (vote, mean) = ("majority", "average");
    vec![
        cells.claim(
            "data that differ: stochastic signs are better than signs",
            [(drawn, vote, false), (plain, vote, false)],
            |a, b| a > b,
        ),
        cells.claim(
            "error feedback is better than the vote of stochastic signs",
            [(fed, mean, false), (drawn, vote, false)],
            |a, b| a > b,
        ),
        cells.claim(
            "ours: it is the feedback, not the scale",
            [(fed, mean, false), (scaled, mean, false)],
            |a, b| a > b,
        ),
        cells.claim(
            "attacked, stochastic signs are better than signs",
            [(drawn, vote, true), (plain, vote, true)],
            |a, b| a > b,
        ),
        cells.claim(
            "attacked, error feedback is no worse than the vote",
            [(fed, mean, true), (drawn, vote, true)],
            |a, b| a >= b,
        ),
    ]
}

fn more(folder: &Path, outcomes: &[Outcome], events: &mut dyn Events) -> Result<(), Failure> {
    Cells(&at_best_rates(outcomes, &WAYS)).show(&WAYS, folder, events)
}
