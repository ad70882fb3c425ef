//! What must hold of every history, whatever went wrong in it: the invariants by their names.
//!
//! S1 an identity counts at most once a step. S2 nothing outside the step, or of another start,
//! changes the model. S3 every row is whole, finite and of someone who is enrolled. S4 the rule's
//! condition on n and f holds, f lowered by what is proven alone. S5 steps rise by one, and a crash
//! neither repeats nor halves one. S6 the same rows give the same bytes. S7 messages under way stay
//! within their budget. S8 nothing panics. L1 with at most f workers away a round ends a second
//! after its deadline at the latest. L2 whoever comes back counts within two rounds. L3 a server
//! goes on from what it kept.

use crate::history::{Digest, Event};
use crate::replay::Replay;
use crate::scenario::{Nature, Scenario};
use crate::stage::Stage;
use std::collections::{BTreeMap, BTreeSet};
use varangian_learn::optim::{Compression, Placement};
use varangian_net::Order;

/// Milliseconds that a worker may take to find out that its connection is dead, and to make
/// another: two keepalives, a connection's time, the longest pause between two tries.
const COMES_BACK: u64 = 60_000;

/// Whether every honest worker was answered since the last fault was over.
pub fn all_have_come_back(stage: &Stage) -> bool {
    let history = stage.history.borrow();
    let mut open: BTreeSet<u32> = BTreeSet::new();
    for (worker, nature) in stage.scenario.natures.iter().enumerate() {
        if *nature == Nature::Honest {
            open.insert(worker as u32);
        }
    }
    for (_, event) in history.events.iter().rev() {
        match event {
            Event::Receipt(worker, ..) | Event::Ended(worker, _) => {
                open.remove(worker);
            }
            Event::Over(..) | Event::Started(..) => break,
            _ => {}
        }
    }
    open.retain(|worker| {
        !history
            .events
            .iter()
            .any(|(_, event)| matches!(event, Event::Ended(id, _) if id == worker))
    });
    open.is_empty()
}

/// What of a history must not be, each with the name of what it breaks.
pub fn judge(stage: &Stage) -> Vec<String> {
    let history = stage.history.borrow();
    let bodies = stage.bodies.borrow();
    let mut replay = Replay::new(&stage.scenario, &bodies);
    let mut watch = Watch::new(&stage.scenario);
    let mut wrong = Vec::new();
    for (at, event) in &history.events {
        let more = replay.take(event).into_iter().chain(watch.take(*at, event));
        wrong.extend(more.map(|what| format!("at {:.3} s: {what}", *at as f64 / 1000.0)));
    }
    for (at, (_, shown)) in stage.faults.borrow().iter().enumerate() {
        if *shown == 0 {
            wrong.push(format!("{:?} never showed", stage.scenario.faults[at]));
        }
    }
    wrong
}

/// What a worker is, beside its nature.
#[derive(Clone, Debug, Default)]
struct Person {
    /// Faults that keep it away now.
    faults: u32,
    /// Whether it was answered since it was kept away, or since the server was started.
    here: bool,
    /// When it was kept away no longer, and then how many rounds went without it since it was
    /// back.
    returns: Option<(u64, Option<u32>)>,
    /// Whether its connection may be dead without its knowing: what it hears may be the last,
    /// unless it answers something that was sent after this message.
    dead: Option<u64>,
    /// Its last message.
    sent: u64,
    /// Whether it can have forgotten what it sent.
    forgetful: bool,
    revoked: bool,
    /// Whether it ever was; it ends its loop then.
    dismissed: bool,
}

/// The open round.
struct Round {
    at: u64,
    /// Whether at most f were away all the time.
    counts: bool,
    /// Who was revoked when it was opened.
    revoked: Vec<u32>,
}

/// What an observer of time and people holds to be so.
struct Watch<'a> {
    scenario: &'a Scenario,
    people: Vec<Person>,
    round: Option<Round>,
    /// What may be found after a crash: the state kept last, and the one before it.
    kept: Vec<(u64, Digest)>,
    crashed: Option<&'static str>,
}

impl<'a> Watch<'a> {
    fn new(scenario: &'a Scenario) -> Self {
        let people = vec![Person::default(); scenario.n];
        Watch { scenario, people, round: None, kept: Vec::new(), crashed: None }
    }

    fn is_honest(&self, worker: u32) -> bool {
        self.scenario.natures[worker as usize] == Nature::Honest
    }

    /// Workers that a round cannot count on.
    fn away(&self) -> usize {
        let people = self.people.iter().zip(&self.scenario.natures);
        people.filter(|(person, nature)| **nature != Nature::Honest || !person.here).count()
    }

    fn take(&mut self, at: u64, event: &Event) -> Vec<String> {
        let mut wrong = Vec::new();
        match event {
            Event::Began(kind, who) => self.begins(kind, *who),
            Event::Lost(who) => self.people[*who as usize].dead = None,
            Event::Sent { from, number, .. } => self.people[*from as usize].sent = *number,
            Event::Over(kind, Some(who)) => {
                let person = &mut self.people[*who as usize];
                if *kind == "loss" {
                    person.dead = Some(person.sent);
                }
                person.faults -= 1;
                if person.faults == 0 && !person.revoked {
                    person.returns = Some((at, None));
                }
            }
            Event::Joined(who) | Event::Receipt(who, ..) => wrong = self.returns(at, *who, event),
            Event::Obeyed(Order::Revoke(who)) => {
                let person = &mut self.people[*who as usize];
                (person.revoked, person.dismissed) = (true, true);
            }
            Event::Started(_, step, after) => wrong = self.starts(*step, after),
            Event::Kept(step, after) => self.kept.push((*step, *after)),
            Event::Crashed(point) => {
                self.crashed = Some(point);
                self.round = None;
            }
            Event::Opened => {
                let counts = self.away() <= self.scenario.f;
                let those = self.people.iter().enumerate().filter(|(_, person)| person.revoked);
                let revoked = those.map(|(who, _)| who as u32).collect();
                self.round = Some(Round { at, counts, revoked });
            }
            Event::Closed { step, ids, refused, .. } => {
                wrong = self.closes(at, *step, ids);
                for (worker, reason) in refused {
                    let person = &self.people[*worker as usize];
                    if reason.proves_hostile() && self.is_honest(*worker) && !person.forgetful {
                        let what = reason.name();
                        wrong.push(format!("S4: honest worker {worker} is proven hostile: {what}"));
                    }
                }
            }
            Event::Answered { worker, refused: None, .. }
                if self.scenario.asynchronous && self.people[*worker as usize].revoked =>
            {
                wrong.push(format!("S3: a row of worker {worker} counts, who is revoked"));
            }
            Event::Ended(who, how)
                if how != "finished" && !self.people[*who as usize].dismissed =>
            {
                wrong.push(format!("L2: worker {who} gave up: {how}"));
            }
            _ => {}
        }
        if self.away() > self.scenario.f
            && let Some(round) = &mut self.round
        {
            round.counts = false;
        }
        wrong
    }

    fn begins(&mut self, kind: &str, who: Option<u32>) {
        if kind == "clock jump" {
            // The round that is open ends at once, whoever is in.
            self.people.iter_mut().for_each(|person| person.returns = None);
            if let Some(round) = &mut self.round {
                round.counts = false;
            }
        }
        let Some(who) = who else { return };
        let momentum = self.scenario.optimiser.momentum;
        let remembers = momentum.coefficient > 0.0 && momentum.placement == Placement::Worker
            || matches!(
                self.scenario.optimiser.compression,
                Compression::TopK { feedback: true, .. }
            );
        let person = &mut self.people[who as usize];
        (person.here, person.returns) = (false, None);
        person.faults += 1;
        person.forgetful |= kind == "worker crash" && remembers;
    }

    fn returns(&mut self, at: u64, who: u32, event: &Event) -> Vec<String> {
        let is_honest = self.is_honest(who);
        let person = &mut self.people[who as usize];
        if person.faults > 0 || !is_honest {
            return Vec::new();
        }
        if let Event::Receipt(_, number, ..) = event {
            person.here = true;
            // One that was on its way when bytes were lost says nothing of what follows.
            person.dead = person.dead.filter(|last| number <= last);
        }
        if person.dead.is_some() {
            return Vec::new();
        }
        if let Some((since, back @ None)) = &mut person.returns {
            *back = Some(0);
            if at > *since + COMES_BACK {
                let late = (at - *since) as f64 / 1000.0;
                return vec![format!("L2: worker {who} comes back after {late} s")];
            }
        }
        Vec::new()
    }

    fn starts(&mut self, step: u64, after: &Digest) -> Vec<String> {
        for person in &mut self.people {
            // Everyone has to find it first; an identity that was taken by order is back.
            (person.here, person.returns, person.revoked) = (false, None, false);
        }
        let Some(point) = self.crashed.take() else { return Vec::new() };
        let uncertain = point == "checkpoint renamed";
        let beginning = (0, None);
        let mut may: Vec<(u64, Option<Digest>)> =
            self.kept.iter().rev().map(|(step, digest)| (*step, Some(*digest))).collect();
        may.push(beginning);
        may.truncate(if uncertain { 2 } else { 1 });
        let fits = |(kept, digest): &(u64, Option<Digest>)| {
            *kept == step && digest.is_none_or(|digest| digest == *after)
        };
        // What the crash has shown to be kept is what is kept.
        if uncertain && may.len() == 2 && !fits(&may[0]) {
            self.kept.pop();
        }
        match may.iter().any(fits) {
            true => Vec::new(),
            false => {
                let steps: Vec<u64> = may.iter().map(|(step, _)| *step).collect();
                vec![format!("L3: it goes on from step {step}; kept was that of {steps:?}")]
            }
        }
    }

    fn closes(&mut self, at: u64, step: u64, ids: &[u32]) -> Vec<String> {
        let mut wrong = Vec::new();
        let Some(round) = self.round.take() else {
            return vec![format!("S5: step {step} is closed, which was not opened")];
        };
        let took = (at - round.at) as f64 / 1000.0;
        let deadline = self.scenario.deadline;
        if round.counts && took > deadline + 1.0 {
            wrong.push(format!("L1: step {step} took {took} s of {deadline}"));
        }
        if took > 2.0 * deadline + 1.0 {
            wrong.push(format!("L1: step {step} took {took} s, extended once from {deadline}"));
        }
        for who in ids.iter().filter(|who| round.revoked.contains(who)) {
            wrong.push(format!("S3: a row of worker {who} counts in step {step}, who is revoked"));
        }
        for (who, person) in self.people.iter_mut().enumerate() {
            let Some((since, Some(without))) = &mut person.returns else { continue };
            if ids.contains(&(who as u32)) {
                person.returns = None;
            } else if round.at > *since {
                *without += 1;
                // The first may have been opened before the server had heard of it.
                if *without == 3 {
                    wrong.push(format!("L2: worker {who} is back, and two rounds are without it"));
                }
            }
        }
        wrong
    }
}

/// Counts what showed, by kind, and what else happened.
pub fn count(stage: &Stage, counts: &mut BTreeMap<String, u64>) {
    for (planned, (_, shown)) in stage.scenario.faults.iter().zip(&*stage.faults.borrow()) {
        *counts.entry(planned.fault.kind().to_owned()).or_default() += u64::from(*shown > 0);
    }
    for (_, event) in &stage.history.borrow().events {
        let what = match event {
            Event::Crashed(point) => format!("crashed at: {point}"),
            Event::Closed { skipped: None, .. } => "steps made".to_owned(),
            Event::Closed { .. } => "steps skipped".to_owned(),
            Event::Judged { .. } => "messages judged".to_owned(),
            Event::Answered { refused: Some(reason), .. } => format!("refused: {}", reason.name()),
            Event::Kept(..) => "states kept".to_owned(),
            Event::NotKept(_) => "states not kept".to_owned(),
            _ => continue,
        };
        *counts.entry(what).or_default() += 1;
    }
}
