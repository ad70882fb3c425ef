//! Attacks over arrays.

use crate::border::{guarded, refused};
use crate::memory::{pack, unpack};
use crate::own::{Brought, Own};
use crate::rule::Rule;
use numpy::{PyArray2, PyReadonlyArray2};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::PyBytes;
use std::sync::{Mutex, PoisonError};
use varangian_attacks::{self as attacks, AttackEntry, Ground, Labels, View};
use varangian_base::{Domain, Matrix, Rows, Seed, entry, lanes, spec};
use varangian_train::TrialRule;

/// An attack of colluding workers.
#[pyclass(frozen, module = "varangian._core")]
pub(crate) struct Attack {
    state: Mutex<Box<dyn attacks::Attack>>,
    entry: &'static AttackEntry,
    text: String,
}

#[pymethods]
impl Attack {
    #[new]
    fn new(text: String, own: Vec<Own>) -> PyResult<Self> {
        let mine = |own: &Own| match own.kind {
            Brought::Attack(entry) => Some(entry),
            _ => None,
        };
        let own: Vec<&'static AttackEntry> = own.iter().filter_map(mine).collect();
        let name = spec::parse(&text).map_err(refused)?.name;
        let all = entry::among("attack", attacks::ALL, &own).map_err(refused)?;
        let entry = entry::find("attack", &all, &name).map_err(refused)?;
        let attack = attacks::build_among(&text, &own).map_err(refused)?;
        Ok(Attack { state: Mutex::new(attack), entry, text })
    }

    /// Its text.
    #[getter]
    fn spec(&self) -> String {
        self.text.clone()
    }

    /// Whether it tries rows on the rule.
    #[getter]
    fn tries_rule(&self, py: Python<'_>) -> bool {
        py.detach(|| self.lock().sees().rule)
    }

    /// What f hostile workers send beside these honest rows; `own` is what they would have sent.
    #[pyo3(signature = (honest, own, f, step, seed, rule=None))]
    fn forge<'py>(
        &self,
        py: Python<'py>,
        honest: PyReadonlyArray2<'py, f32>,
        own: PyReadonlyArray2<'py, f32>,
        f: usize,
        step: u64,
        seed: u64,
        rule: Option<PyRef<'py, Rule>>,
    ) -> PyResult<Bound<'py, PyArray2<f32>>> {
        let ([h, d], hostile) = (dims(&honest), dims(&own)[0]);
        let (honest, own) = (honest.as_slice()?, own.as_slice()?);
        if own.len() != hostile * d {
            return Err(PyValueError::new_err(format!("own rows have d = {d} coordinates")));
        }
        let pipeline = match &rule {
            Some(rule) => rule.pipeline(py)?,
            None => varangian_rules::Pipeline::parse("average").map_err(refused)?,
        };
        let has_rule = rule.is_some();
        let forged = py.detach(|| {
            guarded(|| {
                let (honest, own) = (Rows::new(honest, h, d), Rows::new(own, hostile, d));
                let mut attack = self.lock();
                let name = self.entry.name;
                if attack.sees().rule && !has_rule {
                    let text = format!("{name} tries rows on the rule; give it rule=");
                    return Err(PyValueError::new_err(text));
                }
                if !honest.is_finite() || !own.is_finite() {
                    return Err(PyValueError::new_err("honest rows are finite; some are not"));
                }
                let ids: Vec<u32> = (0..h as u32).collect();
                let fits = attack.fits(Ground { honest: &ids, d, classes: None, image: None });
                if self.entry.facts.poisons && fits.is_err() {
                    let text = format!("{name} changes labels; rows have none: see .poison");
                    return Err(PyValueError::new_err(text));
                }
                attack.check(h, hostile, f).and(fits).map_err(|condition| {
                    let text = format!(
                        "{name} needs {condition}; got {h} honest rows and {hostile} hostile, f = {f}"
                    );
                    PyValueError::new_err(text)
                })?;
                if pipeline.needs_oracle() {
                    let text = "the rule asks for the loss on data, which no attacker has";
                    return Err(PyValueError::new_err(text));
                }
                let named = varangian_train::named(&**attack, (h + hostile, f)).map_err(refused)?;
                let pipeline = named.unwrap_or(pipeline);
                let (zeros, mut forged) = (vec![0.0; d], Matrix::zeros(hostile, d));
                let mut probe = TrialRule::new(pipeline, f);
                // Hostile workers are the last ones, as in a training.
                let all: Vec<u32> = (0..(h + hostile) as u32).collect();
                let (honest, own) = (honest.with_ids(&all[..h]), own.with_ids(&all[h..]));
                let view = View::of(honest, own, &zeros, &mut probe);
                let mut view = View { f, step, seed: Seed(seed), ..view };
                if hostile > 0 {
                    attack.forge(&mut view, forged.rows_mut());
                }
                Ok(forged.rows().iter().map(<[f32]>::to_vec).collect::<Vec<_>>())
            })
        })??;
        match forged.is_empty() {
            true => Ok(PyArray2::zeros(py, [0, d], false)),
            false => Ok(PyArray2::from_vec2(py, &forged)?),
        }
    }

    /// The labels that a hostile worker trains on in place of these.
    fn poison(
        &self,
        py: Python<'_>,
        mut labels: Vec<u32>,
        classes: u32,
        place: (usize, usize),
        step: u64,
        seed: u64,
    ) -> PyResult<Vec<u32>> {
        let (hostile, of) = place;
        if !self.entry.facts.poisons {
            return Err(PyValueError::new_err(format!("{} changes no labels", self.entry.name)));
        }
        if let Some(label) = labels.iter().find(|label| **label >= classes) {
            let text = format!("labels are below classes = {classes}; got {label}");
            return Err(PyValueError::new_err(text));
        }
        py.detach(|| {
            guarded(|| {
                let seed = Seed(seed);
                let mut stream =
                    seed.lane(Domain::Attack, hostile as u32, step, lanes::attack::POISON);
                let given = Labels { labels: &mut labels, classes, hostile, of, step };
                self.lock().poison(given, &mut stream);
            })
        })?;
        Ok(labels)
    }

    /// Its memory, in a format of its own.
    fn save<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyBytes>> {
        let memory = py.detach(|| guarded(|| self.lock().save()))?;
        Ok(PyBytes::new(py, pack(&memory).to_string().as_bytes()))
    }

    /// Takes up a memory that `save` gave.
    fn load(&self, py: Python<'_>, bytes: &[u8]) -> PyResult<()> {
        let wrong = || PyValueError::new_err("this is no memory of an attack, or it is damaged");
        let json: serde_json::Value = serde_json::from_slice(bytes).map_err(|_| wrong())?;
        let memory = unpack(&json).ok_or_else(wrong)?;
        py.detach(|| guarded(|| self.lock().load(&memory)))?.map_err(refused)
    }

    /// An independent copy with the same memory.
    fn fork(&self, py: Python<'_>) -> PyResult<Attack> {
        let state = py.detach(|| guarded(|| self.lock().fork()))?;
        Ok(Attack { state: Mutex::new(state), entry: self.entry, text: self.text.clone() })
    }
}

fn dims(rows: &PyReadonlyArray2<'_, f32>) -> [usize; 2] {
    let (n, d) = rows.as_array().dim();
    [n, d]
}

impl Attack {
    fn lock(&self) -> std::sync::MutexGuard<'_, Box<dyn attacks::Attack>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
