//! A transformer on characters (Vaswani et al. 2017, arXiv 1706.03762; blocks that normalise before
//! they compute, as Radford et al. 2019, GPT-2).
//!
//! A sample is a window of T characters, each a whole number below the number of classes V, and its
//! label the character after the window. x = E[c] + P; each block adds
//! softmax(Q·Kᵀ/√(width/heads) over no later position)·V and then W₂·relu(W₁·x), both of the
//! normalised x; logits are W·norm(x) + b. The loss is the mean over the T positions of
//! −log softmax at the next character, in nats: that of the last position is the label, those of
//! the others stand in the window. A hit is a label that the last position answers.
//!
//! *Differs:* ReLU where GPT-2 has GELU; no dropout; starts are PyTorch's defaults (embeddings
//! normal, weights and biases uniform on ±1/√(fan in)), not GPT-2's; the head has weights of its
//! own.

use super::attention::{self, Norm, Shape as Heads};
use super::entry::Home;
use super::{Loss, Model, ModelEntry, Place, Prepared, Recipe, Tally, Tensor, Workspace};
use crate::data::Shape;
use crate::kernels::product::{Mat, product};
use crate::{Batch, Targets};
use varangian_base::{Domain, Entry, Kind, Param, Seed, SpecError};

pub(crate) static ENTRY: ModelEntry = Entry {
    name: "transformer",
    summary: "Causal self-attention over a window of characters; cross-entropy of each next character.",
    paper: "Vaswani et al., Attention Is All You Need, NeurIPS 2017, arXiv 1706.03762; Radford et al., Language Models are Unsupervised Multitask Learners (GPT-2), 2019",
    differs: &[
        "ReLU in place of GELU, no dropout, starts as PyTorch's layers have them, a head of its own",
    ],
    params: &[
        count("width", "32", 4096, "numbers by which a position is described; a multiple of heads"),
        count("heads", "2", 256, "attention heads"),
        count("blocks", "2", 96, "blocks of attention and a two-layer network"),
        count("hidden", "128", 65_536, "width of the two-layer network's middle"),
    ],
    cost: "O(b·T·blocks·width·(width + hidden + T))",
    facts: Home { shape: Shape { channels: 16, height: 1, width: 1 }, classes: 28, d: 27_804 },
    build: |args| {
        let size = |name| args.count(name).expect("has a default");
        let sizes = Sizes {
            width: size("width"),
            heads: size("heads"),
            blocks: size("blocks"),
            hidden: size("hidden"),
        };
        if !sizes.width.is_multiple_of(sizes.heads) {
            let Sizes { width, heads, .. } = sizes;
            return Err(SpecError::new(format!(
                "width is a multiple of heads; found width={width} heads={heads}"
            )));
        }
        Ok(Box::new(sizes))
    },
};

const fn count(name: &'static str, default: &'static str, max: usize, help: &'static str) -> Param {
    Param { name, kind: Kind::Count { min: 1, max }, default, help }
}

/// What the arguments ask for.
#[derive(Clone, Copy)]
struct Sizes {
    width: usize,
    heads: usize,
    blocks: usize,
    hidden: usize,
}

impl Recipe for Sizes {
    fn build(&self, shape: Shape, classes: usize) -> Result<Box<dyn Model>, SpecError> {
        if classes < 2 {
            return Err(SpecError::new(format!(
                "characters are classes, at least 2 of them; found {classes}"
            )));
        }
        let (length, Sizes { width, blocks, hidden, .. }) = (shape.len(), *self);
        let mut tensors = Tensors::default();
        tensors.add("tokens.weight", &[classes, width]);
        tensors.add("positions.weight", &[length, width]);
        for block in 0..blocks {
            let mut add = |name: &str, shape: &[usize]| {
                tensors.add(&format!("blocks.{block}.{name}"), shape);
            };
            add("norm1.weight", &[width]);
            add("norm1.bias", &[width]);
            add("attention.weight", &[3 * width, width]);
            add("attention.bias", &[3 * width]);
            add("out.weight", &[width, width]);
            add("out.bias", &[width]);
            add("norm2.weight", &[width]);
            add("norm2.bias", &[width]);
            add("up.weight", &[hidden, width]);
            add("up.bias", &[hidden]);
            add("down.weight", &[width, hidden]);
            add("down.bias", &[width]);
        }
        tensors.add("norm.weight", &[width]);
        tensors.add("norm.bias", &[width]);
        tensors.add("head.weight", &[classes, width]);
        tensors.add("head.bias", &[classes]);
        Ok(Box::new(Transformer { sizes: *self, length, classes, tensors: tensors.0 }))
    }
}

#[derive(Default)]
struct Tensors(Vec<Tensor>);

impl Tensors {
    fn add(&mut self, name: &str, shape: &[usize]) {
        let offset = self.0.last().map_or(0, |last| last.offset + last.extent().1);
        self.0.push(Tensor { name: name.into(), shape: shape.into(), offset });
    }
}

/// Tensors before those of the first block, and of a block.
const BEFORE: usize = 2;
const EACH: usize = 12;

struct Transformer {
    sizes: Sizes,
    length: usize,
    classes: usize,
    tensors: Vec<Tensor>,
}

/// What a forward pass leaves of a block for the backward pass.
#[derive(Default)]
struct Kept {
    norm1: Norm,
    qkv: Vec<f32>,
    shares: Vec<f32>,
    context: Vec<f32>,
    norm2: Norm,
    /// relu(W₁·x), 0 where the rectifier is shut.
    middle: Vec<f32>,
}

#[derive(Default)]
struct Room {
    x: Vec<f32>,
    blocks: Vec<Kept>,
    norm: Norm,
    logits: Vec<f32>,
    characters: Vec<usize>,
    labels: Vec<u32>,
    /// Gradients by x, by a normalised x, by queries, keys and values, by the middle.
    dx: Vec<f32>,
    dnormed: Vec<f32>,
    dqkv: Vec<f32>,
    dcontext: Vec<f32>,
    dmiddle: Vec<f32>,
}

/// y = x·Wᵀ + b, row by row, or y += that; W is outputs × inputs, b one number an output.
fn layer(x: &[f32], (w, b): (&[f32], &[f32]), y: &mut Vec<f32>, add: bool) {
    let (outputs, inputs) = (b.len(), w.len() / b.len());
    let rows = x.len() / inputs;
    if !add {
        y.clear();
        y.resize(rows * outputs, 0.0);
    }
    y.chunks_exact_mut(outputs).for_each(|row| row.iter_mut().zip(b).for_each(|(y, b)| *y += b));
    product(rows, outputs, inputs, Mat::rows(x, inputs), Mat::rows(w, inputs).t(), y, true);
}

/// Of a [`layer`] the gradients by W, b and x, the last added where `add`.
fn layer_back(
    x: &[f32],
    w: &[f32],
    dy: &[f32],
    (dw, db): (&mut [f32], &mut [f32]),
    dx: &mut Vec<f32>,
    add: bool,
) {
    let (outputs, inputs) = (db.len(), w.len() / db.len());
    let rows = x.len() / inputs;
    product(outputs, inputs, rows, Mat::rows(dy, outputs).t(), Mat::rows(x, inputs), dw, false);
    db.fill(0.0);
    for row in dy.chunks_exact(outputs) {
        db.iter_mut().zip(row).for_each(|(sum, &x)| *sum += x);
    }
    if !add {
        dx.clear();
        dx.resize(rows * inputs, 0.0);
    }
    product(rows, inputs, outputs, Mat::rows(dy, outputs), Mat::rows(w, inputs), dx, add);
}

impl Transformer {
    /// The k-th tensor in a flat vector.
    fn of<'a>(&self, flat: &'a [f32], k: usize) -> &'a [f32] {
        let Tensor { offset, .. } = self.tensors[k];
        &flat[offset..offset + self.tensors[k].extent().1]
    }

    /// The k-th tensor and the one after it: a weight and its bias.
    fn two<'a>(&self, flat: &'a [f32], k: usize) -> (&'a [f32], &'a [f32]) {
        (self.of(flat, k), self.of(flat, k + 1))
    }

    fn two_mut<'a>(&self, flat: &'a mut [f32], k: usize) -> (&'a mut [f32], &'a mut [f32]) {
        let (from, middle) = (self.tensors[k].offset, self.tensors[k + 1].offset);
        let to = middle + self.tensors[k + 1].extent().1;
        flat[from..to].split_at_mut(middle - from)
    }

    /// The first of a block's tensors; of the one after the last, the final norm's.
    fn block(&self, block: usize) -> usize {
        BEFORE + EACH * block
    }

    fn heads(&self) -> Heads {
        let Sizes { width, heads, .. } = self.sizes;
        Heads { length: self.length, width, heads }
    }

    /// Logits of every position of every window, and what should be answered, into the room.
    fn forward(&self, params: &[f32], batch: &Batch, room: &mut Room) {
        let Targets::Labels(labels) = &batch.targets else { panic!("characters have labels") };
        let (length, width, top) = (self.length, self.sizes.width, self.classes - 1);
        let Room { x, blocks, norm, logits, characters, labels: next, .. } = room;
        characters.clear();
        // Not a number is character 0.
        characters.extend(batch.inputs.iter().map(|&c| (c.round().max(0.0) as usize).min(top)));
        next.clear();
        for (window, &label) in characters.chunks_exact(length).zip(labels) {
            next.extend(window[1..].iter().map(|&c| c as u32).chain([label]));
        }
        let (tokens, positions) = self.two(params, 0);
        x.clear();
        for (k, c) in characters.iter().enumerate() {
            let place = &positions[k % length * width..][..width];
            x.extend(tokens[c * width..][..width].iter().zip(place).map(|(a, b)| a + b));
        }
        blocks.resize_with(self.sizes.blocks, Kept::default);
        for (b, kept) in blocks.iter_mut().enumerate() {
            let at = self.block(b);
            let Kept { norm1, qkv, shares, context, norm2, middle } = kept;
            norm1.forward(x, self.two(params, at));
            layer(&norm1.out, self.two(params, at + 2), qkv, false);
            attention::forward(self.heads(), qkv, shares, context);
            layer(context, self.two(params, at + 4), x, true);
            norm2.forward(x, self.two(params, at + 6));
            layer(&norm2.out, self.two(params, at + 8), middle, false);
            middle.iter_mut().for_each(|x| *x = x.max(0.0));
            layer(middle, self.two(params, at + 10), x, true);
        }
        let at = self.block(self.sizes.blocks);
        norm.forward(x, self.two(params, at));
        layer(&norm.out, self.two(params, at + 2), logits, false);
    }

    /// The gradient, from that by the logits, which stands in their place.
    fn backward(&self, params: &[f32], room: &mut Room, out: &mut [f32]) {
        let width = self.sizes.width;
        let Room { blocks, norm, logits, characters, .. } = room;
        let Room { dx, dnormed, dqkv, dcontext, dmiddle, .. } = room;
        let at = self.block(self.sizes.blocks);
        let weight = |k: usize| self.of(params, k);
        layer_back(&norm.out, weight(at + 2), logits, self.two_mut(out, at + 2), dnormed, false);
        dx.clear();
        dx.resize(dnormed.len(), 0.0);
        norm.backward(weight(at), dnormed, self.two_mut(out, at), dx);
        for (b, kept) in blocks.iter().enumerate().rev() {
            let at = self.block(b);
            let Kept { norm1, qkv, shares, context, norm2, middle } = kept;
            let back = self.two_mut(out, at + 10);
            layer_back(middle, weight(at + 10), dx, back, dmiddle, false);
            dmiddle.iter_mut().zip(middle).for_each(|(d, &x)| {
                *d = if x > 0.0 { *d } else { 0.0 };
            });
            let back = self.two_mut(out, at + 8);
            layer_back(&norm2.out, weight(at + 8), dmiddle, back, dnormed, false);
            norm2.backward(weight(at + 6), dnormed, self.two_mut(out, at + 6), dx);
            let back = self.two_mut(out, at + 4);
            layer_back(context, weight(at + 4), dx, back, dcontext, false);
            attention::backward(self.heads(), qkv, shares, dcontext, dqkv);
            let back = self.two_mut(out, at + 2);
            layer_back(&norm1.out, weight(at + 2), dqkv, back, dnormed, false);
            norm1.backward(weight(at), dnormed, self.two_mut(out, at), dx);
        }
        let (tokens, positions) = self.two_mut(out, 0);
        tokens.fill(0.0);
        positions.fill(0.0);
        for (k, (c, d)) in characters.iter().zip(dx.chunks_exact(width)).enumerate() {
            let place = k % self.length * width;
            let rows = [&mut tokens[c * width..][..width], &mut positions[place..][..width]];
            for row in rows {
                row.iter_mut().zip(d).for_each(|(sum, d)| *sum += d);
            }
        }
    }
}

impl Model for Transformer {
    fn dim(&self) -> usize {
        self.tensors.last().map_or(0, |last| last.offset + last.extent().1)
    }

    fn tensors(&self) -> &[Tensor] {
        &self.tensors
    }

    fn init(&self, seed: Seed) -> Vec<f32> {
        let mut out = Vec::with_capacity(self.dim());
        let mut bound = 0.0;
        for (k, tensor) in self.tensors.iter().enumerate() {
            let mut stream = seed.lane(Domain::Init, 0, 0, k as u64);
            let (len, name) = (tensor.extent().1, tensor.name.as_str());
            if name.contains("norm") {
                out.resize(out.len() + len, if name.ends_with("weight") { 1.0 } else { 0.0 });
            } else if k < BEFORE {
                out.extend((0..len).map(|_| stream.normal() as f32));
            } else {
                // A bias has the bound of the weight before it.
                if let [_, inputs] = tensor.shape[..] {
                    bound = 1.0 / (inputs as f64).sqrt();
                }
                let uniform = |_| (bound * (2.0 * stream.uniform_f64() - 1.0)) as f32;
                out.extend((0..len).map(uniform));
            }
        }
        out
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
        let room: &mut Room = workspace.downcast_mut().expect("a workspace of this model");
        self.forward(params, batch, room);
        let next = Targets::Labels(std::mem::take(&mut room.labels));
        let loss = Loss::CrossEntropy.gradient(&mut room.logits, self.classes, &next);
        if let Targets::Labels(next) = next {
            room.labels = next;
        }
        self.backward(params, room, out);
        loss
    }

    fn evaluate(
        &self,
        params: &[f32],
        _: &Prepared,
        batch: &Batch,
        workspace: &mut Workspace,
    ) -> Tally {
        let room: &mut Room = workspace.downcast_mut().expect("a workspace of this model");
        let mut tally = Tally::default();
        // A sample at a time: a block of samples need not lie in memory at every width at once.
        let Targets::Labels(labels) = &batch.targets else { panic!("characters have labels") };
        for (window, &label) in batch.inputs.chunks_exact(self.length).zip(labels) {
            let (inputs, targets) = (window.to_vec(), Targets::Labels(vec![label]));
            let one = Batch { inputs, targets, len: 1, ..Batch::default() };
            self.forward(params, &one, room);
            let next = Targets::Labels(room.labels.clone());
            let mut last = room.logits[(self.length - 1) * self.classes..].to_vec();
            let all = Loss::CrossEntropy.tally(&mut room.logits, self.classes, &next, 0);
            let own = Targets::Labels(vec![label]);
            let hits = Loss::CrossEntropy.tally(&mut last, self.classes, &own, 0).hits;
            tally.add(Tally { loss: all.loss / self.length as f64, hits, count: 1 });
        }
        tally
    }
}

#[cfg(test)]
#[path = "transformer_tests.rs"]
mod tests;
