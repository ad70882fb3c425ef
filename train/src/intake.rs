//! Intake: what the server lets in. Each message becomes a row or a refusal with a reason.
//!
//! Rules never meet a non-finite number. What the server can *prove* hostile is refused and lowers
//! f by one for that round; silence proves nothing by itself and is the driver's to judge.

use std::collections::BTreeMap;
use std::fmt;
use varangian_base::kernels::elementwise::first_not_finite;
use varangian_base::{Matrix, Rows, RowsMut, SpecError};

/// Why a message was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reason {
    /// A coordinate is NaN or infinite.
    NotFinite,
    /// Not d coordinates.
    WrongLength,
    /// Not bytes that the run's codec can have written.
    Malformed,
    /// Not for the open step.
    WrongStep,
    /// A second message for the step, the same as the first: harmless, the first counts.
    Duplicate,
    /// A second message for the step that differs from the first.
    Equivocation,
    /// Not an enrolled worker.
    UnknownWorker,
    /// More messages than a worker may send: harmless, it may only be quick.
    TooMany,
    /// Not among the workers that take part in the step: harmless, it may be late news.
    NotSampled,
}

impl Reason {
    /// Its name in records.
    pub fn name(self) -> &'static str {
        match self {
            Reason::NotFinite => "not-finite",
            Reason::WrongLength => "wrong-length",
            Reason::Malformed => "malformed",
            Reason::WrongStep => "wrong-step",
            Reason::Duplicate => "duplicate",
            Reason::Equivocation => "equivocation",
            Reason::UnknownWorker => "unknown-worker",
            Reason::TooMany => "too-many",
            Reason::NotSampled => "not-sampled",
        }
    }

    /// Whether the message proves that its sender is not honest. An honest worker may be late or
    /// send twice over a network; it never sends a NaN or two different gradients for one step.
    pub fn proves_hostile(self) -> bool {
        use Reason::{Equivocation, Malformed, NotFinite, WrongLength};
        matches!(self, NotFinite | WrongLength | Malformed | Equivocation)
    }
}

/// A refused message: who sent it, why it was refused, and what was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The sender.
    pub worker: u32,
    /// Why.
    pub reason: Reason,
    /// What was asked and found, one sentence.
    pub detail: String,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "worker {}: {} ({})", self.worker, self.reason.name(), self.detail)
    }
}

impl Refusal {
    /// Why, in few words: "NaN at coordinate 17", "wrong length: 12 coordinates are wanted, 10
    /// came".
    pub fn why(&self) -> String {
        match self.reason {
            Reason::NotFinite => self.detail.clone(),
            reason => format!("{}: {}", reason.name().replace('-', " "), self.detail),
        }
    }
}

/// What becomes of a round in which a row is not finite.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum NonFinite {
    /// That row is refused and its worker counts as hostile; the others are aggregated.
    #[default]
    RefuseRow,
    /// No step is made. Whoever sends a NaN at every step then stops training: for workers that may
    /// fail, not for hostile ones.
    SkipRound,
}

impl NonFinite {
    /// The names.
    pub const NAMES: &'static [&'static str] = &["refuse-row", "skip-round"];

    /// Reads `refuse-row` or `skip-round`.
    ///
    /// # Errors
    /// If the name is another.
    pub fn parse(text: &str) -> Result<Self, SpecError> {
        match text {
            "refuse-row" => Ok(NonFinite::RefuseRow),
            "skip-round" => Ok(NonFinite::SkipRound),
            other => Err(SpecError::unknown("non_finite", other, Self::NAMES)),
        }
    }

    /// Why no step is made after these refusals, if none is.
    pub(crate) fn spoils(self, refused: &[Refusal]) -> Option<String> {
        let wild = |refusal: &&Refusal| refusal.reason == Reason::NotFinite;
        let first = refused.iter().find(wild).filter(|_| self == NonFinite::SkipRound)?;
        let count = refused.iter().filter(wild).count();
        let rows = if count == 1 { "1 row is" } else { &format!("{count} rows are") };
        let (worker, detail) = (first.worker, &first.detail);
        Some(format!(
            "non_finite=skip-round: {rows} not finite, the first of worker {worker}: {detail}"
        ))
    }
}

/// Whether every coordinate of a row is finite; else the first that is not. Cost O(d).
pub fn inspect(row: &[f32]) -> Result<(), usize> {
    first_not_finite(row).map_or(Ok(()), Err)
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Slot {
    Empty,
    Taken,
    Refused,
    /// The worker takes no part in the step.
    Away,
}

/// The messages of one open step, one slot a worker.
pub struct Intake {
    rows: Matrix,
    slots: Vec<Slot>,
    ids: Vec<u32>,
    step: u64,
    refused: Vec<Refusal>,
    counts: BTreeMap<(Reason, u32), u64>,
}

/// What an open step held when it was closed.
pub struct Received<'a> {
    /// The admitted rows with their workers' ids.
    pub rows: Rows<'a>,
    /// Workers proven hostile this step.
    pub proven: usize,
    /// Workers that sent nothing admissible and nothing that proves them hostile.
    pub silent: usize,
    /// The refusals of this step.
    pub refused: &'a [Refusal],
}

impl Intake {
    /// An intake for workers 0 to n − 1 and rows of d coordinates.
    pub fn new(n: usize, d: usize) -> Self {
        Intake {
            rows: Matrix::zeros(n, d),
            slots: vec![Slot::Empty; n],
            ids: Vec::with_capacity(n),
            step: 0,
            refused: Vec::new(),
            counts: BTreeMap::new(),
        }
    }

    /// Opens `step`: all slots are empty.
    pub fn open(&mut self, step: u64) {
        self.step = step;
        self.slots.fill(Slot::Empty);
        self.refused.clear();
    }

    /// Of the open step, of which nothing was taken yet: only `workers` take part; the others'
    /// messages are refused and their silence is no silence.
    pub fn invite(&mut self, workers: &[u32]) {
        self.slots.fill(Slot::Away);
        workers.iter().for_each(|&worker| self.slots[worker as usize] = Slot::Empty);
    }

    /// Takes a message: a copy of `body` becomes the worker's row, or it is refused.
    ///
    /// # Errors
    /// The refusal; it is also counted by reason and worker.
    pub fn receive(&mut self, from: u32, step: u64, body: &[f32]) -> Result<(), Refusal> {
        let (n, d) = (self.rows.n(), self.rows.d());
        let i = from as usize;
        if i >= n {
            let detail = format!("workers are 0 to {}", n.saturating_sub(1));
            return Err(self.refuse(from, Reason::UnknownWorker, detail));
        }
        if step != self.step {
            let detail = format!("step {} is open, the message is for step {step}", self.step);
            return Err(self.refuse(from, Reason::WrongStep, detail));
        }
        if self.slots[i] == Slot::Away {
            let detail = format!("step {step} was drawn without this worker");
            return Err(self.refuse(from, Reason::NotSampled, detail));
        }
        if body.len() != d {
            let detail = format!("{d} coordinates are wanted, {} came", body.len());
            return Err(self.refuse(from, Reason::WrongLength, detail));
        }
        if self.slots[i] != Slot::Empty {
            return Err(self.repeat(from, body));
        }
        self.rows.row_mut(i).copy_from_slice(body);
        self.commit(from, inspect(body))
    }

    /// Refuses a worker's message for `step` that is no row: `why` it cannot be read, or that it
    /// differs from the one that came before.
    ///
    /// # Errors
    /// The refusal, always: of another step or worker where that is so.
    pub fn refuse_unread(
        &mut self,
        from: u32,
        step: u64,
        (reason, why): (Reason, String),
    ) -> Result<(), Refusal> {
        if (from as usize) < self.slots.len() && step == self.step {
            let slot = self.slots[from as usize];
            if slot != Slot::Away && (slot == Slot::Empty || reason == Reason::Equivocation) {
                return Err(self.refuse(from, reason, why));
            }
        }
        self.receive(from, step, &[])
    }

    /// The slots of all workers, for a driver in the same process to write into; each written slot
    /// is then committed. Only for the open step and before any slot is taken.
    pub fn lend(&mut self) -> RowsMut<'_> {
        assert!(
            self.slots.iter().all(|slot| *slot == Slot::Empty),
            "the step has just been opened"
        );
        self.rows.rows_mut()
    }

    /// All slots, committed or not, read only.
    pub fn slots(&self) -> Rows<'_> {
        self.rows.rows()
    }

    /// Admits the row that was written into a lent slot, given what [`inspect`] found.
    ///
    /// # Errors
    /// The refusal of a non-finite row.
    pub fn commit(&mut self, from: u32, inspected: Result<(), usize>) -> Result<(), Refusal> {
        match inspected {
            Ok(()) => {
                self.slots[from as usize] = Slot::Taken;
                Ok(())
            }
            Err(k) => {
                let value = self.rows.row(from as usize)[k];
                let detail = format!("{value} at coordinate {k}");
                Err(self.refuse(from, Reason::NotFinite, detail))
            }
        }
    }

    /// Closes the step: the admitted rows in worker order.
    pub fn close(&mut self) -> Received<'_> {
        self.ids.clear();
        for i in 0..self.slots.len() {
            if self.slots[i] == Slot::Taken {
                if self.ids.len() != i {
                    self.rows.copy_row(i, self.ids.len());
                }
                self.ids.push(i as u32);
            }
        }
        let count = |kind| self.slots.iter().filter(|slot| **slot == kind).count();
        Received {
            rows: self.rows.rows().head(self.ids.len()).with_ids(&self.ids),
            proven: count(Slot::Refused),
            silent: count(Slot::Empty),
            refused: &self.refused,
        }
    }

    /// Refusals since the beginning, by reason and worker.
    pub fn counts(&self) -> &BTreeMap<(Reason, u32), u64> {
        &self.counts
    }

    fn repeat(&mut self, from: u32, body: &[f32]) -> Refusal {
        let i = from as usize;
        let first = self.rows.row(i);
        let same = first.iter().zip(body).all(|(a, b)| a.to_bits() == b.to_bits());
        if same || self.slots[i] == Slot::Refused {
            return self.refuse(from, Reason::Duplicate, "the first message counts".to_owned());
        }
        let detail = "a second message for the step differs from the first".to_owned();
        self.refuse(from, Reason::Equivocation, detail)
    }

    fn refuse(&mut self, worker: u32, reason: Reason, detail: String) -> Refusal {
        *self.counts.entry((reason, worker)).or_default() += 1;
        if reason.proves_hostile() {
            self.slots[worker as usize] = Slot::Refused;
        }
        let refusal = Refusal { worker, reason, detail };
        self.refused.push(refusal.clone());
        refusal
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reason(result: Result<(), Refusal>) -> Reason {
        result.unwrap_err().reason
    }

    #[test]
    fn each_kind_of_bad_message_is_refused_with_its_reason() {
        let mut intake = Intake::new(4, 2);
        intake.open(7);
        assert_eq!(intake.receive(0, 7, &[1.0, 2.0]), Ok(()));
        assert_eq!(reason(intake.receive(9, 7, &[1.0, 2.0])), Reason::UnknownWorker);
        assert_eq!(reason(intake.receive(1, 6, &[1.0, 2.0])), Reason::WrongStep);
        assert_eq!(reason(intake.receive(1, 7, &[1.0])), Reason::WrongLength);
        assert_eq!(reason(intake.receive(2, 7, &[1.0, f32::NAN])), Reason::NotFinite);
        assert_eq!(reason(intake.receive(0, 7, &[1.0, 2.0])), Reason::Duplicate);
        assert_eq!(reason(intake.receive(2, 7, &[1.0, 2.0])), Reason::Duplicate);
        let received = intake.close();
        assert_eq!((received.rows.n(), received.proven, received.silent), (1, 2, 1));
        assert_eq!(received.refused.len(), 6);
        assert_eq!(received.refused[3].to_string(), "worker 2: not-finite (NaN at coordinate 1)");
        assert_eq!(intake.counts()[&(Reason::Duplicate, 2)], 1);
    }

    #[test]
    fn whoever_was_not_drawn_is_neither_heard_nor_missed_nor_proven_hostile() {
        let mut intake = Intake::new(4, 1);
        intake.open(3);
        intake.invite(&[1, 2]);
        assert_eq!(reason(intake.receive(0, 3, &[1.0])), Reason::NotSampled);
        assert_eq!(reason(intake.receive(3, 3, &[f32::NAN, 1.0])), Reason::NotSampled);
        intake.receive(2, 3, &[5.0]).unwrap();
        let received = intake.close();
        assert_eq!((received.rows.id(0), received.rows.row(0)), (2, &[5.0][..]));
        assert_eq!((received.rows.n(), received.proven, received.silent), (1, 0, 1));
        intake.open(4);
        assert_eq!(intake.receive(0, 4, &[1.0]), Ok(()));
    }

    #[test]
    fn two_different_messages_for_one_step_cost_the_sender_its_row() {
        let mut intake = Intake::new(3, 1);
        intake.open(0);
        for (worker, x) in [(0, 1.0), (1, 2.0), (2, 3.0)] {
            intake.receive(worker, 0, &[x]).unwrap();
        }
        assert_eq!(reason(intake.receive(1, 0, &[2.5])), Reason::Equivocation);
        let received = intake.close();
        assert_eq!((received.rows.n(), received.proven), (2, 1));
        assert_eq!((received.rows.row(1), received.rows.id(1)), (&[3.0][..], 2));
    }

    #[test]
    fn inspection_finds_the_first_bad_coordinate() {
        let mut row = vec![1.0f32; 5000];
        assert_eq!(inspect(&row), Ok(()));
        row[4097] = f32::NEG_INFINITY;
        row[4999] = f32::NAN;
        assert_eq!(inspect(&row), Err(4097));
        assert_eq!(inspect(&[f32::MAX, f32::MIN_POSITIVE / 2.0, -0.0]), Ok(()));
    }
}
