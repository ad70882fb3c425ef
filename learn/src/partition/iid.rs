//! Independent and identically distributed: a seeded shuffle cut into contiguous slices.

use super::{Partition, Samples, Shares, enough};
use varangian_base::{Domain, Entry, Seed, SpecError, lanes};

/// The even, random partition.
pub(crate) static ENTRY: Entry<dyn Partition> = Entry {
    name: "iid",
    summary: "A random even split: shuffled once, cut into contiguous slices.",
    paper: "common practice",
    differs: &[
        "When N is not a multiple of n, the first N mod n workers get one sample more; none is left over.",
    ],
    params: &[],
    cost: "O(N)",
    facts: (),
    build: |_| Ok(Box::new(Iid)),
};

struct Iid;

impl Partition for Iid {
    fn split(&self, samples: &Samples, workers: usize, seed: Seed) -> Result<Shares, SpecError> {
        enough(samples.len(), workers)?;
        let order =
            seed.lane(Domain::Partition, 0, 0, lanes::partition::ORDER).permutation(samples.len());
        Ok(Shares { samples: slices(&order, workers), notes: Vec::new() })
    }
}

/// Cuts `order` into contiguous slices whose sizes differ by at most one, larger ones first.
pub(crate) fn slices(order: &[u32], workers: usize) -> Vec<Vec<u32>> {
    let (size, more) = (order.len() / workers, order.len() % workers);
    let start = |w: usize| w * size + w.min(more);
    (0..workers).map(|w| order[start(w)..start(w + 1)].to_vec()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_sample_goes_to_one_worker() {
        let samples = |n: usize| Samples { labels: vec![0; n], ..Samples::default() };
        let shares = Iid.split(&samples(23), 5, Seed(2)).unwrap().samples;
        assert_eq!(shares.iter().map(Vec::len).collect::<Vec<_>>(), [5, 5, 5, 4, 4]);
        let mut all = shares.concat();
        assert_ne!(all, (0..23).collect::<Vec<_>>());
        all.sort_unstable();
        assert_eq!(all, (0..23).collect::<Vec<_>>());
        let error = Iid.split(&samples(3), 4, Seed(2)).unwrap_err().to_string();
        assert!(error.ends_with("found 4 workers and 3 samples"), "{error}");
    }
}
