//! Stochastic quantisation to a few levels (Alistarh, Grubic, Li, Tomioka & Vojnovic 2017, QSGD,
//! arXiv 1610.02132, §3.1).
//!
//! With s levels, the unit q = ‖v‖/s: each coordinate becomes ±q·l, l the whole number below or
//! above |vᵢ|/q, the upper one with a chance of |vᵢ|/q − ⌊|vᵢ|/q⌋, so that the mean is vᵢ.
//!
//! *Differs:* q is rounded up to 16 binary digits, so that ±q·l is a float without rounding and
//! the levels can be read off the row again; any q from ‖v‖/s on leaves the mean at v.

use varangian_base::Stream;

/// The most levels: their products with q have no more than 24 digits.
pub(crate) const MOST_LEVELS: usize = 255;
/// Larger coordinates are brought here first, so that no product overflows.
const LARGEST: f32 = 1.2676506e30;

/// Replaces a finite row by its quantisation; `largest`: ‖v‖ is the largest absolute value and not
/// the length. Cost O(d), and a draw a coordinate.
pub(super) fn quantise(row: &mut [f32], levels: u32, largest: bool, stream: &mut Stream) {
    row.iter_mut().for_each(|x| *x = x.clamp(-LARGEST, LARGEST));
    let norm = match largest {
        true => row.iter().fold(0.0f64, |most, &x| most.max(f64::from(x.abs()))),
        false => row.iter().map(|&x| f64::from(x) * f64::from(x)).sum::<f64>().sqrt(),
    };
    let unit = unit(norm / f64::from(levels));
    let mut coins = vec![0.0; row.len()];
    stream.fill_uniform(&mut coins);
    for (x, coin) in row.iter_mut().zip(coins) {
        let ratio = f64::from(x.abs()) / f64::from(unit);
        let below = ratio.floor();
        let up = f64::from(u8::from(f64::from(coin) < ratio - below));
        let level = (below + up).min(f64::from(levels)) as f32;
        *x = if level > 0.0 { (unit * level).copysign(*x) } else { 0.0 };
    }
}

/// `least`, rounded up to 16 binary digits, in a range where products with levels are exact.
fn unit(least: f64) -> f32 {
    const DROPPED: u64 = (1 << 37) - 1;
    let least = least.clamp(1e-33, 1e36);
    let bits = least.to_bits();
    f64::from_bits((bits + DROPPED) & !DROPPED) as f32
}

#[cfg(test)]
mod tests {
    use super::*;
    use varangian_base::{Domain, Seed};

    #[test]
    fn the_mean_of_many_is_the_row_and_products_are_exact() {
        let row: Vec<f32> = (0..9).map(|k| (k as f32 - 4.0) * 0.37).collect();
        for (levels, largest) in [(1, false), (4, false), (7, true), (255, true)] {
            let mut sum = [0.0f64; 9];
            for draw in 0..4000 {
                let mut out = row.clone();
                let mut stream = Seed(1).stream(Domain::Test, 0, draw);
                quantise(&mut out, levels, largest, &mut stream);
                sum.iter_mut().zip(&out).for_each(|(s, &x)| *s += f64::from(x) / 4000.0);
                let least = out.iter().filter(|x| **x != 0.0).fold(f32::MAX, |a, x| a.min(x.abs()));
                let whole = |x: &f32| (f64::from(*x) / f64::from(least) * 255.0).fract() < 1e-9;
                assert!(levels > 1 || out.iter().all(whole), "{out:?}");
            }
            let size = if largest { 1.5 } else { 2.9 };
            let bound = 5.0 * size / f64::from(levels) / 2.0 / 4000f64.sqrt();
            let worst = sum.iter().zip(&row).map(|(s, &x)| (s - f64::from(x)).abs());
            let worst = worst.fold(0.0, f64::max);
            assert!(worst < bound, "{levels} {largest}: {worst} {bound}");
        }
    }

    #[test]
    fn zeros_stay_and_the_largest_floats_are_finite() {
        let mut stream = Seed(1).stream(Domain::Test, 0, 0);
        let mut row = [0.0, -0.0, 0.0];
        quantise(&mut row, 4, false, &mut stream);
        assert_eq!(row.map(f32::to_bits), [0; 3]);
        for size in [f32::MAX, 1e-45] {
            let mut row = [size; 5];
            quantise(&mut row, 255, true, &mut stream);
            assert!(row.iter().all(|x| x.is_finite()), "{row:?}");
        }
        assert_eq!(f64::from(unit(1.0)), 1.0);
        assert!(f64::from(unit(0.1)) >= 0.1 && f64::from(unit(0.1)) < 0.1001);
    }
}
