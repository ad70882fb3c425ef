//! Files of strangers through the whole command: what is learnt from them, and what is refused.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// A linear model on whatever data set is named.
const BASE: &str = "name = \"t\"\nmodel = \"linear\"\nn = 5\nf = 0\nbatch = 16\nsteps = 100\n\
                    evaluate_every = 20\nlearning_rate = 0.1\nmomentum = 0.0\nrule = \"average\"\n";

struct Case {
    folder: tempfile::TempDir,
}

impl Case {
    /// A folder with the given files of `trials`, and the experiment.
    fn new(files: &[&str]) -> Case {
        let folder = tempfile::tempdir().unwrap();
        let trials = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/trials");
        for file in files {
            fs::copy(trials.join(file), folder.path().join(file)).unwrap();
        }
        fs::write(folder.path().join("base.toml"), BASE).unwrap();
        Case { folder }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn run(&self, sets: &[&str]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_varangian"));
        command.current_dir(self.folder.path());
        command.args(["run", "base.toml", "-q", "--data", ".", "--out", "out"]);
        sets.iter().for_each(|set| {
            command.args(["--set", set]);
        });
        command.output().unwrap()
    }

    /// The one line of an experiment that is refused.
    fn refused(&self, sets: &[&str]) -> String {
        let output = self.run(sets);
        let text = String::from_utf8_lossy(&output.stderr).trim_end().to_owned();
        assert_eq!(output.status.code(), Some(2), "{text}");
        assert_eq!(text.lines().count(), 1, "{text}");
        assert!(!self.path("out").exists(), "nothing is half-written");
        text
    }

    /// The table of results of a run.
    fn results(&self, sets: &[&str]) -> String {
        let output = self.run(sets);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let text = fs::read_to_string(self.path("out/results.csv")).unwrap();
        fs::remove_dir_all(self.path("out")).unwrap();
        text
    }

    /// The last accuracy of a run, 0 to 1.
    fn accuracy(&self, sets: &[&str]) -> f64 {
        let text = self.results(sets);
        let cells = |line: &str| -> Vec<String> {
            line.split(',').map(|cell| cell.trim_matches('"').to_owned()).collect()
        };
        let names = cells(text.lines().next().unwrap());
        let column = |name: &str| names.iter().position(|n| n == name).unwrap();
        let (metric, value) = (column("metric"), column("value"));
        let rows = text.lines().skip(1).map(cells);
        rows.filter(|row| row[metric] == "accuracy").last().unwrap()[value].parse().unwrap()
    }
}

#[track_caller]
fn has(text: &str, wanted: &str) {
    assert!(text.contains(wanted), "{text}\n  lacks {wanted}");
}

#[test]
fn a_table_shifted_scaled_or_marked_is_learnt_as_it_was() {
    let case = Case::new(&["05-near.csv", "01-bom.svm"]);
    let near = fs::read_to_string(case.path("05-near.csv")).unwrap();
    let other = |change: fn(f64) -> f64| -> String {
        let cell = |text: &str| format!("{:e}", change(text.parse::<f64>().unwrap()));
        let row = |line: &str| {
            let cells: Vec<&str> = line.split(',').collect();
            format!("{},{},{}\n", cell(cells[0]), cell(cells[1]), cells[2])
        };
        near.lines().map(row).collect()
    };
    fs::write(case.path("far.csv"), other(|v| v + 1.7e9)).unwrap();
    fs::write(case.path("small.csv"), other(|v| v * 1e-21)).unwrap();
    for file in ["05-near.csv", "far.csv", "small.csv"] {
        assert_eq!(case.accuracy(&[&format!("dataset=csv file={file}")]), 1.0, "{file}");
    }
    // The labels are +1 and −1 in turn, and a byte order mark is no part of the first.
    case.accuracy(&["dataset=libsvm file=01-bom.svm"]);
    has(&case.refused(&["dataset=csv file=far.csv standardise=false"]), "standardise=true keeps");
    has(
        &case.refused(&["dataset=csv file=../05-near.csv"]),
        "expected a path below the data folder",
    );
}

#[test]
fn labels_of_other_names_are_flipped_as_the_numbers_were() {
    let case = Case::new(&[]);
    let table = |names: [&str; 11]| -> String {
        let row = |i: usize| format!("{},{},{}\n", i * i % 13, i % 7, names[i * i % 11]);
        (0..220).map(row).collect()
    };
    let results = |names: [&str; 11]| -> Vec<String> {
        fs::write(case.path("t.csv"), table(names)).unwrap();
        let sets = ["dataset=csv file=t.csv", "f=1", "attack=label-flip", "steps=20"];
        // What was measured, without the run's key.
        case.results(&sets).lines().filter_map(|l| l.split_once(',')).map(|l| l.1.into()).collect()
    };
    let wanted = results(["0", "1", "2", "3", "4", "5", "6", "7", "8", "9", "10"]);
    assert!(wanted.len() > 2);
    for names in [
        ["5", "6", "7", "8", "9", "10", "11", "12", "13", "14", "15"],
        ["-3", "0", "2e0", "30", "40", "50", "60", "70", "80", "90", "1000"],
        ["c0", "c1", "c2", "c3", "c4", "c5", "c6", "c7", "c8", "c9", "c10"],
        ["a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k"],
    ] {
        assert_eq!(results(names), wanted, "{names:?}");
    }
}

#[test]
fn what_is_missing_is_refused_by_its_place() {
    let case = Case::new(&["02-missing-first.csv", "02-missing-later.csv", "07-blank-label.csv"]);
    let refused = |file: &str| case.refused(&[&format!("dataset=csv file={file} test={file}")]);
    has(
        &refused("02-missing-first.csv"),
        "02-missing-first.csv: row 1, column 1: expected a finite",
    );
    has(
        &refused("02-missing-later.csv"),
        "02-missing-later.csv: row 5, column 1: expected a finite",
    );
    has(&refused("07-blank-label.csv"), "07-blank-label.csv: row 4, column 2: expected a class");
}

#[test]
fn arrays_of_images_have_their_channels_where_they_are_and_text_is_no_label() {
    let case = Case::new(&["09-nchw.npz", "23-text-labels.npz"]);
    let images = |layout: &str| {
        let data = format!("dataset=npz file=09-nchw.npz{layout}");
        case.accuracy(&[&data, "model=resnet20", "steps=2", "batch=4", "evaluate_every=1"])
    };
    assert_eq!(images(""), images(" layout=chw"));
    let text = case.refused(&["dataset=npz file=23-text-labels.npz"]);
    has(&text, "23-text-labels.npz: y_train: kind of number: expected u1 to u8");
    has(&text, "found U2 (text: numbers can stand for classes)");
}

#[test]
fn a_state_that_is_not_finite_is_refused_by_tensor_and_entry() {
    let case = Case::new(&["18-nan.safetensors"]);
    let sets = ["dataset=logreg", "f=1", "rule=median", "start=18-nan.safetensors"];
    let text = case.refused(&sets);
    has(&text, "start: 18-nan.safetensors: tensor \"");
    has(&text, "should be a finite number; found NaN");
    has(&case.refused(&["start_prefix=module."]), "start_prefix is taken off the names in start");
}

#[test]
fn a_model_lists_its_tensors() {
    let output = Command::new(env!("CARGO_BIN_EXE_varangian")).args(["models", "mlp"]).output();
    let text = String::from_utf8(output.unwrap().stdout).unwrap();
    has(&text, "\nTensors: fc1.weight ");
    let output =
        Command::new(env!("CARGO_BIN_EXE_varangian")).args(["models", "resnet20"]).output();
    has(&String::from_utf8(output.unwrap().stdout).unwrap(), "\nRunning statistics: ");
}

#[test]
fn one_changed_number_in_a_table_is_another_run() {
    let case = Case::new(&[]);
    let table = |change: bool| -> String {
        let x = |i: usize| if change && i == 701 { 0.5 } else { (i % 7) as f64 };
        (0..1000).map(|i| format!("{},{},{}\n", x(i), i % 5, i % 2)).collect()
    };
    let key = |change: bool| {
        fs::write(case.path("t.csv"), table(change)).unwrap();
        let sets = ["dataset=csv file=t.csv standardise=false test=0.01", "steps=1"];
        assert!(case.run(&sets).status.success());
        let mut runs: Vec<_> = fs::read_dir(case.path("out/runs")).unwrap().collect();
        let name = runs.pop().unwrap().unwrap().file_name();
        fs::remove_dir_all(case.path("out")).unwrap();
        name.to_string_lossy()[..12].to_owned()
    };
    assert_ne!(key(false), key(true));
    assert_eq!(key(true), key(true));
}
