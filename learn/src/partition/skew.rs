//! How different the workers' data are, measured on their labels.

use super::Samples;
use std::fmt;

/// Label statistics of a partition.
#[derive(Clone, Debug, PartialEq)]
pub struct Skew {
    /// Samples of each class, a row a worker.
    pub histogram: Vec<Vec<u64>>,
    /// Mean over workers of the total variation distance between a worker's label distribution
    /// and that of all workers together: 0 for identical ones, below 1.
    pub mean_distance: f64,
    /// The greatest such distance.
    pub max_distance: f64,
    /// The mean number of classes that a worker has samples of.
    pub mean_classes: f64,
}

impl Skew {
    /// The statistics of `shares`, one list of sample indices a worker. O(N + n·classes).
    pub fn of(samples: &Samples, shares: &[Vec<u32>]) -> Skew {
        let classes = samples.classes.max(1);
        let count = |share: &Vec<u32>| {
            let mut row = vec![0u64; classes];
            share.iter().for_each(|&i| row[samples.labels[i as usize] as usize] += 1);
            row
        };
        let histogram: Vec<Vec<u64>> = shares.iter().map(count).collect();
        let overall: Vec<u64> =
            (0..classes).map(|c| histogram.iter().map(|row| row[c]).sum()).collect();
        let distances: Vec<f64> = histogram.iter().map(|row| distance(row, &overall)).collect();
        let present = |row: &Vec<u64>| row.iter().filter(|&&c| c > 0).count() as f64;
        let workers = shares.len().max(1) as f64;
        Skew {
            mean_distance: distances.iter().sum::<f64>() / workers,
            max_distance: distances.iter().copied().fold(0.0, f64::max),
            mean_classes: histogram.iter().map(present).sum::<f64>() / workers,
            histogram,
        }
    }

    /// The least and the greatest number of samples of a worker.
    pub fn sizes(&self) -> (u64, u64) {
        let sizes = || self.histogram.iter().map(|row| row.iter().sum::<u64>());
        (sizes().min().unwrap_or(0), sizes().max().unwrap_or(0))
    }
}

/// Total variation distance of two histograms, each taken as a distribution.
fn distance(a: &[u64], b: &[u64]) -> f64 {
    let (sum_a, sum_b) = (a.iter().sum::<u64>().max(1) as f64, b.iter().sum::<u64>().max(1) as f64);
    let gap = |(&x, &y): (&u64, &u64)| (x as f64 / sum_a - y as f64 / sum_b).abs();
    0.5 * a.iter().zip(b).map(gap).sum::<f64>()
}

impl fmt::Display for Skew {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (least, most) = self.sizes();
        write!(
            f,
            "{} workers, {least} to {most} samples, {:.1} classes each, \
             label distance {:.3} mean, {:.3} max",
            self.histogram.len(),
            self.mean_classes,
            self.mean_distance,
            self.max_distance
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_statistics_of_a_small_case() {
        let samples = Samples { labels: vec![0, 0, 1, 1], classes: 2, groups: vec![] };
        let skew = Skew::of(&samples, &[vec![0, 1], vec![2], vec![3]]);
        assert_eq!(skew.histogram, [[2, 0], [0, 1], [0, 1]]);
        assert_eq!((skew.mean_distance, skew.max_distance), (0.5, 0.5));
        let text = "3 workers, 1 to 2 samples, 1.0 classes each, \
                    label distance 0.500 mean, 0.500 max";
        assert_eq!(skew.to_string(), text);
    }
}
