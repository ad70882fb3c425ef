//! Delayed momentum aggregation (DeMoA; Otsuka, Yamada & Takezawa, ICML 2026, arXiv 2509.02970):
//! partial participation, in which a round's workers may be hostile in their majority.

use super::{Cells, Way};
use crate::shapes::{Publication, Shape};
use std::path::Path;
use varangian_lab::Failure;
use varangian_lab::results::Outcome;
use varangian_lab::run::Events;

/// The publication.
pub(crate) const PUBLICATION: Publication = Publication {
    name: "demoa",
    about: "Otsuka et al. 2026: last momenta of absent workers, at p = 0.1 and a fifth hostile",
    quick: include_str!("../../experiments/methods/demoa.toml"),
    full: include_str!("../../experiments/methods/demoa-full.toml"),
    judge,
    more,
};

pub(super) const WAYS: [Way; 2] = [
    Way { name: "who came", is: |s| !s.participation.contains("cache") },
    Way { name: "delayed momenta", is: |s| s.participation.contains("cache") },
];

const RULES: [&str; 4] = ["median", "trimmed-mean", "geometric-median", "nnm | trimmed-mean"];

fn judge(outcomes: &[Outcome]) -> Vec<Shape> {
    let cells = Cells(outcomes);
    let [came, delayed] = &WAYS;
    let mut out = Vec::new();
    for rule in RULES {
        out.push(cells.claim(
            &format!("{rule}: delayed momenta raise the worst case by 10 points"),
            [(delayed, rule, true), (came, rule, true)],
            |a, b| a > b + 10.0,
        ));
    }
    out.push(cells.claim(
        "with them nnm | trimmed-mean comes near its end without attack (within 10 points)",
        [(delayed, RULES[3], true), (delayed, RULES[3], false)],
        |a, b| a > b - 10.0,
    ));
    out
}

fn more(folder: &Path, outcomes: &[Outcome], events: &mut dyn Events) -> Result<(), Failure> {
    Cells(outcomes).show(&WAYS, folder, events)
}
