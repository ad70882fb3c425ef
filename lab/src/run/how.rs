//! How an experiment is run: where, on how much of the machine, and what is kept.

use crate::Failure;
use std::path::PathBuf;

/// Threads and runs at a time that anyone can mean.
const MOST: usize = 1024;

/// How an experiment is run: nothing here changes results.
#[derive(Clone, Debug, PartialEq)]
pub struct How {
    /// The folder of data files; sets that are read from files want one.
    pub data: Option<PathBuf>,
    /// The folder for results; `runs/NAME` where none is named.
    pub out: Option<PathBuf>,
    /// Threads in all, 1 to 1024; one a core where none are named.
    pub threads: Option<usize>,
    /// Runs at a time, 1 to 1024; as many as threads where none are named.
    pub jobs: Option<usize>,
    /// (i, n) with 1 ≤ i ≤ n: of n processes that share a folder, do the i-th one's share.
    pub shard: Option<(usize, usize)>,
    /// Seconds between checkpoints of a run, 0 or above: 0 after every step, infinity never.
    pub checkpoint_every: f64,
    /// Keep each run's last parameters as `runs/KEY.model.safetensors`, with PyTorch's names.
    pub save_models: bool,
    /// Have the folder's tables and pictures of these runs alone, where it holds others too.
    pub replace: bool,
}

impl Default for How {
    fn default() -> Self {
        How {
            data: None,
            out: None,
            threads: None,
            jobs: None,
            shard: None,
            checkpoint_every: 60.0,
            save_models: false,
            replace: false,
        }
    }
}

impl How {
    /// # Errors
    /// If a number is outside its range.
    pub(super) fn check(&self) -> Result<(), Failure> {
        for (name, count) in [("threads", self.threads), ("jobs", self.jobs)] {
            if let Some(count) = count.filter(|count| !(1..=MOST).contains(count)) {
                return Err(Failure::refused(format!("{name} must be 1 to {MOST}, not {count}")));
            }
        }
        if let Some((i, n)) = self.shard.filter(|(i, n)| *i < 1 || i > n) {
            return Err(Failure::refused(format!(
                "shard (i, n) wants 1 ≤ i ≤ n, and is ({i}, {n})"
            )));
        }
        let every = self.checkpoint_every;
        if every.is_nan() || every < 0.0 {
            return Err(Failure::refused(format!(
                "checkpoint_every is a number of seconds of 0 or above, not {every}"
            )));
        }
        Ok(())
    }
}
