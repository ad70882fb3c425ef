//! Statistics of pairs: Wilcoxon's signed ranks, a bootstrap over seeds, mean ranks with Friedman's
//! test and Nemenyi's critical difference, and Holm's correction for looking at many.

use super::stats::mean;
use statrs::distribution::{ChiSquared, ContinuousCDF, Normal};
use varangian_base::{Domain, Seed};

/// Differences up to which the distribution of signed ranks is counted out.
const EXACT: usize = 40;
/// Samples of a bootstrap.
const SAMPLES: usize = 10_000;

/// The two-sided p of Wilcoxon's signed-rank test; NaN where all differences are zero or there are
/// none. Zeros are left out. Without ties it is exact up to 40 differences, else normal with the
/// corrections for ties and continuity.
pub fn wilcoxon(differences: &[f64]) -> f64 {
    let mut all: Vec<f64> = differences.iter().copied().filter(|x| *x != 0.0).collect();
    if all.is_empty() || all.iter().any(|x| !x.is_finite()) {
        return f64::NAN;
    }
    all.sort_by(|a, b| a.abs().total_cmp(&b.abs()));
    let sizes: Vec<f64> = all.iter().map(|x| x.abs()).collect();
    let (ranks, ties) = ranked(&sizes);
    let up: f64 = all.iter().zip(&ranks).filter(|(x, _)| **x > 0.0).map(|(_, rank)| rank).sum();
    let n = all.len();
    let total = (n * (n + 1)) as f64 / 2.0;
    let least = up.min(total - up);
    if ties == 0.0 && n <= EXACT {
        return (2.0 * below(n, least as usize)).min(1.0);
    }
    let (n, middle) = (n as f64, total / 2.0);
    let variance = n * (n + 1.0) * (2.0 * n + 1.0) / 24.0 - ties / 48.0;
    let z = (middle - least - 0.5).max(0.0) / variance.sqrt();
    2.0 * (1.0 - Normal::standard().cdf(z))
}

/// Ranks from 1 of sorted values, ties at their mean, and the sum of t³ − t over ties.
fn ranked(sorted: &[f64]) -> (Vec<f64>, f64) {
    let (mut ranks, mut ties) = (Vec::new(), 0.0);
    for part in sorted.chunk_by(|a, b| a == b) {
        let first = ranks.len() as f64 + 1.0;
        let t = part.len() as f64;
        ranks.resize(ranks.len() + part.len(), first + (t - 1.0) / 2.0);
        ties += t * t * t - t;
    }
    (ranks, ties)
}

/// The share of the 2ⁿ choices of signs whose sum of positive ranks is at most `sum`.
fn below(n: usize, sum: usize) -> f64 {
    let mut ways = vec![0.0; sum + 1];
    ways[0] = 1.0;
    for rank in 1..=n {
        for k in (rank..=sum).rev() {
            ways[k] += ways[k - rank];
        }
    }
    ways.iter().sum::<f64>() / 2f64.powi(n as i32)
}

/// The 95 % percentile interval of the mean over resampled units; NaN for fewer than two.
pub fn bootstrap(units: &[f64]) -> (f64, f64) {
    if units.len() < 2 {
        return (f64::NAN, f64::NAN);
    }
    let mut stream = Seed(1).stream(Domain::Test, 0, units.len() as u64);
    let mut means: Vec<f64> = (0..SAMPLES)
        .map(|_| {
            let sum: f64 = (0..units.len()).map(|_| units[stream.below(units.len())]).sum();
            sum / units.len() as f64
        })
        .collect();
    means.sort_by(f64::total_cmp);
    (super::quantile(&means, 0.025), super::quantile(&means, 0.975))
}

/// Holm's adjustment of p-values; NaN stays and counts as no test.
pub fn holm(values: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..values.len()).filter(|k| !values[*k].is_nan()).collect();
    order.sort_by(|a, b| values[*a].total_cmp(&values[*b]));
    let (mut out, mut least) = (values.to_vec(), 0.0f64);
    for (done, &k) in order.iter().enumerate() {
        least = least.max((order.len() - done) as f64 * values[k]).min(1.0);
        out[k] = least;
    }
    out
}

/// Mean ranks of contenders over settings.
#[derive(Clone, Debug, PartialEq)]
pub struct Ranks {
    /// A mean rank a contender; 1 is best.
    pub means: Vec<f64>,
    /// Settings in which all contenders have a value.
    pub settings: usize,
    /// p of Friedman's test that all are alike; NaN where it says nothing.
    pub friedman: f64,
    /// Nemenyi's critical difference at 5 %: mean ranks that differ by less are not told apart.
    /// NaN for more contenders than its table has.
    pub critical: f64,
}

/// q at 5 % of the studentised range over √2, from two contenders on.
const NEMENYI: [f64; 19] = [
    1.960, 2.343, 2.569, 2.728, 2.850, 2.949, 3.031, 3.102, 3.164, 3.219, 3.268, 3.313, 3.354,
    3.391, 3.426, 3.458, 3.489, 3.517, 3.544,
];

/// Ranks of contenders by their values in each setting, a list a setting, larger being better. What
/// is not finite is worst.
pub fn ranks(settings: &[Vec<f64>]) -> Option<Ranks> {
    let k = settings.first()?.len();
    if k < 2 || settings.iter().any(|values| values.len() != k) {
        return None;
    }
    let (mut sums, mut ties) = (vec![0.0; k], 0.0);
    for values in settings {
        let value = |j: usize| if values[j].is_finite() { -values[j] } else { f64::INFINITY };
        let mut order: Vec<usize> = (0..k).collect();
        order.sort_by(|a, b| value(*a).total_cmp(&value(*b)));
        let sorted: Vec<f64> = order.iter().map(|j| value(*j)).collect();
        let (own, tied) = ranked(&sorted);
        order.iter().zip(own).for_each(|(&j, rank)| sums[j] += rank);
        ties += tied;
    }
    let (n, count) = (settings.len() as f64, k as f64);
    let means: Vec<f64> = sums.iter().map(|sum| sum / n).collect();
    let squares: f64 = means.iter().map(|rank| rank * rank).sum();
    let chi = 12.0 * n / (count * (count + 1.0)) * (squares - count * (count + 1.0).powi(2) / 4.0);
    let kept = 1.0 - ties / (n * count * (count * count - 1.0));
    let friedman = match (ChiSquared::new(count - 1.0), kept > 0.0 && settings.len() > 1) {
        (Ok(law), true) => 1.0 - law.cdf(chi / kept),
        _ => f64::NAN,
    };
    let q = NEMENYI.get(k - 2).copied().unwrap_or(f64::NAN);
    let critical = q * (count * (count + 1.0) / (6.0 * n)).sqrt();
    Some(Ranks { means, settings: settings.len(), friedman, critical })
}

/// The mean of each unit's values, for who averages within before he counts units.
pub fn within(units: impl IntoIterator<Item = Vec<f64>>) -> Vec<f64> {
    units.into_iter().map(|values| mean(&values)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signed_ranks_agree_with_published_values() {
        // The height differences of cross- and self-fertilised corn in Darwin's book, as Wilcoxon
        // and many after him judged them: T = 24 of 15, p = 0.04126.
        let corn = [6., 8., 14., 16., 23., 24., 28., 29., 41., -48., 49., 56., 60., -67., 75.];
        assert!((wilcoxon(&corn) - 0.041_259_765_625).abs() < 1e-12);
        assert_eq!(wilcoxon(&[1.0, 2.0, 3.0, 4.0, 5.0]), 0.0625);
        assert_eq!(wilcoxon(&[1.0, -2.0]), 1.0);
        assert!(wilcoxon(&[0.0, 0.0]).is_nan() && wilcoxon(&[]).is_nan());
        // With ties: three of rank 2, one of 4 on the other side; by hand z = (5 − 4 − 0.5)/√7.
        let z = 0.5 / (4.0f64 * 5.0 * 9.0 / 24.0 - 24.0 / 48.0).sqrt();
        let wanted = 2.0 * (1.0 - Normal::standard().cdf(z));
        assert!((wilcoxon(&[1.0, 1.0, 1.0, -2.0]) - wanted).abs() < 1e-12);
    }

    #[test]
    fn mean_ranks_friedman_and_the_critical_difference_agree_with_formulas() {
        // Always the same order: χ² = 12·4/(3·4)·(1 + 4 + 9 − 12) = 8, whose p at two degrees of
        // freedom is e⁻⁴.
        let found = ranks(&vec![vec![0.9, 0.5, 0.1]; 4]).unwrap();
        assert_eq!((found.means.as_slice(), found.settings), (&[1.0, 2.0, 3.0][..], 4));
        assert!((found.friedman - (-4f64).exp()).abs() < 1e-12, "{}", found.friedman);
        // One tie: 1.5, 1.5, 3 and 1, 2, 3. χ² is divided by 1 − 6/(2·3·8) = 0.875.
        let tied = ranks(&[vec![0.9, 0.9, 0.1], vec![0.9, 0.5, 0.1]]).unwrap();
        assert_eq!(tied.means, [1.25, 1.75, 3.0]);
        let chi = 2.0 * (1.25f64.powi(2) + 1.75f64.powi(2) + 9.0 - 12.0) / 0.875;
        assert!((tied.friedman - (-chi / 2.0).exp()).abs() < 1e-12, "{}", tied.friedman);
        // Four contenders on fourteen data sets: 1.25 in Demšar (2006), section 3.2.2.
        let many = ranks(&vec![vec![0.4, 0.3, 0.2, 0.1]; 14]).unwrap();
        assert!((many.critical - 1.25).abs() < 0.005, "{}", many.critical);
    }

    #[test]
    fn what_is_not_finite_is_last_and_alone_there_is_no_rank() {
        let found = ranks(&[vec![0.1, f64::NAN, 0.9], vec![0.1, 0.2, 0.9]]).unwrap();
        assert_eq!(found.means, [2.5, 2.5, 1.0]);
        assert!(ranks(&[vec![0.5]]).is_none() && ranks(&[]).is_none());
        assert!(ranks(&[vec![0.0; 30]]).unwrap().critical.is_nan());
    }

    #[test]
    fn holm_adjusts_in_order_and_never_below_the_one_before() {
        let adjusted = holm(&[0.01, 0.04, f64::NAN, 0.03]);
        assert_eq!((adjusted[0], adjusted[3], adjusted[1]), (0.03, 0.06, 0.06));
        assert!(adjusted[2].is_nan());
        assert_eq!(holm(&[0.9, 0.8]), [1.0, 1.0]);
    }

    #[test]
    fn the_bootstrap_holds_the_mean_and_repeats_itself() {
        let units: Vec<f64> = (0..20).map(f64::from).collect();
        let (low, high) = bootstrap(&units);
        // The normal interval is 9.5 ± 1.96·5.77/√20 = 9.5 ± 2.53.
        assert!((low - 6.97).abs() < 0.2 && (high - 12.03).abs() < 0.2, "{low} {high}");
        assert_eq!(bootstrap(&units), (low, high));
        assert!(bootstrap(&[1.0]).0.is_nan());
    }
}
