//! Which rectifiers a neighbour computes, so that memory is passed over once less.

use super::layer::Op;
use super::plan::{Node, Plan};
use crate::kernels::channels::Gate;

impl Plan {
    /// Lets a layer compute the rectifier beside it, in the same pass over memory: one behind
    /// batch norm or a sum, one between a convolution and batch norm; behind any other convolution
    /// its forward half. Nodes keep their numbers,
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
            relu.skip = match (&mut before.op, behind.first_mut().map(|node| &mut node.op)) {
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
                (Op::Conv(conv), _) => {
                    conv.rectify = true;
                    if let Op::Relu(relu) = &mut relu.op {
                        relu.done = true;
                    }
                    false
                }
                _ => false,
            };
        }
    }
}
