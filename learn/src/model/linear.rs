//! Fully connected layers.

use super::layer::{Keep, Layer, Pass, Sink, Spare, Values};
use crate::kernels::channels::bias_gradient;
use crate::kernels::panel::{self, Taps};
use crate::kernels::pointwise::add_to;
use crate::kernels::product::{Mat, product};

/// y = W·x + b with W of `outputs` × `inputs` at `weight` and b at `bias` in the flat vector.
pub(crate) struct Linear {
    pub(crate) inputs: usize,
    pub(crate) outputs: usize,
    pub(crate) weight: usize,
    pub(crate) bias: usize,
}

/// The starts of packed rows of `len` floats.
fn starts(bases: &mut Vec<u32>, rows: usize, len: usize) {
    bases.clear();
    bases.extend((0..rows).map(|row| (row * len) as u32));
}

impl Layer for Linear {
    fn learns(&self) -> bool {
        true
    }

    /// Wᵀ and W, packed; nothing for inference on a few samples, where packing costs more than
    /// it saves.
    fn prepare(&self, params: &[f32], lean: bool, out: &mut Vec<f32>) {
        if lean {
            return out.clear();
        }
        let (inputs, outputs) = (self.inputs, self.outputs);
        let w = &params[self.weight..self.weight + inputs * outputs];
        let split = panel::packed(inputs, outputs);
        out.resize(split + panel::packed(outputs, inputs), 0.0);
        let (forward, backward) = out.split_at_mut(split);
        panel::pack(inputs, outputs, w, |i| i, inputs, forward);
        panel::pack(outputs, inputs, w, |o| o * inputs, 1, backward);
    }

    fn forward(
        &self,
        pass: &Pass,
        input: &[f32],
        output: &mut [f32],
        keep: &mut Keep,
        _: &mut Spare,
    ) {
        let bias = &pass.params[self.bias..self.bias + self.outputs];
        if pass.lean {
            let (inputs, outputs) = (self.inputs, self.outputs);
            output.chunks_exact_mut(outputs).for_each(|row| row.copy_from_slice(bias));
            let w = &pass.params[self.weight..self.weight + inputs * outputs];
            let (x, w) = (Mat::rows(input, inputs), Mat::rows(w, inputs).t());
            return product(pass.samples, outputs, inputs, x, w, output, true);
        }
        starts(&mut keep.numbers, pass.samples, self.inputs);
        let rows = Taps { data: input, bases: &keep.numbers, segments: &[0], run: self.inputs };
        let weights = &pass.prepared[..panel::packed(self.inputs, self.outputs)];
        panel::times(&rows, weights, self.outputs, bias, output);
    }

    fn backward(
        &self,
        pass: &Pass,
        values: Values,
        d_output: &mut [f32],
        sink: Option<Sink>,
        gradient: &mut [f32],
        keep: &mut Keep,
        spare: &mut Spare,
    ) {
        let (inputs, outputs) = (self.inputs, self.outputs);
        starts(&mut keep.numbers, pass.samples, outputs);
        let rows = Taps { data: d_output, bases: &keep.numbers, segments: &[0], run: outputs };
        let weights = &mut gradient[self.weight..self.weight + inputs * outputs];
        weights.fill(0.0);
        panel::transposed_times(&rows, values.input, inputs, weights);
        bias_gradient(d_output, &mut gradient[self.bias..self.bias + outputs]);
        let Some(Sink { data, add }) = sink else { return };
        let weights = &pass.prepared[panel::packed(inputs, outputs)..];
        if add {
            spare.a.resize(spare.a.len().max(data.len()), 0.0);
            let own = &mut spare.a[..data.len()];
            panel::times(&rows, weights, inputs, &[], own);
            add_to(own, data);
        } else {
            panel::times(&rows, weights, inputs, &[], data);
        }
    }
}
