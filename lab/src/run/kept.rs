//! A worker elsewhere that remembers across restarts: its momentum and what compression held back,
//! in a file.

use crate::Failure;
use crate::results::state;
use std::path::PathBuf;
use varangian_base::Memory;
use varangian_train::Worker;

/// The file of one worker of one run.
#[derive(Clone, Debug)]
pub struct Kept {
    path: PathBuf,
    of: String,
    every: u64,
}

impl Kept {
    /// The state of `worker` in the run that the server describes by `settings`, written every
    /// `every` steps (0 counts as 1).
    pub fn new(path: PathBuf, settings: &str, worker: u32, every: u64) -> Self {
        let run = &blake3::hash(settings.as_bytes()).to_hex()[..12];
        let of = format!("worker {worker} of the run with the settings {run}");
        Kept { path, of, every: every.max(1) }
    }

    /// What was kept, and the step that it is for.
    ///
    /// # Errors
    /// If the file cannot be read, was damaged, or is that of another worker or run.
    pub fn load(&self) -> Result<Option<(u64, Memory)>, Failure> {
        state::load(&self.path, &self.of)
    }

    /// Keeps the worker's state for step `next`, where its turn has come.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn keep(&self, next: u64, worker: &Worker) -> Result<(), Failure> {
        if next.is_multiple_of(self.every) {
            state::save(&self.path, &self.of, next, &worker.save())?;
        }
        Ok(())
    }
}
