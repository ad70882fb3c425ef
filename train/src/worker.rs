//! A worker: minibatch, gradient, clipping, momentum, and what is sent of it.

mod reduced;
mod saved;
mod several;

use varangian_base::{Coins, Domain, Seed, Signs, Stream, lanes};
use varangian_learn::data::Shape;
use varangian_learn::model::{Model, Place, Prepared, Workspace};
use varangian_learn::optim::{Message, Optimiser, Placement, Trail, add_to, polar, sanitise};
use varangian_learn::{Batch, Dataset, Sampler};

use crate::Broadcast;

/// What every worker of a run shares.
#[derive(Clone, Copy)]
pub struct Job<'a> {
    /// The model.
    pub model: &'a dyn Model,
    /// The training set.
    pub train: &'a dyn Dataset,
    /// Which samples a worker draws.
    pub sampler: &'a dyn Sampler,
    /// Clipping, regularisation, momentum.
    pub optimiser: &'a Optimiser,
    /// The run's seed.
    pub seed: Seed,
}

/// What a hostile worker does to the samples that it drew. Honest workers pass none, and a worker
/// that links no attack knows of none.
pub trait Poison: Sync {
    /// Rewrites inputs of this shape and labels, each below `classes`, of a minibatch of `step`;
    /// `stream` is the worker's own for this draw. Real-valued targets stay.
    fn poison(&self, batch: &mut Batch, on: (Shape, u32), step: u64, stream: &mut Stream);
}

impl Job<'_> {
    /// Whether each worker's step is one gradient at the parameters that the server published,
    /// which the model would rather compute for all workers at once: by [`Worker::draw`],
    /// [`Model::gradients`] and [`Worker::finish`] in place of [`Worker::gradient`].
    pub fn is_at_once(&self) -> bool {
        let momentum = &self.optimiser.momentum;
        let ahead = momentum.placement.is_at_worker() && momentum.nesterov;
        let own = self.optimiser.message.is_own();
        self.model.takes_all_at_once() && self.optimiser.is_one_gradient() && !ahead && !own
    }
}

/// Scratch memory of one thread: a worker sits down at any free bench.
pub struct Bench {
    workspace: Workspace,
    batch: Batch,
    indices: Vec<u32>,
    ahead: Vec<f32>,
    /// Where a local step stands, and its gradient.
    point: Vec<f32>,
    fresh: Vec<f32>,
    prepared: Prepared,
    ballot: Signs,
}

impl Bench {
    /// A bench for `model`.
    pub fn new(model: &dyn Model) -> Self {
        Bench {
            workspace: model.workspace(),
            batch: Batch::default(),
            indices: Vec::new(),
            ahead: Vec::new(),
            point: Vec::new(),
            fresh: Vec::new(),
            prepared: Box::new(()),
            ballot: Signs::default(),
        }
    }
}

/// One worker: its id, its momentum where that lives at the worker, what compression left out of
/// its messages, its copy of the parameters where it has one, and what the optimiser of its local
/// steps remembers.
pub struct Worker {
    id: u32,
    /// Whether it sends gradients as they are where others send their momentum.
    bare: bool,
    /// Whose minibatch it draws: another's in election coding.
    of: u32,
    /// Its own parameters in RSA, those of the step before in Byz-VR-MARINA and Byz-DASHA-PAGE;
    /// empty before its first step.
    copy: Vec<f32>,
    /// The step of that copy, in Byz-VR-MARINA and Byz-DASHA-PAGE; in STORM how many messages there
    /// were.
    copied: u64,
    /// Its estimate of its gradient, in Byz-DASHA-PAGE; empty before its first step.
    estimate: Vec<f32>,
    /// In SAGA, the last gradient of each of its samples, in the order of its share, and their
    /// mean; in STORM its last message.
    table: Vec<f32>,
    average: Vec<f64>,
    momentum: Vec<f32>,
    /// The momentum of the momentum.
    twice: Vec<f32>,
    /// What compression left out, or what the server keeps of the worker where messages are
    /// differences to that.
    residual: Vec<f32>,
    trail: Trail,
    statistics: Vec<f32>,
    sanitised: u64,
}

impl Worker {
    /// Worker `id` with a momentum of zero.
    pub fn new(id: u32) -> Self {
        let (momentum, twice, residual, trail, statistics) = Default::default();
        let (copy, copied, estimate, table, average) = Default::default();
        Worker {
            id,
            bare: false,
            of: id,
            copy,
            copied,
            estimate,
            table,
            average,
            momentum,
            twice,
            residual,
            trail,
            statistics,
            sanitised: 0,
        }
    }

    /// The same without a momentum of its own, where workers have one.
    pub fn without_momentum(self) -> Self {
        Worker { bare: true, ..self }
    }

    /// The worker as it was before its first step.
    pub fn afresh(&self) -> Self {
        Worker { bare: self.bare, ..Worker::new(self.id) }
    }

    /// Its id.
    pub fn id(&self) -> u32 {
        self.id
    }

    /// The batch statistics that its last forward pass measured, in the layout of the model's
    /// buffers; empty for models without.
    pub fn statistics(&self) -> &[f32] {
        &self.statistics
    }

    /// Non-finite coordinates of its gradients that were counted as 0, which happens only where
    /// signs are sent: as vectors the intake refuses them.
    pub fn sanitised(&self) -> u64 {
        self.sanitised
    }

    /// Computes the message of this step into `out` and returns the mean loss over its minibatches.
    ///
    /// `prepared` is the model's preparation at the broadcast's parameters. A hostile worker passes
    /// what it does to its labels. A study asks for a copy of the clipped gradient before
    /// momentum, in `sampled`.
    pub fn gradient(
        &mut self,
        job: &Job<'_>,
        broadcast: &Broadcast<'_>,
        prepared: &Prepared,
        poison: Option<&dyn Poison>,
        bench: &mut Bench,
        sampled: Option<&mut [f32]>,
        out: &mut [f32],
    ) -> f64 {
        let momentum = &job.optimiser.momentum;
        let at_worker = self.has_momentum(job, out.len());
        let start = (broadcast.params, prepared);
        let loss = if let Message::Coupled { lambda } = job.optimiser.message {
            self.couple(job, broadcast, lambda, poison, bench, out)
        } else if let Message::Election { times } = job.optimiser.message {
            self.elect(job, (broadcast.step, times), start, poison, bench, out)
        } else if let Message::Marina { whole } = job.optimiser.message {
            self.compare(job, broadcast, whole, start, poison, bench, out)
        } else if let Message::Dasha { whole, pull } = job.optimiser.message {
            self.keep_up(job, broadcast.step, (whole, pull), start, poison, bench, out)
        } else if let Message::Cyclic { times } = job.optimiser.message {
            self.encode(job, (broadcast.step, times), start, poison, bench, out)
        } else if job.optimiser.message == Message::Saga {
            self.correct(job, broadcast.step, start, poison, bench, out)
        } else if let Message::Storm { beta } = job.optimiser.message {
            self.follow(job, broadcast.step, beta, start, poison, bench, out)
        } else if at_worker && momentum.nesterov {
            let mut ahead = std::mem::take(&mut bench.ahead);
            ahead.resize(out.len(), 0.0);
            momentum.look_ahead(broadcast.params, &self.momentum, broadcast.rate, &mut ahead);
            let mut own = std::mem::replace(&mut bench.prepared, Box::new(()));
            job.model.prepare(&ahead, &mut own);
            let loss = self.descend(job, broadcast, (&ahead, &own), poison, bench, out);
            (bench.ahead, bench.prepared) = (ahead, own);
            loss
        } else {
            self.descend(job, broadcast, start, poison, bench, out)
        };
        self.send(job, broadcast, bench, sampled, out);
        loss
    }

    /// Draws the minibatch of this step into `batch`.
    pub fn draw(
        &self,
        job: &Job<'_>,
        broadcast: &Broadcast<'_>,
        poison: Option<&dyn Poison>,
        batch: &mut Batch,
    ) -> Place {
        let mut indices = Vec::new();
        job.sampler.draw(self.of, broadcast.step, &mut indices);
        self.load_batch(job, broadcast.step, poison, &indices, batch);
        Place { seed: job.seed, worker: self.id, step: broadcast.step }
    }

    /// Makes the message of this step of the model's gradient in `out`, as [`Worker::gradient`]
    /// does of its own, and returns the loss, with the regulariser's.
    pub fn finish(
        &mut self,
        job: &Job<'_>,
        broadcast: &Broadcast<'_>,
        (loss, statistics): (f64, &[f32]),
        bench: &mut Bench,
        sampled: Option<&mut [f32]>,
        out: &mut [f32],
    ) -> f64 {
        self.statistics.clear();
        self.statistics.extend_from_slice(statistics);
        let loss = self.temper(job, broadcast.params, loss, out);
        self.send(job, broadcast, bench, sampled, out);
        loss
    }

    /// Whether momentum lives here; then there is room for it.
    fn has_momentum(&mut self, job: &Job<'_>, d: usize) -> bool {
        let momentum = &job.optimiser.momentum;
        let has = momentum.placement.is_at_worker() && momentum.coefficient > 0.0;
        let at_worker = has && !self.bare;
        if at_worker && self.momentum.is_empty() {
            self.momentum = vec![0.0; d];
        }
        at_worker
    }

    /// From the clipped gradient to what is sent.
    fn send(
        &mut self,
        job: &Job<'_>,
        broadcast: &Broadcast<'_>,
        bench: &mut Bench,
        sampled: Option<&mut [f32]>,
        out: &mut [f32],
    ) {
        let (momentum, at_worker) = (&job.optimiser.momentum, self.has_momentum(job, out.len()));
        if let Some(sampled) = sampled {
            sampled.copy_from_slice(out);
        }
        if at_worker {
            momentum.accumulate_and_send(&mut self.momentum, out);
            if momentum.placement == Placement::WorkerTwice {
                self.twice.resize(out.len(), 0.0);
                momentum.accumulate_and_send(&mut self.twice, out);
            }
        } else if momentum.placement == Placement::Server {
            momentum.blend(out, broadcast.previous);
        }
        let coins = Coins { seed: job.seed, worker: self.id, step: broadcast.step };
        if let Message::Polar { iterations, .. } = job.optimiser.message {
            polar(job.model.tensors(), iterations, out);
        }
        job.optimiser.message.apply(out, coins, &mut bench.ballot);
        job.optimiser.of_rows().apply(out, &mut self.residual, coins);
        if job.optimiser.message.is_difference() && out.iter().all(|x| x.is_finite()) {
            // What the server makes of it.
            add_to(&mut self.residual, out);
        }
    }

    /// The clipped gradient of minibatch `draw` at these parameters, into `out`, and its loss.
    fn sample(
        &mut self,
        job: &Job<'_>,
        draw: u64,
        at: (&[f32], &Prepared),
        poison: Option<&dyn Poison>,
        bench: &mut Bench,
        out: &mut [f32],
    ) -> f64 {
        let mut indices = std::mem::take(&mut bench.indices);
        job.sampler.draw(self.of, draw, &mut indices);
        let loss = self.raw(job, draw, &indices, at, poison, bench, out);
        bench.indices = indices;
        self.temper(job, at.0, loss, out)
    }

    /// The gradient of these samples at these parameters, as the model gives it, into `out`, and
    /// its loss. Whatever is drawn of it is drawn at `draw`.
    fn raw(
        &mut self,
        job: &Job<'_>,
        draw: u64,
        indices: &[u32],
        (params, prepared): (&[f32], &Prepared),
        poison: Option<&dyn Poison>,
        bench: &mut Bench,
        out: &mut [f32],
    ) -> f64 {
        self.load_batch(job, draw, poison, indices, &mut bench.batch);
        let place = Place { seed: job.seed, worker: self.of, step: draw };
        let Bench { workspace, batch, .. } = bench;
        let loss = job.model.gradient(params, prepared, batch, place, workspace, out);
        self.statistics.resize(job.model.buffers(), 0.0);
        job.model.statistics(workspace, &mut self.statistics);
        loss
    }

    /// Regularises and clips the gradient in `out`, and returns the loss with the regulariser's.
    fn temper(&mut self, job: &Job<'_>, params: &[f32], mut loss: f64, out: &mut [f32]) -> f64 {
        if job.optimiser.message.is_sign() {
            self.sanitised += sanitise(out);
        }
        loss += job.optimiser.regulariser.apply(params, out);
        if let Some(clip) = &job.optimiser.clip {
            clip.apply(out);
        }
        loss
    }

    /// Fills in these samples as of `draw` and, for a hostile worker, poisons their labels.
    fn load_batch(
        &self,
        job: &Job<'_>,
        draw: u64,
        poison: Option<&dyn Poison>,
        indices: &[u32],
        batch: &mut Batch,
    ) {
        let mut augment = job.seed.stream(Domain::Augment, self.of, draw);
        job.train.fill(indices, &mut augment, batch);
        if let Some(poison) = poison {
            let mut stream = job.seed.lane(Domain::Attack, self.id, draw, lanes::attack::POISON);
            let on = (job.train.shape(), job.train.classes() as u32);
            poison.poison(batch, on, draw / job.optimiser.local.steps, &mut stream);
        }
    }
}
