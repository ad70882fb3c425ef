//! From settings to a plan: data from the shelf, a model for them, a rule, an attack.

use crate::Failure;
use crate::config::Settings;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use varangian_base::{Domain, Seed, spec};
use varangian_learn::data::Split;
use varangian_learn::partition::{self, Minibatches, Sampling};
use varangian_learn::{Batch, Dataset, Model, Targets, data, model};
use varangian_rules::{Oracle, Pipeline};
use varangian_sim::Plan;
use varangian_train::{Validation, hold_out};

/// Data sets that were loaded, each once.
pub struct Shelf {
    folder: Option<PathBuf>,
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
        Shelf { folder, loaded: Mutex::default() }
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
        let split = data::load(&settings.dataset, self.folder.clone(), Seed(drawn));
        let split = split.map_err(|error| Failure::refused(error.to_string()))?;
        let digest = digest(&split);
        let data = Loaded { split, digest };
        loaded.insert(key, data.clone());
        Ok(data)
    }

    /// The plan of these settings, checked: nothing is left that could be wrong with it.
    ///
    /// # Errors
    /// What is wrong.
    pub fn plan(&self, settings: &Settings) -> Result<Plan, Failure> {
        let Split { train, test } = self.data(settings)?.split;
        let seed = Seed(settings.seed);
        let (train, held) = match settings.validation {
            0 => (train, None),
            held => hold_out(&train, held, seed).map(|(train, held)| (train, Some(held)))?,
        };
        let partition = partition::make(&spec::parse(&settings.partition)?)?;
        let shares = partition.split(&partition::Samples::of(train.as_ref()), settings.n, seed)?;
        let sampling = Sampling::make(&spec::parse(&settings.sampling)?)?;
        let sampler = Minibatches::new(shares.samples, settings.batch, sampling, seed)?;
        let model = model::build(&settings.model, train.shape(), train.classes())?;
        let model: Arc<dyn Model> = Arc::from(model);
        let oracle = held.map(|held| {
            Validation::new(model.clone(), held, settings.validation_batch, seed)
                .map(|oracle| Box::new(oracle) as Box<dyn Oracle + Send>)
        });
        let plan = Plan {
            model,
            sampler: Arc::new(sampler),
            train,
            test,
            n: settings.n,
            f: settings.f,
            f_real: settings.f_real(),
            hostile: settings.hostile()?,
            rule: Pipeline::parse(&settings.rule)?,
            attack: varangian_attacks::build(&settings.attack)?,
            optimiser: settings.optimiser()?,
            oracle: oracle.transpose()?,
            steps: settings.steps,
            evaluate_every: settings.evaluate_every,
            test_samples: settings.test_samples,
            study: (settings.study > 0).then_some(settings.study),
            seed,
        };
        plan.check()?;
        if plan.rule.needs_oracle() && plan.oracle.is_none() {
            let name = plan.rule.spec();
            let text = format!("{name} needs samples on the server: set validation; got 0");
            return Err(Failure::refused(text));
        }
        Ok(plan)
    }
}

/// A hash of sizes, all labels, and the pixels of 256 samples spread over each split: enough to
/// tell apart data sets that differ by more than a few pixels, at no cost.
fn digest(split: &Split) -> [u8; 32] {
    let mut hasher = blake3::Hasher::new();
    for part in [&split.train, &split.test] {
        hash_part(part.as_ref(), &mut hasher);
    }
    *hasher.finalize().as_bytes()
}

fn hash_part(data: &dyn Dataset, hasher: &mut blake3::Hasher) {
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
