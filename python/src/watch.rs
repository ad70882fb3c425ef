//! Long work on a thread of its own, while the interpreter's looks for Ctrl-C; and how that reaches
//! an object of the user's which does not return.
//!
//! First the work is asked to stop, and ends after the step that it is at. Where it has not ended
//! after [`PATIENCE`], or at a second Ctrl-C, `KeyboardInterrupt` is raised in the threads that are
//! inside of what the user wrote. What even that does not reach, as it waits outside of the
//! interpreter, is left behind [`LAST`] later.

use crate::border::{Defect, guards};
use pyo3::exceptions::PyKeyboardInterrupt;
use pyo3::prelude::*;
use std::cell::Cell;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// Between two looks for a signal.
const PAUSE: Duration = Duration::from_millis(50);

/// Looks until what the user wrote is interrupted.
const PATIENCE: u32 = 100;

/// Looks between two interruptions: other threads may have gone in meanwhile.
const AGAIN: u32 = 10;

/// Looks from the first interruption until the threads are left behind.
const LAST: u32 = 60;

/// Python's numbers of those of our threads that are inside of what the user wrote.
static INSIDE: Mutex<Vec<u64>> = Mutex::new(Vec::new());

thread_local! {
    /// Whether this thread is ours, though it guards itself.
    static OURS: Cell<bool> = const { Cell::new(false) };
    static NUMBER: Cell<Option<u64>> = const { Cell::new(None) };
}

/// A stay inside of what the user wrote.
pub(crate) struct Inside(Option<u64>);

impl Inside {
    /// Goes in. A thread of the user's own needs no telling: the interpreter interrupts it.
    pub(crate) fn enter(py: Python<'_>) -> Self {
        if !OURS.get() && guards() > 0 {
            return Inside(None);
        }
        let number = NUMBER.get().or_else(|| {
            let asked = py
                .import("threading")
                .and_then(|threading| threading.getattr("get_ident")?.call0()?.extract::<u64>());
            NUMBER.set(asked.ok());
            NUMBER.get()
        });
        if let Some(number) = number {
            inside(|all| all.push(number));
        }
        Inside(number)
    }
}

impl Drop for Inside {
    fn drop(&mut self) {
        let Some(number) = self.0 else { return };
        inside(|all| {
            if let Some(at) = all.iter().rposition(|one| *one == number) {
                all.swap_remove(at);
            }
        });
    }
}

fn inside<T>(with: impl FnOnce(&mut Vec<u64>) -> T) -> T {
    with(&mut INSIDE.lock().unwrap_or_else(PoisonError::into_inner))
}

/// Raises `KeyboardInterrupt` in every thread of ours that is inside. Nobody comes out meanwhile:
/// that takes the interpreter, which is held here.
fn interrupt(py: Python<'_>) -> PyResult<()> {
    let raise = py.import("varangian._run")?.getattr("_interrupt")?;
    let mut threads = inside(|all| all.clone());
    threads.sort_unstable();
    threads.dedup();
    threads.into_iter().try_for_each(|thread| raise.call1((thread,)).map(drop))
}

/// Does `work` on a thread of its own; after Ctrl-C `stop` is true, and what the signal's handler
/// raised comes back, whether the work ends or not.
pub(crate) fn watched<T: Send + 'static>(
    py: Python<'_>,
    stop: &Arc<AtomicBool>,
    work: impl FnOnce() -> T + Send + 'static,
) -> PyResult<T> {
    let (send, done) = channel();
    std::thread::spawn(move || {
        OURS.set(true);
        // Nobody waits any more where it was left behind.
        let _ = send.send(work());
    });
    py.detach(move || wait(&done, stop))
}

fn wait<T>(done: &Receiver<T>, stop: &AtomicBool) -> PyResult<T> {
    let mut signal: Option<PyErr> = None;
    // Looks since the first signal, and since the first interruption.
    let (mut since, mut interrupted) = (0, None::<u32>);
    loop {
        match (done.recv_timeout(PAUSE), &signal) {
            (Ok(value), None) => return Ok(value),
            (Err(RecvTimeoutError::Timeout), _) => {}
            (Err(RecvTimeoutError::Disconnected), None) => {
                return Err(Defect::new_err("a thread was lost"));
            }
            (_, Some(_)) => break,
        }
        let again = match Python::attach(|py| py.check_signals()) {
            Err(error) if signal.is_none() => {
                stop.store(true, Ordering::Relaxed);
                signal = Some(error);
                false
            }
            looked => looked.is_err(),
        };
        if signal.is_none() {
            continue;
        }
        since += 1;
        match &mut interrupted {
            None if again || since >= PATIENCE => {
                interrupted = Some(0);
                Python::attach(interrupt)?;
            }
            None => {}
            Some(looks) => {
                *looks += 1;
                if again || *looks >= LAST {
                    let text = "left behind: a thread that is inside of an object of yours, and \
                                waits for something outside of the interpreter";
                    return Err(PyKeyboardInterrupt::new_err(text));
                }
                if looks.is_multiple_of(AGAIN) {
                    Python::attach(interrupt)?;
                }
            }
        }
    }
    signal.map_or_else(|| Err(Defect::new_err("a thread was lost")), Err)
}
