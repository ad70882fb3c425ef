//! Tables from the user's own files: CSV, LIBSVM, numpy arrays.

pub mod csv;
pub mod libsvm;
pub mod npy;
pub(crate) mod npz;

use super::{DataError, Place, Split, Table, files};
use crate::Targets;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use varangian_base::{Args, Domain, Kind, Param, Seed};

/// Samples as they were read.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Parsed {
    /// Features of a sample.
    pub features: usize,
    /// Inputs, one sample after another.
    pub inputs: Vec<f32>,
    /// What to predict: a number a sample, or the code of a name in the dictionary.
    pub targets: Vec<f64>,
    /// The file that each sample came from, by number.
    pub groups: Vec<u32>,
}

/// Names of classes, numbered as they are met; training and test files share one.
#[derive(Clone, Debug, Default)]
pub struct Dictionary {
    codes: BTreeMap<String, u32>,
}

impl Dictionary {
    /// The code of a class; `1`, `1.0` and `+1` are the same class.
    pub fn code(&mut self, name: &str) -> u32 {
        let name = match name.trim().parse::<f64>() {
            Ok(number) if number.is_finite() => (number + 0.0).to_string(),
            _ => name.trim().to_owned(),
        };
        let next = self.codes.len() as u32;
        *self.codes.entry(name).or_insert(next)
    }

    /// For each code met below `known`, its class: numbers in ascending order, then other names.
    fn classes(&self, known: u32) -> Vec<u32> {
        let mut names: Vec<(&String, u32)> =
            self.codes.iter().map(|(n, &c)| (n, c)).filter(|&(_, code)| code < known).collect();
        let number = |name: &str| name.parse::<f64>().unwrap_or(f64::INFINITY);
        names.sort_by(|a, b| number(a.0).total_cmp(&number(b.0)).then(a.0.cmp(b.0)));
        let mut classes = vec![0; names.len()];
        for (class, &(_, code)) in names.iter().enumerate() {
            classes[code as usize] = class as u32;
        }
        classes
    }

    /// The number of names.
    fn len(&self) -> u32 {
        self.codes.len() as u32
    }
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
}

/// Reads one file into samples, with class names in the dictionary.
pub(crate) type Reading<'a> =
    &'a dyn Fn(&mut dyn std::io::Read, u64, &mut Dictionary) -> Result<Parsed, DataError>;

impl TableOptions {
    pub(crate) fn read(set: &'static str, args: &Args) -> TableOptions {
        TableOptions {
            set,
            file: args.text("file").to_owned(),
            test: args.text("test").to_owned(),
            labels: args.text("task") == "labels",
            standardise: args.flag("standardise"),
        }
    }

    /// Options for samples that are already divided.
    pub(crate) fn plain(labels: bool, standardise: bool) -> TableOptions {
        TableOptions { set: "", file: String::new(), test: String::new(), labels, standardise }
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
        let known = names.len();
        match self.test.parse::<f64>() {
            Ok(share) => self.divide(train, share, known, &names, place.seed),
            Err(_) => {
                let test = self.parse(&self.paths(place, &self.test, end)?, reading, &mut names)?;
                if let Some(i) = test.targets.iter().position(|&t| self.labels && t >= known as f64)
                {
                    return Err(DataError::new(format!(
                        "{}: test sample {i} has a label that no training sample has",
                        self.test
                    )));
                }
                self.finish(train, test, known, &names)
            }
        }
    }

    /// The file, or the files of the folder whose names end in `end`, sorted by name.
    fn paths(&self, place: &Place, name: &str, end: &str) -> Result<Vec<PathBuf>, DataError> {
        let set = self.set;
        if name.is_empty() {
            let text = format!("{set} needs a file: \"{set} file=NAME\" below --data DIR");
            return Err(DataError::new(text));
        }
        let path = files::folder(place, set, name)?.join(name);
        if !path.is_dir() {
            return files::find(place, set, &[""], &[name]).map(|path| vec![path]);
        }
        let fail = |e: std::io::Error| DataError::new(format!("cannot list: {e}")).at(&path);
        let mut paths = Vec::new();
        for entry in std::fs::read_dir(&path).map_err(fail)? {
            let file = entry.map_err(fail)?.path();
            let text = file.to_string_lossy().into_owned();
            if text.ends_with(end) || text.ends_with(&format!("{end}.gz")) {
                paths.push(file);
            }
        }
        paths.sort();
        match paths.is_empty() {
            true => Err(DataError::new(format!("no file that ends in {end}")).at(&path)),
            false => Ok(paths),
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
            let (path, part) =
                files::read(path.clone(), |reader, most| reading(reader, most, names))?;
            if part.targets.is_empty() {
                let found = "none";
                return Err(DataError::expected("samples", "at least one", found).at(&path));
            }
            // LIBSVM files end at their highest feature: the wider of two widens the other.
            let features = all.features.max(part.features);
            all.widen(features);
            let mut part = part;
            part.widen(features);
            all.groups.extend(part.targets.iter().map(|_| group as u32));
            all.inputs.append(&mut part.inputs);
            all.targets.append(&mut part.targets);
        }
        Ok(all)
    }

    /// Draws a share of the samples for testing.
    fn divide(
        &self,
        all: Parsed,
        share: f64,
        known: u32,
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
        let mut order = seed.lane(Domain::Data, 0, 0, 3).permutation(n);
        let mut train = order.split_off(count);
        order.sort_unstable();
        train.sort_unstable();
        self.finish(all.pick(&train), all.pick(&order), known, names)
    }

    fn finish(
        &self,
        mut train: Parsed,
        mut test: Parsed,
        known: u32,
        names: &Dictionary,
    ) -> Result<Split, DataError> {
        let features = train.features.max(test.features);
        train.widen(features);
        test.widen(features);
        if self.standardise {
            standardise(&mut train, &mut test);
        }
        let classes = names.classes(known);
        let table = |parsed: Parsed| {
            let targets = match self.labels {
                true => {
                    let class = |&code: &f64| classes[code as usize];
                    Targets::Labels(parsed.targets.iter().map(class).collect())
                }
                false => Targets::Values(parsed.targets.iter().map(|&v| v as f32).collect()),
            };
            let count = if self.labels { classes.len() } else { 0 };
            let table = Table::new(features, count, parsed.inputs, targets);
            Arc::new(table.with_groups(parsed.groups))
        };
        Ok(Split { train: table(train), test: table(test) })
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
            features: self.features,
            inputs: indices.iter().flat_map(row).copied().collect(),
            targets: indices.iter().map(|&i| self.targets[i as usize]).collect(),
            groups: indices.iter().map(|&i| self.groups[i as usize]).collect(),
        }
    }
}

/// Scales the columns of both by the training mean and population deviation; constant columns are
/// only shifted.
fn standardise(train: &mut Parsed, test: &mut Parsed) {
    let (features, n) = (train.features, train.targets.len() as f64);
    for k in 0..features {
        let column = || train.inputs.iter().skip(k).step_by(features).map(|&v| f64::from(v));
        let mean = column().sum::<f64>() / n;
        let deviation = (column().map(|v| (v - mean).powi(2)).sum::<f64>() / n).sqrt();
        let scale = if deviation > 1e-12 { 1.0 / deviation } else { 1.0 };
        for inputs in [&mut train.inputs, &mut test.inputs] {
            for value in inputs.iter_mut().skip(k).step_by(features) {
                *value = ((f64::from(*value) - mean) * scale) as f32;
            }
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
    fn classes_are_numbered_by_value_and_spellings_of_a_number_are_one() {
        let mut names = Dictionary::default();
        let codes: Vec<u32> = ["+1", "-1", "1.0", "10", "2"].map(|n| names.code(n)).to_vec();
        assert_eq!(codes, [0, 1, 0, 2, 3]);
        assert_eq!(names.classes(4), [1, 0, 3, 2]);
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
