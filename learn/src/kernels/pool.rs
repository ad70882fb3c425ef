//! Max pooling over channels-last images.

use super::per_isa;
use crate::data::Shape;

/// A pooling window: square, moved by `stride`, over an image with `pad` pixels of −∞ around it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Window {
    pub(crate) input: Shape,
    pub(crate) output: Shape,
    pub(crate) size: usize,
    pub(crate) stride: usize,
    pub(crate) pad: usize,
}

impl Window {
    /// Whether the windows cover the image without overlap.
    pub(crate) fn tiles(&self) -> bool {
        let Window { input, output, size, stride, pad } = *self;
        let covers = |from: usize, to: usize| to * stride == from;
        let whole = covers(input.height, output.height) && covers(input.width, output.width);
        size == stride && pad == 0 && whole
    }

    /// The position (in pixels) under tap t of output pixel (y, x), if it lies in the image.
    #[inline(always)]
    fn source(&self, y: usize, x: usize, t: usize) -> Option<usize> {
        let row = (y * self.stride + t / self.size).checked_sub(self.pad)?;
        let column = (x * self.stride + t % self.size).checked_sub(self.pad)?;
        (row < self.input.height && column < self.input.width)
            .then_some(row * self.input.width + column)
    }
}

per_isa! {
    /// The largest float under each window, and the tap where it stands first, for one image. A
    /// NaN is larger than any number.
    pub(crate) fn max_pool(window: &Window, x: &[f32], out: &mut [f32], taps: &mut [u32]) {
        let c = window.input.channels;
        let pixels = out.chunks_exact_mut(c).zip(taps.chunks_exact_mut(c));
        for (pixel, (out, taps)) in pixels.enumerate() {
            let (y, across) = (pixel / window.output.width, pixel % window.output.width);
            out.fill(f32::NEG_INFINITY);
            taps.fill(u32::MAX);
            for t in 0..window.size * window.size {
                let Some(at) = window.source(y, across, t) else { continue };
                let from = &x[at * c..(at + 1) * c];
                for k in 0..c {
                    let larger = (from[k] > out[k]) | (from[k].is_nan() & !out[k].is_nan());
                    // The first valid tap, so that a window of −∞ has one too.
                    let wins = larger | (taps[k] == u32::MAX);
                    out[k] = if wins { from[k] } else { out[k] };
                    taps[k] = if wins { t as u32 } else { taps[k] };
                }
            }
        }
    }
}

per_isa! {
    /// Adds each output's gradient to the input under its tap, for one image; with `write`, for
    /// windows that tile it, the input's gradient is written.
    pub(crate) fn max_pool_back(
        window: &Window, d: &[f32], taps: &[u32], write: bool, d_input: &mut [f32],
    ) {
        let c = window.input.channels;
        for (pixel, (d, taps)) in d.chunks_exact(c).zip(taps.chunks_exact(c)).enumerate() {
            let (y, across) = (pixel / window.output.width, pixel % window.output.width);
            for t in 0..window.size * window.size {
                let Some(at) = window.source(y, across, t) else { continue };
                let to = &mut d_input[at * c..(at + 1) * c];
                for k in 0..c {
                    let d = if taps[k] == t as u32 { d[k] } else { 0.0 };
                    to[k] = if write { d } else { to[k] + d };
                }
            }
        }
    }
}
