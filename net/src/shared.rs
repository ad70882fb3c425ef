//! What the sockets' tasks and the machine's thread share: the news for workers, the roll, the
//! budget of memory, and the way for events.

use crate::gate::Calls;
use crate::proto::{Notice, StatusReply};
use crate::receipts::Signer;
use crate::roll::Roll;
use crate::terms::Terms;
use bytes::Bytes;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, RwLock};
use tokio::sync::mpsc::UnboundedSender;
use tokio::sync::{Semaphore, broadcast, oneshot, watch};
use varangian_base::{Coins, Signs, ZeroPolicy};
use varangian_train::Reason;

/// The unit in which memory is taken from the budget.
const UNIT: usize = 1 << 10;

/// What workers need of a version of the model.
#[derive(Clone)]
pub(crate) struct News {
    pub(crate) version: u64,
    pub(crate) rate: f64,
    pub(crate) params: Arc<Vec<f32>>,
    pub(crate) previous: Arc<Vec<f32>>,
    /// Who takes part in this step, ascending, where not all do.
    pub(crate) sampled: Option<Vec<u32>>,
    /// How the model of the version before becomes this one, where that is shorter.
    pub(crate) change: Option<Change>,
    /// Whether messages for this version are taken: not before the first round and not after the
    /// last.
    pub(crate) open: bool,
    pub(crate) finished: bool,
}

/// A step by signs.
#[derive(Clone)]
pub(crate) struct Change {
    pub(crate) signs: Bytes,
    pub(crate) ternary: bool,
    pub(crate) rate: f64,
    pub(crate) keep: f64,
    /// BLAKE3 of the parameters that it leads to.
    pub(crate) digest: [u8; 32],
}

impl Change {
    /// The signs of `aggregate`, and what a step along them at (rate, share kept of the parameters)
    /// leads to.
    pub(crate) fn of(
        aggregate: &[f32],
        ternary: bool,
        (rate, keep): (f64, f64),
        params: &[f32],
    ) -> Self {
        let (mut signs, mut bytes) = (Signs::default(), Vec::new());
        let zero = if ternary { ZeroPolicy::Zero } else { ZeroPolicy::PlusOne };
        signs.encode(aggregate, zero, Coins::default());
        signs.write(&mut bytes);
        Change { signs: Bytes::from(bytes), ternary, rate, keep, digest: digest(params) }
    }
}

/// BLAKE3 of parameters as they travel whole.
pub(crate) fn digest(params: &[f32]) -> [u8; 32] {
    let mut hasher = blake3::Hasher::new();
    let mut bytes = Vec::with_capacity(4 << 12);
    for part in params.chunks(1 << 12) {
        bytes.clear();
        bytes.extend(part.iter().flat_map(|x| x.to_le_bytes()));
        hasher.update(&bytes);
    }
    *hasher.finalize().as_bytes()
}

impl News {
    /// No model and no step that is open.
    pub(crate) fn nothing() -> Self {
        News {
            version: 0,
            rate: 0.0,
            params: Arc::default(),
            previous: Arc::default(),
            sampled: None,
            change: None,
            open: false,
            finished: false,
        }
    }

    /// Whether the worker takes part in this step.
    pub(crate) fn invites(&self, worker: u32) -> bool {
        self.sampled.as_ref().is_none_or(|those| those.binary_search(&worker).is_ok())
    }
}

/// A message that came whole.
pub(crate) struct Letter {
    pub(crate) worker: u32,
    pub(crate) version: u64,
    pub(crate) number: u64,
    /// Its bytes, or why they were not read.
    pub(crate) body: Result<Vec<u8>, (Reason, String)>,
    pub(crate) digest: [u8; 32],
    pub(crate) loss: f64,
    /// Where what is said of it goes.
    pub(crate) reply: oneshot::Sender<Said>,
}

/// What the machine says of a message.
#[derive(Clone, Debug)]
pub(crate) struct Said {
    pub(crate) admitted: bool,
    pub(crate) reason: String,
    pub(crate) detail: String,
}

/// An order of whoever runs the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// Nothing: how do things stand?
    Status,
    /// No further round.
    Pause,
    /// Go on.
    Resume,
    /// Keep the state now.
    Checkpoint,
    /// Keep the state and end.
    Stop,
    /// Take this worker's identity from it.
    Revoke(u32),
}

/// What the sockets tell the machine.
pub(crate) enum Event {
    Joined(u32),
    /// It answered a step that was over.
    Late(u32),
    /// Its watch began.
    Watching(u32),
    /// One of its watches ended, however that came.
    Unwatched(u32),
    Left(u32),
    Letter(Box<Letter>),
    Order(Order, oneshot::Sender<StatusReply>),
}

/// What all share.
pub(crate) struct Shared {
    pub(crate) run: u64,
    pub(crate) terms: Terms,
    pub(crate) signer: Signer,
    pub(crate) news: watch::Sender<Arc<News>>,
    pub(crate) notices: broadcast::Sender<Notice>,
    pub(crate) events: UnboundedSender<Event>,
    pub(crate) roll: RwLock<Roll>,
    pub(crate) revoked: Mutex<Vec<u32>>,
    pub(crate) insecure: bool,
    /// In asynchronous training, the oldest model that a message may be of, in steps.
    pub(crate) staleness: u64,
    /// The round that is open, in traces.
    pub(crate) span: RwLock<tracing::Span>,
    /// Memory for messages under way.
    pub(crate) budget: Arc<Semaphore>,
    /// The workers that know that the run is over.
    pub(crate) told: Mutex<Vec<u32>>,
    /// By worker, the number after that of its last message that was judged.
    pub(crate) next: Mutex<Vec<u64>>,
    /// By worker, its open calls.
    pub(crate) calls: Calls,
    /// By worker, whether a message of it is under way.
    pub(crate) pushing: Mutex<Vec<bool>>,
    pub(crate) bytes_in: AtomicU64,
    pub(crate) bytes_out: AtomicU64,
}

impl Shared {
    /// Units of the budget that so many bytes take.
    pub(crate) fn units(bytes: usize) -> u32 {
        u32::try_from(bytes.div_ceil(UNIT).max(1)).unwrap_or(u32::MAX)
    }

    /// Tells the machine; nothing where it is gone, which a worker learns from the news.
    pub(crate) fn tell(&self, event: Event) {
        let _ = self.events.send(event);
    }

    /// Tells whoever watches.
    pub(crate) fn notify(&self, what: &str, version: u64, detail: String) {
        let _ = self.notices.send(Notice { what: what.to_owned(), version, detail });
    }

    /// Whether the worker may be heard: it is on the roll, and nobody has taken its identity.
    pub(crate) fn is_enrolled(&self, worker: u32) -> bool {
        #[cfg(feature = "sim")]
        if crate::sim::plants(crate::sim::Bug::NoEnrolment) {
            return true;
        }
        let roll = self.roll.read().expect("no task panicked");
        roll.by_id(worker).is_some() && !self.is_revoked(worker)
    }

    pub(crate) fn is_revoked(&self, worker: u32) -> bool {
        self.revoked.lock().expect("no task panicked").contains(&worker)
    }

    pub(crate) fn count_in(&self, bytes: usize) {
        self.bytes_in.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    pub(crate) fn count_out(&self, bytes: usize) {
        self.bytes_out.fetch_add(bytes as u64, Ordering::Relaxed);
    }
}

/// A worker's place among those whose message is under way; given back when it is dropped.
pub(crate) struct Turn {
    shared: Arc<Shared>,
    worker: u32,
}

impl Turn {
    /// A turn, unless the worker has one already.
    pub(crate) fn take(shared: &Arc<Shared>, worker: u32) -> Option<Self> {
        let mut pushing = shared.pushing.lock().expect("no task panicked");
        let busy = pushing.get_mut(worker as usize)?;
        (!std::mem::replace(busy, true)).then(|| Turn { shared: Arc::clone(shared), worker })
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.shared.pushing.lock().expect("no task panicked")[self.worker as usize] = false;
    }
}
