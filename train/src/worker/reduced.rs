//! Messages of less variance: on a finite sum of losses a whole gradient now and then and what has
//! changed since (Byz-VR-MARINA), or a gradient corrected by the last ones of all samples (SAGA);
//! on any losses a momentum corrected by what has changed since (STORM).

use super::{Bench, Job, Poison, Worker};
use crate::Broadcast;
use varangian_base::{Coins, Domain, lanes};
use varangian_learn::model::Prepared;

/// Samples of one pass where a gradient is taken over all that a worker has.
const PASS: usize = 512;

impl Worker {
    /// Byz-VR-MARINA's estimate of the gradient, into `out`; returns the loss. Cost: two gradients
    /// of a minibatch, or one of the whole share.
    pub(super) fn compare(
        &mut self,
        job: &Job<'_>,
        broadcast: &Broadcast<'_>,
        whole: f64,
        start: (&[f32], &Prepared),
        poison: Option<&dyn Poison>,
        bench: &mut Bench,
        out: &mut [f32],
    ) -> f64 {
        let step = broadcast.step;
        let (is_whole, loss) = self.differ(job, step, whole, start, poison, bench, out);
        if !is_whole {
            let coins = Coins { seed: job.seed, worker: self.id, step };
            job.optimiser.compression.apply(out, &mut self.residual, coins);
            out.iter_mut().zip(broadcast.previous).for_each(|(x, last)| *x += last);
        }
        loss
    }

    /// Byz-DASHA-PAGE's message before it is shortened, into `out`: what has changed of the
    /// worker's estimate, and a part of what the server's copy of it lacks. Returns the loss. Cost:
    /// that of [`Worker::compare`].
    pub(super) fn keep_up(
        &mut self,
        job: &Job<'_>,
        step: u64,
        (whole, pull): (f64, Option<f64>),
        start: (&[f32], &Prepared),
        poison: Option<&dyn Poison>,
        bench: &mut Bench,
        out: &mut [f32],
    ) -> f64 {
        let d = out.len();
        self.estimate.resize(d, 0.0);
        self.residual.resize(d, 0.0);
        let (is_whole, loss) = self.differ(job, step, whole, start, poison, bench, out);
        if out.iter().any(|x| !x.is_finite()) {
            // The server refuses it: the estimate stays, and the next one is of all samples.
            self.copy.clear();
            return loss;
        }
        let variance = job.optimiser.compression.variance(d);
        let pull = pull.unwrap_or(1.0 / (2.0 * variance + 1.0)) as f32;
        for ((x, h), g) in out.iter_mut().zip(&mut self.estimate).zip(&self.residual) {
            let next = if is_whole { *x } else { (*h + *x).clamp(f32::MIN, f32::MAX) };
            *x = (next - *h - pull * (g - *h)).clamp(f32::MIN, f32::MAX);
            *h = next;
        }
        loss
    }

    /// The gradient over all of the worker's samples, or what the gradient of one minibatch has
    /// changed by since the step before, into `out`; which of the two, and the loss.
    fn differ(
        &mut self,
        job: &Job<'_>,
        step: u64,
        whole: f64,
        start: (&[f32], &Prepared),
        poison: Option<&dyn Poison>,
        bench: &mut Bench,
        out: &mut [f32],
    ) -> (bool, f64) {
        let mut copy = std::mem::take(&mut self.copy);
        let follows = copy.len() == out.len() && self.copied + 1 == step;
        let mut coin = job.seed.lane(Domain::Batch, lanes::batch::ALL, step, lanes::batch::WHOLE);
        let is_whole = coin.coin(whole) || !follows;
        let loss = if is_whole {
            self.over_share(job, step, start, poison, bench, out)
        } else {
            let loss = self.sample(job, step, start, poison, bench, out);
            let mut prepared = std::mem::replace(&mut bench.prepared, Box::new(()));
            let mut before = std::mem::take(&mut bench.fresh);
            before.resize(out.len(), 0.0);
            job.model.prepare(&copy, &mut prepared);
            self.sample(job, step, (&copy, &prepared), poison, bench, &mut before);
            out.iter_mut().zip(&before).for_each(|(x, before)| *x -= before);
            (bench.prepared, bench.fresh) = (prepared, before);
            loss
        };
        copy.clear();
        copy.extend_from_slice(start.0);
        (self.copy, self.copied) = (copy, step);
        (is_whole, loss)
    }

    /// STORM's estimate of the gradient, into `out`; returns the loss. Cost: two gradients of a
    /// minibatch, one at the first message.
    pub(super) fn follow(
        &mut self,
        job: &Job<'_>,
        step: u64,
        beta: Option<f64>,
        start: (&[f32], &Prepared),
        poison: Option<&dyn Poison>,
        bench: &mut Bench,
        out: &mut [f32],
    ) -> f64 {
        let loss = self.sample(job, step, start, poison, bench, out);
        let kept = 1.0 - beta.unwrap_or(1.0 / (self.copied + 1) as f64);
        if self.copied > 0 && kept > 0.0 {
            let (mut copy, mut before) = (Vec::new(), std::mem::take(&mut bench.fresh));
            std::mem::swap(&mut copy, &mut self.copy);
            let mut prepared = std::mem::replace(&mut bench.prepared, Box::new(()));
            before.resize(out.len(), 0.0);
            job.model.prepare(&copy, &mut prepared);
            let statistics = std::mem::take(&mut self.statistics);
            self.sample(job, step, (&copy, &prepared), poison, bench, &mut before);
            self.statistics = statistics;
            for ((x, &last), &before) in out.iter_mut().zip(&self.table).zip(&before) {
                *x = (f64::from(*x) + kept * (f64::from(last) - f64::from(before))) as f32;
            }
            (bench.prepared, bench.fresh, self.copy) = (prepared, before, copy);
        }
        self.copy.clear();
        self.copy.extend_from_slice(start.0);
        self.table.clear();
        self.table.extend_from_slice(out);
        self.copied += 1;
        loss
    }

    /// The gradient over all of the worker's samples, regularised and clipped, into `out`, and its
    /// loss.
    fn over_share(
        &mut self,
        job: &Job<'_>,
        step: u64,
        start: (&[f32], &Prepared),
        poison: Option<&dyn Poison>,
        bench: &mut Bench,
        out: &mut [f32],
    ) -> f64 {
        let share = job.sampler.share(self.of);
        let (mut sum, mut loss) = (vec![0.0f64; out.len()], 0.0);
        for part in share.chunks(PASS) {
            let weight = part.len() as f64 / share.len() as f64;
            loss += weight * self.raw(job, step, part, start, poison, bench, out);
            sum.iter_mut().zip(&*out).for_each(|(sum, &x)| *sum += weight * f64::from(x));
        }
        out.iter_mut().zip(&sum).for_each(|(x, &sum)| *x = sum as f32);
        self.temper(job, start.0, loss, out)
    }

    /// SAGA's estimate of the gradient, into `out`; returns the loss. Cost: a gradient a sample of
    /// the minibatch, at the first step one a sample of the share. The penalty on the parameters is
    /// the same for all samples, so that it is added exactly and is not in the table.
    pub(super) fn correct(
        &mut self,
        job: &Job<'_>,
        step: u64,
        start: (&[f32], &Prepared),
        poison: Option<&dyn Poison>,
        bench: &mut Bench,
        out: &mut [f32],
    ) -> f64 {
        let (share, d) = (job.sampler.share(self.of), out.len());
        let each = 1.0 / share.len() as f64;
        if self.table.len() != share.len() * d {
            let mut table = vec![0.0; share.len() * d];
            self.average = vec![0.0; d];
            for (row, sample) in table.chunks_exact_mut(d).zip(share.chunks(1)) {
                self.raw(job, step, sample, start, poison, bench, row);
                let mean = self.average.iter_mut().zip(&*row);
                mean.for_each(|(mean, &x)| *mean += each * f64::from(x));
            }
            self.table = table;
        }
        let mut indices = std::mem::take(&mut bench.indices);
        job.sampler.draw(self.of, step, &mut indices);
        let mut fresh = std::mem::take(&mut bench.fresh);
        fresh.resize(indices.len() * d, 0.0);
        let of = |sample: u32| share.iter().position(|&one| one == sample).expect("of the share");
        let (mut sum, mut loss) = (self.average.clone(), 0.0);
        let weight = 1.0 / indices.len() as f64;
        for (row, sample) in fresh.chunks_exact_mut(d).zip(indices.chunks(1)) {
            loss += weight * self.raw(job, step, sample, start, poison, bench, row);
            let kept = &self.table[of(sample[0]) * d..][..d];
            let terms = sum.iter_mut().zip(&*row).zip(kept);
            terms.for_each(|((sum, &x), &kept)| *sum += weight * (f64::from(x) - f64::from(kept)));
        }
        // Only now: of a sample that was drawn twice both gradients met what was kept before.
        for (row, &sample) in fresh.chunks_exact(d).zip(&indices) {
            let kept = &mut self.table[of(sample) * d..][..d];
            for ((mean, kept), &x) in self.average.iter_mut().zip(kept).zip(row) {
                *mean += each * (f64::from(x) - f64::from(*kept));
                *kept = x;
            }
        }
        fresh.truncate(d);
        (bench.indices, bench.fresh) = (indices, fresh);
        out.iter_mut().zip(&sum).for_each(|(x, &sum)| *x = sum as f32);
        self.temper(job, start.0, loss, out)
    }
}
