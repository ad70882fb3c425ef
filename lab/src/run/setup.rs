//! From settings to a plan: data from the shelf, a model for them, a rule, an attack.

use super::digest::digest;
use super::memory;
use crate::config::{Judge, Own, Read, Settings, Words};
use crate::{Failure, files};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use varangian_base::{Seed, SpecError, lanes};
use varangian_learn::data::{Shape, Split};
use varangian_learn::model::{self, Tensor, state};
use varangian_learn::partition::{self, Minibatches, Shares};
use varangian_learn::{Dataset, Model};
use varangian_rules::{Filter, Oracle, Pipeline};
use varangian_sim::swarm::{AsyncPlan, Staleness};
use varangian_sim::{Course, Plan, Scenario};
use varangian_train::{Validation, hold_out};

/// Data sets that were loaded, each once.
pub struct Shelf {
    folder: Option<PathBuf>,
    own: Own,
    loaded: Mutex<BTreeMap<(String, u64), Loaded>>,
}

/// A data set, and what tells it from others.
#[derive(Clone)]
pub struct Loaded {
    /// The data.
    pub split: Split,
    /// A hash of the data: part of the key of every run on them.
    pub digest: [u8; 32],
}

impl Shelf {
    /// An empty shelf; files are looked for below `folder`.
    pub fn new(folder: Option<PathBuf>) -> Self {
        Shelf::among(folder, Own::default())
    }

    /// As [`Shelf::new`], for settings that may name what stands in `own`.
    pub fn among(folder: Option<PathBuf>, own: Own) -> Self {
        Shelf { folder, own, loaded: Mutex::default() }
    }

    /// What settings may name beside the lists.
    pub(super) fn own(&self) -> &Own {
        &self.own
    }

    /// The data set of these settings.
    ///
    /// # Errors
    /// If it is unknown, or a file is missing, truncated or inconsistent.
    pub fn data(&self, settings: &Settings) -> Result<Loaded, Failure> {
        let drawn = if settings.data_seed == 0 { settings.seed } else { settings.data_seed };
        let key = (settings.dataset.clone(), drawn);
        let mut loaded = self.loaded.lock().expect("no thread panicked");
        if let Some(data) = loaded.get(&key) {
            return Ok(data.clone());
        }
        let split = self.own.load(&settings.dataset, self.folder.clone(), Seed(drawn));
        let split = split.map_err(|error| Failure::refused(error.to_string()))?;
        let data = Loaded { digest: digest(&split), split };
        loaded.insert(key, data.clone());
        Ok(data)
    }

    /// A hash of all data that a run reads.
    ///
    /// # Errors
    /// As [`Shelf::data`]; if the file to start from cannot be read.
    pub(super) fn digest(&self, settings: &Settings, words: &Words) -> Result<[u8; 32], Failure> {
        let mut digest = self.data(settings)?.digest;
        let mut add = |other: &[u8]| {
            digest = *blake3::Hasher::new().update(&digest).update(other).finalize().as_bytes();
        };
        match settings.validation_from.as_str() {
            _ if settings.validation == 0 => {}
            "held-out" | "train" => {}
            other => {
                let given = Settings { dataset: other.to_owned(), ..settings.clone() };
                add(&self.data(&given)?.digest);
            }
        }
        if settings.network.contains("trace")
            && let Some(Staleness::Network(network)) = words.network.as_ref().map(|n| &n.staleness)
        {
            // Every duration to its last bit: an edited trace is another network.
            add(format!("{network:?}").as_bytes());
        }
        if !settings.start.is_empty() {
            let path = Path::new(&settings.start);
            let bytes = files::read_plain(path).map_err(|e| Failure::file("read", path, &e))?;
            add(blake3::hash(&bytes).as_bytes());
        }
        Ok(self.own.digest(settings, digest))
    }

    /// The plan of a synchronous run, checked: nothing is left that could be wrong with it.
    ///
    /// # Errors
    /// What is wrong.
    pub fn plan(&self, settings: &Settings) -> Result<Plan, Failure> {
        let read = Read::whole(settings, &self.own)?;
        match &read.words.judge {
            Judge::Rule(rule) => self.plan_of(&read, fork_of(rule)),
            Judge::Filter(entry, _) => Err(Failure::refused(format!(
                "{} judges one gradient at a time; a step takes an aggregation rule",
                entry.name
            ))),
        }
    }

    fn plan_of(&self, read: &Read, mut rule: Pipeline) -> Result<Plan, Failure> {
        let (Read { settings, words }, parts) = (read, self.parts(read)?);
        rule.divide(parts.model.tensors().iter().map(Tensor::extent));
        let plan = Plan {
            model: parts.model,
            sampler: parts.sampler,
            train: parts.train,
            test: parts.test,
            n: settings.n,
            f: settings.f,
            f_real: settings.f_real(),
            hostile: words.hostile,
            participation: words.participation,
            non_finite: words.non_finite,
            weights: parts.weights,
            rule,
            attack: words.attack.fork(),
            optimiser: words.optimiser.clone(),
            passes: words.passes,
            oracle: parts.oracle,
            test_samples: settings.test_samples,
            study: (settings.study > 0).then_some(settings.study),
            certificate: settings.certificate()?,
            seed: Seed(settings.seed),
        };
        plan.check()?;
        demand_oracle(plan.rule.spec(), plan.rule.needs_oracle(), plan.oracle.is_some())?;
        Ok(plan)
    }

    /// How these settings are run, checked.
    ///
    /// # Errors
    /// What is wrong.
    pub fn course(&self, settings: &Settings) -> Result<Course, Failure> {
        self.course_of(&Read::whole(settings, &self.own)?)
    }

    /// How a run is driven whose words are read, checked.
    ///
    /// # Errors
    /// What is wrong.
    pub(super) fn course_of(&self, read: &Read) -> Result<Course, Failure> {
        let rule = match &read.words.judge {
            Judge::Filter(entry, filter) => {
                let filter = filter.lock().expect("no thread panicked").fork();
                let swarm = self.swarm(read, entry.name, filter)?;
                return Ok(Course::Swarm(Box::new(swarm)));
            }
            Judge::Rule(rule) => fork_of(rule),
        };
        let plan = Box::new(self.plan_of(read, rule)?);
        if let Some(gossip) = read.words.gossip {
            gossip.check(&plan)?;
            return Ok(Course::Gossip(plan, gossip));
        }
        Ok(match read.words.network.as_ref().map(|network| &network.staleness) {
            Some(Staleness::Network(network)) => Course::Rounds(plan, network.clone()),
            _ => Course::Lockstep(plan),
        })
    }

    fn swarm(
        &self,
        read: &Read,
        name: &str,
        filter: Box<dyn Filter>,
    ) -> Result<AsyncPlan, Failure> {
        let Read { settings, words } = read;
        let parts = self.parts(read)?;
        if words.participation.is_some() {
            return Err(Failure::refused(
                "a filter judges whoever arrives; participation must be all; found a sample",
            ));
        }
        if parts.weights.is_some() {
            return Err(Failure::refused(
                "a filter judges one gradient at a time; weights must be equal; found samples",
            ));
        }
        let Scenario { staleness, clean, keep } =
            words.network.clone().expect("a filter has a network");
        demand_oracle(name, words.validate(), parts.oracle.is_some())?;
        let plan = AsyncPlan {
            model: parts.model,
            train: parts.train,
            test: parts.test,
            sampler: parts.sampler,
            n: settings.n,
            f: settings.f,
            f_real: settings.f_real(),
            hostile: words.hostile,
            filter,
            attack: words.attack.fork(),
            clean,
            optimiser: words.optimiser.clone(),
            passes: words.passes,
            oracle: parts.oracle,
            staleness,
            keep,
            test_samples: settings.test_samples,
            seed: Seed(settings.seed),
        };
        plan.check()?;
        Ok(plan)
    }

    /// What is learnt from and what is judged on: the test set, or held-out training samples.
    fn split(&self, settings: &Settings) -> Result<(Arc<dyn Dataset>, Arc<dyn Dataset>), Failure> {
        let Split { train, test } = self.data(settings)?.split;
        match settings.judge_on {
            0 => Ok((train, test)),
            held => Ok(hold_out(&train, held, Seed(settings.seed), lanes::oracle::JUDGED)
                .map_err(|e| e.at("judge_on"))?),
        }
    }

    /// The model, the training set and who learns from which of its samples.
    ///
    /// Where the training set is split over honest workers, theirs alone.
    ///
    /// # Errors
    /// What is wrong with these settings.
    pub(super) fn shares(
        &self,
        read: &Read,
    ) -> Result<(Box<dyn Model>, Arc<dyn Dataset>, Shares), Failure> {
        let (train, _) = self.split(&read.settings)?;
        let model = model_of(read, train.as_ref())?;
        let (samples, seed) = (partition::Samples::of(train.as_ref()), Seed(read.settings.seed));
        let workers = read.settings.partition_workers();
        let shares = read.words.partition.split(&samples, workers, seed)?;
        Ok((model, train, shares))
    }

    /// At most `held` training samples of a data set of the same kind as `train`.
    fn given(
        &self,
        name: &str,
        held: usize,
        train: &dyn Dataset,
        settings: &Settings,
    ) -> Result<Arc<dyn Dataset>, Failure> {
        let at = |failure: Failure| failure.at("validation_from");
        let other = Settings { dataset: name.to_owned(), ..settings.clone() };
        let given = self.data(&other).map_err(at)?.split.train;
        if (given.shape(), given.classes()) != (train.shape(), train.classes()) {
            let text = |data: &dyn Dataset| {
                let Shape { channels, height, width } = data.shape();
                format!("{channels} × {height} × {width} in {} classes", data.classes())
            };
            let (wanted, found) = (text(train), text(given.as_ref()));
            let text = format!("samples should be {wanted}, as the workers'; found {found}");
            return Err(at(Failure::refused(text)));
        }
        if held >= given.len() {
            return Ok(given);
        }
        Ok(hold_out(&given, held, Seed(settings.seed), lanes::oracle::VALIDATION)?.1)
    }

    /// What workers learn from, and what the server holds beside it.
    pub(super) fn trained_on(
        &self,
        settings: &Settings,
    ) -> Result<(Arc<dyn Dataset>, Held), Failure> {
        let (train, _) = self.split(settings)?;
        Ok(match (settings.validation, settings.validation_from.as_str()) {
            (0, _) => (train, None),
            (held, "held-out") => {
                let purpose = lanes::oracle::VALIDATION;
                let parts = hold_out(&train, held, Seed(settings.seed), purpose);
                parts.map_err(|e| e.at("validation")).map(|(train, held)| (train, Some(held)))?
            }
            (_, "train") => (train.clone(), Some(train)),
            (held, other) => {
                let held = self.given(other, held, train.as_ref(), settings)?;
                (train, Some(held))
            }
        })
    }

    /// What every run needs, whoever judges.
    fn parts(&self, read: &Read) -> Result<Parts, Failure> {
        let Read { settings, words } = read;
        let (_, test) = self.split(settings)?;
        let (train, held) = self.trained_on(settings)?;
        let seed = Seed(settings.seed);
        let shares = shared_out(train.as_ref(), read)?;
        let counts: Vec<f64> = shares.samples.iter().map(|of| of.len() as f64).collect();
        let weights = settings.weights(&counts)?;
        let sampler = Minibatches::new(shares.samples, settings.batch, words.sampling, seed)?;
        let model: Arc<dyn Model> = Arc::from(model_of(read, train.as_ref())?);
        let at_workers = settings.momentum > 0.0 && settings.momentum_at == "worker";
        let what = format!("a run of {} workers on {} parameters", settings.n, model.dim());
        memory::demand(&what, memory::of_run(settings.n, model.dim(), at_workers))?;
        let oracle = held.map(|held| {
            Validation::new(model.clone(), held, settings.validation_batch, seed)
                .map(|oracle| Box::new(oracle) as Box<dyn Oracle + Send>)
        });
        let oracle = oracle.transpose()?;
        Ok(Parts { model, train, test, sampler: Arc::new(sampler), oracle, weights })
    }
}

fn fork_of(rule: &Mutex<Box<Pipeline>>) -> Pipeline {
    rule.lock().expect("no thread panicked").fork()
}

/// The model of a run for these data, where it starts.
fn model_of(read: &Read, train: &dyn Dataset) -> Result<Box<dyn Model>, Failure> {
    let Read { settings, words: Words { model: (name, recipe), .. } } = read;
    let model = recipe.build(train.shape(), train.classes()).map_err(|error| error.at(name))?;
    let prefix = settings.start_prefix.as_str();
    if settings.start.is_empty() {
        return match prefix {
            "" => Ok(model),
            _ => Err(Failure::refused(format!(
                "start_prefix is taken off the names in start; got \"{prefix}\" and no start"
            ))),
        };
    }
    let state = state::load(model.as_ref(), Path::new(&settings.start), prefix);
    Ok(model::starting_from(model, state.map_err(|error| error.at("start"))?))
}

pub(super) fn shared_out(train: &dyn Dataset, read: &Read) -> Result<Shares, SpecError> {
    let (Read { settings, words }, samples) = (read, partition::Samples::of(train));
    let (n, seed, partition) = (settings.n, Seed(settings.seed), words.partition.as_ref());
    if !words.over_honest || settings.sampling.starts_with("shared-") {
        return partition.split(&samples, n, seed);
    }
    let hostile = words.hostile.ids(n, settings.f_real(), seed);
    partition::over_honest(partition, &samples, n, &hostile, seed)
}

/// What every run needs.
struct Parts {
    model: Arc<dyn Model>,
    train: Arc<dyn Dataset>,
    test: Arc<dyn Dataset>,
    sampler: Arc<Minibatches>,
    oracle: Option<Box<dyn Oracle + Send>>,
    /// How much each worker counts, where not all alike.
    weights: Option<Vec<f64>>,
}

/// Validation samples, where the server holds any.
pub(super) type Held = Option<Arc<dyn Dataset>>;

/// Whether `rule` names a filter of asynchronous training rather than an aggregation rule.
///
/// # Errors
/// If the text is malformed.
pub fn is_filter(rule: &str) -> Result<bool, SpecError> {
    Ok(Own::default().filter_of(rule)?.is_some())
}

fn demand_oracle(name: &str, needs: bool, has: bool) -> Result<(), Failure> {
    match needs && !has {
        false => Ok(()),
        true => Err(Failure::refused(format!(
            "{name} needs samples on the server: set validation; got 0"
        ))),
    }
}
