//! The plan of a network: layers in the order they run, the buffers between them, and the named
//! tensors of the flat parameter vector.

use super::Tensor;
use super::init::{Draw, Scheme};
use super::layer::Op;
use super::linear::Linear;
use super::relu::Relu;
use crate::data::Shape;

/// One layer in its place: which buffer it reads, which it writes.
pub(crate) struct Node {
    pub(crate) op: Op,
    pub(crate) input: usize,
    pub(crate) output: usize,
    /// Whether its gradient by the input is added to what a later layer has written there; `None`
    /// where no parameter stands before it.
    pub(crate) sink: Option<bool>,
}

/// A network under construction. Buffer 0 is the batch's input.
pub(crate) struct Plan {
    pub(crate) nodes: Vec<Node>,
    /// The shape of one sample in each buffer.
    pub(crate) shapes: Vec<Shape>,
    pub(crate) tensors: Vec<Tensor>,
    pub(crate) draws: Vec<Draw>,
    pub(crate) dim: usize,
    scheme: Scheme,
    /// The buffer that the next layer reads.
    at: usize,
}

impl Plan {
    /// A plan for inputs of this shape, whose tensors are drawn by `scheme`.
    pub(crate) fn new(shape: Shape, scheme: Scheme) -> Self {
        Plan {
            nodes: Vec::new(),
            shapes: vec![shape],
            tensors: Vec::new(),
            draws: Vec::new(),
            dim: 0,
            scheme,
            at: 0,
        }
    }

    /// The shape that the next layer reads.
    pub(crate) fn shape(&self) -> Shape {
        self.shapes[self.at]
    }

    /// The buffer that the next layer reads.
    pub(crate) fn at(&self) -> usize {
        self.at
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
    pub(crate) fn push(&mut self, op: Op, shape: Shape) {
        let input = self.at;
        // A layer in place may not change the batch itself.
        let output = if op.layer().in_place() {
            assert!(input > 0, "a network starts with a layer that is not in place");
            input
        } else {
            self.shapes.push(shape);
            self.shapes.len() - 1
        };
        self.nodes.push(Node { op, input, output, sink: None });
        self.at = output;
    }

    /// A fully connected layer from all floats of a sample to `outputs`.
    pub(crate) fn linear(&mut self, name: &str, outputs: usize) {
        let inputs = self.shape().len();
        let draw = self.scheme.weight(inputs, outputs);
        let weight = self.tensor(format!("{name}.weight"), &[outputs, inputs], draw);
        let bias = self.tensor(format!("{name}.bias"), &[outputs], self.scheme.bias(inputs));
        let op = Op::Linear(Linear { inputs, outputs, weight, bias });
        self.push(op, Shape { channels: outputs, height: 1, width: 1 });
    }

    /// Rectified linear units.
    pub(crate) fn relu(&mut self) {
        self.push(Op::Relu(Relu), self.shape());
    }

    /// Decides where gradients by inputs go, once all layers stand.
    pub(crate) fn close(&mut self) {
        let mut learns = vec![false; self.shapes.len()];
        for node in &self.nodes {
            learns[node.output] |= learns[node.input] || node.op.layer().learns();
        }
        let mut written = vec![false; self.shapes.len()];
        for node in self.nodes.iter_mut().rev() {
            node.sink = learns[node.input].then_some(written[node.input]);
            written[node.input] = true;
        }
    }
}
