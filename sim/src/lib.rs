//! Drivers of the training machines in one process.
//!
//! [`lockstep`] is the classical parameter server: every worker answers every step. [`rounds`]
//! carries the same steps over a simulated [`network`] in virtual time, [`swarm`] drives
//! asynchronous training, [`gossip`] training without a server.
//!
//! ```
//! use std::sync::Arc;
//! use varangian_base::{Seed, spec};
//! use varangian_learn::partition::{Minibatches, Samples, Sampling, make};
//! use varangian_learn::{Model, data::load, model::build, optim::Optimiser};
//! use varangian_sim::{Plan, lockstep::Lockstep};
//! let (seed, n, f) = (Seed(3), 5, 1);
//! let split = load("logreg", None, seed)?;
//! let model: Arc<dyn Model> = Arc::from(build("logistic", split.train.shape(), 2)?);
//! let shares = make(&spec::parse("iid")?)?.split(&Samples::of(split.train.as_ref()), n, seed)?;
//! let sampling = Sampling::Epochs { drop_last: false };
//! let sampler = Arc::new(Minibatches::new(shares.samples, 16, sampling, seed)?);
//! let rule = varangian_rules::Pipeline::parse("trimmed-mean")?;
//! let attack = varangian_attacks::build("sign-flip")?;
//! let plan = Plan::new(model, &split, sampler, (n, f), rule, attack, seed);
//! let mut run = Lockstep::new(Plan { optimiser: Optimiser::sgd(0.1), ..plan })?;
//! let before = run.evaluate().tally.hits;
//! for _ in 0..50 {
//!     assert_eq!(run.step().closed.n, n);
//! }
//! assert!(run.evaluate().tally.hits > before);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod crew;
pub mod events;
pub mod gossip;
pub mod lockstep;
pub mod network;
mod plan;
pub mod rounds;
mod run;
pub mod scenario;
mod squad;
pub mod swarm;

pub use plan::{Hostile, Plan};
pub use run::{Advance, Arrivals, Attendance, Course, Run};
pub use scenario::Scenario;
pub(crate) use squad::{Collusion, Flight, Squad};
