//! Cancellation (Akoun & Meyer 2022, §2): against a plain sum, one adversary sends minus the sum
//! of all other rows, and the parameters stand still.

use crate::write::nearest;
use crate::{Attack, AttackEntry, AttackFacts, Sees, View};
use varangian_base::blocks::{self, BLOCK};
use varangian_base::{Rows, RowsMut};

pub(crate) static ENTRY: AttackEntry = AttackEntry {
    name: "cancel",
    summary: "one adversary sends minus the sum of all other rows; the others are honest",
    paper: "Akoun & Meyer, SignSGD: Fault-Tolerance to Blind and Byzantine Adversaries, 2022, arXiv 2202.02085, §2",
    differs: &[],
    params: &[],
    cost: "O(n·d)",
    facts: AttackFacts::reads(Sees { own: true, ..Sees::HONEST }),
    build: |_| Ok(Box::new(Cancel)),
};

#[derive(Clone)]
struct Cancel;

impl Attack for Cancel {
    fn forge(&mut self, view: &mut View<'_>, mut out: RowsMut<'_>) {
        crate::none::honest(view, out.reborrow());
        let parts = [view.honest, view.own.tail(1)];
        blocks::fill(out.row_mut(0), BLOCK, |range, part| {
            for (k, x) in range.zip(part) {
                let rows = parts.iter().flat_map(Rows::iter);
                *x = nearest(-rows.map(|row| f64::from(row[k])).sum::<f64>());
            }
        });
    }

    fn sees(&self) -> Sees {
        Sees { own: true, ..Sees::HONEST }
    }

    fn fork(&self) -> Box<dyn Attack> {
        Box::new(self.clone())
    }
}

#[cfg(test)]
mod tests {
    use crate::scene::{HAND, forge};

    #[test]
    fn all_rows_sum_to_zero() {
        let own: &[&[f32]] = &[&[0.0, 0.0], &[4.0, -2.0]];
        assert_eq!(forge("cancel", HAND, own, 2), [[-10.0, -1.0], [4.0, -2.0]]);
        assert_eq!(forge("cancel", HAND, &own[..1], 1), [[-6.0, -3.0]]);
        let large: &[&[f32]] = &[&[f32::MAX, 1.0], &[f32::MAX, 1.0]];
        assert_eq!(forge("cancel", large, &own[..1], 1), [[-f32::MAX, -2.0]]);
    }
}
