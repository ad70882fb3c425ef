//! Zeno++ (Xie, Koyejo & Gupta, ICML 2020): the authors' grid and what its figures show.

use super::shapes::{Ends, Publication, Shape, nothing_more};
use varangian_lab::results::Outcome;

/// The publication.
pub(super) const PUBLICATION: Publication = Publication {
    name: "zeno++",
    about: "Xie et al. 2020: Zeno++, asynchronous training with eight hostile workers of ten",
    quick: include_str!("../experiments/zeno-pp/quick.toml"),
    full: include_str!("../experiments/zeno-pp/full.toml"),
    judge,
    more: nothing_more,
};

/// Parameters that are in no publication: the paper's ρ is 0.001 to 0.008.
const OURS: &[&str] = &["rho=0.02"];

fn judge(outcomes: &[Outcome]) -> Vec<Shape> {
    let ends = Ends(outcomes);
    let mut shapes = Vec::new();
    for form in forms(outcomes) {
        let told = match OURS.iter().any(|part| form.contains(part)) {
            true => format!("{form} (a value of ours, which no publication has)"),
            false => form.to_owned(),
        };
        shapes.push(ends.shape(
            format!("without an attack {told} learns like plain asynchronous steps"),
            &[(form, "none", Some(0)), ("async-sgd", "none", Some(0))],
            |a| a[0] > a[1] - 0.05,
        ));
        for attack in ["sign-flip", "label-flip"] {
            let runs = [
                (form, attack, Some(8)),
                ("async-sgd", attack, Some(8)),
                ("kardam-reduced", attack, Some(8)),
            ];
            shapes.push(ends.shape(
                format!("{attack}, 8 of 10, stale models: {told} learns, the others fail"),
                &runs,
                |a| a[0] > 0.6 && a[1..].iter().all(|&other| other < 0.6 * a[0]),
            ));
        }
    }
    shapes
}

/// The forms of Zeno++ that were run: that of the paper and that of its code are judged apart.
fn forms(outcomes: &[Outcome]) -> Vec<&str> {
    let mut forms = Vec::new();
    for rule in outcomes.iter().map(|outcome| outcome.settings.rule.as_str()) {
        if rule.starts_with("zeno++") && !forms.contains(&rule) {
            forms.push(rule);
        }
    }
    if forms.is_empty() { vec!["zeno++"] } else { forms }
}
