//! The benchmark from Python.

use crate::border::failed;
use crate::own::{Own, rules_of};
use crate::run::listened;
use pyo3::prelude::*;
use std::path::PathBuf;
use varangian_base::SpecError;
use varangian_lab::Failure;
use varangian_lab::benchmark::{Benchmark, Entry, Part, Tier};

/// What is judged, and how.
#[derive(FromPyObject)]
#[pyo3(from_item_all)]
pub(crate) struct Order {
    rule: String,
    tier: String,
    /// Keys of the protocol's part with their values; nothing is the whole.
    only: Vec<(String, Vec<String>)>,
    out: PathBuf,
    data: Option<PathBuf>,
    threads: Option<usize>,
    jobs: Option<usize>,
    replace: bool,
    version: String,
    own: Vec<Own>,
    told: Option<Py<PyAny>>,
    steps: bool,
}

fn ordered(order: &Order) -> Result<Benchmark, Failure> {
    let tier = Tier::from_name(&order.tier);
    let tier = tier.ok_or_else(|| SpecError::unknown("tier", &order.tier, &Tier::NAMES))?;
    let mut benchmark = Benchmark::of(tier, &order.rule);
    benchmark.part = Part::new(order.only.clone())?;
    benchmark.own.rules = rules_of(&order.own);
    benchmark.own.version.clone_from(&order.version);
    let how = &mut benchmark.how;
    how.out = Some(order.out.clone());
    how.data.clone_from(&order.data);
    (how.threads, how.jobs, how.replace) = (order.threads, order.jobs, order.replace);
    Ok(benchmark)
}

/// Judges a pipeline: its entry as JSON, and the file in which it stands.
#[pyfunction]
pub(crate) fn benchmark(py: Python<'_>, order: Order) -> PyResult<(String, PathBuf)> {
    let benchmark = ordered(&order).map_err(failed)?;
    let told = order.told.as_ref().map(|told| told.clone_ref(py));
    let folder = benchmark.folder();
    let entry = listened(py, told, order.steps, move |events| benchmark.run(events))?;
    let file = folder.join(Entry::file(&entry.rule));
    Ok((entry.text(), file))
}
