//! Few-sample statistics: means with Student intervals, medians, quantiles.

use statrs::distribution::{ContinuousCDF, StudentsT};

/// A mean and the half-width of its 95 % interval.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Interval {
    /// The mean.
    pub mean: f64,
    /// Half the width of the interval; NaN for fewer than two values, of which nothing follows.
    pub half: f64,
}

/// The mean; NaN of nothing.
pub fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

/// The mean with Student's 95 % interval: t(k − 1)·s/√k, which for 3 values is 2.2 times as wide
/// as the normal interval that is often drawn instead.
pub fn student(values: &[f64]) -> Interval {
    let (k, mean) = (values.len(), mean(values));
    if k < 2 {
        return Interval { mean, half: f64::NAN };
    }
    let freedom = (k - 1) as f64;
    let variance = values.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / freedom;
    let t = StudentsT::new(0.0, 1.0, freedom).expect("positive freedom").inverse_cdf(0.975);
    Interval { mean, half: t * (variance / k as f64).sqrt() }
}

/// The median; the mean of the two middle values of an even number.
pub fn median(values: &[f64]) -> f64 {
    quantile(values, 0.5)
}

/// The q-quantile with linear interpolation between order statistics (type 7, as numpy and R).
pub fn quantile(values: &[f64], q: f64) -> f64 {
    if values.is_empty() {
        return f64::NAN;
    }
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let place = q * (sorted.len() - 1) as f64;
    let (low, part) = (place.floor() as usize, place.fract());
    let high = (low + 1).min(sorted.len() - 1);
    // Equal neighbours need no arithmetic, which infinite ones would not survive.
    match part > 0.0 && sorted[low] < sorted[high] {
        true => sorted[low] + part * (sorted[high] - sorted[low]),
        false => sorted[low],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_seeds_get_the_wide_interval() {
        let interval = student(&[1.0, 2.0, 3.0]);
        // t(2) at 97.5 % is 4.302653; s = 1.
        assert!((interval.half - 4.302_653 / 3f64.sqrt()).abs() < 1e-5, "{interval:?}");
        assert_eq!(interval.mean, 2.0);
        assert!(student(&[1.0]).half.is_nan());
    }

    #[test]
    fn quantiles_interpolate() {
        assert_eq!(median(&[4.0, 1.0, 3.0, 2.0]), 2.5);
        assert_eq!(quantile(&[0.0, 10.0], 0.25), 2.5);
        assert_eq!(quantile(&[5.0], 0.9), 5.0);
        assert!(median(&[]).is_nan());
    }
}
