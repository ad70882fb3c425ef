//! Dirichlet label skew: the smaller α, the fewer classes a worker sees.
//!
//! `over=workers`: each class is divided over the workers in proportions drawn from Dir(α·1ₙ)
//! (Yurochkin et al. 2019; ByzFL). `over=classes`: each worker draws its own class mixture from
//! Dir(α·p), p the set's class shares, and N/n samples from it (Hsu, Qi, Brown 2019, §4).

use super::{Partition, Samples, Shares, by_class, enough, keep_nonempty};
use rand_distr::{Distribution, Gamma};
use varangian_base::{Domain, Entry, Kind, Param, Seed, SpecError, Stream, lanes};

/// Dirichlet label skew.
pub(crate) static ENTRY: Entry<dyn Partition> = Entry {
    name: "dirichlet",
    summary: "Label skew with Dirichlet proportions: the smaller alpha, the fewer classes a worker sees.",
    paper: "Yurochkin et al.: Bayesian nonparametric federated learning of neural networks, ICML 2019; Hsu, Qi, Brown: Measuring the effects of non-identical data distribution, 2019, 1909.06335",
    differs: &[
        "A worker with fewer than `least` samples gets some from the largest share, and this is said (empty=refuse: an error instead).",
    ],
    params: &[
        Param {
            name: "alpha",
            kind: Kind::Real { min: 1e-3, max: 1e6 },
            default: "0.5",
            help: "concentration: 0.1 is strong skew, 100 nearly none",
        },
        Param {
            name: "over",
            kind: Kind::Choice(&["workers", "classes"]),
            default: "workers",
            help: "workers: each class is divided over workers; classes: each worker draws a mixture of classes",
        },
        super::LEAST,
        super::EMPTY,
    ],
    cost: "O(N + n·classes)",
    facts: (),
    build: |args| {
        Ok(Box::new(Dirichlet {
            alpha: args.real("alpha").unwrap_or(0.5),
            over_classes: args.text("over") == "classes",
            least: args.count("least").unwrap_or(1),
            refuse: args.text("empty") == "refuse",
        }))
    },
};

struct Dirichlet {
    alpha: f64,
    over_classes: bool,
    least: usize,
    refuse: bool,
}

impl Partition for Dirichlet {
    fn split(&self, samples: &Samples, workers: usize, seed: Seed) -> Result<Shares, SpecError> {
        enough(samples.len(), workers)?;
        let pools = by_class("dirichlet", samples, seed)?;
        let mut shares = match self.over_classes {
            true => self.mixtures(pools, samples.len(), workers, seed),
            false => self.divide(&pools, workers, seed),
        };
        let notes = keep_nonempty("dirichlet", &mut shares, self.least, self.refuse)?;
        Ok(Shares { samples: shares, notes })
    }
}

impl Dirichlet {
    /// Each class is cut at the cumulated proportions of one Dirichlet draw.
    fn divide(&self, pools: &[Vec<u32>], workers: usize, seed: Seed) -> Vec<Vec<u32>> {
        let mut shares = vec![Vec::new(); workers];
        for (class, pool) in pools.iter().enumerate() {
            let mut stream = seed.lane(Domain::Partition, 0, class as u64, lanes::partition::CLASS);
            let proportions = dirichlet(&vec![self.alpha; workers], &mut stream);
            let parts = cut(pool, &proportions);
            shares.iter_mut().zip(parts).for_each(|(share, part)| share.extend_from_slice(part));
        }
        shares
    }

    /// Each worker fills N/n slots from its own mixture; a class that has run out drops out of it.
    fn mixtures(
        &self,
        mut pools: Vec<Vec<u32>>,
        total: usize,
        workers: usize,
        seed: Seed,
    ) -> Vec<Vec<u32>> {
        let weight = |pool: &Vec<u32>| {
            (self.alpha * pool.len() as f64 / total as f64).max(f64::MIN_POSITIVE)
        };
        let prior: Vec<f64> = pools.iter().map(weight).collect();
        let mut shares = vec![Vec::new(); workers];
        for (w, share) in shares.iter_mut().enumerate() {
            let mut stream = seed.lane(Domain::Partition, w as u32, 0, lanes::partition::WORKER);
            let mixture = dirichlet(&prior, &mut stream);
            let slots = total / workers + usize::from(w < total % workers);
            for _ in 0..slots {
                let class = pick(&mixture, &pools, &mut stream);
                share.extend(pools[class].pop());
            }
        }
        shares
    }
}

/// Contiguous slices of `pool` in these proportions, which sum to 1.
pub(super) fn cut<'a>(pool: &'a [u32], proportions: &[f64]) -> Vec<&'a [u32]> {
    let (mut start, mut sum) = (0, 0.0);
    let mut slice = |(w, &share): (usize, &f64)| {
        sum += share;
        let cut = (sum * pool.len() as f64).round() as usize;
        let last = w + 1 == proportions.len();
        let end = if last { pool.len() } else { cut.clamp(start, pool.len()) };
        let part = &pool[start..end];
        start = end;
        part
    };
    proportions.iter().enumerate().map(&mut slice).collect()
}

/// A class drawn from `mixture` among those that have samples left.
fn pick(mixture: &[f64], pools: &[Vec<u32>], stream: &mut Stream) -> usize {
    let left = |c: &usize| !pools[*c].is_empty();
    let total: f64 = (0..pools.len()).filter(left).map(|c| mixture[c]).sum();
    let mut mark = stream.uniform_f64() * total;
    for class in (0..pools.len()).filter(left) {
        mark -= mixture[class];
        if mark < 0.0 {
            return class;
        }
    }
    // Rounding, or a mixture that puts nothing on what is left: the fullest class.
    (0..pools.len()).rev().max_by_key(|&c| pools[c].len()).unwrap_or(0)
}

/// A draw from Dir(α₁, …), in logarithms so that a small α does not end as 0/0:
/// Gamma(α) = Gamma(α + 1)·U^{1/α}.
pub(super) fn dirichlet(alpha: &[f64], stream: &mut Stream) -> Vec<f64> {
    let logs: Vec<f64> = alpha
        .iter()
        .map(|&a| {
            let gamma = Gamma::new(a + 1.0, 1.0).expect("shape above 1");
            let uniform = 1.0 - stream.uniform_f64();
            gamma.sample(stream).ln() + uniform.ln() / a
        })
        .collect();
    let top = logs.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    if !top.is_finite() {
        // All mass underflowed: it lies on one entry, any of them.
        let chosen = stream.below(alpha.len());
        return (0..alpha.len()).map(|k| f64::from(u8::from(k == chosen))).collect();
    }
    let weights: Vec<f64> = logs.iter().map(|log| (log - top).exp()).collect();
    let sum: f64 = weights.iter().sum();
    weights.iter().map(|weight| weight / sum).collect()
}

#[cfg(test)]
mod tests {
    use super::super::tests::{balanced, complete, make, split};
    use super::*;
    use crate::partition::Skew;

    #[test]
    fn a_draw_has_the_mean_and_variance_of_its_distribution() {
        for alpha in [0.05, 1.0, 20.0] {
            let mut stream = Seed(3).stream(Domain::Test, 0, 0);
            let draws: Vec<Vec<f64>> =
                (0..20_000).map(|_| dirichlet(&[alpha, 3.0 * alpha], &mut stream)).collect();
            let mean = draws.iter().map(|d| d[0]).sum::<f64>() / 2e4;
            let variance = draws.iter().map(|d| (d[0] - 0.25).powi(2)).sum::<f64>() / 2e4;
            let wanted = 0.25 * 0.75 / (4.0 * alpha + 1.0);
            assert!((mean - 0.25).abs() < 0.01, "alpha {alpha}: mean {mean}");
            assert!((variance / wanted - 1.0).abs() < 0.05, "alpha {alpha}: {variance} {wanted}");
        }
    }

    #[test]
    fn a_tiny_alpha_gives_numbers() {
        let mut stream = Seed(3).stream(Domain::Test, 0, 0);
        for _ in 0..100 {
            let draw = dirichlet(&[1e-3; 5], &mut stream);
            assert!((draw.iter().sum::<f64>() - 1.0).abs() < 1e-9, "{draw:?}");
        }
        dirichlet(&[f64::MIN_POSITIVE; 3], &mut stream).iter().for_each(|p| assert!(p.is_finite()));
    }

    #[test]
    fn skew_falls_with_alpha_in_both_readings() {
        let samples = balanced(2_000, 10);
        for over in ["workers", "classes"] {
            let mut last = 1.0;
            for alpha in ["0.05", "0.5", "5", "500"] {
                let shares = split(&format!("dirichlet alpha={alpha} over={over}"), &samples, 10);
                assert!(complete(&shares, 2_000));
                let skew = Skew::of(&samples, &shares.samples).mean_distance;
                assert!(skew < last, "{over} alpha {alpha}: {skew} after {last}");
                last = skew;
            }
            assert!(last < 0.1, "{over}: {last}");
        }
    }

    #[test]
    fn the_case_that_leaves_clients_empty_elsewhere_is_repaired_and_said() {
        let samples = balanced(200, 10);
        let mut said = 0;
        for seed in 0..20 {
            let shares = make("dirichlet alpha=0.1").split(&samples, 20, Seed(seed)).unwrap();
            assert!(complete(&shares, 200) && shares.samples.iter().all(|s| !s.is_empty()));
            said += shares.notes.len();
        }
        assert!(said > 0, "no seed left a worker empty: the test shows nothing");
        let refused = (0..20).filter_map(|seed| {
            make("dirichlet alpha=0.1 empty=refuse").split(&samples, 20, Seed(seed)).err()
        });
        let errors: Vec<String> = refused.map(|e| e.to_string()).collect();
        assert_eq!(errors.len(), said);
        assert!(errors[0].starts_with("dirichlet leaves worker "), "{}", errors[0]);
    }
}
