//! Rules by block, rules of signs and redundancy, each with its experiment.

pub(super) mod draco;
pub(super) mod draco_cyclic;
pub(super) mod election;
pub(super) mod fedseca;
pub(super) mod foundation;
pub(super) mod gas;
pub(super) mod lasa;
pub(super) mod per_block;
pub(super) mod reactive;
pub(super) mod rsa;
pub(super) mod sequential_clipping;
pub(super) mod signguard;

use super::shapes::{Ends, Shape};
use std::path::Path;
use varangian_lab::results::Outcome;
use varangian_lab::run::Events;
use varangian_lab::{Failure, text};

/// Whether the first accuracy is at least this share of the second.
fn near(share: f64) -> impl Fn(&[f64]) -> bool {
    move |a: &[f64]| a[0] >= share * a[1]
}

/// "RULE keeps 90 % of the clean mean's accuracy under ATTACK", moot where the mean does too.
fn keeps(ends: &Ends<'_>, rule: &str, attack: &str, share: f64) -> Shape {
    let claim = format!("{attack}: {rule} keeps {:.0} % of the clean accuracy", 100.0 * share);
    let runs = [(rule, attack, None), ("average", "none", None)];
    ends.defended(claim, &runs, ("average", attack, None), near(share))
}

/// The runs that sent this message.
fn sent(outcomes: &[Outcome], message: &str) -> Vec<Outcome> {
    outcomes.iter().filter(|outcome| outcome.settings.message == message).cloned().collect()
}

/// Writes and shows what each run cost: gradients that the workers took a step, and how many
/// different ones are among them.
fn cost(
    folder: &Path,
    outcomes: &[Outcome],
    events: &mut dyn Events,
    of: fn(&Outcome) -> (usize, usize),
) -> Result<(), Failure> {
    let row = |outcome: &Outcome| {
        let settings = &outcome.settings;
        let (taken, different) = of(outcome);
        let end =
            crate::shapes::end(outcome).map_or("–".into(), |x| format!("{:.1} %", 100.0 * x));
        let words = [&settings.rule, &settings.message, &settings.attack].map(Clone::clone);
        let numbers = [taken.to_string(), different.to_string(), end];
        words.into_iter().chain(numbers).collect()
    };
    let rows: Vec<Vec<String>> = outcomes.iter().map(row).collect();
    let head =
        ["rule", "message", "attack", "gradients a step", "different ones", "accuracy at the end"];
    let table = text::table(&head, &rows, &[false, false, false, true, true, true]);
    varangian_lab::files::write(&folder.join("cost.txt"), table.as_bytes())?;
    events.text(&table);
    Ok(())
}
