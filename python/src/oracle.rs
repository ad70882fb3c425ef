//! What a server knows by itself, as Python gives it.

use crate::border::leave;
use numpy::PyArray1;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use varangian_rules::Oracle;

/// The server's own knowledge, as Python gives it.
pub(crate) struct Asked {
    pub(crate) gradient: Option<Vec<f32>>,
    pub(crate) loss: Option<Py<PyAny>>,
}

impl Oracle for Asked {
    fn refresh(&mut self) {}

    fn loss(&mut self, params: &[f32]) -> f64 {
        Python::attach(|py| {
            let Some(loss) = &self.loss else {
                leave(py, PyValueError::new_err("the rule asks for losses; loss= was not given"))
            };
            let params = PyArray1::from_slice(py, params);
            let answer = loss.call1(py, (params,)).and_then(|value| value.extract::<f64>(py));
            answer.unwrap_or_else(|error| leave(py, error))
        })
    }

    fn gradient(&mut self, _: &[f32], out: &mut [f32]) -> f64 {
        match &self.gradient {
            Some(gradient) => out.copy_from_slice(gradient),
            None => Python::attach(|py| {
                let text =
                    "the rule asks for the server's gradient; server_gradient= was not given";
                leave(py, PyValueError::new_err(text))
            }),
        }
        0.0
    }
}
