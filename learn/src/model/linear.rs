//! Fully connected layers.

use super::layer::{Keep, Layer, Pass, Sink, Spare, Values};
use crate::kernels::channels::bias_gradient;
use crate::kernels::pointwise::repeat;
use crate::kernels::product::{Mat, product};

/// y = W·x + b with W of `outputs` × `inputs` at `weight` and b at `bias` in the flat vector.
pub(crate) struct Linear {
    pub(crate) inputs: usize,
    pub(crate) outputs: usize,
    pub(crate) weight: usize,
    pub(crate) bias: usize,
}

impl Linear {
    fn weights<'a>(&self, params: &'a [f32]) -> Mat<'a> {
        let len = self.inputs * self.outputs;
        Mat::rows(&params[self.weight..self.weight + len], self.inputs)
    }
}

impl Layer for Linear {
    fn learns(&self) -> bool {
        true
    }

    fn forward(&self, pass: &Pass, input: &[f32], output: &mut [f32], _: &mut Keep, _: &mut Spare) {
        let (b, inputs, outputs) = (pass.samples, self.inputs, self.outputs);
        repeat(&pass.params[self.bias..self.bias + outputs], output);
        let x = Mat::rows(input, inputs);
        product(b, outputs, inputs, x, self.weights(pass.params).t(), output, true);
    }

    fn backward(
        &self,
        pass: &Pass,
        values: Values,
        d_output: &mut [f32],
        sink: Option<Sink>,
        gradient: &mut [f32],
        _: &mut Keep,
        _: &mut Spare,
    ) {
        let (b, inputs, outputs) = (pass.samples, self.inputs, self.outputs);
        let dy = Mat::rows(d_output, outputs);
        let dw = &mut gradient[self.weight..self.weight + inputs * outputs];
        product(outputs, inputs, b, dy.t(), Mat::rows(values.input, inputs), dw, false);
        bias_gradient(d_output, &mut gradient[self.bias..self.bias + outputs]);
        if let Some(Sink { data, add }) = sink {
            product(b, inputs, outputs, dy, self.weights(pass.params), data, add);
        }
    }
}
