//! Attacks: what up to f colluding workers send instead of their gradients.
//!
//! An attack is one file and one line in [`ALL`]. What it may know is spelled out in [`View`]; each
//! entry states which parts of it the attack reads.
//!
//! ```
//! let attack = varangian_attacks::build("alie z=1.5")?;
//! let sees = attack.sees();
//! assert!(sees.honest && !sees.rule, "it reads the honest rows, and tries none on the rule");
//! assert!(attack.check(9, 2, 2).is_ok(), "nine honest workers, two hostile, two declared");
//! assert!(varangian_attacks::build("alie z=much").is_err());
//! # Ok::<(), varangian_base::SpecError>(())
//! ```

mod alie;
mod anti_cge;
mod backdoor;
mod bit_flip;
mod cancel;
pub mod conformance;
mod constant;
mod delayed;
pub mod entry;
mod extreme;
mod factor;
mod fang;
mod gaussian;
mod guise;
mod ipm;
mod label_flip;
mod mimic;
mod min_max;
mod mixed;
mod none;
mod poisoned_fl;
mod relocation;
mod saddle_point;
mod scene;
pub mod search;
mod sign_flip;
mod sign_votes;
mod single_coordinate;
mod time_coupled;
mod trial;
mod view;
mod write;

pub use alie::alie_z;
pub use entry::{ALL, AttackEntry, AttackFacts, Sees};
pub use guise::COMMON;
pub use view::{Attack, Ground, Labels, Probe, Samples, Trigger, View};

use varangian_base::entry::{self as base_entry, AnyEntry};
use varangian_base::{SpecError, spec};

/// Builds the attack that `text` names. Beside its own parameters an attack takes those of
/// [`COMMON`].
///
/// ```
/// assert!(varangian_attacks::build("alie z=1.5 jitter=0.001").is_ok());
/// let error = varangian_attacks::build("alie q=1").err().unwrap().to_string();
/// assert!(error.starts_with("unknown parameter of alie"), "{error}");
/// ```
///
/// # Errors
/// If the attack or a parameter is unknown, or a value is out of range.
pub fn build(text: &str) -> Result<Box<dyn Attack>, SpecError> {
    build_among(text, &[])
}

/// As [`build`], where `text` may also name attacks of `own`, from outside: alone, in the groups of
/// `mixed`, and with the parameters of [`COMMON`].
///
/// # Errors
/// As [`build`]; or if an own entry has the name of another, declares a parameter of [`COMMON`], or
/// is not [sound](varangian_base::Entry::sound).
pub fn build_among(text: &str, own: &[&'static AttackEntry]) -> Result<Box<dyn Attack>, SpecError> {
    let mut spec = spec::parse(text)?;
    let all = base_entry::among("attack", ALL, own)?;
    own.iter().try_for_each(|entry| guise::apart(entry))?;
    let entry = base_entry::find("attack", &all, &spec.name)?;
    let guise = guise::take(&mut spec)?;
    let own: Vec<AnyEntry> = own.iter().map(|&entry| entry as AnyEntry).collect();
    let inner = entry.make_beside(&spec, &own)?;
    Ok(match guise {
        Some(guise) => Box::new(guise::Disguised { guise, inner }),
        None => inner,
    })
}
