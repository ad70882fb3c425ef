//! Tests only: one arrival at a filter, with everything else at rest.

use crate::{Arrival, Decision, Filter, Oracle};
use varangian_base::Seed;

/// An arrival of `gradient` from worker 0 at version 0 of `params`.
pub(crate) fn arrival<'a>(params: &'a [f32], gradient: &'a [f32]) -> Arrival<'a> {
    Arrival {
        gradient,
        worker: 0,
        version: 0,
        now: 0,
        params,
        stale: Some(params),
        learning_rate: 0.1,
        n: 10,
        f: 4,
        oracle: None,
        seed: Seed(0),
    }
}

/// Offers `gradient` at `params` with learning rate `rate`.
pub(crate) fn offer(
    filter: &mut dyn Filter,
    oracle: &mut dyn Oracle,
    params: &[f32],
    rate: f32,
    gradient: &[f32],
) -> (Decision, Vec<f32>) {
    let mut out = vec![f32::NAN; params.len()];
    let mut arrival = arrival(params, gradient);
    arrival.learning_rate = rate;
    arrival.oracle = Some(oracle);
    let decision = filter.offer(&mut arrival, &mut out);
    (decision, out)
}
