//! Means over the steps since the last evaluation.

use varangian_base::{Memory, Value};

/// The mean so far.
#[derive(Default)]
pub(super) struct Mean {
    sum: f64,
    count: u64,
}

impl Mean {
    /// Counts a value.
    pub(super) fn add(&mut self, value: f64) {
        self.sum += value;
        self.count += 1;
    }

    /// Saves it under `name`.
    pub(super) fn save(&self, memory: &mut Memory, name: &str) {
        memory.put(name, Value::Doubles(vec![self.sum, self.count as f64]));
    }

    /// Takes up what was saved under `name`, where there is something.
    pub(super) fn load(&mut self, memory: &Memory, name: &str) {
        if let Ok([sum, count]) = memory.doubles(name) {
            (self.sum, self.count) = (*sum, *count as u64);
        }
    }

    /// The mean, which then starts again; nothing if there was no value.
    pub(super) fn take(&mut self) -> Option<f64> {
        let Mean { sum, count } = std::mem::take(self);
        (count > 0).then(|| sum / count as f64)
    }
}
