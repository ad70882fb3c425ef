//! Every file under `experiments/` is one that the command takes.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use varangian::lab::config::{Experiment, Settings, Source};

/// The TOML files below a folder.
fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path));
        } else if path.extension().is_some_and(|ending| ending == "toml") {
            found.push(path);
        }
    }
    found
}

fn load(path: &Path) -> Experiment {
    let source = Source { path: path.to_path_buf(), ..Source::default() };
    Experiment::load(&source).unwrap_or_else(|failure| panic!("{failure}"))
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().join("experiments")
}

#[test]
fn all_are_read_hold_runs_and_have_names_of_their_own() {
    let mut names = BTreeSet::new();
    for path in files(&root()) {
        let experiment = load(&path);
        assert!(!experiment.runs.is_empty(), "{}", path.display());
        assert!(names.insert(experiment.name.clone()), "{}: {}", path.display(), experiment.name);
    }
    assert!(names.len() > 20, "{names:?}");
}

#[test]
fn the_whole_tables_of_the_sign_report_hold_their_ends() {
    for network in ["mnistnet", "torchnet"] {
        let signs = |end: &str| load(&root().join(format!("signsgd/mnist-{network}{end}.toml")));
        let (ends, whole) = (signs(""), signs("-all"));
        assert_eq!([ends.runs.len(), whole.runs.len()], [9, 24], "{network}");
        assert!(ends.runs.iter().all(|run| whole.runs.contains(run)), "{network}");
    }
}

#[test]
fn the_report_with_masks_of_their_own_differs_in_nothing_else() {
    let [shared, own] = ["", "-own-masks"]
        .map(|end| load(&root().join(format!("signsgd/mnist-mnistnet{end}.toml"))).runs);
    assert_eq!(shared.len(), own.len());
    for (shared, own) in shared.into_iter().zip(own) {
        assert_eq!(shared.model, "mnistnet init-seed=8005 dropout-masks=shared");
        assert_eq!(Settings { model: shared.model.clone(), ..own }, shared);
    }
}
