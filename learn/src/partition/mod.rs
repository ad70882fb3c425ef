//! Partitions: which worker learns from which samples, and which of them make up its minibatches.
//!
//! ```
//! use varangian_base::{Seed, spec};
//! use varangian_learn::partition::{Samples, make};
//! let samples = Samples { labels: vec![0; 10], classes: 1, groups: vec![] };
//! let iid = make(&spec::parse("iid").unwrap()).unwrap();
//! let shares = iid.split(&samples, 3, Seed(1)).unwrap();
//! assert_eq!(shares.samples.iter().map(Vec::len).collect::<Vec<_>>(), [4, 3, 3]);
//! ```

mod by_file;
mod dirichlet;
mod honest;
mod iid;
mod long_tail;
mod quantity;
mod sampler;
mod skew;
mod sorted;

pub use honest::over_honest;
pub use sampler::{Minibatches, SAMPLING, Sampling};
pub use skew::Skew;

use crate::Dataset;
use varangian_base::{Domain, Entry, Kind, Param, Seed, Spec, SpecError, entry, lanes};

/// What a partition knows of the training samples.
#[derive(Clone, Debug, Default)]
pub struct Samples {
    /// Each sample's label, below `classes`; all 0 for regression.
    pub labels: Vec<u32>,
    /// The number of classes; 0 for regression.
    pub classes: usize,
    /// The file or author that each sample came from, or nothing where the set does not say.
    pub groups: Vec<u32>,
}

impl Samples {
    /// What `data` says of its samples.
    pub fn of(data: &dyn Dataset) -> Samples {
        let labels = (0..data.len()).map(|i| data.label(i)).collect();
        let groups = data.groups().map_or_else(Vec::new, <[u32]>::to_vec);
        Samples { labels, classes: data.classes(), groups }
    }

    /// The number of samples.
    pub fn len(&self) -> usize {
        self.labels.len()
    }

    /// Whether there is no sample.
    pub fn is_empty(&self) -> bool {
        self.labels.is_empty()
    }
}

/// Who learns from what.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Shares {
    /// One list of sample indices a worker, none empty, no sample in two but after [`over_honest`].
    pub samples: Vec<Vec<u32>>,
    /// What the reader should know: samples moved to a worker that had none, samples left out.
    pub notes: Vec<String>,
}

/// Splits the training samples over workers.
pub trait Partition: Send + Sync {
    /// One share a worker. Every sample goes to at most one worker and no share is empty.
    ///
    /// # Errors
    /// If a worker would be left without data, or the partition needs what the set has not.
    fn split(&self, samples: &Samples, workers: usize, seed: Seed) -> Result<Shares, SpecError>;
}

/// The entry of a partition.
pub type PartitionEntry = Entry<dyn Partition>;

/// All partitions.
pub static ALL: &[&PartitionEntry] = &[
    &iid::ENTRY,
    &dirichlet::ENTRY,
    &sorted::GAMMA,
    &sorted::SORTED,
    &sorted::SHARDS,
    &long_tail::ENTRY,
    &quantity::ENTRY,
    &by_file::ENTRY,
];

/// Makes the partition that `spec` describes.
///
/// # Errors
/// If the partition or a parameter is unknown or out of range.
pub fn make(spec: &Spec) -> Result<Box<dyn Partition>, SpecError> {
    make_among(spec, &[])
}

/// As [`make`], where `spec` may also name one of `own`: a partition from outside.
///
/// # Errors
/// As [`make`]; or if an own entry has the name of another.
pub fn make_among(
    spec: &Spec,
    own: &[&'static PartitionEntry],
) -> Result<Box<dyn Partition>, SpecError> {
    entry::find("partition", &entry::among("partition", ALL, own)?, &spec.name)?.make(spec)
}

/// An error unless each of `workers` workers can have a sample.
pub(crate) fn enough(samples: usize, workers: usize) -> Result<(), SpecError> {
    if workers == 0 || samples < workers {
        return Err(SpecError::new(format!(
            "a partition needs at least one worker and one sample a worker; \
             found {workers} workers and {samples} samples"
        )));
    }
    Ok(())
}

/// The fewest samples of a worker.
pub(crate) const LEAST: Param = Param {
    name: "least",
    kind: Kind::Count { min: 1, max: usize::MAX },
    default: "1",
    help: "the fewest samples that a worker may have",
};

/// What to do with a worker that has fewer.
pub(crate) const EMPTY: Param = Param {
    name: "empty",
    kind: Kind::Choice(&["move", "refuse"]),
    default: "move",
    help: "move: such a worker gets samples from the largest share, and this is said; refuse: an error",
};

/// Each class's samples, shuffled.
pub(crate) fn by_class(
    name: &str,
    samples: &Samples,
    seed: Seed,
) -> Result<Vec<Vec<u32>>, SpecError> {
    if samples.classes == 0 {
        let why = "needs labels; found a regression set";
        return Err(SpecError::new(format!("the partition {name} {why}")));
    }
    let mut pools = vec![Vec::new(); samples.classes];
    for (i, &label) in samples.labels.iter().enumerate() {
        pools[label as usize].push(i as u32);
    }
    for (class, pool) in pools.iter_mut().enumerate() {
        seed.lane(Domain::Partition, 0, class as u64, lanes::partition::POOL).shuffle(pool);
    }
    Ok(pools)
}

/// Sees to it that each worker has at least `least` samples: in the order of their ids, workers
/// with fewer get the last samples of the share that is then the largest (the lowest id among
/// equals). Returns what to tell the reader.
pub(crate) fn keep_nonempty(
    name: &str,
    shares: &mut [Vec<u32>],
    least: usize,
    refuse: bool,
) -> Result<Vec<String>, SpecError> {
    let poor: Vec<usize> = (0..shares.len()).filter(|&w| shares[w].len() < least).collect();
    let Some(&first) = poor.first() else { return Ok(Vec::new()) };
    let (total, workers) = (shares.iter().map(Vec::len).sum::<usize>(), shares.len());
    if refuse || least.saturating_mul(workers) > total {
        return Err(SpecError::new(format!(
            "{name} leaves worker {first} with {} samples; at least {least} are required, \
             and {workers} workers share {total}",
            shares[first].len()
        )));
    }
    let mut moved = 0;
    for &w in &poor {
        while shares[w].len() < least {
            let size = |k: &usize| shares[*k].len();
            let largest = (0..workers).rev().max_by_key(size).unwrap_or(w);
            let sample = shares[largest].pop();
            shares[w].extend(sample);
            moved += 1;
        }
    }
    let names: Vec<String> = poor.iter().map(usize::to_string).collect();
    Ok(vec![format!(
        "{name} left {} of {workers} workers with fewer than {least} samples (worker {}): \
         {moved} samples were moved to them from the largest shares",
        poor.len(),
        names.join(", ")
    )])
}

/// Divides the samples 0 to `len` − 1 into `count` held out for validation and the rest, both
/// ascending, drawn from the seed.
///
/// # Errors
/// If that leaves nothing to learn from.
pub fn hold_out(len: usize, count: usize, seed: Seed) -> Result<(Vec<u32>, Vec<u32>), SpecError> {
    if count >= len {
        return Err(SpecError::new(format!(
            "holding out {count} samples needs more than that; found {len}"
        )));
    }
    let mut order = seed.lane(Domain::Partition, 0, 0, lanes::partition::HELD).permutation(len);
    let mut rest = order.split_off(count);
    order.sort_unstable();
    rest.sort_unstable();
    Ok((order, rest))
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn make(text: &str) -> Box<dyn Partition> {
        super::make(&varangian_base::spec::parse(text).unwrap()).unwrap()
    }

    pub(crate) fn split(text: &str, samples: &Samples, workers: usize) -> Shares {
        make(text).split(samples, workers, Seed(5)).unwrap()
    }

    /// n samples with classes in turn.
    pub(crate) fn balanced(n: usize, classes: usize) -> Samples {
        let labels = (0..n).map(|i| (i % classes) as u32).collect();
        Samples { labels, classes, groups: Vec::new() }
    }

    /// Whether each of n samples is in one share.
    pub(crate) fn complete(shares: &Shares, n: usize) -> bool {
        let mut all = shares.samples.concat();
        all.sort_unstable();
        all.iter().copied().eq(0..n as u32)
    }

    #[test]
    fn every_partition_is_deterministic_disjoint_and_nonempty() {
        let mut samples = balanced(500, 7);
        samples.groups = (0..500).map(|i| i / 20).collect();
        for entry in ALL {
            let partition = make(entry.name);
            let shares = partition.split(&samples, 12, Seed(1)).unwrap();
            assert_eq!(shares, partition.split(&samples, 12, Seed(1)).unwrap());
            assert_ne!(shares, partition.split(&samples, 12, Seed(2)).unwrap(), "{}", entry.name);
            assert_eq!(shares.samples.len(), 12);
            assert!(shares.samples.iter().all(|share| !share.is_empty()), "{}", entry.name);
            let mut all = shares.samples.concat();
            let drawn = all.len();
            all.sort_unstable();
            all.dedup();
            assert_eq!(all.len(), drawn, "{}", entry.name);
        }
    }

    #[test]
    fn label_partitions_refuse_regression_and_all_refuse_too_few_samples() {
        let regression = Samples { labels: vec![0; 50], ..Samples::default() };
        for name in ["dirichlet", "sorted", "shards", "gamma-similarity", "long-tail"] {
            let error = make(name).split(&regression, 3, Seed(0)).unwrap_err().to_string();
            assert!(error.ends_with("needs labels; found a regression set"), "{error}");
        }
        for entry in ALL {
            assert!(make(entry.name).split(&balanced(3, 2), 4, Seed(0)).is_err());
            assert!(make(entry.name).split(&balanced(3, 2), 0, Seed(0)).is_err());
        }
    }

    #[test]
    fn held_out_and_rest_make_the_whole() {
        let (held, rest) = hold_out(20, 5, Seed(1)).unwrap();
        assert_eq!((held.len(), rest.len()), (5, 15));
        assert!(held.iter().all(|i| !rest.contains(i)));
        assert!(hold_out(5, 5, Seed(1)).is_err());
    }
}
