//! Dropout with addressed masks.

use super::layer::{Keep, Layer, Pass, Sink, Spare, Values};
use crate::kernels::pointwise::{scale_by, thin};
use varangian_base::{Domain, Stream};

/// Whose masks a worker draws.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Masks {
    /// Its own.
    Own,
    /// Those of worker 0, as all others do.
    Shared,
    /// Those of worker 0, the same in every step, or in so many until new ones are drawn; 0: never.
    Frozen(u64),
}

impl Masks {
    /// The worker and the step at which those of a worker and a step are drawn.
    pub(crate) fn drawn_at(self, worker: u32, step: u64) -> (u32, u64) {
        match self {
            Masks::Own => (worker, step),
            Masks::Shared => (0, step),
            Masks::Frozen(hold) => (0, step.checked_div(hold).unwrap_or(0)),
        }
    }
}

/// Each float becomes 0 with probability p, else is divided by 1 − p; in place. The mask is drawn
/// at (`Domain::Dropout`, worker, step, layer) for every float, whether used or not, so it depends
/// on nothing but its address. Where whole channels drop, one number is drawn for each of a sample.
/// Inference leaves all floats alone.
pub(crate) struct Dropout {
    pub(crate) p: f32,
    pub(crate) masks: Masks,
    /// The channels of the pixels that drop together, and how many pixels a sample has.
    pub(crate) channels: Option<(usize, usize)>,
}

impl Dropout {
    /// A number from 0 to 1 for each float.
    fn draw(&self, stream: &mut Stream, floats: &mut [f32]) {
        let Some((channels, pixels)) = self.channels else { return stream.fill_uniform(floats) };
        let samples = floats.len() / (channels * pixels);
        stream.fill_uniform(&mut floats[..samples * channels]);
        // From the last sample on, so that no number is overwritten before it is copied.
        for sample in (0..samples).rev() {
            let drawn = sample * channels..(sample + 1) * channels;
            for pixel in (0..pixels).rev() {
                floats.copy_within(drawn.clone(), (sample * pixels + pixel) * channels);
            }
        }
    }
}

impl Layer for Dropout {
    fn in_place(&self) -> bool {
        true
    }

    fn forward(&self, pass: &Pass, _: &[f32], output: &mut [f32], keep: &mut Keep, _: &mut Spare) {
        let Some((place, layer)) = pass.place else { return };
        let (worker, step) = self.masks.drawn_at(place.worker, place.step);
        let mut stream = place.seed.lane(Domain::Dropout, worker, step, layer);
        keep.floats.resize(output.len(), 0.0);
        self.draw(&mut stream, &mut keep.floats);
        thin(output, &mut keep.floats, self.p, 1.0 / (1.0 - self.p));
    }

    fn backward(
        &self,
        _: &Pass,
        _: Values,
        d_output: &mut [f32],
        _: Option<Sink>,
        _: &mut [f32],
        keep: &mut Keep,
        _: &mut Spare,
    ) {
        scale_by(d_output, &keep.floats);
    }
}
