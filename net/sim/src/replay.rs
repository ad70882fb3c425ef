//! The run once more without a network: a machine of the same kind is given the rows that counted,
//! in the order of their workers, and must come to the same bytes.

use crate::history::{Digest, Event};
use crate::model::D;
use crate::scenario::Scenario;
use crate::serve::digest;
use bytes::Bytes;
use std::collections::{BTreeMap, BTreeSet};
use varangian_base::Memory;
use varangian_train::wire::Letter;
use varangian_train::{Outcome, Queue, Reason, Server};

/// The machine beside the one that was served.
enum Machine {
    Server(Box<Server>),
    Queue(Box<Queue>),
}

/// The run as it should be, as far as it was told.
pub struct Replay<'a> {
    scenario: &'a Scenario,
    bodies: &'a BTreeMap<Digest, Bytes>,
    machine: Machine,
    /// Its state at the beginning of each step that the server may be set back to.
    states: BTreeMap<u64, Memory>,
    /// Who sent what to this start of the server: digest, worker, version, number.
    sent: BTreeSet<(Digest, u32, u64, u64)>,
    start: u64,
    /// By worker, the row that stands for the open step.
    rows: BTreeMap<u32, Digest>,
    /// The message that was admitted last, where each is judged.
    last: Option<(u32, u64, u64, Digest)>,
}

impl<'a> Replay<'a> {
    /// A run at its beginning.
    pub fn new(scenario: &'a Scenario, bodies: &'a BTreeMap<Digest, Bytes>) -> Self {
        let machine = match scenario.asynchronous {
            true => Machine::Queue(Box::new(scenario.queue())),
            false => Machine::Server(Box::new(scenario.server())),
        };
        let mut replay = Replay {
            scenario,
            bodies,
            machine,
            states: BTreeMap::new(),
            sent: BTreeSet::new(),
            start: 0,
            rows: BTreeMap::new(),
            last: None,
        };
        replay.remember();
        replay
    }

    fn remember(&mut self) {
        let state = match &self.machine {
            Machine::Server(server) => (server.step(), server.save()),
            Machine::Queue(queue) => (queue.judged(), queue.save()),
        };
        self.states.insert(state.0, state.1);
    }

    fn params(&self) -> &[f32] {
        match &self.machine {
            Machine::Server(server) => server.params(),
            Machine::Queue(queue) => queue.params(),
        }
    }

    /// The step that is open, or how many messages were judged.
    pub fn step(&self) -> u64 {
        match &self.machine {
            Machine::Server(server) => server.step(),
            Machine::Queue(queue) => queue.judged(),
        }
    }

    /// Takes an event in; what it tells that must not be.
    pub fn take(&mut self, event: &Event) -> Vec<String> {
        match event {
            Event::Sent { from, start, version, number, digest } => {
                if *start == self.start {
                    self.sent.insert((*digest, *from, *version, *number));
                }
                Vec::new()
            }
            Event::Started(start, step, after) => self.start((*start, *step, *after)),
            Event::Answered { worker, version, number, digest, refused } => {
                self.answered((*worker, *version, *number, *digest), *refused)
            }
            Event::Closed { step, f, ids, skipped, refused, after } => {
                self.closed((*step, *f, ids, skipped.is_some()), refused, after)
            }
            Event::Judged { outcome, version, after } => self.judged(outcome, *version, after),
            _ => Vec::new(),
        }
    }

    fn start(&mut self, (start, step, after): (u64, u64, Digest)) -> Vec<String> {
        self.start = start;
        self.rows.clear();
        self.sent.clear();
        self.last = None;
        let Some(state) = self.states.get(&step) else {
            return vec![format!("S5: the server begins at step {step}, where it never was")];
        };
        match &mut self.machine {
            Machine::Server(server) => server.load(state).expect("its own state"),
            Machine::Queue(queue) => {
                queue.load(state).expect("its own state");
                queue.forget_numbers();
            }
        }
        match digest(self.params()) == after {
            true => Vec::new(),
            false => vec![format!("S5: at the start the state of step {step} is another")],
        }
    }

    fn answered(
        &mut self,
        (worker, version, number, digest): (u32, u64, u64, Digest),
        refused: Option<Reason>,
    ) -> Vec<String> {
        let mut wrong = Vec::new();
        let open = self.step();
        if let Some(reason) = refused {
            if reason.proves_hostile() && version == open && !self.scenario.asynchronous {
                self.rows.remove(&worker);
            }
            return wrong;
        }
        if worker as usize >= self.scenario.n {
            wrong.push(format!("S3: a row of worker {worker}, who is not enrolled"));
        }
        if !self.sent.contains(&(digest, worker, version, number)) {
            wrong.push(format!(
                "S2: worker {worker} sent no such row for step {version} to this start"
            ));
        }
        match &self.machine {
            Machine::Server(_) => {
                if version != open {
                    wrong.push(format!("S2: a row for step {version} counts in step {open}"));
                }
                if self.rows.insert(worker, digest).is_some() {
                    wrong.push(format!("S1: worker {worker} counts twice in step {open}"));
                }
            }
            Machine::Queue(queue) => {
                let now = queue.version();
                if version > now || now - version > self.scenario.staleness {
                    wrong.push(format!("S2: a row of version {version} counts at {now}"));
                }
                self.last = Some((worker, version, number, digest));
            }
        }
        wrong
    }

    fn row(&self, digest: &Digest) -> Result<Vec<f32>, String> {
        let codec = self.scenario.codec;
        let mut row = vec![0.0; D];
        let body = self.bodies.get(digest).ok_or("S3: a row that nobody sent")?;
        let letter = Letter { d: D, statistics: 0, codec };
        letter.decode(body, &mut row).map_err(|why| format!("S3: a row that is none: {why}"))?;
        match row.iter().all(|x| x.is_finite()) {
            true => Ok(row),
            false => Err("S3: a row that is not finite counts".into()),
        }
    }

    fn closed(
        &mut self,
        (step, f, ids, skipped): (u64, usize, &[u32], bool),
        refused: &[(u32, Reason)],
        after: &Digest,
    ) -> Vec<String> {
        let mut wrong = Vec::new();
        if step != self.step() {
            wrong.push(format!("S5: step {step} is closed where {} is due", self.step()));
        }
        let rows = std::mem::take(&mut self.rows);
        if !ids.iter().eq(rows.keys()) {
            let due: Vec<&u32> = rows.keys().collect();
            wrong.push(format!("S1: step {step} is of workers {ids:?}; admitted were {due:?}"));
        }
        let hostile = refused.iter().filter(|(_, reason)| reason.proves_hostile());
        let proven: BTreeMap<u32, Reason> = hostile.copied().collect();
        let told = self.scenario.f.saturating_sub(proven.len());
        if f != told {
            wrong.push(format!(
                "S4: step {step} has f = {f}, where {told} is left of {} with {} proven",
                self.scenario.f,
                proven.len()
            ));
        }
        let decoded: Vec<(u32, Result<Vec<f32>, String>)> =
            rows.iter().map(|(&worker, digest)| (worker, self.row(digest))).collect();
        let Machine::Server(server) = &mut self.machine else { return wrong };
        for (worker, row) in decoded {
            match row {
                Ok(row) => {
                    if let Err(refusal) = server.receive(worker, step, &row) {
                        wrong.push(format!("S3: it counts, and should not: {refusal}"));
                    }
                }
                Err(why) => wrong.push(why),
            }
        }
        for (&worker, &reason) in &proven {
            let _ = server.refuse_unread(worker, step, (reason, String::new()));
        }
        let closed = server.close();
        if closed.skipped.is_some() != skipped {
            wrong.push(format!("S4: step {step}: skipped {skipped}, where {:?}", closed.skipped));
        }
        if digest(server.params()) != *after {
            wrong.push(format!("S6: after step {step} the same rows lead to other parameters"));
        }
        self.remember();
        wrong
    }

    fn judged(&mut self, outcome: &Outcome, version: u64, after: &Digest) -> Vec<String> {
        let mut wrong = Vec::new();
        let last = self.last.take();
        let row = last.map(|(_, _, _, digest)| self.row(&digest));
        let Machine::Queue(queue) = &mut self.machine else { return wrong };
        let found = match (last, row) {
            (Some((worker, version, number, _)), Some(Ok(row))) => {
                if let Err(refusal) = queue.receive(worker, number, version, &row) {
                    wrong.push(format!("S1: it is judged, and should not be: {refusal}"));
                }
                queue.judge()
            }
            (_, Some(Err(why))) => {
                wrong.push(why);
                None
            }
            _ => {
                let of = queue.version().saturating_sub(outcome.staleness);
                Some(queue.turn_away(outcome.worker, of))
            }
        };
        if found != Some(*outcome) {
            wrong.push(format!("S6: {outcome:?} is judged, where {found:?} is due"));
        }
        if queue.version() != version {
            wrong.push(format!("S5: version {version} follows, where {} is due", queue.version()));
        }
        if digest(queue.params()) != *after {
            wrong.push(format!("S6: message {} leads to other parameters", outcome.arrival));
        }
        self.remember();
        wrong
    }
}
