//! Long tail: class sizes fall geometrically, then any other partition deals what is left.

use super::{Partition, Samples, Shares, by_class};
use varangian_base::{Entry, Kind, Param, Seed, SpecError, spec};

/// Geometric class sizes.
pub(crate) static ENTRY: Entry<dyn Partition> = Entry {
    name: "long-tail",
    summary: "Class sizes fall geometrically, the largest `ratio` times the smallest; the rest is left out.",
    paper: "Karimireddy, He, Jaggi: Byzantine-robust learning on heterogeneous datasets via bucketing, ICLR 2022, 2006.09365, §6; sizes as in Cao et al., NeurIPS 2019, 1906.07413",
    differs: &["Only the training samples are thinned; the test split stays as it is."],
    params: &[
        Param {
            name: "ratio",
            kind: Kind::Real { min: 1.0, max: 1e9 },
            default: "500",
            help: "size of class 0 over that of the last class",
        },
        Param {
            name: "then",
            kind: Kind::Text,
            default: "iid",
            help: "the partition of what is left, such as sorted or (dirichlet alpha=0.1)",
        },
    ],
    cost: "O(N) and the other partition's",
    facts: (),
    build: |args| {
        let then = spec::parse(args.text("then"))?;
        if then.name == "long-tail" {
            return Err(SpecError::new("then takes another partition; found long-tail"));
        }
        let then = super::make(&then)?;
        Ok(Box::new(LongTail { ratio: args.real("ratio").unwrap_or(500.0), then }))
    },
};

struct LongTail {
    ratio: f64,
    then: Box<dyn Partition>,
}

impl Partition for LongTail {
    fn split(&self, samples: &Samples, workers: usize, seed: Seed) -> Result<Shares, SpecError> {
        let pools = by_class("long-tail", samples, seed)?;
        let mut kept: Vec<u32> = Vec::new();
        for (class, pool) in pools.iter().enumerate() {
            let place = class as f64 / (pools.len().max(2) - 1) as f64;
            let size = (pools[0].len() as f64 * self.ratio.powf(-place)).round().max(1.0);
            kept.extend(&pool[..pool.len().min(size as usize)]);
        }
        kept.sort_unstable();
        let pick = |from: &[u32]| kept.iter().map(|&i| from[i as usize]).collect::<Vec<u32>>();
        let groups = if samples.groups.is_empty() { Vec::new() } else { pick(&samples.groups) };
        let left = Samples { labels: pick(&samples.labels), classes: samples.classes, groups };
        let mut shares = self.then.split(&left, workers, seed)?;
        for index in shares.samples.iter_mut().flatten() {
            *index = kept[*index as usize];
        }
        let out = samples.len() - kept.len();
        shares.notes.insert(0, format!("long-tail leaves out {out} of {} samples", samples.len()));
        Ok(shares)
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{balanced, make, split};
    use super::*;
    use crate::partition::Skew;

    #[test]
    fn class_sizes_fall_geometrically_and_the_indices_are_those_of_the_whole_set() {
        let samples = balanced(10_000, 10);
        let shares = split("long-tail ratio=512", &samples, 5);
        let skew = Skew::of(&samples, &shares.samples);
        let totals: Vec<u64> = (0..10).map(|c| skew.histogram.iter().map(|r| r[c]).sum()).collect();
        assert_eq!(totals, [1000, 500, 250, 125, 63, 31, 16, 8, 4, 2]);
        assert_eq!(shares.notes, ["long-tail leaves out 8001 of 10000 samples"]);
        let mut all = shares.samples.concat();
        all.sort_unstable();
        all.dedup();
        assert_eq!(all.len(), 1_999);
    }

    #[test]
    fn it_composes_with_another_partition_but_not_itself() {
        let samples = balanced(1_000, 10);
        let shares = split("long-tail ratio=10 then=(dirichlet alpha=0.1)", &samples, 5);
        assert_eq!(shares.samples.len(), 5);
        let spec = spec::parse("long-tail then=(long-tail)").unwrap();
        let error = super::super::make(&spec).err().unwrap().to_string();
        assert_eq!(error, "long-tail: then takes another partition; found long-tail");
        assert!(make("long-tail").split(&balanced(4, 4), 9, Seed(0)).is_err());
    }
}
