//! What the server found of each worker in the step that it closed last.

use super::{Closed, Server};
use crate::Refusal;
use varangian_base::Signs;
use varangian_base::kernels::norms;
use varangian_rules::{Evidence, Round, Standing};

impl Server {
    /// What was found of each worker in the step that was closed last, by worker: of its row, of
    /// the refusal of its only message, or of its silence. Where no step was made, nobody's row was
    /// seen. To be asked before a message of the next step is taken: rows are read where they came.
    pub fn evidence(&self) -> Vec<Evidence> {
        let Server { closed, settings, .. } = self;
        let Closed { step, n, f, ids, .. } = closed;
        if self.intake.takes_votes() {
            return self.votes_found();
        }
        let rows = match &self.states {
            Some(states) => states.counted(),
            None => self.intake.slots().head(*n).with_ids(ids),
        };
        let shape = (*n, *f, rows.d());
        let refused = |worker: u32, why: String| {
            Evidence::refused(settings.rule.spec(), shape, *step, worker, why)
        };
        let found = match &closed.skipped {
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
        self.with_absent(found, shape)
    }

    /// The same of packed votes: how many coordinates each voted on, as a length, and how far it is
    /// from the outcome.
    fn votes_found(&self) -> Vec<Evidence> {
        let Closed { step, n, f, ids, skipped, .. } = &self.closed;
        let d = self.params.len();
        let shape = (*n, *f, d);
        let mut row = vec![0.0; d];
        let of = |(vote, &worker): (&Signs, &u32)| {
            vote.decode(&mut row);
            let pairs = row.iter().zip(&self.aggregate);
            let far: f64 = pairs.map(|(&x, &a)| (f64::from(x) - f64::from(a)).powi(2)).sum();
            let [minus, _, plus] = vote.counts();
            let seen = skipped.is_none();
            Evidence {
                weight: if seen { None } else { Some(0.0) },
                norm: Some(((minus + plus) as f64).sqrt()),
                distance: seen.then(|| far.sqrt()),
                standing: if seen { Standing::Kept } else { Standing::Refused },
                reason: Some(match skipped {
                    None => "a vote has no weight of its own".to_owned(),
                    Some(why) => format!("no step: {why}"),
                }),
                ..Evidence::refused(self.settings.rule.spec(), shape, *step, worker, String::new())
            }
        };
        let found = self.intake.votes().iter().zip(ids).map(of).collect();
        self.with_absent(found, shape)
    }

    /// Adds those of whom nothing was counted, and puts all into the order of workers.
    fn with_absent(&self, mut found: Vec<Evidence>, shape: (usize, usize, usize)) -> Vec<Evidence> {
        let Server { closed, settings, .. } = self;
        let Closed { step, ids, .. } = closed;
        let refused = |worker: u32, why: String| {
            Evidence::refused(settings.rule.spec(), shape, *step, worker, why)
        };
        let mut silent = self.heard();
        silent.retain(|worker| !ids.contains(worker));
        // What proves a worker hostile says more than what else came from it.
        let mut refusals: Vec<&Refusal> = closed.refused.iter().collect();
        refusals.sort_by_key(|refusal| !refusal.reason.proves_hostile());
        for refusal in refusals {
            if !found.iter().any(|record| record.worker == u64::from(refusal.worker)) {
                found.push(refused(refusal.worker, refusal.why()));
            }
        }
        silent.retain(|worker| !found.iter().any(|record| record.worker == u64::from(*worker)));
        found.extend(silent.into_iter().map(|worker| refused(worker, "nothing came".to_owned())));
        found.sort_by_key(|record| record.worker);
        found
    }
}
