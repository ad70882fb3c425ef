//! What an attack says about itself, and the ordered list of all attacks.

use crate::Attack;
use varangian_base::Entry;

/// The entry of an attack.
pub type AttackEntry = Entry<dyn Attack, AttackFacts>;

/// What only attacks say about themselves.
pub struct AttackFacts {
    /// What it reads.
    pub sees: Sees,
    /// Whether it changes labels before the gradient is taken.
    pub poisons: bool,
    /// Whether it remembers earlier rounds.
    pub has_memory: bool,
}

/// The parts of the threat model that an attack reads.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sees {
    /// The hostile workers' own honest gradients.
    pub own: bool,
    /// The honest workers' rows.
    pub honest: bool,
    /// The rule, to try rows on.
    pub rule: bool,
    /// The server's momentum or last aggregate.
    pub server: bool,
}

/// Every attack, in the order in which catalogue and help print them.
pub static ALL: &[&AttackEntry] = &[&crate::none::ENTRY, &crate::sign_flip::ENTRY];
