//! MNIST: handwritten digits (LeCun, Cortes, Burges 1998).

use super::idx_images::IdxImages;
use super::transform::{CROP, FLIP, NORMALISE, Options, PAD, grey};
use super::{Facts, Source};
use varangian_base::Entry;

/// MNIST.
pub(crate) static ENTRY: Entry<dyn Source, Facts> = Entry {
    name: "mnist",
    summary: "Handwritten digits, 28 × 28 grey.",
    paper: "LeCun, Bottou, Bengio, Haffner: Gradient-based learning applied to document recognition, Proc. IEEE 1998",
    differs: &[],
    params: &[NORMALISE, FLIP, CROP, PAD],
    cost: "47 MB in memory",
    facts: Facts { size: "60,000 + 10,000, 10 classes, 1 × 28 × 28", files: FILES },
    build: |args| {
        Ok(Box::new(IdxImages {
            name: "mnist",
            folders: &["mnist", "MNIST/raw", ""],
            files: FILES.map(str::to_owned),
            classes: 10,
            first: 0,
            transposed: false,
            options: Options::read(args, grey(0.1307, 0.3081)),
        }))
    },
};

/// Images and labels for training, then for testing.
pub(crate) const FILES: &[&str; 4] = &[
    "train-images-idx3-ubyte",
    "train-labels-idx1-ubyte",
    "t10k-images-idx3-ubyte",
    "t10k-labels-idx1-ubyte",
];
