//! Byz-DASHA-PAGE (Rammal, Gruntkowska, Fedin, Gorbunov & Richtárik, AISTATS 2024, arXiv
//! 2310.09804), §3 and §4: with compressed messages and unequal data it ends nearer to the optimum
//! than Byz-VR-MARINA, whose whole gradients now and then are sent as they are.

use super::{Gaps, Way};
use crate::shapes::{Publication, Shape};
use std::path::Path;
use varangian_lab::Failure;
use varangian_lab::results::Outcome;
use varangian_lab::run::Events;

/// The publication.
pub(crate) const PUBLICATION: Publication = Publication {
    name: "dasha",
    about: "Rammal et al. 2024: Byz-DASHA-PAGE beside Byz-VR-MARINA, a tenth of the coordinates",
    quick: include_str!("../../experiments/methods/dasha.toml"),
    full: include_str!("../../experiments/methods/dasha-full.toml"),
    judge,
    more,
};

const CM: &str = "bucketing s=2 | median";
const RFA: &str = "bucketing s=2 | geometric-median";

const WAYS: [Way; 3] = [
    Way { name: "Byz-DASHA-PAGE", is: |s| s.message.starts_with("dasha") && s.f_real() > 0 },
    Way { name: "Byz-VR-MARINA", is: |s| s.message.starts_with("marina") },
    Way { name: "Byz-DASHA-PAGE, nobody hostile", is: |s| s.f_real() == 0 },
];

fn judge(outcomes: &[Outcome]) -> Vec<Shape> {
    let gaps = Gaps(outcomes);
    let [dasha, marina, peaceful] = &WAYS;
    let nearer = |claim: &str, rule: &str| {
        gaps.shape(claim, &[(dasha, rule, None), (marina, rule, None)], |a| a[0] <= a[1])
    };
    vec![
        gaps.shape(
            "nobody hostile and the mean: no floor, below 1e-10",
            &[(peaceful, "average", None)],
            |a| a[0] < 1e-10,
        ),
        nearer("median of buckets: its worst end is nearer than Byz-VR-MARINA's", CM),
        nearer("geometric median of buckets: the same", RFA),
        gaps.shape(
            "unequal data: attacked, it stops at a floor (above 1e-8)",
            &[(dasha, RFA, None)],
            |a| a[0] > 1e-8,
        ),
        gaps.shape(
            "the mean's worst end is further off than the rules'",
            &[(dasha, "average", None), (dasha, CM, None), (dasha, RFA, None)],
            |a| a[0] > a[1] && a[0] > a[2],
        ),
    ]
}

fn more(folder: &Path, outcomes: &[Outcome], events: &mut dyn Events) -> Result<(), Failure> {
    Gaps(outcomes).show(&WAYS, folder, events)
}
