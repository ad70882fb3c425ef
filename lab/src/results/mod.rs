//! Results: what a run left, where it is kept, and what it says.
//!
//! A folder holds `runs/KEY.csv` and `runs/KEY.json` a run, and what is assembled from them:
//! `results.csv` and `results.parquet`, `runs.csv`, `heterogeneity.csv`, `experiment.toml`,
//! `summary.txt`, the pictures.

pub mod cells;
pub mod checkpoint;
pub mod fate;
pub mod json;
mod judge;
mod key;
mod lock;
pub mod paired;
mod parquet;
mod plan;
mod record;
pub mod state;
mod stats;
mod store;
mod summary;
mod sweep;
mod tidy;
pub mod words;

pub use fate::Fate;
pub use judge::{Cell, Judged, Table, judge};
pub use judge::{metric, or_worst, place};
pub use key::bare;
pub use key::key;
pub(crate) use lock::Lock;
pub use parquet::parquet;
pub use record::Look;
pub use stats::{Interval, mean, median, quantile, student};
pub use store::{End, Outcome, Point, Store};
pub use store::{missing, said};
pub use summary::summary;
pub use sweep::Sweep;
pub use tidy::{Tidy, run_index};
