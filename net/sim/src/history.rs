//! What happened in a simulated run, in order.

use std::fmt::{self, Write};
use varangian_train::{Outcome, Reason};

/// BLAKE3 of something.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Digest(pub [u8; 32]);

impl Digest {
    /// Of these bytes.
    pub fn of(bytes: &[u8]) -> Self {
        Digest(*blake3::hash(bytes).as_bytes())
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0[..6].iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// Something that happened.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// A worker sent a message.
    Sent {
        /// The worker.
        from: u32,
        /// The start of the server that it is for, from 1.
        start: u64,
        /// The version that it answers.
        version: u64,
        /// Its number.
        number: u64,
        /// Of its bytes.
        digest: Digest,
    },
    /// The server has a first answer to a message.
    Answered {
        /// Who sent it.
        worker: u32,
        /// The version that it answers.
        version: u64,
        /// Its number.
        number: u64,
        /// Of its bytes.
        digest: Digest,
        /// Why it does not count, where it does not.
        refused: Option<Reason>,
    },
    /// The server was started, for the n-th time, at this step with these parameters.
    Started(u64, u64, Digest),
    /// A round was opened.
    Opened,
    /// A round was closed.
    Closed {
        /// Its step.
        step: u64,
        /// Hostile workers that the rule was told of.
        f: usize,
        /// Whose rows it had.
        ids: Vec<u32>,
        /// Whether no step was made, and why.
        skipped: Option<String>,
        /// What was refused.
        refused: Vec<(u32, Reason)>,
        /// Of the parameters after it.
        after: Digest,
    },
    /// A message was judged.
    Judged {
        /// What became of it.
        outcome: Outcome,
        /// The version after it.
        version: u64,
        /// Of the parameters after it.
        after: Digest,
    },
    /// The state of this step, with these parameters, is kept: it is there after a crash, or may
    /// be.
    Kept(u64, Digest),
    /// The server could not keep its state.
    NotKept(String),
    /// A worker joined.
    Joined(u32),
    /// A worker was answered: number, whether it counts, why not.
    Receipt(u32, u64, bool, String),
    /// A worker's connection broke.
    Lost(u32),
    /// A worker's loop ended.
    Ended(u32, String),
    /// The server obeyed an order.
    Obeyed(varangian_net::Order),
    /// A fault of this kind began, and whom it keeps away.
    Began(&'static str, Option<u32>),
    /// A fault of this kind showed.
    Showed(&'static str, Option<u32>),
    /// A fault ended.
    Over(&'static str, Option<u32>),
    /// The server's power was cut at this point.
    Crashed(&'static str),
    /// The run is over.
    Finished(u64),
}

/// All that happened, each with its time in milliseconds.
#[derive(Clone, Debug, Default)]
pub struct History {
    /// In order.
    pub events: Vec<(u64, Event)>,
}

impl History {
    /// All of it as text, one event a line: two runs of a seed have the same.
    pub fn trace(&self) -> String {
        let mut text = String::new();
        for (at, event) in &self.events {
            writeln!(text, "{at} {event:?}").expect("text takes all");
        }
        text
    }
}
