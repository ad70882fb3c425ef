//! Single papers: their experiments as one call each, with our numbers beside theirs, and their
//! bounds as functions.
//!
//! A publication is one file with its experiments, the published numbers and the shapes that its
//! figures show. `varangian reproduce` and `varangian theory` are its commands.

mod bucketing;
mod defences;
mod fall_of_empires;
mod finite_sums;
mod methods;
pub mod momentum;
mod safeguard;
mod shapes;
pub mod signsgd;
pub mod theory;
mod zeno;
mod zeno_pp;

pub use shapes::{Publication, Request};

/// Every publication whose experiments are one file in a quick and one in a full form, in the order
/// in which the command lists them.
pub const ALL: &[&Publication] = &[
    &bucketing::PUBLICATION,
    &zeno::PUBLICATION,
    &zeno_pp::PUBLICATION,
    &safeguard::PUBLICATION,
    &fall_of_empires::PUBLICATION,
    &defences::per_block::PUBLICATION,
    &defences::signguard::PUBLICATION,
    &defences::gas::PUBLICATION,
    &defences::foundation::PUBLICATION,
    &defences::sequential_clipping::PUBLICATION,
    &defences::lasa::PUBLICATION,
    &defences::fedseca::PUBLICATION,
    &defences::rsa::PUBLICATION,
    &defences::election::PUBLICATION,
    &defences::draco::PUBLICATION,
    &defences::draco_cyclic::PUBLICATION,
    &defences::reactive::PUBLICATION,
    &methods::diloco::PUBLICATION,
    &methods::demoa::PUBLICATION,
    &methods::rosdhb::PUBLICATION,
    &methods::ef21::PUBLICATION,
    &methods::dm21::PUBLICATION,
    &methods::nsgdm::PUBLICATION,
    &methods::sign_muon::PUBLICATION,
    &methods::sto_sign::PUBLICATION,
    &finite_sums::marina::PUBLICATION,
    &finite_sums::dasha::PUBLICATION,
    &finite_sums::saga::PUBLICATION,
    &methods::gossip::PUBLICATION,
    &methods::async_rules::PUBLICATION,
    &methods::backdoor::PUBLICATION,
    &methods::transformer::PUBLICATION,
];
