//! A network that Python wrote as a model: `_tensors`, `_buffers`, `_init`, `_prepare`,
//! `_gradient`, `_evaluate` of its object.

use crate::border::{leave, refused};
use crate::own::{Brought, Own, ask, keep_model, kept_model, leak};
use crate::watch::Inside;
use numpy::{PyArray1, PyArrayMethods, PyReadonlyArray1, PyReadonlyArray2};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use varangian_base::{Seed, SpecError};
use varangian_learn::data::Shape;
use varangian_learn::model::{
    Home, Model, ModelEntry, Place, Prepared, Recipe, Tally, Tensor, Wanted, Workspace, one_by_one,
};
use varangian_learn::{Batch, Targets};

struct PyModel {
    object: Py<PyAny>,
    tensors: Vec<Tensor>,
    buffers: Vec<Tensor>,
    d: usize,
    shape: Shape,
    /// Whether `_gradients` takes all workers of a step at once.
    batched: bool,
}

/// What Python made of the parameters, and the buffers for inference.
struct Ready {
    params: Py<PyAny>,
    buffers: Vec<f32>,
}

fn laid_out(listed: Vec<(String, Vec<usize>)>) -> (Vec<Tensor>, usize) {
    let mut offset = 0;
    let tensors = listed
        .into_iter()
        .map(|(name, shape)| {
            let tensor = Tensor { name, offset, shape };
            offset += tensor.shape.iter().product::<usize>();
            tensor
        })
        .collect();
    (tensors, offset)
}

impl PyModel {
    fn vector<'py>(
        &self,
        py: Python<'py>,
        answer: &Bound<'py, PyAny>,
        what: &str,
        out: &mut [f32],
    ) {
        let values: PyReadonlyArray1<'_, f32> =
            answer.extract().unwrap_or_else(|error: PyErr| leave(py, error));
        match values.as_slice() {
            Ok(values) if values.len() == out.len() => out.copy_from_slice(values),
            _ => {
                let wanted = out.len();
                leave(py, PyValueError::new_err(format!("{what} has {wanted} numbers")))
            }
        }
    }

    fn batch<'py>(&self, py: Python<'py>, batch: &Batch) -> (Bound<'py, PyAny>, Bound<'py, PyAny>) {
        let inputs = PyArray1::from_slice(py, &batch.inputs[..batch.len * self.shape.len()]);
        let Shape { channels, height, width } = self.shape;
        // A vector of features has no height and width.
        let inputs = match (height, width) {
            (1, 1) => inputs.reshape([batch.len, channels]).map(Bound::into_any),
            _ => inputs.reshape([batch.len, channels, height, width]).map(Bound::into_any),
        };
        let targets = match &batch.targets {
            Targets::Labels(labels) => {
                let labels: Vec<i64> = labels[..batch.len].iter().map(|&l| l.into()).collect();
                PyArray1::from_vec(py, labels).into_any()
            }
            Targets::Values(values) => PyArray1::from_slice(py, values).into_any(),
        };
        (inputs.unwrap_or_else(|error| leave(py, error)), targets)
    }
}

impl Model for PyModel {
    fn dim(&self) -> usize {
        self.d
    }

    fn tensors(&self) -> &[Tensor] {
        &self.tensors
    }

    fn init(&self, seed: Seed) -> Vec<f32> {
        let mut out = vec![0.0; self.d];
        Python::attach(|py| {
            let answer = ask(py, &self.object, "_init", (seed.0,));
            self.vector(py, &answer, "the initial parameters", &mut out);
        });
        out
    }

    fn workspace(&self) -> Workspace {
        Box::new(vec![0.0f32; self.buffers()])
    }

    fn prepare(&self, params: &[f32], prepared: &mut Prepared) {
        let params = Python::attach(|py| {
            ask(py, &self.object, "_prepare", (PyArray1::from_slice(py, params),)).unbind()
        });
        *prepared = Box::new(Ready { params, buffers: self.init_buffers() });
    }

    fn buffer_tensors(&self) -> &[Tensor] {
        &self.buffers
    }

    fn init_buffers(&self) -> Vec<f32> {
        let mut out = vec![0.0; self.buffers()];
        if !out.is_empty() {
            Python::attach(|py| {
                let answer = ask(py, &self.object, "_init_buffers", ());
                self.vector(py, &answer, "what the buffers hold", &mut out);
            });
        }
        out
    }

    fn load_buffers(&self, buffers: &[f32], prepared: &mut Prepared) {
        let ready = prepared.downcast_mut::<Ready>().expect("prepared before");
        ready.buffers = buffers.to_vec();
    }

    fn statistics(&self, workspace: &Workspace, out: &mut [f32]) {
        let kept = workspace.downcast_ref::<Vec<f32>>().expect("a workspace of this model");
        out.copy_from_slice(kept);
    }

    fn gradient(
        &self,
        _: &[f32],
        prepared: &Prepared,
        batch: &Batch,
        place: Place,
        workspace: &mut Workspace,
        out: &mut [f32],
    ) -> f64 {
        let ready = prepared.downcast_ref::<Ready>().expect("prepared before");
        let statistics = workspace.downcast_mut::<Vec<f32>>().expect("a workspace of this model");
        Python::attach(|py| {
            let (inputs, targets) = self.batch(py, batch);
            let place = (place.seed.0, place.worker, place.step);
            let answer =
                ask(py, &self.object, "_gradient", (&ready.params, inputs, targets, place));
            let (loss, gradient, seen): (f64, Bound<'_, PyAny>, Bound<'_, PyAny>) =
                answer.extract().unwrap_or_else(|error| leave(py, error));
            self.vector(py, &gradient, "the gradient", out);
            if !statistics.is_empty() {
                self.vector(py, &seen, "what the buffers saw", statistics);
            }
            loss
        })
    }

    fn takes_all_at_once(&self) -> bool {
        self.batched
    }

    fn gradients(&self, params: &[f32], prepared: &Prepared, all: &mut [Wanted<'_>]) {
        let len = all.first().map_or(0, |one| one.batch.len);
        // Minibatches of several lengths are no one array.
        if all.iter().any(|one| one.batch.len != len) || len == 0 {
            return one_by_one(self, params, prepared, all);
        }
        let ready = prepared.downcast_ref::<Ready>().expect("prepared before");
        Python::attach(|py| {
            let (inputs, targets): (Vec<_>, Vec<_>) =
                all.iter().map(|one| self.batch(py, one.batch)).unzip();
            let answer = ask(py, &self.object, "_gradients", (&ready.params, inputs, targets));
            let (losses, gradients): (Vec<f64>, PyReadonlyArray2<'_, f32>) =
                answer.extract().unwrap_or_else(|error| leave(py, error));
            let found = gradients.as_array().dim();
            match gradients.as_slice() {
                Ok(values) if found == (all.len(), self.d) && losses.len() == all.len() => {
                    let answers = losses.into_iter().zip(values.chunks_exact(self.d));
                    for (one, (loss, gradient)) in all.iter_mut().zip(answers) {
                        one.out.copy_from_slice(gradient);
                        one.loss = loss;
                    }
                }
                _ => {
                    let text = format!("{} × {} numbers; got {found:?}", all.len(), self.d);
                    leave(py, PyValueError::new_err(format!("the gradients have {text}")))
                }
            }
        });
    }

    fn evaluate(&self, _: &[f32], prepared: &Prepared, batch: &Batch, _: &mut Workspace) -> Tally {
        let ready = prepared.downcast_ref::<Ready>().expect("prepared before");
        Python::attach(|py| {
            let (inputs, targets) = self.batch(py, batch);
            let buffers = PyArray1::from_slice(py, &ready.buffers);
            let answer =
                ask(py, &self.object, "_evaluate", (&ready.params, buffers, inputs, targets));
            let (loss, hits) = answer.extract().unwrap_or_else(|error: PyErr| leave(py, error));
            Tally { loss, hits, count: batch.len as u64 }
        })
    }
}

struct PyRecipe(Py<PyAny>);

impl Recipe for PyRecipe {
    fn build(&self, shape: Shape, classes: usize) -> Result<Box<dyn Model>, SpecError> {
        Python::attach(|py| {
            let _inside = Inside::enter(py);
            let listed = |method: &str| -> PyResult<Vec<(String, Vec<usize>)>> {
                self.0.bind(py).call_method0(method)?.extract()
            };
            let made = || -> PyResult<Box<dyn Model>> {
                let Shape { channels, height, width } = shape;
                let size = (channels, height, width);
                self.0.bind(py).call_method1("_accept", (size, classes))?;
                let (tensors, d) = laid_out(listed("_tensors")?);
                let (buffers, _) = laid_out(listed("_buffers")?);
                let object = self.0.clone_ref(py);
                let batched = self.0.bind(py).getattr("_batched")?.extract()?;
                Ok(Box::new(PyModel { object, tensors, buffers, d, shape, batched }))
            };
            made().map_err(|error| SpecError::new(error.to_string()))
        })
    }
}

/// An entry for a network that Python wrote.
#[pyfunction]
pub(crate) fn model(object: Py<PyAny>, name: &str, summary: &str) -> PyResult<Own> {
    let (params, place) = keep_model(object);
    let entry: &'static ModelEntry = Box::leak(Box::new(ModelEntry {
        name: leak(name),
        summary: leak(summary),
        paper: "",
        differs: &[],
        params,
        cost: "that of Python",
        facts: Home::image(1, 1, 1, 0, 0),
        build: |args| Ok(Box::new(PyRecipe(kept_model(args)?))),
    }));
    entry.sound("model").map_err(refused)?;
    Ok(Own::new(Brought::Model(entry), place))
}
