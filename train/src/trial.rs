//! The rule as an attack may try it: every trial on a copy, so that none leaves a trace.

use varangian_attacks::{Attack, Probe};
use varangian_base::kernels::distances::Pairs;
use varangian_base::{Rows, SpecError};
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

/// The rule that an attack names to try its rows on (see [`Attack::tries`]) at n and f, if it does.
///
/// # Errors
/// If there is no such rule, n and f violate its bound, or it needs a memory, data of the server's
/// or a model's blocks, of which a rule that is in force nowhere has none.
pub fn named(attack: &dyn Attack, (n, f): (usize, usize)) -> Result<Option<Pipeline>, SpecError> {
    let Some(text) = attack.tries() else { return Ok(None) };
    let rule = Pipeline::parse(text).map_err(|error| error.at("probe"))?;
    rule.check(n, f).and(rule.fits(n, f)).map_err(|error| error.at("probe"))?;
    let blocks = rule.entries().iter().any(|entry| entry.name == "blocks");
    match rule.has_memory() || rule.needs_oracle() || blocks {
        false => Ok(Some(rule)),
        true => Err(SpecError::new(format!(
            "probe: rows are tried on a rule without a memory, blocks or data of the server's; got {}",
            rule.spec()
        ))),
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

#[cfg(test)]
mod tests {
    use super::*;
    use varangian_base::Matrix;
    use varangian_rules::build;

    #[test]
    fn a_trial_answers_as_the_rule_and_leaves_no_trace() {
        let x = Matrix::from_rows(&[[1.0, 0.0], [2.0, 5.0], [3.0, 1.0], [4.0, 4.0], [90.0, -9.0]]);
        for spec in ["median", "krum", "centred-clipping tau=1", "safeguard"] {
            let fresh = || build(spec, 5, 1).unwrap();
            let (mut want, mut verdict) = ([0.0; 2], Verdict::default());
            fresh().aggregate(&mut Round::of(x.rows(), 1), &mut want, &mut verdict);
            let mut trial = TrialRule::new(fresh(), 1);
            for _ in 0..2 {
                let mut got = [9.0; 2];
                trial.aggregate(x.rows(), &mut got);
                assert_eq!(got, want, "{spec}");
            }
        }
        // Two rows are too few for krum: nothing moves.
        let mut got = [9.0; 2];
        TrialRule::new(build("krum", 5, 1).unwrap(), 1).aggregate(x.rows().head(2), &mut got);
        assert_eq!(got, [0.0; 2]);
    }
}
