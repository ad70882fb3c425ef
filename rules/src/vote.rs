//! Votes: one bit a worker and coordinate in, the winning side out.
//!
//! A vote is the third shape of a rule beside [`crate::Rule`]: its rows are packed signs and its
//! answer is again a vector of signs, so that both directions cost one bit a coordinate. A new
//! one is one file and one line in [`VOTES`].

use crate::Bound;
use varangian_base::{Ballots, Entry, Memory, Seed, Signs, SpecError, entry, spec};

/// One round of voting, as the server hands it over.
#[derive(Clone, Copy)]
pub struct VoteRound<'a> {
    /// The ballots in ascending worker id.
    pub ballots: Ballots<'a>,
    /// The declared number of hostile workers among them.
    pub f: usize,
    /// The step, from 0.
    pub step: u64,
    /// The run's seed; ties draw at (`Domain::Sign`, [`varangian_base::Coins::SERVER`], step).
    pub seed: Seed,
}

/// A voting rule: ballots to the signs that are broadcast.
pub trait Vote: Send {
    /// Counts the round's ballots into `winner`. Does not depend on the number of threads; the
    /// second round allocates nothing.
    fn tally(&mut self, round: &VoteRound<'_>, winner: &mut Signs);

    /// An independent copy with the same memory: what an attacker may try ballots on.
    fn fork(&self) -> Box<dyn Vote>;

    /// What the parameters demand of n and f beyond the entry's bound, as the missing condition.
    ///
    /// # Errors
    /// The condition, such as "one weight a worker; 3 weights were given".
    fn check(&self, n: usize, f: usize) -> Result<(), String> {
        let _ = (n, f);
        Ok(())
    }

    /// What the parameters demand of the whole number of workers and of f, as the missing
    /// condition: an index or a count beyond them. Asked once, before round 0; ballots that are
    /// missing in a later round change nothing.
    ///
    /// # Errors
    /// The condition, such as "margin below the 5 votes; margin = 9".
    fn fits(&self, n: usize, f: usize) -> Result<(), String> {
        let _ = (n, f);
        Ok(())
    }

    /// Saves the vote's memory.
    fn save(&self) -> Memory {
        Memory::default()
    }

    /// Restores what `save` returned.
    ///
    /// # Errors
    /// If the memory is not of this vote.
    fn load(&mut self, memory: &Memory) -> Result<(), SpecError> {
        let _ = memory;
        Ok(())
    }
}

/// The entry of a vote.
pub type VoteEntry = Entry<dyn Vote, VoteFacts>;

/// What only votes say about themselves.
pub struct VoteFacts {
    /// The bound on n at a given f.
    pub bound: Bound,
    /// Whether it remembers earlier rounds.
    pub has_memory: bool,
}

/// Every vote, in the order in which catalogue and help print them.
pub static VOTES: &[&VoteEntry] = &[&crate::majority::ENTRY];

/// Builds the vote that `text` names, for n workers of which f are declared hostile.
///
/// # Errors
/// If the vote or a parameter is unknown, or (n, f) violates the bound.
pub fn build_vote(text: &str, n: usize, f: usize) -> Result<Box<dyn Vote>, SpecError> {
    let spec = spec::parse(text)?;
    let found = entry::find("vote", VOTES, &spec.name)?;
    let vote = found.make(&spec)?;
    Bound::declared(found.name, n, f)?;
    found.facts.bound.admit(found.name, (n, f), |n, f| vote.check(n, f))?;
    found.facts.bound.admit(found.name, (n, f), |n, f| vote.fits(n, f))?;
    Ok(vote)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_vote_is_named_bounded_and_checked() {
        let error = |text, n, f| build_vote(text, n, f).err().unwrap().to_string();
        assert_eq!(error("majorty", 3, 1), "unknown vote \"majorty\"; did you mean \"majority\"?");
        assert_eq!(
            error("majority", 10, 5),
            "majority needs n ≥ 2f + 1; got n = 10, f = 5 \
             (Bernstein et al. 2019, theorem 2: α < 1/2)"
        );
        assert_eq!(
            error("majority weights=1,2", 3, 1),
            "majority needs one weight a worker (2 were given); got n = 3, f = 1"
        );
        assert!(build_vote("majority ties=plus-one", 11, 5).is_ok());
    }
}
