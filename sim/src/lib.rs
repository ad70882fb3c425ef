//! Drivers of the training machines in one process.
//!
//! [`lockstep`] is the classical parameter server: every worker answers every step.

mod crew;
pub mod lockstep;
mod plan;

pub use plan::{Hostile, Plan};
