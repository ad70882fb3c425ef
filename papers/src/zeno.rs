//! Zeno (Xie, Koyejo & Gupta, ICML 2019): the slides' settings and what their figures show.

use super::shapes::{Ends, Publication, Shape, nothing_more};
use varangian_lab::results::Outcome;

/// The publication.
pub(super) const PUBLICATION: Publication = Publication {
    name: "zeno",
    about: "Xie et al. 2019: Zeno against a majority of hostile workers, with data on the server",
    quick: include_str!("../experiments/zeno/quick.toml"),
    full: include_str!("../experiments/zeno/full.toml"),
    judge,
    more: nothing_more,
};

fn judge(outcomes: &[Outcome]) -> Vec<Shape> {
    let ends = Ends(outcomes);
    let mut shapes = vec![ends.shape(
        "without an attack Zeno is as good as the mean",
        &[("zeno", "none", Some(0)), ("average", "none", Some(0))],
        |a| a[0] > a[1] - 0.03,
    )];
    for attack in ["label-flip", "sign-flip"] {
        shapes.push(ends.defended(
            format!("{attack}, 8 of 20: Zeno comes near the ideal"),
            &[("zeno", attack, Some(8)), ("average", "none", Some(0))],
            ("average", attack, Some(8)),
            |a| a[0] > 0.9 * a[1],
        ));
        let runs = [
            ("zeno", attack, Some(12)),
            ("average", attack, Some(12)),
            ("median", attack, Some(12)),
            ("krum", attack, Some(12)),
        ];
        shapes.push(ends.shape(
            format!("{attack}, 12 of 20: Zeno learns, mean, median and Krum fail"),
            &runs,
            |a| a[0] > 0.6 && a[1..].iter().all(|&other| other < 0.6 * a[0]),
        ));
    }
    shapes
}
