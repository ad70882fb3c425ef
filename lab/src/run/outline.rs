//! What a run is from outside: what it sends, and its last parameters in a word.

use varangian_sim::Course;
use varangian_train::Traffic;

/// Whether there are classes to tell apart, and the bytes that a worker sends and gets a step.
pub(super) fn outline(course: &Course) -> (bool, Traffic) {
    match course {
        Course::Gossip(plan, gossip) => {
            let bytes = gossip.bytes(plan);
            (plan.test.classes() > 0, Traffic { up: bytes, down: bytes })
        }
        Course::Lockstep(plan) | Course::Rounds(plan, _) => {
            let traffic = Traffic::of(plan.model.dim(), &plan.optimiser, &plan.rule);
            (plan.test.classes() > 0, traffic)
        }
        Course::Swarm(plan) => {
            let d = plan.model.dim();
            (plan.test.classes() > 0, Traffic { up: plan.optimiser.wire_len(d), down: 4 * d })
        }
    }
}

/// BLAKE3 of the parameters' little-endian bytes.
pub(super) fn hash(params: &[f32]) -> String {
    let mut hasher = blake3::Hasher::new();
    params.iter().for_each(|x| {
        hasher.update(&x.to_le_bytes());
    });
    hasher.finalize().to_hex()[..16].to_owned()
}
