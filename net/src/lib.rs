//! The training machines over a network: a server that workers join over gRPC, under mutual TLS.
//!
//! Nothing is decided here: who is waited for, what is admitted, how a step is made are
//! `varangian-train`'s. This crate carries messages between the machines, says who sent them, and
//! bounds what a stranger can cost: every length is known before the first byte, memory is taken
//! from a budget, and nothing that a worker says about its own weight, loss or count is believed.
//!
//! It has one server and some hundreds of workers in mind, and on purpose no discovery of peers, no
//! sharding over servers, no scheduler, no remote code and no accounts.
//!
//! A server of one step and its three workers, over loopback without certificates:
//!
//! ```
//! use varangian_base::Seed;
//! use varangian_learn::optim::Optimiser;
//! use varangian_net::{Client, Connection, Doors, News, Rounds, Terms};
//! use varangian_rules::Pipeline;
//! use varangian_train::wire::{Codec, Letter};
//! use varangian_train::{Server, Settings};
//! let rule = Pipeline::parse("median")?;
//! let least = rule.least(1).expect("the median has a bound");
//! let settings = Settings {
//!     n: 3,
//!     f: 1,
//!     weights: None,
//!     participation: None,
//!     non_finite: Default::default(),
//!     rule,
//!     optimiser: Optimiser::sgd(0.5),
//!     steps_per_epoch: 1.0,
//!     buffers: Vec::new(),
//!     seed: Seed(1),
//!     packs_votes: false,
//!     silence_is_hostile: false,
//! };
//! let letter = Letter { d: 2, statistics: 0, codec: Codec::F32 };
//! let terms = Terms {
//!     n: 3,
//!     settings: "rule = 'median'".into(),
//!     layout: vec![("w".into(), vec![2])],
//!     letter,
//!     asynchronous: false,
//!     local: Default::default(),
//!     previous: false,
//!     updates: None,
//! };
//! let server = Server::new(settings, vec![4.0, -2.0], None)?;
//! let mut rounds = Rounds::open(server, terms, &Doors::loopback(), (1, least), 0.0)?;
//! let address = rounds.address().to_string();
//! let workers: Vec<_> = (0..3)
//!     .map(|id| {
//!         let address = address.clone();
//!         std::thread::spawn(move || {
//!             let to = Connection { address, keys: None, server_name: None, worker: Some(id) };
//!             let mut client = Client::new(to).expect("an address");
//!             client.join("example").expect("there is room for three");
//!             let News::Whole(header, params) = client.pull(0, false, false).expect("a model")
//!             else {
//!                 panic!("the first news is the whole model")
//!             };
//!             // Of ‖x‖²/2 the gradient is x; the last worker has it a thousand times too long.
//!             let length = if id == 2 { 1000.0 } else { 1.0 };
//!             let row: Vec<f32> = params.iter().map(|x| length * x).collect();
//!             let letter = Letter { d: 2, statistics: 0, codec: Codec::F32 };
//!             let version = (header.version, header.version);
//!             client.push(version, &letter.encode(&row, &[]).into(), 0.0).expect("an answer")
//!         })
//!     })
//!     .collect();
//! while rounds.advance().is_none() {}
//! assert_eq!(rounds.server().params(), [2.0, -1.0], "half of the way to the least loss");
//! rounds.finish();
//! for worker in workers {
//!     worker.join().expect("no worker has panicked");
//! }
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

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
