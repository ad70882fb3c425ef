//! Messages that are more than one gradient at the server's parameters: of local steps, of several
//! minibatches, of a copy of the parameters.

use super::{Bench, Job, Poison, Worker};
use crate::Broadcast;
use varangian_learn::model::Prepared;
use varangian_learn::optim::{Local, Trail};
use varangian_rules::cyclic_code;

impl Worker {
    /// RSA: writes the signs of how far the server is from this worker's copy, and moves the copy
    /// by a gradient there and by the penalty.
    pub(super) fn couple(
        &mut self,
        job: &Job<'_>,
        broadcast: &Broadcast<'_>,
        lambda: f32,
        poison: Option<&dyn Poison>,
        bench: &mut Bench,
        out: &mut [f32],
    ) -> f64 {
        let mut copy = std::mem::take(&mut self.copy);
        if copy.len() != out.len() {
            copy = broadcast.params.to_vec();
        }
        let mut prepared = std::mem::replace(&mut bench.prepared, Box::new(()));
        job.model.prepare(&copy, &mut prepared);
        let loss = self.sample(job, broadcast.step, (&copy, &prepared), poison, bench, out);
        bench.prepared = prepared;
        let rate = broadcast.rate as f32;
        for ((x, sent), &server) in copy.iter_mut().zip(out).zip(broadcast.params) {
            let ahead = sign(server - *x);
            *x -= rate * (*sent - lambda * ahead);
            *sent = ahead;
        }
        self.copy = copy;
        loss
    }

    /// Election coding: the sum of the signs of several workers' gradients, into `out`. Returns the
    /// mean of their losses.
    pub(super) fn elect(
        &mut self,
        job: &Job<'_>,
        (step, times): (u64, u32),
        start: (&[f32], &Prepared),
        poison: Option<&dyn Poison>,
        bench: &mut Bench,
        out: &mut [f32],
    ) -> f64 {
        out.fill(0.0);
        self.around(job, (step, times), start, poison, bench, |_, fresh| {
            out.iter_mut().zip(fresh).for_each(|(sum, &x)| *sum += sign(x));
        })
    }

    /// Takes the gradients of the minibatches of this worker and of those after it, and tells each
    /// with its place. Returns the mean of their losses.
    fn around(
        &mut self,
        job: &Job<'_>,
        (step, times): (u64, u32),
        start: (&[f32], &Prepared),
        poison: Option<&dyn Poison>,
        bench: &mut Bench,
        mut told: impl FnMut(usize, &[f32]),
    ) -> f64 {
        let (mut fresh, mut loss) = (std::mem::take(&mut bench.fresh), 0.0);
        fresh.resize(job.model.dim(), 0.0);
        for k in 0..times {
            self.of = job.sampler.beside(self.id, k);
            loss += self.sample(job, step, start, poison, bench, &mut fresh);
            told(k as usize, &fresh);
        }
        self.of = self.id;
        bench.fresh = fresh;
        loss / f64::from(times)
    }

    /// DRACO's cyclic code: a weighted sum of several workers' gradients, into `out`. Returns the
    /// mean of their losses.
    pub(super) fn encode(
        &mut self,
        job: &Job<'_>,
        (step, times): (u64, u32),
        start: (&[f32], &Prepared),
        poison: Option<&dyn Poison>,
        bench: &mut Bench,
        out: &mut [f32],
    ) -> f64 {
        let mut sums = vec![0.0; out.len()];
        let code = cyclic_code(job.sampler.ring(self.id) as usize, times as usize);
        let loss = self.around(job, (step, times), start, poison, bench, |k, fresh| {
            sums.iter_mut().zip(fresh).for_each(|(sum, &x)| *sum += code[k] * f64::from(x));
        });
        out.iter_mut().zip(&sums).for_each(|(x, &sum)| *x = sum as f32);
        loss
    }

    /// Makes the local steps from `start`, and adds up their gradients in `out`. Returns the mean
    /// of their losses.
    pub(super) fn descend(
        &mut self,
        job: &Job<'_>,
        broadcast: &Broadcast<'_>,
        start: (&[f32], &Prepared),
        poison: Option<&dyn Poison>,
        bench: &mut Bench,
        out: &mut [f32],
    ) -> f64 {
        if !job.optimiser.inner.is_plain() {
            return self.travel(job, broadcast, start, poison, bench, out);
        }
        let Local { steps, rate } = job.optimiser.local;
        let rate = rate.unwrap_or(broadcast.rate) as f32;
        let first = broadcast.step * steps;
        let mut loss = self.sample(job, first, start, poison, bench, out);
        let mut point = std::mem::take(&mut bench.point);
        let mut fresh = std::mem::take(&mut bench.fresh);
        let mut prepared = std::mem::replace(&mut bench.prepared, Box::new(()));
        for draw in first + 1..first + steps {
            point.clear();
            point.extend(start.0.iter().zip(out.iter()).map(|(&p, &moved)| p - rate * moved));
            fresh.resize(out.len(), 0.0);
            job.model.prepare(&point, &mut prepared);
            loss += self.sample(job, draw, (&point, &prepared), poison, bench, &mut fresh);
            out.iter_mut().zip(&fresh).for_each(|(sum, &x)| *sum += x);
        }
        (bench.point, bench.fresh, bench.prepared) = (point, fresh, prepared);
        loss / steps as f64
    }

    /// Makes the local steps from `start` by an optimiser of its own, and leaves the movement, or
    /// the movement over the local rate, in `out`. Returns the mean loss.
    fn travel(
        &mut self,
        job: &Job<'_>,
        broadcast: &Broadcast<'_>,
        start: (&[f32], &Prepared),
        poison: Option<&dyn Poison>,
        bench: &mut Bench,
        out: &mut [f32],
    ) -> f64 {
        let (Local { steps, rate }, inner) = (job.optimiser.local, job.optimiser.inner);
        let rate = rate.unwrap_or(broadcast.rate);
        let mut point = std::mem::take(&mut bench.point);
        let mut prepared = std::mem::replace(&mut bench.prepared, Box::new(()));
        let mut trail = std::mem::take(&mut self.trail);
        point.clear();
        point.extend_from_slice(start.0);
        inner.begin(&mut trail);
        let (first, mut loss) = (broadcast.step * steps, 0.0);
        for draw in first..first + steps {
            loss += if draw == first {
                self.sample(job, draw, start, poison, bench, out)
            } else {
                job.model.prepare(&point, &mut prepared);
                self.sample(job, draw, (&point, &prepared), poison, bench, out)
            };
            inner.step(rate, &mut trail, out, &mut point);
        }
        let over = if inner.sends_movement() { 1.0 } else { rate as f32 };
        for ((x, &from), &to) in out.iter_mut().zip(start.0).zip(&point) {
            *x = (from - to) / over;
        }
        // One step that leads nowhere is refused; those after it begin anew.
        let lost = out.iter().any(|x| !x.is_finite());
        self.trail = if lost { Trail::default() } else { trail };
        (bench.point, bench.prepared) = (point, prepared);
        loss / steps as f64
    }
}

fn sign(x: f32) -> f32 {
    f32::from(i8::from(x > 0.0) - i8::from(x < 0.0))
}
