//! What is on its way between nodes in one step.

use super::Graph;
use super::mix::Sent;
use varangian_base::Rows;

/// All that is sent in a step.
pub(super) struct Air<'a> {
    pub(super) graph: &'a Graph,
    pub(super) honest_ids: &'a [u32],
    pub(super) hostile_ids: &'a [u32],
    pub(super) moved: Rows<'a>,
    pub(super) forged: Rows<'a>,
    pub(super) dissensus: f64,
}

impl<'a> Air<'a> {
    /// What reaches the honest node at `place`, finite, in ascending id; `pushed` holds what
    /// hostile nodes send to it alone.
    pub(super) fn sent_to(&self, place: usize, pushed: &'a mut Vec<f32>) -> Vec<Sent<'a>> {
        let (id, own) = (self.honest_ids[place], self.moved.row(place));
        if self.dissensus > 0.0 {
            self.push((id, own), pushed);
        }
        let pushed = &*pushed;
        let sent = self.graph.neighbours(id).iter().filter_map(|&other| {
            let model = match self.honest_ids.binary_search(&other) {
                Ok(place) => self.moved.row(place),
                Err(_) if self.dissensus > 0.0 => pushed,
                Err(_) => self.forged.row(self.hostile_ids.binary_search(&other).ok()?),
            };
            let finite = model.iter().all(|x| x.is_finite());
            finite.then(|| Sent { id: other, model, weight: self.graph.weight(id, other) })
        });
        sent.collect()
    }

    /// The dissensus attack on one node.
    fn push(&self, (id, own): (u32, &[f32]), out: &mut Vec<f32>) {
        let mut sum = vec![0.0f64; own.len()];
        let mut hostile = 0.0;
        for &other in self.graph.neighbours(id) {
            let weight = self.graph.weight(id, other);
            let Ok(place) = self.honest_ids.binary_search(&other) else {
                hostile += weight;
                continue;
            };
            let terms = sum.iter_mut().zip(self.moved.row(place)).zip(own);
            terms.for_each(|((sum, &x), &own)| *sum += weight * (f64::from(x) - f64::from(own)));
        }
        let factor = if hostile > 0.0 { self.dissensus / hostile } else { 0.0 };
        let pushed = own.iter().zip(&sum).map(|(&own, sum)| (f64::from(own) - factor * sum) as f32);
        out.clear();
        out.extend(pushed);
    }
}
