//! From settings to a plan: data from the shelf, a model for them, a rule, an attack.

use super::memory;
use crate::config::{Own, Settings};
use crate::{Failure, files};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use varangian_base::{Domain, Seed, SpecError, lanes, spec};
use varangian_learn::data::{Shape, Split};
use varangian_learn::model::{self, state};
use varangian_learn::partition::{self, Minibatches, Sampling, Shares};
use varangian_learn::{Batch, Dataset, Model, Targets};
use varangian_rules::{FilterEntry, Oracle};
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
        let digest = digest(&split);
        let data = Loaded { split, digest };
        loaded.insert(key, data.clone());
        Ok(data)
    }

    /// A hash of all data that these settings read.
    ///
    /// # Errors
    /// As [`Shelf::data`]; if the file to start from cannot be read.
    pub fn digest(&self, settings: &Settings) -> Result<[u8; 32], Failure> {
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
            && let Staleness::Network(network) = Scenario::parse(&settings.network)?.staleness
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
        let parts = self.parts(settings)?;
        let plan = Plan {
            model: parts.model,
            sampler: parts.sampler,
            train: parts.train,
            test: parts.test,
            n: settings.n,
            f: settings.f,
            f_real: settings.f_real(),
            hostile: settings.hostile()?,
            participation: settings.participation()?,
            weights: parts.weights,
            rule: self.own.pipeline(&settings.rule)?,
            attack: self.own.attack(&settings.attack)?,
            optimiser: settings.optimiser()?,
            passes: settings.passes()?,
            oracle: parts.oracle,
            test_samples: settings.test_samples,
            study: (settings.study > 0).then_some(settings.study),
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
        if let Some(entry) = self.own.filter_of(&settings.rule)? {
            return self.swarm(settings, entry).map(|swarm| Course::Swarm(Box::new(swarm)));
        }
        let plan = Box::new(self.plan(settings)?);
        if settings.network.is_empty() {
            return Ok(Course::Lockstep(plan));
        }
        match Scenario::parse(&settings.network)?.staleness {
            Staleness::Network(network) => {
                network.check(settings.n)?;
                Ok(Course::Rounds(plan, network))
            }
            Staleness::Uniform { .. } => Err(Failure::refused(
                "network=\"uniform\" draws staleness, which only filters know; take network",
            )),
        }
    }

    fn swarm(
        &self,
        settings: &Settings,
        entry: &'static FilterEntry,
    ) -> Result<AsyncPlan, Failure> {
        let parts = self.parts(settings)?;
        if settings.participation()?.is_some() {
            return Err(Failure::refused(
                "a filter judges whoever arrives; participation must be all; found a sample",
            ));
        }
        if parts.weights.is_some() {
            return Err(Failure::refused(
                "a filter judges one gradient at a time; weights must be equal; found samples",
            ));
        }
        let (n, f) = (settings.n, settings.f);
        let network = settings.network.as_str();
        let network = if network.is_empty() { "uniform" } else { network };
        let Scenario { staleness, clean, keep } = Scenario::parse(network)?;
        demand_oracle(entry.name, entry.facts.needs_oracle, parts.oracle.is_some())?;
        Ok(AsyncPlan {
            model: parts.model,
            train: parts.train,
            test: parts.test,
            sampler: parts.sampler,
            n,
            f,
            f_real: settings.f_real(),
            hostile: settings.hostile()?,
            filter: self.own.filter(&settings.rule, n, f)?,
            attack: self.own.attack(&settings.attack)?,
            clean,
            optimiser: settings.optimiser()?,
            passes: settings.passes()?,
            oracle: parts.oracle,
            staleness,
            keep,
            test_samples: settings.test_samples,
            seed: Seed(settings.seed),
        })
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
    /// # Errors
    /// What is wrong with these settings.
    pub(super) fn shares(
        &self,
        settings: &Settings,
    ) -> Result<(Box<dyn Model>, Arc<dyn Dataset>, Shares), Failure> {
        let (train, _) = self.split(settings)?;
        let model = model_of(settings, train.as_ref(), &self.own)?;
        let shares = shared_out(train.as_ref(), settings, &self.own)?;
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
    fn parts(&self, settings: &Settings) -> Result<Parts, Failure> {
        let (_, test) = self.split(settings)?;
        let (train, held) = self.trained_on(settings)?;
        let seed = Seed(settings.seed);
        let shares = shared_out(train.as_ref(), settings, &self.own)?;
        let counts: Vec<f64> = shares.samples.iter().map(|of| of.len() as f64).collect();
        let weights = settings.weights(&counts)?;
        let sampling = Sampling::make(&spec::parse(&settings.sampling)?)?;
        let sampler = Minibatches::new(shares.samples, settings.batch, sampling, seed)?;
        let model: Arc<dyn Model> = Arc::from(model_of(settings, train.as_ref(), &self.own)?);
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

/// The model of these settings for these data, where it starts.
fn model_of(
    settings: &Settings,
    train: &dyn Dataset,
    own: &Own,
) -> Result<Box<dyn Model>, Failure> {
    let model = own.model(&settings.model, train.shape(), train.classes())?;
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

pub(super) fn shared_out(
    train: &dyn Dataset,
    settings: &Settings,
    own: &Own,
) -> Result<Shares, SpecError> {
    let partition = own.partition(&settings.partition)?;
    partition.split(&partition::Samples::of(train), settings.n, Seed(settings.seed))
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

/// A hash of sizes, all labels, and the pixels of 256 samples spread over each split: enough for
/// sets that are generated. Of what was read from files it takes in every number.
fn digest(split: &Split) -> [u8; 32] {
    let mut hasher = blake3::Hasher::new();
    for part in [&split.train, &split.test] {
        hash_part(part.as_ref(), &mut hasher);
    }
    *hasher.finalize().as_bytes()
}

fn hash_part(data: &dyn Dataset, hasher: &mut blake3::Hasher) {
    if let Some(whole) = data.fingerprint() {
        hasher.update(&whole);
    }
    let (len, shape) = (data.len(), data.shape());
    for number in [len, shape.channels, shape.height, shape.width, data.classes()] {
        hasher.update(&(number as u64).to_le_bytes());
    }
    for i in 0..len {
        hasher.update(&data.label(i).to_le_bytes());
    }
    let chosen: Vec<u32> = (0..len).step_by(len.div_ceil(256).max(1)).map(|i| i as u32).collect();
    let mut batch = Batch::default();
    data.fill(&chosen, &mut Seed(0).stream(Domain::Evaluation, 0, 0), &mut batch);
    batch.inputs.iter().for_each(|x| {
        hasher.update(&x.to_bits().to_le_bytes());
    });
    if let Targets::Values(values) = &batch.targets {
        values.iter().for_each(|x| {
            hasher.update(&x.to_bits().to_le_bytes());
        });
    }
}
