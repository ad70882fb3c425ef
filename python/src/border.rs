//! Errors on their way to Python, and Python's on their way through our machines.

use pyo3::create_exception;
use pyo3::exceptions::{PyException, PyKeyboardInterrupt, PyRuntimeError, PyValueError};
use pyo3::prelude::*;
use std::any::Any;
use std::cell::{Cell, RefCell};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, Ordering};
use varangian_base::SpecError;
use varangian_lab::Failure;

create_exception!(
    varangian,
    Defect,
    PyException,
    "Something in varangian itself went wrong: a defect, with what it said."
);

/// What is asked for cannot be done: a `ValueError` with the command's text.
pub(crate) fn refused(error: SpecError) -> PyErr {
    PyValueError::new_err(error.to_string())
}

/// What a command fails with, by its exit code.
pub(crate) fn failed(failure: Failure) -> PyErr {
    match failure.code() {
        2 => PyValueError::new_err(failure.to_string()),
        130 => PyKeyboardInterrupt::new_err(failure.to_string()),
        _ => PyRuntimeError::new_err(failure.to_string()),
    }
}

/// The exceptions that users' objects raised inside our machines on threads of ours, with their
/// texts, until they are taken: by which a run knows its own.
static RAISED: Mutex<Vec<(String, PyErr)>> = Mutex::new(Vec::new());

/// The most that are kept: those of runs that nobody asked.
const KEPT: usize = 64;

thread_local! {
    /// What was raised on this thread, inside of work that it guards itself.
    static HERE: RefCell<Option<PyErr>> = const { RefCell::new(None) };
    static GUARDS: Cell<usize> = const { Cell::new(0) };
}

/// How much of this thread's work guards itself.
pub(crate) fn guards() -> usize {
    GUARDS.get()
}

/// Leaves our machines with what a user's object raised: they have no errors inside a round.
pub(crate) fn leave(py: Python<'_>, error: PyErr) -> ! {
    let text = error.to_string();
    if GUARDS.get() > 0 {
        HERE.with(|here| *here.borrow_mut() = Some(error));
    } else {
        // On a thread of ours: whoever waits for it finds the exception by its text.
        let mut raised = RAISED.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        let old = (raised.len() >= KEPT).then(|| raised.remove(0));
        raised.push((text.clone(), error.clone_ref(py)));
        drop(raised);
        drop(old);
    }
    // Without the hook that prints: it is no defect.
    resume_unwind(Box::new(text))
}

/// The exception whose text a failure is.
pub(crate) fn raised(failure: &str) -> Option<PyErr> {
    let said = failure.strip_prefix("panicked: ").unwrap_or(failure);
    let mut raised = RAISED.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    let at = raised.iter().position(|(text, _)| text == said)?;
    Some(raised.remove(at).1)
}

/// The process that first computed: a fork of it has no threads.
static PROCESS: AtomicU32 = AtomicU32::new(0);

/// Does what may unwind: an exception comes out as it was raised, a panic as a [`Defect`].
pub(crate) fn guarded<T>(work: impl FnOnce() -> T) -> PyResult<T> {
    let this = std::process::id();
    let first = PROCESS.compare_exchange(0, this, Ordering::Relaxed, Ordering::Relaxed);
    if first.is_err_and(|first| first != this) {
        return Err(PyRuntimeError::new_err(
            "this process was forked from one that had used varangian, and has none of its \
             threads: start processes with \"spawn\" or \"forkserver\"",
        ));
    }
    GUARDS.set(GUARDS.get() + 1);
    let done = catch_unwind(AssertUnwindSafe(work));
    GUARDS.set(GUARDS.get() - 1);
    done.map_err(|cause| {
        let here = HERE.with(|here| here.borrow_mut().take());
        let text = said(cause.as_ref());
        here.or_else(|| raised(&text)).unwrap_or_else(|| Defect::new_err(text))
    })
}

fn said(cause: &(dyn Any + Send)) -> String {
    let text = cause.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| cause.downcast_ref::<&str>().copied()).unwrap_or("no message").to_owned()
}
