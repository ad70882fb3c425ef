//! Saving the workers of an asynchronous run, those under way included.

use super::{Collusion, Flight, Squad, State};
use std::collections::BTreeMap;
use std::sync::Arc;
use varangian_base::{Matrix, Memory, SpecError, Value};

const STATES: [State; 4] = [State::Idle, State::Pending, State::Computed, State::Sent];

impl Flight {
    /// Whether the model that the worker fetched is still to be looked at.
    fn is_open(&self) -> bool {
        matches!(self.state, State::Pending | State::Computed)
    }
}

impl Squad {
    /// Saves everything that a later message depends on; models by version, each once.
    pub(crate) fn save(&self) -> Memory {
        let mut memory = Memory::default();
        let (mut whole, mut real) = (Vec::new(), Vec::new());
        for (w, flight) in self.flights.iter().enumerate() {
            let state = STATES.iter().position(|&state| state == flight.state);
            whole.extend([flight.version, flight.number, state.expect("one of four") as u64]);
            real.extend([flight.loss, flight.rate]);
            memory.absorb(&format!("worker-{w}"), self.workers[w].save());
            if flight.is_open() {
                let name = format!("model-{}", flight.version);
                memory.put(&name, Value::Floats(flight.params.to_vec()));
            }
            if flight.state == State::Computed {
                memory.put(&format!("row-{w}"), Value::Floats(self.rows.row(w).to_vec()));
            }
        }
        memory.put("flights", Value::Integers(whole));
        memory.put("paces", Value::Doubles(real));
        memory.absorb("collusion", self.collusion.save());
        memory
    }

    /// Restores what `save` returned.
    ///
    /// # Errors
    /// If the memory is of another plan.
    pub(crate) fn load(&mut self, memory: &Memory) -> Result<(), SpecError> {
        let (n, d) = (self.flights.len(), self.rows.d());
        let (whole, real) = (memory.integers("flights")?, memory.doubles("paces")?);
        if (whole.len(), real.len()) != (3 * n, 2 * n) {
            let found = whole.len() / 3;
            return Err(SpecError::new(format!("checkpoint: workers are {n}; found {found}")));
        }
        let mut models: BTreeMap<u64, Arc<Vec<f32>>> = BTreeMap::new();
        for (w, (whole, real)) in whole.chunks_exact(3).zip(real.chunks_exact(2)).enumerate() {
            let (version, number) = (whole[0], whole[1]);
            let state = STATES.get(whole[2] as usize).copied();
            let state = state.ok_or_else(|| SpecError::new("checkpoint: an unknown state"))?;
            let params = Arc::new(Vec::new());
            let (loss, rate) = (real[0], real[1]);
            let mut flight = Flight { version, loss, number, params, rate, state };
            if flight.is_open() {
                let kept = match models.get(&version) {
                    Some(kept) => Arc::clone(kept),
                    None => Arc::new(floats(memory, &format!("model-{version}"), d)?.to_vec()),
                };
                flight.params = Arc::clone(&kept);
                models.insert(version, kept);
            }
            if state == State::Computed {
                self.rows.row_mut(w).copy_from_slice(floats(memory, &format!("row-{w}"), d)?);
            }
            self.workers[w].load(&memory.part(&format!("worker-{w}")))?;
            self.flights[w] = flight;
        }
        self.collusion.load(&memory.part("collusion"), d)
    }
}

impl Collusion {
    /// Saves the attack's memory and, where it looks at others' messages, what it saw of them.
    fn save(&self) -> Memory {
        let mut memory = Memory::default();
        for (k, mind) in self.minds.iter().enumerate() {
            memory.absorb(&format!("mind-{k}"), mind.save());
        }
        if self.together {
            let flat =
                |rows: &Matrix| Value::Floats(rows.rows().iter().flatten().copied().collect());
            let ids = self.seen_ids.iter().map(|&id| u64::from(id)).collect();
            memory.put("seen-ids", Value::Integers(ids));
            memory.put("seen", flat(&self.seen));
            memory.put("own", flat(&self.own));
        }
        memory
    }

    fn load(&mut self, memory: &Memory, d: usize) -> Result<(), SpecError> {
        for (k, mind) in self.minds.iter_mut().enumerate() {
            mind.load(&memory.part(&format!("mind-{k}")))?;
        }
        if self.together {
            let ids = memory.integers("seen-ids")?;
            self.seen_ids = ids.iter().map(|&id| id as u32).collect();
            self.seen = matrix(floats(memory, "seen", ids.len() * d)?, d);
            self.own = matrix(memory.floats("own")?, d);
            self.out = Matrix::zeros(self.own.n(), d);
        }
        Ok(())
    }
}

/// Floats of this number.
fn floats<'a>(memory: &'a Memory, name: &str, wanted: usize) -> Result<&'a [f32], SpecError> {
    match memory.floats(name)? {
        found if found.len() == wanted => Ok(found),
        found => {
            let found = found.len();
            let text = format!("checkpoint: {name} should hold {wanted} floats; found {found}");
            Err(SpecError::new(text))
        }
    }
}

/// Rows of d floats each.
fn matrix(flat: &[f32], d: usize) -> Matrix {
    let mut out = Matrix::zeros(flat.len() / d, d);
    for (i, row) in flat.chunks_exact(d).enumerate() {
        out.row_mut(i).copy_from_slice(row);
    }
    out
}
