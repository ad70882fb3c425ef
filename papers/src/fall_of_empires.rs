//! Fall of Empires (Xie, Koyejo & Gupta, UAI 2019): theorems as experiments, and the case study.

use super::shapes::{Ends, Publication, Shape};
use crate::theory::empires;
use std::path::Path;
use varangian_base::Seed;
use varangian_lab::results::Outcome;
use varangian_lab::run::Events;
use varangian_lab::{Failure, text};

/// The publication.
pub(super) const PUBLICATION: Publication = Publication {
    name: "fall-of-empires",
    about: "Xie et al. 2019: Fall of Empires, large factors kill the median, small ones Krum",
    quick: include_str!("../experiments/fall-of-empires/quick.toml"),
    full: include_str!("../experiments/fall-of-empires/full.toml"),
    judge,
    more,
};

fn judge(outcomes: &[Outcome]) -> Vec<Shape> {
    let ends = Ends(outcomes);
    let runs =
        |rule: &'static str, attack: &'static str| [(rule, "none", None), (rule, attack, None)];
    let fails = |a: &[f64]| a[1] < 0.5 * a[0];
    let survives = |a: &[f64]| a[1] > 0.8 * a[0];
    vec![
        ends.shape("ε = 10 kills the median", &runs("median", "ipm epsilon=10 "), fails),
        ends.shape("ε = 0.1 harms the median", &runs("median", "ipm epsilon=0.1 "), |a| {
            a[1] < a[0]
        }),
        ends.shape(
            "ε = −10 does not harm the median",
            &runs("median", "ipm epsilon=-10 "),
            survives,
        ),
        ends.shape("ε = 0.1 kills Krum", &runs("krum", "ipm epsilon=0.1 "), fails),
        ends.shape("ε = 0.5 kills Krum", &runs("krum", "ipm epsilon=0.5 "), fails),
        ends.shape("ε = 10 does not harm Krum", &runs("krum", "ipm epsilon=10 "), survives),
    ]
}

/// The theorems, and the sign meter: in how many steps under attack the aggregate pointed against
/// the honest mean.
fn more(folder: &Path, outcomes: &[Outcome], events: &mut dyn Events) -> Result<(), Failure> {
    let theorems = empires::tables(100_000, Seed(1));
    varangian_lab::files::write(&folder.join("theorems.txt"), theorems.text().as_bytes())?;
    events.text(&theorems.text());
    let row = |outcome: &Outcome| {
        let start = outcome.settings.attack.split("start=").nth(1).and_then(|s| s.parse().ok());
        let start: u64 = start.unwrap_or(0);
        let curve = outcome.curve("study/Honest-defense cosine");
        let under: Vec<f64> = curve.iter().filter(|(t, _)| *t >= start).map(|(_, x)| *x).collect();
        let against = under.iter().filter(|cosine| **cosine < 0.0).count();
        let share = 100.0 * against as f64 / under.len().max(1) as f64;
        vec![
            outcome.settings.rule.clone(),
            outcome.settings.attack.clone(),
            format!("{share:.1} %"),
        ]
    };
    let rows: Vec<Vec<String>> = outcomes.iter().map(row).collect();
    let head = ["rule", "attack", "steps against the honest mean, under attack"];
    let table = text::table(&head, &rows, &[false, false, true]);
    varangian_lab::files::write(&folder.join("signs.txt"), table.as_bytes())?;
    events.text(&table);
    Ok(())
}
