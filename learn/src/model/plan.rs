//! The plan of a network: layers in the order they run, the buffers between them, and the named
//! tensors of the flat parameter vector.

use super::Tensor;
use super::conv::Conv;
use super::dropout::{Dropout, Masks};
use super::geometry::{Geometry, Method};
use super::init::{Draw, Scheme};
use super::layer::Op;
use super::linear::Linear;
use super::norm::{Norm, Statistics};
use super::pool::{GlobalMean, MaxPool};
use super::relu::Relu;
use super::reorder::Reorder;
use super::residual::Subsample;
use crate::data::Shape;
use crate::kernels::channels::Gate;
use crate::kernels::image::Border;
use crate::kernels::pool::Window;
use varangian_base::SpecError;

/// The place of a gradient that nobody asks for, as nothing before it learns.
pub(crate) const NOWHERE: usize = usize::MAX;

/// One layer in its place: which buffer it reads, which it writes.
pub(crate) struct Node {
    pub(crate) op: Op,
    pub(crate) input: usize,
    pub(crate) output: usize,
    /// Whether its gradient by the input is added to what a later layer has written there; `None`
    /// where no parameter stands before it.
    pub(crate) sink: Option<bool>,
    /// The same for the other term of a sum.
    pub(crate) other_sink: Option<bool>,
    /// Whether a neighbour computes this rectifier.
    pub(crate) skip: bool,
    /// Whether this sum computes the rectifier behind it.
    pub(crate) gated: bool,
}

/// What all layers of a network share.
#[derive(Clone, Copy)]
pub(crate) struct Style {
    pub(crate) scheme: Scheme,
    pub(crate) method: Method,
    pub(crate) statistics: Statistics,
    pub(crate) border: Border,
    /// Where dropout layers take their masks from; `None` if they do not drop.
    pub(crate) masks: Option<Masks>,
    /// Whether dropout layers drop whole channels of a sample.
    pub(crate) drops_channels: bool,
}

impl Style {
    /// For networks without convolutions.
    pub(crate) fn plain(scheme: Scheme) -> Self {
        Style {
            scheme,
            method: Method::Auto,
            statistics: Statistics::Batch,
            border: Border::Zeros,
            masks: Some(Masks::Own),
            drops_channels: false,
        }
    }
}

/// A convolution's kernel.
#[derive(Clone, Copy)]
pub(crate) struct Kernel {
    pub(crate) size: usize,
    pub(crate) stride: usize,
    pub(crate) pad: usize,
    pub(crate) bias: bool,
}

/// A network under construction. Buffer 0 is the batch's input.
pub(crate) struct Plan {
    pub(crate) nodes: Vec<Node>,
    /// The shape of one sample in each buffer.
    pub(crate) shapes: Vec<Shape>,
    pub(crate) tensors: Vec<Tensor>,
    pub(crate) draws: Vec<Draw>,
    /// Ranges of parameters that nothing reads; their gradient is 0.
    pub(crate) idle: Vec<std::ops::Range<usize>>,
    /// The named parts of the buffers of running statistics.
    pub(crate) buffers: Vec<Tensor>,
    /// d.
    pub(crate) dim: usize,
    /// Where the gradient by each buffer stands, and the floats a sample of each such place.
    pub(crate) slots: (Vec<usize>, Vec<usize>),
    style: Style,
    /// The buffer that the next layer reads.
    at: usize,
}

impl Plan {
    /// A plan for inputs of this shape.
    pub(crate) fn new(shape: Shape, style: Style) -> Self {
        Plan {
            nodes: Vec::new(),
            shapes: vec![shape],
            tensors: Vec::new(),
            draws: Vec::new(),
            idle: Vec::new(),
            buffers: Vec::new(),
            dim: 0,
            slots: Default::default(),
            style,
            at: 0,
        }
    }

    /// A plan whose first layers read images with the channels last.
    pub(crate) fn image(shape: Shape, style: Style) -> Self {
        let mut plan = Plan::new(shape, style);
        if shape.channels > 1 {
            plan.push(Op::Reorder(Reorder { shape, last: true }), shape);
        }
        plan
    }

    /// The shape that the next layer reads.
    pub(crate) fn shape(&self) -> Shape {
        self.shapes[self.at]
    }

    /// The buffer that the next layer reads.
    pub(crate) fn at(&self) -> usize {
        self.at
    }

    /// Makes the next layer read this buffer.
    pub(crate) fn go(&mut self, buffer: usize) {
        self.at = buffer;
    }

    /// A named tensor at the end of the flat vector; answers where it starts.
    pub(crate) fn tensor(&mut self, name: String, shape: &[usize], draw: Draw) -> usize {
        let offset = self.dim;
        self.dim += shape.iter().product::<usize>();
        self.tensors.push(Tensor { name, shape: shape.to_vec(), offset });
        self.draws.push(draw);
        offset
    }

    /// Adds a layer; `shape` is what it makes of a sample.
    fn push(&mut self, op: Op, shape: Shape) {
        let input = self.at;
        let output = if op.layer().is_some_and(|layer| layer.in_place()) {
            // A layer in place may not change the batch itself.
            assert!(input > 0, "a network starts with a layer that is not in place");
            input
        } else {
            self.shapes.push(shape);
            self.shapes.len() - 1
        };
        let (sink, other_sink, skip, gated) = Default::default();
        self.nodes.push(Node { op, input, output, sink, other_sink, skip, gated });
        self.at = output;
    }

    /// A fully connected layer from all floats of a sample to `outputs`.
    pub(crate) fn linear(&mut self, name: &str, outputs: usize) {
        let inputs = self.shape().len();
        let draw = self.style.scheme.weight(inputs, outputs);
        let weight = self.tensor(format!("{name}.weight"), &[outputs, inputs], draw);
        let bias = self.tensor(format!("{name}.bias"), &[outputs], self.style.scheme.bias(inputs));
        let first = self.at == 0;
        let op = Op::Linear(Linear { inputs, outputs, weight, bias, first });
        self.push(op, Shape { channels: outputs, height: 1, width: 1 });
    }

    /// A convolution to `outputs` channels.
    ///
    /// # Errors
    /// If the image is smaller than the kernel.
    pub(crate) fn conv(
        &mut self,
        name: &str,
        outputs: usize,
        kernel: Kernel,
    ) -> Result<(), SpecError> {
        let (weight, bias) = self.conv_tensors(name, outputs, kernel);
        let Kernel { size, stride, pad, .. } = kernel;
        let (input, border) = (self.shape(), self.style.border);
        self.fits(size, pad)?;
        let geometry = Geometry { input, outputs, size, stride, pad, border };
        let conv = Conv::new(geometry, self.style.method, weight, bias);
        self.push(Op::Conv(conv), geometry.output());
        Ok(())
    }

    /// The tensors of a convolution of the next layer's input.
    pub(crate) fn conv_tensors(
        &mut self,
        name: &str,
        outputs: usize,
        kernel: Kernel,
    ) -> (usize, Option<usize>) {
        let (channels, size) = (self.shape().channels, kernel.size);
        let (fan_in, fan_out) = (channels * size * size, outputs * size * size);
        let draw = self.style.scheme.weight(fan_in, fan_out);
        let shape = [outputs, channels, size, size];
        let weight = self.tensor(format!("{name}.weight"), &shape, draw);
        let draw = self.style.scheme.bias(fan_in);
        let bias = kernel.bias.then(|| self.tensor(format!("{name}.bias"), &[outputs], draw));
        (weight, bias)
    }

    /// Whether a window of `size` fits into the image with `pad` around it.
    fn fits(&self, size: usize, pad: usize) -> Result<(), SpecError> {
        let Shape { channels, height, width } = self.shape();
        let sound = height.min(width) + 2 * pad >= size && channels > 0;
        sound.then_some(()).ok_or_else(|| {
            SpecError::new(format!(
                "a window of {size} × {size} needs a larger image; found {height} × {width}"
            ))
        })
    }

    /// Batch normalisation.
    pub(crate) fn norm(&mut self, name: &str) {
        let channels = self.shape().channels;
        let gamma = self.tensor(format!("{name}.weight"), &[channels], Draw::Constant(1.0));
        let beta = self.tensor(format!("{name}.bias"), &[channels], Draw::Constant(0.0));
        let buffer = self.buffers.iter().map(|b| b.shape[0]).sum();
        for (part, offset) in [("running_mean", buffer), ("running_var", buffer + channels)] {
            let name = format!("{name}.{part}");
            self.buffers.push(Tensor { name, shape: vec![channels], offset });
        }
        let statistics = self.style.statistics;
        self.push(
            Op::Norm(Norm { channels, gamma, beta, buffer, statistics, gate: Gate::Open }),
            self.shape(),
        );
    }

    /// The tensors of a convolution with batch norm that no sample passes through.
    pub(crate) fn idle_conv_norm(&mut self, names: [String; 2], outputs: usize, kernel: Kernel) {
        let from = self.dim;
        self.conv_tensors(&names[0], outputs, kernel);
        for (part, value) in [("weight", 1.0), ("bias", 0.0)] {
            self.tensor(format!("{}.{part}", names[1]), &[outputs], Draw::Constant(value));
        }
        self.idle.push(from..self.dim);
    }

    /// Rectified linear units.
    pub(crate) fn relu(&mut self) {
        self.push(Op::Relu(Relu { forward: true, backward: true }), self.shape());
    }

    /// Max pooling.
    ///
    /// # Errors
    /// If the image is smaller than the window.
    pub(crate) fn max_pool(
        &mut self,
        size: usize,
        stride: usize,
        pad: usize,
    ) -> Result<(), SpecError> {
        self.fits(size, pad)?;
        let input = self.shape();
        let len = |x: usize| (x + 2 * pad - size) / stride + 1;
        let (height, width) = (len(input.height), len(input.width));
        let output = Shape { channels: input.channels, height, width };
        let window = Window { input, output, size, stride, pad };
        self.push(Op::MaxPool(MaxPool { window, gated: false }), output);
        Ok(())
    }

    /// The mean pixel.
    pub(crate) fn global_mean(&mut self) {
        let shape = self.shape();
        self.push(Op::GlobalMean(GlobalMean(shape)), Shape { height: 1, width: 1, ..shape });
    }

    /// Dropout with probability p.
    pub(crate) fn dropout(&mut self, p: f32) {
        if let Some(masks) = self.style.masks {
            let Shape { channels, height, width } = self.shape();
            let channels = self.style.drops_channels.then_some((channels, height * width));
            self.push(Op::Dropout(Dropout { p, masks, channels }), self.shape());
        }
    }

    /// From an image with its channels last to a vector in PyTorch's order.
    pub(crate) fn flatten(&mut self) {
        let shape = self.shape();
        let flat = Shape { channels: shape.len(), height: 1, width: 1 };
        if shape.channels > 1 && shape.height * shape.width > 1 {
            self.push(Op::Reorder(Reorder { shape, last: false }), flat);
        }
    }

    /// Every `stride`-th pixel, and zeros up to `channels`.
    pub(crate) fn subsample(&mut self, channels: usize, stride: usize) {
        let input = self.shape();
        let (height, width) = (input.height.div_ceil(stride), input.width.div_ceil(stride));
        let output = Shape { channels, height, width };
        self.push(Op::Subsample(Subsample { input, output, stride }), output);
    }

    /// The sum of the next layer's input and another buffer.
    pub(crate) fn add(&mut self, other: usize) {
        assert_eq!(self.shape(), self.shapes[other], "a sum has terms of one shape");
        self.push(Op::Add(other), self.shape());
    }

    /// Decides where gradients by inputs go, once all layers stand.
    pub(crate) fn close(&mut self) {
        let mut learns = vec![false; self.shapes.len()];
        for node in &self.nodes {
            let own = node.op.layer().is_some_and(|layer| layer.learns());
            let other = matches!(node.op, Op::Add(other) if learns[other]);
            learns[node.output] |= learns[node.input] || own || other;
        }
        let mut written = vec![false; self.shapes.len()];
        let mut sink = |buffer: usize| {
            let add = std::mem::replace(&mut written[buffer], true);
            learns[buffer].then_some(add)
        };
        for node in self.nodes.iter_mut().rev() {
            if let Op::Add(other) = node.op {
                node.other_sink = sink(other);
            }
            if node.input != node.output {
                node.sink = sink(node.input);
            }
        }
        self.share_slots();
        self.fuse();
    }

    /// Gives each buffer's gradient a place; places are shared by gradients that do not live at
    /// the same time.
    fn share_slots(&mut self) {
        let (mut place, mut sizes) = (vec![NOWHERE; self.shapes.len()], Vec::<usize>::new());
        let mut free: Vec<usize> = Vec::new();
        let mut take = |buffer: usize, place: &mut Vec<usize>, free: &mut Vec<usize>| {
            if place[buffer] != NOWHERE {
                return;
            }
            let len = self.shapes[buffer].len();
            // The free place that needs least growth, or a new one.
            let best = (0..free.len()).min_by_key(|&i| sizes[free[i]].abs_diff(len));
            let slot = best.map_or_else(
                || {
                    sizes.push(0);
                    sizes.len() - 1
                },
                |i| free.remove(i),
            );
            sizes[slot] = sizes[slot].max(len);
            place[buffer] = slot;
        };
        take(self.at, &mut place, &mut free);
        for node in self.nodes.iter().rev() {
            if let (Op::Add(other), Some(_)) = (&node.op, node.other_sink) {
                take(*other, &mut place, &mut free);
            }
            if node.sink.is_some() {
                take(node.input, &mut place, &mut free);
            }
            if node.input != node.output && place[node.output] != NOWHERE {
                free.push(place[node.output]);
            }
        }
        self.slots = (place, sizes);
    }
}
