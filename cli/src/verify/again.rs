//! The machines of the server, given the messages of its audit once more.

use crate::Failure;
use crate::serve::machines;
use varangian_net::audit::{Bodies, Entry, Message, Step, digest_of};
use varangian_sim::Plan;
use varangian_sim::swarm::AsyncPlan;
use varangian_train::wire::{Letter, Malformed};
use varangian_train::{Fate, Queue, Reason, Server};

/// A server of rounds that is checked.
pub(super) struct Rounds {
    server: Server,
    /// The shape of messages in each start of the server.
    letters: Vec<Letter>,
    letter: Letter,
    bodies: Bodies,
    row: Vec<f32>,
    n: usize,
}

impl Rounds {
    pub(super) fn new(plan: Plan, letters: Vec<Letter>, bodies: Bodies) -> Result<Self, Failure> {
        let (n, letter) = (plan.n, letters[0]);
        let (server, _) = machines::server(plan, letter.codec)?;
        Ok(Rounds { server, letters, letter, bodies, row: vec![0.0; letter.d], n })
    }

    /// Makes the steps again that no restart undid: what is said of it, how many they are, and the
    /// digest of the model at their end.
    pub(super) fn run(mut self, entries: &[Entry]) -> Result<(String, u64, String), Failure> {
        let mut steps: Vec<(usize, &Step)> = Vec::new();
        let (mut start, mut undone) = (0, 0);
        for entry in entries {
            match entry {
                Entry::Begin(begin) => {
                    let kept = steps.iter().take_while(|(_, step)| step.step < begin.from).count();
                    for (start, step) in steps.drain(kept..) {
                        undone += 1;
                        self.look_at(start, step)?;
                    }
                    start += 1;
                }
                Entry::Step(step) => steps.push((start - 1, step)),
                Entry::Message(_) => {
                    return Err(Failure::failed("a run in rounds has no messages of their own"));
                }
            }
        }
        let mut messages = 0;
        for (due, (start, step)) in (0..).zip(&steps) {
            if step.step != due {
                let found = step.step;
                return Err(Failure::failed(format!("step {due} is due; the audit has {found}")));
            }
            self.letter = self.letters[*start];
            messages += self.check(step)?;
        }
        let count = steps.len();
        let more = match undone {
            0 => String::new(),
            _ => format!(" ({undone} more that crashes undid are as they were logged)"),
        };
        let said =
            format!("{count} steps made again from {messages} messages: the same bits{more}");
        Ok((said, count as u64, digest_of(self.server.params())))
    }

    /// Looks whether the messages of a step that was undone are still those that came.
    fn look_at(&mut self, start: usize, step: &Step) -> Result<(), Failure> {
        let most = self.letters[start].most();
        for message in step.messages.iter().filter(|message| message.reason.is_empty()) {
            let read = self.bodies.read(message, most);
            read.map_err(|trouble| Failure::failed(format!("an undone step: {trouble}")))?;
        }
        Ok(())
    }

    /// Makes a step again; how many messages it took.
    fn check(&mut self, step: &Step) -> Result<usize, Failure> {
        let at = step.step;
        let mut passes: Vec<Vec<f32>> = vec![Vec::new(); self.n];
        let mut count = 0;
        for message in step.messages.iter().filter(|message| message.number == at) {
            if message.reason.is_empty() {
                let pass = self.admit(message)?;
                if let Some(place) = passes.get_mut(message.worker as usize) {
                    *place = pass;
                }
                count += 1;
            } else if let Some(reason) = proof(&message.reason) {
                let why = (reason, message.detail.clone());
                // What the server proved hostile is so here: the refusal is what was logged.
                let _ = self.server.refuse_unread(message.worker, at, why);
                if let Some(place) = passes.get_mut(message.worker as usize) {
                    place.clear();
                }
            }
        }
        let passes = passes.iter().filter(|pass| !pass.is_empty());
        self.server.follow_trimmed(passes.map(Vec::as_slice));
        let closed = self.server.close();
        let found = (&closed.ids, closed.f, &closed.skipped);
        let differs = |what: &str, here: String, there: String| {
            Err(Failure::failed(format!(
                "step {at}: {what} is {here} when it is made again; the audit says {there}"
            )))
        };
        if found != (&step.ids, step.f, &step.skipped) {
            let there = format!("{:?}", (&step.ids, step.f, &step.skipped));
            return differs("who was counted, with what f", format!("{found:?}"), there);
        }
        for (what, numbers, there) in [
            ("the aggregate", self.server.aggregate(), &step.aggregate),
            ("the model", self.server.params(), &step.parameters),
        ] {
            let here = digest_of(numbers);
            if here != *there {
                return differs(what, here, there.clone());
            }
        }
        Ok(count)
    }

    /// Gives the server a message that it admitted; what its pass measured.
    fn admit(&mut self, message: &Message) -> Result<Vec<f32>, Failure> {
        let Message { worker, number, .. } = message;
        let refused = |why: String| {
            Failure::failed(format!(
                "message {number} of worker {worker} was admitted, and is refused now: {why}"
            ))
        };
        let bytes = self.bodies.read(message, self.letter.most());
        let bytes = bytes.map_err(|trouble| Failure::failed(trouble.to_string()))?;
        let malformed = |Malformed(why)| refused(why);
        if self.server.intake().takes_votes() {
            let (vote, pass) = self.letter.decode_vote(&bytes).map_err(malformed)?;
            let received = self.server.receive_vote(*worker, *number, vote);
            received.map_err(|refusal| refused(refusal.why()))?;
            return Ok(pass);
        }
        let letter = self.letter.at(*number);
        let pass = letter.decode(&bytes, &mut self.row).map_err(malformed)?;
        let received = self.server.receive(*worker, *number, &self.row);
        received.map_err(|refusal| refused(refusal.why()))?;
        Ok(pass)
    }
}

/// The reason of this name, where it proves its sender hostile.
fn proof(name: &str) -> Option<Reason> {
    use Reason::{Equivocation, Malformed, NotFinite, WrongLength};
    let proofs = [NotFinite, WrongLength, Malformed, Equivocation];
    proofs.into_iter().find(|reason| reason.name() == name)
}

/// A queue of asynchronous training that is checked.
pub(super) struct Judged {
    queue: Queue,
    letters: Vec<Letter>,
    letter: Letter,
    bodies: Bodies,
    row: Vec<f32>,
}

impl Judged {
    pub(super) fn new(
        plan: AsyncPlan,
        letters: Vec<Letter>,
        bodies: Bodies,
    ) -> Result<Self, Failure> {
        let (queue, _) = machines::queue(plan)?;
        let letter = letters[0];
        Ok(Judged { queue, letters, letter, bodies, row: vec![0.0; letter.d] })
    }

    /// Judges the messages again that no restart undid; answers as [`Rounds::run`].
    pub(super) fn run(mut self, entries: &[Entry]) -> Result<(String, u64, String), Failure> {
        let mut messages: Vec<(usize, &Message)> = Vec::new();
        let mut start = 0;
        for entry in entries {
            match entry {
                Entry::Begin(begin) => {
                    let kept =
                        messages.len().min(usize::try_from(begin.from).unwrap_or(usize::MAX));
                    for (start, message) in messages.drain(kept..) {
                        if message.reason.is_empty() {
                            let read = self.bodies.read(message, self.letters[start].most());
                            read.map_err(|trouble| Failure::failed(format!("undone: {trouble}")))?;
                        }
                    }
                    start += 1;
                }
                Entry::Message(message) if message.fate.is_empty() => {}
                Entry::Message(message) => messages.push((start - 1, message)),
                Entry::Step(_) => return Err(Failure::failed("an asynchronous run has no rounds")),
            }
        }
        let mut last = 0;
        for (place, (start, message)) in messages.iter().enumerate() {
            if std::mem::replace(&mut last, *start) != *start {
                self.queue.forget_numbers();
            }
            self.letter = self.letters[*start];
            self.check(place, message)?;
        }
        let count = messages.len();
        let said = format!("{count} messages judged again: the same fates, the same bits");
        Ok((said, count as u64, digest_of(self.queue.params())))
    }

    fn check(&mut self, place: usize, message: &Message) -> Result<(), Failure> {
        let Message { worker, number, version, .. } = message;
        let failed = |why: String| {
            Failure::failed(format!("message {place}, number {number} of worker {worker}: {why}"))
        };
        let fate = if message.reason.is_empty() {
            let bytes = self.bodies.read(message, self.letter.most());
            let bytes = bytes.map_err(|trouble| Failure::failed(trouble.to_string()))?;
            let pass = self.letter.at(*number).decode(&bytes, &mut self.row);
            let pass = pass.map_err(|Malformed(why)| failed(why))?;
            let received = self.queue.receive(*worker, *number, *version, &self.row);
            received.map_err(|refusal| failed(refusal.why()))?;
            let outcome = self.queue.judge().ok_or_else(|| failed("nothing is judged".into()))?;
            if matches!(outcome.fate, Fate::Step | Fate::Hold) {
                self.queue.follow(&pass);
            }
            outcome.fate
        } else {
            self.queue.turn_away(*worker, *version).fate
        };
        if fate.name() != message.fate {
            let (here, there) = (fate.name(), &message.fate);
            return Err(failed(format!("its fate is {here} now; the audit says {there}")));
        }
        let here = if fate == Fate::Step { digest_of(self.queue.params()) } else { String::new() };
        if here != message.parameters {
            let there = &message.parameters;
            return Err(failed(format!("the model is {here} after it; the audit says {there}")));
        }
        Ok(())
    }
}
