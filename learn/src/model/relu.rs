//! Rectified linear units.

use super::layer::{Keep, Layer, Pass, Sink};
use crate::kernels::pointwise::{mask, rectify};

/// max(x, 0), in place; its gradient at 0 is 0. A NaN stays a NaN.
pub(crate) struct Relu;

impl Layer for Relu {
    fn in_place(&self) -> bool {
        true
    }

    fn forward(&self, _: &Pass, _: &[f32], output: &mut [f32], _: &mut Keep) {
        rectify(output);
    }

    fn backward(
        &self,
        _: &Pass,
        _: &[f32],
        output: &[f32],
        d_output: &mut [f32],
        _: Option<Sink>,
        _: &mut [f32],
        _: &mut Keep,
    ) {
        mask(output, d_output);
    }
}
