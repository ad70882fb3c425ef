//! Attacks: what up to f colluding workers send instead of their gradients.
//!
//! An attack is one file and one line in [`ALL`]. What it may know is spelled out in [`View`]; each
//! entry states which parts of it the attack reads.

pub mod entry;
mod none;
mod sign_flip;
mod view;

pub use entry::{ALL, AttackEntry, AttackFacts, Sees};
pub use view::{Attack, Labels, Probe, View};

use varangian_base::{SpecError, entry as base_entry, spec};

/// Builds the attack that `text` names.
///
/// # Errors
/// If the attack or a parameter is unknown, or a value is out of range.
pub fn build(text: &str) -> Result<Box<dyn Attack>, SpecError> {
    let spec = spec::parse(text)?;
    base_entry::find("attack", ALL, &spec.name)?.make(&spec)
}
