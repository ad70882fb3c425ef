//! Numpy arrays: one .npz, or a folder of .npy files, with inputs and targets for both splits.

use super::npy::{self, Array, Values};
use super::{Dictionary, Parsed, STANDARDISE, TASK, TableOptions};
use crate::data::transform::{CROP, FLIP, NORMALISE, Options, PAD};
use crate::data::{DataError, Facts, Images, Place, Shape, Source, Split, files};
use std::fs::File;
use std::io::BufReader;
use std::path::Path;
use varangian_base::{Entry, Kind, Param};

/// Numpy arrays.
pub(crate) static ENTRY: Entry<dyn Source, Facts> = Entry {
    name: "npz",
    summary: "Your own arrays: an .npz, or a folder of .npy files, with x_train, y_train, x_test, y_test.",
    paper: "numpy.lib.format",
    differs: &["Bytes of three or four dimensions are images, all else is a table."],
    params: &[
        Param {
            name: "file",
            kind: Kind::Text,
            default: "",
            help: "the .npz, or the folder of .npy files, below the data folder",
        },
        Param {
            name: "layout",
            kind: Kind::Choice(&["hwc", "chw"]),
            default: "hwc",
            help: "of images of four dimensions: channels last or channels first",
        },
        TASK,
        Param { default: "false", ..STANDARDISE },
        NORMALISE,
        FLIP,
        CROP,
        PAD,
    ],
    cost: "1 byte a pixel, 4 bytes a number of a table",
    facts: Facts { size: "that of the file", files: &["the file named by file="] },
    build: |args| {
        Ok(Box::new(Npz {
            file: args.text("file").to_owned(),
            channels_first: args.text("layout") == "chw",
            labels: args.text("task") == "labels",
            standardise: args.flag("standardise"),
            images: Options::read(args, None),
        }))
    },
};

struct Npz {
    file: String,
    channels_first: bool,
    labels: bool,
    standardise: bool,
    images: Options,
}

impl Source for Npz {
    fn load(&self, place: &Place) -> Result<Split, DataError> {
        if self.file.is_empty() {
            return Err(DataError::new("npz needs a file: \"npz file=NAME\" below --data DIR"));
        }
        let path = files::folder(place, "npz", &self.file)?.join(&self.file);
        let pair = |view: &str| -> Result<(Array, Array), DataError> {
            let inputs = array(&path, &format!("x_{view}"))?;
            let targets = array(&path, &format!("y_{view}"))?;
            let (samples, found) = (inputs.shape.first(), targets.shape.iter().product::<usize>());
            match samples {
                Some(&n) if n == found && n > 0 => Ok((inputs, targets)),
                _ => {
                    let expected = format!("one for each sample of x_{view} {:?}", inputs.shape);
                    Err(DataError::expected(&format!("y_{view}"), expected, found).at(&path))
                }
            }
        };
        let (train, test) = (pair("train")?, pair("test")?);
        if train.0.shape[1..] != test.0.shape[1..] {
            let expected = format!("samples of shape {:?} as in x_train", &train.0.shape[1..]);
            let found = format!("{:?}", &test.0.shape[1..]);
            return Err(DataError::expected("x_test", expected, found).at(&path));
        }
        let image = |array: &Array| {
            array.shape.len() > 2
                && array.shape.len() < 5
                && matches!(array.values, Values::Bytes(_))
        };
        match image(&train.0) && image(&test.0) {
            true => self.pictures(train, test).map_err(|e| e.at(&path)),
            false => self.table(train, test).map_err(|e| e.at(&path)),
        }
    }
}

impl Npz {
    fn table(&self, train: (Array, Array), test: (Array, Array)) -> Result<Split, DataError> {
        let mut names = Dictionary::default();
        let train = self.parsed(train, &mut names)?;
        let known = names.len();
        let test = self.parsed(test, &mut names)?;
        if names.len() > known {
            return Err(DataError::new("y_test has a label that y_train has not"));
        }
        TableOptions::plain(self.labels, self.standardise).finish(train, test, known, &names)
    }

    fn parsed(
        &self,
        (inputs, targets): (Array, Array),
        names: &mut Dictionary,
    ) -> Result<Parsed, DataError> {
        let features: usize = inputs.shape[1..].iter().product();
        let numbers = inputs.values.numbers();
        if let Some(i) = numbers.iter().position(|&v| !(v as f32).is_finite()) {
            let what = format!("entry {i} of the inputs");
            return Err(DataError::expected(&what, "a finite number", numbers[i]));
        }
        let targets = targets.values.numbers();
        if let Some(i) = targets.iter().position(|&v| !(v as f32).is_finite()) {
            let what = format!("target {i}");
            return Err(DataError::expected(&what, "a finite number", targets[i]));
        }
        let targets: Vec<f64> = match self.labels {
            true => targets.iter().map(|v| f64::from(names.code(&v.to_string()))).collect(),
            false => targets,
        };
        let groups = vec![0; targets.len()];
        let inputs = numbers.into_iter().map(|v| v as f32).collect();
        Ok(Parsed { features, inputs, targets, groups })
    }

    fn pictures(&self, train: (Array, Array), test: (Array, Array)) -> Result<Split, DataError> {
        if !self.labels {
            return Err(DataError::expected("task", "labels, as x_train holds images", "values"));
        }
        let classes = labels(&train.1)?.iter().chain(&labels(&test.1)?).max().map_or(0, |&m| m + 1);
        let images = |(inputs, targets): (Array, Array)| {
            let Values::Bytes(bytes) = inputs.values else {
                return Err(DataError::new("images are bytes"));
            };
            let (shape, bytes) = planes(&inputs.shape[1..], bytes, self.channels_first);
            if shape.is_empty() {
                return Err(DataError::expected("images", "at least one pixel", "none"));
            }
            Ok(Images::new(shape, usize::from(classes), bytes, labels(&targets)?))
        };
        Ok(self.images.views(images(train)?, images(test)?))
    }
}

/// Labels as whole numbers from 0.
fn labels(targets: &Array) -> Result<Vec<u16>, DataError> {
    let label = |v: f64| {
        let whole = v.fract() == 0.0 && (0.0..65_535.0).contains(&v);
        match whole {
            true => Ok(v as u16),
            false => Err(DataError::expected("label", "a whole number from 0 to 65534", v)),
        }
    };
    targets.values.clone().numbers().into_iter().map(label).collect()
}

/// Images as planes: height × width, height × width × channels, or channels first.
fn planes(sizes: &[usize], bytes: Vec<u8>, channels_first: bool) -> (Shape, Vec<u8>) {
    match *sizes {
        [height, width, channels] if !channels_first => {
            let shape = Shape { channels, height, width };
            let mut out = Vec::with_capacity(bytes.len());
            for image in bytes.chunks_exact(shape.len().max(1)) {
                for channel in 0..channels {
                    out.extend(image.iter().skip(channel).step_by(channels));
                }
            }
            (shape, out)
        }
        [channels, height, width] => (Shape { channels, height, width }, bytes),
        _ => (Shape { channels: 1, height: sizes[0], width: sizes[1] }, bytes),
    }
}

/// The array `name` of an .npz or of a folder.
fn array(path: &Path, name: &str) -> Result<Array, DataError> {
    if path.is_dir() {
        let file = path.join(format!("{name}.npy"));
        if !file.is_file() {
            return Err(DataError::new(format!("no array {name}.npy")).at(path));
        }
        return files::read(file, npy::read).map(|(_, array)| array);
    }
    let fail = |e: &dyn std::fmt::Display| DataError::new(format!("cannot read: {e}")).at(path);
    let file = File::open(path).map_err(|e| fail(&e))?;
    let most = file.metadata().map_err(|e| fail(&e))?.len().saturating_mul(files::DEFLATE_RATIO);
    let mut archive = zip::ZipArchive::new(BufReader::new(file)).map_err(|e| fail(&e))?;
    let mut member = archive.by_name(&format!("{name}.npy")).map_err(|_| {
        DataError::expected(&format!("array {name}"), "x_train, y_train, x_test, y_test", "none")
            .at(path)
    })?;
    npy::read(&mut member, most).map_err(|e| e.at(Path::new(name)).at(path))
}

#[cfg(test)]
mod tests {
    use super::super::npy::tests::file;
    use super::super::tests::{all, load};
    use super::*;
    use crate::Targets;
    use std::io::Write;

    #[test]
    fn a_folder_of_tables_and_an_archive_of_images_are_read() {
        let floats: Vec<u8> =
            [1.0f32, 2.0, 3.0, 4.0].iter().flat_map(|v| v.to_le_bytes()).collect();
        let x = file("<f4", false, "(2, 2)", &floats);
        let y = file("|u1", false, "(2,)", &[7, 3]);
        let files = [
            ("d/x_train.npy", &x[..]),
            ("d/y_train.npy", &y),
            ("d/x_test.npy", &x),
            ("d/y_test.npy", &y),
        ];
        let split = load("npz file=d", &files).unwrap();
        assert_eq!(all(&*split.train), (vec![1., 2., 3., 4.], Targets::Labels(vec![1, 0])));

        let mut zip = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
        let images =
            file("|u1", false, "(2, 1, 2, 3)", &[0, 51, 102, 153, 204, 255, 1, 2, 3, 4, 5, 6]);
        for (name, bytes) in
            [("x_train", &images), ("x_test", &images), ("y_train", &y), ("y_test", &y)]
        {
            let options: zip::write::SimpleFileOptions = Default::default();
            zip.start_file(format!("{name}.npy"), options).unwrap();
            zip.write_all(bytes).unwrap();
        }
        let bytes = zip.finish().unwrap().into_inner();
        let split = load("npz file=a.npz normalise=none", &[("a.npz", &bytes)]).unwrap();
        assert_eq!(split.train.shape(), Shape { channels: 3, height: 1, width: 2 });
        assert_eq!((split.train.classes(), split.train.label(1)), (8, 3));
        let (inputs, _) = all(&*split.test);
        let wanted = [0.0, 0.6, 0.2, 0.8, 0.4, 1.0];
        assert!(inputs[..6].iter().zip(wanted).all(|(x, w)| (x - w).abs() < 1e-6));
    }

    #[test]
    fn faults_name_the_array() {
        let x = file("<f4", false, "(1, 1)", &1.0f32.to_le_bytes());
        let y = file("|u1", false, "(2,)", &[0, 1]);
        let files = [("d/x_train.npy", &x[..]), ("d/y_train.npy", &y)];
        assert_eq!(
            load("npz file=d", &files).err().unwrap(),
            "d: y_train: expected one for each sample of x_train [1, 1], found 2"
        );
        assert_eq!(load("npz file=d", &files[..1]).err().unwrap(), "d: no array y_train.npy");
        let junk = load("npz file=a.npz", &[("a.npz", b"junk")]).err().unwrap();
        assert!(junk.starts_with("a.npz: cannot read: "), "{junk}");
    }
}
