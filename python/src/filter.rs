//! Filters over arrivals, one at a time.

use crate::border::{guarded, leave, refused};
use crate::memory::{pack, unpack};
use crate::shared::lock;
use numpy::{PyArray1, PyReadonlyArray1};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::PyBytes;
use std::sync::Mutex;
use varangian_base::Seed;
use varangian_rules::{self as rules, Arrival, Decision, Oracle};

/// A filter for n workers of which f may be hostile.
#[pyclass(frozen, module = "varangian._core")]
pub(crate) struct Filter {
    state: Mutex<Box<dyn rules::Filter>>,
    size: (usize, usize),
    needs: (bool, bool),
}

/// What a filter is told of an arrival beside the gradient.
#[derive(FromPyObject)]
#[pyo3(from_item_all)]
struct About {
    worker: u32,
    version: u64,
    now: u64,
    learning_rate: f32,
    seed: u64,
    loss: Option<Py<PyAny>>,
    gradient: Option<Py<PyAny>>,
}

/// The server's loss and gradient as functions of Python's.
struct Functions {
    loss: Option<Py<PyAny>>,
    gradient: Option<Py<PyAny>>,
}

#[pymethods]
impl Filter {
    #[new]
    fn new(text: &str, n: usize, f: usize) -> PyResult<Self> {
        let filter = rules::build_filter(text, n, f).map_err(refused)?;
        let name = varangian_base::spec::parse(text).map_err(refused)?.name;
        let entry = rules::FILTERS.iter().find(|entry| entry.name == name);
        let facts = &entry.expect("a filter that was built stands in the list").facts;
        let needs = (facts.needs_oracle, facts.needs_stale);
        Ok(Filter { state: Mutex::new(filter), size: (n, f), needs })
    }

    /// Whether it asks for the server's own loss or gradient.
    #[getter]
    fn needs_oracle(&self) -> bool {
        self.needs.0
    }

    /// Whether it looks at the parameters at which a gradient was taken.
    #[getter]
    fn needs_stale(&self) -> bool {
        self.needs.1
    }

    /// What becomes of one arrival: "step", "hold" or "reject: its reason", and what to step along.
    #[pyo3(signature = (arrived, params, stale, about))]
    fn offer<'py>(
        &self,
        py: Python<'py>,
        arrived: PyReadonlyArray1<'py, f32>,
        params: PyReadonlyArray1<'py, f32>,
        stale: Option<PyReadonlyArray1<'py, f32>>,
        about: About,
    ) -> PyResult<(String, Option<Bound<'py, PyArray1<f32>>>)> {
        let (gradient, params) = (arrived.as_slice()?, params.as_slice()?);
        let stale = stale.as_ref().map(|stale| stale.as_slice()).transpose()?;
        let d = params.len();
        let found = std::iter::once(gradient).chain(stale).find(|x| x.len() != d);
        if let Some(other) = found {
            let text = format!("arrivals have d = {d} numbers; got {}", other.len());
            return Err(PyValueError::new_err(text));
        }
        if about.version > about.now || about.worker as usize >= self.size.0 {
            let text = "an arrival is of a worker below n, at a version that was";
            return Err(PyValueError::new_err(text));
        }
        if gradient.iter().chain(params).chain(stale.unwrap_or(&[])).any(|x| !x.is_finite()) {
            return Err(PyValueError::new_err("arrivals and parameters are finite; some are not"));
        }
        let mut oracle = Functions { loss: about.loss, gradient: about.gradient };
        let (decision, out) = py.detach(|| {
            guarded(|| {
                let (n, f) = self.size;
                let mut out = vec![0.0; d];
                let mut arrival = Arrival {
                    gradient,
                    worker: about.worker,
                    version: about.version,
                    now: about.now,
                    params,
                    stale,
                    learning_rate: about.learning_rate,
                    n,
                    f,
                    oracle: Some(&mut oracle),
                    seed: Seed(about.seed),
                };
                (lock(&self.state).offer(&mut arrival, &mut out), out)
            })
        })?;
        Ok(match decision {
            Decision::Step if out.iter().any(|x| !x.is_finite()) => ("not-finite".into(), None),
            Decision::Step => ("step".into(), Some(PyArray1::from_vec(py, out))),
            Decision::Hold => ("hold".into(), None),
            Decision::Reject(why) => (format!("reject: {why}"), None),
        })
    }

    /// Its memory, in a format of its own.
    fn save<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyBytes>> {
        let memory = py.detach(|| guarded(|| lock(&self.state).save()))?;
        Ok(PyBytes::new(py, pack(&memory).to_string().as_bytes()))
    }

    /// Takes up a memory that `save` gave.
    fn load(&self, py: Python<'_>, bytes: &[u8]) -> PyResult<()> {
        let wrong = || PyValueError::new_err("this is no memory of a filter, or it is damaged");
        let json: serde_json::Value = serde_json::from_slice(bytes).map_err(|_| wrong())?;
        let memory = unpack(&json).ok_or_else(wrong)?;
        py.detach(|| guarded(|| lock(&self.state).load(&memory)))?.map_err(refused)
    }
}

impl Oracle for Functions {
    fn refresh(&mut self) {}

    fn loss(&mut self, params: &[f32]) -> f64 {
        Python::attach(|py| {
            let Some(loss) = &self.loss else {
                leave(py, PyValueError::new_err("the filter asks for losses; loss= was not given"))
            };
            let answer = loss.call1(py, (PyArray1::from_slice(py, params),));
            answer.and_then(|x| x.extract::<f64>(py)).unwrap_or_else(|error| leave(py, error))
        })
    }

    fn gradient(&mut self, params: &[f32], out: &mut [f32]) -> f64 {
        Python::attach(|py| {
            let Some(gradient) = &self.gradient else {
                let text = "the filter asks for the server's gradient; gradient= was not given";
                leave(py, PyValueError::new_err(text))
            };
            let answer = gradient.call1(py, (PyArray1::from_slice(py, params),));
            let taken = answer.and_then(|x| {
                let array: PyReadonlyArray1<'_, f32> = x.extract(py)?;
                match array.as_slice()? {
                    right if right.len() == out.len() => out.copy_from_slice(right),
                    other => {
                        let (d, found) = (out.len(), other.len());
                        let text = format!("a gradient has d = {d} numbers; got {found}");
                        return Err(PyValueError::new_err(text));
                    }
                }
                Ok(())
            });
            taken.unwrap_or_else(|error| leave(py, error));
        });
        0.0
    }
}
