//! Byz-VR-MARINA (Gorbunov, Horváth, Richtárik & Gidel, ICLR 2023, arXiv 2206.00529), §3 and
//! Figure 1: linear convergence to any accuracy where all workers have the same data, with and
//! without compression; otherwise to a floor that the differences of their data set (Theorem 2.2).

use super::{At, Gaps, Way};
use crate::shapes::{Publication, Shape};
use std::path::Path;
use varangian_lab::Failure;
use varangian_lab::config::Settings;
use varangian_lab::results::Outcome;
use varangian_lab::run::Events;

/// The publication.
pub(crate) const PUBLICATION: Publication = Publication {
    name: "marina",
    about: "Gorbunov et al. 2023: Byz-VR-MARINA on logistic regression, to 1e-10 of the optimum",
    quick: include_str!("../../experiments/methods/marina.toml"),
    full: include_str!("../../experiments/methods/marina-full.toml"),
    judge,
    more,
};

/// What the paper's figures come down to, and this program's numbers allow.
const CLOSE: f64 = 1e-10;
const CM: &str = "bucketing s=2 | median";
const RFA: &str = "bucketing s=2 | geometric-median";

fn shared(s: &Settings) -> bool {
    s.sampling == "shared-pool"
}

fn own(s: &Settings) -> bool {
    !shared(s) && marina(s)
}

fn marina(s: &Settings) -> bool {
    s.message.starts_with("marina")
}

const WAYS: [Way; 6] = [
    Way { name: "Byz-VR-MARINA", is: |s| shared(s) && marina(s) && s.compression == "none" },
    Way {
        name: "Byz-VR-MARINA, a tenth",
        is: |s| shared(s) && marina(s) && s.compression != "none",
    },
    Way { name: "SGD", is: |s| shared(s) && s.message == "vector" },
    Way { name: "SAGA", is: |s| shared(s) && s.message == "saga" },
    Way { name: "Byz-VR-MARINA, own shares", is: |s| own(s) && s.f_real() > 0 },
    Way { name: "the same, nobody hostile", is: |s| own(s) && s.f_real() == 0 },
];

fn judge(outcomes: &[Outcome]) -> Vec<Shape> {
    let gaps = Gaps(outcomes);
    let [whole, short, sgd, _, own, peaceful] = &WAYS;
    let close = |a: &[f64]| a[0] < CLOSE;
    let to = |claim: &str, at: At<'_>| gaps.shape(claim, &[at], close);
    vec![
        to("the mean without an attack: below 1e-10", (whole, "average", Some("none"))),
        to("median of buckets, every attack: below 1e-10", (whole, CM, None)),
        to("geometric median of buckets, every attack: below 1e-10", (whole, RFA, None)),
        to("with a tenth of the coordinates, median: below 1e-10", (short, CM, None)),
        to("with a tenth, geometric median: below 1e-10", (short, RFA, None)),
        gaps.shape(
            "the mean breaks under an attack (above 1e-2)",
            &[(whole, "average", None)],
            |a| a[0] > 1e-2,
        ),
        gaps.shape(
            "SGD stays a thousand times further off, without an attack",
            &[(sgd, "average", Some("none")), (whole, "average", Some("none"))],
            |a| a[0] > 1e3 * a[1].max(CLOSE),
        ),
        gaps.shape(
            "own shares of the data: attacked it stops at a floor (above 1e-8)",
            &[(own, RFA, None)],
            |a| a[0] > 1e-8,
        ),
        gaps.shape(
            "own shares, nobody hostile and the mean: no floor, below 1e-10",
            &[(peaceful, "average", None)],
            close,
        ),
    ]
}

fn more(folder: &Path, outcomes: &[Outcome], events: &mut dyn Events) -> Result<(), Failure> {
    Gaps(outcomes).show(&WAYS, folder, events)
}
