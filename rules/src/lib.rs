//! Gradient aggregation rules: n rows in, one vector out, however hostile f of the rows are.
//!
//! A rule is one file and one line in [`ALL`]. The mathematics is factored: a statistic of the rows
//! (distances, columns, norms) gives weights or values, and a kernel combines. A rule knows loss
//! only as the [`Oracle`] that the trainer implements.

mod average;
mod bucketing;
mod bulyan;
mod centred_clipping;
mod chain;
mod clipping;
mod ctma;
pub mod entry;
mod filter;
mod filters;
mod geometric_median;
mod krum;
mod majority;
mod median;
mod nnm;
mod oracle;
mod phocas;
mod round;
mod safeguard;
mod select;
mod trimmed_mean;
pub mod vote;
mod zeno;

pub use chain::{Pipeline, build};
pub use entry::{ALL, Bound, Claims, Family, Kappa, RuleEntry, RuleFacts, Stage};
pub use filter::{Arrival, Decision, FILTERS, Filter, FilterEntry, FilterFacts, build_filter};
pub use oracle::Oracle;
pub use round::{Mixing, Post, Pre, Round, Rule, Verdict};
pub use safeguard::theory_threshold;
pub use vote::{VOTES, Vote, VoteEntry, VoteFacts, VoteRound, build_vote};

#[cfg(test)]
mod conformance;
