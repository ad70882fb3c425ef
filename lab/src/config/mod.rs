//! Experiment files: one TOML file is a matrix of runs.
//!
//! Any key may hold a list, and one of numbers a range; the runs are the product of the lists, in
//! the order of [`KEYS`]. Tables `[[run]]` are products of their own that take the other keys as
//! defaults; where there are any, only they are run. `optimiser = "signum"` is short for the keys
//! that make it.

mod acts;
mod choices;
mod file;
mod grid;
mod keys;
mod optimisers;
mod own;
mod profile;
mod range;
mod settings;
mod tune;
mod unsaid;
mod words;

pub use acts::{Ground, Idle, effective, idle};
pub use file::{Experiment, Measuring, Source};
pub use keys::{KEYS, Key};
pub use own::Own;
pub use profile::{QUIRKS, Quirk};
pub use settings::Settings;
pub use tune::TUNABLE;
pub use tune::Tune;

pub(crate) use file::demand_few;
pub use file::read_settings;
pub use grid::label_keys;
pub use keys::FILE_HELP;
pub use unsaid::WEIGHTS;
pub(crate) use words::{Judge, Read, Reading, Words, spelt};
