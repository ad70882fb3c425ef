//! By file: the natural partition, where a set says which file or author each sample came from.

use super::{Partition, Samples, Shares, enough};
use std::collections::BTreeMap;
use varangian_base::{Domain, Entry, Seed, SpecError, lanes};

/// The natural partition.
pub(crate) static ENTRY: Entry<dyn Partition> = Entry {
    name: "by-file",
    summary: "Natural: all samples of one file (author, site) go to one worker; files dealt in turn.",
    paper: "Caldas et al.: LEAF, 2018, 1812.01097",
    differs: &[],
    params: &[],
    cost: "O(N log N)",
    facts: (),
    build: |_| Ok(Box::new(ByFile)),
};

struct ByFile;

impl Partition for ByFile {
    fn split(&self, samples: &Samples, workers: usize, seed: Seed) -> Result<Shares, SpecError> {
        enough(samples.len(), workers)?;
        let mut files: BTreeMap<u32, Vec<u32>> = BTreeMap::new();
        for (i, &group) in samples.groups.iter().enumerate() {
            files.entry(group).or_default().push(i as u32);
        }
        if files.len() < workers {
            return Err(SpecError::new(format!(
                "by-file needs a set of at least {workers} files, one a worker; found {} \
                 (sets read from one file have none)",
                files.len()
            )));
        }
        let files: Vec<Vec<u32>> = files.into_values().collect();
        let order =
            seed.lane(Domain::Partition, 0, 0, lanes::partition::ORDER).permutation(files.len());
        let mut shares = vec![Vec::new(); workers];
        for (turn, &file) in order.iter().enumerate() {
            shares[turn % workers].extend_from_slice(&files[file as usize]);
        }
        Ok(Shares { samples: shares, notes: Vec::new() })
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::complete;
    use super::*;

    #[test]
    fn a_file_is_never_divided() {
        let groups: Vec<u32> = (0..60).map(|i| i % 6).collect();
        let samples = Samples { labels: vec![0; 60], classes: 1, groups };
        let shares = ByFile.split(&samples, 4, Seed(1)).unwrap();
        assert!(complete(&shares, 60));
        for group in 0..6 {
            let holders = shares.samples.iter().filter(|s| s.iter().any(|i| i % 6 == group));
            assert_eq!(holders.count(), 1);
        }
        let error = ByFile.split(&samples, 7, Seed(1)).unwrap_err().to_string();
        assert!(error.contains("at least 7 files, one a worker; found 6"), "{error}");
    }
}
