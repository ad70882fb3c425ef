//! Results: what a run left, where it is kept, and what it says.
//!
//! A folder holds `runs/KEY.csv` and `runs/KEY.json` a run, and what is assembled from them:
//! `results.csv` and `results.parquet`, `runs.csv`, `heterogeneity.csv`, `experiment.toml`,
//! `summary.txt`, the pictures.

pub(crate) mod cells;
pub(crate) mod checkpoint;
pub(crate) mod fate;
mod judge;
mod key;
mod lock;
mod parquet;
mod record;
mod stats;
mod store;
mod summary;
mod sweep;
mod tidy;

pub use fate::Fate;
pub use judge::{Cell, Judged, Table, judge};
pub(crate) use judge::{metric, or_worst, place};
pub(crate) use key::bare;
pub use key::key;
pub(crate) use parquet::parquet;
pub(crate) use record::Look;
pub use stats::{Interval, mean, median, quantile, student};
pub(crate) use store::missing;
pub use store::{End, Outcome, Point, Store};
pub(crate) use summary::summary;
pub use sweep::Sweep;
pub(crate) use tidy::{Tidy, run_index};
