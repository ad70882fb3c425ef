//! A partition of the training set over the honest workers alone.

use super::iid::slices;
use super::{Partition, Samples, Shares};
use varangian_base::{Domain, Seed, SpecError, lanes};

/// Splits all samples over the honest workers, those of `workers` that are not among `hostile`
/// (ids that ascend), as [`Partition::split`] does; worker i of the answer is worker i of the run.
///
/// The hostile workers hold no part of that. Each holds an even random slice of the whole set, of
/// as many slices as there are honest workers, so that those samples are held twice: what
/// experiments do in which liars are added to workers that share the data (Karimireddy, He & Jaggi,
/// ICLR 2022; the clients of ByzFL). *Differs:* in the former's code the hostile workers' slices
/// are drawn anew each epoch.
///
/// # Errors
/// As [`Partition::split`] over the honest workers; if there is none.
pub fn over_honest(
    partition: &dyn Partition,
    samples: &Samples,
    workers: usize,
    hostile: &[u32],
    seed: Seed,
) -> Result<Shares, SpecError> {
    let is_hostile = |id: &u32| hostile.binary_search(id).is_ok();
    let honest = (0..workers as u32).filter(|id| !is_hostile(id)).count();
    let Shares { samples: honest_samples, notes } = partition.split(samples, honest, seed)?;
    let order =
        seed.lane(Domain::Partition, 1, 0, lanes::partition::ORDER).permutation(samples.len());
    let even = slices(&order, honest);
    let (mut honest_samples, mut even) = (honest_samples.into_iter(), even.iter().cycle());
    let share = |id: u32| match is_hostile(&id) {
        true => even.next().expect("a cycle goes on").clone(),
        false => honest_samples.next().expect("one share an honest worker"),
    };
    Ok(Shares { samples: (0..workers as u32).map(share).collect(), notes })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::partition::make;
    use varangian_base::spec;

    #[test]
    fn honest_workers_share_all_and_hostile_ones_hold_even_slices_besides() {
        let labels: Vec<u32> = (0..120).map(|i| i / 12).collect();
        let samples = Samples { labels, classes: 10, groups: vec![] };
        let sorted = make(&spec::parse("sorted").unwrap()).unwrap();
        for hostile in [vec![5, 6, 7], vec![0, 3, 7], vec![]] {
            let (n, seed) = (8, Seed(4));
            let shares = over_honest(sorted.as_ref(), &samples, n, &hostile, seed).unwrap();
            let alone = sorted.split(&samples, n - hostile.len(), seed).unwrap();
            let is_hostile = |id: &usize| hostile.contains(&(*id as u32));
            let honest: Vec<_> =
                (0..n).filter(|id| !is_hostile(id)).map(|id| shares.samples[id].clone()).collect();
            assert_eq!(honest, alone.samples);
            let mut all = honest.concat();
            all.sort_unstable();
            assert_eq!(all, (0..120).collect::<Vec<_>>());
            // A slice of the sorted set has few classes, one of the whole set many.
            for id in (0..n).filter(is_hostile) {
                let own = &shares.samples[id];
                let mut classes: Vec<u32> =
                    own.iter().map(|&i| samples.labels[i as usize]).collect();
                classes.sort_unstable();
                classes.dedup();
                assert!(own.len() == 24 && classes.len() > 6, "{own:?}");
            }
        }
    }

    #[test]
    fn more_hostile_workers_than_honest_ones_hold_slices_too() {
        let samples = Samples { labels: vec![0; 10], classes: 1, groups: vec![] };
        let iid = make(&spec::parse("iid").unwrap()).unwrap();
        let split = |hostile: &[u32]| over_honest(iid.as_ref(), &samples, 5, hostile, Seed(1));
        let shares = split(&[2, 3, 4]).unwrap().samples;
        assert!(shares.iter().all(|share| share.len() == 5) && shares[2] == shares[4]);
        // Other draws than the honest workers'.
        assert_ne!(shares[2], shares[0]);
        assert!(split(&[0, 1, 2, 3, 4]).is_err());
    }
}
