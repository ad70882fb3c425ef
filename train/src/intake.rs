//! Intake: what the server lets in. Each message becomes a row or a refusal with a reason.
//!
//! Rules never meet a non-finite number. What the server can *prove* hostile is refused and lowers
//! f by one for that round; silence proves nothing by itself and is the driver's to judge.

mod reason;

pub use reason::{NonFinite, Reason, Refusal};

use std::collections::BTreeMap;
use varangian_base::kernels::elementwise::first_not_finite;
use varangian_base::{Matrix, Rows, RowsMut, Signs};

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

/// Where what was taken stands until the step is closed.
enum Shelf {
    Rows(Matrix),
    /// Packed, a 32nd of what rows take (a 16th with abstentions).
    Votes {
        d: usize,
        votes: Vec<Signs>,
    },
}

/// What an open step held, as its messages came: by row, the same worker in both forms.
#[derive(Clone, Copy)]
pub enum Bodies<'a> {
    /// Rows with their workers' ids.
    Rows(Rows<'a>),
    /// Packed votes.
    Votes(&'a [Signs]),
}

/// The messages of one open step, one slot a worker.
pub struct Intake {
    shelf: Shelf,
    slots: Vec<Slot>,
    ids: Vec<u32>,
    step: u64,
    refused: Vec<Refusal>,
    counts: BTreeMap<(Reason, u32), u64>,
}

/// What an open step held when it was closed.
pub struct Received<'a> {
    /// What was admitted, in worker order.
    pub bodies: Bodies<'a>,
    /// The workers whose messages those are.
    pub ids: &'a [u32],
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
        Intake::with(n, Shelf::Rows(Matrix::zeros(n, d)))
    }

    /// An intake for votes of d coordinates, which stay packed.
    pub fn of_votes(n: usize, d: usize) -> Self {
        Intake::with(n, Shelf::Votes { d, votes: vec![Signs::default(); n] })
    }

    fn with(n: usize, shelf: Shelf) -> Self {
        Intake {
            shelf,
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
    ///
    /// # Panics
    /// If the intake is of votes.
    pub fn receive(&mut self, from: u32, step: u64, body: &[f32]) -> Result<(), Refusal> {
        self.expect(from, step, body.len())?;
        let i = from as usize;
        let is_first = self.slots[i] == Slot::Empty;
        let rows = self.matrix();
        if is_first {
            rows.row_mut(i).copy_from_slice(body);
            return self.commit(from, inspect(body));
        }
        let same = rows.row(i).iter().zip(body).all(|(a, b)| a.to_bits() == b.to_bits());
        Err(self.repeat(from, same))
    }

    /// Takes a message of votes, as [`Intake::receive`] takes a row.
    ///
    /// # Errors
    /// The refusal.
    ///
    /// # Panics
    /// If the intake is of rows.
    pub fn receive_vote(&mut self, from: u32, step: u64, vote: Signs) -> Result<(), Refusal> {
        self.expect(from, step, vote.d())?;
        let i = from as usize;
        let Shelf::Votes { votes, .. } = &mut self.shelf else { panic!("an intake of rows") };
        if self.slots[i] == Slot::Empty {
            votes[i] = vote;
            self.slots[i] = Slot::Taken;
            return Ok(());
        }
        let same = votes[i] == vote;
        Err(self.repeat(from, same))
    }

    /// Whether a message of `len` coordinates is due from this worker for this step.
    fn expect(&mut self, from: u32, step: u64, len: usize) -> Result<(), Refusal> {
        let (n, d) = (self.slots.len(), self.d());
        if from as usize >= n {
            let detail = format!("workers are 0 to {}", n.saturating_sub(1));
            return Err(self.refuse(from, Reason::UnknownWorker, detail));
        }
        if step != self.step {
            let detail = format!("step {} is open, the message is for step {step}", self.step);
            return Err(self.refuse(from, Reason::WrongStep, detail));
        }
        if self.slots[from as usize] == Slot::Away {
            let detail = format!("step {step} was drawn without this worker");
            return Err(self.refuse(from, Reason::NotSampled, detail));
        }
        if len != d {
            let detail = format!("{d} coordinates are wanted, {len} came");
            return Err(self.refuse(from, Reason::WrongLength, detail));
        }
        Ok(())
    }

    fn d(&self) -> usize {
        match &self.shelf {
            Shelf::Rows(rows) => rows.d(),
            Shelf::Votes { d, .. } => *d,
        }
    }

    /// Whether messages are packed votes.
    pub fn takes_votes(&self) -> bool {
        matches!(self.shelf, Shelf::Votes { .. })
    }

    fn matrix(&mut self) -> &mut Matrix {
        match &mut self.shelf {
            Shelf::Rows(rows) => rows,
            Shelf::Votes { .. } => panic!("an intake of votes"),
        }
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
        self.expect(from, step, 0)
    }

    /// The slots of all workers, for a driver in the same process to write into; each written slot
    /// is then committed. Only for the open step and before any slot is taken.
    pub fn lend(&mut self) -> RowsMut<'_> {
        assert!(
            self.slots.iter().all(|slot| *slot == Slot::Empty),
            "the step has just been opened"
        );
        self.matrix().rows_mut()
    }

    /// All slots, committed or not, read only.
    ///
    /// # Panics
    /// If the intake is of votes.
    pub fn slots(&self) -> Rows<'_> {
        match &self.shelf {
            Shelf::Rows(rows) => rows.rows(),
            Shelf::Votes { .. } => panic!("an intake of votes"),
        }
    }

    /// The votes of the step that was closed last, as [`Received`] had them; of rows none.
    pub fn votes(&self) -> &[Signs] {
        match &self.shelf {
            Shelf::Rows(_) => &[],
            Shelf::Votes { votes, .. } => &votes[..self.ids.len()],
        }
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
                let value = self.matrix().row(from as usize)[k];
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
                let to = self.ids.len();
                match &mut self.shelf {
                    _ if to == i => {}
                    Shelf::Rows(rows) => rows.copy_row(i, to),
                    Shelf::Votes { votes, .. } => votes.swap(i, to),
                }
                self.ids.push(i as u32);
            }
        }
        let count = |kind| self.slots.iter().filter(|slot| **slot == kind).count();
        Received {
            bodies: match &self.shelf {
                Shelf::Rows(rows) => {
                    Bodies::Rows(rows.rows().head(self.ids.len()).with_ids(&self.ids))
                }
                Shelf::Votes { votes, .. } => Bodies::Votes(&votes[..self.ids.len()]),
            },
            ids: &self.ids,
            proven: count(Slot::Refused),
            silent: count(Slot::Empty),
            refused: &self.refused,
        }
    }

    /// Refusals since the beginning, by reason and worker.
    pub fn counts(&self) -> &BTreeMap<(Reason, u32), u64> {
        &self.counts
    }

    /// Refuses a second message for the step, which is the `same` as the first or is not.
    fn repeat(&mut self, from: u32, same: bool) -> Refusal {
        if same || self.slots[from as usize] == Slot::Refused {
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

    fn rows<'a>(received: &Received<'a>) -> Rows<'a> {
        let Bodies::Rows(rows) = received.bodies else { panic!("rows were sent") };
        rows
    }

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
        assert_eq!((rows(&received).n(), received.proven, received.silent), (1, 2, 1));
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
        assert_eq!((rows(&received).id(0), rows(&received).row(0)), (2, &[5.0][..]));
        assert_eq!((rows(&received).n(), received.proven, received.silent), (1, 0, 1));
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
        assert_eq!((rows(&received).n(), received.proven), (2, 1));
        assert_eq!((rows(&received).row(1), rows(&received).id(1)), (&[3.0][..], 2));
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
