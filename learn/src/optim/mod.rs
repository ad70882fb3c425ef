//! Optimisers: where momentum lives, clipping, regularisation and learning-rate schedules.
//!
//! All of it is arithmetic on flat vectors; who applies which part (worker or server) is `train`'s.

mod clip;
mod message;
mod momentum;
mod regularise;
mod schedule;

pub use clip::{Clip, ClipMode};
pub use message::{MESSAGES, Message, sanitise};
pub use momentum::{Momentum, Placement};
pub use regularise::Regulariser;
pub use schedule::{SCHEDULES, Schedule};

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
            weight_decay: 0.0,
        }
    }

    /// Whether what a worker sends differs from its clipped gradient.
    pub fn changes_gradients(&self) -> bool {
        let momentum = &self.momentum;
        let moves = momentum.coefficient > 0.0 || momentum.dampening > 0.0;
        moves && momentum.placement != Placement::Update || self.message != Message::Vector
    }

    /// The learning rate at `step`, when an epoch has `steps_per_epoch` steps.
    pub fn rate(&self, step: u64, steps_per_epoch: f64) -> f64 {
        self.schedule.rate(self.learning_rate, step, steps_per_epoch)
    }
}
