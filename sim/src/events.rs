//! Virtual time: an agenda of events in order of time, and the fingerprint of what happened.

use std::collections::BTreeMap;

/// Events to come, earliest first; of the same time, the one that was entered first.
pub struct Agenda<E> {
    /// By (bits of the time, number of the entry): the bits of non-negative floats ascend.
    events: BTreeMap<(u64, u64), E>,
    entered: u64,
}

impl<E> Default for Agenda<E> {
    fn default() -> Self {
        Agenda { events: BTreeMap::new(), entered: 0 }
    }
}

impl<E> Agenda<E> {
    /// Enters an event at a time.
    ///
    /// # Panics
    /// If the time is negative or not a number.
    pub fn enter(&mut self, at: f64, event: E) {
        assert!(at >= 0.0, "time starts at 0; got {at}");
        // Adding 0 makes −0 a 0.
        self.events.insert(((at + 0.0).to_bits(), self.entered), event);
        self.entered += 1;
    }

    /// Every event to come with its time and the number of its entry, in order; and how many were
    /// entered in all: what [`Agenda::restore`] wants back.
    pub fn entries(&self) -> (impl Iterator<Item = (f64, u64, &E)>, u64) {
        let one = |(&(at, number), event)| (f64::from_bits(at), number, event);
        (self.events.iter().map(one), self.entered)
    }

    /// The agenda whose `entries` were these.
    pub fn restore(entries: impl Iterator<Item = (f64, u64, E)>, entered: u64) -> Self {
        let one = |(at, number, event): (f64, u64, E)| ((at.to_bits(), number), event);
        Agenda { events: entries.map(one).collect(), entered }
    }

    /// The next event and its time.
    pub fn pop(&mut self) -> Option<(f64, E)> {
        self.events.pop_first().map(|((at, _), event)| (f64::from_bits(at), event))
    }

    /// The next event if it comes no later than `end`.
    pub fn next_until(&mut self, end: f64) -> Option<(f64, E)> {
        let at = f64::from_bits(self.events.first_key_value()?.0.0);
        if at <= end { self.pop() } else { None }
    }
}

/// A running fingerprint of a run: the same seed gives the same one at any number of threads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Trace(u64);

impl Default for Trace {
    fn default() -> Self {
        Trace(0xcbf2_9ce4_8422_2325)
    }
}

impl Trace {
    /// Adds a number (Fowler, Noll and Vo's hash, a byte at a time).
    pub fn add(&mut self, number: u64) {
        for byte in number.to_le_bytes() {
            self.0 = (self.0 ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3);
        }
    }

    /// Adds every bit of a vector.
    pub fn add_floats(&mut self, floats: &[f32]) {
        floats.iter().for_each(|x| self.add(u64::from(x.to_bits())));
    }

    /// The fingerprint that goes on from this hash.
    pub fn resume(hash: u64) -> Self {
        Trace(hash)
    }

    /// The fingerprint so far.
    pub fn hash(self) -> u64 {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_come_in_order_of_time_then_of_entry() {
        let mut agenda = Agenda::default();
        for (at, name) in [(2.0, 'c'), (1.0, 'a'), (2.0, 'd'), (1.0, 'b')] {
            agenda.enter(at, name);
        }
        assert_eq!(agenda.next_until(0.5), None);
        let (entries, entered) = agenda.entries();
        let mut again = Agenda::restore(entries.map(|(at, k, &name)| (at, k, name)), entered);
        for agenda in [&mut agenda, &mut again] {
            agenda.enter(1.0, 'e');
            let order: String =
                std::iter::from_fn(|| agenda.next_until(2.0)).map(|e| e.1).collect();
            assert_eq!(order, "abecd");
            assert!(agenda.pop().is_none());
        }
    }

    #[test]
    fn fingerprints_differ_by_a_bit() {
        let hash = |x: f32| {
            let mut trace = Trace::default();
            trace.add_floats(&[1.0, x]);
            trace.hash()
        };
        assert_eq!(hash(0.5), hash(0.5));
        assert_ne!(hash(0.0), hash(-0.0));
    }
}
