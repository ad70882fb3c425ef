//! The words of a run's settings, each read once: what they name, checked as far as that can be
//! without data.

mod redundant;

use super::{Own, Settings};
use crate::Failure;
use std::sync::Mutex;
use varangian_attacks::Attack;
use varangian_base::{Spec, SpecError, spec};
use varangian_learn::model::Recipe;
use varangian_learn::optim::Optimiser;
use varangian_learn::partition::{Partition, Sampling};
use varangian_rules::{Filter, FilterEntry, Pipeline};
use varangian_sim::gossip::Gossip;
use varangian_sim::swarm::Staleness;
use varangian_sim::{Hostile, Scenario};
use varangian_train::{NonFinite, Participation, Passes};

/// Who judges what workers send. Runs take forks of it, from any thread: hence the locks.
pub(crate) enum Judge {
    /// An aggregation rule with its stages, once a step.
    Rule(Mutex<Box<Pipeline>>),
    /// A filter, once an arrival.
    Filter(&'static FilterEntry, Mutex<Box<dyn Filter>>),
}

/// What the words of a run's settings name. Nothing of it is read again later.
pub(crate) struct Words {
    pub(crate) judge: Judge,
    pub(crate) attack: Box<dyn Attack>,
    pub(crate) hostile: Hostile,
    pub(crate) optimiser: Optimiser,
    pub(crate) passes: Passes,
    pub(crate) participation: Option<Participation>,
    pub(crate) non_finite: NonFinite,
    pub(crate) partition: Box<dyn Partition>,
    pub(crate) over_honest: bool,
    pub(crate) sampling: Sampling,
    /// The model's name, and how it is built once the data are there.
    pub(crate) model: (String, Box<dyn Recipe>),
    pub(crate) dataset: Spec,
    /// `None` where the settings name none.
    pub(crate) network: Option<Scenario>,
    /// `None` where there is a server.
    pub(crate) gossip: Option<Gossip>,
}

/// Settings that were read: in one spelling, with what their words name.
pub(crate) struct Read {
    pub(crate) settings: Settings,
    pub(crate) words: Words,
}

/// What reading came to.
pub(crate) enum Reading {
    /// All is well.
    Well(Box<Read>),
    /// The rule or filter cannot take this n and f; why.
    Below(SpecError),
}

impl Read {
    /// Reads settings whose numbers may be anything and whose words may name what stands in `own`.
    ///
    /// # Errors
    /// The first offence: a word or a number that is wrong whatever the data are.
    pub(crate) fn of(given: &Settings, own: &Own) -> Result<Reading, Failure> {
        // Settings that were built in code, or changed since they were read, are held to the same.
        given.check_numbers()?;
        given.optimum()?;
        given.certificate()?;
        let (judge, spelling) = match Judge::of(given, own)? {
            Ok(judge) => judge,
            Err(below) => return Ok(Reading::Below(below)),
        };
        let settings = in_one_spelling(given, spelling)?;
        let words = Words {
            participation: settings.participation()?,
            non_finite: NonFinite::parse(&settings.non_finite)?,
            optimiser: settings.optimiser()?,
            hostile: settings.hostile()?,
            passes: settings.passes()?,
            partition: own.partition(&settings.partition)?,
            over_honest: settings.partitioned_over_honest()?,
            sampling: Sampling::make(&spec::parse(&settings.sampling)?)?,
            model: (spec::parse(&settings.model)?.name, own.recipe(&settings.model)?),
            dataset: dataset_of(&settings, own)?,
            network: network_of(&settings, &judge)?,
            gossip: gossip_of(&settings, &judge)?,
            attack: own.attack(&settings.attack)?,
            judge,
        };
        words.demand_bounds(&settings)?;
        Ok(Reading::Well(Box::new(Read { settings, words })))
    }

    /// Gradients of minibatches that the run takes: one a worker and step, or one an arrival.
    pub(crate) fn gradients(&self) -> u64 {
        let Settings { n, steps, local_steps, .. } = self.settings;
        let each = if self.words.are_of_a_filter() { 1 } else { n as u64 };
        let times = self.words.optimiser.message.gradients();
        steps.saturating_mul(each).saturating_mul(local_steps).saturating_mul(times)
    }

    /// As [`Read::of`], where a rule below its bound is an offence as any other.
    ///
    /// # Errors
    /// As [`Read::of`], or that the rule or filter cannot take this n and f.
    pub(crate) fn whole(given: &Settings, own: &Own) -> Result<Read, Failure> {
        match Read::of(given, own)? {
            Reading::Well(read) => Ok(*read),
            Reading::Below(why) => Err(why.into()),
        }
    }
}

impl Words {
    /// Whether a filter judges, one gradient at a time.
    pub(crate) fn are_of_a_filter(&self) -> bool {
        matches!(self.judge, Judge::Filter(..))
    }

    /// Whether whoever judges asks for samples of the server's own.
    pub(crate) fn validate(&self) -> bool {
        match &self.judge {
            Judge::Rule(rule) => rule.lock().expect("no thread panicked").needs_oracle(),
            Judge::Filter(entry, _) => entry.facts.needs_oracle,
        }
    }

    /// What n, f and f_real allow whatever the data are.
    fn demand_bounds(&self, settings: &Settings) -> Result<(), Failure> {
        let Settings { n, f, .. } = *settings;
        if let Judge::Rule(rule) = &self.judge {
            let rule = rule.lock().expect("no thread panicked");
            rule.check(n, f)?;
            redundant::demand(settings, self, rule.spec(), rule.redundancy(f))?;
        }
        match settings.f_real() {
            0 => Ok(()),
            f_real => self
                .attack
                .check(n - f_real, f_real, f)
                .map_err(|condition| Failure::refused(format!("the attack needs {condition}"))),
        }
    }
}

impl Judge {
    /// Who judges, and how that is spelt; the inner error: it cannot take this n and f.
    fn of(settings: &Settings, own: &Own) -> Result<Result<(Self, String), SpecError>, Failure> {
        let (n, f) = (settings.n, settings.f);
        let Some(entry) = own.filter_of(&settings.rule)? else {
            let pipeline = own.pipeline(&settings.rule)?;
            let sample = settings.participation()?;
            let (n, f) = sample.map_or((n, f), |some| some.round(n));
            let spelling = pipeline.spec().to_owned();
            let fits = pipeline.check(n, f);
            return Ok(fits.map(|()| (Judge::Rule(Mutex::new(Box::new(pipeline))), spelling)));
        };
        if let Err(below) = entry.facts.bound.check(entry.name, n, f) {
            return Ok(Err(below));
        }
        let filter = own.filter(&settings.rule, n, f)?;
        Ok(Ok((Judge::Filter(entry, Mutex::new(filter)), one(&settings.rule)?)))
    }
}

/// The data set; that of the server's samples is looked at too.
fn dataset_of(settings: &Settings, own: &Own) -> Result<Spec, Failure> {
    let read = |text: &str| -> Result<Spec, Failure> {
        let spec = spec::parse(text)?;
        own.source(&spec).map_err(|error| Failure::refused(error.to_string()))?;
        Ok(spec)
    };
    let from = settings.validation_from.as_str();
    let dataset = read(&settings.dataset)?;
    if !["held-out", "train"].contains(&from) {
        read(from)?;
    }
    Ok(dataset)
}

/// Whether nodes exchange models along a graph.
fn gossip_of(settings: &Settings, judge: &Judge) -> Result<Option<Gossip>, Failure> {
    if !is_gossip(settings)? {
        return Ok(None);
    }
    match judge {
        Judge::Rule(_) => {
            let gossip = Gossip::parse(&settings.network)?;
            if gossip.dissensus > 0.0 && settings.attack != "none" {
                return Err(Failure::refused(format!(
                    "dissensus is what hostile nodes send, so that attack must be none beside it; \
                     got {}",
                    settings.attack
                )));
            }
            Ok(Some(gossip))
        }
        Judge::Filter(entry, _) => Err(Failure::refused(format!(
            "under network=\"gossip\" there is no server at which {} could judge",
            entry.name
        ))),
    }
}

fn is_gossip(settings: &Settings) -> Result<bool, SpecError> {
    Ok(!settings.network.is_empty() && spec::parse(&settings.network)?.name == "gossip")
}

/// Where messages take time; filters always have a network.
fn network_of(settings: &Settings, judge: &Judge) -> Result<Option<Scenario>, Failure> {
    let text = match (settings.network.as_str(), judge) {
        ("", Judge::Rule(_)) => return Ok(None),
        ("", Judge::Filter(..)) => "uniform",
        (text, _) => text,
    };
    if is_gossip(settings)? {
        return Ok(None);
    }
    let scenario = Scenario::parse(text)?;
    match (&scenario.staleness, judge) {
        (Staleness::Network(network), _) => network.check(settings.n)?,
        (Staleness::Uniform { .. }, Judge::Filter(..)) => {}
        (Staleness::Uniform { .. }, Judge::Rule(_)) => {
            return Err(Failure::refused(
                "network=\"uniform\" draws staleness, which only filters know; take network",
            ));
        }
    }
    Ok(Some(scenario))
}

fn one(text: &str) -> Result<String, SpecError> {
    spec::parse(text).map(|spec| spec.to_string())
}

/// The settings with specifications in their one spelling, so that equal runs have equal keys.
///
/// # Errors
/// If a specification is malformed, or no rule, stage or filter has its name.
pub(crate) fn spelt(settings: &Settings, own: &Own) -> Result<Settings, Failure> {
    let rule = match own.filter_of(&settings.rule)? {
        Some(_) => one(&settings.rule)?,
        None => own.pipeline(&settings.rule)?.spec().to_owned(),
    };
    in_one_spelling(settings, rule)
}

fn in_one_spelling(settings: &Settings, rule: String) -> Result<Settings, Failure> {
    Ok(Settings {
        rule,
        network: match settings.network.as_str() {
            "" => String::new(),
            network => one(network)?,
        },
        attack: one(&settings.attack)?,
        dataset: one(&settings.dataset)?,
        validation_from: one(&settings.validation_from)?,
        model: one(&settings.model)?,
        partition: one(&settings.partition)?,
        sampling: one(&settings.sampling)?,
        schedule: one(&settings.schedule)?,
        message: match one(&settings.message)? {
            short if short == "one-bit" => "sign zero=plus-one".into(),
            message => message,
        },
        local_optimiser: one(&settings.local_optimiser)?,
        compression: one(&settings.compression)?,
        participation: one(&settings.participation)?,
        non_finite: one(&settings.non_finite)?,
        server_optimiser: one(&settings.server_optimiser)?,
        weights: one(&settings.weights)?,
        ..settings.clone()
    })
}
