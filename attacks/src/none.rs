//! No attack: the hostile workers send their own honest gradients.

use crate::{Attack, AttackEntry, AttackFacts, Sees, View};
use varangian_base::RowsMut;
use varangian_base::blocks::{self, BLOCK};

pub(crate) static ENTRY: AttackEntry = AttackEntry {
    name: "none",
    summary: "hostile workers behave honestly: the baseline",
    paper: "folklore",
    differs: &[],
    params: &[],
    cost: "O(f·d)",
    facts: AttackFacts::reads(Sees::OWN),
    build: |_| Ok(Box::new(None)),
};

#[derive(Clone)]
struct None;

/// Every hostile worker sends its own gradient.
pub(crate) fn honest(view: &View<'_>, mut out: RowsMut<'_>) {
    for (row, own) in out.iter_mut().zip(view.own.iter()) {
        blocks::fill(row, BLOCK, |range, part| part.copy_from_slice(&own[range]));
    }
}

impl Attack for None {
    fn forge(&mut self, view: &mut View<'_>, out: RowsMut<'_>) {
        honest(view, out);
    }

    fn sees(&self) -> Sees {
        Sees::OWN
    }

    fn fork(&self) -> Box<dyn Attack> {
        Box::new(self.clone())
    }
}
