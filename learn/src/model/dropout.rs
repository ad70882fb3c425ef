//! Dropout with addressed masks.

use super::layer::{Keep, Layer, Pass, Sink, Spare, Values};
use crate::kernels::pointwise::{scale_by, thin};
use varangian_base::Domain;

/// Whose masks a worker draws.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Masks {
    /// Its own.
    Own,
    /// Those of worker 0, as all others do.
    Shared,
}

/// Each float becomes 0 with probability p, else is divided by 1 − p; in place. The mask is drawn
/// at (`Domain::Dropout`, worker, step, layer) for every float, whether used or not, so it depends
/// on nothing but its address. Inference leaves all floats alone.
pub(crate) struct Dropout {
    pub(crate) p: f32,
    pub(crate) masks: Masks,
}

impl Layer for Dropout {
    fn in_place(&self) -> bool {
        true
    }

    fn forward(&self, pass: &Pass, _: &[f32], output: &mut [f32], keep: &mut Keep, _: &mut Spare) {
        let Some((place, layer)) = pass.place else { return };
        let worker = match self.masks {
            Masks::Own => place.worker,
            Masks::Shared => 0,
        };
        let mut stream = place.seed.lane(Domain::Dropout, worker, place.step, layer);
        keep.floats.resize(output.len(), 0.0);
        stream.fill_uniform(&mut keep.floats);
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
