//! Tables from the user's own files: CSV, LIBSVM, numpy arrays.

pub mod csv;
mod dictionary;
pub mod libsvm;
pub mod npy;
pub(crate) mod npz;
mod scale;

pub use dictionary::Dictionary;

use super::{DataError, Place, Shape, Split, Table, files};
use crate::Targets;
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;
use varangian_base::{Args, Domain, Kind, Param, Seed, lanes};

/// Samples as they were read, in double precision until they are scaled.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Parsed {
    /// Features of a sample.
    pub features: usize,
    /// Inputs, one sample after another.
    pub inputs: Vec<f64>,
    /// What to predict: a number a sample, or the code of a name in the dictionary.
    pub targets: Vec<f64>,
    /// The file that each sample came from, by number.
    pub groups: Vec<u32>,
    /// Where each sample stands in its file, as messages count it.
    pub rows: Vec<u32>,
    /// What messages call the features; where it is short, "column" and a number from 0.
    pub columns: Vec<String>,
    /// What messages call a sample's place: "row", "line" or "entry".
    pub unit: &'static str,
    /// The files, by number.
    files: Vec<String>,
}

/// The parameter that names the file.
pub(crate) const FILE: Param = Param {
    name: "file",
    kind: Kind::Text,
    default: "",
    help: "the file, or a folder of files (each a group for by-file), below the data folder",
};

/// What the model is judged on.
pub(crate) const TEST: Param = Param {
    name: "test",
    kind: Kind::Text,
    default: "0.2",
    help: "a share of the samples, drawn from the seed and kept for testing, or a file of test samples",
};

/// What the target is.
pub(crate) const TASK: Param = Param {
    name: "task",
    kind: Kind::Choice(&["labels", "values"]),
    default: "labels",
    help: "labels: classes, any distinct names or numbers; values: one real number to predict",
};

/// Whether columns are scaled.
pub(crate) const STANDARDISE: Param = Param {
    name: "standardise",
    kind: Kind::Flag,
    default: "true",
    help: "subtract each feature's mean and divide by its deviation, both of the training samples",
};

/// What the parameters above ask for.
pub(crate) struct TableOptions {
    set: &'static str,
    file: String,
    test: String,
    pub labels: bool,
    standardise: bool,
    /// Whether a narrower file is widened by zeros, as in sparse text; otherwise it is refused.
    sparse: bool,
}

/// Reads one file into samples, with class names in the dictionary.
pub(crate) type Reading<'a> =
    &'a dyn Fn(&mut dyn std::io::Read, &mut Dictionary) -> Result<Parsed, DataError>;

impl TableOptions {
    pub(crate) fn read(set: &'static str, args: &Args) -> TableOptions {
        TableOptions {
            set,
            file: args.text("file").to_owned(),
            test: args.text("test").to_owned(),
            labels: args.text("task") == "labels",
            standardise: args.flag("standardise"),
            sparse: set == "libsvm",
        }
    }

    /// Options for samples that are already divided.
    pub(crate) fn plain(labels: bool, standardise: bool) -> TableOptions {
        let (file, test) = (String::new(), String::new());
        TableOptions { set: "", file, test, labels, standardise, sparse: false }
    }

    /// Reads the file or folder, and the test file where one is named; gives both splits.
    pub(crate) fn load(
        &self,
        place: &Place,
        end: &str,
        reading: Reading<'_>,
    ) -> Result<Split, DataError> {
        let mut names = Dictionary::default();
        let train = self.parse(&self.paths(place, &self.file, end)?, reading, &mut names)?;
        match self.test.parse::<f64>() {
            Ok(share) => self.divide(train, share, &names, place.seed),
            Err(_) => {
                let test = self.parse(&self.paths(place, &self.test, end)?, reading, &mut names)?;
                self.finish(train, test, &names, "", None)
            }
        }
    }

    /// The file, or the files of the folder whose names end in `end`, sorted by name. Hidden files
    /// are passed over.
    fn paths(&self, place: &Place, name: &str, end: &str) -> Result<Vec<PathBuf>, DataError> {
        let set = self.set;
        if name.is_empty() {
            let text = format!("{set} needs a file: \"{set} file=NAME\" below --data DIR");
            return Err(DataError::new(text));
        }
        let path = files::named(place, set, name)?;
        if !path.is_dir() {
            return Ok(vec![path]);
        }
        let dir = files::folder(place, set, name)?;
        let plain = |file: &str| file.strip_suffix(".gz").unwrap_or(file).to_owned();
        let mut found = BTreeMap::new();
        for file in files::list(dir, &path)?.into_iter().filter(|file| !file.is_dir()) {
            let name = file.file_name().unwrap_or_default().to_string_lossy().to_lowercase();
            if !plain(&name).ends_with(end) {
                continue;
            }
            let bare = plain(&file.to_string_lossy());
            if let Some(other) = found.insert(bare, file.clone()) {
                let found = format!("{} too, the same table twice", other.display());
                return Err(DataError::expected("files", "one of each name", found).at(&file));
            }
        }
        match found.is_empty() {
            true => Err(DataError::new(format!("no file that ends in {end}")).at(&path)),
            false => Ok(found.into_values().collect()),
        }
    }

    fn parse(
        &self,
        paths: &[PathBuf],
        reading: Reading<'_>,
        names: &mut Dictionary,
    ) -> Result<Parsed, DataError> {
        let mut all = Parsed::default();
        for (group, path) in paths.iter().enumerate() {
            let (path, mut part) = files::read(path.clone(), |reader, _| reading(reader, names))?;
            if part.targets.is_empty() {
                let found = "none";
                return Err(DataError::expected("samples", "at least one", found).at(&path));
            }
            if self.sparse {
                // Sparse files end at their highest feature: the wider of two widens the other.
                let features = all.features.max(part.features);
                all.widen(features);
                part.widen(features);
            }
            (all.features, all.unit) = (part.features, part.unit);
            all.files.push(path.display().to_string());
            all.groups.extend(part.targets.iter().map(|_| group as u32));
            all.inputs.append(&mut part.inputs);
            all.targets.append(&mut part.targets);
            all.rows.append(&mut part.rows);
            all.columns = part.columns;
        }
        Ok(all)
    }

    /// Draws a share of the samples for testing.
    fn divide(
        &self,
        all: Parsed,
        share: f64,
        names: &Dictionary,
        seed: Seed,
    ) -> Result<Split, DataError> {
        let n = all.targets.len();
        if !(share > 0.0 && share < 1.0) {
            let found = format!("{share}");
            return Err(DataError::expected("test", "a share between 0 and 1 or a file", found));
        }
        if n < 2 {
            return Err(DataError::expected("samples", "at least 2, one for testing", n));
        }
        let count = ((n as f64 * share).round() as usize).clamp(1, n - 1);
        let mut order = seed.lane(Domain::Data, 0, 0, lanes::data::TEST).permutation(n);
        let mut train = order.split_off(count);
        order.sort_unstable();
        train.sort_unstable();
        let drawn = "; all its samples were drawn for testing: take another test= or data_seed";
        self.finish(all.pick(&train), all.pick(&order), names, drawn, None)
    }

    /// Scales both splits, rounds them and numbers their classes. `drawn` ends the message on a
    /// class without training samples; `shape` is that of a sample, where it is not flat.
    fn finish(
        &self,
        mut train: Parsed,
        mut test: Parsed,
        names: &Dictionary,
        drawn: &str,
        shape: Option<Shape>,
    ) -> Result<Split, DataError> {
        let features = train.features.max(test.features);
        if features == 0 {
            return Err(DataError::expected("samples", "at least one feature", "none"));
        }
        train.widen(features);
        test.widen(features);
        if self.labels {
            seen(&train, &test, names, drawn)?;
        } else {
            scale::targets_survive(&train)?;
        }
        match self.standardise {
            true => scale::standardise(&mut train, &mut test)?,
            false => scale::survives(&train)?,
        }
        let classes = names.classes();
        let table = |parsed: Parsed| -> Result<Arc<Table>, DataError> {
            let inputs = scale::singles(&parsed, self.standardise)?;
            let targets = match self.labels {
                true => {
                    let class = |&code: &f64| classes[code as usize];
                    Targets::Labels(parsed.targets.iter().map(class).collect())
                }
                false => Targets::Values(parsed.targets.iter().map(|&v| v as f32).collect()),
            };
            let count = if self.labels { classes.len() } else { 0 };
            let table = Table::new(features, count, inputs, targets);
            let table = table.with_shape(shape.unwrap_or(Shape::flat(features)));
            Ok(Arc::new(table.with_groups(parsed.groups).from_a_file()))
        };
        Ok(Split { train: table(train)?, test: table(test)? })
    }
}

/// Refuses a test sample of a class that no training sample has: it can only be missed.
fn seen(train: &Parsed, test: &Parsed, names: &Dictionary, drawn: &str) -> Result<(), DataError> {
    let known: BTreeSet<u32> = train.targets.iter().map(|&code| code as u32).collect();
    match test.targets.iter().position(|&code| !known.contains(&(code as u32))) {
        None => Ok(()),
        Some(i) => {
            let found = format!("\"{}\"{drawn}", csv::clip(names.name(test.targets[i] as u32)));
            let many = known.len() > 20 && known.len() * 2 > train.targets.len();
            let hint = if many { " (real numbers to predict? task=values)" } else { "" };
            let expected = format!("a label that a training sample has{hint}");
            Err(DataError::expected(&test.place(i), expected, found))
        }
    }
}

impl Parsed {
    /// Adds features that are 0 everywhere.
    fn widen(&mut self, features: usize) {
        if features == self.features || self.targets.is_empty() {
            self.features = features;
            return;
        }
        let mut inputs = Vec::with_capacity(features * self.targets.len());
        for i in 0..self.targets.len() {
            inputs.extend_from_slice(&self.inputs[i * self.features..(i + 1) * self.features]);
            inputs.resize((i + 1) * features, 0.0);
        }
        (self.inputs, self.features) = (inputs, features);
    }

    fn pick(&self, indices: &[u32]) -> Parsed {
        let row = |&i: &u32| &self.inputs[i as usize * self.features..][..self.features];
        Parsed {
            inputs: indices.iter().flat_map(row).copied().collect(),
            targets: indices.iter().map(|&i| self.targets[i as usize]).collect(),
            groups: indices.iter().map(|&i| self.groups[i as usize]).collect(),
            rows: indices.iter().map(|&i| self.rows[i as usize]).collect(),
            features: self.features,
            columns: self.columns.clone(),
            unit: self.unit,
            files: self.files.clone(),
        }
    }

    /// Where sample i stands, for a message.
    fn place(&self, i: usize) -> String {
        let file = self.groups.get(i).and_then(|&group| self.files.get(group as usize));
        let file = file.map_or(String::new(), |file| format!("{file}: "));
        let row = self.rows.get(i).map_or(i as u64, |&row| u64::from(row));
        format!("{file}{} {row}", self.unit)
    }

    /// What a message calls feature k.
    fn column(&self, k: usize) -> String {
        self.columns.get(k).cloned().unwrap_or_else(|| format!("column {k}"))
    }

    /// The file, for the start of a message, where there is only one.
    fn file(&self) -> String {
        match &self.files[..] {
            [file] => format!("{file}: "),
            _ => String::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Batch, Dataset};

    /// The set that `spec` loads from a folder of these files.
    pub(super) fn load(spec: &str, files: &[(&str, &[u8])]) -> Result<Split, String> {
        let dir = tempfile::tempdir().unwrap();
        for (name, bytes) in files {
            let path = dir.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, bytes).unwrap();
        }
        crate::data::load(spec, Some(dir.path().into()), Seed(0))
            .map_err(|e| e.to_string().replace(&format!("{}/", dir.path().display()), ""))
    }

    /// All inputs and targets of a set, in order.
    pub(super) fn all(set: &dyn Dataset) -> (Vec<f32>, Targets) {
        let mut batch = Batch::default();
        let indices: Vec<u32> = (0..set.len() as u32).collect();
        set.fill(&indices, &mut Seed(0).stream(Domain::Augment, 0, 0), &mut batch);
        (batch.inputs, batch.targets)
    }

    #[test]
    fn a_share_is_drawn_for_testing_and_columns_are_scaled_by_the_training_samples() {
        let text: String = (0..50).map(|i| format!("{i},7,{}\n", i % 2)).collect();
        let split = load("csv file=a.csv test=0.3", &[("a.csv", text.as_bytes())]).unwrap();
        assert_eq!((split.train.len(), split.test.len()), (35, 15));
        let (inputs, _) = all(&*split.train);
        let column = |k: usize| inputs.iter().skip(k).step_by(2).map(|&v| f64::from(v));
        assert!(column(0).sum::<f64>().abs() < 1e-4);
        assert!((column(0).map(|v| v * v).sum::<f64>() / 35.0 - 1.0).abs() < 1e-4);
        assert!(column(1).all(|v| v == 0.0));
        let error = load("csv file=a.csv test=1.5", &[("a.csv", b"1,2\n")]).err().unwrap();
        assert_eq!(error, "test: expected a share between 0 and 1 or a file, found 1.5");
    }

    #[test]
    fn a_folder_is_read_file_by_file_for_the_natural_partition() {
        let files: [(&str, &[u8]); 3] =
            [("d/b.csv", b"1,0\n2,1\n"), ("d/a.csv", b"3,1\n"), ("d/note.txt", b"?")];
        let split = load("csv file=d test=d/b.csv", &files).unwrap();
        assert_eq!(split.train.groups().unwrap(), [0, 1, 1]);
        let error = load("csv", &files).err().unwrap();
        assert_eq!(error, "csv needs a file: \"csv file=NAME\" below --data DIR");
    }
}
