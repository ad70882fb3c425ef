//! How the rows of one step are computed: one worker a thread, the adversary after the honest ones.

use rayon::prelude::*;
use std::sync::Mutex;
use varangian_base::{Matrix, RowsMut};
use varangian_learn::model::Prepared;
use varangian_rules::Pipeline;
use varangian_train::{
    Adversary, Bench, Broadcast, Held, Job, Lent, Server, Sight, Worker, inspect,
};

/// Workers write straight into the server's slots: honest ones first, hostile ones last.
pub(crate) fn step_in_place(crew: &Crew<'_>, team: Team<'_>, server: &mut Server) -> f64 {
    let Lent { broadcast, slots, rule, momentum } = server.lend();
    let (mine, theirs) = slots.split_at(team.honest.len());
    let (loss, inspected) = crew.round(team, &broadcast, rule, momentum, mine, theirs);
    for (id, inspected) in inspected.into_iter().enumerate() {
        // A refusal is counted by the intake.
        let _ = server.commit(id as u32, inspected);
    }
    loss
}

/// Workers write into a staging matrix, honest ones first.
pub(crate) fn stage(crew: &Crew<'_>, team: Team<'_>, server: &Server, staged: &mut Matrix) -> f64 {
    let (mine, theirs) = staged.rows_mut().split_at(team.honest.len());
    let broadcast = server.broadcast();
    crew.round(team, &broadcast, server.rule(), server.momentum(), mine, theirs).0
}

/// Workers write into a staging matrix, honest ones first, and send copies.
pub(crate) fn step_staged(
    crew: &Crew<'_>,
    team: Team<'_>,
    server: &mut Server,
    staged: &mut Matrix,
) -> f64 {
    let ids: Vec<u32> = team.honest.iter().chain(team.hostile.iter()).map(Worker::id).collect();
    let (step, loss) = (server.step(), stage(crew, team, server, staged));
    for (k, id) in ids.into_iter().enumerate() {
        // A refusal is counted by the intake.
        let _ = server.receive(id, step, staged.row(k));
    }
    loss
}

/// What computes a round: the job, benches to sit at, and the numbers of the plan.
pub(crate) struct Crew<'a> {
    pub(crate) job: Job<'a>,
    pub(crate) benches: &'a Mutex<Vec<Bench>>,
    pub(crate) n: usize,
    pub(crate) f: usize,
    /// Whether hostile workers pass their batches forward whatever they send.
    pub(crate) all_pass: bool,
}

/// Who takes part in a round, and what they change.
pub(crate) struct Team<'a> {
    pub(crate) honest: &'a mut [Worker],
    pub(crate) hostile: &'a mut [Worker],
    pub(crate) adversary: &'a mut Adversary,
    pub(crate) own: &'a mut Matrix,
    pub(crate) prepared: &'a mut Prepared,
    pub(crate) sampled: Option<&'a mut Matrix>,
    /// Honest workers, by place, that compute nothing this step; empty where all do.
    pub(crate) absent: &'a [bool],
}

impl Crew<'_> {
    /// Computes all messages of a step: honest rows into `mine`, hostile ones into `theirs`.
    /// Returns the mean honest loss and what inspection found in each row.
    fn round(
        &self,
        team: Team<'_>,
        broadcast: &Broadcast<'_>,
        rule: &Pipeline,
        server_momentum: &[f32],
        mut mine: RowsMut<'_>,
        mut theirs: RowsMut<'_>,
    ) -> (f64, Vec<Result<(), usize>>) {
        let Team { honest, hostile, adversary, own, prepared, sampled, absent } = team;
        self.job.model.prepare(broadcast.params, prepared);
        let found =
            self.gradients(honest, broadcast, prepared, None, sampled, absent, mine.reborrow());
        let is_here = |place: &usize| !absent.get(*place).is_some_and(|&absent| absent);
        let here: Vec<usize> = (0..found.len()).filter(is_here).collect();
        let loss = here.iter().map(|&place| found[place].0).sum::<f64>() / here.len() as f64;
        let mut inspected: Vec<_> = found.into_iter().map(|(_, inspected)| inspected).collect();
        if theirs.n() > 0 {
            if adversary.sees().own || self.all_pass {
                let attack = Some(adversary.attack());
                self.gradients(hostile, broadcast, prepared, attack, None, &[], own.rows_mut());
            }
            let hostile_ids: Vec<u32> = hostile.iter().map(Worker::id).collect();
            let honest_ids: Vec<u32> = here.iter().map(|&place| honest[place].id()).collect();
            let mut sent = Matrix::default();
            if here.len() < honest.len() {
                sent = Matrix::zeros(here.len(), mine.d());
                for (k, &place) in here.iter().enumerate() {
                    sent.row_mut(k).copy_from_slice(mine.row(place));
                }
            }
            let seen = if here.len() < honest.len() { sent.rows() } else { mine.as_rows() };
            let loss = adversary.sees().loss;
            let held = loss.then(|| Held::draw(&self.job, &hostile_ids, broadcast.step));
            let sight = Sight {
                honest: seen.with_ids(&honest_ids),
                own: own.rows().with_ids(&hostile_ids),
                n: self.n,
                f: self.f,
                server_momentum,
                rule,
                held,
                seed: self.job.seed,
            };
            adversary.forge(broadcast, sight, theirs.reborrow());
            let theirs = theirs.as_rows();
            inspected.par_extend((0..theirs.n()).into_par_iter().map(|i| inspect(theirs.row(i))));
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
        sampled: Option<&mut Matrix>,
        absent: &[bool],
        mut rows: RowsMut<'_>,
    ) -> Vec<(f64, Result<(), usize>)> {
        let copies: Vec<Option<&mut [f32]>> = match sampled {
            Some(matrix) => matrix.rows_mut().into_iter_mut().map(Some).collect(),
            None => workers.iter().map(|_| None).collect(),
        };
        let of = workers.len();
        let one = |(place, ((worker, row), copy)): (usize, ((&mut Worker, &mut [f32]), _))| {
            if absent.get(place).is_some_and(|&absent| absent) {
                return (f64::NAN, Ok(()));
            }
            let attack = attack.map(|attack| (attack, place, of));
            let bench = self.benches.lock().expect("no thread panicked").pop();
            let mut bench = bench.unwrap_or_else(|| Bench::new(self.job.model));
            let Crew { job, .. } = self;
            let loss = worker.gradient(job, broadcast, prepared, attack, &mut bench, copy, row);
            self.benches.lock().expect("no thread panicked").push(bench);
            (loss, inspect(row))
        };
        let seats: Vec<_> =
            workers.iter_mut().zip(rows.iter_mut()).zip(copies).enumerate().collect();
        if rayon::current_num_threads() == 1 {
            seats.into_iter().map(one).collect()
        } else {
            seats.into_par_iter().map(one).collect()
        }
    }
}
