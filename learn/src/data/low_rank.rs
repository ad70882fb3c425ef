//! Generated inputs that vary along a few directions more than along all others: for principal
//! components (Feng, Xu & Mannor 2014, Distributed Robust Learning, arXiv 1409.5937).
//!
//! x = A·D·z + s·e, with A of width × k orthonormal columns, D = diag(√(1 + (k − 1 − j)·g)) for
//! j = 0 … k − 1, and z, e standard normal. A share of the training samples are outliers: all of
//! them along one direction orthogonal to A, `reach` from 0, with either sign.
//!
//! The k test samples are √k times the columns of A, so that E‖x − P·x‖² over them is
//! Σ sin² θⱼ, the squared distance between the subspace that a model found and that of A.

use super::{DataError, Facts, Place, Source, Split, Table};
use crate::Targets;
use std::sync::Arc;
use varangian_base::{Args, Domain, Entry, Kind, Param, Seed, SpecError, lanes};

pub(crate) static ENTRY: Entry<dyn Source, Facts> = Entry {
    name: "low-rank",
    summary: "Generated for principal components: a few directions beneath noise, and outliers if asked for.",
    paper: "Feng, Xu & Mannor: Distributed Robust Learning, 2014, arXiv 1409.5937",
    differs: &[
        "the full text was not at hand: widths, variances and outliers are ours",
        "the test samples are the subspace itself, so that the test loss is its squared distance",
    ],
    params: &[
        count("width", 1 << 16, "20", "numbers of a sample"),
        count("components", 4096, "3", "k, the directions that stand out: less than the width"),
        count("samples", 1 << 24, "4000", "training samples"),
        real("noise", "0.3", "s, the standard deviation of the noise in every direction"),
        real("gap", "1", "g, by how much the variance along each direction exceeds the next"),
        Param {
            name: "outliers",
            kind: Kind::Real { min: 0.0, max: 0.5 },
            default: "0",
            help: "the share of training samples that are outliers",
        },
        real("reach", "10", "how far outliers are from 0"),
        Param {
            name: "basis",
            kind: Kind::Choice(&["random", "axes"]),
            default: "random",
            help: "A: random, drawn at the seed; axes, the first coordinate axes",
        },
    ],
    cost: "0.3 MB",
    facts: Facts { size: "4,000 + 3, 20 numbers, no targets", files: &[] },
    build: |args| Ok(Box::new(LowRank::new(args)?)),
};

const fn count(name: &'static str, max: usize, default: &'static str, help: &'static str) -> Param {
    Param { name, kind: Kind::Count { min: 1, max }, default, help }
}

const fn real(name: &'static str, default: &'static str, help: &'static str) -> Param {
    Param { name, kind: Kind::Real { min: 0.0, max: 1e6 }, default, help }
}

struct LowRank {
    width: usize,
    k: usize,
    samples: usize,
    noise: f64,
    gap: f64,
    outliers: f64,
    reach: f64,
    axes: bool,
}

impl LowRank {
    fn new(args: &Args) -> Result<Self, SpecError> {
        let count = |name| args.count(name).expect("has a default");
        let real = |name| args.real(name).expect("has a default");
        let (width, k, samples) = (count("width"), count("components"), count("samples"));
        if k >= width {
            return Err(SpecError::new(format!(
                "components is less than the width, {width}; found {k}"
            )));
        }
        if width.saturating_mul(samples) > 1 << 28 {
            return Err(SpecError::new(format!(
                "width times samples is at most 2^28; found {width} times {samples}"
            )));
        }
        if args.is_given("reach") && real("outliers") == 0.0 {
            return Err(SpecError::new("reach is of outliers: give outliers beside it"));
        }
        Ok(LowRank {
            width,
            k,
            samples,
            noise: real("noise"),
            gap: real("gap"),
            outliers: real("outliers"),
            reach: real("reach"),
            axes: args.text("basis") == "axes",
        })
    }

    /// k + 1 orthonormal directions, one a row: the columns of A, then that of the outliers.
    fn directions(&self, seed: Seed) -> Vec<f64> {
        let mut stream = seed.lane(Domain::Data, 0, 0, lanes::data::WEIGHTS);
        let mut basis: Vec<f64> = Vec::with_capacity((self.k + 1) * self.width);
        for j in 0..=self.k {
            let mut row: Vec<f64> = match self.axes {
                true => (0..self.width).map(|i| f64::from(u8::from(i == j))).collect(),
                false => (0..self.width).map(|_| stream.normal()).collect(),
            };
            for _ in 0..2 {
                for unit in basis.chunks_exact(self.width) {
                    let along: f64 = row.iter().zip(unit).map(|(a, b)| a * b).sum();
                    row.iter_mut().zip(unit).for_each(|(x, u)| *x -= along * u);
                }
            }
            let norm = row.iter().map(|x| x * x).sum::<f64>().sqrt();
            basis.extend(row.iter().map(|x| x / norm));
        }
        basis
    }

    /// The training samples, packed.
    fn draw(&self, seed: Seed, directions: &[f64]) -> Vec<f32> {
        let lane = |lane| seed.lane(Domain::Data, 0, 0, lane);
        let (mut z, mut e) = (lane(lanes::data::FEATURES), lane(lanes::data::NOISE));
        let (a, out) = directions.split_at(self.k * self.width);
        let mut x = vec![0.0f32; self.samples * self.width];
        let mut sample = vec![0.0; self.width];
        for row in x.chunks_exact_mut(self.width) {
            sample.iter_mut().for_each(|x| *x = self.noise * e.normal());
            if e.coin(self.outliers) {
                let far = if e.coin(0.5) { self.reach } else { -self.reach };
                sample.iter_mut().zip(out).for_each(|(x, u)| *x += far * u);
            } else {
                for (j, unit) in a.chunks_exact(self.width).enumerate() {
                    let along = self.variance(j).sqrt() * z.normal();
                    sample.iter_mut().zip(unit).for_each(|(x, u)| *x += along * u);
                }
            }
            row.iter_mut().zip(&sample).for_each(|(x, &s)| *x = s as f32);
        }
        x
    }

    /// Of z along direction j, beside the noise.
    fn variance(&self, j: usize) -> f64 {
        1.0 + (self.k - 1 - j) as f64 * self.gap
    }
}

impl Source for LowRank {
    fn load(&self, place: &Place) -> Result<Split, DataError> {
        let directions = self.directions(place.seed);
        let scale = (self.k as f64).sqrt();
        let test = directions[..self.k * self.width].iter().map(|&u| (scale * u) as f32).collect();
        let table = |inputs: Vec<f32>| {
            let targets = Targets::Values(vec![0.0; inputs.len() / self.width]);
            Arc::new(Table::new(self.width, 0, inputs, targets))
        };
        Ok(Split { train: table(self.draw(place.seed, &directions)), test: table(test) })
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Split, load};
    use crate::model::{Prepared, build};
    use crate::{Batch, Dataset};
    use varangian_base::{Domain, Seed};

    fn all(set: &dyn Dataset) -> Batch {
        let (mut batch, indices) = (Batch::default(), (0..set.len() as u32).collect::<Vec<_>>());
        set.fill(&indices, &mut Seed(0).stream(Domain::Augment, 0, 0), &mut batch);
        batch
    }

    fn split(text: &str) -> Split {
        load(text, None, Seed(3)).unwrap()
    }

    #[test]
    fn variances_along_the_axes_are_the_stated_ones() {
        let batch = all(split("low-rank basis=axes width=6 samples=20000").train.as_ref());
        for (i, wanted) in [3.09, 2.09, 1.09, 0.09, 0.09, 0.09].into_iter().enumerate() {
            let squares = batch.inputs.iter().skip(i).step_by(6).map(|&x| f64::from(x).powi(2));
            let found = squares.sum::<f64>() / 20_000.0;
            assert!((found - wanted).abs() < 0.04 * wanted, "{i}: {found} against {wanted}");
        }
    }

    #[test]
    fn outliers_are_as_many_and_as_far_as_asked() {
        let text = "low-rank basis=axes width=6 outliers=0.1 reach=50 samples=20000";
        let batch = all(split(text).train.as_ref());
        let far = batch.inputs.chunks_exact(6).filter(|x| x[3].abs() > 40.0);
        assert!((1800..2200).contains(&far.clone().count()));
        assert!(far.clone().all(|x| (x[3].abs() - 50.0).abs() < 2.0 && x[0].abs() < 2.0));
        assert!(load("low-rank reach=3", None, Seed(1)).is_err());
        assert!(load("low-rank components=20", None, Seed(1)).is_err());
    }

    #[test]
    fn the_test_loss_is_the_sum_of_squared_sines() {
        let split = split("low-rank basis=axes width=5 components=2");
        let model = build("pca components=2", split.train.shape(), 0).unwrap();
        let (none, batch): (Prepared, _) = (Box::new(()), all(split.test.as_ref()));
        let lost = |w: &[f32]| model.evaluate(w, &none, &batch, &mut model.workspace()).mean_loss();
        // Columns (cos α, 0, sin α, 0, 0) and (0, cos β, 0, sin β, 0): the angles are α and β.
        for (a, b) in [(0.0f32, 0.0f32), (0.3, 0.0), (0.3, 1.1), (1.57, 1.57)] {
            let w = [a.cos(), 0.0, 0.0, b.cos(), a.sin(), 0.0, 0.0, b.sin(), 0.0, 0.0];
            let wanted = f64::from(a.sin()).powi(2) + f64::from(b.sin()).powi(2);
            assert!((lost(&w) - wanted).abs() < 1e-5, "{a} {b}: {} against {wanted}", lost(&w));
        }
    }

    #[test]
    fn descent_on_all_samples_finds_the_subspace() {
        let split = split("low-rank");
        let model = build("pca", split.train.shape(), 0).unwrap();
        let (train, test) = (all(split.train.as_ref()), all(split.test.as_ref()));
        let (none, mut room): (Prepared, _) = (Box::new(()), model.workspace());
        let mut w = model.init(Seed(2));
        let mut slope = vec![0.0; w.len()];
        let place = crate::model::Place { seed: Seed(1), worker: 0, step: 0 };
        let start = model.evaluate(&w, &none, &test, &mut room).mean_loss();
        for _ in 0..150 {
            model.gradient(&w, &none, &train, place, &mut room, &mut slope);
            w.iter_mut().zip(&slope).for_each(|(w, g)| *w -= 0.05 * g);
        }
        let end = model.evaluate(&w, &none, &test, &mut room).mean_loss();
        assert!(start > 1.5 && end < 0.01, "{start} {end}");
    }
}
