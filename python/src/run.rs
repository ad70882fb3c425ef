//! Experiments from Python.

use crate::border::{failed, guarded, raised};
use crate::own::{Brought, Own};
use crate::watch::{Inside, watched};
use numpy::PyArray1;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use varangian_lab::config::Source;
use varangian_lab::results::{Fate, Outcome};
use varangian_lab::run::{Events, Live};
use varangian_lab::{Experiment, Failure};

/// Tells Python what happens, and stops where it is asked to.
struct Listener {
    /// Called with a word and what it is about.
    told: Option<Py<PyAny>>,
    steps: bool,
    stop: Arc<AtomicBool>,
    /// What a listener raised: everything stops, and it is raised again.
    error: Option<PyErr>,
    /// Evaluations that were told, by run.
    seen: BTreeMap<String, usize>,
    /// Outcomes in the order in which they came: a run that stops has them too.
    over: Vec<Outcome>,
}

impl Listener {
    fn tell(&mut self, py: Python<'_>, what: &str, about: PyResult<Bound<'_, PyAny>>) {
        let Some(told) = &self.told else { return };
        let inside = Inside::enter(py);
        let done = about.and_then(|about| told.call1(py, (what, about)));
        drop(inside);
        if let Err(error) = done {
            self.error.get_or_insert(error);
            self.stop.store(true, Ordering::Relaxed);
        }
    }
}

fn live<'py>(py: Python<'py>, run: &Live) -> PyResult<Bound<'py, PyAny>> {
    let about = PyDict::new(py);
    about.set_item("key", &run.key)?;
    about.set_item("rule", &run.rule)?;
    about.set_item("attack", &run.attack)?;
    about.set_item("setting", &run.setting)?;
    about.set_item("seed", run.seed)?;
    about.set_item("step", run.step)?;
    about.set_item("steps", run.steps)?;
    about.set_item("weights", run.weights.clone())?;
    about.set_item("refused", run.refused.clone())?;
    about.set_item("reasons", run.reasons.clone())?;
    about.set_item("hostile", run.hostile.clone())?;
    about.set_item("expelled", run.expelled.clone())?;
    about.set_item("skipped", run.skipped)?;
    if let Some((step, value)) = run.curve.last() {
        about.set_item("metric", if run.classifies { "accuracy" } else { "test_loss" })?;
        about.set_item("evaluated", *step)?;
        about.set_item("value", *value)?;
    }
    Ok(about.into_any())
}

impl Events for Listener {
    fn note(&mut self, text: &str) {
        Python::attach(|py| {
            self.tell(py, "note", text.into_pyobject(py).map(Bound::into_any).map_err(Into::into))
        });
    }

    fn text(&mut self, text: &str) {
        Python::attach(|py| {
            self.tell(py, "text", text.into_pyobject(py).map(Bound::into_any).map_err(Into::into))
        });
    }

    fn begin(&mut self, runs: usize, steps: u64) {
        Python::attach(|py| {
            self.tell(py, "begin", (runs, steps).into_pyobject(py).map(Bound::into_any))
        });
    }

    fn step(&mut self, run: &Live) {
        if self.told.is_none() {
            return;
        }
        let evaluated = self.seen.insert(run.key.clone(), run.curve.len());
        let fresh = run.curve.len() > evaluated.unwrap_or(0);
        if self.steps || fresh {
            Python::attach(|py| {
                if fresh {
                    self.tell(py, "evaluation", live(py, run));
                }
                if self.steps {
                    self.tell(py, "step", live(py, run));
                }
            });
        }
    }

    fn finished(&mut self, outcome: &Outcome, done: usize, line: &str) {
        self.over.push(outcome.clone());
        Python::attach(|py| {
            let about = told(py, outcome).and_then(|about| {
                about.set_item("done", done)?;
                about.set_item("line", line)?;
                Ok(about.into_any())
            });
            self.tell(py, "end", about);
        });
    }

    fn stop(&mut self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }
}

/// A run's outcome: settings, curves as (steps, values), how it ended.
fn told<'py>(py: Python<'py>, outcome: &Outcome) -> PyResult<Bound<'py, PyDict>> {
    let about = PyDict::new(py);
    about.set_item("key", &outcome.key)?;
    let settings = PyDict::new(py);
    for (key, value) in outcome.settings.table() {
        match value {
            toml::Value::Integer(x) => settings.set_item(key, x)?,
            toml::Value::Float(x) => settings.set_item(key, x)?,
            toml::Value::Boolean(x) => settings.set_item(key, x)?,
            toml::Value::String(x) => settings.set_item(key, x)?,
            other => settings.set_item(key, other.to_string())?,
        }
    }
    about.set_item("settings", settings)?;
    let mut metrics: BTreeMap<&str, (Vec<u64>, Vec<f64>)> = BTreeMap::new();
    for point in &outcome.points {
        let curve = metrics.entry(&point.metric).or_default();
        curve.0.push(point.step);
        curve.1.push(point.value);
    }
    let curves = PyDict::new(py);
    for (metric, (steps, values)) in metrics {
        let curve = (PyArray1::from_vec(py, steps), PyArray1::from_vec(py, values));
        curves.set_item(metric, curve)?;
    }
    about.set_item("curves", curves)?;
    about.set_item("finished", outcome.is_finished())?;
    about.set_item("error", outcome.end.error())?;
    about.set_item("parameters", &outcome.parameters)?;
    about.set_item("seconds", outcome.seconds)?;
    let fate = Fate::of(outcome);
    about.set_item("diverged", fate.diverged)?;
    about.set_item("collapsed", fate.collapsed)?;
    Ok(about)
}

/// What an experiment is, and how it is run.
#[derive(FromPyObject)]
#[pyo3(from_item_all)]
pub(crate) struct Order {
    /// A file, or else a text of the same form.
    path: Option<PathBuf>,
    text: Option<String>,
    set: Vec<String>,
    out: PathBuf,
    data: Option<PathBuf>,
    threads: Option<usize>,
    jobs: Option<usize>,
    replace: bool,
    save_models: bool,
    version: String,
    /// The model and data set that all runs have, where they came as objects.
    model: Option<String>,
    dataset: Option<String>,
    own: Vec<Own>,
    told: Option<Py<PyAny>>,
    steps: bool,
}

fn experiment(order: &Order) -> Result<Experiment, Failure> {
    let mut experiment = match (&order.path, &order.text) {
        (Some(path), _) => Experiment::load(&Source {
            path: path.clone(),
            set: order.set.clone(),
            ..Source::default()
        })?,
        (None, text) => Experiment::from_text(text.as_deref().unwrap_or_default())?,
    };
    for settings in &mut experiment.runs {
        if let Some(name) = &order.model {
            settings.model.clone_from(name);
        }
        if let Some(name) = &order.dataset {
            settings.dataset.clone_from(name);
        }
    }
    for own in &order.own {
        match own.kind {
            Brought::Rule(entry) => experiment.own.rules.push(entry),
            Brought::Attack(entry) => experiment.own.attacks.push(entry),
            Brought::Model(entry) => experiment.own.models.push(entry),
            Brought::Dataset(entry) => experiment.own.datasets.push(entry),
        }
    }
    experiment.own.version.clone_from(&order.version);
    experiment.how.out = Some(order.out.clone());
    experiment.how.data.clone_from(&order.data);
    experiment.how.threads = order.threads;
    experiment.how.jobs = order.jobs;
    experiment.how.replace = order.replace;
    experiment.how.save_models = order.save_models;
    Ok(experiment)
}

/// What is raised where an experiment failed: what a user's object raised in a run, or what the
/// first run that failed says.
fn why(over: &[Outcome], failure: Failure) -> PyErr {
    let Some(outcome) = over.iter().find(|outcome| !outcome.is_finished()) else {
        return failed(failure);
    };
    let text = outcome.end.error();
    raised(text).unwrap_or_else(|| {
        let settings = &outcome.settings;
        failed(failure.saying(format!("{} × {}: {text}", settings.rule, settings.attack)))
    })
}

/// Does work that runs take, while `told` hears of them and Ctrl-C stops them.
pub(crate) fn listened<T: Send + 'static>(
    py: Python<'_>,
    told: Option<Py<PyAny>>,
    steps: bool,
    work: impl FnOnce(&mut dyn Events) -> Result<T, Failure> + Send + 'static,
) -> PyResult<T> {
    let stop = Arc::new(AtomicBool::new(false));
    let mut listener = Listener {
        told,
        steps,
        stop: Arc::clone(&stop),
        error: None,
        seen: BTreeMap::new(),
        over: Vec::new(),
    };
    let (done, listener) = watched(py, &stop, move || {
        let done = guarded(|| work(&mut listener));
        (done, listener)
    })?;
    if let Some(error) = listener.error {
        return Err(error);
    }
    // A run ends as failed where an object of the user's raised in it: that is what they see.
    done?.map_err(|failure| why(&listener.over, failure))
}

/// Runs an experiment: its name, and the outcomes in its order.
#[pyfunction]
pub(crate) fn run<'py>(py: Python<'py>, order: Order) -> PyResult<(String, Bound<'py, PyList>)> {
    let experiment = experiment(&order).map_err(failed)?;
    let name = experiment.name.clone();
    let heard = order.told.as_ref().map(|told| told.clone_ref(py));
    let outcomes = listened(py, heard, order.steps, move |events| experiment.run(events))?;
    let list = PyList::empty(py);
    for outcome in &outcomes {
        list.append(told(py, outcome)?)?;
    }
    Ok((name, list))
}
