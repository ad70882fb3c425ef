//! A slow forward pass in f64, straight from the definitions, sharing no kernel with the engine.

use super::super::Place;
use super::super::conv::Conv;
use super::super::dropout::Masks;
use super::super::layer::Op;
use super::super::loss::Loss;
use super::super::network::Network;
use super::super::norm::{EPSILON, Norm, Statistics};
use crate::data::Shape;
use crate::kernels::image::Border;
use crate::kernels::pool::Window;
use crate::{Batch, Targets};
use varangian_base::Domain;

/// The mean loss over the batch at f64 parameters, in training at `place`.
pub(super) fn loss(network: &Network, params: &[f64], batch: &Batch, place: Place) -> f64 {
    let (plan, loss) = network.parts();
    let mut values: Vec<Vec<f64>> = vec![Vec::new(); plan.shapes.len()];
    values[0] = batch.inputs.iter().map(|&x| f64::from(x)).collect();
    for (layer, node) in plan.nodes.iter().enumerate() {
        let x = &values[node.input];
        let out = match &node.op {
            Op::Add(other) => x.iter().zip(&values[*other]).map(|(a, b)| a + b).collect(),
            Op::Dropout(dropout) => {
                let lane = layer as u64;
                let (worker, step) = match dropout.masks {
                    Masks::Own => (place.worker, place.step),
                    Masks::Shared => (0, place.step),
                    Masks::Frozen(0) => (0, 0),
                    Masks::Frozen(hold) => (0, place.step / hold),
                };
                let mut stream = place.seed.lane(Domain::Dropout, worker, step, lane);
                let keep = 1.0 / (1.0 - f64::from(dropout.p));
                let (channels, pixels) = dropout.channels.unwrap_or((x.len(), 1));
                let samples = x.len() / (channels * pixels);
                let drops: Vec<bool> =
                    (0..samples * channels).map(|_| stream.uniform() < dropout.p).collect();
                let dropped = |k: usize| drops[k / (channels * pixels) * channels + k % channels];
                let kept = |(k, x): (usize, &f64)| if dropped(k) { 0.0 } else { x * keep };
                x.iter().enumerate().map(kept).collect()
            }
            op => apply(op, params, x, batch.len),
        };
        values[node.output] = out;
    }
    mean_loss(loss, &values[plan.at()], batch)
}

fn mean_loss(loss: Loss, outputs: &[f64], batch: &Batch) -> f64 {
    let width = outputs.len() / batch.len;
    match &batch.targets {
        Targets::Labels(labels) => {
            let rows = outputs.chunks(width).zip(labels);
            let one = |(row, &label): (&[f64], &u32)| entropy(loss, row, label as usize);
            rows.map(one).sum::<f64>() / batch.len as f64
        }
        Targets::Values(values) => {
            let squares = outputs.iter().zip(values).map(|(y, &t)| (y - f64::from(t)).powi(2));
            squares.sum::<f64>() / outputs.len() as f64
        }
    }
}

fn entropy(loss: Loss, row: &[f64], label: usize) -> f64 {
    match loss {
        Loss::Logistic => (1.0 + row[0].exp()).ln() - label as f64 * row[0],
        _ => row.iter().map(|z| z.exp()).sum::<f64>().ln() - row[label],
    }
}

fn apply(op: &Op, params: &[f64], x: &[f64], samples: usize) -> Vec<f64> {
    match op {
        Op::Linear(l) => {
            let mut y = Vec::new();
            for s in 0..samples {
                for o in 0..l.outputs {
                    let w = &params[l.weight + o * l.inputs..][..l.inputs];
                    let x = &x[s * l.inputs..][..l.inputs];
                    let sum: f64 = w.iter().zip(x).map(|(w, x)| w * x).sum();
                    y.push(sum + params[l.bias + o]);
                }
            }
            y
        }
        Op::Relu(_) => x.iter().map(|x| x.max(0.0)).collect(),
        Op::Conv(conv) => each(x, conv.input, |x| convolve(conv, params, x)),
        Op::Norm(norm) => normalise(norm, params, x),
        Op::MaxPool(pool) => each(x, pool.window.input, |x| pooled(&pool.window, x)),
        Op::GlobalMean(mean) => each(x, mean.0, |x| {
            let c = mean.0.channels;
            let of = |k| x.iter().skip(k).step_by(c).sum::<f64>() / (x.len() / c) as f64;
            (0..c).map(of).collect()
        }),
        Op::Reorder(reorder) => each(x, reorder.shape, |x| {
            let (c, pixels) = (reorder.shape.channels, x.len() / reorder.shape.channels);
            let from = |k: usize| match reorder.last {
                true => x[k % c * pixels + k / c],
                false => x[k % pixels * c + k / pixels],
            };
            (0..x.len()).map(from).collect()
        }),
        Op::Subsample(sub) => each(x, sub.input, |x| {
            let (from, to) = (sub.input, sub.output);
            let before = (to.channels - from.channels) / 2;
            let mut y = vec![0.0; to.len()];
            for k in 0..to.len() {
                let (pixel, channel) = (k / to.channels, k % to.channels);
                let (row, column) = (pixel / to.width * sub.stride, pixel % to.width * sub.stride);
                if (before..before + from.channels).contains(&channel) {
                    y[k] = x[(row * from.width + column) * from.channels + channel - before];
                }
            }
            y
        }),
        Op::Add(_) | Op::Dropout(_) => unreachable!("handled by the caller"),
    }
}

/// Applies `f` to each sample.
fn each(x: &[f64], shape: Shape, f: impl Fn(&[f64]) -> Vec<f64>) -> Vec<f64> {
    x.chunks(shape.len()).flat_map(f).collect()
}

fn convolve(conv: &Conv, params: &[f64], x: &[f64]) -> Vec<f64> {
    let (from, to, size) = (conv.input, conv.output, conv.size);
    let mut y = Vec::new();
    for k in 0..to.len() {
        let (pixel, o) = (k / to.channels, k % to.channels);
        let mut sum = conv.bias.map_or(0.0, |at| params[at + o]);
        for tap in 0..size * size {
            let row = (pixel / to.width * conv.stride + tap / size) as isize - conv.pad as isize;
            let column = (pixel % to.width * conv.stride + tap % size) as isize - conv.pad as isize;
            let (bottom, right) = (from.height as isize - 1, from.width as isize - 1);
            let inside = (0..=bottom).contains(&row) && (0..=right).contains(&column);
            if !inside && conv.border == Border::Zeros {
                continue;
            }
            let at = row.clamp(0, bottom) as usize * from.width + column.clamp(0, right) as usize;
            for c in 0..from.channels {
                let weight = params[conv.weight + (o * from.channels + c) * size * size + tap];
                sum += weight * x[at * from.channels + c];
            }
        }
        y.push(sum);
    }
    y
}

fn normalise(norm: &Norm, params: &[f64], x: &[f64]) -> Vec<f64> {
    let c = norm.channels;
    let count = (x.len() / c) as f64;
    let of = |k: usize| -> (f64, f64) {
        if norm.statistics == Statistics::FrozenInit {
            return (0.0, 1.0);
        }
        let all = x.iter().skip(k).step_by(c);
        let mean = all.clone().sum::<f64>() / count;
        (mean, all.map(|x| (x - mean).powi(2)).sum::<f64>() / count)
    };
    let moments: Vec<(f64, f64)> = (0..c).map(of).collect();
    let one = |(k, x): (usize, &f64)| {
        let (mean, variance) = moments[k % c];
        params[norm.gamma + k % c] * (x - mean) / (variance + EPSILON).sqrt()
            + params[norm.beta + k % c]
    };
    x.iter().enumerate().map(one).collect()
}

fn pooled(window: &Window, x: &[f64]) -> Vec<f64> {
    let (from, to) = (window.input, window.output);
    let one = |k: usize| {
        let (pixel, c) = (k / to.channels, k % to.channels);
        let mut best = f64::NEG_INFINITY;
        for tap in 0..window.size * window.size {
            let row = pixel / to.width * window.stride + tap / window.size;
            let column = pixel % to.width * window.stride + tap % window.size;
            let inside = (window.pad..window.pad + from.height).contains(&row)
                && (window.pad..window.pad + from.width).contains(&column);
            if inside {
                let at = (row - window.pad) * from.width + column - window.pad;
                best = best.max(x[at * from.channels + c]);
            }
        }
        best
    };
    (0..to.len()).map(one).collect()
}
