//! What a server saves between steps.

use super::Server;
use crate::descent::restore;
use varangian_base::{Memory, SpecError, Value};

impl Server {
    /// Saves parameters, buffers, step and the rule's memory. Only between steps.
    pub fn save(&self) -> Memory {
        let mut memory = Memory::default();
        memory.put("params", Value::Floats(self.params.clone()));
        self.descent.save(&mut memory);
        memory.put("aggregate", Value::Floats(self.aggregate.clone()));
        memory.put("step", Value::Integers(vec![self.step]));
        let drawn = self.oracle.as_ref().map_or(0, |oracle| oracle.drawn());
        memory.put("oracle", Value::Integers(vec![drawn]));
        self.running.save(&mut memory);
        memory.absorb("rule", self.settings.rule.save());
        if let Some(states) = &self.states {
            memory.absorb("states", states.save());
        }
        memory
    }

    /// Restores what `save` returned and opens that step.
    ///
    /// # Errors
    /// If the memory is of another model or rule.
    pub fn load(&mut self, memory: &Memory) -> Result<(), SpecError> {
        restore(memory, "params", &mut self.params)?;
        restore(memory, "aggregate", &mut self.aggregate)?;
        self.descent.load(memory)?;
        let step = memory.integers("step")?;
        self.step = *step.first().ok_or_else(|| SpecError::new("checkpoint: step is empty"))?;
        self.settings.rule.load(&memory.part("rule"))?;
        if let Some(states) = &mut self.states {
            states.load(&memory.part("states"))?;
        }
        if let (Some(oracle), [drawn]) = (&mut self.oracle, memory.integers("oracle")?) {
            oracle.resume(*drawn);
        }
        self.running.load(memory)?;
        self.inform();
        self.open();
        Ok(())
    }
}
