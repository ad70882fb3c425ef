//! What of a run its settings alone do not say.

use super::setup::{Shelf, shared_out};
use crate::Failure;
use crate::config::{Ground, Own, Read};
use varangian_base::{Entry, Spec};
use varangian_learn::data;
use varangian_sim::Course;

impl Shelf {
    /// What of a run its settings alone do not say.
    ///
    /// # Errors
    /// As [`Shelf::course`].
    pub(super) fn ground(&self, read: &Read, course: &Course) -> Result<Ground, Failure> {
        let Read { settings, words } = read;
        let (train, held) = self.trained_on(settings)?;
        let pools: Vec<usize> =
            shared_out(train.as_ref(), read)?.samples.iter().map(Vec::len).collect();
        let all: usize = pools.iter().sum();
        let (filter, validates, test, sampler) = match course {
            Course::Lockstep(plan) | Course::Rounds(plan, _) | Course::Gossip(plan, _) => {
                (false, plan.rule.needs_oracle(), plan.test.len(), &plan.sampler)
            }
            Course::Swarm(plan) => (true, words.validate(), plan.test.len(), &plan.sampler),
        };
        let arrivals = if filter { settings.n as f64 } else { 1.0 };
        Ok(Ground {
            filter,
            validates,
            statistics: course.model().buffers() > 0,
            drawn: is_drawn(&words.dataset, self.own()),
            schedule: words.optimiser.schedule.clone(),
            test,
            held: held.map_or(0, |held| held.len()),
            pools: if settings.sampling.starts_with("shared-") { vec![all] } else { pools },
            whole: all == train.len(),
            epoch: sampler.steps_per_epoch() * arrivals,
        })
    }
}

/// Whether what a data set holds depends on the seed of the data: generated sets, and tables whose
/// test samples are drawn.
fn is_drawn(set: &Spec, own: &Own) -> bool {
    let Some(entry) = own.dataset(&set.name) else { return false };
    let given = set.pairs.iter().find(|(key, _)| key == "test").map(|(_, value)| value.as_str());
    let default = entry.params.iter().find(|param| param.name == "test").map(|p| p.default);
    let shared = given.or(default).is_some_and(|test| test.parse::<f64>().is_ok());
    shared || is_generated(entry)
}

/// Whether the program draws the set itself.
fn is_generated(entry: &Entry<dyn data::Source, data::Facts>) -> bool {
    entry.facts.files.is_empty() && entry.params.iter().all(|param| param.name != "file")
}

#[cfg(test)]
mod tests {
    use super::*;
    use varangian_base::{Seed, spec};

    #[test]
    fn the_drawn_sets_are_those_that_need_no_folder() {
        for entry in data::ALL {
            let drawn = data::load(entry.name, None, Seed(1)).is_ok();
            assert_eq!(is_generated(entry), drawn, "{}", entry.name);
        }
        let drawn = |text: &str| is_drawn(&spec::parse(text).unwrap(), &Own::default());
        assert!(drawn("csv file=a.csv") && drawn("csv file=a.csv test=0.5"));
        assert!(!drawn("csv file=a.csv test=b.csv") && !drawn("mnist"));
    }
}
