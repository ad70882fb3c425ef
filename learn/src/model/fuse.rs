//! Which rectifiers a neighbour computes, so that memory is passed over once less.

use super::layer::Op;
use super::plan::{Node, Plan};
use crate::kernels::channels::Gate;

impl Plan {
    /// Lets a layer compute the rectifier beside it, in the same pass over memory: one behind
    /// batch norm or a sum, one between a convolution and batch norm. Any other convolution takes
    /// the forward half of the one behind it, max pooling the backward half of the one before
    /// it, as the largest of rectified values is the rectified largest. Nodes keep their numbers,
    /// which are part of the addresses of dropout masks.
    pub(crate) fn fuse(&mut self) {
        for k in 1..self.nodes.len() {
            let buffer = self.nodes[k].output;
            let rectifier = matches!(self.nodes[k].op, Op::Relu(_));
            if !rectifier || self.nodes[k - 1].output != buffer {
                continue;
            }
            let reads = |node: &&Node| {
                let other = matches!(node.op, Op::Add(other) if other == buffer);
                other || (node.input == buffer && node.output != buffer)
            };
            let alone = self.nodes.iter().filter(reads).count() == 1;
            let (before, behind) = self.nodes.split_at_mut(k);
            let (before, [relu, behind @ ..]) = (&mut before[k - 1], behind) else { continue };
            let mut next = behind.first_mut().map(|node| &mut node.op);
            relu.skip = match (&mut before.op, next.as_deref_mut()) {
                (Op::Norm(norm), _) if norm.gate == Gate::Open => {
                    norm.gate = Gate::Behind;
                    true
                }
                (Op::Add(_), _) => {
                    before.gated = true;
                    true
                }
                (Op::Conv(conv), Some(Op::Norm(norm))) if alone => {
                    (conv.rectify, norm.gate) = (true, Gate::Before);
                    true
                }
                _ => false,
            };
            let Op::Relu(halves) = &mut relu.op else { continue };
            if let (Op::Conv(conv), false) = (&mut before.op, relu.skip) {
                (conv.rectify, halves.forward) = (true, false);
            }
            if let (Some(Op::MaxPool(pool)), true, false) = (next, alone, relu.skip) {
                (pool.gated, halves.backward) = (true, false);
            }
        }
    }
}
