//! Kernels over rows: the few loops that all rules share. Plain and portable here.
//!
//! Every kernel works in fixed blocks, so its bits do not depend on the number of threads.

pub mod ballots;
pub mod blend;
pub mod columns;
pub mod combine;
pub mod distances;
pub mod norms;
pub mod votes;
