//! The engine: a planned network as a [`Model`].

use super::init::Draw;
use super::layer::{Keep, Op, Pass, Sink, Spare, Values};
use super::loss::Loss;
use super::mersenne::Mersenne;
use super::plan::{NOWHERE, Node, Plan};
use super::{Model, Place, Prepared, Tally, Tensor, Workspace};
use crate::Batch;
use crate::kernels::floats::Floats;
use crate::kernels::pointwise::{fork, mask, put, rectified_sum, sum};
use varangian_base::Seed;

/// Samples that inference takes at a time, at most.
const SAMPLES: usize = 1024;
/// Floats of all buffers together that inference keeps within, unless one sample needs more.
const FLOATS: usize = 4 << 20;

/// A network of layers with a loss.
pub(crate) struct Network {
    plan: Plan,
    loss: Loss,
    /// PyTorch's seed of the initial parameters, or `None`: the run's.
    start: Option<u32>,
}

/// What all workers share in a step.
struct Shared {
    layers: Vec<Floats>,
    /// Whether only inference can use them.
    lean: bool,
    buffers: Vec<f32>,
}

/// One thread's buffers: activations, gradients by them, and what layers keep.
#[derive(Default)]
struct Room {
    values: Vec<Floats>,
    slopes: Vec<Floats>,
    keeps: Vec<Keep>,
    spare: Spare,
}

impl Room {
    fn resize(&mut self, plan: &Plan, samples: usize, slopes: bool) {
        self.values.resize(plan.shapes.len(), Floats::default());
        self.keeps.resize_with(plan.nodes.len(), Keep::default);
        for (values, shape) in self.values.iter_mut().zip(&plan.shapes).skip(1) {
            values.resize(samples * shape.len());
        }
        if slopes {
            self.slopes.resize(plan.slots.1.len(), Floats::default());
            for (slopes, len) in self.slopes.iter_mut().zip(&plan.slots.1) {
                slopes.resize(samples * len);
            }
        }
    }
}

/// Buffer k, where buffer 0 is the batch's input.
fn read<'a>(values: &'a [Floats], inputs: &'a [f32], k: usize) -> &'a [f32] {
    if k == 0 { inputs } else { &values[k] }
}

impl Network {
    pub(crate) fn new(mut plan: Plan, loss: Loss) -> Self {
        plan.close();
        Network { plan, loss, start: None }
    }

    /// The same network that starts where PyTorch does under this seed, whatever the run's. Its
    /// layers must stand in the order in which PyTorch would make them.
    pub(crate) fn starting(self, start: Option<u32>) -> Self {
        Network { start, ..self }
    }

    /// What the network is made of, for the reference.
    #[cfg(test)]
    pub(crate) fn parts(&self) -> (&Plan, Loss) {
        (&self.plan, self.loss)
    }

    /// The floats of one sample's answer.
    fn width(&self) -> usize {
        self.plan.shape().len()
    }

    /// What `prepare` made, or nothing for networks that need nothing.
    fn shared<'a>(&self, prepared: &'a Prepared) -> Option<&'a Shared> {
        let shared = prepared.downcast_ref::<Shared>();
        let needs = |node: &Node| matches!(node.op, Op::Linear(_) | Op::Conv(_) | Op::Norm(_));
        let missing = shared.is_none() && self.plan.nodes.iter().any(needs);
        assert!(!missing, "prepare comes before gradient and evaluate");
        shared
    }

    fn forward(&self, pass: Pass, shared: Option<&Shared>, inputs: &[f32], room: &mut Room) {
        let Room { values, keeps, spare, .. } = room;
        for (index, (node, keep)) in self.plan.nodes.iter().zip(keeps).enumerate() {
            if node.skip {
                continue;
            }
            let mut output = std::mem::take(&mut values[node.output]);
            let input: &[f32] = match node.input == node.output {
                true => &[],
                false => read(values, inputs, node.input),
            };
            if let Op::Add(other) = node.op {
                let other = read(values, inputs, other);
                match node.gated {
                    true => rectified_sum(input, other, &mut output),
                    false => sum(input, other, &mut output),
                }
            }
            if let Some(layer) = node.op.layer() {
                let place = pass.place.map(|(place, _)| (place, index as u64));
                let prepared = shared.map_or(&[][..], |shared| &shared.layers[index]);
                let buffers = shared.map_or(&[][..], |shared| &shared.buffers);
                let lean = shared.is_some_and(|shared| shared.lean);
                let pass = Pass { place, prepared, buffers, lean, ..pass };
                layer.forward(&pass, input, &mut output, keep, spare);
            }
            values[node.output] = output;
        }
    }

    fn backward(
        &self,
        pass: Pass,
        shared: Option<&Shared>,
        inputs: &[f32],
        room: &mut Room,
        gradient: &mut [f32],
    ) {
        let Room { values, slopes, keeps, spare } = room;
        let place = &self.plan.slots.0;
        let len = |buffer: usize| pass.samples * self.plan.shapes[buffer].len();
        for (index, (node, keep)) in self.plan.nodes.iter().zip(keeps).enumerate().rev() {
            let Node { op, input, output, sink, other_sink, skip, gated } = node;
            if place[*output] == NOWHERE || *skip {
                continue;
            }
            let mut whole = std::mem::take(&mut slopes[place[*output]]);
            let d_output = &mut whole[..len(*output)];
            if let (Op::Add(other), true) = (op, *gated) {
                let y = &values[*output];
                if (*other_sink, *sink) == (Some(false), Some(false)) {
                    let mut second = std::mem::take(&mut slopes[place[*other]]);
                    let first = &mut slopes[place[*input]][..len(*input)];
                    fork(y, d_output, first, &mut second[..len(*other)]);
                    slopes[place[*other]] = second;
                    slopes[place[*output]] = whole;
                    continue;
                }
                mask(y, d_output);
            }
            if let (Op::Add(other), Some(add)) = (op, other_sink) {
                put(d_output, &mut slopes[place[*other]][..len(*other)], *add);
            }
            let sink =
                sink.map(|add| Sink { data: &mut slopes[place[*input]][..len(*input)], add });
            if let Some(layer) = op.layer() {
                let prepared = shared.map_or(&[][..], |shared| &shared.layers[index]);
                let pass = Pass { prepared, ..pass };
                let values =
                    Values { input: read(values, inputs, *input), output: &values[*output] };
                layer.backward(&pass, values, d_output, sink, gradient, keep, spare);
            } else if let Some(Sink { data, add }) = sink {
                put(d_output, data, add);
            }
            slopes[place[*output]] = whole;
        }
    }

    /// What layers prepare from the parameters; the running statistics stay.
    fn make(&self, params: &[f32], lean: bool, prepared: &mut Prepared) {
        assert_eq!(params.len(), self.dim(), "d floats");
        if !prepared.is::<Shared>() {
            let layers = vec![Floats::default(); self.plan.nodes.len()];
            *prepared = Box::new(Shared { layers, lean, buffers: self.init_buffers() });
        }
        let shared: &mut Shared = prepared.downcast_mut().expect("made above");
        shared.lean = lean;
        for (node, out) in self.plan.nodes.iter().zip(&mut shared.layers) {
            if let Some(layer) = node.op.layer() {
                layer.prepare(params, lean, out);
            }
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

    fn buffer_tensors(&self) -> &[Tensor] {
        &self.plan.buffers
    }

    fn init_buffers(&self) -> Vec<f32> {
        let value = |tensor: &Tensor| if tensor.name.ends_with("_var") { 1.0 } else { 0.0 };
        let parts = self.plan.buffers.iter();
        parts.flat_map(|tensor| vec![value(tensor); tensor.shape[0]]).collect()
    }

    fn load_buffers(&self, buffers: &[f32], prepared: &mut Prepared) {
        assert_eq!(buffers.len(), self.buffers(), "one float a running statistic");
        if let Some(shared) = prepared.downcast_mut::<Shared>() {
            shared.buffers.copy_from_slice(buffers);
        }
    }

    fn statistics(&self, workspace: &Workspace, out: &mut [f32]) {
        let room: &Room = workspace.downcast_ref().expect("a workspace made by this model");
        for (node, keep) in self.plan.nodes.iter().zip(&room.keeps) {
            if let Some(layer) = node.op.layer() {
                layer.statistics(keep, out);
            }
        }
    }

    fn init(&self, seed: Seed) -> Vec<f32> {
        let mut params = vec![0.0; self.plan.dim];
        let mut twister = self.start.map(Mersenne::new);
        for (index, (tensor, draw)) in self.plan.tensors.iter().zip(&self.plan.draws).enumerate() {
            let len: usize = tensor.shape.iter().product();
            let out = &mut params[tensor.offset..tensor.offset + len];
            match (&mut twister, *draw) {
                (Some(twister), Draw::Uniform(bound)) => twister.fill(bound, out),
                _ => draw.fill(seed, index, out),
            }
        }
        params
    }

    fn workspace(&self) -> Workspace {
        Box::new(Room::default())
    }

    fn prepare(&self, params: &[f32], prepared: &mut Prepared) {
        self.make(params, false, prepared);
    }

    fn prepare_inference(&self, params: &[f32], prepared: &mut Prepared) {
        self.make(params, true, prepared);
    }

    fn gradient(
        &self,
        params: &[f32],
        prepared: &Prepared,
        batch: &Batch,
        place: Place,
        workspace: &mut Workspace,
        out: &mut [f32],
    ) -> f64 {
        assert_eq!((params.len(), out.len()), (self.dim(), self.dim()), "d floats");
        assert_eq!(batch.inputs.len(), batch.len * self.plan.shapes[0].len(), "a packed batch");
        assert!(batch.len > 0, "a gradient needs a sample");
        let (room, shared) = (room(workspace), self.shared(prepared));
        assert!(shared.is_none_or(|shared| !shared.lean), "prepared for inference alone");
        room.resize(&self.plan, batch.len, true);
        let place = Some((place, 0));
        let listed = batch.entries.listed(0..batch.len, self.plan.shapes[0].len());
        let (prepared, buffers, samples) = (&[][..], &[][..], batch.len);
        let pass = Pass { params, prepared, buffers, lean: false, samples, listed, place };
        self.forward(pass, shared, &batch.inputs, room);
        let last = self.plan.at();
        let answers = &room.values[last];
        let slopes = &mut room.slopes[self.plan.slots.0[last]][..answers.len()];
        slopes.copy_from_slice(answers);
        let loss = self.loss.gradient(slopes, self.width(), &batch.targets);
        self.backward(pass, shared, &batch.inputs, room, out);
        self.plan.idle.iter().for_each(|range| out[range.clone()].fill(0.0));
        loss
    }

    fn evaluate(
        &self,
        params: &[f32],
        prepared: &Prepared,
        batch: &Batch,
        workspace: &mut Workspace,
    ) -> Tally {
        assert_eq!(params.len(), self.dim(), "d floats");
        let (size, portion) = (self.plan.shapes[0].len(), self.portion());
        assert_eq!(batch.inputs.len(), batch.len * size, "a packed batch");
        let (room, shared, last) = (room(workspace), self.shared(prepared), self.plan.at());
        let mut tally = Tally::default();
        for first in (0..batch.len).step_by(portion) {
            let samples = portion.min(batch.len - first);
            room.resize(&self.plan, samples, false);
            let listed = batch.entries.listed(first..first + samples, size);
            let (prepared, buffers, place) = (&[][..], &[][..], None);
            let pass = Pass { params, prepared, buffers, lean: false, samples, listed, place };
            let inputs = &batch.inputs[first * size..(first + samples) * size];
            self.forward(pass, shared, inputs, room);
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
