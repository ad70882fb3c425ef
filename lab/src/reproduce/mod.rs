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
    /// El-Mhamdi, Guerraoui & Rouault 2021: momentum at the workers or at the update
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

/// Rules, attacks and papers without an experiment of their own, and which command covers them.
const ELSEWHERE: &[(&str, &str)] = &[
    ("krum", "zeno, fall-of-empires and bucketing run Krum, momentum Multi-Krum"),
    ("multi-krum", "momentum runs it"),
    ("bulyan", "momentum runs it, at f = 12 of 51"),
    ("phocas", "momentum runs it"),
    ("meamed", "momentum runs it"),
    ("trimmed-mean", "momentum runs it"),
    ("median", "momentum, zeno and fall-of-empires run it"),
    ("rfa", "bucketing runs it"),
    ("centred-clipping", "bucketing runs it"),
    ("geometric-median", "safeguard runs it"),
    ("kardam", "zeno++ runs it beside its filter"),
    ("alie", "momentum runs it at z = 1.5, bucketing too"),
    ("ipm", "fall-of-empires is its paper; momentum runs it as empire, bucketing too"),
    ("empire", "fall-of-empires is its paper; momentum runs it"),
    ("mimic", "bucketing is its paper"),
    ("label-flip", "zeno, zeno++, safeguard and bucketing run it"),
    ("sign-flip", "zeno, zeno++, safeguard and bucketing run it"),
    ("signum", "signsgd runs it"),
    ("bernstein", "signsgd runs its rules on a later report; its own experiment has no command"),
    ("majority", "signsgd runs it"),
];

/// Where what was asked for is covered, if it is, although it is no publication here.
pub(crate) fn elsewhere(asked: &str) -> Option<Failure> {
    let (_, where_) = ELSEWHERE.iter().find(|(name, _)| *name == asked.to_lowercase())?;
    let text = format!("reproduce has no experiment of {asked} alone: {where_}");
    Some(Failure::refused(text))
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

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[derive(clap::Parser)]
    struct Whole {
        #[command(subcommand)]
        _what: What,
    }

    #[test]
    fn what_has_no_experiment_is_sent_to_one_that_is_there() {
        let command = Whole::command();
        let known: Vec<&str> = command.get_subcommands().map(clap::Command::get_name).collect();
        for (name, text) in ELSEWHERE {
            assert!(!known.contains(name), "{name}");
            assert!(known.iter().any(|known| text.contains(known)), "{name}: {text}");
        }
        assert!(elsewhere("Krum").unwrap().to_string().contains("zeno"));
        assert!(elsewhere("nothing").is_none());
    }
}
