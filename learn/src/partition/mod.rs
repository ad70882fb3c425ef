//! Partitions: which worker learns from which samples, and which of them make up its minibatches.
//!
//! ```
//! use varangian_base::{Seed, spec};
//! let labels = vec![0; 10];
//! let iid = varangian_learn::partition::make(&spec::parse("iid").unwrap()).unwrap();
//! let shares = iid.split(&labels, 1, 3, Seed(1)).unwrap();
//! assert_eq!(shares.iter().map(Vec::len).collect::<Vec<_>>(), [4, 3, 3]);
//! ```

mod iid;
mod sampler;

pub use sampler::{SAMPLING, Sampler, Sampling};

use varangian_base::{Entry, Seed, Spec, SpecError, entry};

/// Splits the training samples over workers.
pub trait Partition: Send + Sync {
    /// One list of sample indices a worker. `labels` holds each sample's label in 0 to
    /// `classes` − 1. Every sample goes to at most one worker and no list is empty.
    ///
    /// # Errors
    /// If a worker would be left without data, or the partition needs what the set has not.
    fn split(
        &self,
        labels: &[u32],
        classes: usize,
        workers: usize,
        seed: Seed,
    ) -> Result<Vec<Vec<u32>>, SpecError>;
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

/// The labels of a data set, as partitions want them.
pub fn labels(data: &dyn crate::Dataset) -> Vec<u32> {
    (0..data.len()).map(|i| data.label(i)).collect()
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
