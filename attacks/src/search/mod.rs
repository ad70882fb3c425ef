//! The search for the worst case: hostile rows that do most harm to a given rule.
//!
//! [`worst`](crate::entry::ALL) attacks a round of training; [`kappa`] looks for the worst data of
//! a rule, honest and hostile. Both know the rule only as a [`Probe`](crate::Probe).

mod basis;
mod climb;
mod gram;
mod kappa;
mod spectrum;
pub(crate) mod worst;

pub use kappa::{Kappa, Measure, Problem, kappa};
