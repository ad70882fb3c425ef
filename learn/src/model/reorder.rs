//! The order of an image's floats: batches come channels first, the engine works channels last,
//! and PyTorch's flattening is channels first.

use super::layer::{Keep, Layer, Pass, Sink, Spare, Values};
use crate::data::Shape;
use crate::kernels::image::{to_channels_first, to_channels_last};
use crate::kernels::pointwise::add_to;

/// Channels first to channels last, or back.
pub(crate) struct Reorder {
    pub(crate) shape: Shape,
    /// Whether the output has its channels last.
    pub(crate) last: bool,
}

impl Layer for Reorder {
    fn forward(&self, _: &Pass, input: &[f32], output: &mut [f32], _: &mut Keep, _: &mut Spare) {
        let each = self.shape.len();
        for (x, y) in input.chunks_exact(each).zip(output.chunks_exact_mut(each)) {
            match self.last {
                true => to_channels_last(self.shape, x, y),
                false => to_channels_first(self.shape, x, y, false),
            }
        }
    }

    fn backward(
        &self,
        _: &Pass,
        _: Values,
        d_output: &mut [f32],
        sink: Option<Sink>,
        _: &mut [f32],
        _: &mut Keep,
        spare: &mut Spare,
    ) {
        let Some(Sink { data, add }) = sink else { return };
        let each = self.shape.len();
        let spare = spare.a.room(each);
        for (d, dx) in d_output.chunks_exact(each).zip(data.chunks_exact_mut(each)) {
            match (self.last, add) {
                (true, _) => to_channels_first(self.shape, d, dx, add),
                (false, false) => to_channels_last(self.shape, d, dx),
                (false, true) => {
                    to_channels_last(self.shape, d, spare);
                    add_to(spare, dx);
                }
            }
        }
    }
}
