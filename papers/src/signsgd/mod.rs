//! Akoun & Meyer, SIGNSGD: Fault-Tolerance to Blind and Byzantine Adversaries, 2022 (2202.02085).

mod figures;
mod published;
mod table;
mod wire;

use std::path::{Path, PathBuf};
use varangian_base::SpecError;
use varangian_lab::config::{Experiment, Source};
use varangian_lab::results::{Outcome, Store};
use varangian_lab::run::{Events, How};
use varangian_lab::{Failure, files};

/// The experiment files, as they stand in `experiments/signsgd`.
const FILES: &[(&str, &str)] = &[
    ("logreg", include_str!("../../experiments/signsgd/logreg.toml")),
    ("linreg", include_str!("../../experiments/signsgd/linreg.toml")),
    ("hidden", include_str!("../../experiments/signsgd/hidden.toml")),
    ("mnist-mnistnet", include_str!("../../experiments/signsgd/mnist-mnistnet.toml")),
    ("mnist-mnistnet-all", include_str!("../../experiments/signsgd/mnist-mnistnet-all.toml")),
    (
        "mnist-mnistnet-own-masks",
        include_str!("../../experiments/signsgd/mnist-mnistnet-own-masks.toml"),
    ),
    ("mnist-torchnet", include_str!("../../experiments/signsgd/mnist-torchnet.toml")),
    ("mnist-torchnet-all", include_str!("../../experiments/signsgd/mnist-torchnet-all.toml")),
];

/// What `--quick` changes: two seeds, and for images two epochs, which no published table ends at.
const QUICK: &[&str] = &["seed=[8005,8006]"];
const QUICK_IMAGES: &[&str] = &["steps=1000"];

/// The names of the experiments.
pub fn names() -> impl Iterator<Item = &'static str> {
    FILES.iter().map(|(name, _)| *name)
}

/// Runs some of the experiments, each in a folder of its name, and sets their ends beside the
/// published ones. `quick`: two seeds instead of ten, and two epochs of images.
///
/// # Errors
/// If a name is unknown, runs cannot be done or fail, or the folder cannot be written.
pub fn run(
    experiments: &[&str],
    quick: bool,
    how: &How,
    events: &mut dyn Events,
) -> Result<(), Failure> {
    let root = how.out.clone().unwrap_or_else(|| PathBuf::from("runs/signsgd"));
    let bytes = wire::table()?;
    files::make_folder(&root)?;
    files::write(&root.join("wire.txt"), bytes.as_bytes())?;
    events.text(&bytes);
    for asked in experiments {
        let known: Vec<&str> = names().collect();
        let found = FILES.iter().find(|(name, _)| name == asked);
        let unknown = || SpecError::unknown("experiment", asked, &known);
        let (name, text) = found.ok_or_else(unknown)?;
        let set = if quick { shortened(name) } else { Vec::new() };
        let experiment = Experiment::parse(text, name, &Source { set, ..Source::default() })?;
        let how = How { out: Some(root.join(name)), ..how.clone() };
        let experiment = Experiment { how, ..experiment };
        let outcomes = experiment.run(events)?;
        report(name, &outcomes, &experiment.folder(), events)?;
    }
    Ok(())
}

fn shortened(name: &str) -> Vec<String> {
    let images = if name.starts_with("mnist") { QUICK_IMAGES } else { &[] };
    QUICK.iter().chain(images).map(ToString::to_string).collect()
}

/// Writes `comparison.txt` and the report's figures beside the runs.
fn report(
    name: &str,
    outcomes: &[Outcome],
    folder: &Path,
    events: &mut dyn Events,
) -> Result<(), Failure> {
    let store = Store::make(folder)?;
    let text = table::comparison(&published::cells(name), published::Source::of(name), outcomes);
    store.write("comparison.txt", text.as_bytes())?;
    for (file, picture) in figures::all(name, outcomes) {
        picture.write(&store.path(&file))?;
    }
    events.text(&text);
    Ok(())
}
