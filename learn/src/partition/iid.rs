//! Independent and identically distributed: a seeded shuffle cut into contiguous slices.

use super::{Partition, enough};
use varangian_base::{Domain, Entry, Seed, SpecError};

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
    fn split(
        &self,
        labels: &[u32],
        _classes: usize,
        workers: usize,
        seed: Seed,
    ) -> Result<Vec<Vec<u32>>, SpecError> {
        enough(labels.len(), workers)?;
        let order = seed.stream(Domain::Partition, 0, 0).permutation(labels.len());
        Ok(slices(&order, workers))
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
        let shares = Iid.split(&[0; 23], 1, 5, Seed(2)).unwrap();
        assert_eq!(shares.iter().map(Vec::len).collect::<Vec<_>>(), [5, 5, 5, 4, 4]);
        let mut all = shares.concat();
        assert_ne!(all, (0..23).collect::<Vec<_>>());
        all.sort_unstable();
        assert_eq!(all, (0..23).collect::<Vec<_>>());
        let error = Iid.split(&[0; 3], 1, 4, Seed(2)).unwrap_err().to_string();
        assert!(error.ends_with("found 4 workers and 3 samples"), "{error}");
    }
}
