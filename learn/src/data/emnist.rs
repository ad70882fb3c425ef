//! EMNIST: handwritten digits and letters in MNIST's format, stored column by column.

use super::idx_images::IdxImages;
use super::transform::{CROP, FLIP, NORMALISE, Options, PAD};
use super::{Facts, Source};
use varangian_base::{Entry, Kind, Param};

/// EMNIST.
pub(crate) static ENTRY: Entry<dyn Source, Facts> = Entry {
    name: "emnist",
    summary: "Handwritten digits and letters, 28 × 28 grey, in six divisions.",
    paper: "Cohen, Afshar, Tapson, van Schaik: EMNIST, 2017, 1702.05373",
    differs: &[
        "Images are turned upright: the files hold them with rows and columns exchanged.",
        "The letters' labels 1 to 26 become 0 to 25.",
    ],
    params: &[
        Param {
            name: "split",
            kind: Kind::Choice(&["balanced", "letters", "digits", "mnist", "byclass", "bymerge"]),
            default: "balanced",
            help: "which division: 47, 26, 10, 10, 62 or 47 classes",
        },
        NORMALISE,
        FLIP,
        CROP,
        PAD,
    ],
    cost: "103 MB in memory (balanced)",
    facts: Facts {
        size: "112,800 + 18,800, 47 classes (balanced), 1 × 28 × 28",
        files: &[
            "emnist-balanced-train-images-idx3-ubyte",
            "emnist-balanced-train-labels-idx1-ubyte",
            "emnist-balanced-test-images-idx3-ubyte",
            "emnist-balanced-test-labels-idx1-ubyte",
        ],
    },
    build: |args| {
        let split = args.text("split");
        let name = |view: &str, kind: &str| format!("emnist-{split}-{view}-{kind}-ubyte");
        let (classes, first) = match split {
            "letters" => (26, 1),
            "digits" => (10, 0),
            "mnist" => (10, 0),
            "byclass" => (62, 0),
            "bymerge" => (47, 0),
            _ => (47, 0),
        };
        Ok(Box::new(IdxImages {
            name: "emnist",
            folders: &["emnist", "EMNIST/raw", "gzip", ""],
            files: [
                name("train", "images-idx3"),
                name("train", "labels-idx1"),
                name("test", "images-idx3"),
                name("test", "labels-idx1"),
            ],
            classes,
            first,
            transposed: true,
            options: Options::read(args, None),
        }))
    },
};
