//! Single papers: their experiments as one call each, with our numbers beside theirs, and their
//! bounds as functions.
//!
//! A publication is one file with its experiments, the published numbers and the shapes that its
//! figures show. `varangian reproduce` and `varangian theory` are its commands.

mod bucketing;
mod fall_of_empires;
pub mod momentum;
mod safeguard;
mod shapes;
pub mod signsgd;
pub mod theory;
mod zeno;
mod zeno_pp;

pub use shapes::{Publication, Request};

/// Karimireddy, He & Jaggi 2022: buckets and momentum on heterogeneous data, the logs' cells.
pub const BUCKETING: &Publication = &bucketing::PUBLICATION;
/// Xie et al. 2019: Zeno against a majority of hostile workers, with data on the server.
pub const ZENO: &Publication = &zeno::PUBLICATION;
/// Xie et al. 2020: Zeno++, asynchronous training with eight hostile workers of ten.
pub const ZENO_PP: &Publication = &zeno_pp::PUBLICATION;
/// Allen-Zhu et al. 2021: SafeguardSGD against six attacks, and who is expelled when.
pub const SAFEGUARD: &Publication = &safeguard::PUBLICATION;
/// Xie et al. 2019: Fall of Empires, large factors kill the median, small ones Krum.
pub const FALL_OF_EMPIRES: &Publication = &fall_of_empires::PUBLICATION;
