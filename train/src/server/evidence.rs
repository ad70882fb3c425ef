//! What the server found of each worker in the step that it closed last.

use super::{Closed, Server};
use crate::Refusal;
use varangian_base::kernels::norms;
use varangian_rules::{Evidence, Round};

impl Server {
    /// What was found of each worker in the step that was closed last, by worker: of its row, of
    /// the refusal of its only message, or of its silence. Where no step was made, nobody's row was
    /// seen. To be asked before a message of the next step is taken: rows are read where they came.
    pub fn evidence(&self) -> Vec<Evidence> {
        let Server { closed, settings, .. } = self;
        let Closed { step, n, f, ids, .. } = closed;
        let rows = self.intake.slots().head(*n).with_ids(ids);
        let shape = (*n, *f, rows.d());
        let refused = |worker: u32, why: String| {
            Evidence::refused(settings.rule.spec(), shape, *step, worker, why)
        };
        let mut found = match &closed.skipped {
            _ if ids.is_empty() => Vec::new(),
            None => {
                let weights = settings.weights.is_some().then_some(self.counted.as_slice());
                let round = Round { step: *step, weights, ..Round::of(rows, *f) };
                closed.verdict.evidence(&settings.rule, &round, &self.aggregate)
            }
            Some(why) => {
                let unseen = |i: usize| Evidence {
                    norm: Some(norms::norm2(rows.row(i)).sqrt()),
                    ..refused(ids[i], format!("no step: {why}"))
                };
                (0..*n).map(unseen).collect()
            }
        };
        let mut silent = self.heard();
        silent.retain(|worker| !ids.contains(worker));
        // What proves a worker hostile says more than what else came from it.
        let mut refusals: Vec<&Refusal> = closed.refused.iter().collect();
        refusals.sort_by_key(|refusal| !refusal.reason.proves_hostile());
        for refusal in refusals {
            if !found.iter().any(|record| record.worker == refusal.worker) {
                found.push(refused(refusal.worker, refusal.why()));
            }
        }
        silent.retain(|worker| !found.iter().any(|record| record.worker == *worker));
        found.extend(silent.into_iter().map(|worker| refused(worker, "nothing came".to_owned())));
        found.sort_by_key(|record| record.worker);
        found
    }
}
