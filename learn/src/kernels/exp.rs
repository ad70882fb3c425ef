//! The exponential of many floats at once, without branches, so that it vectorises.

use super::per_isa;

/// ln 2 in two parts: the first has few bits, so that k·ln 2 is exact in it.
const LN_2_HIGH: f32 = 0.693_359_4;
const LN_2_LOW: f32 = -2.121_944_4e-4;
/// 1.5 · 2²³: adding it rounds to a whole number in the low bits.
const ROUND: f32 = 12_582_912.0;

/// eˣ for x ≤ 0, within 2 units in the last place; 0 below −87.3. NaN stays NaN.
#[inline(always)]
fn exp(x: f32) -> f32 {
    let shifted = x * std::f32::consts::LOG2_E + ROUND;
    let whole = shifted - ROUND;
    let rest = x - whole * LN_2_HIGH - whole * LN_2_LOW;
    // Degree-6 Taylor polynomial with the leading coefficients fitted on ±ln 2 / 2 (Cephes).
    let mut p = 1.987_569_1e-4;
    p = p * rest + 1.398_199_9e-3;
    p = p * rest + 8.333_452e-3;
    p = p * rest + 4.166_579_6e-2;
    p = p * rest + 1.666_666_5e-1;
    p = p * rest + 0.5;
    p = p * (rest * rest) + rest + 1.0;
    // The low bits of `shifted` hold the whole number; placed in the exponent they are 2^whole.
    let scale = f32::from_bits((shifted.to_bits() << 23).wrapping_add(127 << 23));
    if x < -87.3 { 0.0 } else { p * scale }
}

per_isa! {
    /// Replaces each x ≤ 0 by eˣ.
    pub(crate) fn exp_all(values: &mut [f32]) {
        for value in values {
            *value = exp(*value);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_close_to_the_exponential() {
        let xs: Vec<f32> = (0..200_000).map(|i| -(i as f32) / 2_000.0).collect();
        let mut ys = xs.clone();
        exp_all(&mut ys);
        for (&x, &y) in xs.iter().zip(&ys) {
            let want = f64::from(x).exp();
            if x < -87.3 {
                assert!(y == 0.0);
            } else {
                assert!((f64::from(y) / want - 1.0).abs() < 2.4e-7, "{x}: {y} {want}");
            }
        }
        let mut odd = [0.0, f32::NAN, f32::NEG_INFINITY];
        exp_all(&mut odd);
        assert!(odd[0] == 1.0 && odd[1].is_nan() && odd[2] == 0.0);
    }
}
