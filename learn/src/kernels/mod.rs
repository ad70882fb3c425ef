//! The loops under the models: matrix products, exponentials, convolutions.
//!
//! Each runs on one thread; whoever has many gradients to compute gives each thread whole ones.

pub(crate) mod bytes;
pub(crate) mod channels;
pub(crate) mod exp;
pub(crate) mod floats;
pub(crate) mod image;
pub(crate) mod panel;
pub(crate) mod pointwise;
pub(crate) mod pool;
pub(crate) mod product;
pub(crate) mod sparse;
pub(crate) mod winograd;

pub use varangian_base::kernels::isa;
pub(crate) use varangian_base::kernels::isa::Isa;
pub(crate) use varangian_base::kernels::lanes::Lanes;
pub(crate) use varangian_base::{kernel, per_isa};

/// c = a·b for packed m × k, k × n and m × n matrices: the product under every model, for whoever
/// measures against it.
pub fn multiply(m: usize, n: usize, k: usize, a: &[f32], b: &[f32], c: &mut [f32]) {
    use product::{Mat, product};
    product(m, n, k, Mat::rows(a, k), Mat::rows(b, n), c, false);
}
