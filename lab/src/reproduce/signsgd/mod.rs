//! Akoun & Meyer, SIGNSGD: Fault-Tolerance to Blind and Byzantine Adversaries, 2022 (2202.02085).

mod figures;
mod published;
mod table;
mod wire;

use crate::config::{Experiment, Source};
use crate::results::{Outcome, Store};
use crate::run::{How, execute};
use crate::{Failure, files, print};
use std::path::{Path, PathBuf};

/// The experiment files, as they stand in `experiments/signsgd`.
const FILES: &[(&str, &str)] = &[
    ("logreg", include_str!("../../../../experiments/signsgd/logreg.toml")),
    ("linreg", include_str!("../../../../experiments/signsgd/linreg.toml")),
    ("hidden", include_str!("../../../../experiments/signsgd/hidden.toml")),
    ("mnist-mnistnet", include_str!("../../../../experiments/signsgd/mnist-mnistnet.toml")),
    ("mnist-mnistnet-all", include_str!("../../../../experiments/signsgd/mnist-mnistnet-all.toml")),
    (
        "mnist-mnistnet-own-masks",
        include_str!("../../../../experiments/signsgd/mnist-mnistnet-own-masks.toml"),
    ),
    ("mnist-torchnet", include_str!("../../../../experiments/signsgd/mnist-torchnet.toml")),
    ("mnist-torchnet-all", include_str!("../../../../experiments/signsgd/mnist-torchnet-all.toml")),
];

/// What `--quick` changes: two seeds, and for images two epochs, which no published table ends at.
const QUICK: &[&str] = &["seed=[8005,8006]"];
const QUICK_IMAGES: &[&str] = &["steps=1000"];

/// Arguments of `varangian reproduce signsgd`.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Which experiments to run
    #[arg(value_parser = names(), default_values = ["logreg", "linreg", "hidden"])]
    experiments: Vec<String>,
    /// Two seeds instead of ten, and two epochs of images
    #[arg(long)]
    quick: bool,
    #[command(flatten)]
    how: How,
}

fn names() -> clap::builder::PossibleValuesParser {
    FILES.iter().map(|(name, _)| *name).into()
}

/// Runs the experiments and sets their ends beside the published ones.
pub(crate) fn run(args: &Args) -> Result<(), Failure> {
    let root = args.how.out.clone().unwrap_or_else(|| PathBuf::from("runs/signsgd"));
    let bytes = wire::table()?;
    files::make_folder(&root)?;
    files::write(&root.join("wire.txt"), bytes.as_bytes())?;
    if !args.how.quiet {
        print::line(&bytes);
    }
    for asked in &args.experiments {
        let found = FILES.iter().find(|(name, _)| name == asked);
        let (name, text) = found.expect("the command line takes no other");
        let set = if args.quick { quick(name) } else { Vec::new() };
        let experiment = Experiment::parse(text, name, &Source { set, ..Source::default() })?;
        let folder = root.join(name);
        let how = How { out: Some(folder.clone()), ..args.how.clone() };
        let outcomes = execute(&experiment, &how)?;
        report(name, &outcomes, &folder, args.how.quiet)?;
    }
    Ok(())
}

fn quick(name: &str) -> Vec<String> {
    let images = if name.starts_with("mnist") { QUICK_IMAGES } else { &[] };
    QUICK.iter().chain(images).map(ToString::to_string).collect()
}

/// Writes `comparison.txt` and the report's figures beside the runs.
fn report(name: &str, outcomes: &[Outcome], folder: &Path, quiet: bool) -> Result<(), Failure> {
    let store = Store::make(folder)?;
    let text = table::comparison(&published::cells(name), published::Source::of(name), outcomes);
    store.write("comparison.txt", text.as_bytes())?;
    for (file, picture) in figures::all(name, outcomes) {
        picture.write(&store.path(&file))?;
    }
    if !quiet {
        print::line(&text);
    }
    Ok(())
}
