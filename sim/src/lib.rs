//! Drivers of the training machines in one process.
//!
//! [`lockstep`] is the classical parameter server: every worker answers every step. [`rounds`]
//! carries the same steps over a simulated [`network`] in virtual time, [`swarm`] drives
//! asynchronous training, [`gossip`] training without a server.

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
