//! Fashion-MNIST: articles of clothing in MNIST's format.

use super::idx_images::IdxImages;
use super::mnist::FILES;
use super::transform::{CROP, FLIP, NORMALISE, Options, PAD};
use super::{Facts, Source};
use varangian_base::Entry;

/// Fashion-MNIST.
pub(crate) static ENTRY: Entry<dyn Source, Facts> = Entry {
    name: "fashion-mnist",
    summary: "Articles of clothing, 28 × 28 grey; its files are named as MNIST's, so they stand in a folder of their own.",
    paper: "Xiao, Rasul, Vollgraf: Fashion-MNIST, 2017, 1708.07747",
    differs: &[],
    params: &[NORMALISE, FLIP, CROP, PAD],
    cost: "55 MB in memory",
    facts: Facts {
        size: "60,000 + 10,000, 10 classes, 1 × 28 × 28",
        files: &[
            "fashion-mnist/train-images-idx3-ubyte",
            "fashion-mnist/train-labels-idx1-ubyte",
            "fashion-mnist/t10k-images-idx3-ubyte",
            "fashion-mnist/t10k-labels-idx1-ubyte",
        ],
    },
    build: |args| {
        Ok(Box::new(IdxImages {
            name: "fashion-mnist",
            folders: &["fashion-mnist", "fashion", "FashionMNIST/raw"],
            files: FILES.map(str::to_owned),
            classes: 10,
            first: 0,
            transposed: false,
            options: Options::read(args, None),
        }))
    },
};
