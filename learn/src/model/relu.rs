//! Rectified linear units.

use super::layer::{Keep, Layer, Pass, Sink, Spare, Values};
use crate::kernels::pointwise::{mask, rectify};

/// max(x, 0), in place; its gradient at 0 is 0. A NaN stays a NaN.
pub(crate) struct Relu {
    /// Whether it rectifies: not where the layer before it writes rectified values.
    pub(crate) forward: bool,
    /// Whether it masks gradients: not where the layer behind it does.
    pub(crate) backward: bool,
}

impl Layer for Relu {
    fn in_place(&self) -> bool {
        true
    }

    fn forward(&self, _: &Pass, _: &[f32], output: &mut [f32], _: &mut Keep, _: &mut Spare) {
        if self.forward {
            rectify(output);
        }
    }

    fn backward(
        &self,
        _: &Pass,
        values: Values,
        d_output: &mut [f32],
        _: Option<Sink>,
        _: &mut [f32],
        _: &mut Keep,
        _: &mut Spare,
    ) {
        if self.backward {
            mask(values.output, d_output);
        }
    }
}
