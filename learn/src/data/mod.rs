//! Data sets: what a training run reads. A new one is one file and one line in [`entry::ALL`].

use crate::Batch;
use varangian_base::Stream;

/// The shape of one input: channels × height × width (features × 1 × 1 for tables).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shape {
    /// Channels, or features.
    pub channels: usize,
    /// Rows of pixels.
    pub height: usize,
    /// Columns of pixels.
    pub width: usize,
}

impl Shape {
    /// The number of floats of one input.
    pub fn len(&self) -> usize {
        self.channels * self.height * self.width
    }

    /// Whether an input holds nothing.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// A set of samples in memory, one split (train or test) of a data set.
pub trait Dataset: Send + Sync {
    /// The number of samples.
    fn len(&self) -> usize;

    /// Whether there is no sample.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The shape of an input.
    fn shape(&self) -> Shape;

    /// The number of classes; 0 for regression.
    fn classes(&self) -> usize;

    /// The label of sample i, for partitions by label; 0 for regression.
    fn label(&self, i: usize) -> u32;

    /// Fills `batch` with the samples at `indices`, in that order. `augment` is the stream for
    /// random transforms of a training view; test views ignore it.
    fn fill(&self, indices: &[u32], augment: &mut Stream, batch: &mut Batch);
}

/// A training and a test split.
pub struct Split {
    /// What workers learn from.
    pub train: std::sync::Arc<dyn Dataset>,
    /// What the model is judged on.
    pub test: std::sync::Arc<dyn Dataset>,
}
