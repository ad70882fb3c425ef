//! How the rows of one step are computed: one worker a thread, the adversary after the honest ones.

use rayon::prelude::*;
use std::sync::Mutex;
use varangian_base::{Coins, Matrix, Rows, RowsMut};
use varangian_learn::Batch;
use varangian_learn::model::{Place, Prepared, Wanted};
use varangian_rules::Pipeline;
use varangian_train::{
    Adversary, Bench, Broadcast, Held, Job, Lent, Poison, Server, Sight, States, Worker, inspect,
};

/// Workers write straight into the server's slots: honest ones first, hostile ones last.
pub(crate) fn step_in_place(crew: &Crew<'_>, team: Team<'_>, server: &mut Server) -> f64 {
    let Lent { broadcast, slots, states, rule, weights, momentum } = server.lend();
    let (mine, theirs) = slots.split_at(team.honest.len());
    let at_server = AtServer { states, rule, weights, momentum };
    let (loss, inspected) = crew.round(team, &broadcast, at_server, mine, theirs);
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
    let (rule, weights, momentum) = (server.rule(), server.weights(), server.momentum());
    let at_server = AtServer { states: server.states(), rule, weights, momentum };
    crew.round(team, &broadcast, at_server, mine, theirs).0
}

/// Workers write into a staging matrix, honest ones first, and send copies.
pub(crate) fn step_staged(
    crew: &Crew<'_>,
    team: Team<'_>,
    server: &mut Server,
    staged: &mut Matrix,
) -> f64 {
    let ids: Vec<u32> = team.honest.iter().chain(team.hostile.iter()).map(Worker::id).collect();
    let absent = team.absent;
    let (step, loss) = (server.step(), stage(crew, team, server, staged));
    for (k, id) in ids.into_iter().enumerate().filter(|(k, _)| !is_away(absent, *k)) {
        // A refusal is counted by the intake.
        let _ = server.receive(id, step, staged.row(k));
    }
    loss
}

/// The rows at `places`: `rows` themselves where that is all of them, else copies in `copies`.
fn picked<'a>(rows: Rows<'a>, places: &[usize], copies: &'a mut Matrix) -> Rows<'a> {
    if places.len() == rows.n() {
        return rows;
    }
    *copies = Matrix::zeros(places.len(), rows.d());
    for (k, &place) in places.iter().enumerate() {
        copies.row_mut(k).copy_from_slice(rows.row(place));
    }
    copies.rows()
}

/// What the rule will combine of the honest workers `ids`: what their messages, at their places in
/// `rows`, make of what the server keeps, and of the absent ones what it keeps.
fn combined(states: &States, ids: &[u32], absent: &[bool], rows: Rows<'_>, out: &mut Matrix) {
    *out = Matrix::zeros(ids.len(), rows.d());
    for (place, &id) in ids.iter().enumerate() {
        match is_away(absent, place) {
            true => out.row_mut(place).copy_from_slice(states.row(id as usize)),
            false => states.after(id as usize, rows.row(place), out.row_mut(place)),
        }
    }
}

/// Replaces the messages at `places`, as honest workers would send them, by what the server would
/// keep then.
fn kept_honestly(shadow: &mut States, places: &[usize], own: &mut Matrix) {
    for &place in places {
        shadow.take(place, own.row(place));
        own.row_mut(place).copy_from_slice(shadow.row(place));
    }
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
    /// By place, what the server would keep of the hostile workers if they were honest, where that
    /// is not their message.
    pub(crate) shadow: Option<&'a mut States>,
    pub(crate) prepared: &'a mut Prepared,
    pub(crate) sampled: Option<&'a mut Matrix>,
    /// Workers, by place (honest ones first), that compute nothing this step; false beyond its end.
    pub(crate) absent: &'a [bool],
}

/// What an omniscient adversary may see of the server.
#[derive(Clone, Copy)]
struct AtServer<'a> {
    states: Option<&'a States>,
    rule: &'a Pipeline,
    weights: Option<&'a [f64]>,
    momentum: &'a [f32],
}

/// Whether the worker at `place` computes nothing this step.
fn is_away(absent: &[bool], place: usize) -> bool {
    absent.get(place).is_some_and(|&absent| absent)
}

impl Crew<'_> {
    /// Computes all messages of a step: honest rows into `mine`, hostile ones into `theirs`.
    /// Returns the mean honest loss and what inspection found in each row.
    fn round(
        &self,
        team: Team<'_>,
        broadcast: &Broadcast<'_>,
        at_server: AtServer<'_>,
        mut mine: RowsMut<'_>,
        mut theirs: RowsMut<'_>,
    ) -> (f64, Vec<Result<(), usize>>) {
        let Team { honest, hostile, adversary, own, shadow, prepared, sampled, absent } = team;
        self.job.model.prepare(broadcast.params, prepared);
        let found =
            self.gradients(honest, broadcast, prepared, None, sampled, absent, mine.reborrow());
        let here: Vec<usize> = (0..found.len()).filter(|&k| !is_away(absent, k)).collect();
        let loss = here.iter().map(|&place| found[place].0).sum::<f64>() / here.len() as f64;
        let mut inspected: Vec<_> = found.into_iter().map(|(_, inspected)| inspected).collect();
        let those = absent.get(honest.len()..).unwrap_or_default();
        let sent_by: Vec<usize> = (0..hostile.len()).filter(|&k| !is_away(those, k)).collect();
        if !sent_by.is_empty() {
            if adversary.sees().own || self.all_pass {
                let mind = Some(&*adversary);
                self.gradients(hostile, broadcast, prepared, mind, None, those, own.rows_mut());
            }
            if let Some(shadow) = shadow {
                kept_honestly(shadow, &sent_by, own);
            }
            let ids = |workers: &[Worker], places: &[usize]| -> Vec<u32> {
                places.iter().map(|&place| workers[place].id()).collect()
            };
            let (honest_ids, hostile_ids) = (ids(honest, &here), ids(hostile, &sent_by));
            let (mut sent, mut owned) = Default::default();
            let AtServer { states, rule, weights, momentum: server_momentum } = at_server;
            let everyone: Vec<u32> = honest.iter().map(Worker::id).collect();
            let seen = match states {
                Some(states) => {
                    combined(states, &everyone, absent, mine.as_rows(), &mut sent);
                    sent.rows().with_ids(&everyone)
                }
                None => picked(mine.as_rows(), &here, &mut sent).with_ids(&honest_ids),
            };
            let own = picked(own.rows(), &sent_by, &mut owned).with_ids(&hostile_ids);
            let loss = adversary.sees().loss;
            let held = loss.then(|| Held::draw(&self.job, &hostile_ids, broadcast.step));
            let (n, f, seed) = (self.n, self.f, self.job.seed);
            let honest = seen;
            let sight = Sight { honest, own, n, f, server_momentum, rule, weights, held, seed };
            self.forge(adversary, broadcast, sight, &sent_by, states, theirs.reborrow());
        }
        let theirs = theirs.as_rows();
        inspected.par_extend((0..theirs.n()).into_par_iter().map(|i| inspect(theirs.row(i))));
        (loss, inspected)
    }

    /// Hostile rows into `theirs` at `places`, as short as messages are. Where the server combines
    /// what it keeps of each worker, the adversary writes that, and sends what makes it so.
    fn forge(
        &self,
        adversary: &mut Adversary,
        broadcast: &Broadcast<'_>,
        sight: Sight<'_>,
        places: &[usize],
        states: Option<&States>,
        mut theirs: RowsMut<'_>,
    ) {
        let ids: Vec<u32> = (0..sight.own.n()).map(|k| sight.own.id(k)).collect();
        if places.len() == theirs.n() {
            adversary.forge(broadcast, sight, theirs.reborrow());
        } else {
            let mut forged = Matrix::zeros(places.len(), theirs.d());
            adversary.forge(broadcast, sight, forged.rows_mut());
            for (k, &place) in places.iter().enumerate() {
                theirs.row_mut(place).copy_from_slice(forged.row(k));
            }
        }
        // The wire carries no more of a hostile row than of an honest one.
        let Job { optimiser, seed, .. } = self.job;
        for (&place, &worker) in places.iter().zip(&ids) {
            let row = theirs.row_mut(place);
            if let Some(states) = states {
                states.message_for(worker as usize, row);
            }
            optimiser.of_rows().limit(row, Coins { seed, worker, step: broadcast.step });
        }
    }

    /// One gradient a worker, one worker a thread.
    fn gradients(
        &self,
        workers: &mut [Worker],
        broadcast: &Broadcast<'_>,
        prepared: &Prepared,
        mind: Option<&Adversary>,
        sampled: Option<&mut Matrix>,
        absent: &[bool],
        mut rows: RowsMut<'_>,
    ) -> Vec<(f64, Result<(), usize>)> {
        let copies: Vec<Option<&mut [f32]>> = match sampled {
            Some(matrix) => matrix.rows_mut().into_iter_mut().map(Some).collect(),
            None => workers.iter().map(|_| None).collect(),
        };
        let of = workers.len();
        if self.job.is_at_once() {
            return self.at_once(workers, broadcast, prepared, mind, copies, absent, rows);
        }
        let one = |(place, ((worker, row), copy)): (usize, ((&mut Worker, &mut [f32]), _))| {
            if is_away(absent, place) {
                return (f64::NAN, Ok(()));
            }
            let poison = mind.map(|mind| mind.poisoner(place, of));
            let poison = poison.as_ref().map(|poison| poison as &dyn Poison);
            let bench = self.benches.lock().expect("no thread panicked").pop();
            let mut bench = bench.unwrap_or_else(|| Bench::new(self.job.model));
            let Crew { job, .. } = self;
            let loss = worker.gradient(job, broadcast, prepared, poison, &mut bench, copy, row);
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

    /// As [`Crew::gradients`], by a model that takes all workers at once.
    fn at_once(
        &self,
        workers: &mut [Worker],
        broadcast: &Broadcast<'_>,
        prepared: &Prepared,
        mind: Option<&Adversary>,
        mut copies: Vec<Option<&mut [f32]>>,
        absent: &[bool],
        mut rows: RowsMut<'_>,
    ) -> Vec<(f64, Result<(), usize>)> {
        let (job, of) = (&self.job, workers.len());
        let mut found = vec![(f64::NAN, Ok(())); of];
        let here: Vec<usize> = (0..of).filter(|&place| !is_away(absent, place)).collect();
        let draw = |&place: &usize| {
            let poison = mind.map(|mind| mind.poisoner(place, of));
            let poison = poison.as_ref().map(|poison| poison as &dyn Poison);
            let mut batch = Batch::default();
            let at = workers[place].draw(job, broadcast, poison, &mut batch);
            (batch, at)
        };
        let drawn: Vec<(Batch, Place)> = here.par_iter().map(draw).collect();
        let mut statistics = vec![vec![0.0; job.model.buffers()]; here.len()];
        let places = rows.iter_mut().enumerate().filter(|(place, _)| !is_away(absent, *place));
        let mut all: Vec<Wanted<'_>> = places
            .zip(drawn.iter().zip(&mut statistics))
            .map(|((_, out), ((batch, place), statistics))| Wanted {
                batch,
                place: *place,
                out,
                statistics,
                loss: f64::NAN,
            })
            .collect();
        job.model.gradients(broadcast.params, prepared, &mut all);
        let mut bench = Bench::new(job.model);
        for (&place, wanted) in here.iter().zip(all) {
            let Wanted { out, statistics, loss, .. } = wanted;
            let (worker, copy) = (&mut workers[place], copies[place].take());
            let seen = (loss, &*statistics);
            let loss = worker.finish(job, broadcast, seen, &mut bench, copy, out);
            found[place] = (loss, inspect(out));
        }
        found
    }
}
