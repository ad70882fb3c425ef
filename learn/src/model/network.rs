//! The engine: a planned network as a [`Model`].

use super::layer::{Keep, Pass, Sink};
use super::loss::Loss;
use super::plan::{Node, Plan};
use super::{Model, Place, Prepared, Tally, Tensor, Workspace};
use crate::Batch;
use varangian_base::Seed;

/// Samples that inference takes at a time, at most.
const SAMPLES: usize = 1024;
/// Floats of all buffers together that inference keeps within, unless one sample needs more.
const FLOATS: usize = 4 << 20;

/// A network of layers with a loss.
pub(crate) struct Network {
    plan: Plan,
    loss: Loss,
}

/// One thread's buffers: activations, gradients by them, and what layers keep.
#[derive(Default)]
struct Room {
    values: Vec<Vec<f32>>,
    slopes: Vec<Vec<f32>>,
    keeps: Vec<Keep>,
}

impl Room {
    fn resize(&mut self, plan: &Plan, samples: usize, slopes: bool) {
        self.values.resize(plan.shapes.len(), Vec::new());
        self.slopes.resize(plan.shapes.len(), Vec::new());
        self.keeps.resize_with(plan.nodes.len(), Keep::default);
        for (k, shape) in plan.shapes.iter().enumerate().skip(1) {
            self.values[k].resize(samples * shape.len(), 0.0);
            if slopes {
                self.slopes[k].resize(samples * shape.len(), 0.0);
            }
        }
    }
}

/// Buffer k, where buffer 0 is the batch's input.
fn read<'a>(values: &'a [Vec<f32>], inputs: &'a [f32], k: usize) -> &'a [f32] {
    if k == 0 { inputs } else { &values[k] }
}

impl Network {
    pub(crate) fn new(mut plan: Plan, loss: Loss) -> Self {
        plan.close();
        Network { plan, loss }
    }

    /// What the network is made of, for the reference.
    #[cfg(test)]
    pub(crate) fn parts(&self) -> (&Plan, Loss) {
        (&self.plan, self.loss)
    }

    fn width(&self) -> usize {
        self.plan.shape().len()
    }

    fn forward(&self, pass: &Pass, inputs: &[f32], room: &mut Room) {
        for (node, keep) in self.plan.nodes.iter().zip(&mut room.keeps) {
            let mut output = std::mem::take(&mut room.values[node.output]);
            let input: &[f32] = if node.input == node.output {
                &[]
            } else {
                read(&room.values, inputs, node.input)
            };
            node.op.layer().forward(pass, input, &mut output, keep);
            room.values[node.output] = output;
        }
    }

    fn backward(&self, pass: &Pass, inputs: &[f32], room: &mut Room, gradient: &mut [f32]) {
        let Room { values, slopes, keeps } = room;
        for (node, keep) in self.plan.nodes.iter().zip(keeps).rev() {
            let Node { op, input, output, sink } = node;
            let mut d_output = std::mem::take(&mut slopes[*output]);
            let sink = match sink {
                Some(add) if input != output => Some(Sink { data: &mut slopes[*input], add: *add }),
                _ => None,
            };
            let (x, y) = (read(values, inputs, *input), &values[*output][..]);
            op.layer().backward(pass, x, y, &mut d_output, sink, gradient, keep);
            slopes[*output] = d_output;
        }
    }

    /// Samples that inference takes at a time.
    fn portion(&self) -> usize {
        let floats: usize = self.plan.shapes.iter().map(|shape| shape.len()).sum();
        (FLOATS / floats).clamp(1, SAMPLES)
    }
}

impl Model for Network {
    fn dim(&self) -> usize {
        self.plan.dim
    }

    fn tensors(&self) -> &[Tensor] {
        &self.plan.tensors
    }

    fn init(&self, seed: Seed) -> Vec<f32> {
        let mut params = vec![0.0; self.plan.dim];
        for (index, (tensor, draw)) in self.plan.tensors.iter().zip(&self.plan.draws).enumerate() {
            let len: usize = tensor.shape.iter().product();
            draw.fill(seed, index, &mut params[tensor.offset..tensor.offset + len]);
        }
        params
    }

    fn workspace(&self) -> Workspace {
        Box::new(Room::default())
    }

    fn gradient(
        &self,
        params: &[f32],
        _: &Prepared,
        batch: &Batch,
        _: Place,
        workspace: &mut Workspace,
        out: &mut [f32],
    ) -> f64 {
        assert_eq!((params.len(), out.len()), (self.dim(), self.dim()), "d floats");
        assert_eq!(batch.inputs.len(), batch.len * self.plan.shapes[0].len(), "a packed batch");
        assert!(batch.len > 0, "a gradient needs a sample");
        let room = room(workspace);
        room.resize(&self.plan, batch.len, true);
        let pass = Pass { params, samples: batch.len };
        self.forward(&pass, &batch.inputs, room);
        let last = self.plan.at();
        room.slopes[last].copy_from_slice(&room.values[last]);
        let loss = self.loss.gradient(&mut room.slopes[last], self.width(), &batch.targets);
        self.backward(&pass, &batch.inputs, room, out);
        loss
    }

    fn evaluate(
        &self,
        params: &[f32],
        _: &Prepared,
        batch: &Batch,
        workspace: &mut Workspace,
    ) -> Tally {
        assert_eq!(params.len(), self.dim(), "d floats");
        let (size, portion) = (self.plan.shapes[0].len(), self.portion());
        assert_eq!(batch.inputs.len(), batch.len * size, "a packed batch");
        let (room, last) = (room(workspace), self.plan.at());
        let mut tally = Tally::default();
        for first in (0..batch.len).step_by(portion) {
            let samples = portion.min(batch.len - first);
            room.resize(&self.plan, samples, false);
            let pass = Pass { params, samples };
            let inputs = &batch.inputs[first * size..(first + samples) * size];
            self.forward(&pass, inputs, room);
            let outputs = &mut room.values[last];
            tally.add(self.loss.tally(outputs, self.width(), &batch.targets, first));
        }
        tally
    }
}

/// The workspace as this engine made it.
fn room(workspace: &mut Workspace) -> &mut Room {
    workspace.downcast_mut().expect("a workspace made by this model")
}
