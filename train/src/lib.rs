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
//!
//! ```
//! use varangian_base::Seed;
//! use varangian_learn::optim::Optimiser;
//! use varangian_rules::Pipeline;
//! use varangian_train::{Reason, Server, Settings};
//! let mut server = Server::new(
//!     Settings {
//!         n: 5,
//!         f: 1,
//!         weights: None,
//!         participation: None,
//!         non_finite: Default::default(),
//!         rule: Pipeline::parse("median")?,
//!         optimiser: Optimiser::sgd(0.5),
//!         steps_per_epoch: 1.0,
//!         buffers: Vec::new(),
//!         seed: Seed(1),
//!         packs_votes: false,
//!         silence_is_hostile: true,
//!     },
//!     vec![4.0, -2.0],
//!     None,
//! )?;
//! // Workers of ‖x‖²/2: honest ones send x itself, and the last one what no gradient can be.
//! for step in 0..20 {
//!     let gradient = server.broadcast().params.to_vec();
//!     for worker in 0..4 {
//!         assert!(server.receive(worker, step, &gradient).is_ok());
//!     }
//!     let refusal = server.receive(4, step, &[f32::NAN, 0.0]).unwrap_err();
//!     assert_eq!(refusal.reason, Reason::NotFinite);
//!     assert_eq!(server.close().n, 4);
//! }
//! assert!(server.params().iter().all(|x| x.abs() < 1e-4));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

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
