//! Votes that stay packed: counted without a row of floats a worker.

use super::Pipeline;
use crate::Verdict;
use varangian_base::{Seed, Signs};

impl Pipeline {
    /// Whether packed votes can be counted as they are: one rule that reads signs alone, and no
    /// stage.
    pub fn counts_votes(&self) -> bool {
        self.is_bare() && self.rule.counts_votes()
    }

    /// Counts packed votes, one a worker in ascending id: the answer of [`Pipeline::aggregate`] to
    /// the same votes as rows of −1, 0 and +1, from a 16th to a 32nd of the memory.
    ///
    /// # Panics
    /// If the pipeline does not count votes, or lengths differ.
    pub fn count(
        &mut self,
        votes: &[Signs],
        (step, seed): (u64, Seed),
        out: &mut [f32],
        verdict: &mut Verdict,
    ) {
        assert!(self.counts_votes(), "{} counts no votes", self.spec);
        verdict.clear();
        self.rule.count(votes, step, seed, out);
    }
}
