//! `varangian._core`: what the Python package stands on.
//!
//! Arrays come in as contiguous float32 or float64 and go out the same; everything else about
//! libraries, dtypes and structures is settled in Python. The interpreter is let go while anything
//! computes. No panic crosses: what a Python object of the user's raised comes out as it was
//! raised, and a defect of ours as `varangian.Defect` with its message.
//!
//! What threads share here: every class is frozen; a rule, an attack and a chain's stages stand
//! behind a lock that is taken without the interpreter's ([`shared`], [`attack`], [`stages`],
//! [`filter`]); the shelves of [`own`] and [`data`], the exceptions of [`border`] and the threads
//! of [`watch`] are lists behind locks, under which no Python runs. Kernels keep their scratch by
//! thread. The Python layer above has no lock of its own: a rule's count of calls and its last
//! call are plain attributes, so two threads that call one rule at once may take the same step.
//! The module asks for the interpreter's lock all the same, as nothing of this has run on a
//! Python without one.

mod admit;
mod attack;
mod benchmark;
mod border;
mod catalogue;
mod data;
mod double;
mod filter;
mod memory;
mod model;
mod oracle;
mod own;
mod rule;
mod run;
mod said;
mod shards;
mod shared;
mod sketches;
mod stages;
mod watch;
mod work;

use pyo3::prelude::*;
use std::ffi::OsString;

/// The version of the program.
#[pyfunction]
fn version() -> &'static str {
    env!("CARGO_PKG_VERSION")
}

/// Computes on so many threads from here on, unless RAYON_NUM_THREADS says how many, or threads
/// are there already; whether it does.
#[pyfunction]
#[expect(clippy::disallowed_methods, reason = "no caller of a wheel could install a pool")]
fn use_threads(threads: usize) -> bool {
    let pool = || rayon::ThreadPoolBuilder::new().num_threads(threads.max(1)).build_global();
    std::env::var_os("RAYON_NUM_THREADS").is_none() && pool().is_ok()
}

/// Runs the command `varangian` with the process's arguments; returns its exit code.
#[pyfunction]
fn command(py: Python<'_>, arguments: Vec<OsString>) -> u8 {
    py.detach(|| varangian_cli::run(&arguments))
}

/// How d columns are dealt to processes: the bounds.
#[pyfunction]
fn shard_bounds(d: usize, processes: usize) -> Vec<usize> {
    varangian_base::Shard::bounds(d, processes)
}

#[pymodule(gil_used = true)]
#[pyo3(name = "_core")]
fn core(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<rule::Rule>()?;
    module.add_class::<stages::Stages>()?;
    module.add_class::<said::Said>()?;
    module.add_class::<attack::Attack>()?;
    module.add_class::<own::Own>()?;
    module.add_class::<filter::Filter>()?;
    module.add("Defect", module.py().get_type::<border::Defect>())?;
    module.add_function(wrap_pyfunction!(version, module)?)?;
    module.add_function(wrap_pyfunction!(shard_bounds, module)?)?;
    module.add_function(wrap_pyfunction!(use_threads, module)?)?;
    module.add_function(wrap_pyfunction!(shards::first_odd, module)?)?;
    module.add_function(wrap_pyfunction!(shards::measure, module)?)?;
    module.add_function(wrap_pyfunction!(sketches::sketch, module)?)?;
    module.add_function(wrap_pyfunction!(command, module)?)?;
    module.add_function(wrap_pyfunction!(catalogue::catalogue, module)?)?;
    module.add_function(wrap_pyfunction!(catalogue::spell, module)?)?;
    module.add_function(wrap_pyfunction!(catalogue::names, module)?)?;
    module.add_function(wrap_pyfunction!(own::rule, module)?)?;
    module.add_function(wrap_pyfunction!(own::attack, module)?)?;
    module.add_function(wrap_pyfunction!(data::dataset, module)?)?;
    module.add_function(wrap_pyfunction!(model::model, module)?)?;
    module.add_function(wrap_pyfunction!(run::run, module)?)?;
    module.add_function(wrap_pyfunction!(benchmark::benchmark, module)?)?;
    module.add_function(wrap_pyfunction!(work::work, module)?)?;
    Ok(())
}
