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
    differs: &[
        "Arrays of three or four dimensions that hold bytes, or whole numbers from 0 to 255 in any kind of number, are images; other numbers of such shapes are taken as they are.",
        "Text, dates and Python objects are refused: labels are numbers.",
    ],
    params: &[
        Param {
            name: "file",
            kind: Kind::Text,
            default: "",
            help: "the .npz, or the folder of .npy files, below the data folder",
        },
        Param {
            name: "layout",
            kind: Kind::Choice(&["auto", "hwc", "chw"]),
            default: "auto",
            help: "of arrays of four dimensions: channels last, channels first, or as the sizes tell (the end that is 1 or 3)",
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
        let layout = match args.text("layout") {
            "hwc" => Layout::Last,
            "chw" => Layout::First,
            _ => Layout::Auto,
        };
        let only = ["normalise", "flip", "crop", "pad"];
        Ok(Box::new(Npz {
            for_images: only.into_iter().find(|name| args.is_given(name)),
            layout,
            file: args.text("file").to_owned(),
            labels: args.text("task") == "labels",
            standardise: args.flag("standardise"),
            images: Options::read(args, None),
        }))
    },
};

struct Npz {
    file: String,
    layout: Layout,
    labels: bool,
    standardise: bool,
    images: Options,
    /// A parameter that was given and that only bytes heed.
    for_images: Option<&'static str>,
}

/// Where an array of images holds its channels.
#[derive(Clone, Copy, PartialEq)]
enum Layout {
    Last,
    First,
    /// Where the sizes tell.
    Auto,
}

/// Inputs and targets of a split.
type Pair = (Array, Array);

impl Source for Npz {
    fn load(&self, place: &Place) -> Result<Split, DataError> {
        if self.file.is_empty() {
            return Err(DataError::new("npz needs a file: \"npz file=NAME\" below --data DIR"));
        }
        let path = files::below(place, "npz", &self.file)?;
        let pair = |view: &str| -> Result<Pair, DataError> {
            let inputs = array(place, &path, &format!("x_{view}"))?;
            let targets = array(place, &path, &format!("y_{view}"))?;
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
        self.views(train, test).map_err(|e| e.at(&path))
    }
}

/// Whether these are the bytes of images, in whatever kind of number: whole numbers from 0 to 255
/// that are not all 0 and 1.
fn pixels(array: &Array) -> bool {
    match &array.values {
        Values::Bytes(_) => true,
        Values::Numbers(all) => {
            all.iter().all(|&v| v.fract() == 0.0 && (0.0..=255.0).contains(&v))
                && all.iter().any(|&v| v > 1.0)
        }
    }
}

impl Npz {
    fn views(&self, mut train: Pair, mut test: Pair) -> Result<Split, DataError> {
        if matches!(train.0.shape.len(), 3 | 4) && pixels(&train.0) && pixels(&test.0) {
            for (inputs, _) in [&mut train, &mut test] {
                let numbers = std::mem::replace(&mut inputs.values, Values::Bytes(Vec::new()));
                let numbers = numbers.numbers().into_iter();
                inputs.values = Values::Bytes(numbers.map(|v| v as u8).collect());
            }
        }
        let bytes = |array: &Array| matches!(array.values, Values::Bytes(_));
        let spatial = matches!(train.0.shape.len(), 3 | 4);
        if spatial && bytes(&train.0) != bytes(&test.0) {
            let kind = |array| if bytes(array) { "bytes" } else { "other numbers" };
            let expected = format!("{} as in x_train", kind(&train.0));
            return Err(DataError::expected("x_test", expected, kind(&test.0)));
        }
        match spatial && bytes(&train.0) {
            true => self.pictures(train, test),
            false => self.table(train, test),
        }
    }

    fn table(&self, mut train: Pair, mut test: Pair) -> Result<Split, DataError> {
        if let Some(name) = self.for_images {
            let expected = "x_train to hold images in bytes (u1, of three or four dimensions)";
            return Err(DataError::expected(name, expected, format!("{:?}", train.0.shape)));
        }
        let mut shape = None;
        if matches!(train.0.shape.len(), 3 | 4) {
            let layout = layout(&train.0.shape[1..], self.layout)?;
            for (inputs, _) in [&mut train, &mut test] {
                if let Values::Numbers(numbers) = &mut inputs.values {
                    let (sizes, all) = planes(&inputs.shape[1..], std::mem::take(numbers), layout);
                    (shape, *numbers) = (Some(sizes), all);
                }
            }
        } else if self.layout != Layout::Auto {
            let expected = "samples of three dimensions";
            let found = format!("{:?}", &train.0.shape[1..]);
            return Err(DataError::expected("layout", expected, found));
        }
        let mut names = Dictionary::default();
        let train = self.parsed(train, "train", &mut names)?;
        let test = self.parsed(test, "test", &mut names)?;
        let options = TableOptions::plain(self.labels, self.standardise);
        options.finish(train, test, &names, "", shape)
    }

    fn parsed(
        &self,
        (inputs, targets): Pair,
        view: &str,
        names: &mut Dictionary,
    ) -> Result<Parsed, DataError> {
        let features: usize = inputs.shape[1..].iter().product();
        let inputs = inputs.values.numbers();
        if let Some(i) = inputs.iter().position(|v| !v.is_finite()) {
            let what = format!("x_{view}: sample {}, column {}", i / features, i % features);
            return Err(DataError::expected(&what, "a finite number", inputs[i]));
        }
        let targets = targets.values.numbers();
        let targets = match self.labels {
            true => codes(&targets, view, names)?.into_iter().map(f64::from).collect(),
            false => match targets.iter().position(|&v| !(v as f32).is_finite()) {
                Some(i) => {
                    let what = format!("y_{view}: entry {i}");
                    let expected = "a finite number of single precision";
                    return Err(DataError::expected(&what, expected, targets[i]));
                }
                None => targets,
            },
        };
        let unit = if view == "train" { "training sample" } else { "test sample" };
        let rows = (0..targets.len() as u32).collect();
        let groups = vec![0; targets.len()];
        Ok(Parsed { features, inputs, targets, groups, rows, unit, ..Parsed::default() })
    }

    fn pictures(&self, train: Pair, test: Pair) -> Result<Split, DataError> {
        if !self.labels {
            return Err(DataError::expected("task", "labels, as x_train holds images", "values"));
        }
        if self.standardise {
            let expected = "normalise=measured, as x_train holds images";
            return Err(DataError::expected("standardise", expected, "true"));
        }
        let layout = layout(&train.0.shape[1..], self.layout)?;
        let mut names = Dictionary::default();
        let known = codes(&train.1.values.clone().numbers(), "train", &mut names)?;
        let asked = codes(&test.1.values.clone().numbers(), "test", &mut names)?;
        let count = known.iter().max().map_or(0, |&code| code as usize + 1);
        if let Some(i) = asked.iter().position(|&code| code as usize >= count) {
            let expected = "a label that y_train has";
            let found = names.name(asked[i]);
            return Err(DataError::expected(&format!("y_test: entry {i}"), expected, found));
        }
        if count > usize::from(u16::MAX) {
            return Err(DataError::expected("classes", "at most 65535", count));
        }
        let classes = names.classes();
        let images = |inputs: Array, codes: Vec<u32>| {
            let Values::Bytes(bytes) = inputs.values else {
                return Err(DataError::new("images are bytes"));
            };
            let (shape, bytes) = planes(&inputs.shape[1..], bytes, layout);
            if shape.is_empty() {
                return Err(DataError::expected("images", "at least one pixel", "none"));
            }
            let labels = codes.into_iter().map(|code| classes[code as usize] as u16).collect();
            Ok(Images::new(shape, count, bytes, labels).from_files())
        };
        Ok(self.images.views(images(train.0, known)?, images(test.0, asked)?))
    }
}

/// The codes of labels, which may be any numbers that a double tells apart.
fn codes(labels: &[f64], view: &str, names: &mut Dictionary) -> Result<Vec<u32>, DataError> {
    let code = |(i, &label): (usize, &f64)| {
        let whole = label.abs() < 9_007_199_254_740_992.0;
        let code = whole.then(|| names.code(&label.to_string())).flatten();
        code.ok_or_else(|| {
            let expected = "a class: a finite number, below 2^53 in size";
            DataError::expected(&format!("y_{view}: entry {i}"), expected, label)
        })
    };
    labels.iter().enumerate().map(code).collect()
}

/// Where these sizes of one sample have their channels.
///
/// # Errors
/// If nobody said and the sizes do not tell.
fn layout(sizes: &[usize], given: Layout) -> Result<Layout, DataError> {
    let &[first, middle, last] = sizes else {
        return match given {
            Layout::Auto => Ok(Layout::First),
            _ => {
                let found = format!("{sizes:?}");
                Err(DataError::expected("layout", "samples of three dimensions", found))
            }
        };
    };
    // Grey and colour are likeliest, then those with transparency; images are mostly square.
    let likely = |channels: usize| match channels {
        1 | 3 => 2,
        2 | 4 => 1,
        _ => 0,
    };
    match (given, likely(first), likely(last)) {
        (Layout::Auto, a, b) if a > b => Ok(Layout::First),
        (Layout::Auto, a, b) if a < b => Ok(Layout::Last),
        (Layout::Auto, 0, 0) if first == middle && middle != last => Ok(Layout::Last),
        (Layout::Auto, 0, 0) if first != middle && middle == last => Ok(Layout::First),
        (Layout::Auto, ..) => {
            let what = format!("samples of shape {sizes:?}");
            let expected = "channels that the sizes tell, or layout=hwc or layout=chw";
            Err(DataError::expected(&what, expected, "neither"))
        }
        (given, ..) => Ok(given),
    }
}

/// Images as planes: height × width, height × width × channels, or channels first.
fn planes<T: Copy>(sizes: &[usize], values: Vec<T>, layout: Layout) -> (Shape, Vec<T>) {
    match *sizes {
        [height, width, channels] if layout == Layout::Last => {
            let shape = Shape { channels, height, width };
            let mut out = Vec::with_capacity(values.len());
            for image in values.chunks_exact(shape.len().max(1)) {
                for channel in 0..channels {
                    out.extend(image.iter().skip(channel).step_by(channels));
                }
            }
            (shape, out)
        }
        [channels, height, width] => (Shape { channels, height, width }, values),
        _ => (Shape { channels: 1, height: sizes[0], width: sizes[1] }, values),
    }
}

/// The array `name` of an .npz or of a folder.
fn array(place: &Place, path: &Path, name: &str) -> Result<Array, DataError> {
    if path.is_dir() {
        let named = |end: &str| path.join(format!("{name}.npy{end}"));
        let Some(file) = [named(""), named(".gz")].into_iter().find(|file| file.is_file()) else {
            return Err(DataError::new(format!("no array {name}.npy")).at(path));
        };
        files::stays(files::folder(place, "npz", name)?, &file)?;
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
        let split = load("npz file=a.npz normalise=none layout=hwc", &[("a.npz", &bytes)]).unwrap();
        assert_eq!(split.train.shape(), Shape { channels: 3, height: 1, width: 2 });
        assert_eq!((split.train.classes(), split.train.label(1)), (2, 0));
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
