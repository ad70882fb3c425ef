//! Published bounds as functions, with their conditions checked.

pub mod empires;
pub mod minority;
pub mod participation;
pub mod safeguard;
mod sheet;
pub mod signsgd;
pub mod zeno;
pub mod zeno_pp;

pub use sheet::{Sheet, Table};

use std::fmt;

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
