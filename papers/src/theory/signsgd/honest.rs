//! What an honest worker's minibatch says of the gradient at one point of a run: the p of Theorem
//! 2bis, and how its noise is distributed, of which A4 asks that it be unimodal and symmetric.

use super::measured::Quadratic;
use varangian_base::{Domain, Seed};

/// Shares of the noise below [`Honest::quantiles`].
const SHARES: [f64; 5] = [0.05, 0.25, 0.5, 0.75, 0.95];

/// The same quantiles of the normal distribution.
const NORMAL: [f64; 5] = [-1.645, -0.674, 0.0, 0.674, 1.645];

/// Minibatches behind each number.
const DRAWS: usize = 1000;

/// An honest worker at one point.
pub(super) struct Honest {
    /// Of the coordinates, the least probability that a minibatch has the true gradient's sign.
    pub(super) least: f64,
    /// The mean of that probability.
    pub(super) mean: f64,
    /// Quantiles of the noise over its deviation, all coordinates together.
    pub(super) quantiles: [f64; 5],
    /// Mean over coordinates of the noise's third moment over its deviation's cube: 0 if symmetric.
    pub(super) skewness: f64,
}

/// Draws minibatches of `batch` samples at `params`, as workers do that draw from all samples.
pub(super) fn look(quadratic: &Quadratic, params: &[f32], batch: usize, seed: Seed) -> Honest {
    let gradient = quadratic.gradient(params);
    let d = gradient.len();
    let residuals = quadratic.residuals(params);
    let mut noise = vec![Vec::with_capacity(DRAWS); d];
    for draw in 0..DRAWS {
        let mut stream = seed.stream(Domain::Evaluation, draw as u32, 0);
        let mut sum = vec![0.0; d];
        for _ in 0..batch {
            let i = stream.below(residuals.len());
            let row = quadratic.row(i);
            sum.iter_mut().zip(row).for_each(|(sum, x)| *sum += 2.0 * residuals[i] * x);
        }
        let each = sum.iter().zip(&gradient).zip(&mut noise);
        each.for_each(|((sum, g), noise)| noise.push(sum / batch as f64 - g));
    }
    let right = |(noise, g): (&Vec<f64>, &f64)| {
        noise.iter().filter(|x| (*x + g) * g > 0.0).count() as f64 / DRAWS as f64
    };
    let p: Vec<f64> = noise.iter().zip(&gradient).map(right).collect();
    let (mut all, mut skewness) = (Vec::new(), 0.0);
    for noise in &noise {
        let moment = |k: i32| noise.iter().map(|x| x.powi(k)).sum::<f64>() / DRAWS as f64;
        let deviation = moment(2).sqrt();
        if deviation > 0.0 {
            skewness += moment(3) / deviation.powi(3) / d as f64;
            all.extend(noise.iter().map(|x| x / deviation));
        }
    }
    all.sort_unstable_by(f64::total_cmp);
    let at = |share: f64| {
        let place = (share * all.len() as f64) as usize;
        all.get(place.min(all.len().saturating_sub(1))).copied().unwrap_or(f64::NAN)
    };
    Honest {
        least: p.iter().copied().fold(1.0, f64::min),
        mean: p.iter().sum::<f64>() / d as f64,
        quantiles: SHARES.map(at),
        skewness,
    }
}

/// A line for each of these points: (step, what an honest worker says there).
pub(super) fn told(points: &[(u64, Honest)]) -> String {
    let list = |x: &[f64; 5]| x.map(|x| format!("{x:.2}")).join(" ");
    let line = |(step, honest): &(u64, Honest)| {
        format!(
            "  step {step}: p least {:.3}, mean {:.3}; noise/σ at 5 25 50 75 95 %: {} (normal {}), \
             skewness {:.2}\n",
            honest.least,
            honest.mean,
            list(&honest.quantiles),
            list(&NORMAL),
            honest.skewness
        )
    };
    points.iter().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Samples of one feature and a constant: residual·x is what a sample's gradient is.
    fn of(targets: &[f64]) -> Quadratic {
        Quadratic::from_rows(targets.iter().map(|_| vec![1.0]).collect(), targets.to_vec())
    }

    #[test]
    fn p_is_the_probability_of_the_true_sign_and_noise_is_described() {
        // At w = 0 a sample's gradient is −2y: of single samples 0.75 have the mean's sign.
        let found = look(&of(&[1.0, 1.0, 1.0, -1.0]), &[0.0], 1, Seed(1));
        assert!((found.least - 0.75).abs() < 0.04 && found.least == found.mean, "{}", found.least);
        // Noise −1 (three in four) and 3, over √3: skewness 6/√27.
        assert!((found.skewness - 6.0 / 27f64.sqrt()).abs() < 0.15, "{}", found.skewness);
        assert!((found.quantiles[0] + 1.0 / 3f64.sqrt()).abs() < 0.05, "{:?}", found.quantiles);
        assert!((found.quantiles[4] - 3f64.sqrt()).abs() < 0.1, "{:?}", found.quantiles);
        // Larger batches are surer and closer to the normal distribution.
        let many = look(&of(&[1.0, 1.0, 1.0, -1.0]), &[0.0], 64, Seed(1));
        assert!(many.least > 0.99 && many.skewness.abs() < 0.4, "{}", many.skewness);
        let normal = many.quantiles.iter().zip(NORMAL).all(|(x, y)| (x - y).abs() < 0.25);
        assert!(normal, "{:?}", many.quantiles);
    }
}
