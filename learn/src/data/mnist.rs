//! MNIST (LeCun, Cortes, Burges 1998) from its four IDX files.

use super::{
    DataError, Dataset, Facts, Images, Normalise, Place, Shape, Source, Split, files, idx,
};
use std::path::Path;
use std::sync::Arc;
use varangian_base::{Args, Entry, Kind, Param};

/// MNIST.
pub(crate) static MNIST: Entry<dyn Source, Facts> = Entry {
    name: "mnist",
    summary: "Handwritten digits, 28 × 28 grey.",
    paper: "LeCun, Bottou, Bengio, Haffner: Gradient-based learning applied to document recognition, Proc. IEEE 1998",
    differs: &[],
    params: &[NORMALISE],
    cost: "47 MB in memory",
    facts: Facts { size: "60,000 + 10,000, 10 classes, 1 × 28 × 28", files: FILES },
    build: |args| {
        Ok(Box::new(IdxSource {
            folder: "mnist",
            classes: 10,
            normalise: grey(args, 0.1307, 0.3081),
        }))
    },
};

const FILES: &[&str] = &[
    "train-images-idx3-ubyte",
    "train-labels-idx1-ubyte",
    "t10k-images-idx3-ubyte",
    "t10k-labels-idx1-ubyte",
];

/// The parameter by which grey images choose their scale.
pub(crate) const NORMALISE: Param = Param {
    name: "normalise",
    kind: Kind::Choice(&["standard", "none"]),
    default: "standard",
    help: "standard: pixels in 0 to 1, then minus the set's mean, over its deviation; none: 0 to 1",
};

/// What `normalise` asks for, for grey images with this mean and deviation.
pub(crate) fn grey(args: &Args, mean: f32, deviation: f32) -> Normalise {
    match args.text("normalise") {
        "none" => Normalise::none(1),
        _ => Normalise { mean: vec![mean], deviation: vec![deviation] },
    }
}

/// A set of four IDX files.
struct IdxSource {
    folder: &'static str,
    classes: usize,
    normalise: Normalise,
}

impl Source for IdxSource {
    fn load(&self, place: &Place) -> Result<Split, DataError> {
        // All four are looked for first: what is missing is said before anything is read.
        for name in FILES {
            files::find(place, self.folder, &spellings(name))?;
        }
        let train = self.view(place, FILES[0], FILES[1])?;
        let test = self.view(place, FILES[2], FILES[3])?;
        if train.shape() != test.shape() {
            let (a, b) = (train.shape(), test.shape());
            return Err(DataError::new(format!(
                "{}: training images are {} × {}, test images {} × {}",
                self.folder, a.height, a.width, b.height, b.width
            )));
        }
        Ok(Split { train: Arc::new(train), test: Arc::new(test) })
    }
}

impl IdxSource {
    fn view(&self, place: &Place, images: &str, labels: &str) -> Result<Images, DataError> {
        let read = |name: &str, rank: usize| {
            files::read(place, self.folder, &spellings(name), |reader, most| {
                idx::read(reader, most, rank)
            })
        };
        let (image_path, image) = read(images, 3)?;
        let (label_path, label) = read(labels, 1)?;
        join(&image_path, image, &label_path, label, self.classes, &self.normalise)
    }
}

/// Both spellings under which a file of this family is found.
fn spellings(name: &str) -> [&str; 2] {
    let dotted = match name {
        "train-images-idx3-ubyte" => "train-images.idx3-ubyte",
        "train-labels-idx1-ubyte" => "train-labels.idx1-ubyte",
        "t10k-images-idx3-ubyte" => "t10k-images.idx3-ubyte",
        "t10k-labels-idx1-ubyte" => "t10k-labels.idx1-ubyte",
        other => other,
    };
    [name, dotted]
}

/// Images and labels as one set, if their counts agree and each label is a class.
fn join(
    image_path: &Path,
    image: idx::Idx,
    label_path: &Path,
    label: idx::Idx,
    classes: usize,
    normalise: &Normalise,
) -> Result<Images, DataError> {
    let (count, height, width) = (image.sizes[0], image.sizes[1], image.sizes[2]);
    if count != label.sizes[0] {
        let expected = format!("{count}, one for each image of {}", image_path.display());
        return Err(DataError::expected("labels", expected, label.sizes[0]).at(label_path));
    }
    if image.bytes.is_empty() {
        let found = format!("sizes {:?}", image.sizes);
        return Err(DataError::expected("images", "at least one pixel", found).at(image_path));
    }
    files::check_labels(label_path, &label.bytes, classes)?;
    let shape = Shape { channels: 1, height, width };
    Ok(Images::new(shape, classes, image.bytes, label.bytes, normalise))
}
