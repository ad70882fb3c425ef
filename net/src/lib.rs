//! The training machines over a network: a server that workers join over gRPC, under mutual TLS.
//!
//! Nothing is decided here: who is waited for, what is admitted, how a step is made are
//! `varangian-train`'s. This crate carries messages between the machines, says who sent them, and
//! bounds what a stranger can cost: every length is known before the first byte, memory is taken
//! from a budget, and nothing that a worker says about its own weight, loss or count is believed.
//!
//! It has one server and some hundreds of workers in mind, and on purpose no discovery of peers, no
//! sharding over servers, no scheduler, no remote code and no accounts.

mod admin;
mod arrivals;
pub mod audit;
pub mod authority;
mod client;
mod clock;
mod desk;
#[cfg(feature = "drills")]
mod drill;
mod gate;
mod hub;
mod points;
pub mod proto;
mod receipts;
pub mod roll;
mod rounds;
mod service;
mod shared;
#[cfg(feature = "sim")]
pub mod sim;
mod terms;
mod work;

pub use admin::{Order, ask};
pub use arrivals::{Arrivals, Judged};
pub use client::{Client, Connection, Failed, Joined, News};
pub use desk::Tally;
#[cfg(feature = "drills")]
pub use drill::Drill;
pub use hub::{Doors, Hub, Keys};
pub use receipts::{Kept, is_signed};
pub use rounds::Rounds;
pub use terms::Terms;
pub use work::{Ending, Happened, Start, work};

use std::fmt;

/// What went wrong with a file, a socket or the other side, in one sentence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trouble(pub String);

impl Trouble {
    /// Trouble of this sentence.
    pub fn new(text: impl Into<String>) -> Self {
        Trouble(text.into())
    }
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Trouble {}
