//! How much of what a worker sent lately tells against it.

use varangian_rules::{Evidence, Standing};

/// What one message more counts.
const NEWEST: f64 = 0.05;
/// A row whose p is below this counts as unlike the others: of honest ones about as many do by
/// chance.
const UNLIKE: f64 = varangian_lab::suspects::UNLIKE;

/// By worker, the share of its last messages that tell against it; the older, the less they count.
pub(super) struct Suspicion(Vec<f64>);

impl Suspicion {
    pub(super) fn of(n: usize) -> Self {
        Suspicion(vec![0.0; n])
    }

    /// A message came of this worker, and tells against it or not.
    pub(super) fn look(&mut self, worker: impl Into<u64>, against: bool) {
        let at = usize::try_from(worker.into()).ok();
        if let Some(share) = at.and_then(|at| self.0.get_mut(at)) {
            *share += NEWEST * (f64::from(u8::from(against)) - *share);
        }
    }

    /// What was found of each row of a round.
    pub(super) fn weigh(&mut self, records: &[Evidence]) {
        for record in records {
            let unlike = record.p.is_some_and(|p| p < UNLIKE);
            self.look(record.worker, unlike || record.standing == Standing::Refused);
        }
    }

    pub(super) fn shares(&self) -> Vec<f64> {
        self.0.clone()
    }
}
