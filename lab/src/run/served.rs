//! How the workers of a served run stand: for the page of whoever runs the server.

use serde::{Deserialize, Serialize};
use varangian_sim::Attendance;

/// Points of a curve at most.
const POINTS: usize = 400;
/// Points of all workers' curves together at most, if each is to have its few.
const TOGETHER: usize = 12_000;
/// Points of a worker's curve that it always has.
const FEW: usize = 20;

/// How workers elsewhere stand, and how that came.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Served {
    /// By worker: whether it is connected.
    pub present: Vec<bool>,
    /// By worker: messages that were admitted since the server was started.
    pub admitted: Vec<u64>,
    /// By worker: rounds that waited for it in vain.
    pub missed: Vec<u64>,
    /// Workers whose identity was taken from them, from 0.
    pub revoked: Vec<u32>,
    /// (step, seconds of the longest round since the point before); empty where there are no
    /// rounds.
    pub round_curve: Vec<(u64, f64)>,
    /// What `suspicion` counts: "evidence" (rows that are unlike the others, or were refused),
    /// "refusals" alone, or "verdicts" of a filter.
    pub by: String,
    /// By worker: how suspicious it was lately.
    pub suspicion: Vec<Suspicion>,
}

/// How suspicious a worker was lately.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Suspicion {
    /// Its id.
    pub worker: u32,
    /// The share of its last messages, about twenty, that tell against it; the older, the less
    /// they count.
    pub share: f64,
    /// (step, share) over the run.
    pub curve: Vec<(u64, f64)>,
}

impl Served {
    /// Takes in how workers stand before `step`.
    pub(super) fn look(&mut self, step: u64, now: &Attendance) {
        self.present.clone_from(&now.present);
        self.admitted.clone_from(&now.admitted);
        self.missed.clone_from(&now.missed);
        self.revoked.clone_from(&now.revoked);
        now.by.clone_into(&mut self.by);
        if let Some(seconds) = now.longest {
            put(&mut self.round_curve, (step, seconds), POINTS);
        }
        let few = (TOGETHER / now.suspicion.len().max(1)).clamp(FEW, POINTS);
        self.suspicion.resize_with(now.suspicion.len(), Suspicion::default);
        for (worker, (one, &share)) in self.suspicion.iter_mut().zip(&now.suspicion).enumerate() {
            (one.worker, one.share) = (worker as u32, share);
            put(&mut one.curve, (step, share), few);
        }
    }
}

/// Adds a point; where that makes too many, of two neighbours the higher stays.
fn put(curve: &mut Vec<(u64, f64)>, point: (u64, f64), most: usize) {
    match curve.last_mut() {
        // A step that is waited for is looked at more than once.
        Some(last) if last.0 == point.0 => last.1 = point.1,
        _ => curve.push(point),
    }
    if curve.len() > most {
        let higher = |pair: &[(u64, f64)]| {
            pair.iter().copied().max_by(|a, b| a.1.total_cmp(&b.1)).expect("one or two")
        };
        *curve = curve.chunks(2).map(higher).collect();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn curves_stay_short_and_keep_their_peaks() {
        let mut served = Served::default();
        for step in 0..10_000 {
            let suspicion = vec![if step == 4321 { 0.9 } else { 0.1 }; 1000];
            let longest = Some(if step == 77 { 5.0 } else { 1.0 });
            served.look(step, &Attendance { longest, suspicion, ..Attendance::default() });
        }
        assert!(served.round_curve.len() <= POINTS && served.round_curve.contains(&(77, 5.0)));
        let curve = &served.suspicion[999].curve;
        assert!(curve.len() <= FEW && curve.contains(&(4321, 0.9)), "{curve:?}");
        assert_eq!((served.suspicion[999].worker, served.suspicion[999].share), (999, 0.1));
        served.look(9_999, &Attendance { longest: Some(2.0), ..Attendance::default() });
        assert_eq!(served.round_curve.last(), Some(&(9_999, 2.0)), "one point a step");
    }
}
