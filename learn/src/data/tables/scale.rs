//! From double to single precision: columns are standardised before they are rounded, and what
//! does not survive the rounding is refused.

use super::Parsed;
use crate::data::DataError;

/// The most that rounding to single precision may move a number, as a share of its column's range.
const LOSS: f64 = 0.01;

/// How a column is scaled: x becomes ((x / unit − middle) − mean) / deviation. The unit is a power
/// of two near the largest entry, so that no square overflows or vanishes; the middle is taken off
/// first, so that a common shift costs no digits.
struct Scale {
    unit: f64,
    middle: f64,
    mean: f64,
    deviation: f64,
}

impl Scale {
    /// The mean and population deviation of a column, summed from the least entry to the greatest:
    /// the order of the rows does not matter. A constant column is only shifted.
    fn measure(mut column: Vec<f64>) -> Scale {
        column.sort_unstable_by(f64::total_cmp);
        let (least, most) = (column[0], column[column.len() - 1]);
        let unit = power(least.abs().max(most.abs()));
        let middle = column[column.len() / 2] / unit;
        let n = column.len() as f64;
        let mean = column.iter().map(|v| v / unit - middle).sum::<f64>() / n;
        let square = |v: &f64| (v / unit - middle - mean).powi(2);
        let deviation = (column.iter().map(square).sum::<f64>() / n).sqrt();
        let constant = least == most;
        let mean = if constant { 0.0 } else { mean };
        // A constant column keeps its own unit, as it does not have another.
        let deviation = if constant { 1.0 / unit } else { deviation };
        Scale { unit, middle, mean, deviation }
    }

    fn apply(&self, x: f64) -> f64 {
        ((x / self.unit - self.middle) - self.mean) / self.deviation
    }
}

/// The power of two at or below a number of at least 0; at least the smallest normal one.
fn power(x: f64) -> f64 {
    f64::from_bits(x.to_bits() & 0x7ff0_0000_0000_0000).max(f64::MIN_POSITIVE)
}

/// The least range of a column, in steps of double precision at its largest entry.
const STEPS: f64 = 4096.0;

/// What reading as doubles did to a column, if it did too much: entries so large that their
/// differences are lost, or mostly lost.
fn blurred(column: &[f64]) -> Option<String> {
    let (least, most) = column.iter().fold((f64::MAX, f64::MIN), |(a, b), &v| (a.min(v), b.max(v)));
    let size = least.abs().max(most.abs());
    let step = power(size) * f64::EPSILON;
    let flat = least == most && step > 1.0;
    let coarse = least < most && (most - least) / step < STEPS;
    (flat || coarse).then(|| {
        format!(
            "entries near {size:e} span {:e}, where doubles lie {step:e} apart; subtract a \
             constant from the column",
            most - least
        )
    })
}

/// Scales the columns of both by the training mean and population deviation; constant columns are
/// only shifted.
///
/// # Errors
/// Names a column whose differences double precision does not hold.
pub(super) fn standardise(train: &mut Parsed, test: &mut Parsed) -> Result<(), DataError> {
    let features = train.features;
    for k in 0..features {
        let column: Vec<f64> = train.inputs.iter().skip(k).step_by(features).copied().collect();
        if let Some(text) = blurred(&column) {
            return Err(DataError::new(format!("{}{}: {text}", train.file(), train.column(k))));
        }
        let scale = Scale::measure(column);
        for inputs in [&mut train.inputs, &mut test.inputs] {
            for value in inputs.iter_mut().skip(k).step_by(features) {
                *value = scale.apply(*value);
            }
        }
    }
    Ok(())
}

/// The inputs in single precision.
///
/// # Errors
/// Names the file, row and column of a number that single precision cannot hold.
pub(super) fn singles(parsed: &Parsed, scaled: bool) -> Result<Vec<f32>, DataError> {
    let bad = parsed.inputs.iter().position(|&v| !(v as f32).is_finite());
    if let Some(i) = bad {
        let (sample, k) = (i / parsed.features, i % parsed.features);
        let place = format!("{}, {}", parsed.place(sample), parsed.column(k));
        let expected = "a number of single precision, at most 3.4e38 in size";
        let unit = if scaled { " training deviations from the training mean" } else { "" };
        let found = format!("{:e}{unit}", parsed.inputs[i]);
        return Err(DataError::expected(&place, expected, found));
    }
    Ok(parsed.inputs.iter().map(|&v| v as f32).collect())
}

/// Refuses a column whose differences single precision does not hold, such as small differences on
/// top of a large shift: its rounded form is another column.
///
/// # Errors
/// Names the column.
pub(super) fn survives(train: &Parsed) -> Result<(), DataError> {
    for k in 0..train.features {
        let column = || train.inputs.iter().skip(k).step_by(train.features).copied();
        if let Some(text) = lost(column()) {
            let what = format!("{}{}", train.file(), train.column(k));
            let cure = "standardise=true keeps them";
            return Err(DataError::new(format!("{what}: {text}; {cure}")));
        }
    }
    Ok(())
}

/// The same for targets.
///
/// # Errors
/// Says that they are the targets.
pub(super) fn targets_survive(train: &Parsed) -> Result<(), DataError> {
    match lost(train.targets.iter().copied()) {
        None => Ok(()),
        Some(text) => {
            let cure = "subtract a constant from the targets, or scale them";
            Err(DataError::new(format!("{}targets: {text}; {cure}", train.file())))
        }
    }
}

/// What rounding does to a column, if it does too much.
fn lost(column: impl Iterator<Item = f64> + Clone) -> Option<String> {
    let loss = column.clone().map(|v| (v - f64::from(v as f32)).abs());
    let loss = loss.filter(|l| l.is_finite()).fold(0.0, f64::max);
    if loss == 0.0 {
        return None;
    }
    let least = column.clone().fold(f64::INFINITY, f64::min);
    let most = column.fold(f64::NEG_INFINITY, f64::max);
    let gone = least < most && loss > LOSS * (most - least);
    gone.then(|| {
        format!(
            "numbers from {least:e} to {most:e} differ by less than single precision holds \
             (rounding moves them by up to {loss:e})"
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scaled(column: &[f64]) -> Vec<f64> {
        let scale = Scale::measure(column.to_vec());
        column.iter().map(|&v| scale.apply(v)).collect()
    }

    #[test]
    fn any_scale_and_shift_gives_the_same_column_and_any_order_the_same_bits() {
        let plain: Vec<f64> = (0..40).map(|i| f64::from(i * i % 17) - 3.0).collect();
        let wanted = scaled(&plain);
        let square: f64 = wanted.iter().map(|v| v * v).sum();
        assert!((square / 40.0 - 1.0).abs() < 1e-12);
        for factor in [1e-300, 1e-21, 1e9, 1e300] {
            let other: Vec<f64> = plain.iter().map(|v| v * factor).collect();
            assert!(scaled(&other).iter().zip(&wanted).all(|(a, b)| (a - b).abs() < 1e-12));
        }
        let shifted: Vec<f64> = plain.iter().map(|v| v + 1e9).collect();
        assert!(scaled(&shifted).iter().zip(&wanted).all(|(a, b)| (a - b).abs() < 1e-6));
        let turned: Vec<f64> = plain.iter().rev().copied().collect();
        assert!(scaled(&turned).iter().rev().eq(&wanted));
    }

    #[test]
    fn a_constant_column_becomes_zero_and_keeps_its_unit_elsewhere() {
        for value in [0.0, 0.1, -7e200, 5e-324] {
            let scale = Scale::measure(vec![value; 3]);
            assert_eq!(scale.apply(value), 0.0);
        }
        let scale = Scale::measure(vec![7.0; 3]);
        assert_eq!(scale.apply(9.5), 2.5);
    }

    #[test]
    fn what_rounding_would_flatten_is_told_from_what_it_keeps() {
        let shifted = |by: f64| lost([0.25, 1.5, 3.0].into_iter().map(move |v| v + by));
        assert!(shifted(0.0).is_none() && shifted(1e4).is_none());
        assert!(shifted(1.7e9).unwrap().contains("single precision"));
        assert!(lost([1e-50, 2e-50].into_iter()).is_some());
        assert!(lost([1e-50, 1e-50].into_iter()).is_none(), "constant");
        assert!(lost([1e-50, 1.0].into_iter()).is_none(), "small beside a range");
    }
}
