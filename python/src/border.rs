//! Errors on their way to Python, and Python's on their way through our machines.

use pyo3::create_exception;
use pyo3::exceptions::{PyException, PyKeyboardInterrupt, PyRuntimeError, PyValueError};
use pyo3::prelude::*;
use std::any::Any;
use std::cell::RefCell;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Mutex;
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

/// The first exception that a user's object raised inside one of our machines, until it is taken.
static RAISED: Mutex<Option<PyErr>> = Mutex::new(None);

thread_local! {
    static HERE: RefCell<Option<PyErr>> = const { RefCell::new(None) };
}

/// Leaves our machines with what a user's object raised: they have no errors inside a round.
pub(crate) fn leave(py: Python<'_>, error: PyErr) -> ! {
    let text = error.to_string();
    let mut raised = RAISED.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    raised.get_or_insert_with(|| error.clone_ref(py));
    drop(raised);
    HERE.with(|here| *here.borrow_mut() = Some(error));
    // Without the hook that prints: it is no defect.
    resume_unwind(Box::new(text))
}

/// What was raised since this was last asked.
pub(crate) fn raised() -> Option<PyErr> {
    RAISED.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).take()
}

/// Does what may unwind: an exception comes out as it was raised, a panic as a [`Defect`].
pub(crate) fn guarded<T>(work: impl FnOnce() -> T) -> PyResult<T> {
    catch_unwind(AssertUnwindSafe(work)).map_err(|cause| {
        let here = HERE.with(|here| here.borrow_mut().take());
        // Work on other threads unwinds through here too.
        let other = raised();
        here.or(other).unwrap_or_else(|| Defect::new_err(said(cause.as_ref())))
    })
}

fn said(cause: &(dyn Any + Send)) -> String {
    let text = cause.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| cause.downcast_ref::<&str>().copied()).unwrap_or("no message").to_owned()
}
