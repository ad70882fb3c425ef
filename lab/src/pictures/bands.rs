//! Curves over seeds: their mean, and the band around it.

use crate::plot::Spread;
use crate::results::{Interval, Outcome, student};
use std::collections::BTreeSet;

/// The band over seeds, with an end that is marked where it is not the end of the run.
pub(super) fn whole(curves: &[Vec<(u64, f64)>], end: u64) -> Vec<Spread> {
    let mut points = band(curves);
    let stride = curves.iter().flat_map(|curve| curve.windows(2)).map(|pair| pair[1].0 - pair[0].0);
    let stride = stride.max().unwrap_or(1);
    if let Some(last) = points.last().filter(|last| (last.step as u64) < end) {
        let (step, nan) = ((last.step as u64 + stride).min(end) as f64, f64::NAN);
        points.push(Spread { step, low: nan, mean: nan, high: nan });
    }
    points
}

/// With fewer seeds than this, Student's interval is wider than any picture: the range is drawn.
const FEW: usize = 5;

/// What the bands of a picture are.
pub(super) fn band_note(group: &[&Outcome]) -> String {
    let seeds: BTreeSet<u64> = group.iter().map(|outcome| outcome.settings.seed).collect();
    match seeds.len() {
        0 | 1 => String::new(),
        few if few < FEW => format!("Bands: range of {few} seeds"),
        many => format!("Bands: 95 % Student interval of {many} seeds"),
    }
}

/// (step, low, mean, high) over seeds at each step that all of them have.
pub fn band(curves: &[Vec<(u64, f64)>]) -> Vec<Spread> {
    let shortest = curves.iter().map(Vec::len).min().unwrap_or(0);
    let point = |k: usize| {
        let values: Vec<f64> = curves.iter().map(|curve| curve[k].1).collect();
        let Interval { mean, half } = student(&values);
        let (low, high) = match values.len() {
            0 | 1 => (f64::NAN, f64::NAN),
            few if few < FEW => (
                values.iter().copied().fold(f64::INFINITY, f64::min),
                values.iter().copied().fold(f64::NEG_INFINITY, f64::max),
            ),
            _ => (mean - half, mean + half),
        };
        Spread { step: curves[0][k].0 as f64, low, mean, high }
    };
    (0..shortest).map(point).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_curve_that_ends_early_is_marked_after_its_last_value() {
        let curve = |steps: u64| (0..steps).map(|k| (10 * k, 0.5)).collect::<Vec<_>>();
        let points = whole(&[curve(3), curve(5)], 40);
        assert_eq!((points.len(), points[3].step), (4, 30.0));
        assert!(points[3].mean.is_nan() && points[2].mean == 0.5);
        assert_eq!(whole(&[curve(5)], 40).len(), 5);
    }
}
