//! The machines of a served run, from its plan: the same for the server and for whoever checks
//! afterwards what it did.

use super::run::Bench;
use varangian_base::SpecError;
use varangian_sim::Plan;
use varangian_sim::swarm::AsyncPlan;
use varangian_train::wire::Codec;
use varangian_train::{Evaluator, Queue, QueueSettings, Server, Settings};

/// The server of rounds, and what its parameters are evaluated with.
///
/// # Errors
/// If the rule refuses n and f, or needs data that are not there.
pub(crate) fn server(plan: Plan, codec: Codec) -> Result<(Server, Bench), SpecError> {
    let (_, f) = plan.round();
    let is_signs = matches!(codec, Codec::Signs { .. });
    let packs_votes = is_signs && plan.rule.counts_votes() && plan.weights.is_none();
    // Certificates are of rows.
    let packs_votes = packs_votes && plan.certificate.is_none();
    let settings = Settings {
        n: plan.n,
        f,
        weights: plan.weights,
        participation: plan.participation,
        non_finite: plan.non_finite,
        rule: plan.rule,
        steps_per_epoch: plan.sampler.steps_per_epoch() / plan.optimiser.local.steps as f64,
        optimiser: plan.optimiser,
        buffers: plan.model.init_buffers(),
        seed: plan.seed,
        packs_votes,
        silence_is_hostile: false,
    };
    let mut server = Server::new(settings, plan.model.init(plan.seed), plan.oracle)?;
    if let Some(effort) = plan.certificate {
        server.certify(effort);
    }
    let evaluator = Evaluator::new(plan.test.as_ref(), plan.test_samples);
    Ok((server, Bench::new(plan.model, plan.test, evaluator)))
}

/// The queue of asynchronous training, and what its parameters are evaluated with.
///
/// # Errors
/// As [`server`].
pub(crate) fn queue(plan: AsyncPlan) -> Result<(Queue, Bench), SpecError> {
    let settings = QueueSettings {
        n: plan.n,
        f: plan.f,
        filter: plan.filter,
        arrivals_per_epoch: plan.sampler.steps_per_epoch() * plan.n as f64
            / plan.optimiser.local.steps as f64,
        optimiser: plan.optimiser,
        keep: plan.keep,
        buffers: plan.model.init_buffers(),
        seed: plan.seed,
    };
    let queue = Queue::new(settings, plan.model.init(plan.seed), plan.oracle)?;
    let evaluator = Evaluator::new(plan.test.as_ref(), plan.test_samples);
    Ok((queue, Bench::new(plan.model, plan.test, evaluator)))
}
