//! Kernels over rows: the few loops that all rules share.
//!
//! Each is written once over [`lanes::Lanes`], compiled for AVX-512, AVX2 with FMA and a portable
//! target, and chosen at run time ([`isa`]). Every kernel works in fixed blocks, so its bits do not
//! depend on the number of threads; the second call with the same shape allocates nothing.

#[macro_use]
mod compile;
pub mod beside;
pub mod columns;
pub mod combine;
pub mod distances;
pub mod elementwise;
pub mod isa;
pub mod lanes;
pub(crate) mod mix;
pub mod moments;
mod network;
pub mod norms;
pub mod sketch;
pub mod votes;
#[cfg(target_arch = "x86_64")]
pub mod x86;
