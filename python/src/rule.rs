//! Rules and stages over arrays.

use crate::border::{guarded, leave, refused};
use crate::own::{Own, rules_of};
use numpy::{PyArray1, PyArray2, PyReadonlyArray1, PyReadonlyArray2};
use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::PyBytes;
use serde_json::Value as Json;
use std::sync::{Mutex, MutexGuard, PoisonError};
use varangian_base::{Matrix, Memory, Rows, Seed, SpecError, Value};
use varangian_rules::{
    self as rules, Bound as Least, Evidence, Oracle, Pipeline, Round, Verdict, exact,
};

/// A matrix of one width, borrowed from numpy.
pub(crate) enum Given<'py> {
    Single(PyReadonlyArray2<'py, f32>),
    Double(PyReadonlyArray2<'py, f64>),
}

impl<'a, 'py> FromPyObject<'a, 'py> for Given<'py> {
    type Error = PyErr;

    fn extract(object: Borrowed<'a, 'py, PyAny>) -> PyResult<Self> {
        if let Ok(rows) = object.extract() {
            return Ok(Given::Single(rows));
        }
        let wrong = |_| PyTypeError::new_err("rows are a matrix of float32 or float64");
        object.extract().map(Given::Double).map_err(wrong)
    }
}

/// The rows of a contiguous matrix, and those of its rows that are finite.
pub(crate) struct Admitted<'a> {
    kept: Vec<u32>,
    refused: Vec<(u32, String)>,
    /// A copy of the finite rows, where any is refused.
    copy: Option<Matrix>,
    all: Rows<'a>,
}

impl<'a> Admitted<'a> {
    fn of(data: &'a [f32], n: usize, d: usize) -> Self {
        let all = Rows::new(data, n, d);
        if all.is_finite() {
            return Admitted { kept: (0..n as u32).collect(), refused: vec![], copy: None, all };
        }
        let mut refused = Vec::new();
        let mut kept = Vec::new();
        for (i, row) in all.iter().enumerate() {
            match row.iter().position(|x| !x.is_finite()) {
                Some(k) => refused.push((i as u32, format!("{} at coordinate {k}", row[k]))),
                None => kept.push(i as u32),
            }
        }
        let rows: Vec<&[f32]> = kept.iter().map(|&i| all.row(i as usize)).collect();
        let copy = (!rows.is_empty()).then(|| Matrix::from_rows(&rows));
        Admitted { kept, refused, copy, all }
    }

    fn rows(&self) -> Rows<'_> {
        match &self.copy {
            Some(copy) => copy.rows().with_ids(&self.kept),
            None => self.all,
        }
    }
}

/// What a call said beside its answer.
#[pyclass(frozen, module = "varangian._core")]
pub(crate) struct Said {
    verdict: Verdict,
    /// The declared and the remaining f.
    f: (usize, usize),
    n: usize,
    d: usize,
    kept: Vec<u32>,
    refused: Vec<(u32, String)>,
    weights: Option<Vec<f64>>,
    step: u64,
    seed: u64,
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

/// A rule with its stages.
#[pyclass(frozen, module = "varangian._core")]
pub(crate) struct Rule {
    state: Mutex<Pipeline>,
    /// Those among its stages that Python wrote.
    own: Vec<Own>,
    text: String,
}

fn lock<T>(state: &Mutex<T>) -> MutexGuard<'_, T> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

/// How many rows may be hostile once some are refused.
fn left(f: usize, n: usize, refused: &[(u32, String)], name: &str) -> PyResult<usize> {
    Least::declared(name, n, f).map_err(crate::border::refused)?;
    f.checked_sub(refused.len()).ok_or_else(|| {
        let which: Vec<String> = refused.iter().map(|(row, _)| row.to_string()).collect();
        PyValueError::new_err(format!(
            "at most f = {f} rows may be hostile; {} are not finite: {}",
            refused.len(),
            which.join(", ")
        ))
    })
}

/// An error about what is left of the rows.
fn spread(error: SpecError, refused: &[(u32, String)]) -> PyErr {
    if refused.is_empty() {
        return crate::border::refused(error);
    }
    let which: Vec<String> = refused.iter().map(|(row, _)| row.to_string()).collect();
    crate::border::refused(
        error.at(format!("without rows {} that are not finite", which.join(", "))),
    )
}

/// The server's own knowledge, as Python gives it.
pub(crate) struct Asked {
    gradient: Option<Vec<f32>>,
    loss: Option<Py<PyAny>>,
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

/// All that a call may be given beside rows and f.
#[derive(FromPyObject)]
#[pyo3(from_item_all)]
struct Call {
    weights: Option<Vec<f64>>,
    seed: u64,
    step: u64,
    params: Option<Vec<f32>>,
    learning_rate: f32,
    server_gradient: Option<Vec<f32>>,
    loss: Option<Py<PyAny>>,
}

#[pymethods]
impl Rule {
    /// Reads a rule with its stages; `own` are those that Python wrote.
    #[new]
    fn new(text: String, own: Vec<Own>) -> PyResult<Self> {
        let pipeline = Pipeline::parse_among(&text, &rules_of(&own)).map_err(refused)?;
        Ok(Rule { state: Mutex::new(pipeline), own, text })
    }

    /// Its one spelling.
    #[getter]
    fn spec(&self, py: Python<'_>) -> String {
        py.detach(|| lock(&self.state).spec().to_owned())
    }

    /// Whether it asks for the server's own data.
    #[getter]
    fn needs_oracle(&self, py: Python<'_>) -> bool {
        py.detach(|| lock(&self.state).needs_oracle())
    }

    /// Whether it remembers earlier calls.
    #[getter]
    fn has_memory(&self, py: Python<'_>) -> bool {
        py.detach(|| lock(&self.state).has_memory())
    }

    /// κ, where it is known.
    fn kappa(&self, py: Python<'_>, n: usize, f: usize) -> Option<f64> {
        py.detach(|| lock(&self.state).kappa(n, f))
    }

    /// Refuses n and f below the bound.
    fn check(&self, py: Python<'_>, n: usize, f: usize) -> PyResult<()> {
        py.detach(|| {
            let pipeline = lock(&self.state);
            Least::declared(pipeline.spec(), n, f)?;
            pipeline.check(n, f)?;
            pipeline.fits(n, f)
        })
        .map_err(refused)
    }

    /// The aggregate of a matrix of rows, and what was said about it.
    fn aggregate<'py>(
        &self,
        py: Python<'py>,
        rows: Given<'py>,
        f: usize,
        call: Call,
    ) -> PyResult<(Bound<'py, PyAny>, Said)> {
        match rows {
            Given::Single(rows) => {
                let [n, d] = [rows.as_array().nrows(), rows.as_array().ncols()];
                let data = rows.as_slice()?;
                let (out, said) =
                    py.detach(|| guarded(|| self.single(data, (n, d), f, &call)))??;
                Ok((PyArray1::from_vec(py, out).into_any(), said))
            }
            Given::Double(rows) => {
                let d = rows.as_array().ncols();
                let data = rows.as_slice()?;
                let (out, said) = py.detach(|| guarded(|| self.double(data, d, f, &call)))??;
                Ok((PyArray1::from_vec(py, out).into_any(), said))
            }
        }
    }

    /// What was found of each row of a call, one JSON object a row.
    fn evidence<'py>(
        &self,
        py: Python<'py>,
        rows: Given<'py>,
        out: &Bound<'py, PyAny>,
        said: PyRef<'py, Said>,
    ) -> PyResult<Vec<String>> {
        let said: &Said = &said;
        let found: Vec<Evidence> = match rows {
            Given::Single(rows) => {
                let out: PyReadonlyArray1<'_, f32> = out.extract()?;
                let [n, d] = [rows.as_array().nrows(), rows.as_array().ncols()];
                let (data, out) = (rows.as_slice()?, out.as_slice()?);
                py.detach(|| {
                    guarded(|| {
                        let admitted = Admitted::of(data, n, d);
                        let pipeline = lock(&self.state);
                        let round = Round {
                            weights: said.weights.as_deref(),
                            step: said.step,
                            ..Round::of(admitted.rows(), said.f.1)
                        };
                        said.verdict.evidence(&pipeline, &round, out)
                    })
                })?
            }
            Given::Double(rows) => {
                let out: PyReadonlyArray1<'_, f64> = out.extract()?;
                let d = rows.as_array().ncols();
                let (data, out) = (rows.as_slice()?, out.as_slice()?);
                py.detach(|| {
                    guarded(|| {
                        let finite = pick(data, d, &said.kept);
                        let round = exact::Round {
                            rows: &finite,
                            ids: &said.kept,
                            f: said.f.1,
                            weights: said.weights.as_deref(),
                            step: said.step,
                            seed: Seed(said.seed),
                            stage: 0,
                        };
                        said.verdict.exact_evidence(&lock(&self.state), &round, out)
                    })
                })?
            }
        };
        Ok(self.with_refused(found, said))
    }

    /// An independent copy with the same memory.
    fn fork(&self, py: Python<'_>) -> PyResult<Rule> {
        let (own, text) = (self.own.clone(), self.text.clone());
        let state = py.detach(|| guarded(|| lock(&self.state).fork()))?;
        Ok(Rule { state: Mutex::new(state), own, text })
    }

    /// Its memory, in a format of its own.
    fn save<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyBytes>> {
        let memory = py.detach(|| guarded(|| lock(&self.state).save()))?;
        Ok(PyBytes::new(py, pack(&memory).to_string().as_bytes()))
    }

    /// Takes up a memory that `save` gave.
    fn load(&self, py: Python<'_>, bytes: &[u8]) -> PyResult<()> {
        let wrong = || PyValueError::new_err("this is no memory of a rule, or it is damaged");
        let json: Json = serde_json::from_slice(bytes).map_err(|_| wrong())?;
        let memory = unpack(&json).ok_or_else(wrong)?;
        py.detach(|| guarded(|| lock(&self.state).load(&memory)))?.map_err(refused)
    }
}

/// The rows of a packed matrix that are named.
fn pick(data: &[f64], d: usize, which: &[u32]) -> Vec<Vec<f64>> {
    which.iter().map(|&i| data[i as usize * d..][..d].to_vec()).collect()
}

impl Rule {
    /// A copy of the rule, for whoever tries rows on it.
    pub(crate) fn pipeline(&self, py: Python<'_>) -> PyResult<Pipeline> {
        py.detach(|| guarded(|| lock(&self.state).fork()))
    }

    fn single(
        &self,
        data: &[f32],
        (n, d): (usize, usize),
        f: usize,
        call: &Call,
    ) -> PyResult<(Vec<f32>, Said)> {
        let admitted = Admitted::of(data, n, d);
        let mut pipeline = lock(&self.state);
        let used = self.demand(&pipeline, (n, f), &admitted.kept, &admitted.refused)?;
        let weights = self.weights(&pipeline, call, n, &admitted.kept, used)?;
        let (mut out, mut verdict) = (vec![0.0; d], Verdict::default());
        let (gradient, params) = (call.server_gradient.clone(), call.params.clone());
        for (what, vector) in [("server_gradient", &gradient), ("parameters", &params)] {
            if let Some(found) = vector.as_ref().map(Vec::len).filter(|found| *found != d) {
                return Err(PyValueError::new_err(format!(
                    "{what} has d = {d} numbers; got {found}"
                )));
            }
        }
        let loss = Python::attach(|py| call.loss.as_ref().map(|loss| loss.clone_ref(py)));
        if pipeline.needs_oracle() && gradient.is_none() && loss.is_none() {
            let text = "asks for the server's own data: give server_gradient= or loss=";
            return Err(PyValueError::new_err(format!("{} {text}", pipeline.spec())));
        }
        let mut oracle = Asked { gradient, loss };
        let params =
            params.unwrap_or_else(|| if pipeline.needs_oracle() { vec![0.0; d] } else { vec![] });
        let mut round = Round {
            weights: weights.as_deref(),
            seed: Seed(call.seed),
            step: call.step,
            params: &params,
            learning_rate: call.learning_rate,
            oracle: Some(&mut oracle),
            ..Round::of(admitted.rows(), used)
        };
        pipeline.aggregate(&mut round, &mut out, &mut verdict);
        let Admitted { kept, refused, .. } = admitted;
        let said = Said {
            verdict,
            f: (f, used),
            n,
            d,
            kept,
            refused,
            weights,
            step: call.step,
            seed: call.seed,
        };
        Ok((out, said))
    }

    fn double(&self, data: &[f64], d: usize, f: usize, call: &Call) -> PyResult<(Vec<f64>, Said)> {
        let n = data.len().checked_div(d).unwrap_or(0);
        let (mut kept, mut refused) = (Vec::new(), Vec::new());
        for i in 0..n {
            let row = &data[i * d..][..d];
            match row.iter().position(|x| !x.is_finite()) {
                Some(k) => refused.push((i as u32, format!("{} at coordinate {k}", row[k]))),
                None => kept.push(i as u32),
            }
        }
        let pipeline = lock(&self.state);
        let used = self.demand(&pipeline, (n, f), &kept, &refused)?;
        let weights = self.weights(&pipeline, call, n, &kept, used)?;
        let rows = pick(data, d, &kept);
        let round = exact::Round {
            rows: &rows,
            ids: &kept,
            f: used,
            weights: weights.as_deref(),
            step: call.step,
            seed: Seed(call.seed),
            stage: 0,
        };
        let mut verdict = Verdict::default();
        let out = pipeline.exact(&round, &mut verdict).map_err(crate::border::refused)?;
        let (step, seed) = (call.step, call.seed);
        Ok((out, Said { verdict, f: (f, used), n, d, kept, refused, weights, step, seed }))
    }

    /// The f that is left, once n and f are found to be in order.
    fn demand(
        &self,
        pipeline: &Pipeline,
        (n, f): (usize, usize),
        kept: &[u32],
        refused: &[(u32, String)],
    ) -> PyResult<usize> {
        let used = left(f, n, refused, pipeline.spec())?;
        pipeline.check(kept.len(), used).map_err(|error| spread(error, refused))?;
        pipeline.fits(n, used).map_err(|error| spread(error, refused))?;
        Ok(used)
    }

    fn weights(
        &self,
        pipeline: &Pipeline,
        call: &Call,
        n: usize,
        kept: &[u32],
        f: usize,
    ) -> PyResult<Option<Vec<f64>>> {
        let Some(all) = &call.weights else { return Ok(None) };
        if all.len() != n {
            let found = all.len();
            return Err(PyValueError::new_err(format!(
                "weights: one a row; got {found} for {n} rows"
            )));
        }
        let weights: Vec<f64> = kept.iter().map(|&id| all[id as usize]).collect();
        let checked = pipeline.check_weights(&weights, weights.len(), f);
        checked.map_err(|error| refused(error.at("weights")))?;
        Ok(Some(weights))
    }

    fn with_refused(&self, mut found: Vec<Evidence>, said: &Said) -> Vec<String> {
        let spec = lock(&self.state).spec().to_owned();
        let shape = (said.kept.len(), said.f.1, said.d);
        let refused = said
            .refused
            .iter()
            .map(|(row, why)| Evidence::refused(&spec, shape, said.step, *row, why.clone()));
        found.extend(refused);
        found.sort_by_key(|one| one.worker);
        let line = |one: &Evidence| serde_json::to_string(one).expect("plain values");
        found.iter().map(line).collect()
    }
}

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
                let mixed = py.detach(|| {
                    guarded(|| {
                        let admitted = Admitted::of(data, n, d);
                        let mut stages = lock(&self.0);
                        let used = demand(&stages, n, &admitted.refused)?;
                        let round = Round::of(admitted.rows(), used);
                        Ok::<_, PyErr>(stages.rows(&mut Round { seed: Seed(seed), step, ..round }))
                    })
                })??;
                let rows: Vec<Vec<f32>> = mixed.rows().iter().map(<[f32]>::to_vec).collect();
                Ok(PyArray2::from_vec2(py, &rows)?.into_any())
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

/// Memory as JSON: floats by their bits, so that what is not finite survives too.
pub(crate) fn pack(memory: &Memory) -> Json {
    let values = memory.values.iter().map(|(name, value)| {
        let packed = match value {
            Value::Floats(x) => {
                serde_json::json!({"f32": x.iter().map(|x| x.to_bits()).collect::<Vec<_>>()})
            }
            Value::Doubles(x) => {
                serde_json::json!({"f64": x.iter().map(|x| x.to_bits()).collect::<Vec<_>>()})
            }
            Value::Integers(x) => serde_json::json!({"u64": x}),
        };
        (name.clone(), packed)
    });
    Json::Object(values.collect())
}

pub(crate) fn unpack(json: &Json) -> Option<Memory> {
    let mut memory = Memory::default();
    for (name, value) in json.as_object()? {
        let (kind, numbers) = value.as_object()?.iter().next()?;
        let numbers: Option<Vec<u64>> = numbers.as_array()?.iter().map(Json::as_u64).collect();
        let numbers = numbers?;
        let value = match kind.as_str() {
            "f32" => {
                let bits = numbers.into_iter().map(|x| u32::try_from(x).ok().map(f32::from_bits));
                Value::Floats(bits.collect::<Option<_>>()?)
            }
            "f64" => Value::Doubles(numbers.into_iter().map(f64::from_bits).collect()),
            "u64" => Value::Integers(numbers),
            _ => return None,
        };
        memory.put(name, value);
    }
    Some(memory)
}
