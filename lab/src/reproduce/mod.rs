//! `varangian reproduce`: published experiments as one command each, with our numbers beside
//! theirs.

mod bucketing;
mod fall_of_empires;
mod momentum;
mod safeguard;
mod shapes;
mod signsgd;
mod zeno;
mod zeno_pp;

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
    /// El-Mhamdi, Guerraoui & Rouault 2021: momentum at the workers against momentum at the server
    Momentum(momentum::Args),
    /// Karimireddy, He & Jaggi 2022: buckets and momentum on heterogeneous data, the logs' cells
    Bucketing(shapes::One),
    /// Akoun & Meyer 2022: SignSGD, Signum and distributed SGD against blind and Byzantine workers
    Signsgd(signsgd::Args),
    /// Xie et al. 2019: Zeno against a majority of hostile workers, with data on the server
    Zeno(shapes::One),
    /// Xie et al. 2020: Zeno++, asynchronous training with eight hostile workers of ten
    #[command(name = "zeno++")]
    ZenoPp(shapes::One),
    /// Allen-Zhu et al. 2021: SafeguardSGD against six attacks, and who is expelled when
    Safeguard(shapes::One),
    /// Xie et al. 2019: Fall of Empires, large factors kill the median, small ones Krum
    FallOfEmpires(shapes::One),
}

/// Runs the experiments of a publication.
pub(crate) fn run(args: &Args) -> Result<(), Failure> {
    match &args.what {
        What::Momentum(args) => momentum::run(args),
        What::Bucketing(one) => shapes::run(one, &bucketing::PUBLICATION),
        What::Signsgd(args) => signsgd::run(args),
        What::Zeno(one) => shapes::run(one, &zeno::PUBLICATION),
        What::ZenoPp(one) => shapes::run(one, &zeno_pp::PUBLICATION),
        What::Safeguard(one) => shapes::run(one, &safeguard::PUBLICATION),
        What::FallOfEmpires(one) => shapes::run(one, &fall_of_empires::PUBLICATION),
    }
}
