//! What of a run can be checked before its data are there, and what of it its settings alone do not
//! say.

use super::setup::{Shelf, shared_out};
use crate::Failure;
use crate::config::{Ground, Own, Settings};
use varangian_base::{Entry, SpecError, spec};
use varangian_learn::data;
use varangian_learn::partition::Sampling;
use varangian_sim::swarm::{Staleness, Swarm};
use varangian_sim::{Course, Scenario};

impl Shelf {
    /// What of a run its settings alone do not say.
    ///
    /// # Errors
    /// As [`Shelf::course`].
    pub(super) fn ground(&self, settings: &Settings, course: &Course) -> Result<Ground, Failure> {
        let (train, held) = self.trained_on(settings)?;
        let pools: Vec<usize> = shared_out(train.as_ref(), settings, self.own())?
            .samples
            .iter()
            .map(Vec::len)
            .collect();
        let all: usize = pools.iter().sum();
        let (filter, validates, test, sampler) = match course {
            Course::Lockstep(plan) | Course::Rounds(plan, _) => {
                (false, plan.rule.needs_oracle(), plan.test.len(), &plan.sampler)
            }
            Course::Swarm(plan) => {
                let entry = self.own().filter_of(&settings.rule)?;
                let validates = entry.is_some_and(|entry| entry.facts.needs_oracle);
                (true, validates, plan.test.len(), &plan.sampler)
            }
        };
        let arrivals = if filter { settings.n as f64 } else { 1.0 };
        Ok(Ground {
            filter,
            validates,
            statistics: course.model().buffers() > 0,
            drawn: is_drawn(&settings.dataset, self.own())?,
            test,
            held: held.map_or(0, |held| held.len()),
            pools: if settings.sampling.starts_with("shared-stream") { vec![all] } else { pools },
            whole: all == train.len(),
            epoch: sampler.steps_per_epoch() * arrivals,
        })
    }
}

/// What is wrong with settings whatever the data: every word and number that can be read without.
///
/// # Errors
/// The first offence.
pub(super) fn well_formed(settings: &Settings, own: &Own) -> Result<(), Failure> {
    let Settings { n, f, .. } = *settings;
    settings.optimiser()?;
    settings.hostile()?;
    settings.passes()?;
    own.partition(&settings.partition)?;
    Sampling::make(&spec::parse(&settings.sampling)?)?;
    own.recipe(&settings.model)?;
    for set in [&settings.dataset, &settings.validation_from] {
        if !["held-out", "train"].contains(&set.as_str()) || *set == settings.dataset {
            own.source(&spec::parse(set)?).map_err(|e| Failure::refused(e.to_string()))?;
        }
    }
    if !settings.network.is_empty()
        && let Staleness::Network(network) = Scenario::parse(&settings.network)?.staleness
    {
        network.check(n)?;
    }
    match own.filter_of(&settings.rule)? {
        Some(_) => own.filter(&settings.rule, n, f).map(|_| ())?,
        None => own.pipeline(&settings.rule)?.check(n, f)?,
    }
    let attack = own.attack(&settings.attack)?;
    match settings.f_real() {
        0 => Ok(()),
        f_real => attack
            .check(n - f_real, f_real, f)
            .map_err(|condition| Failure::refused(format!("the attack needs {condition}"))),
    }
}

/// Whether an asynchronous course can begin; the others are checked as plans.
///
/// # Errors
/// What is wrong with it.
pub(super) fn can_begin(course: Course) -> Result<(), Failure> {
    match course {
        Course::Swarm(plan) => Ok(Swarm::new(*plan).map(|_| ())?),
        _ => Ok(()),
    }
}

/// Whether what a data set holds depends on the seed of the data: generated sets, and tables whose
/// test samples are drawn.
fn is_drawn(dataset: &str, own: &Own) -> Result<bool, SpecError> {
    let set = spec::parse(dataset)?;
    let Some(entry) = own.dataset(&set.name) else { return Ok(false) };
    let given = set.pairs.iter().find(|(key, _)| key == "test").map(|(_, value)| value.as_str());
    let default = entry.params.iter().find(|param| param.name == "test").map(|p| p.default);
    let shared = given.or(default).is_some_and(|test| test.parse::<f64>().is_ok());
    Ok(shared || is_generated(entry))
}

/// Whether the program draws the set itself.
fn is_generated(entry: &Entry<dyn data::Source, data::Facts>) -> bool {
    entry.facts.files.is_empty() && entry.params.iter().all(|param| param.name != "file")
}

#[cfg(test)]
mod tests {
    use super::*;
    use varangian_base::Seed;

    #[test]
    fn the_drawn_sets_are_those_that_need_no_folder() {
        for entry in data::ALL {
            let drawn = data::load(entry.name, None, Seed(1)).is_ok();
            assert_eq!(is_generated(entry), drawn, "{}", entry.name);
        }
        let drawn = |text: &str| is_drawn(text, &Own::default()).unwrap();
        assert!(drawn("csv file=a.csv") && drawn("csv file=a.csv test=0.5"));
        assert!(!drawn("csv file=a.csv test=b.csv") && !drawn("mnist"));
    }
}
