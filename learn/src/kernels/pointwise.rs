//! Loops over single floats.

use super::per_isa;

per_isa! {
    /// max(x, 0) of each; a NaN stays a NaN.
    pub(crate) fn rectify(values: &mut [f32]) {
        for x in values {
            *x = if *x < 0.0 { 0.0 } else { *x };
        }
    }
}

per_isa! {
    /// 0 into each d whose y is not positive.
    pub(crate) fn mask(y: &[f32], d: &mut [f32]) {
        for (d, &y) in d.iter_mut().zip(y) {
            *d = if y > 0.0 { *d } else { 0.0 };
        }
    }
}

per_isa! {
    /// x·y into x, float by float.
    pub(crate) fn scale_by(x: &mut [f32], y: &[f32]) {
        for (x, &y) in x.iter_mut().zip(y) {
            *x *= y;
        }
    }
}

per_isa! {
    /// 0 where `draws` lies below `p`, else `scale`, into `draws`, and times that into x.
    pub(crate) fn thin(x: &mut [f32], draws: &mut [f32], p: f32, scale: f32) {
        for (x, draw) in x.iter_mut().zip(draws) {
            *draw = if *draw < p { 0.0 } else { scale };
            *x *= *draw;
        }
    }
}

per_isa! {
    /// a + b, float by float, into `out`.
    pub(crate) fn sum(a: &[f32], b: &[f32], out: &mut [f32]) {
        for ((out, &a), &b) in out.iter_mut().zip(a).zip(b) {
            *out = a + b;
        }
    }
}

per_isa! {
    /// max(a + b, 0), float by float, into `out`; a NaN stays a NaN.
    pub(crate) fn rectified_sum(a: &[f32], b: &[f32], out: &mut [f32]) {
        for ((out, &a), &b) in out.iter_mut().zip(a).zip(b) {
            let sum = a + b;
            *out = if sum < 0.0 { 0.0 } else { sum };
        }
    }
}

per_isa! {
    /// Each d whose y is positive, else 0, into both `one` and `two`.
    pub(crate) fn fork(y: &[f32], d: &[f32], one: &mut [f32], two: &mut [f32]) {
        for (((one, two), &d), &y) in one.iter_mut().zip(two).zip(d).zip(y) {
            let d = if y > 0.0 { d } else { 0.0 };
            (*one, *two) = (d, d);
        }
    }
}

per_isa! {
    /// x added to `out`, float by float.
    pub(crate) fn add_to(x: &[f32], out: &mut [f32]) {
        for (out, &x) in out.iter_mut().zip(x) {
            *out += x;
        }
    }
}

/// x into `out`: added to it or over it.
pub(crate) fn put(x: &[f32], out: &mut [f32], add: bool) {
    if add { add_to(x, out) } else { out.copy_from_slice(x) }
}
