//! What a server says of one step: at its start to all, to a driver in its process, at its end.

use crate::{Received, Refusal, States};
use varangian_rules::{Certificate, Pipeline, Verdict};

/// What the server tells all workers at the start of a step.
#[derive(Clone, Copy)]
pub struct Broadcast<'a> {
    /// The step, from 0.
    pub step: u64,
    /// Where gradients are wanted: θ, or the look-ahead point with Nesterov momentum at the server.
    pub params: &'a [f32],
    /// The last aggregate, zeros at step 0.
    pub previous: &'a [f32],
    /// The learning rate of this step.
    pub rate: f64,
}

/// What a server lends to a driver in the same process for one step.
pub struct Lent<'a> {
    /// What workers need.
    pub broadcast: Broadcast<'a>,
    /// One slot a worker, to be written and then committed.
    pub slots: varangian_base::RowsMut<'a>,
    /// What the server keeps of each worker, where it keeps anything.
    pub states: Option<&'a States>,
    /// The rule.
    pub rule: &'a Pipeline,
    /// How much each worker counts, where they do not count alike.
    pub weights: Option<&'a [f64]>,
    /// The momentum buffer where it lives at the server, or empty.
    pub momentum: &'a [f32],
}

/// How a step ended.
#[derive(Clone, Debug, Default)]
pub struct Closed {
    /// The step.
    pub step: u64,
    /// Rows that the rule saw, those that the server keeps of absent workers included.
    pub n: usize,
    /// Hostile rows that the rule reckoned with.
    pub f: usize,
    /// Why no step was made, if none was.
    pub skipped: Option<String>,
    /// What was refused.
    pub refused: Vec<Refusal>,
    /// The workers whose rows the rule saw, in row order.
    pub ids: Vec<u32>,
    /// What the rule said.
    pub verdict: Verdict,
    /// What is certain of the aggregate, where that is asked for and rows were aggregated.
    pub certificate: Option<Certificate>,
}

impl Closed {
    /// Begins the record of a step that held this.
    pub(super) fn begin(&mut self, step: u64, received: &Received<'_>) {
        self.step = step;
        self.refused.clear();
        self.refused.extend_from_slice(received.refused);
        self.ids.clear();
        self.ids.extend_from_slice(received.ids);
        self.verdict.clear();
        self.certificate = None;
    }

    /// Whether something of the step proves this worker hostile.
    pub fn proves_hostile(&self, worker: u32) -> bool {
        self.refused.iter().any(|one| one.worker == worker && one.reason.proves_hostile())
    }
}
