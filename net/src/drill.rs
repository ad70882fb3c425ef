//! Hostile workers, for drills on one's own cluster: one process plays all of them, of one mind.
//!
//! Colluders see what their attack says it reads, and nobody shows them honest rows: where the
//! attack looks at them, the drill computes the honest workers' messages itself, from the same data
//! and seed. They are what the honest workers send as long as those take part in every step and
//! nobody restarts; what an attacker knows after that is what it computed.

use crate::Trouble;
use crate::client::{Client, Failed, Joined};
use crate::work::{AGENT, Calm, Ending, Fresh, Hand, Happened, Model, Reader, sealed};
use varangian_attacks::Attack;
use varangian_base::{Coins, Matrix, SpecError};
use varangian_rules::Pipeline;
use varangian_train::{Adversary, Held, Job, Keeping, Poison, Sight, Worker};

/// The hostile workers of a run.
pub struct Drill<'a> {
    job: Job<'a>,
    adversary: Adversary,
    rule: Pipeline,
    n: usize,
    f: usize,
    /// The hostile workers, ascending.
    ids: Vec<u32>,
    mine: Vec<Hand>,
    others: Vec<Hand>,
    /// The last messages, for a server that asks for them again.
    last: Option<Forged>,
}

/// What the hostile workers send at a step, in the order of their ids.
struct Forged {
    step: u64,
    rows: Matrix,
    losses: Vec<f64>,
}

impl<'a> Drill<'a> {
    /// The workers `ids` among n, of which the server is told that f are hostile; `rule` is the
    /// server's, which attacks that probe try rows on.
    ///
    /// # Errors
    /// If the attack reads what a drill cannot know, or cannot act here.
    pub fn new(
        job: Job<'a>,
        attack: Box<dyn Attack>,
        rule: Pipeline,
        (n, f): (usize, usize),
        ids: &[u32],
    ) -> Result<Self, SpecError> {
        let sees = attack.sees();
        if sees.server {
            return Err(SpecError::new(
                "the attack reads the server's momentum, which no message shows; take another one",
            ));
        }
        if let Some(keeping) = Keeping::of(job.optimiser, None) {
            return Err(SpecError::new(format!(
                "a drill cannot know what the server keeps of each worker under {}; attacks on it \
                 run in one process",
                keeping.key()
            )));
        }
        if sees.rule && (rule.has_memory() || rule.needs_oracle()) {
            return Err(SpecError::new(format!(
                "the attack tries rows on the rule, and {} has a memory or data that no message \
                 shows; take another one",
                rule.spec()
            )));
        }
        let mut ids = ids.to_vec();
        ids.sort_unstable();
        ids.dedup();
        let needs = |condition| SpecError::new(format!("the attack needs {condition}"));
        attack.check(n - ids.len(), ids.len(), f).map_err(needs)?;
        let adversary = Adversary::new(attack);
        let liar = |(k, &id)| Hand::new(adversary.worker(id, k, ids.len()), &job);
        let mine = ids.iter().enumerate().map(liar).collect();
        let honest = (0..n as u32).filter(|id| sees.honest && !ids.contains(id));
        let others = honest.map(|id| Hand::new(Worker::new(id), &job)).collect();
        Ok(Drill { job, adversary, rule, n, f, ids, mine, others, last: None })
    }

    /// What the hostile workers send at `step`, in the order of their ids, and their losses.
    fn forge(&mut self, model: &Model, step: u64) -> Result<(Matrix, Vec<f64>), Trouble> {
        let d = model.params.len();
        let (sees, job) = (self.adversary.sees(), self.job);
        let count = self.ids.len();
        let (mut own, mut losses) = (Matrix::zeros(count, d), vec![f64::NAN; count]);
        for (k, hand) in self.mine.iter_mut().enumerate() {
            let poisoner = self.adversary.poisoner(k, count);
            let poison = Some(&poisoner as &dyn Poison);
            losses[k] = hand.compute(&job, model, step, poison)?;
            own.row_mut(k).copy_from_slice(&hand.row);
        }
        let mut honest = Matrix::zeros(self.others.len(), d);
        for (k, hand) in self.others.iter_mut().enumerate() {
            hand.compute(&job, model, step, None)?;
            honest.row_mut(k).copy_from_slice(&hand.row);
        }
        let honest_ids: Vec<u32> = self.others.iter().map(|hand| hand.worker.id()).collect();
        let sight = Sight {
            honest: honest.rows().with_ids(&honest_ids),
            own: own.rows().with_ids(&self.ids),
            n: self.n,
            f: self.f,
            server_momentum: &[],
            rule: &self.rule,
            weights: None,
            held: sees.loss.then(|| Held::draw(&job, &self.ids, step)),
            seed: job.seed,
        };
        let mut out = Matrix::zeros(count, d);
        self.adversary.forge(&model.broadcast(step), sight, out.rows_mut());
        for (k, &worker) in self.ids.iter().enumerate() {
            let coins = Coins { seed: job.seed, worker, step };
            job.optimiser.of_rows().limit(out.row_mut(k), coins);
        }
        Ok((out, losses))
    }

    /// Attacks until the run is over or `stop` says so. `clients` are the hostile workers'
    /// connections, one each.
    ///
    /// # Errors
    /// If the server does not take a worker, trains another model, or does not come back in time.
    pub fn run(
        &mut self,
        clients: &mut [Client],
        patience: f64,
        stop: &dyn Fn() -> bool,
        listen: &mut dyn FnMut(Happened<'_>),
    ) -> Result<Ending, Trouble> {
        let mut readers: Vec<Reader> = clients.iter().map(|_| Reader::default()).collect();
        let mut calm = Calm::new(patience);
        let mut number = 0;
        for (client, reader) in clients.iter().zip(&mut readers) {
            if let Some(joined) = client.joined() {
                joined.terms.fits(self.job.model)?;
                reader.begin_again(joined);
                number = number.max(joined.next);
            }
        }
        loop {
            if stop() {
                clients.iter_mut().for_each(Client::leave);
                return Ok(Ending::Stopped);
            }
            match self.turn(clients, &mut readers, &mut calm, &mut number, listen) {
                Ok(Some(ending)) => return Ok(ending),
                Ok(None) => {}
                Err(Failed::Final(trouble)) => return Err(trouble),
                Err(Failed::Again(text)) => {
                    listen(Happened::Lost(&text));
                    calm.wait(&text, stop)?;
                }
            }
        }
    }

    /// One step of all, or one message of each.
    fn turn(
        &mut self,
        clients: &mut [Client],
        readers: &mut [Reader],
        calm: &mut Calm,
        number: &mut u64,
        listen: &mut dyn FnMut(Happened<'_>),
    ) -> Result<Option<Ending>, Failed> {
        let rejoin = calm.is_lost();
        for (client, reader) in clients.iter_mut().zip(readers.iter_mut()) {
            if client.joined().is_none() || rejoin {
                let joined = client.join(AGENT)?;
                self.fits(&joined)?;
                reader.begin_again(&joined);
                *number = (*number).max(joined.next);
                listen(Happened::Joined(&joined));
            }
        }
        calm.well();
        let terms = clients[0].joined().expect("it joined").terms.clone();
        // An attack may read the last aggregate, which every worker can ask for.
        let wants = !terms.asynchronous;
        let Some(fresh) = self.news(clients, readers, wants)? else { return Ok(None) };
        let Fresh::Model(model) = fresh else { return Ok(Some(Ending::Finished)) };
        let step = if terms.asynchronous { *number } else { model.version };
        if self.last.as_ref().is_none_or(|last| last.step != step) {
            let (rows, losses) = self.forge(&model, step).map_err(Failed::Final)?;
            self.last = Some(Forged { step, rows, losses });
        }
        let Forged { rows, losses, .. } = self.last.as_ref().expect("it was forged");
        for client in clients.iter_mut() {
            let worker = client.joined().expect("it joined").worker;
            let row = self.ids.binary_search(&worker).expect("it fits");
            let statistics = self.mine[row].worker.statistics();
            let body = sealed(&terms.letter.at(step), rows.row(row), statistics);
            let receipt = client.push((model.version, step), &body, losses[row])?;
            listen(Happened::Answered(&receipt));
        }
        readers.iter_mut().for_each(|reader| reader.done(model.version));
        *number += 1;
        Ok(None)
    }

    /// The news for the first of the workers that takes part, if there are any.
    fn news(
        &self,
        clients: &mut [Client],
        readers: &mut [Reader],
        wants: bool,
    ) -> Result<Option<Fresh>, Failed> {
        for (client, reader) in clients.iter_mut().zip(readers) {
            match reader.read(client, self.job.optimiser, wants)? {
                Fresh::Wait => {}
                fresh => return Ok(Some(fresh)),
            }
        }
        Ok(None)
    }

    fn fits(&self, joined: &Joined) -> Result<(), Failed> {
        joined.terms.fits(self.job.model).map_err(Failed::Final)?;
        if self.ids.binary_search(&joined.worker).is_err() {
            let (found, wanted) = (joined.worker, &self.ids);
            let text = format!("the drill plays workers {wanted:?}; the server knows {found}");
            return Err(Failed::Final(Trouble(text)));
        }
        Ok(())
    }
}
