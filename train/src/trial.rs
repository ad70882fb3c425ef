//! The rule as an attack may try it: every trial on a copy, so that none leaves a trace.

use varangian_attacks::Probe;
use varangian_base::Rows;
use varangian_base::kernels::distances::Pairs;
use varangian_rules::{Pipeline, Round, Verdict};

/// A rule to try rows on, with f declared.
pub struct TrialRule {
    /// The rule; trials fork it where it has a memory.
    pub pipeline: Pipeline,
    /// The declared number of hostile rows.
    pub f: usize,
    verdict: Verdict,
}

impl TrialRule {
    /// Trials on `pipeline` with f declared.
    pub fn new(pipeline: Pipeline, f: usize) -> Self {
        TrialRule { pipeline, f, verdict: Verdict::default() }
    }
}

impl Probe for TrialRule {
    fn aggregate(&mut self, rows: Rows<'_>, out: &mut [f32]) {
        // Too few rows, as in a round that a server would skip: nothing moves.
        if self.pipeline.check(rows.n(), self.f).is_err() {
            return out.fill(0.0);
        }
        let mut fork = self.pipeline.has_memory().then(|| self.pipeline.fork());
        let rule = fork.as_mut().unwrap_or(&mut self.pipeline);
        rule.aggregate(&mut Round::of(rows, self.f), out, &mut self.verdict);
    }

    fn weigh(&mut self, squared: &Pairs, weights: &mut [f64]) -> bool {
        let f = self.f;
        if self.pipeline.check(squared.n(), f).is_err() {
            return false;
        }
        self.pipeline.bare_rule().is_some_and(|rule| rule.weigh(squared, f, weights))
    }
}
