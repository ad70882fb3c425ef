//! A copy of the server's parameters that follows it by its aggregates alone.
//!
//! Where the rule answers signs, an aggregate is a bit or two a coordinate, and a worker that holds
//! the last parameters needs no more than that to hold the next ones, to the bit.

use crate::descent::Descent;
use crate::escape::Moment;
use varangian_base::Seed;
use varangian_learn::optim::{Optimiser, Placement, ServerOptimiser};
use varangian_rules::Pipeline;

/// Parameters that move as the server's do.
pub struct Follower {
    optimiser: Optimiser,
    descent: Descent,
    params: Vec<f32>,
}

impl Follower {
    /// Whether workers of such a run can follow by signs, and if so whether a coordinate can be 0:
    /// the rule answers signs, and the server's step depends on nothing but the aggregate.
    pub fn can_follow(optimiser: &Optimiser, rule: &Pipeline) -> Option<bool> {
        let momentum = optimiser.momentum;
        let keeps = momentum.coefficient > 0.0 && momentum.placement != Placement::Worker;
        let plain = !keeps && optimiser.server == ServerOptimiser::Sgd;
        rule.answers_signs().filter(|_| plain)
    }

    /// A copy that stands at the server's parameters.
    pub fn at(optimiser: &Optimiser, params: Vec<f32>) -> Self {
        let descent = Descent::new(optimiser, params.len());
        Follower { optimiser: optimiser.clone(), descent, params }
    }

    /// Makes the server's step by this aggregate at this learning rate. Cost O(d).
    pub fn step(&mut self, rate: f64, aggregate: &[f32]) {
        // Nothing is drawn: who perturbs is not followed.
        let at = (rate, Moment { seed: Seed(0), step: 0 });
        self.descent.step(&self.optimiser, at, aggregate, &mut self.params);
    }

    /// The parameters.
    pub fn params(&self) -> &[f32] {
        &self.params
    }
}
