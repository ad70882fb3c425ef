//! What a call of a rule said beside its answer.

use pyo3::prelude::*;
use varangian_rules::Verdict;

/// What a call said beside its answer.
#[pyclass(frozen, module = "varangian._core")]
pub(crate) struct Said {
    pub(crate) verdict: Verdict,
    /// The declared and the remaining f.
    pub(crate) f: (usize, usize),
    pub(crate) n: usize,
    pub(crate) d: usize,
    pub(crate) kept: Vec<u32>,
    pub(crate) refused: Vec<(u32, String)>,
    pub(crate) weights: Option<Vec<f64>>,
    pub(crate) step: u64,
    pub(crate) seed: u64,
}

#[pymethods]
impl Said {
    /// The hostile rows that the rule reckoned with.
    #[getter]
    fn f(&self) -> usize {
        self.f.1
    }

    /// The weight of each row that was sent; 0 for refused ones, `None` where the rule tells none.
    #[getter]
    fn weights(&self) -> Option<Vec<f64>> {
        let told = !self.verdict.weights.is_empty();
        told.then(|| {
            let mut weights = vec![0.0; self.n];
            for (&id, &weight) in self.kept.iter().zip(&self.verdict.weights) {
                weights[id as usize] = weight;
            }
            weights
        })
    }

    /// (row, reason) of what the rule never saw.
    #[getter]
    fn refused(&self) -> Vec<(u32, String)> {
        self.refused.clone()
    }

    /// Rows that the rule has expelled for good.
    #[getter]
    fn expelled(&self) -> Vec<u32> {
        self.verdict.expelled.clone()
    }

    /// What was unusual about the round.
    #[getter]
    fn event(&self) -> Option<String> {
        self.verdict.event.clone()
    }

    /// The step of the call, from 0.
    #[getter]
    fn step(&self) -> u64 {
        self.step
    }
}
