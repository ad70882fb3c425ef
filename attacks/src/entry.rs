//! What an attack says about itself, and the ordered list of all attacks.

use crate::Attack;
use varangian_base::Entry;

/// The entry of an attack.
pub type AttackEntry = Entry<dyn Attack, AttackFacts>;

/// What only attacks say about themselves.
pub struct AttackFacts {
    /// What it reads with its default parameters; [`Attack::sees`] says it for given ones.
    pub sees: Sees,
    /// Whether it changes labels before the gradient is taken.
    pub poisons: bool,
    /// Whether it remembers earlier rounds.
    pub has_memory: bool,
    /// Whether it may send rows that are not finite.
    pub wild: bool,
}

impl AttackFacts {
    /// An attack without memory that leaves labels alone.
    pub const fn reads(sees: Sees) -> Self {
        AttackFacts { sees, poisons: false, has_memory: false, wild: false }
    }

    /// The same with memory.
    pub const fn remembers(sees: Sees) -> Self {
        AttackFacts { has_memory: true, ..AttackFacts::reads(sees) }
    }
}

/// The parts of the threat model that an attack reads. The step, n, f, the learning rate and the
/// broadcast parameters are known to every worker.
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
    /// The loss, at parameters of its choice, on the samples that the hostile workers drew.
    pub loss: bool,
}

impl Sees {
    /// Nothing but what every worker knows.
    pub const NOTHING: Sees =
        Sees { own: false, honest: false, rule: false, server: false, loss: false };
    /// Its own honest gradients.
    pub const OWN: Sees = Sees { own: true, ..Sees::NOTHING };
    /// The honest rows.
    pub const HONEST: Sees = Sees { honest: true, ..Sees::NOTHING };
    /// Everything.
    pub const ALL: Sees = Sees { own: true, honest: true, rule: true, server: true, loss: true };

    /// What either reads.
    pub fn or(self, other: Sees) -> Sees {
        Sees {
            own: self.own || other.own,
            honest: self.honest || other.honest,
            rule: self.rule || other.rule,
            server: self.server || other.server,
            loss: self.loss || other.loss,
        }
    }
}

/// Every attack, in the order in which catalogue and help print them.
pub static ALL: &[&AttackEntry] = &[
    &crate::none::ENTRY,
    &crate::sign_flip::ENTRY,
    &crate::sign_flip::BLIND,
    &crate::label_flip::ENTRY,
    &crate::backdoor::ENTRY,
    &crate::bit_flip::ENTRY,
    &crate::gaussian::ENTRY,
    &crate::constant::ZERO,
    &crate::constant::ENTRY,
    &crate::extreme::NON_FINITE,
    &crate::extreme::ENTRY,
    &crate::alie::ENTRY,
    &crate::alie::VARIANCE,
    &crate::ipm::ENTRY,
    &crate::ipm::EMPIRE,
    &crate::ipm::SAFEGUARD,
    &crate::mimic::ENTRY,
    &crate::min_max::ENTRY,
    &crate::min_max::SUM,
    &crate::fang::ENTRY,
    &crate::anti_cge::ENTRY,
    &crate::single_coordinate::ENTRY,
    &crate::delayed::ENTRY,
    &crate::relocation::ENTRY,
    &crate::time_coupled::ENTRY,
    &crate::poisoned_fl::ENTRY,
    &crate::cancel::ENTRY,
    &crate::saddle_point::ENTRY,
    &crate::sign_votes::KILL,
    &crate::sign_votes::OPPOSE,
    &crate::sign_votes::KILL_WIRE,
    &crate::sign_votes::RANDOM,
    &crate::delayed::SIGNS,
    &crate::mixed::ENTRY,
    &crate::search::worst::ENTRY,
];
