//! Batch normalisation.

use super::layer::{Keep, Layer, Pass, Sink, Spare, Values};
use crate::kernels::channels::{Gate, affine, affine_two, moments, product_sums};

/// What stands for mean and variance.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Statistics {
    /// The batch's in training, the running ones in inference.
    Batch,
    /// Mean 0 and variance 1 always: the state of a new layer in evaluation mode.
    FrozenInit,
}

/// How running statistics move, for the entries of networks that have them.
pub(crate) const DIFFERS: &str = "With norm=batch the running statistics move once a step, towards the mean over the honest workers' batches (statistics=\"all\": over everybody's), as far as these would move them one after the other; published simulators share one module between workers, where the last worker of a step counts most.";

/// γ·(x − mean)/√(variance + ε) + β a channel.
pub(crate) struct Norm {
    pub(crate) channels: usize,
    /// γ in the flat vector.
    pub(crate) gamma: usize,
    /// β in the flat vector.
    pub(crate) beta: usize,
    /// Running mean in the buffers, running variance behind it.
    pub(crate) buffer: usize,
    pub(crate) statistics: Statistics,
    /// The rectifier that it computes on the way.
    pub(crate) gate: Gate,
}

/// ε of PyTorch and MXNet.
pub(crate) const EPSILON: f64 = 1e-5;

/// What a forward pass keeps a channel: mean, 1/√(variance + ε), the variance for the running
/// statistics, and the factor and the term of the affine map.
const KEPT: usize = 5;

impl Norm {
    /// Mean, 1/√(variance + ε), and the variance for the running statistics (unbiased; of a batch
    /// of one pixel the biased one), a channel each.
    fn measure(&self, pass: &Pass, input: &[f32], kept: &mut [f32], doubles: &mut Vec<f64>) {
        let c = self.channels;
        let (mean, rest) = kept.split_at_mut(c);
        let (inverse, rest) = rest.split_at_mut(c);
        let variance = &mut rest[..c];
        if self.statistics == Statistics::Batch && pass.place.is_some() {
            let count = (input.len() / c) as f64;
            doubles.resize(2 * c, 0.0);
            let (means, variances) = doubles.split_at_mut(c);
            moments(input, means, variances);
            for k in 0..c {
                mean[k] = means[k] as f32;
                inverse[k] = (1.0 / (variances[k] + EPSILON).sqrt()) as f32;
                variance[k] = (variances[k] * count / (count - 1.0).max(1.0)) as f32;
            }
        } else if self.statistics == Statistics::Batch {
            mean.copy_from_slice(&pass.buffers[self.buffer..self.buffer + c]);
            variance.copy_from_slice(&pass.buffers[self.buffer + c..self.buffer + 2 * c]);
            for k in 0..c {
                inverse[k] = (1.0 / (f64::from(variance[k]) + EPSILON).sqrt()) as f32;
            }
        } else {
            mean.fill(0.0);
            inverse.fill((1.0 / (1.0 + EPSILON).sqrt()) as f32);
            variance.fill(1.0);
        }
    }
}

impl Layer for Norm {
    fn learns(&self) -> bool {
        true
    }

    fn forward(
        &self,
        pass: &Pass,
        input: &[f32],
        output: &mut [f32],
        keep: &mut Keep,
        spare: &mut Spare,
    ) {
        let c = self.channels;
        keep.floats.resize(KEPT * c, 0.0);
        self.measure(pass, input, &mut keep.floats, &mut spare.doubles);
        let (kept, line) = keep.floats.split_at_mut(3 * c);
        let (a, b) = line.split_at_mut(c);
        for k in 0..c {
            a[k] = pass.params[self.gamma + k] * kept[c + k];
            b[k] = pass.params[self.beta + k] - kept[k] * a[k];
        }
        affine(input, a, b, self.gate == Gate::Behind, output);
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
        let c = self.channels;
        let (mean, inverse) = (&keep.floats[..c], &keep.floats[c..2 * c]);
        let line = [&keep.floats[3 * c..4 * c], &keep.floats[4 * c..5 * c]];
        spare.doubles.resize(2 * c, 0.0);
        let (products, sums) = spare.doubles.split_at_mut(c);
        product_sums(d_output, values.input, line, self.gate, mean, products, sums);
        for k in 0..c {
            gradient[self.gamma + k] = (products[k] * f64::from(inverse[k])) as f32;
            gradient[self.beta + k] = sums[k] as f32;
        }
        let Some(Sink { data, add }) = sink else { return };
        let (a, rest) = spare.a.room(3 * c).split_at_mut(c);
        let (p, q) = rest.split_at_mut(c);
        let share = match self.statistics {
            Statistics::Batch => c as f64 / d_output.len() as f64,
            Statistics::FrozenInit => 0.0,
        };
        for k in 0..c {
            let (inverse, scale) = (f64::from(inverse[k]), f64::from(pass.params[self.gamma + k]));
            let across = -scale * inverse.powi(3) * products[k] * share;
            a[k] = (scale * inverse) as f32;
            p[k] = across as f32;
            q[k] = (-scale * inverse * sums[k] * share - across * f64::from(mean[k])) as f32;
        }
        affine_two(d_output, values.input, [a, p, q], line, self.gate, data, add);
    }

    fn statistics(&self, keep: &Keep, out: &mut [f32]) {
        let c = self.channels;
        out[self.buffer..self.buffer + c].copy_from_slice(&keep.floats[..c]);
        out[self.buffer + c..self.buffer + 2 * c].copy_from_slice(&keep.floats[2 * c..3 * c]);
    }
}
