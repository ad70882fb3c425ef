//! What a layer is to the engine: a forward and a backward pass over one batch on one thread.

use super::Place;
use super::conv::Conv;
use super::dropout::Dropout;
use super::linear::Linear;
use super::norm::Norm;
use super::pool::{GlobalMean, MaxPool};
use super::reorder::Reorder;
use super::residual::Subsample;
use crate::batch::{Entries, Listed};
use crate::kernels::floats::Floats;
use crate::kernels::sparse::Sparse;
use crate::kernels::winograd::Space;

/// Where a layer runs: the parameters, what was prepared from them, the batch.
#[derive(Clone, Copy)]
pub(crate) struct Pass<'a> {
    /// All parameters, flat.
    pub(crate) params: &'a [f32],
    /// What this layer prepared from them.
    pub(crate) prepared: &'a [f32],
    /// All buffers: running statistics.
    pub(crate) buffers: &'a [f32],
    /// Whether what was prepared is lean.
    pub(crate) lean: bool,
    /// Samples in the batch.
    pub(crate) samples: usize,
    /// The batch as what differs from one value, where that is known.
    pub(crate) listed: Option<Listed<'a>>,
    /// Where in the run a gradient is taken, and the layer's number; `None` in inference.
    pub(crate) place: Option<(Place, u64)>,
}

/// What one layer keeps from its forward to its backward pass, in one workspace.
#[derive(Default)]
pub(crate) struct Keep {
    /// Floats of the layer's own choosing.
    pub(crate) floats: Vec<f32>,
    /// Numbers of the layer's own choosing.
    pub(crate) numbers: Vec<u32>,
    /// The layer's input where most of it is one value.
    pub(crate) entries: Entries,
    /// Scratch memory for it.
    pub(crate) sparse: Sparse,
}

/// Scratch memory that all layers of one workspace share.
#[derive(Default)]
pub(crate) struct Spare {
    pub(crate) a: Floats,
    pub(crate) b: Floats,
    pub(crate) doubles: Vec<f64>,
    pub(crate) space: Space,
}

/// Where the gradient by a layer's input goes: overwritten, or added to where another layer that
/// reads the same input has already written.
pub(crate) struct Sink<'a> {
    pub(crate) data: &'a mut [f32],
    pub(crate) add: bool,
}

/// One layer. Activations hold one sample after the other; a sample of an image is height × width
/// × channels, channels last.
pub(crate) trait Layer: Send + Sync {
    /// Whether it works on its input in place, so that input and output are one buffer.
    fn in_place(&self) -> bool {
        false
    }

    /// Whether it has parameters.
    fn learns(&self) -> bool {
        false
    }

    /// What depends on the parameters alone, into `out` (resized); where `lean`, what little a
    /// forward pass in inference needs.
    fn prepare(&self, params: &[f32], lean: bool, out: &mut Floats) {
        let _ = (params, lean, out);
    }

    /// From `input` to `output` (which holds the input where the layer works in place).
    fn forward(
        &self,
        pass: &Pass,
        input: &[f32],
        output: &mut [f32],
        keep: &mut Keep,
        spare: &mut Spare,
    );

    /// From the gradient by the output to the gradient by the parameters, written into the
    /// layer's part of `gradient`, and by the input, into `sink` (`None` where nothing before
    /// learns). A layer in place changes `d_output` instead.
    fn backward(
        &self,
        pass: &Pass,
        values: Values,
        d_output: &mut [f32],
        sink: Option<Sink>,
        gradient: &mut [f32],
        keep: &mut Keep,
        spare: &mut Spare,
    );

    /// The batch statistics of the last forward pass, into the layer's part of `out`.
    fn statistics(&self, keep: &Keep, out: &mut [f32]) {
        let _ = (keep, out);
    }
}

/// What stood before and behind a layer when the forward pass ended.
#[derive(Clone, Copy)]
pub(crate) struct Values<'a> {
    pub(crate) input: &'a [f32],
    pub(crate) output: &'a [f32],
}

/// The kinds of layers: a closed list, so that a reference in f64 can interpret it.
pub(crate) enum Op {
    /// y = W·x + b.
    Linear(Linear),
    /// Convolution.
    Conv(Conv),
    /// Batch normalisation.
    Norm(Norm),
    /// max(x, 0), in place.
    Relu(super::relu::Relu),
    /// Max pooling.
    MaxPool(MaxPool),
    /// The mean pixel.
    GlobalMean(GlobalMean),
    /// Dropout, in place.
    Dropout(Dropout),
    /// Channels first to channels last, or back.
    Reorder(Reorder),
    /// Every second pixel, and channels of zeros: the shortcut without parameters.
    Subsample(Subsample),
    /// The sum of the input and this other buffer; the engine itself runs it.
    Add(usize),
}

impl Op {
    /// The layer behind the kind; `None` for a sum.
    pub(crate) fn layer(&self) -> Option<&dyn Layer> {
        Some(match self {
            Op::Linear(layer) => layer,
            Op::Conv(layer) => layer,
            Op::Norm(layer) => layer,
            Op::Relu(layer) => layer,
            Op::MaxPool(layer) => layer,
            Op::GlobalMean(layer) => layer,
            Op::Dropout(layer) => layer,
            Op::Reorder(layer) => layer,
            Op::Subsample(layer) => layer,
            Op::Add(_) => return None,
        })
    }
}
