//! Data sets: what a training run reads. A new one is one file and one line in [`ALL`].
//!
//! ```
//! use varangian_base::Seed;
//! let split = varangian_learn::data::load("linreg", None, Seed(1)).unwrap();
//! assert_eq!((split.train.len(), split.test.len()), (8_000, 2_000));
//! let error = varangian_learn::data::load("mnsit", None, Seed(1)).err().unwrap();
//! assert_eq!(error.to_string(), "unknown data set \"mnsit\"; did you mean \"mnist\"?");
//! ```

pub mod cifar;
mod emnist;
mod error;
mod fashion_mnist;
mod files;
pub mod folder;
mod glyphs;
mod glyphs_strokes;
pub mod idx;
mod idx_images;
mod images;
mod low_rank;
mod mnist;
mod order;
mod phrases;
mod pixels;
mod subset;
mod synthetic;
mod table;
pub mod tables;
mod transform;

pub use error::DataError;
pub(crate) use error::printable;
pub use images::Images;
pub use subset::Subset;
pub use table::Table;
pub use transform::{Normalise, Transform};

use crate::Batch;
use std::path::PathBuf;
use std::sync::Arc;
use varangian_base::{Entry, Seed, Spec, Stream, entry, spec};

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
    /// The shape of `features` numbers without spatial order.
    pub fn flat(features: usize) -> Self {
        Shape { channels: features, height: 1, width: 1 }
    }

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

    /// For each sample, the file or author that it came from, for partitions by file; `None`
    /// where the set does not say.
    fn groups(&self) -> Option<&[u32]> {
        None
    }

    /// A hash of all samples, where the set was read from files that may change: part of the key
    /// of every run on them. `None` for sets that are generated, and always the same.
    fn fingerprint(&self) -> Option<[u8; 32]> {
        None
    }

    /// Fills `batch` with the samples at `indices`, in that order. `augment` is the stream for
    /// random transforms of a training view; test views ignore it. Implementations begin with
    /// [`Batch::begin`]: a batch is reused, and may list entries of what it held before.
    fn fill(&self, indices: &[u32], augment: &mut Stream, batch: &mut Batch);
}

/// A training and a test split.
#[derive(Clone)]
pub struct Split {
    /// What workers learn from.
    pub train: Arc<dyn Dataset>,
    /// What the model is judged on.
    pub test: Arc<dyn Dataset>,
}

/// Where data come from: a folder for sets read from files, a seed for generated ones.
#[derive(Clone, Debug)]
pub struct Place {
    /// The folder of data files, if one was named.
    pub data_dir: Option<PathBuf>,
    /// The run's seed: draws at `Domain::Data`.
    pub seed: Seed,
}

/// A data set that can be loaded.
pub trait Source: Send + Sync {
    /// Loads or generates both splits.
    ///
    /// # Errors
    /// Names the file, what was expected and what was found.
    fn load(&self, place: &Place) -> Result<Split, DataError>;
}

/// What a data set says beside its parameters.
#[derive(Clone, Copy, Debug)]
pub struct Facts {
    /// Samples of the training and the test split, classes and shape, in words.
    pub size: &'static str,
    /// The files that it wants under the data folder; none if it is generated.
    pub files: &'static [&'static str],
}

/// The entry of a data set.
pub type DataEntry = Entry<dyn Source, Facts>;

/// All data sets.
pub static ALL: &[&DataEntry] = &[
    &glyphs::ENTRY,
    &synthetic::LINREG,
    &synthetic::LOGREG,
    &low_rank::ENTRY,
    &phrases::ENTRY,
    &mnist::ENTRY,
    &fashion_mnist::ENTRY,
    &emnist::ENTRY,
    &cifar::CIFAR10,
    &cifar::CIFAR100,
    &folder::ENTRY,
    &tables::csv::ENTRY,
    &tables::libsvm::ENTRY,
    &tables::npz::ENTRY,
];

/// Makes the source that `spec` describes, without reading anything yet.
///
/// # Errors
/// If the data set or a parameter is unknown or out of range.
pub fn source(spec: &Spec) -> Result<Box<dyn Source>, DataError> {
    source_among(spec, &[])
}

/// As [`source`], where `spec` may also name one of `own`: a data set from outside.
///
/// # Errors
/// As [`source`]; or if an own entry has the name of another.
pub fn source_among(spec: &Spec, own: &[&'static DataEntry]) -> Result<Box<dyn Source>, DataError> {
    let all = entry::among("data set", ALL, own)?;
    Ok(entry::find("data set", &all, &spec.name)?.make(spec)?)
}

/// Loads the data set that `text` describes, such as `"mnist normalise=none"`.
///
/// # Errors
/// If the specification is wrong, or a file is missing, truncated or inconsistent.
pub fn load(text: &str, data_dir: Option<PathBuf>, seed: Seed) -> Result<Split, DataError> {
    load_among(text, data_dir, seed, &[])
}

/// As [`load`], where `text` may also name one of `own`: a data set from outside.
///
/// # Errors
/// As [`load`]; or if an own entry has the name of another.
pub fn load_among(
    text: &str,
    data_dir: Option<PathBuf>,
    seed: Seed,
    own: &[&'static DataEntry],
) -> Result<Split, DataError> {
    source_among(&spec::parse(text)?, own)?.load(&Place { data_dir, seed })
}
