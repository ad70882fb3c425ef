//! The two synthetic tables of the SignSGD fault-tolerance report: linear and logistic regression.
//!
//! Akoun, Meyer: SIGNSGD: Fault-Tolerance to Blind and Byzantine Adversaries, 2022 (2202.02085).
//! w₀ ~ N(2, 1)²⁰; rows x ~ N(0, Σ) with Σᵢⱼ = 0.3^|i−j|; y = x·w₀ + 0.5·N(0, 1), or
//! y ~ Bernoulli(σ(x·w₀)). The first 8,000 of 10,000 samples train. Features (and the real-valued
//! y) are standardised with the mean and population deviation of the training block.

use super::{DataError, Facts, Place, Source, Split, Table};
use crate::Targets;
use crate::model::mersenne::Mersenne;
use std::sync::Arc;
use varangian_base::{Args, Domain, Entry, Kind, Param, Seed, Stream, lanes};

const FEATURES: usize = 20;
const SAMPLES: usize = 10_000;
const TRAIN: usize = 8_000;
/// Correlation of neighbouring features.
const RHO: f64 = 0.3;

/// Linear regression.
pub(crate) static LINREG: Entry<dyn Source, Facts> = Entry {
    name: "linreg",
    summary: "Generated linear regression: 20 correlated features, Gaussian noise, all standardised.",
    paper: "Akoun, Meyer: SIGNSGD: Fault-Tolerance to Blind and Byzantine Adversaries, 2022, 2202.02085",
    differs: &["The draws come from this program's generator, not from numpy's."],
    params: &[WEIGHTS],
    cost: "0.8 MB",
    facts: Facts { size: "8,000 + 2,000, 20 features, one real target", files: &[] },
    build: |args| Ok(Box::new(Synthetic::new(args, false))),
};

/// Logistic regression.
pub(crate) static LOGREG: Entry<dyn Source, Facts> = Entry {
    name: "logreg",
    summary: "Generated logistic regression: 20 correlated features, labels drawn from the sigmoid.",
    paper: "Akoun, Meyer: SIGNSGD: Fault-Tolerance to Blind and Byzantine Adversaries, 2022, 2202.02085",
    differs: &[
        "Labels stay 0 and 1; the published code standardises them together with the features and so destroys them.",
        "The draws come from this program's generator, not from numpy's.",
    ],
    params: &[WEIGHTS],
    cost: "0.8 MB",
    facts: Facts { size: "8,000 + 2,000, 20 features, 2 classes", files: &[] },
    build: |args| Ok(Box::new(Synthetic::new(args, true))),
};

/// The parameter by which the problem is a publication's.
const WEIGHTS: Param = Param {
    name: "numpy-seed",
    kind: Kind::Count { min: 0, max: u32::MAX as usize },
    default: "auto",
    help: "auto: w₀ is drawn like everything else; a number: w₀ is what numpy draws first after \
           numpy.random.seed(number), so that the problem is a publication's and only its sample \
           is drawn anew",
};

struct Synthetic {
    labels: bool,
    /// numpy's seed of w₀, if not the data's.
    weights: Option<u32>,
}

impl Synthetic {
    fn new(args: &Args, labels: bool) -> Self {
        Synthetic { labels, weights: args.count("numpy-seed").map(|seed| seed as u32) }
    }
}

impl Source for Synthetic {
    fn load(&self, place: &Place) -> Result<Split, DataError> {
        let (mut x, mut y) = draw(place.seed, self.labels, self.weights);
        standardise(&mut x, FEATURES);
        if !self.labels {
            standardise(&mut y, 1);
        }
        let table = |range: std::ops::Range<usize>| {
            let rows = &x[range.start * FEATURES..range.end * FEATURES];
            let inputs = rows.iter().map(|&v| v as f32).collect();
            let (classes, targets) = match self.labels {
                true => (2, Targets::Labels(y[range].iter().map(|&v| v as u32).collect())),
                false => (0, Targets::Values(y[range].iter().map(|&v| v as f32).collect())),
            };
            Arc::new(Table::new(FEATURES, classes, inputs, targets))
        };
        Ok(Split { train: table(0..TRAIN), test: table(TRAIN..SAMPLES) })
    }
}

/// Features and targets before standardising. Both sets share w₀ and the features.
fn draw(seed: Seed, labels: bool, weights: Option<u32>) -> (Vec<f64>, Vec<f64>) {
    let lane = |lane: u64| seed.lane(Domain::Data, 0, 0, lane);
    let mut stream = lane(lanes::data::WEIGHTS);
    let mut w: Vec<f64> = (0..FEATURES).map(|_| 2.0 + stream.normal()).collect();
    if let Some(mut twister) = weights.map(Mersenne::new) {
        w.chunks_exact_mut(2).for_each(|pair| {
            pair.copy_from_slice(&twister.normals().map(|x| 2.0 + x));
        });
    }
    let mut stream = lane(lanes::data::FEATURES);
    let mut x = vec![0.0; SAMPLES * FEATURES];
    x.chunks_exact_mut(FEATURES).for_each(|row| correlated(row, &mut stream));
    let mut stream = lane(lanes::data::NOISE);
    let target = |row: &[f64]| {
        let score: f64 = row.iter().zip(&w).map(|(a, b)| a * b).sum();
        match labels {
            true => f64::from(u8::from(stream.coin(1.0 / (1.0 + (-score).exp())))),
            false => score + 0.5 * stream.normal(),
        }
    };
    let y = x.chunks_exact(FEATURES).map(target).collect();
    (x, y)
}

/// One draw of N(0, Σ): the Cholesky factor of Σᵢⱼ = ρ^|i−j| is the recursion
/// xᵢ = ρ·xᵢ₋₁ + √(1−ρ²)·zᵢ.
fn correlated(row: &mut [f64], stream: &mut Stream) {
    let fresh = (1.0 - RHO * RHO).sqrt();
    row[0] = stream.normal();
    for i in 1..row.len() {
        row[i] = RHO * row[i - 1] + fresh * stream.normal();
    }
}

/// Subtracts each column's mean and divides by its population deviation, both of the training
/// block.
fn standardise(values: &mut [f64], columns: usize) {
    for k in 0..columns {
        let train = || values[..TRAIN * columns].iter().skip(k).step_by(columns);
        let mean = train().sum::<f64>() / TRAIN as f64;
        let variance = train().map(|v| (v - mean).powi(2)).sum::<f64>() / TRAIN as f64;
        let scale = 1.0 / variance.sqrt();
        for value in values.iter_mut().skip(k).step_by(columns) {
            *value = (*value - mean) * scale;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn features_have_the_stated_covariance() {
        let (x, _) = draw(Seed(3), false, None);
        for (i, j) in [(0, 0), (5, 5), (3, 4), (3, 5), (0, 19)] {
            let mean = x.chunks_exact(FEATURES).map(|r| r[i] * r[j]).sum::<f64>() / 1e4;
            let wanted = RHO.powi((j as i32 - i as i32).abs());
            assert!((mean - wanted).abs() < 0.05, "({i}, {j}): {mean} against {wanted}");
        }
    }

    #[test]
    fn the_training_block_is_standardised_and_labels_are_not() {
        let place = Place { data_dir: None, seed: Seed(1) };
        let linear = Synthetic { labels: false, weights: None }.load(&place).unwrap();
        let mut batch = crate::Batch::default();
        let all: Vec<u32> = (0..TRAIN as u32).collect();
        let mut unused = Seed(0).stream(Domain::Augment, 0, 0);
        linear.train.fill(&all, &mut unused, &mut batch);
        let Targets::Values(y) = &batch.targets else { panic!("regression") };
        let mean = y.iter().map(|&v| f64::from(v)).sum::<f64>() / TRAIN as f64;
        let square = y.iter().map(|&v| f64::from(v).powi(2)).sum::<f64>() / TRAIN as f64;
        assert!(mean.abs() < 1e-4 && (square - 1.0).abs() < 1e-4, "{mean} {square}");
        let logistic = Synthetic { labels: true, weights: None }.load(&place).unwrap();
        assert_eq!(logistic.train.classes(), 2);
        let ones = (0..TRAIN).filter(|&i| logistic.train.label(i) == 1).count();
        assert!((3_500..4_500).contains(&ones), "{ones} ones");
    }

    #[test]
    fn the_noise_floor_of_linear_regression_is_that_of_the_report() {
        // Least squares on the standardised training block; the report's spec states about .0017.
        let place = Place { data_dir: None, seed: Seed(8005) };
        let split = Synthetic { labels: false, weights: None }.load(&place).unwrap();
        let take = |set: &dyn super::super::Dataset| {
            let mut batch = crate::Batch::default();
            let all: Vec<u32> = (0..set.len() as u32).collect();
            set.fill(&all, &mut Seed(0).stream(Domain::Augment, 0, 0), &mut batch);
            let Targets::Values(y) = batch.targets else { panic!("regression") };
            (batch.inputs, y)
        };
        let (x, y) = take(&*split.train);
        let mut w = vec![0.0f64; FEATURES];
        for _ in 0..60 {
            // Gradient descent converges geometrically: the condition number is about 3.4.
            let mut gradient = vec![0.0; FEATURES];
            for (row, &target) in x.chunks_exact(FEATURES).zip(&y) {
                let e = dot(row, &w) - f64::from(target);
                gradient.iter_mut().zip(row).for_each(|(g, &v)| *g += e * f64::from(v));
            }
            w.iter_mut().zip(&gradient).for_each(|(w, g)| *w -= 0.8 * g / TRAIN as f64);
        }
        let (x, y) = take(&*split.test);
        let error = |(row, &t): (&[f32], &f32)| (dot(row, &w) - f64::from(t)).powi(2);
        let mse = x.chunks_exact(FEATURES).zip(&y).map(error).sum::<f64>() / y.len() as f64;
        assert!((0.0008..0.0035).contains(&mse), "{mse}");
    }

    fn dot(row: &[f32], w: &[f64]) -> f64 {
        row.iter().zip(w).map(|(&a, b)| f64::from(a) * b).sum()
    }
}
