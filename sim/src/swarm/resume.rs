//! Saving an asynchronous run between arrivals, and going on from there.

use super::{Event, Fates, Swarm};
use crate::events::{Agenda, Trace};
use varangian_base::{Memory, SpecError, Value};

/// A worker asks for the model: the number of no message.
const RETURN: u64 = 0;

impl Swarm {
    /// Saves everything that the next arrival depends on, what is under way included. Only between
    /// arrivals.
    pub fn save(&self) -> Memory {
        let mut memory = Memory::default();
        memory.absorb("queue", self.queue.save());
        memory.absorb("squad", self.squad.save());
        let (entries, entered) = self.agenda.entries();
        let (mut times, mut events) = (vec![self.now], vec![entered, self.trace.hash()]);
        for (at, place, event) in entries {
            times.push(at);
            events.extend(match *event {
                Event::Arrive { worker, number } => [place, u64::from(worker), number],
                Event::Return(worker) => [place, u64::from(worker), RETURN],
            });
        }
        memory.put("times", Value::Doubles(times));
        memory.put("events", Value::Integers(events));
        let counts = self.fates.iter().flat_map(|f| [f.stepped, f.held, f.rejected, f.refused]);
        memory.put("arrivals", Value::Doubles(vec![self.staleness_sum, self.last]));
        memory.put("fates", Value::Integers(counts.collect()));
        memory
    }

    /// Restores what `save` returned.
    ///
    /// # Errors
    /// If the memory is of another plan.
    pub fn load(&mut self, memory: &Memory) -> Result<(), SpecError> {
        let (times, events) = (memory.doubles("times")?, memory.integers("events")?);
        let ([now, times @ ..], [entered, trace, events @ ..]) = (times, events) else {
            return Err(SpecError::new("checkpoint: the agenda is cut short"));
        };
        let &[staleness, last] = memory.doubles("arrivals")? else {
            return Err(SpecError::new("checkpoint: the sums over arrivals are cut short"));
        };
        let worker = |entry: &[u64]| entry[1] as u32;
        if events.chunks_exact(3).any(|entry| worker(entry) as usize >= self.n) {
            let n = self.n;
            return Err(SpecError::new(format!("checkpoint: an event is of no worker below {n}")));
        }
        self.queue.load(&memory.part("queue"))?;
        self.squad.load(&memory.part("squad"))?;
        let entries = times.iter().zip(events.chunks_exact(3)).map(|(&at, entry)| {
            let event = match entry[2] {
                RETURN => Event::Return(worker(entry)),
                number => Event::Arrive { worker: worker(entry), number },
            };
            (at, entry[0], event)
        });
        self.agenda = Agenda::restore(entries, *entered);
        let fates = memory.integers("fates")?.chunks_exact(4);
        for (fates, saved) in self.fates.iter_mut().zip(fates) {
            let [stepped, held, rejected, refused] = [saved[0], saved[1], saved[2], saved[3]];
            *fates = Fates { stepped, held, rejected, refused };
        }
        (self.staleness_sum, self.last) = (staleness, last);
        (self.now, self.trace) = (*now, Trace::resume(*trace));
        Ok(())
    }
}
