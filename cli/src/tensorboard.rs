//! `varangian tensorboard DIR`: results as TensorBoard event files.

use crate::{Failure, print};
use std::path::PathBuf;
use varangian_lab::tensorboard;

/// Arguments of `varangian tensorboard`.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// A folder of results
    folder: PathBuf,
}

/// Writes `tensorboard/` into the folder.
pub(crate) fn run(args: &Args) -> Result<(), Failure> {
    let (folder, missing) = tensorboard::write(&args.folder)?;
    missing.iter().for_each(|missing| print::line(missing));
    print::line(&format!("tensorboard --logdir {}", folder.display()));
    Ok(())
}
