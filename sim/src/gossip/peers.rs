//! A run without a server: own steps, what hostile nodes send, the exchange, evaluations.

use super::air::Air;
use super::mix::Mixing;
use super::{Gossip, Graph, Method};
use crate::Plan;
use crate::lockstep::{Evaluation, StepRecord};
use rayon::prelude::*;
use std::sync::Mutex;
use varangian_base::{Matrix, Rows, SpecError};
use varangian_learn::model::{Prepared, Tally};
use varangian_rules::Pipeline;
use varangian_train::{
    Adversary, Bench, Broadcast, Closed, Evaluator, Held, Job, Poison, Sight, Worker,
};

/// A bench with room for a node's own preparation.
type Seat = (Bench, Prepared);

/// A run without a server, between steps.
pub struct Peers {
    gossip: Gossip,
    plan: Plan,
    graph: Graph,
    eta: f64,
    pub(super) honest: Vec<Worker>,
    pub(super) hostile: Vec<Worker>,
    honest_ids: Vec<u32>,
    hostile_ids: Vec<u32>,
    pub(super) adversary: Adversary,
    /// By honest place: the model, and after its own step.
    pub(super) models: Matrix,
    moved: Matrix,
    /// What hostile nodes would send and what they do send, as gradients and as models.
    own: Matrix,
    forged: Matrix,
    /// The mean of the honest models.
    mean: Vec<f32>,
    zeros: Vec<f32>,
    /// A fork of the rule for each honest node.
    rules: Vec<Pipeline>,
    seats: Mutex<Vec<Seat>>,
    prepared: Prepared,
    evaluator: Evaluator,
    closed: Closed,
    pub(super) step: u64,
}

impl Peers {
    /// Sets the run up at step 0: all nodes begin at the parameters drawn from the seed.
    ///
    /// # Errors
    /// As [`Gossip::check`].
    pub fn new(plan: Plan, gossip: Gossip) -> Result<Self, SpecError> {
        gossip.check(&plan)?;
        let hostile_ids = plan.hostile_ids();
        let is_hostile = |id: &u32| hostile_ids.binary_search(id).is_ok();
        let honest_ids: Vec<u32> = (0..plan.n as u32).filter(|id| !is_hostile(id)).collect();
        let (d, h) = (plan.model.dim(), honest_ids.len());
        let start = plan.model.init(plan.seed);
        let mut models = Matrix::zeros(h, d);
        (0..h).for_each(|place| models.row_mut(place).copy_from_slice(&start));
        let (adversary, liars) = (Adversary::new(plan.attack.fork()), hostile_ids.len());
        let liar = |(k, &id)| adversary.worker(id, k, liars);
        let mut peers = Peers {
            graph: Graph::default(),
            eta: 0.0,
            honest: honest_ids.iter().map(|&id| Worker::new(id)).collect(),
            hostile: hostile_ids.iter().enumerate().map(liar).collect(),
            adversary,
            models,
            moved: Matrix::zeros(h, d),
            own: Matrix::zeros(hostile_ids.len(), d),
            forged: Matrix::zeros(hostile_ids.len(), d),
            mean: start,
            zeros: vec![0.0; d],
            rules: (0..h).map(|_| plan.rule.fork()).collect(),
            seats: Mutex::default(),
            prepared: Box::new(()),
            evaluator: Evaluator::new(plan.test.as_ref(), plan.test_samples),
            closed: Closed { n: plan.n, f: plan.f, ids: honest_ids.clone(), ..Closed::default() },
            step: 0,
            honest_ids,
            hostile_ids,
            plan,
            gossip,
        };
        peers.draw_graph();
        Ok(peers)
    }

    fn draw_graph(&mut self) {
        let Plan { n, seed, .. } = self.plan;
        let at = if self.gossip.changes { self.step } else { 0 };
        self.graph = self.gossip.shape.draw(n, seed, at);
        self.eta = match (self.gossip.method, self.gossip.eta) {
            (Method::CsPlus, None) => {
                let all: Vec<u32> = (0..n as u32).collect();
                let largest = self.graph.laplacian(&all).last().copied().unwrap_or(0.0);
                1.0 / largest.max(1.0)
            }
            (_, eta) => eta.unwrap_or(0.0),
        };
    }

    /// Makes one step and says how it went.
    pub fn step(&mut self) -> StepRecord<'_> {
        if self.gossip.changes {
            self.draw_graph();
        }
        let optimiser = &self.plan.optimiser;
        let epoch = self.plan.sampler.steps_per_epoch() / optimiser.local.steps as f64;
        let rate = optimiser.rate(self.step, epoch);
        let losses = self.descend(rate);
        self.conspire(rate);
        self.exchange();
        self.settle();
        self.closed.step = self.step;
        self.step += 1;
        let loss = losses.iter().sum::<f64>() / losses.len() as f64;
        let (losses, hostile, closed) = (losses.len(), &self.hostile_ids, &self.closed);
        StepRecord { loss, losses, rate, hostile, closed, study: None }
    }

    fn job(plan: &Plan) -> Job<'_> {
        Job {
            model: plan.model.as_ref(),
            train: plan.train.as_ref(),
            sampler: plan.sampler.as_ref(),
            optimiser: &plan.optimiser,
            seed: plan.seed,
        }
    }

    /// Each honest node's own step, one node a thread; their losses.
    fn descend(&mut self, rate: f64) -> Vec<f64> {
        let Peers { plan, honest, models, moved, seats, zeros, step, .. } = self;
        let job = Peers::job(plan);
        let (models, seats) = (models.rows(), &*seats);
        let nodes: Vec<_> = honest.iter_mut().zip(moved.rows_mut().into_iter_mut()).collect();
        let one = |(place, (worker, row)): (usize, (&mut Worker, &mut [f32]))| {
            let params = models.row(place);
            let broadcast = Broadcast { step: *step, params, previous: zeros, rate };
            let loss = message(&job, worker, &broadcast, None, seats, row);
            let rate = rate as f32;
            row.iter_mut().zip(params).for_each(|(x, &from)| *x = from - rate * *x);
            loss
        };
        nodes.into_par_iter().enumerate().map(one).collect()
    }

    /// What the hostile nodes send.
    fn conspire(&mut self, rate: f64) {
        if self.hostile.is_empty() || self.gossip.dissensus > 0.0 {
            return;
        }
        let Peers { plan, adversary, hostile, own, moved, mean, zeros, seats, step, .. } = self;
        let job = Peers::job(plan);
        let broadcast = Broadcast { step: *step, params: mean, previous: zeros, rate };
        if adversary.sees().own {
            let of = hostile.len();
            let rows = own.rows_mut().into_iter_mut();
            for (place, (worker, row)) in hostile.iter_mut().zip(rows).enumerate() {
                let poison = adversary.poisoner(place, of);
                message(&job, worker, &broadcast, Some(&poison), seats, row);
                row.iter_mut().for_each(|x| *x *= rate as f32);
            }
        }
        let mut shown = Matrix::zeros(moved.n(), moved.d());
        for place in 0..moved.n() {
            let terms = shown.row_mut(place).iter_mut().zip(&*mean).zip(moved.row(place));
            terms.for_each(|((out, &mean), &x)| *out = mean - x);
        }
        let held = adversary.sees().loss.then(|| Held::draw(&job, &self.hostile_ids, *step));
        let sight = Sight {
            honest: shown.rows().with_ids(&self.honest_ids),
            own: own.rows().with_ids(&self.hostile_ids),
            n: plan.n,
            f: plan.f,
            server_momentum: &[],
            rule: &plan.rule,
            weights: None,
            held,
            seed: plan.seed,
        };
        adversary.forge(&broadcast, sight, self.forged.rows_mut());
        for row in self.forged.rows_mut().into_iter_mut() {
            row.iter_mut().zip(&*mean).for_each(|(x, &mean)| *x = mean - *x);
        }
    }

    /// Each honest node combines what it has and what it was sent, one node a thread.
    fn exchange(&mut self) {
        let Peers { gossip, plan, graph, models, moved, forged, rules, honest_ids, .. } = self;
        let mixing = Mixing {
            method: gossip.method,
            b: plan.f,
            eta: self.eta,
            step: self.step,
            seed: plan.seed,
        };
        let air = Air {
            graph,
            honest_ids,
            hostile_ids: &self.hostile_ids,
            moved: moved.rows(),
            forged: forged.rows(),
            dissensus: gossip.dissensus,
        };
        let nodes: Vec<_> = rules.iter_mut().zip(models.rows_mut().into_iter_mut()).collect();
        nodes.into_par_iter().enumerate().for_each(|(place, (rule, out))| {
            let (id, mut pushed) = (air.honest_ids[place], Vec::new());
            let sent = air.sent_to(place, &mut pushed);
            mixing.mix((id, air.moved.row(place)), &sent, rule, out);
        });
    }

    /// The mean of the honest models.
    pub(super) fn settle(&mut self) {
        let (models, h) = (self.models.rows(), self.models.n() as f64);
        for (k, mean) in self.mean.iter_mut().enumerate() {
            let sum: f64 = models.iter().map(|row| f64::from(row[k])).sum();
            *mean = (sum / h) as f32;
        }
    }

    /// The mean over honest nodes of the squared distance to the mean of their models.
    pub fn disagreement(&self) -> f64 {
        let away = |row: &[f32]| {
            let squares =
                row.iter().zip(&self.mean).map(|(&x, &m)| (f64::from(x) - f64::from(m)).powi(2));
            squares.sum::<f64>()
        };
        self.models.rows().iter().map(away).sum::<f64>() / self.models.n() as f64
    }

    /// Evaluates each honest node's model on the test samples: sums over nodes and samples.
    pub fn evaluate(&mut self) -> Evaluation {
        let Peers { plan, models, evaluator, prepared, step, .. } = self;
        let mut tally = Tally::default();
        for params in models.rows().iter() {
            plan.model.prepare(params, prepared);
            tally.add(evaluator.run(plan.model.as_ref(), params, prepared, plan.test.as_ref()));
        }
        Evaluation { step: *step, tally }
    }

    /// Evaluates other parameters, those of all nodes before `step`.
    pub fn evaluate_at(&mut self, step: u64, params: &[f32]) -> Evaluation {
        let Peers { plan, evaluator, prepared, .. } = self;
        plan.model.prepare(params, prepared);
        let tally = evaluator.run(plan.model.as_ref(), params, prepared, plan.test.as_ref());
        Evaluation { step, tally }
    }

    /// The mean of the honest nodes' models.
    pub fn params(&self) -> &[f32] {
        &self.mean
    }

    /// The honest nodes' models, in ascending id.
    pub fn models(&self) -> Rows<'_> {
        self.models.rows().with_ids(&self.honest_ids)
    }

    /// Steps made.
    pub fn steps(&self) -> u64 {
        self.step
    }
}

/// A worker's message at its own parameters, into `row`, at any free seat; its loss.
fn message(
    job: &Job<'_>,
    worker: &mut Worker,
    broadcast: &Broadcast<'_>,
    poison: Option<&dyn Poison>,
    seats: &Mutex<Vec<Seat>>,
    row: &mut [f32],
) -> f64 {
    let seat = seats.lock().expect("no thread panicked").pop();
    let (mut bench, mut prepared) =
        seat.unwrap_or_else(|| (Bench::new(job.model), Box::new(()) as Prepared));
    job.model.prepare(broadcast.params, &mut prepared);
    let loss = worker.gradient(job, broadcast, &prepared, poison, &mut bench, None, row);
    seats.lock().expect("no thread panicked").push((bench, prepared));
    loss
}
