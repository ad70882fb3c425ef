//! Synchronous rounds over sockets: the machines of lockstep, told of messages as they come.

use crate::audit::{Log, Message};
use crate::desk::{Came, Desk, Tally, bytes_of, malformed};
use crate::hub::{Doors, Hall, Hub};
use crate::shared::{Change, Letter, News};
use crate::terms::Terms;
use crate::{Trouble, points};
use std::sync::Arc;
use tracing::{Span, field};
use varangian_base::{Memory, SpecError};
use varangian_train::rounds::{Gathering, Policy};
use varangian_train::{Closed, Reason, Refusal, Server};

/// A server of synchronous rounds, between two of them.
pub struct Rounds {
    server: Server,
    gathering: Gathering,
    desk: Desk,
    /// Closes the sockets when it is dropped.
    hub: Hub,
    row: Vec<f32>,
    /// By worker, what its last admitted message said of the model's statistics.
    passes: Vec<Vec<f32>>,
    /// By worker, what its admitted message said of its loss.
    losses: Vec<f64>,
    weight_decay: f64,
    least: usize,
    started: bool,
    /// When the open round was opened, and how long the last one took.
    opened: f64,
    took: f64,
    /// Whether it was said that a round waits for workers to come.
    waits: bool,
    /// Whether the open step's news are out and messages for it are taken.
    is_open: bool,
    change: Option<Change>,
    audit: Option<Log>,
    /// The open round, in traces.
    span: Span,
}

impl Rounds {
    /// Opens the doors to the workers of this server. `least` is how many rows its rule needs at
    /// the declared f; `weight_decay` the optimiser's.
    ///
    /// # Errors
    /// If a socket or a file cannot be opened.
    pub fn open(
        server: Server,
        terms: Terms,
        doors: &Doors,
        rule: (usize, usize),
        weight_decay: f64,
    ) -> Result<Self, Trouble> {
        let audit = doors.audit.as_ref().map(Log::open).transpose()?;
        let open = Hub::open(doors, terms)?;
        Ok(Rounds { audit, ..Self::behind(open, server, doors.deadline, rule, weight_decay) })
    }

    /// The same behind a simulation's sockets.
    ///
    /// # Errors
    /// If nobody can mean these doors.
    #[cfg(feature = "sim")]
    pub fn simulated(
        server: Server,
        terms: Terms,
        (doors, serve): (&Doors, crate::sim::Serve),
        rule: (usize, usize),
        weight_decay: f64,
    ) -> Result<Self, Trouble> {
        let open = Hub::simulated(doors, terms, serve)?;
        Ok(Self::behind(open, server, doors.deadline, rule, weight_decay))
    }

    fn behind(
        (hub, hall): (Hub, Hall),
        server: Server,
        deadline: f64,
        (f, least): (usize, usize),
        weight_decay: f64,
    ) -> Self {
        let n = hall.shared.terms.n;
        let policy = Policy { deadline, least, backs_off: true };
        let rule = server.rule().spec().to_owned();
        Rounds {
            desk: Desk::new(hall, f, &rule),
            gathering: Gathering::new(policy, n),
            hub,
            server,
            row: Vec::new(),
            passes: vec![Vec::new(); n],
            losses: vec![f64::NAN; n],
            weight_decay,
            least,
            started: false,
            opened: 0.0,
            took: 0.0,
            waits: false,
            is_open: false,
            change: None,
            audit: None,
            span: Span::none(),
        }
    }

    /// The address that workers reach the server at.
    pub fn address(&self) -> std::net::SocketAddr {
        self.hub.address()
    }

    /// Orders from within a simulation.
    #[cfg(feature = "sim")]
    pub fn remote(&self) -> crate::sim::Remote {
        crate::sim::Remote::to(&self.desk.shared)
    }

    /// The server.
    pub fn server(&self) -> &Server {
        &self.server
    }

    /// Seconds since the server was started.
    pub fn seconds(&self) -> f64 {
        self.desk.now()
    }

    /// What is known of each worker.
    pub fn tallies(&self) -> &[Tally] {
        &self.desk.tallies
    }

    /// Workers that are revoked, ascending.
    pub fn revoked(&self) -> Vec<u32> {
        self.desk.revoked()
    }

    /// Seconds from the opening to the end of the last round that was closed.
    pub fn took(&self) -> f64 {
        self.took
    }

    /// Whether somebody has ordered the run to end; it goes on later from its checkpoint.
    pub fn is_stopped(&self) -> bool {
        self.desk.stopped || self.trouble().is_some()
    }

    /// Why the server cannot go on as it was asked to: the audit cannot be written.
    pub fn trouble(&self) -> Option<&str> {
        self.audit.as_ref().and_then(Log::trouble)
    }

    /// Whether somebody has ordered a checkpoint since this was asked last.
    pub fn wants_saving(&mut self) -> bool {
        std::mem::take(&mut self.desk.saves)
    }

    /// Goes on with the round: its mean loss as the workers say, the learning rate and how it was
    /// closed; nothing where it is still open and somebody should look whether to stop.
    pub fn advance(&mut self) -> Option<(f64, f64, &Closed)> {
        if self.trouble().is_some() || !self.is_open && !self.begin() {
            return None;
        }
        let opened = self.desk.now();
        while !self.gathering.is_complete() {
            if self.desk.now() >= self.gathering.end() {
                if self.gathering.is_over() {
                    break;
                }
                let step = self.server.step();
                tracing::warn!(step, taken = self.gathering.taken(), "too few rows: extended");
                continue;
            }
            match self.desk.wait(self.gathering.end()) {
                Came::Letter(letter) => self.take(*letter),
                Came::News => self.look_who_left(),
                Came::Nothing => {}
            }
            if self.trouble().is_some() {
                return None;
            }
            if self.desk.now() - opened > 0.2 && !self.gathering.is_complete() {
                return None;
            }
        }
        Some(self.close())
    }

    /// Opens the round if enough workers are here: all of them before the first one, as long as the
    /// deadline, then as many as the rule needs.
    fn begin(&mut self) -> bool {
        if !self.started || self.desk.paused || self.desk.present() < self.least {
            let all = self.desk.present() == self.desk.tallies.len();
            let waited = self.desk.now() >= self.hub.patience();
            let enough = all || waited && self.desk.present() >= self.least;
            if !enough || self.desk.paused {
                let (present, least) = (self.desk.present(), self.least);
                if self.started && !std::mem::replace(&mut self.waits, true) {
                    tracing::warn!(present, least, "the round waits for workers");
                }
                if let Came::Letter(letter) = self.desk.wait(f64::INFINITY) {
                    self.take(*letter);
                }
                return false;
            }
            (self.started, self.waits) = (true, false);
        }
        if let Some(log) = &mut self.audit {
            log.begin(self.server.step(), &self.desk.shared);
        }
        let broadcast = self.server.broadcast();
        let (step, rate) = (broadcast.step, broadcast.rate);
        let sampled = self.server.sampled().map(<[u32]>::to_vec);
        let news = News {
            version: step,
            rate,
            params: Arc::new(broadcast.params.to_vec()),
            previous: Arc::new(broadcast.previous.to_vec()),
            sampled,
            change: self.change.take(),
            open: true,
            finished: false,
        };
        for worker in std::mem::take(&mut self.desk.returned) {
            self.gathering.returned(worker as usize);
        }
        let (desk, now) = (&self.desk, self.desk.now());
        self.gathering.open(now, |place| desk.tallies[place].present && news.invites(place as u32));
        self.trace(step);
        self.desk.publish(news);
        (self.is_open, self.opened) = (true, now);
        points::passes("round opened");
        true
    }

    /// Begins the span of a round; messages that come in it are parts of it.
    fn trace(&mut self, step: u64) {
        // The standard knows signed numbers alone.
        let (step, n, empty) = (step as i64, self.desk.present() as i64, field::Empty);
        self.span = tracing::info_span!(
            "round",
            step,
            present = n,
            rows = empty,
            refused = empty,
            skipped = empty
        );
        *self.desk.shared.span.write().expect("no task panicked") = self.span.clone();
    }

    /// Hands a message to the server.
    fn take(&mut self, mut letter: Letter) {
        #[cfg(feature = "sim")]
        crate::sim::mistake(&mut letter, self.server.step());
        let (worker, step) = (letter.worker, letter.version);
        let is_for_now = self.is_open && step == self.server.step();
        let mut at = None;
        let received = match self.desk.repeated(&letter) {
            Some(Ok(said)) => {
                let _ = letter.reply.send(said);
                return;
            }
            Some(Err(why)) => self.server.refuse_unread(worker, step, (Reason::Equivocation, why)),
            None => self.read(&mut letter, &mut at),
        };
        if self.trouble().is_some() {
            // Nobody is answered, and the round is never closed: what is saved ends before it.
            return;
        }
        if let Some(log) = &mut self.audit {
            log.messages.push(Message::of(&letter, received.as_ref().err(), at));
        }
        if step < self.server.step() {
            self.desk.is_back(worker);
        }
        if is_for_now {
            self.gathering.answered(worker as usize, received.is_ok());
            if received.as_ref().is_err_and(|refusal| refusal.reason.proves_hostile()) {
                // With its row goes what came with it.
                self.gathering.withdrawn(worker as usize);
                self.passes[worker as usize].clear();
                self.losses[worker as usize] = f64::NAN;
            }
        }
        self.desk.answer(letter, received);
    }

    /// Hands the body of a message to the server, as a row or as a packed vote.
    fn read(&mut self, letter: &mut Letter, at: &mut Option<(u64, u64)>) -> Result<(), Refusal> {
        let (worker, step) = (letter.worker, letter.version);
        let shape = self.desk.shared.terms.letter.at(step);
        let packed = self.server.intake().takes_votes();
        let mut bytes = Vec::new();
        let read = bytes_of(letter).and_then(|body| {
            bytes = body;
            let read = if packed {
                shape.decode_vote(&bytes).map(|(vote, statistics)| (Some(vote), statistics))
            } else {
                self.row.resize(shape.d, 0.0);
                shape.decode(&bytes, &mut self.row).map(|statistics| (None, statistics))
            };
            read.map_err(malformed)
        });
        let (vote, statistics) = match read {
            Ok(read) => read,
            Err(why) => return self.server.refuse_unread(worker, step, why),
        };
        points::passes("row read");
        *at = self.audit.as_mut().and_then(|log| log.keep(&bytes));
        match vote {
            Some(vote) => self.server.receive_vote(worker, step, vote)?,
            None => self.server.receive(worker, step, &self.row)?,
        }
        self.passes[worker as usize] = statistics;
        self.losses[worker as usize] = letter.loss;
        points::passes("row admitted");
        Ok(())
    }

    fn look_who_left(&mut self) {
        for (place, tally) in self.desk.tallies.iter().enumerate() {
            if !tally.present {
                self.gathering.without(place);
            }
        }
    }

    fn close(&mut self) -> (f64, f64, &Closed) {
        points::passes("gathering closed");
        for place in self.gathering.close() {
            self.desk.tallies[place].missed += 1;
        }
        (self.is_open, self.took) = (false, self.desk.now() - self.opened);
        let rate = self.server.broadcast().rate;
        let passes = std::mem::replace(&mut self.passes, vec![Vec::new(); self.desk.tallies.len()]);
        self.server
            .follow_trimmed(passes.iter().filter(|pass| !pass.is_empty()).map(Vec::as_slice));
        #[cfg(feature = "sim")]
        let before = self.server.save();
        tracing::info_span!(parent: &self.span, "aggregate").in_scope(|| self.server.close());
        #[cfg(feature = "sim")]
        crate::sim::misapply(&before, &mut self.server);
        points::passes("step applied");
        let said = self.losses.iter_mut().map(|loss| std::mem::replace(loss, f64::NAN));
        let finite: Vec<f64> = said.filter(|loss| loss.is_finite()).collect();
        let loss = finite.iter().sum::<f64>() / finite.len() as f64;
        let skipped = self.server.closed().skipped.is_some();
        self.change = self.shorter(rate, skipped);
        if let Some(log) = &mut self.audit {
            log.close(&self.server);
        }
        let closed = self.server.closed();
        self.desk.skipped += u64::from(skipped);
        for (&id, &weight) in closed.ids.iter().zip(&closed.verdict.weights) {
            self.desk.tallies[id as usize].weight = Some(weight);
        }
        let (step, rows) = (closed.step, closed.n);
        let span = std::mem::replace(&mut self.span, Span::none());
        span.record("rows", rows as i64).record("refused", closed.refused.len() as i64);
        span.record("skipped", skipped);
        *self.desk.shared.span.write().expect("no task panicked") = Span::none();
        match &closed.skipped {
            Some(why) => tracing::warn!(step, rows, why, "skipped"),
            None => tracing::debug!(step, rows, loss, "closed"),
        }
        let detail = closed.skipped.clone().unwrap_or_default();
        self.desk.shared.notify("round", step, detail);
        points::passes("step told");
        (loss, rate, closed)
    }

    /// The step that was just made, as signs, where workers can follow by them.
    fn shorter(&self, rate: f64, skipped: bool) -> Option<Change> {
        let ternary = self.desk.shared.terms.updates.filter(|_| !skipped)?;
        let step = (rate, 1.0 - rate * self.weight_decay);
        let params = self.server.broadcast().params;
        Some(Change::of(self.server.aggregate(), ternary, step, params))
    }

    /// Tells the workers that the run is over.
    pub fn finish(&mut self) {
        self.desk.finish(self.server.step());
    }

    /// Saves what the next round depends on; of an open round nothing: its workers answer again.
    pub fn save(&self) -> Memory {
        self.audit.iter().for_each(Log::sync);
        self.server.save()
    }

    /// Restores what `save` returned.
    ///
    /// # Errors
    /// If it is of another run.
    pub fn load(&mut self, memory: &Memory) -> Result<(), SpecError> {
        self.change = None;
        self.server.load(memory)
    }
}
