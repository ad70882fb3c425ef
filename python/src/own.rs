//! Rules, stages and attacks that Python wrote, as entries of their own.
//!
//! An entry is static and its `build` is a plain function, so each object has a number: the one
//! value that its entry's only parameter takes.

use crate::border::{leave, refused};
use crate::watch::Inside;
use numpy::{PyArray1, PyArray2, PyArrayMethods, PyReadonlyArray1, PyReadonlyArray2};
use pyo3::exceptions::{PyReferenceError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyWeakrefMethods, PyWeakrefReference};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use varangian_attacks::{Attack, AttackEntry, AttackFacts, Sees, View};
use varangian_base::{Args, Kind, Memory, Param, RowsMut, SpecError};
use varangian_learn::data::DataEntry;
use varangian_learn::model::ModelEntry;
use varangian_rules::{Bound as Least, Round, Rule, RuleEntry, RuleFacts, Stage, Verdict, exact};

/// The name of the parameter that holds an object's number.
const NUMBER: &str = "object";

/// What stands behind the numbers, for as long as somebody has its entry.
pub(crate) struct Shelf<T>(Mutex<Vec<Option<T>>>);

impl<T: Send + 'static> Shelf<T> {
    pub(crate) const fn new() -> Self {
        Shelf(Mutex::new(Vec::new()))
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Option<T>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts something on the shelf: the one parameter of its entry, and what takes it down again
    /// when it is dropped.
    pub(crate) fn put(&'static self, thing: T) -> (&'static [Param], Arc<dyn Send + Sync>) {
        let mut all = self.lock();
        all.push(Some(thing));
        let number = all.len() - 1;
        let param = Param {
            name: NUMBER,
            kind: Kind::Count { min: number, max: number },
            default: leak(&number.to_string()),
            help: "the Python object that it is",
        };
        (Vec::leak(vec![param]), Arc::new(Place { shelf: self, number }))
    }

    /// What an entry's parameters name.
    ///
    /// # Errors
    /// If nobody has it any more.
    pub(crate) fn take<U>(
        &self,
        args: &Args,
        copy: impl FnOnce(&T) -> Option<U>,
    ) -> Result<U, SpecError> {
        let number = args.count(NUMBER).expect("it has a default");
        let all = self.lock();
        all[number].as_ref().and_then(copy).ok_or_else(|| {
            SpecError::new("the Python object that it was is gone: keep it for as long as its name")
        })
    }
}

struct Place<T: Send + 'static> {
    shelf: &'static Shelf<T>,
    number: usize,
}

impl<T: Send + 'static> Drop for Place<T> {
    fn drop(&mut self) {
        let thing = self.shelf.lock()[self.number].take();
        // Out of the lock: whatever goes with it may come here again.
        drop(thing);
    }
}

/// Rules and attacks, which hold their entries themselves: by weak references, where they have any.
static OBJECTS: Shelf<Object> = Shelf::new();

/// Models, which nobody else holds.
static MODELS: Shelf<Py<PyAny>> = Shelf::new();

/// An object of the user's.
enum Object {
    Strong(Py<PyAny>),
    Weak(Py<PyWeakrefReference>),
}

impl Object {
    fn of(object: &Bound<'_, PyAny>) -> Self {
        match PyWeakrefReference::new(object) {
            Ok(weak) => Object::Weak(weak.unbind()),
            // A class with slots and none for that.
            Err(_) => Object::Strong(object.clone().unbind()),
        }
    }

    fn copy(&self, py: Python<'_>) -> Self {
        match self {
            Object::Strong(object) => Object::Strong(object.clone_ref(py)),
            Object::Weak(weak) => Object::Weak(weak.clone_ref(py)),
        }
    }

    fn get(&self, py: Python<'_>) -> Py<PyAny> {
        match self {
            Object::Strong(object) => object.clone_ref(py),
            Object::Weak(weak) => match weak.bind(py).upgrade() {
                Some(object) => object.unbind(),
                None => leave(py, PyReferenceError::new_err("the object that it was is gone")),
            },
        }
    }
}

/// An entry of something that Python wrote.
#[derive(Clone)]
#[pyclass(frozen, from_py_object, module = "varangian._core")]
pub(crate) struct Own {
    pub(crate) kind: Brought,
    /// Takes it off its shelf with the last copy of this.
    _place: Arc<dyn Send + Sync>,
}

impl Own {
    pub(crate) fn new(kind: Brought, place: Arc<dyn Send + Sync>) -> Self {
        Own { kind, _place: place }
    }
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

/// Keeps a model for as long as its entry.
pub(crate) fn keep_model(object: Py<PyAny>) -> (&'static [Param], Arc<dyn Send + Sync>) {
    MODELS.put(object)
}

/// The model of an entry. First the interpreter, then the shelf: whoever has it waits for nobody.
pub(crate) fn kept_model(args: &Args) -> Result<Py<PyAny>, SpecError> {
    Python::attach(|py| MODELS.take(args, |object| Some(object.clone_ref(py))))
}

fn kept(args: &Args) -> Result<Object, SpecError> {
    Python::attach(|py| OBJECTS.take(args, |object| Some(object.copy(py))))
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
    let inside = Inside::enter(py);
    let answer = object.bind(py).call_method1(method, arguments);
    drop(inside);
    answer.unwrap_or_else(|error| leave(py, error))
}

/// A rule that Python wrote: `object._aggregate(rows, f)`.
struct PyRule(Object);

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
            let answer = ask(py, &self.0.get(py), "_aggregate", (rows, round.f));
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
            let answer = ask(py, &self.0.get(py), "_aggregate", (rows, round.f));
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
            let copy = ask(py, &self.0.get(py), "_fork", ());
            Box::new(PyRule(Object::Strong(copy.unbind())))
        })
    }

    fn save(&self) -> Memory {
        Python::attach(|py| {
            let text: String = ask(py, &self.0.get(py), "_save", ())
                .extract()
                .unwrap_or_else(|error: PyErr| leave(py, error));
            let json = serde_json::from_str(&text).unwrap_or_default();
            crate::memory::unpack(&json).unwrap_or_default()
        })
    }

    fn load(&mut self, memory: &Memory) -> Result<(), SpecError> {
        let text = crate::memory::pack(memory).to_string();
        Python::attach(|py| {
            let object = self.0.get(py);
            let _inside = Inside::enter(py);
            let done = object.bind(py).call_method1("_load", (text,));
            done.map(|_| ()).map_err(|error| SpecError::new(error.to_string()))
        })
    }
}

/// An entry for a rule that Python wrote, which holds it.
#[pyfunction]
pub(crate) fn rule(
    object: &Bound<'_, PyAny>,
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
    let (params, place) = OBJECTS.put(Object::of(object));
    let entry: &'static RuleEntry = Box::leak(Box::new(RuleEntry {
        name: leak(name),
        summary: leak(summary),
        paper: leak(paper),
        differs: &[],
        params,
        cost: "that of Python",
        facts: RuleFacts { bound, has_memory, ..RuleFacts::RULE },
        build: |args| Ok(Box::new(Stage::Rule(Box::new(PyRule(kept(args)?))))),
    }));
    entry.sound("rule").map_err(refused)?;
    Ok(Own::new(Brought::Rule(entry), place))
}

/// An attack that Python wrote: `object._forge(honest, own, view)`.
struct PyAttack(Object);

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
            let answer = ask(py, &self.0.get(py), "_forge", (honest, own, about));
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
        Python::attach(|py| {
            let copy = ask(py, &self.0.get(py), "_fork", ());
            Box::new(PyAttack(Object::Strong(copy.unbind())))
        })
    }
}

/// An entry for an attack that Python wrote, which holds it.
#[pyfunction]
pub(crate) fn attack(
    object: &Bound<'_, PyAny>,
    name: &str,
    summary: &str,
    paper: &str,
) -> PyResult<Own> {
    let sees = Sees { own: true, ..Sees::HONEST };
    let (params, place) = OBJECTS.put(Object::of(object));
    let entry: &'static AttackEntry = Box::leak(Box::new(AttackEntry {
        name: leak(name),
        summary: leak(summary),
        paper: leak(paper),
        differs: &[],
        params,
        cost: "that of Python",
        facts: AttackFacts { wild: true, ..AttackFacts::remembers(sees) },
        build: |args| Ok(Box::new(PyAttack(kept(args)?))),
    }));
    entry.sound("attack").map_err(refused)?;
    Ok(Own::new(Brought::Attack(entry), place))
}
