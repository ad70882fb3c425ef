//! `varangian report DIR [OTHER…]`: one HTML file with everything in it.

use crate::{Failure, print};
use std::path::PathBuf;
use varangian_lab::report;

/// Arguments of `varangian report`.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// A folder of results, or of entries of the benchmark; report.html goes there
    folder: PathBuf,
    /// Other folders of results, to compare with
    others: Vec<PathBuf>,
}

/// Writes `report.html` into the folder.
pub(crate) fn run(args: &Args) -> Result<(), Failure> {
    let report = report::write(&args.folder, &args.others)?;
    report.missing.iter().for_each(|missing| print::line(missing));
    print::line(&report.file.display().to_string());
    Ok(())
}
