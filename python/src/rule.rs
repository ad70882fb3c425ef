//! Rules and stages over arrays.

use crate::admit::{Admitted, Given, left, pick, spread};
use crate::border::{guarded, refused};
use crate::memory::{pack, unpack};
use crate::oracle::Asked;
use crate::own::{Own, rules_of};
use crate::said::Said;
use crate::shards::{self, Dealt, columns};
use crate::shared::{Held, Shared};
use numpy::{PyArray1, PyReadonlyArray1, PyReadonlyArray2, PyReadwriteArray1};
use pyo3::exceptions::{PyRuntimeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::PyBytes;
use serde_json::Value as Json;
use varangian_base::{Rows, Seed, zeros};
use varangian_rules::{Bound as Least, Evidence, Pipeline, Round, Verdict, exact};

/// A rule with its stages.
#[pyclass(frozen, module = "varangian._core")]
pub(crate) struct Rule {
    state: Shared,
    /// Its one spelling.
    spec: String,
    /// Those among its stages that Python wrote.
    own: Vec<Own>,
    text: String,
}

/// All that a call may be given beside rows and f.
#[derive(FromPyObject)]
#[pyo3(from_item_all)]
pub(crate) struct Call {
    pub(crate) weights: Option<Vec<f64>>,
    pub(crate) seed: u64,
    pub(crate) step: u64,
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
        Ok(Rule::of(pipeline, own, text))
    }

    /// Its one spelling.
    #[getter]
    fn spec(&self) -> &str {
        &self.spec
    }

    /// Whether it asks for the server's own data.
    #[getter]
    fn needs_oracle(&self, py: Python<'_>) -> PyResult<bool> {
        py.detach(|| Ok(self.hold()?.needs_oracle()))
    }

    /// Whether it remembers earlier calls.
    #[getter]
    fn has_memory(&self, py: Python<'_>) -> PyResult<bool> {
        py.detach(|| Ok(self.hold()?.has_memory()))
    }

    /// κ, where it is known.
    fn kappa(&self, py: Python<'_>, n: usize, f: usize) -> PyResult<Option<f64>> {
        py.detach(|| Ok(self.hold()?.kappa(n, f)))
    }

    /// Refuses n and f below the bound.
    fn check(&self, py: Python<'_>, n: usize, f: usize) -> PyResult<()> {
        py.detach(|| {
            let pipeline = self.hold()?;
            let fits = || {
                Least::declared(pipeline.spec(), n, f)?;
                pipeline.check(n, f)?;
                pipeline.fits(n, f)
            };
            fits().map_err(refused)
        })
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

    /// Refuses n rows of d columns that are dealt to processes, for a rule that needs them whole.
    fn check_shards(&self, py: Python<'_>, n: usize, d: usize) -> PyResult<()> {
        py.detach(|| self.hold()?.check_shards(n, d).map_err(refused))
    }

    /// Whether an answer's coordinate depends on that coordinate of the rows alone.
    #[getter]
    fn is_coordinate_wise(&self, py: Python<'_>) -> PyResult<bool> {
        py.detach(|| Ok(self.hold()?.is_coordinate_wise()))
    }

    /// Writes the aggregate of the columns that are here, and says what was said about the whole
    /// rows.
    fn aggregate_shard(
        &self,
        py: Python<'_>,
        rows: PyReadonlyArray2<'_, f32>,
        f: usize,
        call: Call,
        dealt: Dealt,
        mut out: PyReadwriteArray1<'_, f32>,
    ) -> PyResult<Said> {
        let (rows, out) = (columns(&rows)?, out.as_slice_mut()?);
        py.detach(|| guarded(|| self.shard(rows, f, &call, &dealt, out)))?
    }

    /// The same of columns of which nobody knows whether they are finite, and whether they are; if
    /// not, the answer is nobody's. `None`, and nothing, from a rule that does not find it in
    /// passing.
    fn aggregate_shard_watching(
        &self,
        py: Python<'_>,
        rows: PyReadonlyArray2<'_, f32>,
        f: usize,
        call: Call,
        dealt: Dealt,
        mut out: PyReadwriteArray1<'_, f32>,
    ) -> PyResult<Option<(bool, Said)>> {
        let (rows, out) = (columns(&rows)?, out.as_slice_mut()?);
        py.detach(|| guarded(|| self.shard_watching(rows, f, &call, &dealt, out)))?
    }

    /// What was found of each row of a call from lengths and distances that somebody measured.
    fn measured_evidence(
        &self,
        py: Python<'_>,
        said: PyRef<'_, Said>,
        measured: [Vec<f64>; 3],
    ) -> PyResult<Vec<String>> {
        let said: &Said = &said;
        let found = py.detach(|| {
            guarded(|| Ok::<_, PyErr>(shards::evidence(&*self.hold()?, said, measured)))
        })??;
        Ok(self.with_refused(found, said))
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
                        let pipeline = self.hold()?;
                        let round = Round {
                            weights: said.weights.as_deref(),
                            step: said.step,
                            ..Round::of(admitted.rows(), said.f.1)
                        };
                        Ok::<_, PyErr>(said.verdict.evidence(&pipeline, &round, out))
                    })
                })??
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
                        Ok::<_, PyErr>(said.verdict.exact_evidence(&*self.hold()?, &round, out))
                    })
                })??
            }
        };
        Ok(self.with_refused(found, said))
    }

    /// An independent copy with the same memory.
    fn fork(&self, py: Python<'_>) -> PyResult<Rule> {
        let (own, text) = (self.own.clone(), self.text.clone());
        let state = py.detach(|| guarded(|| Ok::<_, PyErr>(self.hold()?.fork())))??;
        Ok(Rule::of(state, own, text))
    }

    /// Its memory, in a format of its own.
    fn save<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyBytes>> {
        let memory = py.detach(|| guarded(|| Ok::<_, PyErr>(self.hold()?.save())))??;
        Ok(PyBytes::new(py, pack(&memory).to_string().as_bytes()))
    }

    /// Takes up a memory that `save` gave.
    fn load(&self, py: Python<'_>, bytes: &[u8]) -> PyResult<()> {
        let wrong = || PyValueError::new_err("this is no memory of a rule, or it is damaged");
        let json: Json = serde_json::from_slice(bytes).map_err(|_| wrong())?;
        let memory = unpack(&json).ok_or_else(wrong)?;
        py.detach(|| guarded(|| self.hold()?.load(&memory).map_err(refused)))?
    }
}

impl Rule {
    /// The rule, once other threads are done with it. Called without the interpreter's lock.
    pub(crate) fn hold(&self) -> PyResult<Held<'_>> {
        self.state.hold().ok_or_else(|| {
            let text = format!("{} is being called: it cannot be asked from inside", self.spec);
            PyRuntimeError::new_err(text)
        })
    }

    /// A copy of the rule, for whoever tries rows on it.
    pub(crate) fn pipeline(&self, py: Python<'_>) -> PyResult<Pipeline> {
        py.detach(|| guarded(|| Ok(self.hold()?.fork())))?
    }

    fn of(pipeline: Pipeline, own: Vec<Own>, text: String) -> Self {
        let spec = pipeline.spec().to_owned();
        Rule { state: Shared::new(pipeline), spec, own, text }
    }

    fn single(
        &self,
        data: &[f32],
        (n, d): (usize, usize),
        f: usize,
        call: &Call,
    ) -> PyResult<(Vec<f32>, Said)> {
        let mut pipeline = self.hold()?;
        if let Some(done) = self.at_once(&mut pipeline, Rows::new(data, n, d), f, call) {
            return Ok(done);
        }
        let admitted = Admitted::of(data, n, d);
        let used = self.demand(&pipeline, (n, f), &admitted.kept, &admitted.refused)?;
        let weights = self.weights(&pipeline, call, n, &admitted.kept, used)?;
        let (mut out, mut verdict) = (zeros(d), Verdict::default());
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

    /// The answer to rows that a single pass over them finds to be finite, by a rule that can find
    /// it; nothing where anything is in the way.
    fn at_once(
        &self,
        pipeline: &mut Pipeline,
        rows: Rows<'_>,
        f: usize,
        call: &Call,
    ) -> Option<(Vec<f32>, Said)> {
        let (n, d) = (rows.n(), rows.d());
        let kept: Vec<u32> = (0..n as u32).collect();
        let given = [call.params.is_some(), call.server_gradient.is_some(), call.loss.is_some()];
        if call.weights.is_some()
            || given.contains(&true)
            || self.demand(pipeline, (n, f), &kept, &[]).is_err()
        {
            return None;
        }
        let (mut out, mut verdict) = (zeros(d), Verdict::default());
        let (seed, step) = (Seed(call.seed), call.step);
        let mut round = Round { seed, step, ..Round::of(rows, f) };
        let finite = pipeline.aggregate_watching(&mut round, &mut out, &mut verdict)?;
        let (refused, weights, seed) = (vec![], None, call.seed);
        let said = Said { verdict, f: (f, f), n, d, kept, refused, weights, step, seed };
        finite.then_some((out, said))
    }

    /// The f that is left, once n and f are found to be in order.
    pub(crate) fn demand(
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

    pub(crate) fn weights(
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
        let spec = &self.spec;
        let shape = (said.kept.len(), said.f.1, said.d);
        let refused = said
            .refused
            .iter()
            .map(|(row, why)| Evidence::refused(spec, shape, said.step, *row, why.clone()));
        found.extend(refused);
        found.sort_by_key(|one| one.worker);
        let line = |one: &Evidence| serde_json::to_string(one).expect("plain values");
        found.iter().map(line).collect()
    }
}
