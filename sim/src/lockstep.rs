//! Lockstep: every worker answers every step; the server closes when all are in.

use crate::{Hostile, Plan};
use rayon::prelude::*;
use std::sync::{Arc, Mutex};
use varangian_base::{Matrix, Memory, RowsMut, Seed, SpecError};
use varangian_learn::model::{Prepared, Tally};
use varangian_learn::optim::Optimiser;
use varangian_learn::{Dataset, Model, Sampler};
use varangian_rules::Pipeline;
use varangian_train::{
    Adversary, Bench, Broadcast, Closed, Evaluator, Job, Lent, Server, Settings, Sight, Worker,
    inspect,
};

/// What is known of a step when it is over.
pub struct StepRecord<'a> {
    /// Mean minibatch loss over the honest workers, penalties included.
    pub loss: f64,
    /// The learning rate.
    pub rate: f64,
    /// The ids of the hostile workers.
    pub hostile: &'a [u32],
    /// How the server closed the step: refusals, weights, what was skipped.
    pub closed: &'a Closed,
}

impl StepRecord<'_> {
    /// The share of the aggregate's weight that hostile rows got, where the rule gives weights.
    pub fn hostile_weight(&self) -> Option<f64> {
        let weights = &self.closed.verdict.weights;
        let total: f64 = weights.iter().map(|w| w.abs()).sum();
        if weights.is_empty() || total == 0.0 {
            return None;
        }
        let hostile = |id: &u32| self.hostile.binary_search(id).is_ok();
        let of_hostile =
            self.closed.ids.iter().zip(weights).filter(|(id, _)| hostile(id)).map(|(_, w)| w.abs());
        Some(of_hostile.sum::<f64>() / total)
    }
}

/// Test loss and accuracy before a step (or after the last).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Evaluation {
    /// Steps made so far.
    pub step: u64,
    /// Sums over the test samples.
    pub tally: Tally,
}

/// Watches a run from outside the loop.
pub trait Observer {
    /// A step is over.
    fn step(&mut self, record: &StepRecord<'_>) {
        let _ = record;
    }

    /// The model was evaluated.
    fn evaluation(&mut self, evaluation: &Evaluation) {
        let _ = evaluation;
    }
}

/// A run in lockstep, between steps.
pub struct Lockstep {
    model: Arc<dyn Model>,
    train: Arc<dyn Dataset>,
    test: Arc<dyn Dataset>,
    sampler: Arc<dyn Sampler>,
    optimiser: Optimiser,
    seed: Seed,
    server: Server,
    honest: Vec<Worker>,
    hostile: Vec<Worker>,
    hostile_ids: Vec<u32>,
    adversary: Adversary,
    in_place: bool,
    staged: Matrix,
    own: Matrix,
    prepared: Prepared,
    evaluator: Evaluator,
    benches: Mutex<Vec<Bench>>,
    n: usize,
    f: usize,
}

impl Lockstep {
    /// Sets the run up at step 0, with parameters drawn from the seed.
    ///
    /// # Errors
    /// If the plan's numbers do not fit together; see [`Plan::check`].
    pub fn new(plan: Plan) -> Result<Self, SpecError> {
        plan.check()?;
        let hostile_ids = plan.hostile_ids();
        let (d, n, f) = (plan.model.dim(), plan.n, plan.f);
        let settings = Settings {
            n,
            f,
            rule: plan.rule,
            optimiser: plan.optimiser.clone(),
            steps_per_epoch: plan.sampler.steps_per_epoch(),
            seed: plan.seed,
            silence_is_hostile: true,
        };
        let server = Server::new(settings, plan.model.init(plan.seed), plan.oracle)?;
        let is_hostile = |id: &u32| hostile_ids.binary_search(id).is_ok();
        let (hostile, honest): (Vec<u32>, Vec<u32>) = (0..n as u32).partition(is_hostile);
        let in_place = plan.hostile == Hostile::Last || hostile.is_empty();
        Ok(Lockstep {
            staged: Matrix::zeros(if in_place { 0 } else { n }, d),
            own: Matrix::zeros(hostile.len(), d),
            evaluator: Evaluator::new(plan.test.as_ref(), plan.test_samples),
            adversary: Adversary::new(plan.attack),
            honest: honest.into_iter().map(Worker::new).collect(),
            hostile: hostile.into_iter().map(Worker::new).collect(),
            prepared: Box::new(()),
            benches: Mutex::new(Vec::new()),
            model: plan.model,
            train: plan.train,
            test: plan.test,
            sampler: plan.sampler,
            optimiser: plan.optimiser,
            seed: plan.seed,
            server,
            hostile_ids,
            in_place,
            n,
            f,
        })
    }

    /// Makes one step and says how it went.
    pub fn step(&mut self) -> StepRecord<'_> {
        let rate = self.server.broadcast().rate;
        let crew = Crew {
            job: Job {
                model: self.model.as_ref(),
                train: self.train.as_ref(),
                sampler: self.sampler.as_ref(),
                optimiser: &self.optimiser,
                seed: self.seed,
            },
            benches: &self.benches,
            n: self.n,
            f: self.f,
        };
        let team = Team {
            honest: &mut self.honest,
            hostile: &mut self.hostile,
            adversary: &mut self.adversary,
            own: &mut self.own,
            prepared: &mut self.prepared,
        };
        let loss = if self.in_place {
            step_in_place(&crew, team, &mut self.server)
        } else {
            step_staged(&crew, team, &mut self.server, &mut self.staged)
        };
        let closed = self.server.close();
        StepRecord { loss, rate, hostile: &self.hostile_ids, closed }
    }

    /// Evaluates the current parameters on the test samples.
    pub fn evaluate(&mut self) -> Evaluation {
        let params = self.server.params();
        self.model.prepare(params, &mut self.prepared);
        let (model, test) = (self.model.as_ref(), self.test.as_ref());
        let tally = self.evaluator.run(model, params, &self.prepared, test);
        Evaluation { step: self.server.step(), tally }
    }

    /// The current parameters θ.
    pub fn params(&self) -> &[f32] {
        self.server.params()
    }

    /// The server.
    pub fn server(&self) -> &Server {
        &self.server
    }

    /// Saves everything that the next step depends on. Only between steps.
    pub fn save(&self) -> Memory {
        let mut memory = Memory::default();
        memory.absorb("server", self.server.save());
        memory.absorb("adversary", self.adversary.save());
        for worker in self.honest.iter().chain(&self.hostile) {
            memory.absorb(&format!("worker-{}", worker.id()), worker.save());
        }
        memory
    }

    /// Restores what `save` returned.
    ///
    /// # Errors
    /// If the memory is of another plan.
    pub fn load(&mut self, memory: &Memory) -> Result<(), SpecError> {
        self.server.load(&memory.part("server"))?;
        self.adversary.load(&memory.part("adversary"))?;
        for worker in self.honest.iter_mut().chain(&mut self.hostile) {
            worker.load(&memory.part(&format!("worker-{}", worker.id())))?;
        }
        Ok(())
    }
}

/// Drives `run` to its last step, evaluating before every `every`-th step and at the end. Returns
/// whether it got there; `stop` is asked between steps.
pub fn drive(
    run: &mut Lockstep,
    steps: u64,
    every: u64,
    observer: &mut dyn Observer,
    stop: &dyn Fn() -> bool,
) -> bool {
    loop {
        let step = run.server.step();
        if step % every == 0 || step == steps {
            observer.evaluation(&run.evaluate());
        }
        if step == steps {
            return true;
        }
        if stop() {
            return false;
        }
        observer.step(&run.step());
    }
}

/// Workers write straight into the server's slots: honest ones first, hostile ones last.
fn step_in_place(crew: &Crew<'_>, team: Team<'_>, server: &mut Server) -> f64 {
    let Lent { broadcast, slots, rule, momentum } = server.lend();
    let (mine, theirs) = slots.split_at(team.honest.len());
    let (loss, inspected) = crew.round(team, &broadcast, rule, momentum, mine, theirs);
    for (id, inspected) in inspected.into_iter().enumerate() {
        // A refusal is counted by the intake.
        let _ = server.commit(id as u32, inspected);
    }
    loss
}

/// Workers write into a staging matrix, honest ones first, and send copies.
fn step_staged(crew: &Crew<'_>, team: Team<'_>, server: &mut Server, staged: &mut Matrix) -> f64 {
    let ids: Vec<u32> = team.honest.iter().chain(team.hostile.iter()).map(Worker::id).collect();
    let (mine, theirs) = staged.rows_mut().split_at(team.honest.len());
    let broadcast = server.broadcast();
    let step = broadcast.step;
    let (loss, _) = crew.round(team, &broadcast, server.rule(), server.momentum(), mine, theirs);
    for (k, id) in ids.into_iter().enumerate() {
        // A refusal is counted by the intake.
        let _ = server.receive(id, step, staged.row(k));
    }
    loss
}

/// What computes a round: the job, benches to sit at, and the numbers of the plan.
struct Crew<'a> {
    job: Job<'a>,
    benches: &'a Mutex<Vec<Bench>>,
    n: usize,
    f: usize,
}

/// Who takes part in a round, and what they change.
struct Team<'a> {
    honest: &'a mut [Worker],
    hostile: &'a mut [Worker],
    adversary: &'a mut Adversary,
    own: &'a mut Matrix,
    prepared: &'a mut Prepared,
}

impl Crew<'_> {
    /// Computes all messages of a step: honest rows into `mine`, hostile ones into `theirs`. Returns
    /// the mean honest loss and what inspection found in each row.
    fn round(
        &self,
        team: Team<'_>,
        broadcast: &Broadcast<'_>,
        rule: &Pipeline,
        server_momentum: &[f32],
        mut mine: RowsMut<'_>,
        mut theirs: RowsMut<'_>,
    ) -> (f64, Vec<Result<(), usize>>) {
        let Team { honest, hostile, adversary, own, prepared } = team;
        self.job.model.prepare(broadcast.params, prepared);
        let found = self.gradients(honest, broadcast, prepared, None, mine.reborrow());
        let loss = found.iter().map(|(loss, _)| loss).sum::<f64>() / found.len() as f64;
        let mut inspected: Vec<_> = found.into_iter().map(|(_, inspected)| inspected).collect();
        if theirs.n() > 0 {
            if adversary.sees().own {
                let attack = Some(adversary.attack());
                self.gradients(hostile, broadcast, prepared, attack, own.rows_mut());
            }
            let ids = |workers: &[Worker]| workers.iter().map(Worker::id).collect::<Vec<u32>>();
            let (honest_ids, hostile_ids) = (ids(honest), ids(hostile));
            let sight = Sight {
                honest: mine.as_rows().with_ids(&honest_ids),
                own: own.rows().with_ids(&hostile_ids),
                n: self.n,
                f: self.f,
                server_momentum,
                rule,
                seed: self.job.seed,
            };
            adversary.forge(broadcast, sight, theirs.reborrow());
            inspected.extend((0..theirs.n()).map(|i| inspect(theirs.row(i))));
        }
        (loss, inspected)
    }

    /// One gradient a worker, one worker a thread.
    fn gradients(
        &self,
        workers: &mut [Worker],
        broadcast: &Broadcast<'_>,
        prepared: &Prepared,
        attack: Option<&dyn varangian_attacks::Attack>,
        mut rows: RowsMut<'_>,
    ) -> Vec<(f64, Result<(), usize>)> {
        let one = |place: usize, worker: &mut Worker, row: &mut [f32]| {
            let attack = attack.map(|attack| (attack, place));
            let bench = self.benches.lock().expect("no thread panicked").pop();
            let mut bench = bench.unwrap_or_else(|| Bench::new(self.job.model));
            let loss = worker.gradient(&self.job, broadcast, prepared, attack, &mut bench, row);
            self.benches.lock().expect("no thread panicked").push(bench);
            (loss, inspect(row))
        };
        let pairs: Vec<_> = workers.iter_mut().zip(rows.iter_mut()).enumerate().collect();
        if rayon::current_num_threads() == 1 {
            pairs.into_iter().map(|(k, (worker, row))| one(k, worker, row)).collect()
        } else {
            pairs.into_par_iter().map(|(k, (worker, row))| one(k, worker, row)).collect()
        }
    }
}
