//! The loops under the models: matrix products, exponentials, convolutions.
//!
//! Each runs on one thread; whoever has many gradients to compute gives each thread whole ones.

#[macro_use]
mod isa;
pub(crate) mod exp;
pub(crate) mod pointwise;
pub(crate) mod product;

pub use isa::{Isa, force_isa, isa};
