//! A worker's loop: ask for news, compute, send, and begin again when the server comes back.

use crate::Trouble;
use crate::client::{Client, Failed, Joined, News};
use crate::shared::digest;
use bytes::Bytes;
use std::collections::VecDeque;
use std::time::Duration;
use varangian_base::{Memory, Signs};
use varangian_learn::model::Prepared;
use varangian_learn::optim::Optimiser;
use varangian_train::wire::Letter;
use varangian_train::{Bench, Broadcast, Follower, Job, Poison, Worker};

/// Bytes of earlier states that a worker keeps for a server that was set back.
const KEEP: usize = 64 << 20;

/// How a worker's loop ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// The run is over.
    Finished,
    /// It was asked to stop.
    Stopped,
}

/// What a worker tells whoever listens.
pub enum Happened<'a> {
    /// It joined, for the first time or again.
    Joined(&'a Joined),
    /// It answered a step, and this is its state for the next one: by step, or in asynchronous
    /// training by the number of its message.
    Ready(u64, &'a Worker),
    /// The state that the worker began with is for this step, and the server is at that later one:
    /// what the worker did in between is not in it.
    Stale(u64, u64),
    /// The server wants a step from before the state that the worker began with: it goes on
    /// without that state.
    Behind(u64),
    /// The server said this of a message.
    Answered(&'a crate::proto::Receipt),
    /// The connection broke; it tries again.
    Lost(&'a str),
}

/// A model as a worker has it: of which version, and the numbers.
pub(crate) struct Model {
    pub(crate) version: u64,
    pub(crate) rate: f64,
    pub(crate) params: Vec<f32>,
    pub(crate) previous: Vec<f32>,
}

impl Model {
    pub(crate) fn broadcast(&self, step: u64) -> Broadcast<'_> {
        Broadcast { step, params: &self.params, previous: &self.previous, rate: self.rate }
    }
}

/// What a question for news gave.
pub(crate) enum Fresh {
    Model(Model),
    /// Nothing to compute now.
    Wait,
    Finished,
}

/// What keeps a worker's copy of the model up to date.
#[derive(Default)]
pub(crate) struct Reader {
    follower: Option<Follower>,
    /// The version that the follower holds.
    held: u64,
    /// The least version that is news.
    next: u64,
}

impl Reader {
    /// After joining: the server may have been started anew, and its version an earlier one.
    pub(crate) fn begin_again(&mut self, joined: &Joined) {
        let next = if joined.terms.asynchronous { 0 } else { joined.next };
        *self = Reader { next, ..Reader::default() };
    }

    /// The version was answered.
    pub(crate) fn done(&mut self, version: u64) {
        self.next = version + 1;
    }

    /// Asks the server for a model.
    pub(crate) fn read(
        &mut self,
        client: &mut Client,
        optimiser: &Optimiser,
        wants_previous: bool,
    ) -> Result<Fresh, Failed> {
        let terms = &client.joined().expect("a worker joins first").terms;
        let (d, follows) = (terms.letter.d, terms.updates.is_some());
        let previous = terms.previous || wants_previous;
        let asked = if terms.asynchronous { 0 } else { self.next };
        let update = follows && !previous && self.follower.is_some() && self.held + 1 == asked;
        match client.pull(asked, previous, update)? {
            News::NotModified => Ok(Fresh::Wait),
            News::Finished => Ok(Fresh::Finished),
            News::NotSampled(header) => {
                self.follower = None;
                self.done(header.version);
                Ok(Fresh::Wait)
            }
            News::Whole(header, mut floats) => {
                let previous = if previous { floats.split_off(d) } else { vec![0.0; d] };
                if follows {
                    self.follower = Some(Follower::at(optimiser, floats.clone()));
                    self.held = header.version;
                }
                let (version, rate) = (header.version, header.learning_rate);
                Ok(Fresh::Model(Model { version, rate, params: floats, previous }))
            }
            News::Signs(header, bytes) => {
                let Some(follower) = &mut self.follower else { return Ok(Fresh::Wait) };
                let signs = Signs::read(d, &bytes);
                let signs = signs.map_err(|error| Failed::Again(error.to_string()))?;
                let mut aggregate = vec![0.0; d];
                signs.decode(&mut aggregate);
                follower.step(header.step_rate, &aggregate);
                if digest(follower.params()) != *header.parameters_digest {
                    // Another optimiser here than there: the whole model is never wrong.
                    self.follower = None;
                    return Ok(Fresh::Wait);
                }
                self.held = header.version;
                if header.not_sampled {
                    self.done(header.version);
                    return Ok(Fresh::Wait);
                }
                let params = follower.params().to_vec();
                let (version, rate) = (header.version, header.learning_rate);
                Ok(Fresh::Model(Model { version, rate, params, previous: vec![0.0; d] }))
            }
        }
    }
}

/// A worker with what it needs to compute: bench, row, and its last states.
pub(crate) struct Hand {
    pub(crate) worker: Worker,
    /// The step for which its state is the first that it knows.
    since: u64,
    bench: Bench,
    prepared: Prepared,
    pub(crate) row: Vec<f32>,
    /// Its state before each of the last steps that it answered.
    past: VecDeque<(u64, Memory)>,
}

impl Hand {
    pub(crate) fn new(worker: Worker, job: &Job<'_>) -> Self {
        Hand {
            worker,
            since: 0,
            bench: Bench::new(job.model),
            prepared: Box::new(()),
            row: vec![0.0; job.model.dim()],
            past: VecDeque::new(),
        }
    }

    /// Goes on from the state that the worker had before step `next`.
    fn resume(&mut self, (next, state): (u64, Memory)) -> Result<(), Trouble> {
        self.since = next;
        self.worker.load(&state).map_err(|error| Trouble(error.to_string()))
    }

    /// Forgets the state that it began with, where `step` comes before it.
    fn is_behind(&mut self, step: u64) -> bool {
        let behind = step < self.since;
        if behind {
            (self.worker, self.since) = (self.worker.afresh(), 0);
            self.past.clear();
        }
        behind
    }

    /// Goes back to the state before this step, if it is the last one that was answered.
    fn undo(&mut self, step: u64) -> Result<(), Trouble> {
        match self.past.back() {
            Some((of, state)) if *of == step => {
                self.worker.load(state).map_err(|error| Trouble(error.to_string()))
            }
            _ => Ok(()),
        }
    }

    /// Computes the row of `step` at this model, from the state that the worker had before that
    /// step where it has answered it before: a server that was set back gets the same row again.
    pub(crate) fn compute(
        &mut self,
        job: &Job<'_>,
        model: &Model,
        step: u64,
        poison: Option<&dyn Poison>,
    ) -> Result<f64, Trouble> {
        if let Some(at) = self.past.iter().position(|(of, _)| *of >= step) {
            let (_, state) = self.past.remove(at).expect("it is there");
            self.worker.load(&state).map_err(|error| Trouble(error.to_string()))?;
            self.past.truncate(at);
        }
        let state = self.worker.save();
        let floats = state.values.len().max(1) * self.row.len();
        let most = (KEEP / (4 * floats.max(1))).max(1);
        self.past.push_back((step, state));
        while self.past.len() > most {
            self.past.pop_front();
        }
        job.model.prepare(&model.params, &mut self.prepared);
        let Hand { worker, bench, prepared, row, .. } = self;
        Ok(worker.gradient(job, &model.broadcast(step), prepared, poison, bench, None, row))
    }
}

/// What a worker begins with.
#[derive(Clone, Debug, Default)]
pub struct Start {
    /// Seconds that it waits for a server that is not there, each time.
    pub patience: f64,
    /// The state that it left at an earlier time ([`Happened::Ready`]), and the step that it is
    /// for.
    pub state: Option<(u64, Memory)>,
}

/// Works for a server until the run is over or `stop` says so: with its own data, on `job`'s model.
/// What breaks is tried again, for as long as `start` says.
///
/// # Errors
/// If the server does not take this worker, trains another model, or does not come back in time.
pub fn work(
    client: &mut Client,
    job: &Job<'_>,
    start: Start,
    stop: &dyn Fn() -> bool,
    listen: &mut dyn FnMut(Happened<'_>),
) -> Result<Ending, Trouble> {
    let mut labour = Labour::new(start);
    if let Some(joined) = client.joined() {
        joined.terms.fits(job.model)?;
        labour.joined(joined);
    }
    loop {
        if stop() {
            client.leave();
            return Ok(Ending::Stopped);
        }
        match labour.turn(client, job, listen) {
            Ok(Some(ending)) => return Ok(ending),
            Ok(None) => {}
            Err(Failed::Final(trouble)) => return Err(trouble),
            Err(Failed::Again(text)) => {
                listen(Happened::Lost(&text));
                labour.calm.wait(&text, stop)?;
            }
        }
    }
}

/// A worker between two messages.
struct Labour {
    reader: Reader,
    hand: Option<Hand>,
    /// What it began with, until it knows who it is.
    state: Option<(u64, Memory)>,
    /// The last message: of which step, its bytes and its loss.
    last: Option<(u64, Bytes, f64)>,
    /// In asynchronous training, the number of the next message.
    number: u64,
    calm: Calm,
}

impl Labour {
    fn new(start: Start) -> Self {
        let number = start.state.as_ref().map_or(0, |(next, _)| *next);
        Labour {
            reader: Reader::default(),
            hand: None,
            state: start.state,
            last: None,
            number,
            calm: Calm::new(start.patience),
        }
    }

    fn joined(&mut self, joined: &Joined) {
        self.reader.begin_again(joined);
        self.number = self.number.max(joined.next);
    }

    /// Waits for news, computes what they ask for, and sends it.
    fn turn(
        &mut self,
        client: &mut Client,
        job: &Job<'_>,
        listen: &mut dyn FnMut(Happened<'_>),
    ) -> Result<Option<Ending>, Failed> {
        if client.joined().is_none() || self.calm.is_lost() {
            let joined = client.join(AGENT)?;
            joined.terms.fits(job.model).map_err(Failed::Final)?;
            self.joined(&joined);
            listen(Happened::Joined(&joined));
        }
        self.calm.well();
        let Joined { worker, terms, .. } = client.joined().expect("it joined").clone();
        let model = match self.reader.read(client, job.optimiser, false)? {
            Fresh::Finished => return Ok(Some(Ending::Finished)),
            Fresh::Wait => return Ok(None),
            Fresh::Model(model) => model,
        };
        let hand = self.hand.get_or_insert_with(|| Hand::new(Worker::new(worker), job));
        if let Some(state) = self.state.take() {
            hand.resume(state).map_err(Failed::Final)?;
        }
        let step = if terms.asynchronous { self.number } else { model.version };
        if hand.is_behind(step) {
            listen(Happened::Behind(step));
        } else if hand.past.is_empty() && 0 < hand.since && hand.since < step {
            listen(Happened::Stale(hand.since, step));
        }
        let is_again = self.last.as_ref().is_some_and(|(of, ..)| *of == step);
        if !is_again || terms.asynchronous {
            let loss = hand.compute(job, &model, step, None).map_err(Failed::Final)?;
            let sent = sealed(&terms.letter.at(step), &hand.row, hand.worker.statistics());
            self.last = Some((step, sent, loss));
        }
        let (step, body, loss) = self.last.as_ref().expect("it was computed");
        let receipt = client.push((model.version, *step), body, *loss)?;
        self.reader.done(model.version);
        self.number = self.number.max(step + 1);
        listen(Happened::Answered(&receipt));
        if receipt.admitted {
            listen(Happened::Ready(step + 1, &hand.worker));
        } else if job.optimiser.is_difference() {
            // The server adds up what it admits: the worker must not add more.
            hand.undo(*step).map_err(Failed::Final)?;
            self.last = None;
        }
        if receipt.reason == "too-many" {
            crate::clock::rest(Duration::from_millis(100));
        }
        Ok(None)
    }
}

/// What a worker says it is.
pub(crate) const AGENT: &str = concat!("varangian ", env!("CARGO_PKG_VERSION"));

/// A message's bytes.
pub(crate) fn sealed(letter: &Letter, row: &[f32], statistics: &[f32]) -> Bytes {
    letter.encode(row, statistics).into()
}

/// How long a worker has been without a server.
pub(crate) struct Calm {
    patience: f64,
    lost: Option<std::time::Instant>,
    pause: Duration,
}

impl Calm {
    pub(crate) fn new(patience: f64) -> Self {
        Calm { patience, lost: None, pause: Duration::from_millis(50) }
    }

    pub(crate) fn is_lost(&self) -> bool {
        self.lost.is_some()
    }

    pub(crate) fn well(&mut self) {
        (self.lost, self.pause) = (None, Duration::from_millis(50));
    }

    /// Waits a little, longer each time.
    pub(crate) fn wait(&mut self, text: &str, stop: &dyn Fn() -> bool) -> Result<(), Trouble> {
        let since = *self.lost.get_or_insert_with(crate::clock::now);
        if crate::clock::since(since).as_secs_f64() > self.patience {
            let patience = self.patience;
            return Err(Trouble(format!("no server for {patience} seconds: {text}")));
        }
        let end = crate::clock::now() + self.pause;
        while crate::clock::now() < end && !stop() {
            crate::clock::rest(Duration::from_millis(25));
        }
        self.pause = (2 * self.pause).min(Duration::from_secs(2));
        Ok(())
    }
}
