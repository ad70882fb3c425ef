//! CIFAR-10 and CIFAR-100 in their binary format: a record is one or two label bytes, then the
//! red, green and blue planes of a 32 × 32 image.

use super::transform::{CROP, FLIP_TRAIN, NORMALISE, Normalise, Options, PAD};
use super::{DataError, Facts, Images, Place, Shape, Source, Split, files};
use std::io::Read;
use varangian_base::{Args, Entry, Kind, Param};

const SHAPE: Shape = Shape { channels: 3, height: 32, width: 32 };
const PIXELS: usize = 3 * 32 * 32;

/// CIFAR-10.
pub(crate) static CIFAR10: Entry<dyn Source, Facts> = Entry {
    name: "cifar10",
    summary: "Photographs of ten kinds of things, 32 × 32 colour.",
    paper: "Krizhevsky: Learning multiple layers of features from tiny images, 2009",
    differs: &[
        "The default view mirrors training images only; distributed momentum's code mirrors test images too (flip=both).",
    ],
    params: &[NORMALISE, FLIP_TRAIN, CROP, PAD, RECORDS],
    cost: "184 MB in memory",
    facts: Facts { size: "50,000 + 10,000, 10 classes, 3 × 32 × 32", files: TEN },
    build: |args| {
        Ok(Box::new(Cifar {
            name: "cifar10",
            folders: &["cifar-10-batches-bin", "cifar10/cifar-10-batches-bin", "cifar10", ""],
            train: &[
                "data_batch_1.bin",
                "data_batch_2.bin",
                "data_batch_3.bin",
                "data_batch_4.bin",
                "data_batch_5.bin",
            ],
            test: &["test_batch.bin"],
            label_bytes: 1,
            label: 0,
            classes: 10,
            records: official(args, 10_000),
            options: options(args),
        }))
    },
};

/// CIFAR-100.
pub(crate) static CIFAR100: Entry<dyn Source, Facts> = Entry {
    name: "cifar100",
    summary: "Photographs of a hundred kinds of things, 32 × 32 colour.",
    paper: "Krizhevsky: Learning multiple layers of features from tiny images, 2009",
    differs: &[
        "The standard mean and deviation are CIFAR-10's, as in distributed momentum's code.",
    ],
    params: &[
        Param {
            name: "labels",
            kind: Kind::Choice(&["fine", "coarse"]),
            default: "fine",
            help: "fine: 100 classes; coarse: 20 superclasses",
        },
        NORMALISE,
        FLIP_TRAIN,
        CROP,
        PAD,
        RECORDS,
    ],
    cost: "184 MB in memory",
    facts: Facts {
        size: "50,000 + 10,000, 100 classes, 3 × 32 × 32",
        files: &["cifar-100-binary/train.bin", "cifar-100-binary/test.bin"],
    },
    build: |args| {
        let fine = args.text("labels") == "fine";
        Ok(Box::new(Cifar {
            name: "cifar100",
            folders: &["cifar-100-binary", "cifar100/cifar-100-binary", "cifar100"],
            train: &["train.bin"],
            test: &["test.bin"],
            label_bytes: 2,
            label: usize::from(fine),
            classes: if fine { 100 } else { 20 },
            records: official(args, 50_000),
            options: options(args),
        }))
    },
};

const TEN: &[&str] = &[
    "cifar-10-batches-bin/data_batch_1.bin",
    "cifar-10-batches-bin/data_batch_2.bin",
    "cifar-10-batches-bin/data_batch_3.bin",
    "cifar-10-batches-bin/data_batch_4.bin",
    "cifar-10-batches-bin/data_batch_5.bin",
    "cifar-10-batches-bin/test_batch.bin",
];

/// Whether the sets are the whole ones.
const RECORDS: Param = Param {
    name: "records",
    kind: Kind::Choice(&["official", "any"]),
    default: "official",
    help: "official: each file holds as many images as the published one, as a file that is cut between two images shows by nothing else; any: a set of your own in this format",
};

/// Images of a training file and of the test file, or nothing where any number will do.
fn official(args: &Args, train: usize) -> Option<[usize; 2]> {
    (args.text("records") == "official").then_some([train, 10_000])
}

fn options(args: &Args) -> Options {
    let normalise =
        Normalise { mean: vec![0.4914, 0.4822, 0.4465], deviation: vec![0.2023, 0.1994, 0.2010] };
    Options::read(args, Some(normalise))
}

struct Cifar {
    name: &'static str,
    folders: &'static [&'static str],
    train: &'static [&'static str],
    test: &'static [&'static str],
    label_bytes: usize,
    /// Which of a record's label bytes counts.
    label: usize,
    classes: usize,
    /// Images that a training file and a test file have to hold, where the set is the whole one.
    records: Option<[usize; 2]>,
    options: Options,
}

impl Source for Cifar {
    fn load(&self, place: &Place) -> Result<Split, DataError> {
        for name in self.train.iter().chain(self.test) {
            files::find(place, self.name, self.folders, &[*name])?;
        }
        let [train, test] = self.records.map_or([None; 2], |counts| counts.map(Some));
        let train = self.read(place, self.train, train)?;
        let test = self.read(place, self.test, test)?;
        if let Some((i, label)) = train.lacks(&test) {
            let expected = "a class that a training image has";
            let path = files::find(place, self.name, self.folders, self.test)?;
            return Err(DataError::expected(&format!("label {i}"), expected, label).at(&path));
        }
        Ok(self.options.views(train.from_files(), test.from_files()))
    }
}

impl Cifar {
    fn read(
        &self,
        place: &Place,
        names: &[&str],
        wanted: Option<usize>,
    ) -> Result<Images, DataError> {
        let (mut pixels, mut labels) = (Vec::new(), Vec::new());
        for name in names {
            let path = files::find(place, self.name, self.folders, &[*name])?;
            let (path, part) = files::read(path, |reader, _| {
                records(reader, self.label_bytes, self.label, &mut pixels)
            })?;
            if let Some(wanted) = wanted.filter(|&wanted| wanted != part.len()) {
                let expected = format!("{wanted} (a set of another size wants records=any)");
                return Err(DataError::expected("images", expected, part.len()).at(&path));
            }
            files::check_labels(&path, &part, 0, self.classes)?;
            labels.extend(part.into_iter().map(u16::from));
        }
        Ok(Images::new(SHAPE, self.classes, pixels, labels))
    }
}

/// Reads records to the end, appending to `pixels`; returns the chosen label of each.
///
/// # Errors
/// If there is no record, or the last is incomplete.
pub fn records(
    reader: &mut dyn Read,
    label_bytes: usize,
    label: usize,
    pixels: &mut Vec<u8>,
) -> Result<Vec<u8>, DataError> {
    let mut labels = Vec::new();
    let mut record = vec![0; label_bytes + PIXELS];
    loop {
        let mut filled = 0;
        while filled < record.len() {
            match reader.read(&mut record[filled..]) {
                Ok(0) => break,
                Ok(count) => filled += count,
                Err(e) if e.kind() == std::io::ErrorKind::Interrupted => {}
                Err(e) => return Err(DataError::new(format!("cannot read the data: {e}"))),
            }
        }
        match filled {
            0 if labels.is_empty() => {
                return Err(DataError::expected("records", "at least one", "an empty file"));
            }
            0 => return Ok(labels),
            _ if filled < record.len() => {
                let expected = format!("{} bytes", record.len());
                let found = format!("{filled} (the file is truncated)");
                return Err(DataError::expected(
                    &format!("record {}", labels.len()),
                    expected,
                    found,
                ));
            }
            _ => {
                labels.push(record[label]);
                pixels.extend_from_slice(&record[label_bytes..]);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use varangian_base::Seed;

    /// Records with these labels, all pixels equal to the label.
    fn file(labels: &[u8], label_bytes: usize) -> Vec<u8> {
        let record = |&l: &u8| [vec![l; label_bytes], vec![l; PIXELS]].concat();
        labels.iter().flat_map(record).collect()
    }

    fn error(bytes: &[u8]) -> String {
        records(&mut &bytes[..], 1, 0, &mut Vec::new()).unwrap_err().to_string()
    }

    #[test]
    fn truncated_and_empty_files_have_their_line() {
        assert_eq!(
            error(&file(&[1, 2], 1)[..4_000]),
            "record 1: expected 3073 bytes, found 927 (the file is truncated)"
        );
        assert_eq!(error(&[]), "records: expected at least one, found an empty file");
    }

    #[test]
    fn both_sets_load_and_refuse_a_label_that_is_no_class() {
        let dir = tempfile::tempdir().unwrap();
        let ten = dir.path().join("cifar-10-batches-bin");
        std::fs::create_dir(&ten).unwrap();
        for k in 1..=5 {
            std::fs::write(ten.join(format!("data_batch_{k}.bin")), file(&[k, 9], 1)).unwrap();
        }
        std::fs::write(ten.join("test_batch.bin"), file(&[3], 1)).unwrap();
        let load = |text: &str| super::super::load(text, Some(dir.path().into()), Seed(0));
        let split = load("cifar10 normalise=none flip=none records=any").unwrap();
        assert_eq!((split.train.len(), split.test.len(), split.train.label(4)), (10, 1, 3));
        let hundred = dir.path().join("cifar-100-binary");
        std::fs::create_dir(&hundred).unwrap();
        std::fs::write(hundred.join("train.bin"), file(&[7, 99], 2)).unwrap();
        std::fs::write(hundred.join("test.bin"), file(&[99], 2)).unwrap();
        assert_eq!(load("cifar100 crop=4 pad=replicate records=any").unwrap().test.label(0), 99);
        let refused = load("cifar100 labels=coarse records=any").err().unwrap().to_string();
        assert!(refused.ends_with("label 1: expected a class from 0 to 19, found 99"), "{refused}");
        std::fs::write(hundred.join("train.bin"), file(&[7, 19], 2)).unwrap();
        let refused = load("cifar100 records=any").err().unwrap().to_string();
        let wanted = "test.bin: label 0: expected a class that a training image has, found 99";
        assert!(refused.ends_with(wanted), "{refused}");
    }

    #[test]
    fn a_file_cut_between_two_images_is_refused_unless_any_number_will_do() {
        let dir = tempfile::tempdir().unwrap();
        let ten = dir.path().join("cifar-10-batches-bin");
        std::fs::create_dir(&ten).unwrap();
        let put = |name: &str, count: usize| {
            std::fs::write(ten.join(name), file(&vec![1; count], 1)).unwrap();
        };
        (1..=5).for_each(|k| put(&format!("data_batch_{k}.bin"), 1));
        put("test_batch.bin", 2);
        let load = |text: &str| super::super::load(text, Some(dir.path().into()), Seed(0));
        let refused = load("cifar10").err().unwrap().to_string();
        let wanted = "images: expected 10000 (a set of another size wants records=any), found 1";
        assert!(refused.ends_with(wanted) && refused.contains("data_batch_1.bin"), "{refused}");
        assert_eq!(load("cifar10 records=any").unwrap().test.len(), 2);
    }
}
