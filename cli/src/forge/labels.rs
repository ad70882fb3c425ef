//! What an attack on labels makes of the labels that hostile workers train on.

use super::Args;
use crate::{Failure, arrays};
use varangian_attacks::{Attack, AttackEntry, Ground, Labels};
use varangian_base::{Domain, Seed};

/// Reads labels, has the attack change them, writes them.
///
/// # Errors
/// If the attack changes no labels, or labels, classes and f do not fit.
pub(super) fn run(
    args: &Args,
    attack: &dyn Attack,
    about: &AttackEntry,
    path: &std::path::Path,
) -> Result<(), Failure> {
    let name = about.name;
    if !about.facts.poisons {
        return Err(Failure::refused(format!("--labels: {name} changes rows and no labels")));
    }
    let Some(classes) = args.classes else {
        return Err(Failure::refused("--labels needs --classes, how many there are"));
    };
    let ground = Ground { honest: &[], d: 1, classes: Some(classes as usize), image: None };
    attack.fits(ground).map_err(|condition| {
        Failure::refused(format!("{name} needs {condition}; got --classes {classes}"))
    })?;
    let (mut labels, vector) = arrays::read_labels(path, classes)?;
    if labels.len() != args.f {
        let (found, f) = (labels.len(), args.f);
        return Err(Failure::refused(format!(
            "{}: labels of f = {f} hostile workers, a row each; found {found}",
            path.display()
        )));
    }
    for (hostile, labels) in labels.iter_mut().enumerate() {
        let mut stream = Seed(args.seed).stream(Domain::Attack, hostile as u32, 0);
        let labels = Labels { labels, classes, hostile, of: args.f, step: 0 };
        attack.poison(labels, &mut stream);
    }
    let wide: Vec<Vec<i64>> =
        labels.iter().map(|row| row.iter().map(|&label| label.into()).collect()).collect();
    match vector {
        true => arrays::write_vector(&args.output, &wide[0]),
        false => arrays::write(&args.output, &wide.iter().map(Vec::as_slice).collect::<Vec<_>>()),
    }
}
