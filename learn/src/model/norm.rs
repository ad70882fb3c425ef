//! Batch normalisation.

use super::layer::{Keep, Layer, Pass, Sink, Spare, Values};
use crate::kernels::channels::{affine, affine_two, channel_sums, product_sums, squared_sums};

/// What stands for mean and variance.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Statistics {
    /// The batch's in training, the running ones in inference.
    Batch,
    /// Mean 0 and variance 1 always: the state of a new layer in evaluation mode.
    FrozenInit,
}

/// How running statistics move, for the entries of networks that have them.
pub(crate) const DIFFERS: &str = "With norm=batch the running statistics move once a step, by a tenth towards the mean over the honest workers' batches (statistics=\"all\": over everybody's); published simulators share one module between workers, which moves once a worker.";

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
}

/// ε of PyTorch and MXNet.
pub(crate) const EPSILON: f64 = 1e-5;

/// What a forward pass keeps: three numbers a channel.
const KEPT: usize = 3;

impl Norm {
    /// Mean, 1/√(variance + ε), and the variance for the running statistics (unbiased; of a batch
    /// of one pixel the biased one), a channel each.
    fn measure(&self, pass: &Pass, input: &[f32], kept: &mut [f32], sums: &mut Vec<f64>) {
        let c = self.channels;
        let (mean, rest) = kept.split_at_mut(c);
        let (inverse, rest) = rest.split_at_mut(c);
        let variance = &mut rest[..c];
        if self.statistics == Statistics::Batch && pass.place.is_some() {
            let count = (input.len() / c) as f64;
            sums.resize(c, 0.0);
            channel_sums(input, sums);
            mean.iter_mut().zip(sums.iter()).for_each(|(m, s)| *m = (s / count) as f32);
            squared_sums(input, mean, sums);
            for k in 0..c {
                inverse[k] = (1.0 / (sums[k] / count + EPSILON).sqrt()) as f32;
                variance[k] = (sums[k] / (count - 1.0).max(1.0)) as f32;
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
        spare.a.resize(spare.a.len().max(2 * c), 0.0);
        let (a, b) = spare.a[..2 * c].split_at_mut(c);
        for k in 0..c {
            a[k] = pass.params[self.gamma + k] * keep.floats[c + k];
            b[k] = pass.params[self.beta + k] - keep.floats[k] * a[k];
        }
        affine(input, a, b, output);
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
        spare.doubles.resize(2 * c, 0.0);
        let (products, sums) = spare.doubles.split_at_mut(c);
        product_sums(d_output, values.input, mean, products, sums);
        for k in 0..c {
            gradient[self.gamma + k] = (products[k] * f64::from(inverse[k])) as f32;
            gradient[self.beta + k] = sums[k] as f32;
        }
        let Some(Sink { data, add }) = sink else { return };
        spare.a.resize(spare.a.len().max(3 * c), 0.0);
        let (a, rest) = spare.a[..3 * c].split_at_mut(c);
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
        affine_two(d_output, values.input, [a, p, q], data, add);
    }

    fn statistics(&self, keep: &Keep, out: &mut [f32]) {
        let c = self.channels;
        out[self.buffer..self.buffer + c].copy_from_slice(&keep.floats[..c]);
        out[self.buffer + c..self.buffer + 2 * c].copy_from_slice(&keep.floats[2 * c..3 * c]);
    }
}
