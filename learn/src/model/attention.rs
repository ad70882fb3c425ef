//! Layer normalisation and causal self-attention, forward and back.

use crate::kernels::exp::exp_all;

/// What is added to a variance before the root.
const EPSILON: f32 = 1e-5;

/// A layer normalisation with what its backward pass needs.
#[derive(Default)]
pub(super) struct Norm {
    /// (x − mean)/√(variance + ε) of each row.
    straight: Vec<f32>,
    /// 1/√(variance + ε) of each row.
    scales: Vec<f32>,
    /// The rows as they leave: straight·weight + bias.
    pub(super) out: Vec<f32>,
}

fn mean(row: impl ExactSizeIterator<Item = f32>) -> f32 {
    let len = row.len() as f32;
    row.sum::<f32>() / len
}

impl Norm {
    /// Normalises rows as wide as the weight. Cost O(rows·width).
    pub(super) fn forward(&mut self, x: &[f32], (weight, bias): (&[f32], &[f32])) {
        let width = weight.len();
        self.straight.clear();
        self.straight.extend_from_slice(x);
        self.scales.clear();
        self.out.clear();
        for row in self.straight.chunks_exact_mut(width) {
            let middle = mean(row.iter().copied());
            row.iter_mut().for_each(|x| *x -= middle);
            let scale = 1.0 / (mean(row.iter().map(|x| x * x)) + EPSILON).sqrt();
            row.iter_mut().for_each(|x| *x *= scale);
            self.scales.push(scale);
            let slots = row.iter().zip(weight).zip(bias);
            self.out.extend(slots.map(|((x, w), b)| x * w + b));
        }
    }

    /// The gradients by weight and bias, and that by the rows that came in, which is added to `dx`.
    pub(super) fn backward(
        &self,
        weight: &[f32],
        dy: &[f32],
        (dweight, dbias): (&mut [f32], &mut [f32]),
        dx: &mut [f32],
    ) {
        let width = weight.len();
        dweight.fill(0.0);
        dbias.fill(0.0);
        let mut inner = vec![0.0; width];
        let rows = self.straight.chunks_exact(width).zip(&self.scales);
        let rows = rows.zip(dy.chunks_exact(width)).zip(dx.chunks_exact_mut(width));
        for (((straight, scale), dy), dx) in rows {
            for k in 0..width {
                dweight[k] += dy[k] * straight[k];
                dbias[k] += dy[k];
                inner[k] = dy[k] * weight[k];
            }
            let plain = mean(inner.iter().copied());
            let along = mean(inner.iter().zip(straight).map(|(d, x)| d * x));
            for k in 0..width {
                dx[k] += scale * (inner[k] - plain - straight[k] * along);
            }
        }
    }
}

/// How positions attend: `length` of them a window, `width` numbers each, shared out to `heads`.
#[derive(Clone, Copy)]
pub(super) struct Shape {
    pub(super) length: usize,
    pub(super) width: usize,
    pub(super) heads: usize,
}

impl Shape {
    /// Queries (0), keys (1) or values (2) of a head at a position: where they start in rows of
    /// three times the width.
    fn at(&self, position: usize, what: usize, head: usize) -> usize {
        (3 * position + what) * self.width + head * (self.width / self.heads)
    }
}

fn dot(a: &[f32], b: &[f32]) -> f32 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

fn add(c: f32, x: &[f32], out: &mut [f32]) {
    out.iter_mut().zip(x).for_each(|(out, x)| *out += c * x);
}

/// Each position's mean of the values at no later positions, weighed by softmax(q·k/√(width of a
/// head)), into `context`; the weights, a row of `length` for each position and head, 0 at later
/// ones, into `shares`. Cost O(windows·length²·width).
pub(super) fn forward(shape: Shape, qkv: &[f32], shares: &mut Vec<f32>, context: &mut Vec<f32>) {
    let Shape { length, width, heads } = shape;
    let (size, rows) = (width / heads, qkv.len() / (3 * width));
    let root = 1.0 / (size as f32).sqrt();
    shares.clear();
    shares.resize(rows * heads * length, 0.0);
    context.clear();
    context.resize(rows * width, 0.0);
    for position in 0..rows {
        let first = position - position % length;
        for head in 0..heads {
            let row = &mut shares[(position * heads + head) * length..][..=position - first];
            let query = &qkv[shape.at(position, 0, head)..][..size];
            for (share, other) in row.iter_mut().zip(first..) {
                *share = root * dot(query, &qkv[shape.at(other, 1, head)..][..size]);
            }
            let top = row.iter().fold(f32::NEG_INFINITY, |a, &x| a.max(x));
            row.iter_mut().for_each(|x| *x -= top);
            exp_all(row);
            let sum: f32 = row.iter().sum();
            let out = &mut context[position * width + head * size..][..size];
            for (share, other) in row.iter_mut().zip(first..) {
                *share /= sum;
                add(*share, &qkv[shape.at(other, 2, head)..][..size], out);
            }
        }
    }
}

/// The gradient by queries, keys and values, into `dqkv`, from that by what [`forward`] gave.
pub(super) fn backward(
    shape: Shape,
    qkv: &[f32],
    shares: &[f32],
    dcontext: &[f32],
    dqkv: &mut Vec<f32>,
) {
    let Shape { length, width, heads } = shape;
    let (size, rows) = (width / heads, qkv.len() / (3 * width));
    let root = 1.0 / (size as f32).sqrt();
    dqkv.clear();
    dqkv.resize(qkv.len(), 0.0);
    let mut dshares = vec![0.0; length];
    for position in 0..rows {
        let first = position - position % length;
        for head in 0..heads {
            let row = &shares[(position * heads + head) * length..][..=position - first];
            let dout = &dcontext[position * width + head * size..][..size];
            for ((dshare, share), other) in dshares.iter_mut().zip(row).zip(first..) {
                let at = shape.at(other, 2, head);
                *dshare = dot(dout, &qkv[at..][..size]);
                add(*share, dout, &mut dqkv[at..][..size]);
            }
            let along = dot(&dshares[..row.len()], row);
            for ((dshare, share), other) in dshares.iter().zip(row).zip(first..) {
                let slope = root * share * (dshare - along);
                let (query, key) = (shape.at(position, 0, head), shape.at(other, 1, head));
                add(slope, &qkv[key..][..size], &mut dqkv[query..][..size]);
                add(slope, &qkv[query..][..size], &mut dqkv[key..][..size]);
            }
        }
    }
}
