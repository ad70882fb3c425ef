//! Weights of rows, declared by the caller beside f: a server's own records of how much a worker
//! counts, such as its number of samples, never a claim of the worker.
//!
//! With weights, what f workers may do is measured in weight: F is the sum of the f largest, W the
//! sum of all, and a rule needs F < W/2 as it needs f < n/2 without (Dahan & Levy 2025, Weight for
//! Robustness, arXiv 2501.09621). Equal weights give the answer that no weights give, and a whole
//! weight that of as many copies of the row.
//!
//! A site that counts a thousand times more than the others is a site that no rule can outvote,
//! hence [`bounded`].

use crate::median::Middle;
use varangian_base::SpecError;

/// Brings counts to between `floor` and `cap` times their median: the weights of a server that
/// lets no worker count for more than `cap` usual ones, and none for less than `floor`.
///
/// # Errors
/// If a count is negative or not finite, all are 0, or not 0 ≤ floor ≤ 1 ≤ cap.
pub fn bounded(counts: &[f64], floor: f64, cap: f64) -> Result<Vec<f64>, SpecError> {
    if !(0.0..=1.0).contains(&floor) || cap.is_nan() || cap < 1.0 {
        return Err(SpecError::new(format!(
            "weights need 0 ≤ floor ≤ 1 ≤ cap; got floor = {floor}, cap = {cap}"
        )));
    }
    if let Some((i, count)) =
        counts.iter().enumerate().find(|(_, c)| !(c.is_finite() && **c >= 0.0))
    {
        return Err(SpecError::new(format!(
            "weights are finite and at least 0; row {i} has {count}"
        )));
    }
    let mut sorted = counts.to_vec();
    sorted.sort_unstable_by(f64::total_cmp);
    let at = |i: usize| sorted.get(i).copied().unwrap_or(0.0);
    let n = sorted.len();
    let median = (at(n.saturating_sub(1) / 2) + at(n / 2)) / 2.0;
    if median == 0.0 {
        return Err(SpecError::new("half of all weights are 0; they have no usual size"));
    }
    Ok(counts.iter().map(|count| count.clamp(floor * median, cap * median)).collect())
}

/// F and W: the sum of the f largest weights, and of all.
pub(crate) fn shares(weights: &[f64], f: usize) -> (f64, f64) {
    let mut sorted = weights.to_vec();
    sorted.sort_unstable_by(|a, b| b.total_cmp(a));
    let sum = |part: &[f64]| part.iter().sum::<f64>();
    (sum(&sorted[..f.min(sorted.len())]), sum(&sorted))
}

/// Whether these are weights of n rows of which f may not hold half of the weight.
///
/// # Errors
/// Names what was required and what was found.
pub(crate) fn check(weights: &[f64], n: usize, f: usize) -> Result<(), SpecError> {
    if weights.len() != n {
        return Err(SpecError::new(format!(
            "one weight a row; got {} for {n} rows",
            weights.len()
        )));
    }
    if let Some((i, w)) = weights.iter().enumerate().find(|(_, w)| !(w.is_finite() && **w > 0.0)) {
        return Err(SpecError::new(format!("weights are finite and above 0; row {i} has {w}")));
    }
    let (most, all) = shares(weights, f);
    if !all.is_finite() {
        return Err(SpecError::new("weights have a finite sum; found one that overflows"));
    }
    if f > 0 && 2.0 * most >= all {
        return Err(SpecError::new(format!(
            "f rows may hold less than half of the weight; the {f} heaviest of {n} hold {:.1} %",
            100.0 * most / all
        )));
    }
    Ok(())
}

/// The mean of the values of a sorted column without the weight `cut` at either end; a value that
/// the cut goes through keeps the rest of its weight.
pub(crate) fn trimmed<T: Copy + Into<f64>>(column: &[(T, f64)], cut: f64) -> f64 {
    let all: f64 = column.iter().map(|(_, w)| w).sum();
    let (mut before, mut sum, mut kept) = (0.0, 0.0, 0.0);
    for &(x, w) in column {
        let inside = (before + w).min(all - cut) - f64::max(before, cut);
        before += w;
        // Sums of weights are rounded: a sliver is no part of a row that the cut takes away.
        if inside > all * 1e-12 {
            sum += inside * x.into();
            kept += inside;
        }
    }
    sum / kept
}

/// The value of a sorted column at which half of the weight lies on either side; where a gap
/// between two values does that, their mean, the lower or the upper.
pub(crate) fn median<T: Copy + Into<f64>>(column: &[(T, f64)], middle: Middle) -> f64 {
    let half = column.iter().map(|(_, w)| w).sum::<f64>() / 2.0;
    // Sums of weights are rounded: what is as close to half as that is half.
    let slack = half * 1e-12;
    let mut before = 0.0;
    for (i, &(x, w)) in column.iter().enumerate() {
        before += w;
        if before > half + slack {
            return x.into();
        }
        if before >= half - slack {
            let next = column.get(i + 1).map_or(x, |next| next.0);
            return match middle {
                Middle::Mean => x.into() / 2.0 + next.into() / 2.0,
                Middle::Lower => x.into(),
                Middle::Upper => next.into(),
            };
        }
    }
    column.last().map_or(0.0, |last| last.0.into())
}

/// The least of these keys up to and with which at least the share `part` of the weight lies.
pub(crate) fn quantile(keys: &mut [(f64, f64)], part: f64) -> f64 {
    keys.sort_by(|a, b| a.0.total_cmp(&b.0));
    let all: f64 = keys.iter().map(|(_, w)| w).sum();
    let mut before = 0.0;
    for &(key, w) in keys.iter() {
        before += w;
        if before >= part * all * (1.0 - 1e-12) {
            return key;
        }
    }
    keys.last().map_or(0.0, |last| last.0)
}

/// The weights that keep, in this order, the weight `most`: the last row that finds room keeps a
/// part of its own, so that they sum to 1.
pub(crate) fn nearest(order: &[usize], weights: &[f64], most: f64, out: &mut Vec<f64>) {
    out.clear();
    out.resize(weights.len(), 0.0);
    let mut left = most;
    for &i in order {
        let given = weights[i].min(left);
        out[i] = given / most;
        left -= given;
        if left <= most * 1e-12 {
            break;
        }
    }
}

#[cfg(test)]
mod tests;
