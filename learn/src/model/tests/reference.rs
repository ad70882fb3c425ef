//! A slow forward pass in f64, straight from the definitions, sharing no kernel with the engine.

use super::super::layer::Op;
use super::super::loss::Loss;
use super::super::network::Network;
use crate::{Batch, Targets};

/// The mean loss over the batch at f64 parameters.
pub(super) fn loss(network: &Network, params: &[f64], batch: &Batch) -> f64 {
    let (plan, loss) = network.parts();
    let mut values: Vec<Vec<f64>> = vec![Vec::new(); plan.shapes.len()];
    values[0] = batch.inputs.iter().map(|&x| f64::from(x)).collect();
    for node in &plan.nodes {
        let out = apply(&node.op, params, &values[node.input], batch.len);
        values[node.output] = out;
    }
    let outputs = &values[plan.at()];
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
    }
}
