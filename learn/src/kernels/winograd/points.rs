//! The transforms in one dimension, lane by lane: of F(4, 3) with tiles of 6 (points 0, ±1, ±2 and
//! ∞) and of F(4, 5) with tiles of 8 (±½ besides). `P` is the side of a tile, `R` that of the
//! kernel, P = R + 3.
//!
//! Each comes in an even and an odd part, which the two points ±p share.

use super::super::Lanes;

/// x + f·y.
#[inline(always)]
unsafe fn plus<V: Lanes>(x: V, f: f32, y: V) -> V {
    // SAFETY: the caller has the instructions.
    unsafe { V::splat(f).mul_add(y, x) }
}

/// f·x.
#[inline(always)]
unsafe fn times<V: Lanes>(f: f32, x: V) -> V {
    // SAFETY: the caller has the instructions.
    unsafe { V::splat(f).mul(x) }
}

/// Bᵀ times a column of inputs.
#[inline(always)]
pub(super) unsafe fn b_column<V: Lanes, const P: usize>(d: [V; P]) -> [V; P] {
    let mut out = d;
    // SAFETY: the caller has the instructions.
    unsafe {
        let mut pair = |at: usize, even: V, odd: V| {
            out[at] = even.add(odd);
            out[at + 1] = even.sub(odd);
        };
        if P == 6 {
            pair(1, plus(d[4], -4.0, d[2]), plus(d[3], -4.0, d[1]));
            pair(3, d[4].sub(d[2]), times(2.0, d[3].sub(d[1])));
            out[0] = plus(plus(d[4], -5.0, d[2]), 4.0, d[0]);
            out[5] = plus(plus(d[5], -5.0, d[3]), 4.0, d[1]);
        } else {
            pair(1, plus(d[2].add(d[6]), -4.25, d[4]), plus(d[1].add(d[5]), -4.25, d[3]));
            let odd = plus(plus(times(2.0, d[5]), -2.5, d[3]), 0.5, d[1]);
            pair(3, plus(plus(d[6], 0.25, d[2]), -1.25, d[4]), odd);
            let odd = plus(plus(times(2.0, d[1]), -2.5, d[3]), 0.5, d[5]);
            pair(5, plus(plus(d[6], 4.0, d[2]), -5.0, d[4]), odd);
            out[0] = plus(d[0].sub(d[6]), 5.25, d[4].sub(d[2]));
            out[7] = plus(d[7].sub(d[1]), 5.25, d[3].sub(d[5]));
        }
        out
    }
}

/// Aᵀ times a column of products.
#[inline(always)]
pub(super) unsafe fn a_column<V: Lanes, const P: usize>(m: [V; P]) -> [V; 4] {
    // SAFETY: the caller has the instructions.
    unsafe {
        let (even, odd) = (m[1].add(m[2]), m[1].sub(m[2]));
        let (far_even, far_odd) = (m[3].add(m[4]), m[3].sub(m[4]));
        let mut out = [
            m[0].add(even).add(far_even),
            plus(odd, 2.0, far_odd),
            plus(even, 4.0, far_even),
            plus(odd, 8.0, far_odd),
        ];
        if P == 8 {
            let (near_even, near_odd) = (m[5].add(m[6]), m[5].sub(m[6]));
            out = [
                out[0].add(near_even),
                plus(out[1], 0.5, near_odd),
                plus(out[2], 0.25, near_even),
                plus(out[3], 0.125, near_odd),
            ];
        }
        out[3] = out[3].add(m[P - 1]);
        out
    }
}

/// A times a column of gradients by outputs.
#[inline(always)]
pub(super) unsafe fn a_adjoint<V: Lanes, const P: usize>(d: [V; 4]) -> [V; P] {
    // SAFETY: the caller has the instructions.
    unsafe {
        let mut out = [d[0]; P];
        let mut pair = |at: usize, even: V, odd: V| {
            out[at] = even.add(odd);
            out[at + 1] = even.sub(odd);
        };
        pair(1, d[0].add(d[2]), d[1].add(d[3]));
        pair(3, plus(d[0], 4.0, d[2]), plus(times(8.0, d[3]), 2.0, d[1]));
        if P == 8 {
            pair(5, plus(d[0], 0.25, d[2]), plus(times(0.125, d[3]), 0.5, d[1]));
        }
        out[P - 1] = d[3];
        out
    }
}

/// G times a column of weights.
#[inline(always)]
pub(super) unsafe fn g_column<V: Lanes, const R: usize, const P: usize>(g: [V; R]) -> [V; P] {
    // SAFETY: the caller has the instructions.
    unsafe {
        let mut out = [g[0]; P];
        let mut pair = |at: usize, scale: f32, even: V, odd: V| {
            out[at] = times(scale, even.add(odd));
            out[at + 1] = times(scale, even.sub(odd));
        };
        if R == 3 {
            pair(1, -1.0 / 6.0, g[0].add(g[2]), g[1]);
            pair(3, 1.0 / 24.0, plus(g[0], 4.0, g[2]), times(2.0, g[1]));
            out[0] = times(0.25, g[0]);
        } else {
            pair(1, -2.0 / 9.0, g[0].add(g[2]).add(g[4]), g[1].add(g[3]));
            let even = plus(plus(g[0], 4.0, g[2]), 16.0, g[4]);
            pair(3, 1.0 / 90.0, even, plus(times(8.0, g[3]), 2.0, g[1]));
            let even = plus(plus(g[0], 0.25, g[2]), 0.0625, g[4]);
            pair(5, 32.0 / 45.0, even, plus(times(0.125, g[3]), 0.5, g[1]));
        }
        out[P - 1] = g[R - 1];
        out
    }
}

/// Gᵀ times a column of sums.
#[inline(always)]
pub(super) unsafe fn g_adjoint<V: Lanes, const R: usize, const P: usize>(s: [V; P]) -> [V; R] {
    // SAFETY: the caller has the instructions.
    unsafe {
        let pair = |at: usize, scale: f32| {
            (times(scale, s[at].add(s[at + 1])), times(scale, s[at].sub(s[at + 1])))
        };
        let mut out = [s[0]; R];
        if R == 3 {
            let ((even, odd), (far_even, far_odd)) = (pair(1, -1.0 / 6.0), pair(3, 1.0 / 24.0));
            out[0] = plus(even.add(far_even), 0.25, s[0]);
            out[1] = plus(odd, 2.0, far_odd);
            out[2] = plus(even, 4.0, far_even);
        } else {
            let ((even, odd), (far_even, far_odd)) = (pair(1, -2.0 / 9.0), pair(3, 1.0 / 90.0));
            let (near_even, near_odd) = pair(5, 32.0 / 45.0);
            out[0] = s[0].add(even).add(far_even).add(near_even);
            out[1] = plus(plus(odd, 2.0, far_odd), 0.5, near_odd);
            out[2] = plus(plus(even, 4.0, far_even), 0.25, near_even);
            out[3] = plus(plus(odd, 8.0, far_odd), 0.125, near_odd);
            out[4] = plus(plus(even, 16.0, far_even), 0.0625, near_even);
        }
        out[R - 1] = out[R - 1].add(s[P - 1]);
        out
    }
}
