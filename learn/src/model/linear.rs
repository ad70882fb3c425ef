//! Fully connected layers.

use super::layer::{Keep, Layer, Pass, Sink, Spare, Values};
use crate::batch::{Entries, Listed};
use crate::kernels::channels::bias_gradient;
use crate::kernels::floats::Floats;
use crate::kernels::panel::{self, Taps};
use crate::kernels::pointwise::add_to;
use crate::kernels::product::{Mat, product};
use crate::kernels::sparse::gather;

/// y = W·x + b with W of `outputs` × `inputs` at `weight` and b at `bias` in the flat vector.
pub(crate) struct Linear {
    pub(crate) inputs: usize,
    pub(crate) outputs: usize,
    pub(crate) weight: usize,
    pub(crate) bias: usize,
    /// Whether it reads the batch itself, which may be sparse.
    pub(crate) first: bool,
}

/// The starts of packed rows of `len` floats.
fn starts(bases: &mut Vec<u32>, rows: usize, len: usize) {
    bases.clear();
    bases.extend((0..rows).map(|row| (row * len) as u32));
}

impl Linear {
    /// The first layer's input where most of it is one value: as the batch lists it, or as it was
    /// found.
    fn listed<'a>(&self, pass: &Pass<'a>, found: &'a Entries) -> Option<Listed<'a>> {
        let found = || found.listed(0..pass.samples, self.inputs);
        if self.first { pass.listed.or_else(found) } else { None }
    }
}

impl Layer for Linear {
    fn learns(&self) -> bool {
        true
    }

    /// Wᵀ and W, packed, and the sums of W's rows; nothing for inference on a few samples, where
    /// packing costs more than it saves. The first layer needs no W.
    fn prepare(&self, params: &[f32], lean: bool, out: &mut Floats) {
        if lean {
            return out.resize(0);
        }
        let (inputs, outputs) = (self.inputs, self.outputs);
        let w = &params[self.weight..self.weight + inputs * outputs];
        let split = panel::packed(inputs, outputs);
        if self.first {
            out.resize(split + outputs);
            let (forward, sums) = out.split_at_mut(split);
            panel::pack(inputs, outputs, w, |i| i, inputs, forward);
            for (sum, row) in sums.iter_mut().zip(w.chunks_exact(inputs)) {
                *sum = summed(row);
            }
            return;
        }
        out.resize(split + panel::packed(outputs, inputs));
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
        spare: &mut Spare,
    ) {
        let bias = &pass.params[self.bias..self.bias + self.outputs];
        if pass.lean {
            let (inputs, outputs) = (self.inputs, self.outputs);
            output.chunks_exact_mut(outputs).for_each(|row| row.copy_from_slice(bias));
            let w = &pass.params[self.weight..self.weight + inputs * outputs];
            let (x, w) = (Mat::rows(input, inputs), Mat::rows(w, inputs).t());
            return product(pass.samples, outputs, inputs, x, w, output, true);
        }
        let split = panel::packed(self.inputs, self.outputs);
        let (weights, rest) = pass.prepared.split_at(split);
        if self.first && pass.listed.is_none() {
            gather(&mut keep.entries, input, self.inputs);
        }
        if let Some(rows) = self.listed(pass, &keep.entries) {
            let back = rows.background;
            let start = spare.a.room(self.outputs);
            for ((start, &bias), &sum) in start.iter_mut().zip(bias).zip(rest) {
                *start = bias + back * sum;
            }
            return keep.sparse.times(rows, weights, self.inputs, self.outputs, start, output);
        }
        starts(&mut keep.numbers, pass.samples, self.inputs);
        let rows = Taps { data: input, bases: &keep.numbers, segments: &[0], run: self.inputs };
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
        let own = &mut gradient[self.weight..self.bias + outputs];
        let (weights, bias) = own.split_at_mut(self.bias - self.weight);
        bias_gradient(d_output, bias);
        if let Some(rows) = self.listed(pass, &keep.entries) {
            // Only the first layer looks for sparse input, and nothing before it learns.
            return keep.sparse.gradient(rows, d_output, bias, inputs, weights);
        }
        starts(&mut keep.numbers, pass.samples, outputs);
        let rows = Taps { data: d_output, bases: &keep.numbers, segments: &[0], run: outputs };
        weights.fill(0.0);
        panel::transposed_times(&rows, values.input, inputs, weights);
        let Some(Sink { data, add }) = sink else { return };
        let weights = &pass.prepared[panel::packed(inputs, outputs)..];
        if add {
            let own = spare.a.room(data.len());
            panel::times(&rows, weights, inputs, &[], own);
            add_to(own, data);
        } else {
            panel::times(&rows, weights, inputs, &[], data);
        }
    }
}
/// The sum of a row, in f64 and in eight lanes: one addition need not wait for the last.
fn summed(row: &[f32]) -> f32 {
    let (eights, rest) = row.as_chunks::<8>();
    let mut lanes = [0.0f64; 8];
    for eight in eights {
        lanes.iter_mut().zip(eight).for_each(|(sum, &x)| *sum += f64::from(x));
    }
    rest.iter().zip(&mut lanes).for_each(|(&x, sum)| *sum += f64::from(x));
    lanes.iter().sum::<f64>() as f32
}
