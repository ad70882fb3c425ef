//! `varangian theory`: published bounds as functions, with their conditions checked.

pub(crate) mod empires;
pub mod signsgd;

use crate::Failure;
use clap::Subcommand;
use std::fmt;

/// Arguments of `varangian theory`.
#[derive(clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    what: What,
}

/// One line a theory.
#[derive(Subcommand)]
enum What {
    /// Sign descent with majority vote: sign errors, vote failures, convergence bounds
    Signsgd(signsgd::Args),
    /// Inner-product manipulation: when the median and Krum turn against the gradient
    Empires(empires::Args),
}

/// Prints the tables of a theory.
pub(crate) fn run(args: &Args) -> Result<(), Failure> {
    match &args.what {
        What::Signsgd(args) => signsgd::run(args),
        What::Empires(args) => empires::run(args),
    }
}

/// A bound that says nothing at these numbers: which, what it needs, and what was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VacuousBound(String);

impl VacuousBound {
    /// The bound `name` needs `condition`; `found` says where it fails.
    pub(crate) fn new(name: &str, condition: &str, found: impl fmt::Display) -> Self {
        VacuousBound(format!("{name} needs {condition}; got {found}"))
    }
}

impl fmt::Display for VacuousBound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for VacuousBound {}
