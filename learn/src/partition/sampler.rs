//! Minibatch indices by address: what worker w draws at step t, without a generator to keep.
//!
//! The draws depend on (seed, worker, step) alone; a small cache of the current epoch's order only
//! saves time. So runs that differ in rule or attack see the same minibatches, and any step can be
//! replayed alone.

use crate::Sampler;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use varangian_base::{Domain, Kind, Param, Seed, Spec, SpecError, lanes};

/// How minibatches are drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sampling {
    /// Each worker goes through its own share in a fresh order each epoch; the last, smaller batch
    /// of an epoch is kept unless `drop_last`.
    Epochs {
        /// Leave out an epoch's last batch if it is smaller than the others.
        drop_last: bool,
    },
    /// Each batch is drawn from the worker's share with replacement.
    WithReplacement,
    /// All workers draw consecutive batches from one shuffled stream over all samples: worker w
    /// gets batch t·n + w (El-Mhamdi, Guerraoui, Rouault 2021, distributed momentum).
    SharedStream {
        /// Leave out an epoch's last batch if it is smaller than the others.
        drop_last: bool,
    },
    /// Each batch is drawn, by each worker for itself, from all samples with replacement: every
    /// worker has the same data (the homogeneous setting of Gorbunov, Horváth, Richtárik & Gidel
    /// 2023, Byz-VR-MARINA, §3).
    SharedPool,
    /// Groups of `times` consecutive workers draw the same batches, in epochs from all that their
    /// shares hold: what redundancy needs (Chen et al. 2018, DRACO's repetition code).
    Repeated {
        /// Workers of a group; the last one may be smaller.
        times: usize,
    },
    /// In each step with a chance as [`Sampling::Repeated`], else as [`Sampling::Epochs`]: what
    /// reactive redundancy needs (Gupta & Vaidya 2019).
    Checked {
        /// Workers of a group; the last one may be smaller.
        times: usize,
        /// The chance of a step, in millionths of a millionth.
        chance: u64,
    },
}

/// The ways of sampling by name, with a summary and parameters each, for help and the catalogue.
pub static SAMPLING: &[(&str, &str, &[Param])] = &[
    ("epochs", "without replacement, a fresh order each epoch, within the worker's share", &[LAST]),
    ("with-replacement", "each batch drawn anew from the worker's share", &[]),
    ("shared-stream", "consecutive batches of one shuffled stream over all samples", &[LAST]),
    ("shared-pool", "each batch drawn anew, by each worker for itself, from all samples", &[]),
    (
        "repeated",
        "groups of consecutive workers draw the same batches from all of their shares",
        &[TIMES],
    ),
    (
        "checked",
        "as epochs, and in some steps as repeated: for the rule reactive",
        &[CHANCE, TIMES],
    ),
];

const TIMES: Param = Param {
    name: "times",
    kind: Kind::Count { min: 1, max: 1_000_000 },
    default: "3",
    help: "workers that draw the same batches",
};

const CHANCE: Param = Param {
    name: "chance",
    kind: Kind::Real { min: 0.0, max: 1.0 },
    default: "0.1",
    help: "the chance that a step is one in which they do",
};

/// Chances are kept as whole numbers, so that two of them can be compared.
const WHOLE: f64 = 1e12;

const LAST: Param = Param {
    name: "last",
    kind: Kind::Choice(&["keep", "drop"]),
    default: "keep",
    help: "whether an epoch's last batch is kept where it is smaller than the others",
};

impl Sampling {
    /// Reads `epochs`, `epochs last=drop`, `with-replacement`, `shared-stream`, `shared-pool`.
    ///
    /// # Errors
    /// If the name or a parameter is unknown.
    pub fn make(spec: &Spec) -> Result<Sampling, SpecError> {
        let Some((name, _, params)) = SAMPLING.iter().find(|(name, ..)| *name == spec.name) else {
            let known: Vec<&str> = SAMPLING.iter().map(|(name, ..)| *name).collect();
            return Err(SpecError::unknown("sampling", &spec.name, &known));
        };
        let args = spec.args(params)?;
        Ok(match *name {
            "epochs" => Sampling::Epochs { drop_last: args.text("last") == "drop" },
            "shared-stream" => Sampling::SharedStream { drop_last: args.text("last") == "drop" },
            "shared-pool" => Sampling::SharedPool,
            "repeated" => Sampling::Repeated { times: args.count("times").expect("has a default") },
            "checked" => Sampling::checked(
                args.real("chance").expect("has a default"),
                args.count("times").expect("has a default"),
            ),
            _ => Sampling::WithReplacement,
        })
    }

    /// [`Sampling::Checked`] with a chance from 0 to 1.
    pub fn checked(chance: f64, times: usize) -> Sampling {
        Sampling::Checked { times, chance: (chance * WHOLE).round() as u64 }
    }
}

/// Draws minibatches for all workers of a run.
pub struct Minibatches {
    workers: usize,
    batch: usize,
    sampling: Sampling,
    seed: Seed,
    /// One a worker or group of workers, or the one that all share.
    pools: Vec<Pool>,
}

/// Samples that batches are drawn from, and the orders of its two latest epochs.
struct Pool {
    samples: Vec<u32>,
    orders: Mutex<BTreeMap<u64, Arc<Vec<u32>>>>,
}

/// The address, as a worker, of the stream that all share.
const SHARED: u32 = u32::MAX;

impl Minibatches {
    /// A sampler of batches of `batch` samples, in epochs, from an even random split.
    ///
    /// # Errors
    /// If there are fewer samples than workers, or the batch is 0.
    pub fn iid(
        data: &dyn crate::Dataset,
        workers: usize,
        batch: usize,
        seed: Seed,
    ) -> Result<Minibatches, SpecError> {
        let iid = super::make(&varangian_base::Spec::bare("iid"))?;
        let shares = iid.split(&super::Samples::of(data), workers, seed)?;
        Minibatches::new(shares.samples, batch, Sampling::Epochs { drop_last: false }, seed)
    }

    /// A sampler of batches of `batch` samples from `shares`, one share a worker.
    ///
    /// # Errors
    /// If there is no worker, a share is empty, the batch is 0, or dropping last batches leaves
    /// none.
    pub fn new(
        shares: Vec<Vec<u32>>,
        batch: usize,
        sampling: Sampling,
        seed: Seed,
    ) -> Result<Minibatches, SpecError> {
        let workers = shares.len();
        if batch == 0 || workers == 0 {
            return Err(SpecError::new(format!(
                "minibatches need at least one sample and one worker; \
                 found a batch of {batch} and {workers} workers"
            )));
        }
        if let Some(w) = shares.iter().position(Vec::is_empty) {
            return Err(SpecError::new(format!("worker {w} has no data to draw minibatches from")));
        }
        let shares = match sampling {
            Sampling::SharedStream { .. } | Sampling::SharedPool => {
                let mut all = shares.concat();
                all.sort_unstable();
                vec![all]
            }
            Sampling::Repeated { times } => {
                shares.chunks(times).map(<[Vec<u32>]>::concat).collect()
            }
            // The workers' own, and behind them those of the groups.
            Sampling::Checked { times, .. } => {
                let groups: Vec<_> = shares.chunks(times).map(<[Vec<u32>]>::concat).collect();
                shares.into_iter().chain(groups).collect()
            }
            _ => shares,
        };
        let fewest = shares.iter().map(Vec::len).min().unwrap_or(0);
        if sampling.drops_last() && fewest < batch {
            return Err(SpecError::new(format!(
                "last=drop needs a full batch of {batch} in every epoch; \
                 found a share of {fewest} samples"
            )));
        }
        let pool = |samples| Pool { samples, orders: Mutex::default() };
        let pools = shares.into_iter().map(pool).collect();
        Ok(Minibatches { workers, batch, sampling, seed, pools })
    }

    /// The number of workers.
    pub fn workers(&self) -> usize {
        self.workers
    }

    /// The most samples in a batch.
    pub fn batch(&self) -> usize {
        self.batch
    }

    /// Which pool a worker draws from.
    fn pool_of(&self, worker: u32) -> usize {
        match self.sampling {
            Sampling::SharedStream { .. } | Sampling::SharedPool => 0,
            Sampling::Repeated { times } => worker as usize / times,
            Sampling::Epochs { .. } | Sampling::WithReplacement | Sampling::Checked { .. } => {
                worker as usize
            }
        }
    }

    /// Batch `number` of the endless sequence of a pool's batches, epoch after epoch.
    fn take(&self, pool: usize, address: u32, number: u64, out: &mut Vec<u32>) {
        let pool = &self.pools[pool];
        let batches = self.batches(pool);
        let (epoch, k) = (number / batches, (number % batches) as usize);
        let order = self.order(pool, address, epoch);
        let start = k * self.batch;
        out.extend_from_slice(&order[start..order.len().min(start + self.batch)]);
    }

    /// Batches in an epoch of a pool.
    fn batches(&self, pool: &Pool) -> u64 {
        match self.sampling.drops_last() {
            true => (pool.samples.len() / self.batch) as u64,
            false => pool.samples.len().div_ceil(self.batch) as u64,
        }
    }

    /// The order of a pool's samples in an epoch.
    fn order(&self, pool: &Pool, address: u32, epoch: u64) -> Arc<Vec<u32>> {
        let mut orders = pool.orders.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        if let Some(order) = orders.get(&epoch) {
            return order.clone();
        }
        let mut order = pool.samples.clone();
        self.seed.lane(Domain::Batch, address, epoch, lanes::batch::EPOCH).shuffle(&mut order);
        let order = Arc::new(order);
        // Two epochs: neighbours in a shared stream may stand on either side of its turn.
        while orders.len() >= 2 {
            orders.pop_first();
        }
        orders.insert(epoch, order.clone());
        order
    }
}

impl Sampler for Minibatches {
    fn draw(&self, worker: u32, step: u64, out: &mut Vec<u32>) {
        assert!((worker as usize) < self.workers, "worker {worker} of {}", self.workers);
        out.clear();
        match self.sampling {
            Sampling::WithReplacement | Sampling::SharedPool => {
                let samples = &self.pools[self.pool_of(worker)].samples;
                let mut stream =
                    self.seed.lane(Domain::Batch, worker, step, lanes::batch::REPLACED);
                out.extend((0..self.batch).map(|_| samples[stream.below(samples.len())]));
            }
            Sampling::Epochs { .. } => self.take(worker as usize, worker, step, out),
            Sampling::Repeated { times } => {
                let group = worker as usize / times;
                self.take(group, group as u32, step, out);
            }
            Sampling::Checked { times, chance } => {
                let pool = match self.seed.checks(step, chance as f64 / WHOLE) {
                    true => self.workers + worker as usize / times,
                    false => worker as usize,
                };
                self.take(pool, pool as u32, step, out);
            }
            Sampling::SharedStream { .. } => {
                let number = step * self.workers as u64 + u64::from(worker);
                self.take(0, SHARED, number, out);
            }
        }
    }

    fn beside(&self, worker: u32, k: u32) -> u32 {
        ((u64::from(worker) + u64::from(k)) % self.workers as u64) as u32
    }

    fn share(&self, worker: u32) -> &[u32] {
        &self.pools[self.pool_of(worker)].samples
    }

    /// The mean over workers where their shares differ in size.
    fn steps_per_epoch(&self) -> f64 {
        let pools = match self.sampling {
            Sampling::Checked { .. } => &self.pools[..self.workers],
            _ => &self.pools[..],
        };
        let batches: u64 = pools.iter().map(|pool| self.batches(pool)).sum();
        let drawing = match self.sampling {
            Sampling::Repeated { .. } | Sampling::SharedPool => self.pools.len(),
            _ => self.workers,
        };
        batches as f64 / drawing as f64
    }
}

impl Sampling {
    fn drops_last(self) -> bool {
        matches!(
            self,
            Sampling::Epochs { drop_last: true } | Sampling::SharedStream { drop_last: true }
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn draw(sampler: &Minibatches, worker: u32, step: u64) -> Vec<u32> {
        let mut out = vec![99];
        sampler.draw(worker, step, &mut out);
        out
    }

    fn sampler(sampling: &str, shares: &[&[u32]], batch: usize) -> Result<Minibatches, SpecError> {
        let sampling = Sampling::make(&varangian_base::spec::parse(sampling)?)?;
        Minibatches::new(shares.iter().map(|s| s.to_vec()).collect(), batch, sampling, Seed(4))
    }

    #[test]
    fn an_epoch_visits_each_sample_once_and_epochs_differ() {
        let share: Vec<u32> = (100..110).collect();
        let s = sampler("epochs", &[&[1, 2], &share], 4).unwrap();
        assert_eq!(s.steps_per_epoch(), 2.0); // 1 and 3 batches
        let epoch = |e: u64| -> Vec<u32> {
            (3 * e..3 * e + 3).flat_map(|step| draw(&s, 1, step)).collect()
        };
        let sizes: Vec<usize> = (0..3).map(|step| draw(&s, 1, step).len()).collect();
        assert_eq!(sizes, [4, 4, 2]);
        let (first, second) = (epoch(0), epoch(1));
        assert_ne!(first, second);
        for mut order in [first, second] {
            order.sort_unstable();
            assert_eq!(order, share);
        }
        let s = sampler("epochs last=drop", &[&share], 4).unwrap();
        assert_eq!(s.steps_per_epoch(), 2.0);
        assert!((0..9).all(|step| draw(&s, 0, step).len() == 4));
    }

    #[test]
    fn the_cache_changes_nothing() {
        let share: Vec<u32> = (0..10).collect();
        let s = sampler("epochs", &[&share], 3).unwrap();
        let forth: Vec<_> = (0..40).map(|step| draw(&s, 0, step)).collect();
        let back: Vec<_> = (0..40).rev().map(|step| draw(&s, 0, step)).collect();
        assert!(forth.iter().eq(back.iter().rev()));
    }

    #[test]
    fn workers_take_turns_at_a_shared_stream() {
        let s = sampler("shared-stream", &[&[0, 1, 2], &[3, 4], &[5, 6]], 2).unwrap();
        // 7 samples: batches of 2, 2, 2, 1 an epoch; three workers, so steps straddle epochs.
        let batches: Vec<_> =
            (0..4).flat_map(|t| (0..3).map(move |w| (w, t))).map(|(w, t)| draw(&s, w, t)).collect();
        for epoch in batches.chunks(4) {
            assert_eq!(epoch.iter().map(Vec::len).collect::<Vec<_>>(), [2, 2, 2, 1]);
            let mut all = epoch.concat();
            all.sort_unstable();
            assert_eq!(all, [0, 1, 2, 3, 4, 5, 6]);
        }
    }

    #[test]
    fn a_group_of_workers_repeats_each_other_and_goes_through_all_of_its_shares() {
        let s = sampler("repeated times=2", &[&[1, 2], &[3], &[7, 8], &[9], &[5]], 2).unwrap();
        for step in 0..8 {
            assert_eq!(draw(&s, 0, step), draw(&s, 1, step));
            assert_eq!(draw(&s, 2, step), draw(&s, 3, step));
            assert_eq!(draw(&s, 4, step), [5]);
        }
        let mut epoch = [draw(&s, 1, 0), draw(&s, 0, 1)].concat();
        epoch.sort_unstable();
        assert_eq!(epoch, [1, 2, 3]);
        assert_eq!(s.steps_per_epoch(), 5.0 / 3.0); // of 2, 2 and 1 batches
    }

    #[test]
    fn with_replacement_batches_are_full_and_from_the_share() {
        let s = sampler("with-replacement", &[&[7, 8], &[9]], 5).unwrap();
        assert_eq!(draw(&s, 1, 0), [9; 5]);
        let drawn: Vec<u32> = (0..20).flat_map(|step| draw(&s, 0, step)).collect();
        let sevens = drawn.iter().filter(|&&i| i == 7).count();
        assert!(drawn.iter().all(|i| [7, 8].contains(i)) && (30..70).contains(&sevens));
    }

    #[test]
    fn a_shared_pool_gives_each_worker_draws_of_its_own_from_all_samples() {
        let s = sampler("shared-pool", &[&[7, 8], &[9, 4]], 3).unwrap();
        assert_eq!((s.share(0), s.share(1)), (&[4, 7, 8, 9][..], &[4, 7, 8, 9][..]));
        let of = |worker: u32| (0..40).flat_map(|t| draw(&s, worker, t)).collect::<Vec<u32>>();
        let (first, second) = (of(0), of(1));
        assert_ne!(first, second);
        assert!([4, 7, 8, 9].iter().all(|i| first.contains(i) && second.contains(i)));
        assert_eq!(s.steps_per_epoch(), 2.0);
        let own = sampler("epochs", &[&[7, 8], &[9, 4]], 3).unwrap();
        assert_eq!((own.share(0), own.share(1)), (&[7, 8][..], &[9, 4][..]));
        let twice = sampler("repeated times=2", &[&[7], &[9], &[4]], 3).unwrap();
        assert_eq!((twice.share(1), twice.share(2)), (&[7, 9][..], &[4][..]));
    }

    #[test]
    fn what_cannot_be_drawn_is_refused() {
        let error = |sampling, shares: &[&[u32]], batch| {
            sampler(sampling, shares, batch).err().expect("refused").to_string()
        };
        assert_eq!(
            error("epochs", &[&[1], &[]], 1),
            "worker 1 has no data to draw minibatches from"
        );
        assert!(error("epochs", &[&[1]], 0).contains("a batch of 0"));
        assert!(error("epochs last=drop", &[&[1]], 2).contains("found a share of 1 samples"));
        assert_eq!(
            error("epoch", &[&[1]], 2),
            "unknown sampling \"epoch\"; did you mean \"epochs\"?"
        );
    }
}
