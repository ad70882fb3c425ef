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

mod iid;
mod sampler;

pub use sampler::{Minibatches, SAMPLING, Sampling};

use crate::Dataset;
use varangian_base::{Entry, Seed, Spec, SpecError, entry};

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
    /// One list of sample indices a worker, none empty, no sample in two.
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

/// All partitions.
pub static ALL: &[&Entry<dyn Partition>] = &[&iid::ENTRY];

/// Makes the partition that `spec` describes.
///
/// # Errors
/// If the partition or a parameter is unknown or out of range.
pub fn make(spec: &Spec) -> Result<Box<dyn Partition>, SpecError> {
    entry::find("partition", ALL, &spec.name)?.make(spec)
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
