//! `varangian reproduce`: published experiments as one command each, with our numbers beside theirs.

mod signsgd;

use crate::Failure;
use clap::Subcommand;

/// Arguments of `varangian reproduce`.
#[derive(clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    what: What,
}

/// One line a publication.
#[derive(Subcommand)]
enum What {
    /// Akoun & Meyer 2022: SignSGD, Signum and distributed SGD against blind and Byzantine workers
    Signsgd(signsgd::Args),
}

/// Runs the experiments of a publication.
pub(crate) fn run(args: &Args) -> Result<(), Failure> {
    match &args.what {
        What::Signsgd(args) => signsgd::run(args),
    }
}
