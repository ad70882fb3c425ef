//! What a layer is to the engine: a forward and a backward pass over one batch on one thread.

use super::linear::Linear;
use super::relu::Relu;

/// Where a layer runs: the parameters, the batch, the run's place.
#[derive(Clone, Copy)]
pub(crate) struct Pass<'a> {
    /// All parameters, flat.
    pub(crate) params: &'a [f32],
    /// Samples in the batch.
    pub(crate) samples: usize,
}

/// What one layer keeps from its forward to its backward pass, in one workspace.
#[derive(Default)]
pub(crate) struct Keep {}

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

    /// From `input` to `output` (which holds the input where the layer works in place).
    fn forward(&self, pass: &Pass, input: &[f32], output: &mut [f32], keep: &mut Keep);

    /// From the gradient by the output to the gradient by the parameters, written into the
    /// layer's part of `gradient`, and by the input, into `sink` (`None` where nothing before
    /// learns). A layer in place changes `d_output` instead.
    fn backward(
        &self,
        pass: &Pass,
        input: &[f32],
        output: &[f32],
        d_output: &mut [f32],
        sink: Option<Sink>,
        gradient: &mut [f32],
        keep: &mut Keep,
    );
}

/// The kinds of layers: a closed list, so that a reference in f64 can interpret it.
pub(crate) enum Op {
    /// y = W·x + b.
    Linear(Linear),
    /// max(x, 0), in place.
    Relu(Relu),
}

impl Op {
    /// The layer behind the kind.
    pub(crate) fn layer(&self) -> &dyn Layer {
        match self {
            Op::Linear(layer) => layer,
            Op::Relu(layer) => layer,
        }
    }
}
