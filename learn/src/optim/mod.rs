//! Optimisers: where momentum lives, clipping, regularisation and learning-rate schedules.
//!
//! All of it is arithmetic on flat vectors; who applies which part (worker or server) is `train`'s.

mod clip;
mod compress;
mod escape;
mod local;
mod message;
mod momentum;
mod polar;
mod regularise;
mod schedule;
mod server;

pub use clip::{Clip, ClipMode};
pub use compress::{Compression, Pick, add_to, level_bits, quantised_len, shared_mask};
pub use escape::Escape;
pub use local::{Inner, Local, Trail};
pub use message::{MESSAGES, Message, sanitise};
pub use momentum::{Momentum, Placement};
pub use polar::polar;
pub use regularise::Regulariser;
pub use schedule::{SCHEDULES, Schedule};
pub use server::{Second, ServerOptimiser};

use varangian_base::SpecError;

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
    /// The optimiser of those steps.
    pub inner: Inner,
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
            inner: Inner::default(),
            compression: Compression::None,
            server: ServerOptimiser::Sgd,
            weight_decay: 0.0,
        }
    }

    /// Whether what a worker sends differs from its clipped gradient.
    pub fn changes_gradients(&self) -> bool {
        let momentum = &self.momentum;
        let moves = momentum.coefficient > 0.0 || momentum.dampening > 0.0;
        moves && !matches!(momentum.placement, Placement::Update | Placement::Rows)
            || self.message != Message::Vector
            || self.compression != Compression::None
    }

    /// Whether a worker's message comes of one gradient at the parameters that were published.
    pub fn is_one_gradient(&self) -> bool {
        self.local.steps == 1 && self.inner.is_plain()
    }

    /// How the row that a worker sends is shortened as a whole: not under `marina`, which shortens
    /// the difference that is a part of it.
    pub fn of_rows(&self) -> Compression {
        match self.message {
            Message::Marina { .. } => Compression::None,
            _ => self.compression,
        }
    }

    /// Whether a message is a difference to what the server keeps of the worker.
    pub fn is_difference(&self) -> bool {
        self.compression.is_difference() || self.message.is_difference()
    }

    /// Bytes of one message of d coordinates on the wire; of `marina` in the mean.
    pub fn wire_len(&self, d: usize) -> usize {
        match self.message {
            Message::Vector
            | Message::Saga
            | Message::Storm { .. }
            | Message::Dasha { .. }
            | Message::Cyclic { .. } => self.compression.wire_len(d),
            // The mean over the coin, to the nearest byte.
            Message::Marina { whole } => {
                let (all, short) = (4 * d, self.compression.wire_len(d));
                (whole * all as f64 + (1.0 - whole) * short as f64).round() as usize
            }
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
        self.check_message()?;
        let momentum = &self.momentum;
        let looks_ahead = !matches!(momentum.placement, Placement::WorkerTwice | Placement::Rows);
        if momentum.nesterov && momentum.coefficient > 0.0 && !looks_ahead {
            return Err(SpecError::new(format!(
                "momentum_at={} has no look-ahead point; set nesterov=false beside it",
                momentum.placement.name()
            )));
        }
        if self.is_difference() && momentum.placement == Placement::Rows {
            return refuse(
                "compression=ef21 and message=dasha have the server keep a sum of each worker's \
                 messages, momentum_at=rows a momentum of them; take momentum_at=worker or \
                 worker-twice beside ef21, and momentum=0 beside dasha",
            );
        }
        let moves = momentum.coefficient > 0.0;
        if matches!(self.server, ServerOptimiser::Perturbed(_)) && moves {
            return refuse(
                "server_optimiser=byzantine-pgd steps by the aggregate at θ alone; set momentum=0 \
                 beside it",
            );
        }
        self.check_server()
    }

    /// Whether the message goes with how gradients are taken and shortened.
    fn check_message(&self) -> Result<(), SpecError> {
        let refuse = |text: &str| Err(SpecError::new(text));
        let momentum = &self.momentum;
        let elsewhere = momentum.coefficient > 0.0 && momentum.placement != Placement::Update;
        if self.message.is_own() && (self.local.steps > 1 || elsewhere) {
            return refuse(
                "message=rsa, election, marina, saga, storm, dasha and draco-cyclic take gradients \
                 in a way of their own; set local_steps=1, and momentum=0 or momentum_at=update, \
                 beside them",
            );
        }
        let keeps = self.compression.is_difference() || self.compression.remembers();
        if matches!(self.message, Message::Marina { .. }) && keeps {
            return refuse(
                "message=marina shortens differences by a compressor without memory; take \
                 compression=\"rand-k keep=0.1\" or quantised",
            );
        }
        if self.message.is_difference() && !self.compression.is_unbiased() {
            return refuse(
                "message=dasha shortens differences by a compressor without memory whose mean is \
                 what it shortens; take compression=\"rand-k keep=0.1\" or quantised",
            );
        }
        if matches!(self.message, Message::Cyclic { .. }) && self.compression != Compression::None {
            return refuse(
                "message=draco-cyclic is undone by the rule from whole rows; set compression=none \
                 beside it",
            );
        }
        Ok(())
    }

    /// Whether the server's optimiser keeps a momentum beside another.
    fn check_server(&self) -> Result<(), SpecError> {
        let refuse = |text: &str| Err(SpecError::new(text));
        let moves = self.momentum.coefficient > 0.0;
        let at_update = self.momentum.placement == Placement::Update;
        if matches!(self.server, ServerOptimiser::Nesterov { .. }) && moves && at_update {
            return refuse(
                "server_optimiser=nesterov keeps a momentum of its own; \
                 set momentum=0 or momentum_at=worker beside it",
            );
        }
        if matches!(self.server, ServerOptimiser::ScaledSign { .. }) && moves && at_update {
            return refuse(
                "server_optimiser=scaled-sign takes the signs of aggregates as they come; \
                 set momentum=0 or momentum_at=worker beside it",
            );
        }
        if matches!(self.server, ServerOptimiser::AnyTime { .. }) && moves && at_update {
            return refuse(
                "server_optimiser=anytime averages the models that it steps through, which is a \
                 momentum of its own; set momentum=0 or momentum_at=worker beside it",
            );
        }
        if matches!(self.server, ServerOptimiser::Adaptive { .. }) && moves && at_update {
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
