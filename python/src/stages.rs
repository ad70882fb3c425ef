//! Stages before a rule, alone: rows to rows.

use crate::admit::{Admitted, Given, left, pick, spread};
use crate::border::{guarded, refused};
use crate::shared::lock;
use numpy::{PyArray1, PyArray2, PyArrayMethods};
use pyo3::prelude::*;
use std::sync::Mutex;
use varangian_base::{Rows, Seed};
use varangian_rules::{self as rules, Round, exact};

/// Stages before a rule, alone.
#[pyclass(frozen, module = "varangian._core")]
pub(crate) struct Stages(Mutex<rules::Stages>);

#[pymethods]
impl Stages {
    #[new]
    fn new(text: &str) -> PyResult<Self> {
        rules::Stages::parse(text).map(|stages| Stages(Mutex::new(stages))).map_err(refused)
    }

    /// Whether every stage of a text stands before a rule.
    #[staticmethod]
    fn are(text: &str) -> bool {
        rules::Stages::are(text)
    }

    /// The rows that a rule would see.
    fn rows<'py>(
        &self,
        py: Python<'py>,
        rows: Given<'py>,
        f: usize,
        seed: u64,
        step: u64,
    ) -> PyResult<Bound<'py, PyAny>> {
        let demand = |stages: &rules::Stages, n: usize, bad: &[(u32, String)]| {
            let used = left(f, n, bad, stages.spec())?;
            stages.check(n - bad.len(), used).map_err(|error| spread(error, bad))?;
            Ok::<_, PyErr>(used)
        };
        match rows {
            Given::Single(rows) => {
                let [n, d] = [rows.as_array().nrows(), rows.as_array().ncols()];
                let data = rows.as_slice()?;
                let (mixed, m) = py.detach(|| {
                    guarded(|| {
                        let mut stages = lock(&self.0);
                        // In one pass over the rows, where they are finite and nothing is amiss.
                        if demand(&stages, n, &[]).is_ok() {
                            let round = Round::of(Rows::new(data, n, d), f);
                            let mut round = Round { seed: Seed(seed), step, ..round };
                            if let Some(done) = stages.packed_watching(&mut round) {
                                return Ok(done);
                            }
                        }
                        let admitted = Admitted::of(data, n, d);
                        let used = demand(&stages, n, &admitted.refused)?;
                        let round = Round::of(admitted.rows(), used);
                        let mut round = Round { seed: Seed(seed), step, ..round };
                        Ok::<_, PyErr>(stages.packed(&mut round))
                    })
                })??;
                Ok(PyArray1::from_vec(py, mixed).reshape([m, d])?.into_any())
            }
            Given::Double(rows) => {
                let d = rows.as_array().ncols();
                let data = rows.as_slice()?;
                let n = data.len().checked_div(d).unwrap_or(0);
                let is_finite = |i: usize| data[i * d..][..d].iter().all(|x| x.is_finite());
                let (kept, bad): (Vec<u32>, Vec<u32>) =
                    (0..n as u32).partition(|&i| is_finite(i as usize));
                let bad: Vec<(u32, String)> =
                    bad.into_iter().map(|i| (i, "not finite".to_owned())).collect();
                let mixed = py.detach(|| {
                    guarded(|| {
                        let stages = lock(&self.0);
                        let used = demand(&stages, n, &bad)?;
                        let rows = pick(data, d, &kept);
                        let (weights, seed) = (None, Seed(seed));
                        let round = exact::Round {
                            rows: &rows,
                            ids: &kept,
                            f: used,
                            weights,
                            step,
                            seed,
                            stage: 0,
                        };
                        stages.exact(&round).map_err(refused)
                    })
                })??;
                Ok(PyArray2::from_vec2(py, &mixed)?.into_any())
            }
        }
    }
}
