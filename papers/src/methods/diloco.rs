//! Local steps (DiLoCo, Douillard et al. 2023, arXiv 2311.08105; FedAvg, McMahan et al. 2017;
//! FedOpt, Reddi et al. 2021) with hostile workers, which none of these papers has.

use super::{Cells, Way};
use crate::shapes::{Publication, Shape};
use std::path::Path;
use varangian_lab::Failure;
use varangian_lab::results::Outcome;
use varangian_lab::run::Events;

/// The publication.
pub(crate) const PUBLICATION: Publication = Publication {
    name: "diloco",
    about: "Douillard et al. 2023 and our own: pseudo-gradients of H local steps under hostile workers",
    quick: include_str!("../../experiments/methods/diloco.toml"),
    full: include_str!("../../experiments/methods/diloco-full.toml"),
    judge,
    more,
};

pub(super) const WAYS: [Way; 5] = [
    Way { name: "DiLoCo, H = 1", is: |s| s.local_steps == 1 },
    Way {
        name: "DiLoCo, H = 5",
        is: |s| s.local_steps == 5 && s.local_optimiser.starts_with("adamw"),
    },
    Way { name: "DiLoCo, H = 20", is: |s| s.local_steps == 20 },
    Way {
        name: "FedAvg, H = 5",
        is: |s| s.local_optimiser.starts_with("sgd") && s.server_optimiser == "sgd",
    },
    Way {
        name: "FedAdam, H = 5",
        is: |s| s.local_optimiser.starts_with("sgd") && s.server_optimiser == "adam",
    },
];

fn judge(outcomes: &[Outcome]) -> Vec<Shape> {
    let cells = Cells(outcomes);
    let [one, five, twenty, fedavg, fedadam] = &WAYS;
    let robust = "nnm | trimmed-mean";
    let near = |by: f64| move |a: f64, b: f64| a > b - by;
    vec![
        cells.claim(
            "DiLoCo: with a fifth of the messages it learns as well (within 3 points)",
            [(five, "average", false), (one, "average", false)],
            near(3.0),
        ),
        cells.claim(
            "DiLoCo: with a twentieth too",
            [(twenty, "average", false), (one, "average", false)],
            near(3.0),
        ),
        cells.claim(
            "FedOpt: an adaptive server is no worse than FedAvg (within 1 point)",
            [(fedadam, "average", false), (fedavg, "average", false)],
            near(1.0),
        ),
        cells.claim(
            "ours: the mean of pseudo-gradients breaks (20 points), H = 5",
            [(five, "average", true), (five, "average", false)],
            |a, b| a < b - 20.0,
        ),
        cells.claim(
            "ours: nnm | trimmed-mean stands every attack (within 10 points), H = 5",
            [(five, robust, true), (five, "average", false)],
            near(10.0),
        ),
        cells.claim(
            "ours: and at H = 20",
            [(twenty, robust, true), (twenty, "average", false)],
            near(10.0),
        ),
    ]
}

fn more(folder: &Path, outcomes: &[Outcome], events: &mut dyn Events) -> Result<(), Failure> {
    Cells(outcomes).show(&WAYS, folder, events)
}
