//! Plain loops over one row, compiled for each instruction set. No sum crosses coordinates and no
//! multiplication is fused with an addition: bits agree everywhere.

use crate::kernels::isa::{self, Isa};

/// The exponent's last bit: adding it to a magnitude reaches the sign bit just where the exponent
/// is full.
const STEP: u32 = 0x0080_0000;

/// Coordinates looked at together.
const TILE: usize = 1024;

/// The first coordinate that is not finite. Cost O(d).
pub fn first_not_finite(row: &[f32]) -> Option<usize> {
    let isa = isa::active();
    for (t, tile) in row.chunks(TILE).enumerate() {
        if !is_finite(isa, tile) {
            let k = tile.iter().position(|x| !x.is_finite()).expect("one is not finite");
            return Some(t * TILE + k);
        }
    }
    None
}

/// Whether every coordinate is finite. Cost O(d).
pub(crate) fn is_finite(isa: Isa, row: &[f32]) -> bool {
    let mut bits = 0;
    full_exponents(isa, row, &mut bits);
    bits >> 31 == 0
}

/// v ← keep·v + fresh·x, and x becomes v. Cost O(d).
///
/// # Panics
/// If the rows differ in length.
pub fn blend_into_both(keep: f32, v: &mut [f32], fresh: f32, x: &mut [f32]) {
    assert_eq!(v.len(), x.len(), "rows of one length");
    blend(isa::active(), keep, v, fresh, x);
}

/// x ← x + factor·y. Cost O(d).
///
/// # Panics
/// If the rows differ in length.
pub fn add_scaled(x: &mut [f32], factor: f32, y: &[f32]) {
    assert_eq!(x.len(), y.len(), "rows of one length");
    add(isa::active(), x, factor, y);
}

per_isa! {
    pub(crate) fn full_exponents(@isa; tile: &[f32], bits: &mut u32) {
        full_exponents_body(tile, bits)
    }
}
per_isa! {
    pub(crate) fn blend(@isa; keep: f32, v: &mut [f32], fresh: f32, x: &mut [f32]) {
        blend_body(keep, v, fresh, x)
    }
}
per_isa! {
    pub(crate) fn add(@isa; x: &mut [f32], factor: f32, y: &[f32]) {
        add_body(x, factor, y)
    }
}

#[inline(always)]
fn full_exponents_body(tile: &[f32], bits: &mut u32) {
    let overflow = |x: &f32| (x.to_bits() & 0x7fff_ffff).wrapping_add(STEP);
    *bits = tile.iter().fold(0, |bits, x| bits | overflow(x));
}

#[inline(always)]
fn blend_body(keep: f32, v: &mut [f32], fresh: f32, x: &mut [f32]) {
    for (v, x) in v.iter_mut().zip(x) {
        *v = keep * *v + fresh * *x;
        *x = *v;
    }
}

#[inline(always)]
fn add_body(x: &mut [f32], factor: f32, y: &[f32]) {
    for (x, &y) in x.iter_mut().zip(y) {
        *x += factor * y;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_odd_value_is_found_wherever_it_stands() {
        for isa in Isa::ALL.into_iter().filter(|isa| isa.available()) {
            isa::with(isa, || {
                for len in [1, 15, 16, 1024, 1025, 3000] {
                    let mut row = vec![f32::MAX; len];
                    assert_eq!(first_not_finite(&row), None);
                    for odd in [f32::NAN, -f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
                        for k in [0, len / 2, len - 1] {
                            row[k] = odd;
                            assert_eq!(first_not_finite(&row), Some(k), "{isa} {len}");
                            row[k] = -f32::MIN_POSITIVE;
                        }
                    }
                }
            });
        }
    }

    #[test]
    fn both_rows_are_the_blend_and_bits_agree() {
        let value = |k: usize| ((k * 37 % 101) as f32 - 50.0) * 0.013;
        let run = |isa| {
            let mut v: Vec<f32> = (0..77).map(value).collect();
            let mut x: Vec<f32> = (0..77).map(|k| value(k + 5)).collect();
            isa::with(isa, || blend_into_both(0.9, &mut v, 0.1, &mut x));
            assert_eq!(v, x);
            isa::with(isa, || add_scaled(&mut x, 0.3, &v));
            assert!(v.iter().zip(&x).all(|(&v, &x)| x == v + 0.3 * v));
            v
        };
        let found = run(Isa::Portable);
        assert!(found.iter().enumerate().all(|(k, &v)| v == 0.9 * value(k) + 0.1 * value(k + 5)));
        for isa in Isa::ALL.into_iter().filter(|isa| isa.available()) {
            assert_eq!(run(isa), found, "{isa}");
        }
    }
}
