//! The connections that are open: bounded, and where there are too many, who has asked nothing
//! yet goes first.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use tokio::task::AbortHandle;

/// Connections at a time: half of the descriptors that a process commonly has.
const MOST: usize = 512;

/// Whether a connection has asked for something.
pub(super) type Asked = Arc<AtomicBool>;

/// The open connections, oldest first.
#[derive(Clone, Default)]
pub(super) struct Doors {
    open: Arc<Mutex<BTreeMap<u64, Door>>>,
}

struct Door {
    task: AbortHandle,
    asked: Asked,
}

impl Doors {
    /// Takes in a connection under a number of its own; another one goes where there are too many.
    pub(super) fn enter(&self, number: u64, task: AbortHandle, asked: Asked) {
        if self.list().len() >= MOST {
            self.close(1);
        }
        self.list().insert(number, Door { task, asked });
        // One that is over already has left before it came.
        self.list().retain(|_, door| !door.task.is_finished());
    }

    /// Takes out a connection that is over.
    pub(super) fn leave(&self, number: u64) {
        self.list().remove(&number);
    }

    /// Closes up to `most` of the oldest connections that have asked nothing yet; where there are
    /// none, the oldest of all, whose browser comes back by itself.
    pub(super) fn close(&self, most: usize) {
        let mut list = self.list();
        let quiet = list.iter().filter(|(_, door)| !door.asked.load(Ordering::Relaxed));
        let mut numbers: Vec<u64> = quiet.map(|(number, _)| *number).take(most).collect();
        if numbers.is_empty() {
            numbers.extend(list.keys().next());
        }
        for door in numbers.iter().filter_map(|number| list.remove(number)) {
            door.task.abort();
        }
    }

    fn list(&self) -> MutexGuard<'_, BTreeMap<u64, Door>> {
        self.open.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_has_asked_nothing_goes_first_and_then_the_oldest() {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let doors = Doors::default();
            for number in 0..MOST as u64 + 1 {
                let task = tokio::spawn(std::future::pending::<()>());
                let asked = Arc::new(AtomicBool::new(number != 7));
                doors.enter(number, task.abort_handle(), asked);
            }
            assert_eq!(doors.list().len(), MOST);
            assert!(!doors.list().contains_key(&7));
            doors.close(3);
            assert_eq!(*doors.list().keys().next().unwrap(), 1);
            doors.leave(1);
            assert_eq!(doors.list().len(), MOST - 2);
        });
    }
}
