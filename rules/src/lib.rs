//! Gradient aggregation rules: n rows in, one vector out, however hostile f of the rows are.
//!
//! A rule is one file and one line in [`ALL`]. The mathematics is factored: a statistic of the rows
//! (distances, columns, norms) gives weights or values, and a kernel combines. A rule knows loss
//! only as the [`Oracle`] that the trainer implements.
//!
//! ```
//! use varangian_base::Matrix;
//! use varangian_rules::{Round, Verdict, build};
//! let rows = Matrix::from_rows(&[[0.0, 1.0], [0.1, 1.1], [0.2, 0.9], [0.1, 1.0], [1e6, -1e6]]);
//! let (mut out, mut verdict) = ([0.0; 2], Verdict::default());
//! let mut rule = build("nnm | krum", 5, 1)?;
//! rule.aggregate(&mut Round::of(rows.rows(), 1), &mut out, &mut verdict);
//! assert!(out[0] < 1.0 && verdict.weights[4] == 0.0);
//! assert!(build("krum", 4, 1).is_err(), "below its bound");
//! # Ok::<(), varangian_base::SpecError>(())
//! ```

mod aksel;
mod average;
mod bucketing;
mod bulyan;
mod caf;
mod centred_clipping;
pub mod certificate;
mod cge;
mod chain;
mod clipping;
pub mod conformance;
mod cover;
mod ctma;
mod dnc;
mod draco;
mod draco_cyclic;
pub mod entry;
pub mod evidence;
pub mod exact;
mod exclusion;
mod faba;
mod fedseca;
mod filter;
mod filters;
mod fltrust;
mod foundation;
mod gas;
mod geometric_median;
mod krum;
mod lasa;
mod majority;
mod margin;
mod mda;
mod median;
mod monna;
mod nnm;
mod oracle;
mod phocas;
mod reactive;
mod rfa;
mod round;
mod rsa;
mod safeguard;
mod select;
mod sequential_clipping;
mod signguard;
mod smea;
mod spectrum;
mod sum;
mod trimmed_mean;
pub mod weights;
mod zeno;

pub use certificate::{Certificate, Certifier, Effort, certify_exact};
pub use chain::{Blocks, Pipeline, Stages, build};
pub use draco_cyclic::cyclic_code;
pub use entry::{ALL, Bound, Claims, Family, Kappa, RuleEntry, RuleFacts, Stage};
pub use evidence::{Evidence, Standing};
pub use filter::{
    Arrival, Decision, FILTERS, Filter, FilterEntry, FilterFacts, build_filter, build_filter_among,
};
pub use oracle::Oracle;
pub use round::{Mixing, Post, Pre, Redundancy, Round, Rule, Verdict};
pub use safeguard::theory_threshold;
