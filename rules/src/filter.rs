//! Asynchronous rules: one gradient at a time arrives, taken at some older model, and is stepped
//! along, held or rejected at once.

use crate::{Bound, Oracle, RuleEntry};
use varangian_base::entry::{self, AnyEntry};
use varangian_base::{Entry, Memory, Seed, SpecError, spec};

/// One gradient as it reaches an asynchronous server: finite, of the right length.
pub struct Arrival<'a> {
    /// What was sent.
    pub gradient: &'a [f32],
    /// Who sent it.
    pub worker: u32,
    /// The version of the model (steps applied) at which it was taken.
    pub version: u64,
    /// The version of the model now.
    pub now: u64,
    /// The parameters now.
    pub params: &'a [f32],
    /// The parameters at `version`, where the server still has them.
    pub stale: Option<&'a [f32]>,
    /// The learning rate of the next step.
    pub learning_rate: f32,
    /// The number of workers.
    pub n: usize,
    /// The declared number of hostile workers.
    pub f: usize,
    /// The server's validation data, where there is any.
    pub oracle: Option<&'a mut dyn Oracle>,
    /// The run's seed; a filter draws at (`Domain::Rule`, worker, arrival).
    pub seed: Seed,
}

impl Arrival<'_> {
    /// Steps applied since the model at which the gradient was taken.
    pub fn staleness(&self) -> u64 {
        self.now - self.version.min(self.now)
    }
}

/// What became of an arrival.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// The output holds what to step along: x ← x − γ·out.
    Step,
    /// Taken in, but no step yet; the output is unspecified.
    Hold,
    /// Thrown away, for this reason; the output is unspecified.
    Reject(&'static str),
}

/// An asynchronous aggregation rule.
pub trait Filter: Send {
    /// Judges one arrival; on `Step`, `out` (d floats) holds what to step along, finite.
    fn offer(&mut self, arrival: &mut Arrival<'_>, out: &mut [f32]) -> Decision;

    /// An independent copy with the same memory.
    fn fork(&self) -> Box<dyn Filter>;

    /// What the parameters demand of n and f beyond the entry's bound, as the missing condition.
    ///
    /// # Errors
    /// The condition, such as "2f < buffers; buffers = 4".
    fn check(&self, n: usize, f: usize) -> Result<(), String> {
        let _ = (n, f);
        Ok(())
    }

    /// Saves the filter's memory.
    fn save(&self) -> Memory {
        Memory::default()
    }

    /// Restores what `save` returned.
    ///
    /// # Errors
    /// If the memory is not of this filter.
    fn load(&mut self, memory: &Memory) -> Result<(), SpecError> {
        let _ = memory;
        Ok(())
    }
}

/// The entry of a filter.
pub type FilterEntry = Entry<dyn Filter, FilterFacts>;

/// What only filters say about themselves.
pub struct FilterFacts {
    /// The bound on n at a given f.
    pub bound: Bound,
    /// Whether it asks the oracle.
    pub needs_oracle: bool,
    /// Whether it looks at the parameters at which the gradient was taken.
    pub needs_stale: bool,
    /// Whether it remembers earlier arrivals.
    pub has_memory: bool,
}

impl FilterFacts {
    /// A filter that says nothing of itself; entries fill in what they can say.
    pub const FILTER: FilterFacts = FilterFacts {
        bound: Bound::ANY,
        needs_oracle: false,
        needs_stale: false,
        has_memory: false,
    };
}

/// Every filter, in the order in which catalogue and help print them.
pub static FILTERS: &[&FilterEntry] = &[
    &crate::filters::async_sgd::ENTRY,
    &crate::filters::zeno_pp::ENTRY,
    &crate::filters::zeno_plus::ENTRY,
    &crate::filters::kardam::ENTRY,
    &crate::filters::kardam::REDUCED,
    &crate::filters::basgd::ENTRY,
    &crate::filters::weighted::ENTRY,
];

/// Reads `text` and checks it for n workers of which f are declared hostile.
///
/// # Errors
/// If the filter or a parameter is unknown, or (n, f) violates a bound.
pub fn build_filter(text: &str, n: usize, f: usize) -> Result<Box<dyn Filter>, SpecError> {
    build_filter_among(text, n, f, &[], &[])
}

/// The same, where filters of `own` may stand beside those of [`FILTERS`], and `rules` beside those
/// of [`ALL`](crate::ALL) where a parameter names a rule.
///
/// # Errors
/// As [`build_filter`]; or if an own entry has the name of another filter or of a rule, or is not
/// [sound](varangian_base::Entry::sound).
pub fn build_filter_among(
    text: &str,
    n: usize,
    f: usize,
    own: &[&'static FilterEntry],
    rules: &[&'static RuleEntry],
) -> Result<Box<dyn Filter>, SpecError> {
    let spec = spec::parse(text)?;
    let all = entry::among("filter", FILTERS, own)?;
    apart(crate::ALL, own)?;
    apart(rules, own)?;
    let entry = entry::find("filter", &all, &spec.name)?;
    let rules: Vec<AnyEntry> = rules.iter().map(|&rule| rule as AnyEntry).collect();
    let filter = entry.make_beside(&spec, &rules)?;
    Bound::declared(entry.name, n, f)?;
    entry.facts.bound.admit(entry.name, (n, f), |n, f| filter.check(n, f))?;
    Ok(filter)
}

/// Whether no rule goes by the name of a filter: experiments name either with one key.
///
/// # Errors
/// Names the one that two go by.
pub(crate) fn apart(rules: &[&RuleEntry], filters: &[&FilterEntry]) -> Result<(), SpecError> {
    let is_filter = |rule: &&&RuleEntry| filters.iter().any(|filter| filter.name == rule.name);
    match rules.iter().find(is_filter) {
        None => Ok(()),
        Some(rule) => Err(SpecError::new(format!(
            "a rule and a filter are called \"{}\"; the two are named by one key",
            rule.name
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::RuleFacts;

    #[test]
    fn a_rule_and_a_filter_of_one_name_are_refused() {
        static LIKE_A_FILTER: RuleEntry = RuleEntry {
            name: "zeno++",
            summary: "",
            paper: "",
            differs: &[],
            params: &[],
            cost: "",
            facts: RuleFacts::RULE,
            build: |_| Err(SpecError::new("never built")),
        };
        let filters = [&crate::filters::zeno_pp::ENTRY];
        assert!(apart(crate::ALL, &filters).is_ok());
        let error = apart(&[&LIKE_A_FILTER], &filters).unwrap_err().to_string();
        assert!(error.contains("a rule and a filter are called \"zeno++\""), "{error}");
    }
}
