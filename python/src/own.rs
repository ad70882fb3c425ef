//! Rules, stages and attacks that Python wrote, as entries of their own.
//!
//! An entry is static and its `build` is a plain function, so each object has a number: the one
//! value that its entry's only parameter takes.

use crate::border::{leave, refused};
use numpy::{PyArray1, PyArray2, PyArrayMethods, PyReadonlyArray1, PyReadonlyArray2};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use std::sync::{Mutex, PoisonError};
use varangian_attacks::{Attack, AttackEntry, AttackFacts, Sees, View};
use varangian_base::{Args, Kind, Memory, Param, RowsMut, SpecError};
use varangian_learn::data::DataEntry;
use varangian_learn::model::ModelEntry;
use varangian_rules::{Bound as Least, Round, Rule, RuleEntry, RuleFacts, Stage, Verdict, exact};

/// The name of the parameter that holds an object's number.
pub(crate) const NUMBER: &str = "object";

/// Every object that was ever brought, by number. They stay: runs may name them.
static OBJECTS: Mutex<Vec<Py<PyAny>>> = Mutex::new(Vec::new());

/// An entry of something that Python wrote.
#[derive(Clone)]
#[pyclass(frozen, from_py_object, module = "varangian._core")]
pub(crate) struct Own {
    pub(crate) kind: Brought,
}

/// What was brought.
#[derive(Clone, Copy)]
pub(crate) enum Brought {
    Rule(&'static RuleEntry),
    Attack(&'static AttackEntry),
    Model(&'static ModelEntry),
    Dataset(&'static DataEntry),
}

#[pymethods]
impl Own {
    /// The name by which texts and experiments call it.
    #[getter]
    fn name(&self) -> &'static str {
        match self.kind {
            Brought::Rule(entry) => entry.name,
            Brought::Attack(entry) => entry.name,
            Brought::Model(entry) => entry.name,
            Brought::Dataset(entry) => entry.name,
        }
    }
}

/// The rules among what was brought.
pub(crate) fn rules_of(own: &[Own]) -> Vec<&'static RuleEntry> {
    let rule = |own: &Own| match own.kind {
        Brought::Rule(entry) => Some(entry),
        _ => None,
    };
    own.iter().filter_map(rule).collect()
}

/// Keeps an object: the one parameter of its entry.
pub(crate) fn keep(object: Py<PyAny>) -> &'static [Param] {
    let mut objects = OBJECTS.lock().unwrap_or_else(PoisonError::into_inner);
    objects.push(object);
    let number = objects.len() - 1;
    let param = Param {
        name: NUMBER,
        kind: Kind::Count { min: number, max: number },
        default: leak(&number.to_string()),
        help: "the Python object that it is",
    };
    Vec::leak(vec![param])
}

/// The object of an entry.
pub(crate) fn kept(args: &Args) -> Py<PyAny> {
    let number = args.count(NUMBER).expect("it has a default");
    // First the interpreter, then the list: whoever has the list waits for nobody.
    Python::attach(|py| {
        let objects = OBJECTS.lock().unwrap_or_else(PoisonError::into_inner);
        objects[number].clone_ref(py)
    })
}

pub(crate) fn leak(text: &str) -> &'static str {
    Box::leak(text.to_owned().into_boxed_str())
}

/// What `object.method(*arguments)` answers; what it raises leaves the machines.
pub(crate) fn ask<'py, A: pyo3::call::PyCallArgs<'py>>(
    py: Python<'py>,
    object: &Py<PyAny>,
    method: &str,
    arguments: A,
) -> Bound<'py, PyAny> {
    let answer = object.bind(py).call_method1(method, arguments);
    answer.unwrap_or_else(|error| leave(py, error))
}

/// A rule that Python wrote: `object._aggregate(rows, f)`.
struct PyRule(Py<PyAny>);

impl Rule for PyRule {
    fn aggregate(&mut self, round: &mut Round<'_>, out: &mut [f32], _: &mut Verdict) {
        let (n, d) = (round.rows.n(), round.rows.d());
        let (mut rows, mut room) = (Vec::with_capacity(n * d), vec![0.0; d]);
        for i in 0..n {
            rows.extend_from_slice(round.rows.row(i, &mut room));
        }
        Python::attach(|py| {
            let rows = PyArray1::from_vec(py, rows);
            let rows = rows.reshape([n, d]).unwrap_or_else(|error| leave(py, error));
            let answer = ask(py, &self.0, "_aggregate", (rows, round.f, round.step, round.seed.0));
            let answer: PyReadonlyArray1<'_, f32> =
                answer.extract().unwrap_or_else(|error: PyErr| leave(py, error));
            match answer.as_slice() {
                Ok(values) if values.len() == d => out.copy_from_slice(values),
                _ => leave(py, PyValueError::new_err(format!("a rule answers d = {d} numbers"))),
            }
        });
    }

    fn exact(&self, round: &exact::Round<'_>, _: &mut Verdict) -> Result<Vec<f64>, String> {
        let (n, d) = (round.n(), round.d());
        let rows: Vec<f64> = round.rows.iter().flatten().copied().collect();
        Python::attach(|py| {
            let rows = PyArray1::from_vec(py, rows).reshape([n, d]);
            let rows = rows.unwrap_or_else(|error| leave(py, error));
            let answer = ask(py, &self.0, "_aggregate", (rows, round.f, round.step, round.seed.0));
            let answer: PyReadonlyArray1<'_, f64> =
                answer.extract().unwrap_or_else(|error: PyErr| leave(py, error));
            match answer.as_slice() {
                Ok(values) if values.len() == d => Ok(values.to_vec()),
                _ => leave(py, PyValueError::new_err(format!("a rule answers d = {d} numbers"))),
            }
        })
    }

    fn fork(&self) -> Box<dyn Rule> {
        Python::attach(|py| {
            let copy = ask(py, &self.0, "_fork", ());
            Box::new(PyRule(copy.unbind()))
        })
    }

    fn save(&self) -> Memory {
        Python::attach(|py| {
            let text: String = ask(py, &self.0, "_save", ())
                .extract()
                .unwrap_or_else(|error: PyErr| leave(py, error));
            let json = serde_json::from_str(&text).unwrap_or_default();
            crate::memory::unpack(&json).unwrap_or_default()
        })
    }

    fn load(&mut self, memory: &Memory) -> Result<(), SpecError> {
        let text = crate::memory::pack(memory).to_string();
        Python::attach(|py| {
            let done = self.0.bind(py).call_method1("_load", (text,));
            done.map(|_| ()).map_err(|error| SpecError::new(error.to_string()))
        })
    }
}

/// An entry for a rule that Python wrote; `least` is the least n for each f from 0.
#[pyfunction]
pub(crate) fn rule(
    object: Py<PyAny>,
    name: &str,
    summary: &str,
    paper: &str,
    bound: &str,
    has_memory: bool,
) -> PyResult<Own> {
    let bound = match bound {
        "any" => Least::ANY,
        "majority" => Least::majority("declared in Python"),
        other => {
            let text =
                format!("a bound is \"any\" (f < n) or \"majority\" (n > 2f); got {other:?}");
            return Err(PyValueError::new_err(text));
        }
    };
    let entry: &'static RuleEntry = Box::leak(Box::new(RuleEntry {
        name: leak(name),
        summary: leak(summary),
        paper: leak(paper),
        differs: &[],
        params: keep(object),
        cost: "that of Python",
        facts: RuleFacts { bound, has_memory, ..RuleFacts::RULE },
        build: |args| Ok(Box::new(Stage::Rule(Box::new(PyRule(kept(args)))))),
    }));
    entry.sound("rule").map_err(refused)?;
    Ok(Own { kind: Brought::Rule(entry) })
}

/// An attack that Python wrote: `object._forge(honest, own, view)`.
struct PyAttack(Py<PyAny>);

impl Attack for PyAttack {
    fn forge(&mut self, view: &mut View<'_>, mut out: RowsMut<'_>) {
        let (hostile, d) = (out.n(), out.d());
        let flat = |rows: varangian_base::Rows<'_>| -> Vec<f32> {
            rows.iter().flatten().copied().collect()
        };
        let (honest, own) = (flat(view.honest), flat(view.own));
        Python::attach(|py| {
            let matrix = |data: Vec<f32>, n: usize| {
                let matrix = PyArray1::from_vec(py, data).reshape([n, d]);
                matrix.unwrap_or_else(|error| leave(py, error))
            };
            let (honest, own): (Bound<'_, PyArray2<f32>>, _) =
                (matrix(honest, view.honest.n()), matrix(own, hostile));
            let about = (view.n, view.f, view.step, view.seed.0, view.learning_rate);
            let answer = ask(py, &self.0, "_forge", (honest, own, about));
            let rows: PyReadonlyArray2<'_, f32> =
                answer.extract().unwrap_or_else(|error: PyErr| leave(py, error));
            let found = rows.as_array().dim();
            match rows.as_slice() {
                Ok(data) if found == (hostile, d) => {
                    for i in 0..hostile {
                        out.row_mut(i).copy_from_slice(&data[i * d..][..d]);
                    }
                }
                _ => {
                    let text = format!("an attack answers {hostile} × {d} numbers; got {found:?}");
                    leave(py, PyValueError::new_err(text))
                }
            }
        });
    }

    fn sees(&self) -> Sees {
        Sees { own: true, ..Sees::HONEST }
    }

    fn fork(&self) -> Box<dyn Attack> {
        Python::attach(|py| Box::new(PyAttack(ask(py, &self.0, "_fork", ()).unbind())))
    }
}

/// An entry for an attack that Python wrote.
#[pyfunction]
pub(crate) fn attack(object: Py<PyAny>, name: &str, summary: &str, paper: &str) -> PyResult<Own> {
    let sees = Sees { own: true, ..Sees::HONEST };
    let entry: &'static AttackEntry = Box::leak(Box::new(AttackEntry {
        name: leak(name),
        summary: leak(summary),
        paper: leak(paper),
        differs: &[],
        params: keep(object),
        cost: "that of Python",
        facts: AttackFacts { wild: true, ..AttackFacts::remembers(sees) },
        build: |args| Ok(Box::new(PyAttack(kept(args)))),
    }));
    entry.sound("attack").map_err(refused)?;
    Ok(Own { kind: Brought::Attack(entry) })
}
