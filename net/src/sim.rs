//! What a simulation of a server and its workers needs of this crate: a way to block on one thread,
//! sockets of its own, points at which it may stop a server, and mistakes that it plants to see
//! whether they are found.
//!
//! Everything here acts on one thread and does nothing on a thread that no simulation has entered.

use crate::proto::StatusReply;
use crate::shared::{Event, Letter, Order, Shared};
use bytes::Bytes;
use std::cell::RefCell;
use std::future::Future;
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::sync::oneshot;
use tonic::transport::server::Router;
use varangian_base::{Memory, Value};
use varangian_train::{Reason, Refusal, Server};

/// Whoever gives a server its connections.
pub type Serve = Box<dyn FnOnce(Router)>;

/// The named points of a server at which a simulation may stop it, in the order of a round and of
/// a message: in rounds, then message by message, then while a message comes in.
pub const POINTS: &[&str] = &[
    "round opened",
    "row read",
    "row admitted",
    "receipt kept",
    "gathering closed",
    "step applied",
    "step told",
    "candidate admitted",
    "candidate judged",
    "model published",
    "push header",
    "push chunk",
    "push whole",
    "push answered",
    "joined",
    "pull asked",
];

/// A mistake that a simulation plants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bug {
    /// A step is applied twice.
    DoubleApply,
    /// A step is applied to half of the coordinates.
    HalfApply,
    /// A row of the last step counts for the open one.
    StaleRow,
    /// Whoever was revoked is let in.
    NoEnrolment,
}

/// What happens to a message.
#[derive(Clone, Debug)]
pub enum Seen {
    /// A worker sends it.
    Sent {
        /// The start of the server that it is for.
        run: u64,
        /// The version that it answers.
        version: u64,
        /// Its number.
        number: u64,
        /// Its bytes.
        body: Bytes,
    },
    /// The server's machine has a first answer to it.
    Answered {
        /// Who sent it.
        worker: u32,
        /// The version that it answers.
        version: u64,
        /// Its number.
        number: u64,
        /// BLAKE3 of its bytes.
        digest: [u8; 32],
        /// Why it does not count, where it does not.
        refused: Option<Reason>,
    },
}

/// Whoever simulates.
pub trait Director {
    /// A server is at this point: whether it ends here, as if its power were cut.
    fn passes(&self, point: &'static str) -> bool;
    /// Whether this mistake is made.
    fn plants(&self, bug: Bug) -> bool;
    /// Something happened to a message.
    fn sees(&self, seen: Seen);
    /// How far the clock of the host that runs now has jumped.
    fn jumped(&self) -> Duration;
    /// Gives the thread to others, until the task of the blocking code that runs now is woken;
    /// `poll` is asked then, with the context of that task.
    fn give_way(&self, poll: &mut dyn FnMut(&mut Context<'_>) -> Poll<()>);
    /// Whether blocking code runs now.
    fn is_inside(&self) -> bool;
}

thread_local! {
    static DIRECTOR: RefCell<Option<Rc<dyn Director>>> = const { RefCell::new(None) };
}

/// From now on this thread is simulated by `director`; by nobody where it is nothing.
pub fn direct(director: Option<Rc<dyn Director>>) {
    DIRECTOR.with(|place| *place.borrow_mut() = director);
}

fn director() -> Option<Rc<dyn Director>> {
    DIRECTOR.with(|place| place.borrow().clone())
}

pub(crate) fn is_inside() -> bool {
    director().is_some_and(|director| director.is_inside())
}

pub(crate) fn jumped() -> Duration {
    director().map_or(Duration::ZERO, |director| director.jumped())
}

/// Blocks the code that runs now until the future is over.
pub(crate) fn wait<F: Future>(future: F) -> F::Output {
    let director = director().expect("it is inside");
    let mut future = pin!(future);
    let mut output = None;
    director.give_way(&mut |context| future.as_mut().poll(context).map(|out| output = Some(out)));
    output.expect("it is over")
}

pub(crate) fn passes(point: &'static str) {
    debug_assert!(POINTS.contains(&point), "{point} is no named point");
    if director().is_some_and(|director| director.passes(point)) {
        wait(std::future::pending::<()>());
    }
}

pub(crate) async fn task_passes(point: &'static str) {
    debug_assert!(POINTS.contains(&point), "{point} is no named point");
    if director().is_some_and(|director| director.passes(point)) {
        std::future::pending::<()>().await;
    }
}

pub(crate) fn plants(bug: Bug) -> bool {
    director().is_some_and(|director| director.plants(bug))
}

pub(crate) fn sent((run, version, number): (u64, u64, u64), body: &Bytes) {
    if let Some(director) = director() {
        director.sees(Seen::Sent { run, version, number, body: body.clone() });
    }
}

pub(crate) fn answered(letter: &Letter, refused: Option<&Refusal>) {
    if let Some(director) = director() {
        director.sees(Seen::Answered {
            worker: letter.worker,
            version: letter.version,
            number: letter.number,
            digest: letter.digest,
            refused: refused.map(|refusal| refusal.reason),
        });
    }
}

/// Orders to a server from within a simulation.
#[derive(Clone)]
pub struct Remote {
    shared: Arc<Shared>,
    memory: usize,
}

impl Remote {
    pub(crate) fn to(shared: &Arc<Shared>) -> Self {
        let memory = shared.budget.available_permits();
        Remote { shared: Arc::clone(shared), memory }
    }

    /// Gives an order; what is returned hears when it was obeyed.
    pub fn order(&self, order: Order) -> oneshot::Receiver<StatusReply> {
        let (reply, hears) = oneshot::channel();
        self.shared.tell(Event::Order(order, reply));
        hears
    }

    /// Kilobytes of the budget that messages under way hold now, and all of it.
    pub fn held(&self) -> (usize, usize) {
        (self.memory - self.shared.budget.available_permits(), self.memory)
    }

    /// The number of this start of the server.
    pub fn run(&self) -> u64 {
        self.shared.run
    }
}

/// Where that is planted, counts a message of the last step for the open one.
pub(crate) fn mistake(letter: &mut Letter, step: u64) {
    if letter.version + 1 == step && plants(Bug::StaleRow) {
        letter.version = step;
    }
}

/// Where that is planted, applies the step that was just made twice, or to half of the parameters.
pub(crate) fn misapply(before: &Memory, server: &mut Server) {
    let (twice, half) = (plants(Bug::DoubleApply), plants(Bug::HalfApply));
    if !(twice || half) {
        return;
    }
    let mut after = server.save();
    let old = before.floats("params").expect("a server has parameters");
    let new = after.floats("params").expect("a server has parameters");
    let wrong = old.iter().zip(new).enumerate().map(|(k, (a, b))| match k % 2 {
        0 if half => *a,
        _ if half => *b,
        _ => b + (b - a),
    });
    after.put("params", Value::Floats(wrong.collect()));
    server.load(&after).expect("its own state");
}
