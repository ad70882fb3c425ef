//! The ground floor of varangian: rows of gradients, addressed randomness, kernels over rows,
//! and what a variant (a rule, an attack, a model, a data set) says about itself.
//!
//! Nothing here knows what a rule, a worker or a loss is.
//!
//! ```
//! use varangian_base::{Domain, Matrix, Seed, kernels::combine};
//! let rows = Matrix::from_rows(&[[0.0, 2.0], [2.0, 4.0]]);
//! let mut mean = [0.0; 2];
//! combine::mean(rows.rows(), &mut mean);
//! assert_eq!(mean, [1.0, 3.0]);
//! // A draw's address (purpose, worker, step) is its key: nothing is stored, and nothing shifts.
//! let draw = |worker| Seed(1).stream(Domain::Test, worker, 0).normal();
//! assert!(draw(3) == draw(3) && draw(3) != draw(4));
//! ```

mod aliases;
mod ballots;
pub mod blocks;
pub mod entry;
mod error;
pub mod kernels;
pub mod lanes;
mod memory;
mod mixed;
pub mod mv32;
mod report;
mod rows;
mod seed;
pub mod shard;
pub mod signs;
pub mod sparse;
pub mod spec;
mod watch;

pub use aliases::ALIASES;
pub use ballots::{Ballots, Contest};
pub use entry::{Entry, Kind, Param};
pub use error::SpecError;
pub use memory::{Memory, Value};
pub use mixed::{Mixed, Recipe};
pub use report::{Failure, Report};
pub use rows::{Matrix, Rows, RowsMut, zeros};
pub use seed::{Domain, Seed, Stream};
pub use shard::{Exchange, Shard};
pub use signs::{Coins, Signs, ZeroPolicy};
pub use spec::{Args, Spec};
pub use watch::Watch;
