//! How the server moves: momentum or adaptive means, weight decay, the step, perturbations.

use crate::escape::{Moment, Search};
use varangian_base::kernels::norms;
use varangian_base::{Memory, SpecError, Value};
use varangian_learn::optim::{Optimiser, Placement, ServerOptimiser};

/// What the server's optimiser remembers between steps.
pub(crate) struct Descent {
    /// The momentum buffer, or m of an adaptive optimiser; empty without either.
    first: Vec<f32>,
    /// v of an adaptive optimiser, or empty.
    second: Vec<f32>,
    /// Steps made; counted for adaptive optimisers and averages only.
    steps: u64,
    /// What scaled signs left out, or empty.
    held: Vec<f32>,
    /// The iterate whose average the parameters are, of use after a step; empty elsewhere.
    iterate: Vec<f32>,
    /// The search for a way out of a saddle, where the optimiser has one.
    search: Option<Search>,
}

impl Descent {
    /// The memory of `optimiser` before the first step, for d parameters.
    pub(crate) fn new(optimiser: &Optimiser, d: usize) -> Self {
        let momentum = optimiser.momentum;
        let keeps = momentum.placement == Placement::Update && momentum.coefficient > 0.0;
        let adapts = matches!(optimiser.server, ServerOptimiser::Adaptive { .. });
        let keeps = keeps || matches!(optimiser.server, ServerOptimiser::Nesterov { .. });
        let averages = matches!(optimiser.server, ServerOptimiser::AnyTime { .. });
        let search = match optimiser.server {
            ServerOptimiser::Perturbed(escape) => Some(Search::new(escape, d)),
            _ => None,
        };
        let holds = matches!(optimiser.server, ServerOptimiser::ScaledSign { feedback: true });
        Descent {
            search,
            held: vec![0.0; if holds { d } else { 0 }],
            first: vec![0.0; if keeps || adapts { d } else { 0 }],
            second: vec![optimiser.server.first_second(); if adapts { d } else { 0 }],
            steps: 0,
            iterate: vec![0.0; if averages { d } else { 0 }],
        }
    }

    /// The momentum buffer, or m; empty without either.
    pub(crate) fn momentum(&self) -> &[f32] {
        &self.first
    }

    /// θ ← (1 − αλ)·θ − α·U, with U the aggregate, the momentum buffer where there is one, or what
    /// another optimiser makes of it. What happened, where it is more than a step.
    pub(crate) fn step(
        &mut self,
        optimiser: &Optimiser,
        (rate, moment): (f64, Moment),
        aggregate: &[f32],
        params: &mut [f32],
    ) -> Option<String> {
        let keep = 1.0 - rate * optimiser.weight_decay;
        if let Some(search) = &mut self.search {
            let descend = |params: &mut [f32]| along(aggregate, (rate, keep), params);
            return search.step(moment, aggregate, params, descend);
        }
        if !self.second.is_empty() {
            self.steps += 1;
            let means = (self.first.as_mut_slice(), self.second.as_mut_slice());
            optimiser.server.step(self.steps, (rate, keep), aggregate, means, params);
            return None;
        }
        if let ServerOptimiser::Nesterov { momentum } = optimiser.server {
            ahead(aggregate, momentum as f32, &mut self.first, (rate, keep), params);
            return None;
        }
        if let ServerOptimiser::ScaledSign { .. } = optimiser.server {
            by_sign(aggregate, &mut self.held, (rate, keep), params);
            return None;
        }
        if let ServerOptimiser::AnyTime { gamma } = optimiser.server {
            self.average(aggregate, gamma, (rate, keep), params);
            return None;
        }
        let direction = if self.first.is_empty() {
            aggregate
        } else {
            optimiser.momentum.accumulate(&mut self.first, aggregate);
            &self.first
        };
        let rate = match optimiser.server {
            ServerOptimiser::Normalised => match norms::norm2(direction).sqrt() {
                0.0 => 0.0,
                norm => rate / norm,
            },
            _ => rate,
        };
        along(direction, (rate, keep), params);
        None
    }

    /// w ← keep·w − rate·cₜ·a; θ ← θ + γₜ·(w − θ), with w₋₁ = θ₋₁.
    fn average(
        &mut self,
        aggregate: &[f32],
        gamma: Option<f64>,
        (rate, keep): (f64, f64),
        params: &mut [f32],
    ) {
        if self.steps == 0 {
            self.iterate.copy_from_slice(params);
        }
        self.steps += 1;
        let t = self.steps as f64;
        let (weight, share) = gamma.map_or((t, 2.0 / (t + 2.0)), |gamma| (1.0, gamma));
        let slots = self.iterate.iter_mut().zip(params).zip(aggregate);
        for ((w, p), &a) in slots {
            *w = (keep * f64::from(*w) - rate * weight * f64::from(a)) as f32;
            *p = (f64::from(*p) + share * (f64::from(*w) - f64::from(*p))) as f32;
        }
    }

    /// Adds the memory to a machine's.
    pub(crate) fn save(&self, memory: &mut Memory) {
        memory.put("velocity", Value::Floats(self.first.clone()));
        if !self.second.is_empty() {
            memory.put("second", Value::Floats(self.second.clone()));
            memory.put("descents", Value::Integers(vec![self.steps]));
        }
        if !self.held.is_empty() {
            memory.put("held", Value::Floats(self.held.clone()));
        }
        if !self.iterate.is_empty() {
            memory.put("iterate", Value::Floats(self.iterate.clone()));
            memory.put("descents", Value::Integers(vec![self.steps]));
        }
        if let Some(search) = &self.search {
            search.save(memory);
        }
    }

    /// Restores what `save` added.
    ///
    /// # Errors
    /// If the memory is of another model or optimiser.
    pub(crate) fn load(&mut self, memory: &Memory) -> Result<(), SpecError> {
        restore(memory, "velocity", &mut self.first)?;
        let averages = !self.iterate.is_empty();
        if averages {
            restore(memory, "iterate", &mut self.iterate)?;
        }
        if !self.second.is_empty() {
            restore(memory, "second", &mut self.second)?;
        }
        if averages || !self.second.is_empty() {
            let steps = memory.integers("descents")?.first();
            self.steps = *steps.ok_or_else(|| SpecError::new("checkpoint: descents is empty"))?;
        }
        if !self.held.is_empty() {
            restore(memory, "held", &mut self.held)?;
        }
        self.search.as_mut().map_or(Ok(()), |search| search.load(memory))
    }
}

/// θ ← keep·θ − rate·u.
fn along(direction: &[f32], (rate, keep): (f64, f64), params: &mut [f32]) {
    let (keep, rate) = (keep as f32, rate as f32);
    for (p, &u) in params.iter_mut().zip(direction) {
        *p = keep * *p - rate * u;
    }
}

/// θ ← keep·θ − rate·C(a + e), e ← a + e − C(a + e), C(x) = (‖x‖₁/d)·sign(x); e = 0 where nothing
/// is held.
fn by_sign(aggregate: &[f32], held: &mut [f32], (rate, keep): (f64, f64), params: &mut [f32]) {
    let whole =
        |held: &[f32], k: usize, a: f32| f64::from(a) + held.get(k).map_or(0.0, |&e| f64::from(e));
    let sum: f64 = aggregate.iter().enumerate().map(|(k, &a)| whole(held, k, a).abs()).sum();
    let length = sum / aggregate.len().max(1) as f64;
    for (k, (p, &a)) in params.iter_mut().zip(aggregate).enumerate() {
        let whole = whole(held, k, a);
        let told = if whole == 0.0 { 0.0 } else { length.copysign(whole) };
        *p = (keep * f64::from(*p) - rate * told) as f32;
        if let Some(e) = held.get_mut(k) {
            *e = (whole - told).clamp(f64::from(f32::MIN), f64::from(f32::MAX)) as f32;
        }
    }
}

/// v ← μ·v + a; θ ← keep·θ − rate·(a + μ·v).
fn ahead(aggregate: &[f32], mu: f32, v: &mut [f32], (rate, keep): (f64, f64), params: &mut [f32]) {
    let (keep, rate) = (keep as f32, rate as f32);
    for ((p, v), &a) in params.iter_mut().zip(v).zip(aggregate) {
        *v = mu * *v + a;
        *p = keep * *p - rate * (a + mu * *v);
    }
}

/// Copies the floats that were saved as `name` over those of `into`.
///
/// # Errors
/// If there are none, or their number is another.
pub(crate) fn restore(memory: &Memory, name: &str, into: &mut [f32]) -> Result<(), SpecError> {
    let saved = memory.floats(name)?;
    if saved.len() != into.len() {
        let (wanted, found) = (into.len(), saved.len());
        return Err(SpecError::new(format!(
            "checkpoint: {name} should hold {wanted} floats; found {found}"
        )));
    }
    into.copy_from_slice(saved);
    Ok(())
}
