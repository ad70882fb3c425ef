//! Filters for asynchronous training, one file each.

pub(crate) mod async_sgd;
pub(crate) mod basgd;
pub(crate) mod kardam;
pub(crate) mod weighted;
pub(crate) mod zeno_plus;
pub(crate) mod zeno_pp;

#[cfg(test)]
pub(crate) mod trial;

use varangian_base::kernels::norms;

/// out ← scale·gradient, scaled in f64.
pub(crate) fn scaled(gradient: &[f32], scale: f64, out: &mut [f32]) {
    for (out, &x) in out.iter_mut().zip(gradient) {
        *out = (f64::from(x) * scale) as f32;
    }
}

/// ‖V‖/‖g‖, at most 1 where `clip`.
pub(crate) fn ratio(validation2: f64, gradient: &[f32], clip: bool) -> f64 {
    let ratio = (validation2 / norms::norm2(gradient)).sqrt();
    if clip { ratio.min(1.0) } else { ratio }
}

#[cfg(test)]
mod tests {
    use super::trial::arrival;
    use crate::oracle::Bowl;
    use crate::{Decision, FILTERS, Filter, Oracle, build_filter};
    use varangian_base::{Domain, Seed};

    /// What a filter makes of the `t`-th of a sequence of random arrivals, and where the model
    /// then stands.
    fn offer(filter: &mut dyn Filter, t: u64, params: &mut [f32], bowl: &mut Bowl) -> Decision {
        let mut stream = Seed(8).stream(Domain::Test, 0, t);
        let worker = stream.below(7) as u32;
        let stale: Vec<f32> = params.iter().map(|x| x + 0.1 * stream.normal() as f32).collect();
        let gradient: Vec<f32> = stale.iter().map(|x| x + 0.3 * stream.normal() as f32).collect();
        let now = params.to_vec();
        let mut arrival = arrival(&now, &gradient);
        (arrival.n, arrival.f, arrival.worker) = (7, 1, worker);
        (arrival.now, arrival.version) = (t, t - t.min(2));
        arrival.stale = Some(&stale);
        arrival.oracle = Some(bowl as &mut dyn Oracle);
        let mut out = vec![0.0; params.len()];
        let decision = filter.offer(&mut arrival, &mut out);
        if decision == Decision::Step {
            params.iter_mut().zip(&out).for_each(|(x, g)| *x -= 0.1 * g);
        }
        decision
    }

    #[test]
    fn every_filter_goes_on_from_its_saved_memory_as_if_never_stopped() {
        for entry in FILTERS {
            let build = || build_filter(entry.name, 7, 1).unwrap();
            let (mut whole, mut params) = (build(), vec![1.0f32; 6]);
            let mut bowl = Bowl::default();
            for t in 0..60 {
                offer(whole.as_mut(), t, &mut params, &mut bowl);
            }
            let mut resumed = build();
            resumed.load(&whole.save()).unwrap();
            assert_eq!(resumed.save(), whole.save(), "{}", entry.name);
            let mut same = params.clone();
            let mut decisions = Vec::new();
            for t in 60..120 {
                let decision = offer(whole.as_mut(), t, &mut params, &mut bowl);
                assert_eq!(offer(resumed.as_mut(), t, &mut same, &mut bowl), decision);
                decisions.push(decision);
            }
            assert_eq!(same, params, "{}", entry.name);
            assert!(decisions.contains(&Decision::Step), "{}", entry.name);
            assert_eq!(entry.facts.has_memory, !whole.save().values.is_empty(), "{}", entry.name);
        }
    }
}
