//! Variants from outside this workspace, which stand in experiments beside those of the lists.

use super::Settings;
use std::fmt;
use varangian_attacks::Attack;
use varangian_base::{SpecError, spec};
use varangian_rules::{FILTERS, FilterEntry, Pipeline, RuleEntry};

/// What an experiment may name beside what `varangian rules` and its like list: entries that
/// another crate wrote, each under a name of its own.
#[derive(Clone, Default)]
pub struct Own {
    /// Aggregation rules, and stages before and after them.
    pub rules: Vec<&'static RuleEntry>,
    /// Changes whenever what is named here would answer otherwise: part of the keys of runs that
    /// name it. Where it is empty, such runs are done again each time, as nobody else can tell
    /// whether the code behind them is what it was.
    pub version: String,
}

impl fmt::Debug for Own {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rules: Vec<&str> = self.rules.iter().map(|entry| entry.name).collect();
        f.debug_struct("Own").field("rules", &rules).finish()
    }
}

impl Own {
    /// Whether a run of these settings names anything from outside.
    pub(crate) fn is_in(&self, settings: &Settings) -> bool {
        let named = |text: &str, name: &str| {
            spec::parse_chain(text).is_ok_and(|chain| chain.iter().any(|one| one.name == name))
        };
        self.rules.iter().any(|entry| named(&settings.rule, entry.name))
    }

    /// The digest of a run's data, with the version of what it names from outside.
    pub(crate) fn digest(&self, settings: &Settings, data: [u8; 32]) -> [u8; 32] {
        match self.is_in(settings) {
            false => data,
            true => {
                let mut hasher = blake3::Hasher::new();
                hasher.update(&data).update(self.version.as_bytes());
                *hasher.finalize().as_bytes()
            }
        }
    }

    /// Gradients of minibatches that a run takes: one a worker and step, or one an arrival.
    pub(crate) fn gradients(&self, settings: &Settings) -> u64 {
        let filters = self.filter_of(&settings.rule).is_ok_and(|entry| entry.is_some());
        let each = if filters { 1 } else { settings.n as u64 };
        settings.steps.saturating_mul(each).saturating_mul(settings.local_steps)
    }

    /// The pipeline that `text` names.
    ///
    /// # Errors
    /// As [`Pipeline::parse_among`].
    pub fn pipeline(&self, text: &str) -> Result<Pipeline, SpecError> {
        Pipeline::parse_among(text, &self.rules)
    }

    /// The attack that `text` names.
    ///
    /// # Errors
    /// As [`varangian_attacks::build`].
    pub fn attack(&self, text: &str) -> Result<Box<dyn Attack>, SpecError> {
        varangian_attacks::build(text)
    }

    /// The filter of asynchronous training that `rule` names, if it names one.
    ///
    /// # Errors
    /// If the text is malformed.
    pub fn filter_of(&self, rule: &str) -> Result<Option<&'static FilterEntry>, SpecError> {
        let chain = spec::parse_chain(rule)?;
        let named = |entry: &&&'static FilterEntry| chain.len() == 1 && chain[0].name == entry.name;
        Ok(FILTERS.iter().find(named).copied())
    }
}
