//! The workers of an asynchronous run: who is under way with which model, what they compute, and
//! what the hostile ones send instead.

mod resume;

use rayon::prelude::*;
use std::sync::{Arc, Mutex};
use varangian_attacks::Attack;
use varangian_base::{Coins, Matrix, Seed, SpecError};
use varangian_learn::model::{Prepared, Tally};
use varangian_learn::optim::Optimiser;
use varangian_learn::{Dataset, Model, Sampler};
use varangian_rules::Pipeline;
use varangian_train::{
    Adversary, Bench, Broadcast, Evaluator, Job, Poison, Poisoner, Sight, Worker,
};

use crate::Hostile;

/// A worker's way from fetching a model to sending a gradient.
#[derive(Clone)]
pub(crate) struct Flight {
    pub(crate) version: u64,
    pub(crate) loss: f64,
    number: u64,
    params: Arc<Vec<f32>>,
    rate: f64,
    state: State,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    /// Nothing is to be computed.
    Idle,
    /// Under way, not computed yet.
    Pending,
    /// The gradient lies in the worker's row.
    Computed,
    /// What is sent lies in the worker's row.
    Sent,
}

/// The hostile workers of an asynchronous run.
///
/// Attacks that look at honest rows see the last message of each honest worker and are of one mind;
/// others are forked, so that each hostile worker keeps its own memory.
pub(crate) struct Collusion {
    ids: Vec<u32>,
    minds: Vec<Adversary>,
    together: bool,
    own: Matrix,
    out: Matrix,
    seen: Matrix,
    seen_ids: Vec<u32>,
    rule: Pipeline,
    n: usize,
    f: usize,
    seed: Seed,
}

impl Collusion {
    /// Whether the attack can be played where gradients arrive one by one.
    pub(crate) fn check(
        attack: &dyn Attack,
        n: usize,
        f: usize,
        f_real: usize,
    ) -> Result<(), SpecError> {
        let sees = attack.sees();
        if sees.rule {
            return Err(SpecError::new(
                "the attack tries the rule; an asynchronous server lends none",
            ));
        }
        match sees.honest && f_real > 0 {
            false => Ok(()),
            true => attack
                .check(n - f_real, f_real, f)
                .map_err(|condition| SpecError::new(format!("the attack needs {condition}"))),
        }
    }

    pub(crate) fn new(
        attack: Box<dyn Attack>,
        n: usize,
        f: usize,
        f_real: usize,
        hostile: Hostile,
        seed: Seed,
    ) -> Result<Self, SpecError> {
        Collusion::check(attack.as_ref(), n, f, f_real)?;
        let sees = attack.sees();
        let ids = hostile.ids(n, f_real, seed);
        let minds = if f_real == 0 {
            Vec::new()
        } else if sees.honest {
            vec![Adversary::new(attack)]
        } else {
            ids.iter().map(|_| Adversary::new(attack.fork())).collect()
        };
        let (own, out, seen, seen_ids) = Default::default();
        let rule = Pipeline::parse("average")?;
        let together = sees.honest;
        Ok(Collusion { ids, minds, together, own, out, seen, seen_ids, rule, n, f, seed })
    }

    fn rank(&self, worker: u32) -> Option<usize> {
        self.ids.binary_search(&worker).ok()
    }

    /// Worker `id`, honest or hostile.
    fn worker(&self, id: u32) -> Worker {
        let Some(rank) = self.rank(id) else { return Worker::new(id) };
        let mind = if self.together { 0 } else { rank };
        self.minds[mind].worker(id, rank, self.ids.len())
    }

    /// What a hostile worker does to its labels.
    fn poison(&self, worker: u32) -> Option<Poisoner<'_>> {
        let rank = self.rank(worker)?;
        let mind = if self.together { 0 } else { rank };
        Some(self.minds[mind].poisoner(rank, self.ids.len()))
    }

    /// Remembers an honest worker's message where the attack looks at them.
    fn overhear(&mut self, worker: u32, message: &[f32]) {
        if !self.together {
            return;
        }
        let place = match self.seen_ids.binary_search(&worker) {
            Ok(place) => place,
            Err(place) => {
                self.seen_ids.insert(place, worker);
                let old = std::mem::take(&mut self.seen);
                self.seen.resize(self.seen_ids.len(), message.len());
                for i in 0..old.n() {
                    self.seen.row_mut(i + usize::from(i >= place)).copy_from_slice(old.row(i));
                }
                place
            }
        };
        self.seen.row_mut(place).copy_from_slice(message);
    }

    /// Replaces a hostile worker's gradient by what it sends.
    fn forge(&mut self, worker: u32, broadcast: &Broadcast<'_>, row: &mut [f32]) {
        let rank = self.rank(worker).expect("a hostile worker");
        let (mind, count, at) =
            if self.together { (0, self.ids.len(), rank) } else { (rank, 1, 0) };
        if self.together && self.seen_ids.is_empty() {
            return;
        }
        if (self.own.n(), self.own.d()) != (count, row.len()) {
            self.own = Matrix::zeros(count, row.len());
            self.out = Matrix::zeros(count, row.len());
        }
        self.own.row_mut(at).copy_from_slice(row);
        let solo = [worker];
        let ids = if self.together { &self.ids[..] } else { &solo[..] };
        let sight = Sight {
            weights: None,
            honest: self.seen.rows().with_ids(&self.seen_ids),
            own: self.own.rows().with_ids(ids),
            n: self.n,
            f: self.f,
            server_momentum: &[],
            rule: &self.rule,
            held: None,
            seed: self.seed,
        };
        self.minds[mind].forge(broadcast, sight, self.out.rows_mut());
        row.copy_from_slice(self.out.row(at));
    }
}

/// A worker under way: its flight, its row, what it does to its labels.
type Under<'a> = ((&'a mut Worker, &'a mut Flight), (&'a mut [f32], Option<Poisoner<'a>>));

/// All workers of an asynchronous run.
pub(crate) struct Squad {
    model: Arc<dyn Model>,
    train: Arc<dyn Dataset>,
    sampler: Arc<dyn Sampler>,
    optimiser: Optimiser,
    seed: Seed,
    workers: Vec<Worker>,
    flights: Vec<Flight>,
    /// By worker, the gradient and then what is sent.
    rows: Matrix,
    collusion: Collusion,
    seats: Mutex<Vec<(Bench, Prepared)>>,
    prepared: Prepared,
    zeros: Vec<f32>,
}

impl Squad {
    pub(crate) fn new(
        model: Arc<dyn Model>,
        train: Arc<dyn Dataset>,
        sampler: Arc<dyn Sampler>,
        optimiser: Optimiser,
        collusion: Collusion,
        n: usize,
        seed: Seed,
    ) -> Self {
        let d = model.dim();
        let idle = Flight {
            version: 0,
            loss: 0.0,
            number: 0,
            params: Arc::new(Vec::new()),
            rate: 0.0,
            state: State::Idle,
        };
        Squad {
            workers: (0..n as u32).map(|id| collusion.worker(id)).collect(),
            flights: vec![idle; n],
            rows: Matrix::zeros(n, d),
            model,
            train,
            sampler,
            optimiser,
            seed,
            collusion,
            seats: Mutex::default(),
            prepared: Box::new(()),
            zeros: vec![0.0; d],
        }
    }

    pub(crate) fn is_hostile(&self, worker: u32) -> bool {
        self.collusion.rank(worker).is_some()
    }

    /// A worker sets out with a model; the number of its message, from 1.
    pub(crate) fn depart(
        &mut self,
        worker: u32,
        version: u64,
        params: Arc<Vec<f32>>,
        rate: f64,
    ) -> u64 {
        let flight = &mut self.flights[worker as usize];
        let number = flight.number + 1;
        *flight = Flight { version, loss: 0.0, number, params, rate, state: State::Pending };
        number
    }

    /// The worker crashed on its way: its gradient is not computed.
    pub(crate) fn cancel(&mut self, worker: u32) {
        self.flights[worker as usize].state = State::Idle;
    }

    /// Whether `number` is the worker's newest message.
    pub(crate) fn is_current(&self, worker: u32, number: u64) -> bool {
        self.flights[worker as usize].number == number
    }

    /// What the worker sends: its gradient, or a forgery where it is hostile and `attacks`.
    pub(crate) fn finish(&mut self, worker: u32, attacks: bool) -> Flight {
        let w = worker as usize;
        if self.flights[w].state == State::Pending {
            self.compute();
        }
        if self.flights[w].state == State::Computed {
            self.flights[w].state = State::Sent;
            let Squad { flights, rows, collusion, zeros, optimiser, seed, .. } = self;
            let flight = &flights[w];
            let broadcast = Broadcast {
                step: flight.number - 1,
                params: &flight.params,
                previous: zeros,
                rate: flight.rate,
            };
            if collusion.rank(worker).is_none() {
                collusion.overhear(worker, rows.row(w));
            } else if attacks {
                collusion.forge(worker, &broadcast, rows.row_mut(w));
                let coins = Coins { seed: *seed, worker, step: broadcast.step };
                optimiser.of_rows().limit(rows.row_mut(w), coins);
            }
        }
        self.flights[w].clone()
    }

    /// The row that the worker sends.
    pub(crate) fn message(&self, worker: u32) -> &[f32] {
        self.rows.row(worker as usize)
    }

    /// What the worker's last forward pass measured.
    pub(crate) fn statistics(&self, worker: u32) -> &[f32] {
        self.workers[worker as usize].statistics()
    }

    /// Computes every gradient that is under way, one worker a thread.
    fn compute(&mut self) {
        let Squad { model, train, sampler, optimiser, seed, workers, flights, rows, .. } = self;
        let job = Job {
            model: model.as_ref(),
            train: train.as_ref(),
            sampler: sampler.as_ref(),
            optimiser,
            seed: *seed,
        };
        let (collusion, seats, zeros) = (&self.collusion, &self.seats, &self.zeros);
        let one = |((worker, flight), (row, poison)): Under<'_>| {
            let seat = seats.lock().expect("no thread panicked").pop();
            let (mut bench, mut prepared) =
                seat.unwrap_or_else(|| (Bench::new(job.model), Box::new(()) as Prepared));
            job.model.prepare(&flight.params, &mut prepared);
            let broadcast = Broadcast {
                step: flight.number - 1,
                params: &flight.params,
                previous: zeros,
                rate: flight.rate,
            };
            let poison = poison.as_ref().map(|poison| poison as &dyn Poison);
            flight.loss =
                worker.gradient(&job, &broadcast, &prepared, poison, &mut bench, None, row);
            flight.state = State::Computed;
            seats.lock().expect("no thread panicked").push((bench, prepared));
        };
        let poisons = (0..workers.len() as u32).map(|worker| collusion.poison(worker));
        let rows = rows.rows_mut().into_iter_mut().zip(poisons);
        let pending = workers.iter_mut().zip(flights).zip(rows);
        let pending: Vec<Under<'_>> =
            pending.filter(|((_, flight), _)| flight.state == State::Pending).collect();
        if rayon::current_num_threads() == 1 || pending.len() == 1 {
            pending.into_iter().for_each(one);
        } else {
            pending.into_par_iter().for_each(one);
        }
    }

    pub(crate) fn evaluate(
        &mut self,
        evaluator: &mut Evaluator,
        params: &[f32],
        statistics: &[f32],
        test: &dyn Dataset,
    ) -> Tally {
        self.model.prepare(params, &mut self.prepared);
        self.model.load_buffers(statistics, &mut self.prepared);
        evaluator.run(self.model.as_ref(), params, &self.prepared, test)
    }
}
