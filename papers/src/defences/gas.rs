//! GAS (Liu et al., ICML 2023): where data differ between workers, gradient splitting makes a rule
//! better than it is.

use crate::shapes::{Ends, Publication, Shape, nothing_more};
use varangian_lab::results::Outcome;

/// The publication.
pub(crate) const PUBLICATION: Publication = Publication {
    name: "gas",
    about: "Liu et al. 2023: gradient splitting around Bulyan, the median and Multi-Krum",
    quick: include_str!("../../experiments/methods/gas.toml"),
    full: include_str!("../../experiments/methods/gas-full.toml"),
    judge,
    more: nothing_more,
};

fn judge(outcomes: &[Outcome]) -> Vec<Shape> {
    let ends = Ends(outcomes);
    let mut shapes = Vec::new();
    for base in ["median", "multi-krum", "bulyan"] {
        for attack in ["alie", "ipm", "sign-flip"] {
            let split = format!("gas base={base}");
            shapes.push(ends.shape(
                format!("{attack}: splitting makes {base} no worse"),
                &[(&split, attack, None), (base, attack, None)],
                |a| a[0] >= a[1] - 0.01,
            ));
        }
    }
    shapes
}
