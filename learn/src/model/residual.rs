//! The shortcut without parameters of residual networks.

use super::layer::{Keep, Layer, Pass, Sink, Spare, Values};
use crate::data::Shape;

/// Every `stride`-th pixel, with channels of zeros added evenly on both sides (He et al. 2016,
/// option A).
pub(crate) struct Subsample {
    pub(crate) input: Shape,
    pub(crate) output: Shape,
    pub(crate) stride: usize,
}

impl Subsample {
    /// Calls `visit(input range start, output range start)` for each kept pixel of each sample.
    fn pixels(&self, samples: usize, mut visit: impl FnMut(usize, usize)) {
        let (from, to) = (self.input, self.output);
        let before = (to.channels - from.channels) / 2;
        for sample in 0..samples {
            for y in 0..to.height {
                for x in 0..to.width {
                    let pixel = y * self.stride * from.width + x * self.stride;
                    visit(
                        sample * from.len() + pixel * from.channels,
                        sample * to.len() + (y * to.width + x) * to.channels + before,
                    );
                }
            }
        }
    }
}

impl Layer for Subsample {
    fn forward(&self, pass: &Pass, input: &[f32], output: &mut [f32], _: &mut Keep, _: &mut Spare) {
        output.fill(0.0);
        let c = self.input.channels;
        self.pixels(pass.samples, |from, to| {
            output[to..to + c].copy_from_slice(&input[from..from + c]);
        });
    }

    fn backward(
        &self,
        pass: &Pass,
        _: Values,
        d_output: &mut [f32],
        sink: Option<Sink>,
        _: &mut [f32],
        _: &mut Keep,
        _: &mut Spare,
    ) {
        let Some(Sink { data, add }) = sink else { return };
        if !add {
            data.fill(0.0);
        }
        let c = self.input.channels;
        self.pixels(pass.samples, |from, to| {
            let d = &d_output[to..to + c];
            data[from..from + c].iter_mut().zip(d).for_each(|(sum, &d)| *sum += d);
        });
    }
}
