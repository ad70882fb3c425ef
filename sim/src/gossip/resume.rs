//! Saving and restoring a run without a server.

use super::Peers;
use crate::lockstep::Evaluation;
use crate::{Advance, Run};
use varangian_base::{Memory, SpecError, Value};

impl Peers {
    /// Saves everything that the next step depends on. Only between steps.
    pub fn save(&self) -> Memory {
        let mut memory = Memory::default();
        memory.put("step", Value::Integers(vec![self.step]));
        let all = self.models.rows().iter().flatten().copied().collect();
        memory.put("models", Value::Floats(all));
        memory.absorb("adversary", self.adversary.save());
        for worker in self.honest.iter().chain(&self.hostile) {
            memory.absorb(&format!("worker-{}", worker.id()), worker.save());
        }
        memory
    }

    /// Restores what `save` returned.
    ///
    /// # Errors
    /// If the memory is of another plan.
    pub fn load(&mut self, memory: &Memory) -> Result<(), SpecError> {
        let (all, steps) = (memory.floats("models")?, memory.integers("step")?);
        let (h, d) = (self.models.n(), self.models.d());
        let ([step], true) = (steps, all.len() == h * d) else {
            return Err(SpecError::new(format!(
                "checkpoint: {h} models of {d} numbers are wanted; found {} numbers",
                all.len()
            )));
        };
        self.adversary.load(&memory.part("adversary"))?;
        for worker in self.honest.iter_mut().chain(&mut self.hostile) {
            worker.load(&memory.part(&format!("worker-{}", worker.id())))?;
        }
        for (place, model) in all.chunks_exact(d).enumerate() {
            self.models.row_mut(place).copy_from_slice(model);
        }
        self.step = *step;
        self.settle();
        Ok(())
    }
}

impl Run for Peers {
    fn step(&self) -> u64 {
        self.steps()
    }

    fn advance(&mut self) -> Option<Advance<'_>> {
        Some(Advance::Step(Peers::step(self)))
    }

    fn evaluate(&mut self) -> Evaluation {
        Peers::evaluate(self)
    }

    fn evaluate_at(&mut self, step: u64, params: &[f32], _: &[f32]) -> Evaluation {
        Peers::evaluate_at(self, step, params)
    }

    fn params(&self) -> &[f32] {
        Peers::params(self)
    }

    fn statistics(&self) -> &[f32] {
        &[]
    }

    fn disagreement(&self) -> Option<f64> {
        Some(Peers::disagreement(self))
    }

    fn save(&self) -> Option<Memory> {
        Some(Peers::save(self))
    }

    fn load(&mut self, memory: &Memory) -> Result<(), SpecError> {
        Peers::load(self, memory)
    }
}
