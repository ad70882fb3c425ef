//! Partitions made from samples sorted by label: the extreme one, γ-similarity, shards.

use super::iid::slices;
use super::{Partition, Samples, Shares, by_class, enough};
use varangian_base::{Domain, Entry, Kind, Param, Seed, SpecError, lanes};

/// The extreme partition.
pub(crate) static SORTED: Entry<dyn Partition> = Entry {
    name: "sorted",
    summary: "Extreme skew: samples sorted by label, cut into contiguous slices.",
    paper: "common practice (\"extreme\" in ByzFL, \"non-iid\" in Karimireddy, He, Jaggi, ICLR 2022, 2006.09365)",
    differs: &["Samples of one class are shuffled by the seed first."],
    params: &[],
    cost: "O(N)",
    facts: (),
    build: |_| Ok(Box::new(Similar { name: "sorted", gamma: 0.0 })),
};

/// γ-similarity.
pub(crate) static GAMMA: Entry<dyn Partition> = Entry {
    name: "gamma-similarity",
    summary: "A share gamma of the samples dealt at random, the rest sorted by label and cut.",
    paper: "Karimireddy et al.: SCAFFOLD, ICML 2020, 1910.06378, §7 (s % similar); Allouah et al., AISTATS 2023, 2302.01772",
    differs: &[],
    params: &[Param {
        name: "gamma",
        kind: Kind::Real { min: 0.0, max: 1.0 },
        default: "0.5",
        help: "share dealt at random: 1 is iid, 0 is sorted",
    }],
    cost: "O(N)",
    facts: (),
    build: |args| {
        let gamma = args.real("gamma").unwrap_or(0.5);
        Ok(Box::new(Similar { name: "gamma-similarity", gamma }))
    },
};

/// Shards.
pub(crate) static SHARDS: Entry<dyn Partition> = Entry {
    name: "shards",
    summary: "Samples sorted by label, cut into shards, each worker dealt some at random.",
    paper: "McMahan et al.: Communication-efficient learning of deep networks from decentralized data, AISTATS 2017, 1602.05629, §3",
    differs: &[],
    params: &[Param {
        name: "per",
        kind: Kind::Count { min: 1, max: 1_000_000 },
        default: "2",
        help: "shards a worker",
    }],
    cost: "O(N)",
    facts: (),
    build: |args| Ok(Box::new(Shards { per: args.count("per").unwrap_or(2) })),
};

struct Similar {
    name: &'static str,
    gamma: f64,
}

impl Partition for Similar {
    fn split(&self, samples: &Samples, workers: usize, seed: Seed) -> Result<Shares, SpecError> {
        enough(samples.len(), workers)?;
        let sorted = by_class(self.name, samples, seed)?.concat();
        // A random subset is dealt at random; what stays is still in the order of the labels.
        let common = (self.gamma * samples.len() as f64).round() as usize;
        let order =
            seed.lane(Domain::Partition, 0, 0, lanes::partition::ORDER).permutation(samples.len());
        let (dealt, stays) = order.split_at(common);
        let mut apart = vec![false; samples.len()];
        stays.iter().for_each(|&i| apart[i as usize] = true);
        let rest: Vec<u32> = sorted.into_iter().filter(|&i| apart[i as usize]).collect();
        let mut shares = slices(dealt, workers);
        for (share, slice) in shares.iter_mut().zip(slices(&rest, workers)) {
            share.extend(slice);
        }
        balance(&mut shares);
        Ok(Shares { samples: shares, notes: Vec::new() })
    }
}

/// Moves single samples so that sizes differ by at most one: two even deals can leave a worker
/// two samples ahead, or none for a worker where samples are as few as workers.
fn balance(shares: &mut [Vec<u32>]) {
    loop {
        let size = |w: &usize| shares[*w].len();
        let most = (0..shares.len()).rev().max_by_key(size).unwrap_or(0);
        let least = (0..shares.len()).min_by_key(size).unwrap_or(0);
        if shares[most].len() <= shares[least].len() + 1 {
            return;
        }
        let moved = shares[most].pop();
        shares[least].extend(moved);
    }
}

struct Shards {
    per: usize,
}

impl Partition for Shards {
    fn split(&self, samples: &Samples, workers: usize, seed: Seed) -> Result<Shares, SpecError> {
        enough(samples.len(), workers)?;
        let count = workers.saturating_mul(self.per);
        if count > samples.len() {
            return Err(SpecError::new(format!(
                "shards needs at least {count} samples for {workers} workers with {} shards each; \
                 found {}",
                self.per,
                samples.len()
            )));
        }
        let shards = slices(&by_class("shards", samples, seed)?.concat(), count);
        let order = seed.lane(Domain::Partition, 0, 0, lanes::partition::ORDER).permutation(count);
        let deal = |w: usize| {
            let own = &order[w * self.per..(w + 1) * self.per];
            own.iter().flat_map(|&s| shards[s as usize].iter().copied()).collect()
        };
        Ok(Shares { samples: (0..workers).map(deal).collect(), notes: Vec::new() })
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{balanced, complete, make, split};
    use super::*;
    use crate::partition::Skew;

    #[test]
    fn sorted_gives_each_worker_one_class_where_that_is_possible() {
        let samples = balanced(100, 10);
        let shares = split("sorted", &samples, 10);
        assert!(complete(&shares, 100));
        let skew = Skew::of(&samples, &shares.samples);
        assert!(skew.histogram.iter().all(|row| row.iter().filter(|&&c| c > 0).count() == 1));
        assert!((skew.mean_distance - 0.9).abs() < 1e-12);
    }

    #[test]
    fn gamma_runs_from_sorted_to_iid() {
        let samples = balanced(1_000, 10);
        let skew = |gamma: &str| {
            let shares = split(&format!("gamma-similarity gamma={gamma}"), &samples, 10);
            assert!(complete(&shares, 1_000));
            assert!(shares.samples.iter().all(|s| s.len() == 100));
            Skew::of(&samples, &shares.samples).mean_distance
        };
        assert!((skew("0") - 0.9).abs() < 1e-12);
        assert!((skew("0.5") - 0.45).abs() < 0.1);
        assert!(skew("1") < 0.2);
    }

    #[test]
    fn gamma_leaves_nobody_empty_when_samples_are_scarce() {
        for n in 7..15 {
            let shares = split("gamma-similarity gamma=0.5", &balanced(n, 3), 7);
            assert!(complete(&shares, n) && shares.samples.iter().all(|s| !s.is_empty()), "{n}");
        }
    }

    #[test]
    fn shards_give_each_worker_at_most_that_many_classes() {
        let samples = balanced(1_000, 10);
        let shares = split("shards per=2", &samples, 50);
        assert!(complete(&shares, 1_000));
        let skew = Skew::of(&samples, &shares.samples);
        assert!(skew.histogram.iter().all(|row| row.iter().filter(|&&c| c > 0).count() <= 2));
        let error = make("shards per=30").split(&samples, 50, Seed(0)).unwrap_err().to_string();
        assert!(error.contains("at least 1500 samples"), "{error}");
    }
}
