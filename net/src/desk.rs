//! The machine's side of the sockets: who is present, what was said of the last messages, what
//! whoever runs the server has ordered.

use crate::hub::Hall;
use crate::proto::{StatusReply, WorkerStatus};
use crate::shared::{Event, Letter, News, Order, Said, Shared};
use std::collections::BTreeMap;
use std::sync::{Arc, atomic::Ordering};
use std::time::{Duration, Instant};
use tokio::runtime::Handle;
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::sync::oneshot;
use varangian_train::wire::Malformed;
use varangian_train::{Reason, Refusal};

/// How long the machine sleeps at most before it looks whether it should stop.
const NAP: Duration = Duration::from_millis(200);

/// Seconds that a server whose run is over waits for its workers to learn of it.
const FAREWELL: f64 = 10.0;

/// What the last answers take to go out, before the sockets close.
const PARTING: Duration = Duration::from_millis(300);

/// What is known of a worker since the server was started.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    /// Whether it is connected.
    pub present: bool,
    /// Messages that were admitted.
    pub admitted: u64,
    /// Messages that were refused, repetitions apart.
    pub refused: u64,
    /// Rounds that waited for it in vain.
    pub missed: u64,
    /// Why its last refused message was.
    pub reason: String,
    /// What the rule gave its last row, where it gives weights.
    pub weight: Option<f64>,
    /// Its last message's loss, as it said.
    pub loss: f64,
}

/// What a wait ended with.
pub(crate) enum Came {
    /// A message that needs an answer.
    Letter(Box<Letter>),
    /// Something that changes who is present or what is ordered.
    News,
    /// Nothing for a while.
    Nothing,
}

/// What the machine knows of the world outside.
pub(crate) struct Desk {
    pub(crate) shared: Arc<Shared>,
    events: UnboundedReceiver<Event>,
    sockets: Handle,
    pub(crate) tallies: Vec<Tally>,
    /// By worker, its last message that was looked at: number, digest, what was said.
    receipts: BTreeMap<u32, (u64, [u8; 32], Said)>,
    /// By worker, its watches that are open.
    watches: Vec<u32>,
    /// Who joined, or answered a step that was over, since this was looked at last.
    pub(crate) returned: Vec<u32>,
    pub(crate) paused: bool,
    pub(crate) stopped: bool,
    pub(crate) saves: bool,
    begun: Instant,
    pub(crate) skipped: u64,
    outline: (usize, String),
}

impl Desk {
    pub(crate) fn new(hall: Hall, f: usize, rule: &str) -> Self {
        let Hall { shared, events, sockets } = hall;
        let n = shared.terms.n;
        Desk {
            shared,
            events,
            sockets,
            tallies: vec![Tally { loss: f64::NAN, ..Tally::default() }; n],
            receipts: BTreeMap::new(),
            watches: vec![0; n],
            returned: Vec::new(),
            paused: false,
            stopped: false,
            saves: false,
            begun: crate::clock::now(),
            skipped: 0,
            outline: (f, rule.to_owned()),
        }
    }

    /// Seconds since the server was started.
    pub(crate) fn now(&self) -> f64 {
        crate::clock::since(self.begun).as_secs_f64()
    }

    /// How many workers are present.
    pub(crate) fn present(&self) -> usize {
        self.tallies.iter().filter(|tally| tally.present).count()
    }

    /// Workers that may not be heard any more, ascending.
    pub(crate) fn revoked(&self) -> Vec<u32> {
        let workers = 0..self.tallies.len() as u32;
        workers.filter(|&worker| self.shared.is_revoked(worker)).collect()
    }

    /// Waits for the next message or change, until `end` at most and never for long.
    pub(crate) fn wait(&mut self, end: f64) -> Came {
        let left = Duration::try_from_secs_f64((end - self.now()).max(0.0)).unwrap_or(NAP);
        let events = &mut self.events;
        let next = async { tokio::time::timeout(left.min(NAP), events.recv()).await };
        match crate::clock::wait(&self.sockets, next) {
            Ok(Some(Event::Letter(letter))) => {
                // It may have begun to come when its sender still was enrolled.
                let Some(letter) = self.of_a_member(*letter) else { return Came::Nothing };
                if let Some(tally) = self.tallies.get_mut(letter.worker as usize) {
                    tally.loss = letter.loss;
                }
                Came::Letter(Box::new(letter))
            }
            Ok(Some(Event::Joined(worker))) => {
                self.is_back(worker);
                self.note(worker, |_| true)
            }
            Ok(Some(Event::Late(worker))) => {
                self.is_back(worker);
                Came::News
            }
            Ok(Some(Event::Watching(worker))) => self.note(worker, |watches| {
                *watches += 1;
                true
            }),
            // A watch that ends late may end after the next one has begun.
            Ok(Some(Event::Unwatched(worker))) => self.note(worker, |watches| {
                *watches = watches.saturating_sub(1);
                *watches > 0
            }),
            Ok(Some(Event::Left(worker))) => self.note(worker, |_| false),
            Ok(Some(Event::Order(order, reply))) => {
                self.obey(order, reply);
                Came::News
            }
            Err(_) => Came::Nothing,
            // The sockets are closed, which only the end of the run does.
            Ok(None) => {
                self.stopped = true;
                Came::Nothing
            }
        }
    }

    /// The message, unless its sender is not enrolled any more, which it is told.
    pub(crate) fn of_a_member(&self, letter: Letter) -> Option<Letter> {
        if self.shared.is_enrolled(letter.worker) {
            return Some(letter);
        }
        let detail = format!("worker {} is not enrolled any more", letter.worker);
        let reason = Reason::UnknownWorker.name().to_owned();
        let _ = letter.reply.send(Said { admitted: false, reason, detail });
        None
    }

    /// Notes that the next round may count on a worker again.
    pub(crate) fn is_back(&mut self, worker: u32) {
        if !self.returned.contains(&worker) {
            self.returned.push(worker);
        }
    }

    /// Notes whether a worker is present now, by how many watches it has.
    fn note(&mut self, worker: u32, present: impl FnOnce(&mut u32) -> bool) -> Came {
        let present = present(&mut self.watches[worker as usize]);
        let tally = &mut self.tallies[worker as usize];
        if std::mem::replace(&mut tally.present, present) != present {
            tracing::info!(worker, "{}", if present { "present" } else { "gone" });
        }
        Came::News
    }

    fn obey(&mut self, order: Order, reply: oneshot::Sender<StatusReply>) {
        match order {
            Order::Status => {}
            Order::Pause => self.paused = true,
            Order::Resume => self.paused = false,
            Order::Checkpoint => self.saves = true,
            Order::Stop => self.stopped = true,
            Order::Revoke(worker) => {
                if (worker as usize) < self.tallies.len() {
                    let mut revoked = self.shared.revoked.lock().expect("no task panicked");
                    if !revoked.contains(&worker) {
                        revoked.push(worker);
                    }
                    self.tallies[worker as usize].present = false;
                    self.shared.notify("revoked", 0, format!("worker {worker}"));
                }
            }
        }
        if order != Order::Status {
            tracing::info!(?order, "ordered");
        }
        // Whoever asked may be gone.
        let _ = reply.send(self.status());
    }

    /// What was said of a message that came before, where this is it again; or that it differs.
    pub(crate) fn repeated(&self, letter: &Letter) -> Option<Result<Said, String>> {
        let (number, digest, said) = self.receipts.get(&letter.worker)?;
        if *number != letter.number {
            return None;
        }
        if *digest == letter.digest && letter.body.is_ok() {
            return Some(Ok(said.clone()));
        }
        Some(Err("a second message for the step differs from the first".to_owned()))
    }

    /// Answers a message with what the machine made of it, and keeps the answer for repetitions.
    pub(crate) fn answer(&mut self, letter: Letter, received: Result<(), Refusal>) {
        let tally = &mut self.tallies[letter.worker as usize];
        let said = match &received {
            Ok(()) => {
                tally.admitted += 1;
                Said { admitted: true, reason: String::new(), detail: String::new() }
            }
            Err(refusal) => {
                let (reason, detail) = (refusal.reason.name().to_owned(), refusal.detail.clone());
                tally.refused += 1;
                tally.reason = refusal.why();
                let worker = letter.worker;
                tracing::warn!(worker, number = letter.number, reason, detail, "refused");
                self.shared.notify("refused", letter.version, refusal.to_string());
                Said { admitted: false, reason, detail }
            }
        };
        let final_word = received.as_ref().err().is_none_or(|r| r.reason.proves_hostile());
        if final_word {
            let kept = (letter.number, letter.digest, said.clone());
            self.receipts.insert(letter.worker, kept);
            let mut next = self.shared.next.lock().expect("no task panicked");
            next[letter.worker as usize] = letter.number.saturating_add(1);
        }
        #[cfg(feature = "sim")]
        crate::sim::answered(&letter, received.as_ref().err());
        crate::points::passes("receipt kept");
        // The worker may have hung up.
        let _ = letter.reply.send(said);
    }

    /// Tells workers what there is.
    pub(crate) fn publish(&self, news: News) {
        self.shared.news.send_replace(Arc::new(news));
    }

    /// Tells the workers that the run is over, after `version`, and sees them off.
    pub(crate) fn finish(&mut self, version: u64) {
        self.publish(News { version, finished: true, ..News::nothing() });
        self.shared.notify("stop", version, String::new());
        self.see_off();
        // Who was told has it when the bytes have gone out, and the sockets close after this.
        crate::clock::rest(PARTING);
    }

    /// Waits until every worker that is present has asked and knows that the run is over, for a
    /// while: nobody is left behind looking for a server.
    fn see_off(&mut self) {
        let end = self.now() + FAREWELL;
        while self.now() < end {
            let told = self.shared.told.lock().expect("no task panicked").clone();
            let knows = |(worker, tally): (usize, &Tally)| {
                !tally.present || told.contains(&(worker as u32))
            };
            if self.tallies.iter().enumerate().all(knows) {
                break;
            }
            if let Came::Letter(letter) = self.wait(self.now() + 0.02) {
                let detail = "the run is over".to_owned();
                let reason = Reason::WrongStep.name().to_owned();
                let _ = letter.reply.send(Said { admitted: false, reason, detail });
            }
        }
    }

    /// How things stand.
    pub(crate) fn status(&self) -> StatusReply {
        let shared = &self.shared;
        let roll = shared.roll.read().expect("no task panicked");
        let worker = |(id, tally): (usize, &Tally)| {
            let id = id as u32;
            let state = match tally {
                _ if shared.is_revoked(id) => "revoked",
                Tally { present: true, .. } => "present",
                _ => "absent",
            };
            WorkerStatus {
                worker: id,
                name: roll.by_id(id).map_or_else(String::new, |member| member.name.clone()),
                state: state.to_owned(),
                admitted: tally.admitted,
                refused: tally.refused,
                missed: tally.missed,
                reason: tally.reason.clone(),
                weight: tally.weight.unwrap_or(f64::NAN),
                loss: tally.loss,
            }
        };
        StatusReply {
            run: shared.run,
            version: shared.news.borrow().version,
            paused: self.paused,
            n: self.tallies.len() as u32,
            f: self.outline.0 as u32,
            rule: self.outline.1.clone(),
            seconds: self.now(),
            skipped: self.skipped,
            bytes_in: shared.bytes_in.load(Ordering::Relaxed),
            bytes_out: shared.bytes_out.load(Ordering::Relaxed),
            workers: self.tallies.iter().enumerate().map(worker).collect(),
        }
    }
}

/// The bytes of a message, or why there are none; they are taken out of it.
pub(crate) fn bytes_of(letter: &mut Letter) -> Result<Vec<u8>, (Reason, String)> {
    std::mem::replace(&mut letter.body, Ok(Vec::new()))
}

/// Why a message cannot be read, as it is recorded.
pub(crate) fn malformed(Malformed(why): Malformed) -> (Reason, String) {
    (Reason::Malformed, why)
}
