//! What a worker needs of a run whose server is elsewhere: model, data, optimiser, by the settings
//! that the server tells.

use super::setup::Shelf;
use crate::Failure;
use crate::config::{Experiment, Own, Settings, Source};
use std::path::PathBuf;
use std::sync::Arc;
use varangian_attacks::Attack;
use varangian_base::Seed;
use varangian_learn::optim::Optimiser;
use varangian_learn::{Dataset, Model, Sampler};
use varangian_rules::Pipeline;
use varangian_sim::Course;
use varangian_train::Job;

/// What a worker computes with.
pub struct Station {
    /// The settings, the worker's own changes included.
    pub settings: Settings,
    /// The model.
    pub model: Arc<dyn Model>,
    /// What it learns from.
    pub train: Arc<dyn Dataset>,
    /// Which samples it draws.
    pub sampler: Arc<dyn Sampler>,
    /// Clipping, momentum, message.
    pub optimiser: Optimiser,
    /// The run's seed.
    pub seed: Seed,
    /// The attack of the settings, which a hostile worker plays.
    pub attack: Box<dyn Attack>,
    /// The server's rule, for attacks that try it; the average where each message is judged alone.
    pub rule: Pipeline,
}

/// What a worker brings itself.
#[derive(Clone, Debug, Default)]
pub struct Brought {
    /// The folder of its data files.
    pub data: Option<PathBuf>,
    /// `key=value` pairs that win over what the server says: its own data above all.
    pub set: Vec<String>,
    /// Models, data sets and attacks from outside that the settings may name.
    pub own: Own,
}

impl Station {
    /// Makes ready for the run that `settings` describe.
    ///
    /// # Errors
    /// If they are no settings of one run, or the data cannot be read.
    pub fn of(settings: &str, brought: &Brought) -> Result<Self, Failure> {
        let source = Source { set: brought.set.clone(), ..Source::default() };
        let experiment = Experiment::parse(settings, "served", &source)?;
        let [settings] = &experiment.runs[..] else {
            let found = experiment.runs.len();
            return Err(Failure::refused(format!("a worker takes part in one run; found {found}")));
        };
        let shelf = Shelf::among(brought.data.clone(), brought.own.clone());
        let settings = settings.clone();
        Ok(match shelf.course(&settings)? {
            Course::Lockstep(plan) | Course::Rounds(plan, _) | Course::Gossip(plan, _) => Station {
                settings,
                model: plan.model,
                train: plan.train,
                sampler: plan.sampler,
                optimiser: plan.optimiser,
                seed: plan.seed,
                attack: plan.attack,
                rule: plan.rule,
            },
            Course::Swarm(plan) => Station {
                settings,
                model: plan.model,
                train: plan.train,
                sampler: plan.sampler,
                optimiser: plan.optimiser,
                seed: plan.seed,
                attack: plan.attack,
                rule: Pipeline::parse("average")?,
            },
        })
    }

    /// What every worker of the run shares.
    pub fn job(&self) -> Job<'_> {
        Job {
            model: self.model.as_ref(),
            train: self.train.as_ref(),
            sampler: self.sampler.as_ref(),
            optimiser: &self.optimiser,
            seed: self.seed,
        }
    }
}
