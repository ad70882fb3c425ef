//! Plain asynchronous SGD: every arrival is stepped along. No defence, the baseline.

use crate::{Arrival, Bound, Decision, Filter, FilterEntry, FilterFacts};

pub(crate) static ENTRY: FilterEntry = FilterEntry {
    name: "async-sgd",
    summary: "steps along every arrival; no defence, the baseline",
    paper: "Zinkevich, Langford & Smola, Slow Learners are Fast, NeurIPS 2009",
    differs: &[],
    params: &[],
    cost: "O(d) an arrival",
    facts: FilterFacts {
        bound: Bound { text: "n ≥ 1", least: |_| 1, source: "no defence at any f" },
        needs_oracle: false,
        needs_stale: false,
        has_memory: false,
    },
    build: |_| Ok(Box::new(AsyncSgd)),
};

#[derive(Clone)]
struct AsyncSgd;

impl Filter for AsyncSgd {
    fn offer(&mut self, arrival: &mut Arrival<'_>, out: &mut [f32]) -> Decision {
        out.copy_from_slice(arrival.gradient);
        Decision::Step
    }

    fn fork(&self) -> Box<dyn Filter> {
        Box::new(self.clone())
    }
}
