//! What a server keeps of each worker and combines in place of the messages alone.
//!
//! | kept | a message c makes of the row s | whose |
//! |---|---|---|
//! | the last | s ← c | DeMoA (Otsuka, Yamada & Takezawa 2026, arXiv 2509.02970) |
//! | a sum | s ← s + c | EF21 (Richtárik et al. 2021), Byz-DASHA-PAGE (Rammal et al. 2024) |
//! | a momentum | s ← μ·s + (1 − δ)·c | RoSDHB (Gupta et al. 2025, arXiv 2508.17129, Algorithm 1) |
//!
//! DeMoA is delayed momentum aggregation. Rows begin at 0, as a worker's momentum does, and stay
//! where no message comes: the rule always combines those of all workers, so that as many of them
//! are hostile as of all workers. Only workers that a round proves hostile are left out of it.
//!
//! *Differs:* DeMoA's and RoSDHB's full texts were not at hand: both are as remembered. What DeMoA
//! combines of a worker that was never drawn is its momentum, which is 0 until then.

use varangian_base::{Matrix, Memory, Rows, SpecError, Value};
use varangian_learn::optim::{Optimiser, Placement, add_to};

use crate::Participation;

/// What becomes of a kept row when a message comes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Keeping {
    /// The message takes its place.
    Last,
    /// The message is added.
    Sum,
    /// μ times the row plus so much of the message.
    Momentum(f32, f32),
}

impl Keeping {
    /// What the server of such a run keeps, if it keeps rows.
    pub fn of(optimiser: &Optimiser, participation: Option<&Participation>) -> Option<Self> {
        let momentum = optimiser.momentum;
        if optimiser.is_difference() {
            Some(Keeping::Sum)
        } else if momentum.placement == Placement::Rows && momentum.coefficient > 0.0 {
            let (old, new) = (momentum.coefficient, 1.0 - momentum.dampening);
            Some(Keeping::Momentum(old as f32, new as f32))
        } else {
            participation.filter(|some| some.caches).map(|_| Keeping::Last)
        }
    }

    /// The setting that asks for it.
    pub fn key(&self) -> &'static str {
        match self {
            Keeping::Last => "participation with cache=true",
            Keeping::Sum => "compression=ef21 or message=dasha",
            Keeping::Momentum(..) => "momentum_at=rows",
        }
    }

    /// Whether a run may keep rows so, where it keeps any.
    ///
    /// # Errors
    /// What does not go with it.
    pub fn check(
        optimiser: &Optimiser,
        participation: Option<&Participation>,
    ) -> Result<(), SpecError> {
        let Some(keeping) = Keeping::of(optimiser, participation) else { return Ok(()) };
        let what = keeping.key();
        if participation.is_some_and(|some| !some.caches) {
            return Err(SpecError::new(format!(
                "{what} keeps a row of every worker and combines all of them: participation needs \
                 cache=true beside it"
            )));
        }
        if optimiser.message.is_sign() {
            return Err(SpecError::new(format!(
                "{what} keeps rows of numbers; message sends signs"
            )));
        }
        if let (Keeping::Momentum(_, new), true) = (keeping, optimiser.momentum.dampening >= 1.0) {
            return Err(SpecError::new(format!(
                "momentum_at=rows takes 1 − dampening of each message, which is above 0; got {new}"
            )));
        }
        Ok(())
    }
}

/// A row of each of some workers.
pub struct States {
    keeping: Keeping,
    rows: Matrix,
    /// The rows that were combined last where some were left out, and whose they all are.
    counted: Matrix,
    ids: Vec<u32>,
}

impl States {
    /// Zeros for n workers.
    pub fn new(keeping: Keeping, n: usize, d: usize) -> Self {
        States { keeping, rows: Matrix::zeros(n, d), counted: Matrix::default(), ids: Vec::new() }
    }

    /// How rows are kept.
    pub fn keeping(&self) -> Keeping {
        self.keeping
    }

    /// The row at `place`.
    pub fn row(&self, place: usize) -> &[f32] {
        self.rows.row(place)
    }

    /// What `message` makes of the row at `place`, into `out`. Cost O(d).
    pub fn after(&self, place: usize, message: &[f32], out: &mut [f32]) {
        out.copy_from_slice(self.rows.row(place));
        advance(self.keeping, out, message);
    }

    /// Replaces the row that a sender would have kept of it by the message that makes it so, or as
    /// nearly so as floats are. Cost O(d).
    pub fn message_for(&self, place: usize, wanted: &mut [f32]) {
        let kept = self.rows.row(place);
        let bounded = |x: f32, wanted: f32| match wanted.is_finite() {
            true => x.clamp(f32::MIN, f32::MAX),
            false => wanted,
        };
        match self.keeping {
            Keeping::Last => {}
            Keeping::Sum => {
                wanted.iter_mut().zip(kept).for_each(|(x, &s)| *x = bounded(*x - s, *x));
            }
            Keeping::Momentum(old, new) => {
                let back = |(x, &s): (&mut f32, &f32)| *x = bounded((*x - old * s) / new, *x);
                wanted.iter_mut().zip(kept).for_each(back);
            }
        }
    }

    /// Takes a message. Cost O(d).
    pub fn take(&mut self, place: usize, message: &[f32]) {
        advance(self.keeping, self.rows.row_mut(place), message);
    }

    /// Takes the messages of a round, a row a worker in `ids`, and chooses what is combined: the
    /// rows of all but the workers that it proved hostile.
    pub(crate) fn close(&mut self, ids: &[u32], messages: Rows<'_>, proven: &dyn Fn(u32) -> bool) {
        for (k, &id) in ids.iter().enumerate() {
            self.take(id as usize, messages.row(k));
        }
        self.ids.clear();
        self.ids.extend((0..self.rows.n() as u32).filter(|&id| !proven(id)));
        if self.ids.len() < self.rows.n() {
            self.counted.resize(self.ids.len(), self.rows.d());
            for (k, &id) in self.ids.iter().enumerate() {
                self.counted.row_mut(k).copy_from_slice(self.rows.row(id as usize));
            }
        }
    }

    /// The rows that were combined last, with their workers.
    pub(crate) fn counted(&self) -> Rows<'_> {
        let all = self.ids.len() == self.rows.n();
        let rows = if all { self.rows.rows() } else { self.counted.rows() };
        rows.with_ids(&self.ids)
    }

    /// Saves the rows.
    pub fn save(&self) -> Memory {
        let mut memory = Memory::default();
        let flat = self.rows.rows().iter().flatten().copied().collect();
        memory.put("rows", Value::Floats(flat));
        memory
    }

    /// Restores what `save` returned.
    ///
    /// # Errors
    /// If it holds another number of floats.
    pub fn load(&mut self, memory: &Memory) -> Result<(), SpecError> {
        let (n, d) = (self.rows.n(), self.rows.d());
        let saved = memory.floats("rows")?;
        if saved.len() != n * d {
            let found = saved.len();
            return Err(SpecError::new(format!(
                "checkpoint: kept rows should hold {n} × {d} floats; found {found}"
            )));
        }
        let rows = saved.chunks_exact(d.max(1)).enumerate();
        rows.for_each(|(i, row)| self.rows.row_mut(i).copy_from_slice(row));
        Ok(())
    }
}

fn advance(keeping: Keeping, row: &mut [f32], message: &[f32]) {
    match keeping {
        Keeping::Last => row.copy_from_slice(message),
        Keeping::Sum => add_to(row, message),
        Keeping::Momentum(old, new) => {
            for (s, &x) in row.iter_mut().zip(message) {
                *s = (old * *s + new * x).clamp(f32::MIN, f32::MAX);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_made_for_a_row_makes_that_row() {
        for keeping in [Keeping::Last, Keeping::Sum, Keeping::Momentum(0.5, 0.25)] {
            let mut states = States::new(keeping, 3, 2);
            states.take(1, &[8.0, -4.0]);
            let mut message = [2.0, 6.0];
            states.message_for(1, &mut message);
            let mut out = [0.0; 2];
            states.after(1, &message, &mut out);
            assert_eq!(out, [2.0, 6.0], "{keeping:?}");
            assert_eq!(states.row(0), [0.0; 2]);
            let mut broken = [f32::NAN, f32::INFINITY];
            states.message_for(1, &mut broken);
            assert!(broken.iter().all(|x| !x.is_finite()), "it is to be refused");
            let mut again = States::new(keeping, 3, 2);
            again.load(&states.save()).unwrap();
            assert_eq!(again.row(1), states.row(1));
            assert!(States::new(keeping, 4, 2).load(&states.save()).is_err());
        }
    }

    #[test]
    fn all_rows_are_combined_but_those_of_the_proven_and_floats_stay_finite() {
        let mut states = States::new(Keeping::Sum, 4, 1);
        let mut messages = Matrix::zeros(2, 1);
        messages.row_mut(0)[0] = f32::MAX;
        messages.row_mut(1)[0] = 2.0;
        for _ in 0..2 {
            states.close(&[1, 3], messages.rows(), &|id| id == 0);
        }
        let counted = states.counted();
        assert_eq!((counted.n(), counted.id(0), counted.id(2)), (3, 1, 3));
        assert_eq!(counted.iter().flatten().copied().collect::<Vec<_>>(), [f32::MAX, 0.0, 4.0]);
        states.close(&[], Matrix::zeros(0, 1).rows(), &|_| false);
        assert_eq!(states.counted().n(), 4);
    }
}
