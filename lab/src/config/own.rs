//! Variants from outside this workspace, which stand in experiments beside those of the lists.

use super::Settings;
use std::fmt;
use std::path::PathBuf;
use varangian_attacks::{Attack, AttackEntry};
use varangian_base::{Entry, Seed, Spec, SpecError, spec};
use varangian_learn::data::{self, DataEntry, DataError, Source, Split};
use varangian_learn::model::{self, ModelEntry, Recipe};
use varangian_learn::partition::{self, Partition, PartitionEntry};
use varangian_rules::{FILTERS, Filter, FilterEntry, Pipeline, RuleEntry, build_filter_among};

/// What an experiment may name beside what `varangian rules` and its like list: entries that
/// another crate wrote, each under a name of its own.
#[derive(Clone, Default)]
pub struct Own {
    /// Aggregation rules, and stages before and after them.
    pub rules: Vec<&'static RuleEntry>,
    /// Filters of asynchronous training.
    pub filters: Vec<&'static FilterEntry>,
    /// Attacks.
    pub attacks: Vec<&'static AttackEntry>,
    /// Models.
    pub models: Vec<&'static ModelEntry>,
    /// Data sets.
    pub datasets: Vec<&'static DataEntry>,
    /// Partitions of the training set.
    pub partitions: Vec<&'static PartitionEntry>,
    /// Changes whenever what is named here would answer otherwise: part of the keys of runs that
    /// name it. Where it is empty, such runs are done again each time, as nobody else can tell
    /// whether the code behind them is what it was.
    pub version: String,
}

fn names<T: ?Sized, F>(list: &[&'static Entry<T, F>]) -> Vec<&'static str> {
    list.iter().map(|entry| entry.name).collect()
}

impl fmt::Debug for Own {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Own")
            .field("rules", &names(&self.rules))
            .field("filters", &names(&self.filters))
            .field("attacks", &names(&self.attacks))
            .field("models", &names(&self.models))
            .field("datasets", &names(&self.datasets))
            .field("partitions", &names(&self.partitions))
            .field("version", &self.version)
            .finish()
    }
}

impl Own {
    /// Whether a run of these settings names anything from outside.
    pub(crate) fn is_in(&self, settings: &Settings) -> bool {
        // Also where a parameter names it, as the groups of a mixed attack do.
        let named = |text: &str, names: Vec<&'static str>| {
            let ends = |c: char| c.is_whitespace() || "|;,='\"()".contains(c);
            text.split(ends).any(|word| names.contains(&word))
        };
        named(&settings.rule, [names(&self.rules), names(&self.filters)].concat())
            || named(&settings.attack, names(&self.attacks))
            || named(&settings.model, names(&self.models))
            || named(&settings.dataset, names(&self.datasets))
            || named(&settings.validation_from, names(&self.datasets))
            || named(&settings.partition, names(&self.partitions))
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

    /// Whether no name stands for a rule and for a filter: one key names both.
    ///
    /// # Errors
    /// Names it.
    fn apart(&self) -> Result<(), SpecError> {
        let filters = FILTERS.iter().chain(&self.filters);
        let mut names = filters.map(|entry| entry.name);
        let rules: Vec<&str> =
            varangian_rules::ALL.iter().chain(&self.rules).map(|entry| entry.name).collect();
        match names.find(|name| rules.contains(name)) {
            None => Ok(()),
            Some(name) => Err(SpecError::new(format!(
                "a rule and a filter are called \"{name}\"; the two are named by one key"
            ))),
        }
    }

    /// The pipeline that `text` names.
    ///
    /// # Errors
    /// As [`Pipeline::parse_among`].
    pub(crate) fn pipeline(&self, text: &str) -> Result<Pipeline, SpecError> {
        Pipeline::parse_among(text, &self.rules)
    }

    /// The filter that `text` names, checked for n and f.
    ///
    /// # Errors
    /// As [`build_filter_among`].
    pub(crate) fn filter(
        &self,
        text: &str,
        n: usize,
        f: usize,
    ) -> Result<Box<dyn Filter>, SpecError> {
        build_filter_among(text, n, f, &self.filters, &self.rules)
    }

    /// The filter of asynchronous training that `rule` names, if it names one.
    ///
    /// # Errors
    /// If the text is malformed.
    pub(crate) fn filter_of(&self, rule: &str) -> Result<Option<&'static FilterEntry>, SpecError> {
        self.apart()?;
        let chain = spec::parse_chain(rule)?;
        let named = |entry: &&&'static FilterEntry| chain.len() == 1 && chain[0].name == entry.name;
        Ok(FILTERS.iter().chain(&self.filters).find(named).copied())
    }

    /// The attack that `text` names.
    ///
    /// # Errors
    /// As [`varangian_attacks::build_among`].
    pub(crate) fn attack(&self, text: &str) -> Result<Box<dyn Attack>, SpecError> {
        varangian_attacks::build_among(text, &self.attacks)
    }

    /// How the model that `text` names is built.
    ///
    /// # Errors
    /// As [`model::recipe_among`].
    pub(crate) fn recipe(&self, text: &str) -> Result<Box<dyn Recipe>, SpecError> {
        model::recipe_among(text, &self.models)
    }

    /// The partition that `text` names.
    ///
    /// # Errors
    /// As [`partition::make_among`].
    pub(crate) fn partition(&self, text: &str) -> Result<Box<dyn Partition>, SpecError> {
        partition::make_among(&spec::parse(text)?, &self.partitions)
    }

    /// Where the data set comes from that `spec` names.
    ///
    /// # Errors
    /// As [`data::source_among`].
    pub(crate) fn source(&self, spec: &Spec) -> Result<Box<dyn Source>, DataError> {
        data::source_among(spec, &self.datasets)
    }

    /// The data set that `text` names.
    ///
    /// # Errors
    /// As [`data::load_among`].
    pub(crate) fn load(
        &self,
        text: &str,
        folder: Option<PathBuf>,
        seed: Seed,
    ) -> Result<Split, DataError> {
        data::load_among(text, folder, seed, &self.datasets)
    }

    /// The entry of the data set that a specification names, where there is one.
    pub(crate) fn dataset(&self, name: &str) -> Option<&'static DataEntry> {
        data::ALL.iter().chain(&self.datasets).find(|entry| entry.name == name).copied()
    }
}
