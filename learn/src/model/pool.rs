//! Pooling.

use super::layer::{Keep, Layer, Pass, Sink, Spare, Values};
use crate::data::Shape;
use crate::kernels::channels::mean_pixels;
use crate::kernels::pointwise::mask;
use crate::kernels::pool::{Window, max_pool, max_pool_back};

/// Max pooling; of equal entries the first (row by row) wins and gets the gradient.
pub(crate) struct MaxPool {
    pub(crate) window: Window,
    /// Whether it masks the gradient for the rectifier before it.
    pub(crate) gated: bool,
}

impl Layer for MaxPool {
    fn forward(&self, _: &Pass, input: &[f32], output: &mut [f32], keep: &mut Keep, _: &mut Spare) {
        let (from, to) = (self.window.input.len(), self.window.output.len());
        keep.numbers.resize(output.len(), 0);
        let taps = keep.numbers.chunks_exact_mut(to);
        for ((x, y), taps) in input.chunks_exact(from).zip(output.chunks_exact_mut(to)).zip(taps) {
            max_pool(&self.window, x, y, taps);
        }
    }

    fn backward(
        &self,
        _: &Pass,
        values: Values,
        d_output: &mut [f32],
        sink: Option<Sink>,
        _: &mut [f32],
        keep: &mut Keep,
        _: &mut Spare,
    ) {
        let Some(Sink { data, add }) = sink else { return };
        if self.gated {
            mask(values.output, d_output);
        }
        let write = !add && self.window.tiles();
        if !add && !write {
            data.fill(0.0);
        }
        let (from, to) = (self.window.input.len(), self.window.output.len());
        let taps = keep.numbers.chunks_exact(to);
        for ((d, dx), taps) in d_output.chunks_exact(to).zip(data.chunks_exact_mut(from)).zip(taps)
        {
            max_pool_back(&self.window, d, taps, write, dx);
        }
    }
}

/// The mean pixel of an image.
pub(crate) struct GlobalMean(pub(crate) Shape);

impl Layer for GlobalMean {
    fn forward(&self, _: &Pass, input: &[f32], output: &mut [f32], _: &mut Keep, _: &mut Spare) {
        mean_pixels(input, self.0.channels, output);
    }

    fn backward(
        &self,
        _: &Pass,
        _: Values,
        d_output: &mut [f32],
        sink: Option<Sink>,
        _: &mut [f32],
        _: &mut Keep,
        _: &mut Spare,
    ) {
        let Some(Sink { data, add }) = sink else { return };
        let c = self.0.channels;
        let scale = c as f32 / self.0.len() as f32;
        for (d, dx) in d_output.chunks_exact(c).zip(data.chunks_exact_mut(self.0.len())) {
            for pixel in dx.chunks_exact_mut(c) {
                for (to, &d) in pixel.iter_mut().zip(d) {
                    *to = if add { *to + d * scale } else { d * scale };
                }
            }
        }
    }
}
