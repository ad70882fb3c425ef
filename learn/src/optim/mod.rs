//! Optimisers: where momentum lives, clipping, regularisation and learning-rate schedules.
//!
//! All of it is arithmetic on flat vectors; who applies which part (worker or server) is `train`'s.

mod clip;
mod compress;
mod escape;
mod message;
mod momentum;
mod regularise;
mod schedule;
mod server;

pub use clip::{Clip, ClipMode};
pub use compress::Compression;
pub use escape::Escape;
pub use message::{MESSAGES, Message, sanitise};
pub use momentum::{Momentum, Placement};
pub use regularise::Regulariser;
pub use schedule::{SCHEDULES, Schedule};
pub use server::{Second, ServerOptimiser};

use varangian_base::SpecError;

/// Local steps (McMahan et al. 2017, FedAvg): a worker makes K steps of plain descent from θ, on a
/// minibatch each, and sends the sum of the gradients that it met, which is its movement over the
/// local learning rate. K = 1 sends the gradient at θ.
///
/// *Differs:* FedAvg averages models; the mean of these messages under `learning_rate` equal to
/// the local rate is that average.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Local {
    /// K ≥ 1.
    pub steps: u64,
    /// The local learning rate; `None`: the learning rate of the step.
    pub rate: Option<f64>,
}

impl Default for Local {
    fn default() -> Self {
        Local { steps: 1, rate: None }
    }
}

/// Everything that turns aggregates into steps.
#[derive(Clone, Debug, PartialEq)]
pub struct Optimiser {
    /// α₀ > 0, the learning rate at step 0.
    pub learning_rate: f64,
    /// How the learning rate changes.
    pub schedule: Schedule,
    /// Momentum and where it lives.
    pub momentum: Momentum,
    /// Bound on the norm of each sampled gradient, before momentum.
    pub clip: Option<Clip>,
    /// Penalty added to each worker's loss.
    pub regulariser: Regulariser,
    /// What a worker sends of what it computed.
    pub message: Message,
    /// The steps that a worker makes by itself before it sends.
    pub local: Local,
    /// What of a message is left out.
    pub compression: Compression,
    /// How the server steps by the aggregate.
    pub server: ServerOptimiser,
    /// λ ≥ 0 of decoupled weight decay: θ ← (1 − αλ)·θ before the step.
    pub weight_decay: f64,
}

impl Optimiser {
    /// Plain SGD: no momentum, no clipping, constant learning rate.
    pub fn sgd(learning_rate: f64) -> Self {
        Optimiser {
            learning_rate,
            schedule: Schedule::Constant,
            momentum: Momentum::none(),
            clip: None,
            regulariser: Regulariser::None,
            message: Message::Vector,
            local: Local::default(),
            compression: Compression::None,
            server: ServerOptimiser::Sgd,
            weight_decay: 0.0,
        }
    }

    /// Whether what a worker sends differs from its clipped gradient.
    pub fn changes_gradients(&self) -> bool {
        let momentum = &self.momentum;
        let moves = momentum.coefficient > 0.0 || momentum.dampening > 0.0;
        moves && momentum.placement != Placement::Update
            || self.message != Message::Vector
            || self.compression != Compression::None
    }

    /// Bytes of one message of d coordinates on the wire.
    pub fn wire_len(&self, d: usize) -> usize {
        match self.message {
            Message::Vector => self.compression.wire_len(d),
            _ => self.message.wire_len(d),
        }
    }

    /// Whether the parts fit together.
    ///
    /// # Errors
    /// The first offence: what is required and what was found.
    pub fn check(&self) -> Result<(), SpecError> {
        let refuse = |text: &str| Err(SpecError::new(text));
        if self.local.steps == 0 {
            return refuse("local_steps is at least 1; got 0");
        }
        if self.compression != Compression::None && self.message.is_sign() {
            return refuse(
                "compression shortens vectors; message sends signs, at a bit or two a coordinate",
            );
        }
        let momentum = &self.momentum;
        let elsewhere = momentum.coefficient > 0.0 && momentum.placement != Placement::Update;
        if self.message.is_own() && (self.local.steps > 1 || elsewhere) {
            return refuse(
                "message=rsa and message=election take gradients in a way of their own; set \
                 local_steps=1, and momentum=0 or momentum_at=update, beside them",
            );
        }
        let at_update = momentum.placement == Placement::Update;
        let moves = momentum.coefficient > 0.0;
        if matches!(self.server, ServerOptimiser::Perturbed(_)) && moves {
            return refuse(
                "server_optimiser=byzantine-pgd steps by the aggregate at θ alone; set momentum=0 \
                 beside it",
            );
        }
        if self.server != ServerOptimiser::Sgd && moves && at_update {
            return refuse(
                "an adaptive server_optimiser keeps a momentum of its own, beta1; \
                 set momentum=0 or momentum_at=worker beside it",
            );
        }
        Ok(())
    }

    /// The learning rate at `step`, when an epoch has `steps_per_epoch` steps.
    pub fn rate(&self, step: u64, steps_per_epoch: f64) -> f64 {
        self.schedule.rate(self.learning_rate, step, steps_per_epoch)
    }
}
