//! The training machines: worker, adversary, intake and server. No socket, no clock, no file, no
//! thread.
//!
//! Drivers (`sim`, `net`) carry messages between them; the same machines end on the same bits
//! whoever drives them.
//!
//! One step: the server broadcasts parameters; each [`Worker`] draws a minibatch and answers with a
//! gradient (clipped, with momentum where it lives at the worker); the [`Adversary`] writes the
//! hostile rows, seeing what its threat model allows; the [`Intake`] refuses what it can prove
//! hostile; the [`Server`] aggregates the rest and steps.

#[cfg(feature = "adversary")]
mod adversary;
pub mod buckets;
mod descent;
mod escape;
mod evaluate;
mod follower;
mod intake;
mod oracle;
mod participation;
mod queue;
pub mod rounds;
mod running;
mod server;
mod states;
mod study;
mod traffic;
#[cfg(feature = "adversary")]
mod trial;
#[cfg(feature = "adversary")]
mod triggered;
pub mod wire;
mod worker;

#[cfg(feature = "adversary")]
pub use adversary::{Adversary, Held, Poisoner, Sight};
pub use evaluate::Evaluator;
pub use follower::Follower;
pub use intake::{Bodies, Intake, NonFinite, Reason, Received, Refusal, inspect};
pub use oracle::{Validation, hold_out};
pub use participation::{Participation, Who};
pub use queue::{Fate, Outcome, Queue, QueueSettings};
pub use running::{Passes, Running};
pub use server::{Broadcast, Closed, Lent, Server, Settings};
pub use states::{Keeping, States};
pub use study::{COLUMNS, Shown, Study, StudyRow, VOTES};
pub use traffic::{ServerAt, Traffic};
#[cfg(feature = "adversary")]
pub use trial::{TrialRule, named};
#[cfg(feature = "adversary")]
pub use triggered::Triggered;
pub use worker::{Bench, Job, Poison, Worker};
