//! No attack: the hostile workers send their own honest gradients.

use crate::{Attack, AttackEntry, AttackFacts, Sees, View};
use varangian_base::RowsMut;

pub(crate) static ENTRY: AttackEntry = AttackEntry {
    name: "none",
    summary: "hostile workers behave honestly: the baseline",
    paper: "folklore",
    differs: &[],
    params: &[],
    cost: "O(f·d)",
    facts: AttackFacts {
        sees: Sees { own: true, honest: false, rule: false, server: false },
        poisons: false,
        has_memory: false,
    },
    build: |_| Ok(Box::new(None)),
};

#[derive(Clone)]
struct None;

impl Attack for None {
    fn forge(&mut self, view: &mut View<'_>, mut out: RowsMut<'_>) {
        for i in 0..out.n() {
            out.row_mut(i).copy_from_slice(view.own.row(i));
        }
    }

    fn fork(&self) -> Box<dyn Attack> {
        Box::new(self.clone())
    }
}
