//! Byrd-SAGA (Wu, Ling, Chen & Giannakis, IEEE Transactions on Signal Processing 2020, arXiv
//! 1912.12716): the geometric median of SAGA-corrected gradients. Linear convergence to a floor
//! that the differences between workers set, and not the noise within them (Theorem 1).

use super::{Gaps, Way};
use crate::shapes::{Publication, Shape};
use std::path::Path;
use varangian_lab::Failure;
use varangian_lab::results::Outcome;
use varangian_lab::run::Events;

/// The publication.
pub(crate) const PUBLICATION: Publication = Publication {
    name: "byrd-saga",
    about: "Wu et al. 2020: the geometric median of SAGA's corrected gradients, beside SGD's",
    quick: include_str!("../../experiments/methods/byrd-saga.toml"),
    full: include_str!("../../experiments/methods/byrd-saga-full.toml"),
    judge,
    more,
};

const GM: &str = "geometric-median";

const WAYS: [Way; 3] = [
    Way { name: "SAGA", is: |s| s.message == "saga" && s.f_real() > 0 },
    Way { name: "SGD", is: |s| s.message == "vector" },
    Way { name: "SAGA, nobody hostile", is: |s| s.message == "saga" && s.f_real() == 0 },
];

fn judge(outcomes: &[Outcome]) -> Vec<Shape> {
    let gaps = Gaps(outcomes);
    let [saga, sgd, peaceful] = &WAYS;
    let less = |a: &[f64]| a[0] < 0.1 * a[1];
    let mut shapes = vec![gaps.shape(
        "nobody hostile: the mean comes to any accuracy (below 1e-10)",
        &[(peaceful, "average", None)],
        |a| a[0] < 1e-10,
    )];
    for attack in ["none", "gaussian sd=5.5", "sign-flip scale=3", "zero"] {
        shapes.push(gaps.shape(
            &format!("{attack}: Byrd-SAGA's floor is a tenth of SGD's at most"),
            &[(saga, GM, Some(attack)), (sgd, GM, Some(attack))],
            less,
        ));
    }
    shapes.push(gaps.shape(
        "the floor of the geometric median is above 0 (1e-8), as shares differ",
        &[(saga, GM, None)],
        |a| a[0] > 1e-8,
    ));
    shapes.push(gaps.shape(
        "the mean of SAGA's gradients breaks under an attack (above 1e-2)",
        &[(saga, "average", None)],
        |a| a[0] > 1e-2,
    ));
    shapes
}

fn more(folder: &Path, outcomes: &[Outcome], events: &mut dyn Events) -> Result<(), Failure> {
    Gaps(outcomes).show(&WAYS, folder, events)
}
