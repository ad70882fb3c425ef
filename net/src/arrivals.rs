//! Asynchronous training over sockets: each message is judged as it comes.

use crate::audit::{Entry, Log, Message, digest_of};
use crate::desk::{Came, Desk, Tally, bytes_of, malformed};
use crate::hub::{Doors, Hall, Hub};
use crate::shared::{Letter, News};
use crate::terms::Terms;
use crate::{Trouble, points};
use std::collections::VecDeque;
use std::sync::Arc;
use tracing::field;
use varangian_base::{Memory, SpecError};
use varangian_train::buckets::Buckets;
use varangian_train::{Fate, Outcome, Queue, Reason, Refusal};

/// A server that judges messages one by one, between two of them.
pub struct Arrivals {
    queue: Queue,
    buckets: Buckets,
    desk: Desk,
    hub: Hub,
    row: Vec<f32>,
    published: Option<u64>,
    /// What came in a pause, one message a worker: it is answered after it.
    held: VecDeque<Letter>,
    audit: Option<Log>,
}

/// A message that was judged: what became of it, and its loss as the worker said.
#[derive(Clone, Copy, Debug)]
pub struct Judged {
    /// What became of it.
    pub outcome: Outcome,
    /// What the worker said of its loss.
    pub loss: f64,
}

impl Arrivals {
    /// Opens the doors to the workers of this queue.
    ///
    /// # Errors
    /// If a socket or a file cannot be opened.
    pub fn open(
        queue: Queue,
        terms: Terms,
        doors: &Doors,
        filter: (usize, &str),
    ) -> Result<Self, Trouble> {
        let audit = doors.audit.as_ref().map(Log::open).transpose()?;
        let open = Hub::open(doors, terms)?;
        Ok(Arrivals { audit, ..Self::behind(open, queue, doors.rate, filter) })
    }

    /// The same behind a simulation's sockets.
    ///
    /// # Errors
    /// If nobody can mean these doors.
    #[cfg(feature = "sim")]
    pub fn simulated(
        queue: Queue,
        terms: Terms,
        (doors, serve): (&Doors, crate::sim::Serve),
        filter: (usize, &str),
    ) -> Result<Self, Trouble> {
        Ok(Self::behind(Hub::simulated(doors, terms, serve)?, queue, doors.rate, filter))
    }

    fn behind(
        (hub, hall): (Hub, Hall),
        queue: Queue,
        rate: f64,
        (f, filter): (usize, &str),
    ) -> Self {
        let (n, d) = (hall.shared.terms.n, hall.shared.terms.letter.d);
        Arrivals {
            queue,
            buckets: Buckets::new(n, rate),
            desk: Desk::new(hall, f, filter),
            hub,
            row: vec![0.0; d],
            published: None,
            held: VecDeque::new(),
            audit: None,
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
    pub fn queue(&self) -> &Queue {
        &self.queue
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

    /// Goes on until a message is judged; nothing where none came for a while and somebody should
    /// look whether to stop.
    pub fn advance(&mut self) -> Option<Judged> {
        self.publish();
        if let Some(log) = &mut self.audit {
            log.begin(self.queue.judged(), &self.desk.shared);
        }
        if self.trouble().is_some() {
            return None;
        }
        if !self.desk.paused
            && let Some(letter) = self.held.pop_front()
        {
            // Its sender may have been revoked in the pause.
            return self.desk.of_a_member(letter).and_then(|letter| self.take(letter));
        }
        match self.desk.wait(f64::INFINITY) {
            Came::Letter(letter) if self.desk.paused => {
                // Whoever hung up asks for no answer, and its bytes are no longer in the budget.
                self.held.retain(|held| !held.reply.is_closed());
                self.held.push_back(*letter);
                None
            }
            Came::Letter(letter) => self.take(*letter),
            Came::News | Came::Nothing => None,
        }
    }

    /// Tells workers of the newest model, if they do not know it.
    fn publish(&mut self) {
        if self.published == Some(self.queue.version()) || self.desk.paused {
            return;
        }
        let (version, params) = self.queue.fetch();
        self.desk.publish(News {
            version,
            rate: self.queue.rate(),
            params,
            previous: Arc::default(),
            sampled: None,
            change: None,
            open: true,
            finished: false,
        });
        self.published = Some(version);
        points::passes("model published");
    }

    /// Reads the message of this number into `row`; what is returned are its statistics.
    fn unpack(&mut self, number: u64, bytes: &[u8]) -> Result<Vec<f32>, (Reason, String)> {
        self.desk.shared.terms.letter.at(number).decode(bytes, &mut self.row).map_err(malformed)
    }

    /// Hands a message to the server, and judges it.
    fn take(&mut self, mut letter: Letter) -> Option<Judged> {
        let (worker, number, version) = (letter.worker, letter.number, letter.version);
        let refuse = |reason, detail| Err(Refusal { worker, reason, detail });
        let (mut statistics, mut bytes, mut at) = (Vec::new(), Vec::new(), None);
        let received = match self.desk.repeated(&letter) {
            Some(Ok(said)) => {
                let _ = letter.reply.send(said);
                return None;
            }
            // Before all that counts as an arrival: nobody ends a run sooner by sending more.
            _ if !self.buckets.take(worker as usize, self.desk.now()) => {
                let rate = self.buckets.rate();
                refuse(Reason::TooMany, format!("a worker sends at most {rate} messages a second"))
            }
            Some(Err(why)) => refuse(Reason::Equivocation, why),
            // It was young enough when it began to come.
            None if self.queue.version().saturating_sub(version) > self.desk.shared.staleness => {
                let (most, age) = (self.desk.shared.staleness, self.queue.version() - version);
                refuse(
                    Reason::WrongStep,
                    format!("a message is at most {most} steps old; found {age}"),
                )
            }
            None => match bytes_of(&mut letter).and_then(|body| {
                bytes = body;
                self.unpack(number, &bytes)
            }) {
                Ok(found) => {
                    statistics = found;
                    at = self.audit.as_mut().and_then(|log| log.keep(&bytes));
                    if self.trouble().is_some() {
                        // Nobody is answered: what is saved ends before this message.
                        return None;
                    }
                    self.queue.receive(worker, number, version, &self.row)
                }
                Err((reason, detail)) => refuse(reason, detail),
            },
        };
        let loss = letter.loss;
        let outcome = match &received {
            Ok(()) => {
                points::passes("candidate admitted");
                let (id, of) = (i64::from(worker), version as i64);
                let span =
                    tracing::info_span!("judge", worker = id, version = of, fate = field::Empty);
                let outcome = span.in_scope(|| self.queue.judge().expect("it has just come"));
                if !span.is_disabled() {
                    span.record("fate", outcome.fate.name());
                }
                points::passes("candidate judged");
                // What the filter throws away moves nothing, running statistics included.
                if matches!(outcome.fate, Fate::Step | Fate::Hold) {
                    self.queue.follow(&statistics);
                }
                tracing::debug!(worker, version, fate = ?outcome.fate, "judged");
                Some(outcome)
            }
            // What is only too much or too old was never an arrival.
            Err(refusal) if !refusal.reason.proves_hostile() => None,
            Err(_) => Some(self.queue.turn_away(worker, version)),
        };
        self.note(&letter, &received, outcome.as_ref(), at);
        // The worker asks for news when it has its answer: they are there by then.
        self.publish();
        self.desk.answer(letter, received);
        outcome.map(|outcome| Judged { outcome, loss })
    }

    /// Logs a message, what was said of it and what became of it, where there is an audit.
    fn note(
        &mut self,
        letter: &Letter,
        received: &Result<(), Refusal>,
        outcome: Option<&Outcome>,
        at: Option<(u64, u64)>,
    ) {
        let Some(log) = &mut self.audit else { return };
        let fate = outcome.map(|outcome| outcome.fate);
        let moved = fate == Some(Fate::Step);
        log.write(&Entry::Message(Message {
            fate: fate.map_or_else(String::new, Fate::name),
            parameters: if moved { digest_of(self.queue.params()) } else { String::new() },
            ..Message::of(letter, received.as_ref().err(), at)
        }));
    }

    /// Tells the workers that the run is over.
    pub fn finish(&mut self) {
        self.desk.finish(self.queue.version());
    }

    /// Saves what the next judgement depends on.
    pub fn save(&self) -> Memory {
        self.audit.iter().for_each(Log::sync);
        self.queue.save()
    }

    /// Restores what `save` returned. Workers count their messages anew after a start.
    ///
    /// # Errors
    /// If it is of another run.
    pub fn load(&mut self, memory: &Memory) -> Result<(), SpecError> {
        self.published = None;
        self.queue.load(memory)?;
        self.queue.forget_numbers();
        Ok(())
    }
}
