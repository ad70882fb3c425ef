//! Single papers: their experiments as one call each, with our numbers beside theirs, and their
//! bounds as functions.
//!
//! A publication is one file with its experiments, the published numbers and the shapes that its
//! figures show. `varangian reproduce` and `varangian theory` are its commands.
//!
//! ```
//! use varangian_papers::theory::participation::Tails;
//! use varangian_papers::theory::zeno::Crowd;
//! // What Zeno's theorem multiplies the variance by: (b − q + 1)(n − q)/(n − b)².
//! let crowd = Crowd { workers: 20, hostile: 8, trimmed: 12 };
//! assert_eq!(crowd.variance_factor()?, 5.0 * 12.0 / 64.0);
//! // Where a condition fails, a bound says which one.
//! let said = Crowd { hostile: 16, ..crowd }.variance_factor().unwrap_err().to_string();
//! assert_eq!(said, "Theorem 1 needs q ≤ b < n; got q = 16, b = 12, n = 20");
//! // Of 30 workers drawn from 100 with ten hostile ones: with how many to reckon in 500 rounds,
//! // if there may be more in one of them with a chance of 1 %.
//! let reckoned = Tails::new(100, 10).reckoned(30, 500, 0.01);
//! assert!(reckoned > 3 && reckoned < 10, "{reckoned}");
//! // Each publication is one call: this one's quick form takes minutes.
//! assert!(varangian_papers::ALL.iter().any(|publication| publication.name == "bucketing"));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

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

pub use shapes::{Publication, Request, Shape, all_hold};

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
