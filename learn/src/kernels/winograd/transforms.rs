//! The transforms of F(4×4, 3×3): of weights pair by pair, of tiles with channels in the lanes.

use super::super::vector::Vector;
use super::{Finish, PLANES, Part, Tiles};
use crate::data::Shape;

/// G times a column of 3.
fn g_column(g: [f32; 3]) -> [f32; 6] {
    let (even, odd) = ((g[0] + g[2]) / 6.0, g[1] / 6.0);
    let (near, far) = (g[0] / 24.0 + g[2] / 6.0, g[1] / 12.0);
    [g[0] / 4.0, -even - odd, odd - even, near + far, near - far, g[2]]
}

/// G g Gᵀ.
pub(super) fn kernel(g: &[f32; 9]) -> [f32; PLANES] {
    let mut half = [[0.0; 3]; 6];
    for x in 0..3 {
        let column = g_column([g[x], g[3 + x], g[6 + x]]);
        column.iter().zip(&mut half).for_each(|(&v, row)| row[x] = v);
    }
    let mut out = [0.0; PLANES];
    for (row, out) in half.iter().zip(out.chunks_exact_mut(6)) {
        out.copy_from_slice(&g_column(*row));
    }
    out
}

/// Gᵀ times a column of 6.
pub(super) fn g_adjoint(s: [f32; 6]) -> [f32; 3] {
    let (plus, minus) = (s[1] + s[2], s[2] - s[1]);
    let (far_plus, far_minus) = (s[3] + s[4], s[3] - s[4]);
    [
        s[0] / 4.0 - plus / 6.0 + far_plus / 24.0,
        minus / 6.0 + far_minus / 12.0,
        far_plus / 6.0 - plus / 6.0 + s[5],
    ]
}

vectorised!(
    pub(super) input_tiles, input_body,
    (tiles: &Tiles, part: Part, framed: &[f32], planes: &mut [f32], plane: usize)
);
vectorised!(
    pub(super) output_tiles, output_body,
    (tiles: &Tiles, part: Part, planes: &[f32], plane: usize, finish: Finish, out: &mut [f32])
);
vectorised!(
    pub(super) slope_tiles, slope_body,
    (tiles: &Tiles, part: Part, d: &[f32], planes: &mut [f32], plane: usize)
);

/// Bᵀ times a column of 6.
#[inline(always)]
unsafe fn b_column<V: Vector>(d: [V; 6]) -> [V; 6] {
    // SAFETY: the caller has the instructions.
    unsafe {
        let (two, four, five) = (V::splat(2.0), V::splat(4.0), V::splat(-5.0));
        let minus_four = V::splat(-4.0);
        // Even and odd parts at the points ±1 and ±2.
        let even = minus_four.fma(d[2], d[4]);
        let odd = minus_four.fma(d[1], d[3]);
        let far_even = d[4].sub(d[2]);
        let far_odd = two.mul(d[3].sub(d[1]));
        [
            four.fma(d[0], five.fma(d[2], d[4])),
            even.add(odd),
            even.sub(odd),
            far_even.add(far_odd),
            far_even.sub(far_odd),
            four.fma(d[1], five.fma(d[3], d[5])),
        ]
    }
}

/// Aᵀ times a column of 6.
#[inline(always)]
unsafe fn a_column<V: Vector>(m: [V; 6]) -> [V; 4] {
    // SAFETY: the caller has the instructions.
    unsafe {
        let (two, four, eight) = (V::splat(2.0), V::splat(4.0), V::splat(8.0));
        let (plus, minus) = (m[1].add(m[2]), m[1].sub(m[2]));
        let (far_plus, far_minus) = (m[3].add(m[4]), m[3].sub(m[4]));
        [
            m[0].add(plus).add(far_plus),
            two.fma(far_minus, minus),
            four.fma(far_plus, plus),
            eight.fma(far_minus, minus).add(m[5]),
        ]
    }
}

/// A times a column of 4.
#[inline(always)]
unsafe fn a_adjoint<V: Vector>(d: [V; 4]) -> [V; 6] {
    // SAFETY: the caller has the instructions.
    unsafe {
        let (two, four, eight) = (V::splat(2.0), V::splat(4.0), V::splat(8.0));
        let (even, odd) = (d[0].add(d[2]), d[1].add(d[3]));
        let far_even = four.fma(d[2], d[0]);
        let far_odd = two.fma(d[1], eight.mul(d[3]));
        [d[0], even.add(odd), even.sub(odd), far_even.add(far_odd), far_even.sub(far_odd), d[3]]
    }
}

#[inline(always)]
unsafe fn input_body<V: Vector>(
    tiles: &Tiles,
    part: Part,
    framed: &[f32],
    planes: &mut [f32],
    plane: usize,
) {
    let (frame, c) = (tiles.frame(), tiles.input.channels);
    assert!(framed.len() >= frame.len() && planes.len() >= 35 * plane + part.count * c);
    let line = frame.width * c;
    for t in 0..part.count {
        let (_, y, x) = tiles.locate(part.first + t);
        let from = 4 * (y * line + x * c);
        for lane in (0..c).step_by(V::WIDTH) {
            // SAFETY: the frame holds whole tiles of 6 × 6 pixels, the planes `count` rows of c.
            unsafe {
                let from = framed.as_ptr().add(from + lane);
                let mut half = [[V::splat(0.0); 6]; 6];
                for across in 0..6 {
                    let mut d = [V::splat(0.0); 6];
                    for down in 0..6 {
                        d[down] = V::load_some(from.add(down * line + across * c), c - lane);
                    }
                    let column = b_column(d);
                    for down in 0..6 {
                        half[down][across] = column[down];
                    }
                }
                let to = planes.as_mut_ptr().add(t * c + lane);
                for down in 0..6 {
                    let row = b_column(half[down]);
                    for across in 0..6 {
                        row[across].store_some(to.add((6 * down + across) * plane), c - lane);
                    }
                }
            }
        }
    }
}

#[inline(always)]
unsafe fn output_body<V: Vector>(
    tiles: &Tiles,
    part: Part,
    planes: &[f32],
    plane: usize,
    finish: Finish,
    out: &mut [f32],
) {
    let Finish { bias, rectify } = finish;
    let Shape { channels: o, height, width } = tiles.output;
    assert!(planes.len() >= 35 * plane + part.count * o && (bias.is_empty() || bias.len() == o));
    let last = tiles.locate(part.first + part.count - 1).0;
    assert!(out.len() >= (last + 1) * tiles.output.len());
    for t in 0..part.count {
        let (image, y, x) = tiles.locate(part.first + t);
        let (rows, columns) = ((height - 4 * y).min(4), (width - 4 * x).min(4));
        let to = image * height * width + 4 * (y * width + x);
        for lane in (0..o).step_by(V::WIDTH) {
            // SAFETY: the planes hold `count` rows of o, the output the tile's pixels inside it.
            unsafe {
                let from = planes.as_ptr().add(t * o + lane);
                let mut half = [[V::splat(0.0); 6]; 4];
                for across in 0..6 {
                    let mut m = [V::splat(0.0); 6];
                    for down in 0..6 {
                        m[down] = V::load_some(from.add((6 * down + across) * plane), o - lane);
                    }
                    let column = a_column(m);
                    for down in 0..4 {
                        half[down][across] = column[down];
                    }
                }
                let start = match bias.is_empty() {
                    true => V::splat(0.0),
                    false => V::load_some(bias.as_ptr().add(lane), o - lane),
                };
                for down in 0..rows {
                    let row = a_column(half[down]);
                    for across in 0..columns {
                        let pixel = to + down * width + across;
                        let to = out.as_mut_ptr().add(pixel * o + lane);
                        let y = row[across].add(start);
                        let y = if rectify { y.rectified() } else { y };
                        y.store_some(to, o - lane);
                    }
                }
            }
        }
    }
}

#[inline(always)]
unsafe fn slope_body<V: Vector>(
    tiles: &Tiles,
    part: Part,
    d: &[f32],
    planes: &mut [f32],
    plane: usize,
) {
    let Shape { channels: o, height, width } = tiles.output;
    let last = tiles.locate(part.first + part.count - 1).0;
    assert!(planes.len() >= 35 * plane + part.count * o);
    assert!(d.len() >= (last + 1) * tiles.output.len());
    for t in 0..part.count {
        let (image, y, x) = tiles.locate(part.first + t);
        let (rows, columns) = ((height - 4 * y).min(4), (width - 4 * x).min(4));
        let from = image * height * width + 4 * (y * width + x);
        for lane in (0..o).step_by(V::WIDTH) {
            // SAFETY: only the tile's pixels inside the output are read; the planes hold `count`
            // rows of o.
            unsafe {
                let mut half = [[V::splat(0.0); 4]; 6];
                for across in 0..columns {
                    let mut column = [V::splat(0.0); 4];
                    for down in 0..rows {
                        let pixel = from + down * width + across;
                        column[down] = V::load_some(d.as_ptr().add(pixel * o + lane), o - lane);
                    }
                    let column = a_adjoint(column);
                    for down in 0..6 {
                        half[down][across] = column[down];
                    }
                }
                let to = planes.as_mut_ptr().add(t * o + lane);
                for down in 0..6 {
                    let row = a_adjoint(half[down]);
                    for across in 0..6 {
                        row[across].store_some(to.add((6 * down + across) * plane), o - lane);
                    }
                }
            }
        }
    }
}
