//! A worker between its steps, as a checkpoint or a message under way keeps it.

use super::Worker;
use varangian_base::{Memory, SpecError, Value};
use varangian_learn::optim::Trail;

impl Worker {
    /// Saves the momentum, what compression left out, its copy of the parameters, its samples'
    /// gradients, what local steps remember, and what its last forward pass measured: a message
    /// under way brings it.
    pub fn save(&self) -> Memory {
        let mut memory = Memory::default();
        memory.put("momentum", Value::Floats(self.momentum.clone()));
        if !self.twice.is_empty() {
            memory.put("twice", Value::Floats(self.twice.clone()));
        }
        if !self.residual.is_empty() {
            memory.put("residual", Value::Floats(self.residual.clone()));
        }
        if !self.copy.is_empty() {
            memory.put("copy", Value::Floats(self.copy.clone()));
            memory.put("copied", Value::Integers(vec![self.copied]));
        }
        if !self.estimate.is_empty() {
            memory.put("estimate", Value::Floats(self.estimate.clone()));
        }
        if !self.table.is_empty() {
            memory.put("table", Value::Floats(self.table.clone()));
            memory.put("average", Value::Doubles(self.average.clone()));
        }
        let Trail { first, second, steps } = &self.trail;
        if *steps > 0 {
            memory.put("trail/first", Value::Floats(first.clone()));
            memory.put("trail/second", Value::Floats(second.clone()));
            memory.put("trail/steps", Value::Integers(vec![*steps]));
        }
        if !self.statistics.is_empty() {
            memory.put("statistics", Value::Floats(self.statistics.clone()));
        }
        memory
    }

    /// Restores what `save` returned.
    ///
    /// # Errors
    /// If the memory is not a worker's.
    pub fn load(&mut self, memory: &Memory) -> Result<(), SpecError> {
        let floats = |name: &str| match memory.values.contains_key(name) {
            true => memory.floats(name).map(<[f32]>::to_vec),
            false => Ok(Vec::new()),
        };
        self.momentum = memory.floats("momentum")?.to_vec();
        self.twice = floats("twice")?;
        self.residual = floats("residual")?;
        self.copy = floats("copy")?;
        self.estimate = floats("estimate")?;
        self.table = floats("table")?;
        self.average = match memory.values.contains_key("average") {
            true => memory.doubles("average")?.to_vec(),
            false => Vec::new(),
        };
        let number = |name: &str| match memory.values.contains_key(name) {
            true => memory
                .integers(name)?
                .first()
                .copied()
                .ok_or_else(|| SpecError::new(format!("checkpoint: {name} is empty"))),
            false => Ok(0),
        };
        self.copied = number("copied")?;
        self.trail = Trail {
            first: floats("trail/first")?,
            second: floats("trail/second")?,
            steps: number("trail/steps")?,
        };
        self.statistics = floats("statistics")?;
        Ok(())
    }
}
