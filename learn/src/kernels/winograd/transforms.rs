//! Tiles in and out of the transformed planes, with channels in the lanes.

use super::super::{Lanes, kernel};
use super::points::{a_adjoint, a_column, b_column};
use super::{Finish, Part, Tiles};
use crate::data::Shape;
use std::mem::MaybeUninit;

/// Chooses the transform by the side of a tile.
macro_rules! by_size {
    ($body:ident, $sized:ident, ($($arg:ident: $ty:ty),*)) => {
        #[inline(always)]
        unsafe fn $body<V: Lanes>(tiles: &Tiles, $($arg: $ty),*) {
            // SAFETY: passed on to the caller.
            unsafe {
                match tiles.size {
                    3 => $sized::<V, 6>(tiles, $($arg),*),
                    _ => $sized::<V, 8>(tiles, $($arg),*),
                }
            }
        }
    };
}

by_size!(input_body, input_sized, (part: Part, framed: &[f32], planes: &mut [f32], plane: usize));
by_size!(
    output_body, output_sized,
    (part: Part, planes: &[f32], plane: usize, finish: Finish, out: &mut [f32])
);
by_size!(slope_body, slope_sized, (part: Part, d: &[f32], planes: &mut [f32], plane: usize));

kernel! {
    pub(super) fn input_tiles(
        tiles: &Tiles,
        part: Part,
        framed: &[f32],
        planes: &mut [f32],
        plane: usize,
    ) = input_body, portable 8;
}
kernel! {
    pub(super) fn output_tiles(
        tiles: &Tiles,
        part: Part,
        planes: &[f32],
        plane: usize,
        finish: Finish,
        out: &mut [f32],
    ) = output_body, portable 8;
}
kernel! {
    pub(super) fn slope_tiles(
        tiles: &Tiles,
        part: Part,
        d: &[f32],
        planes: &mut [f32],
        plane: usize,
    ) = slope_body, portable 8;
}

/// The first dimension of a transform stands column by column in `half`, the second is made row by
/// row of it; `half` starts without a value, as filling it would cost as much as the sums.
#[inline(always)]
unsafe fn input_sized<V: Lanes, const P: usize>(
    tiles: &Tiles,
    part: Part,
    framed: &[f32],
    planes: &mut [f32],
    plane: usize,
) {
    let (frame, c) = (tiles.frame(), tiles.input.channels);
    assert!(framed.len() >= frame.len() && planes.len() >= (P * P - 1) * plane + part.count * c);
    let line = frame.width * c;
    for t in 0..part.count {
        let (_, y, x) = tiles.locate(part.first + t);
        let from = 4 * (y * line + x * c);
        for lane in (0..c).step_by(V::WIDTH) {
            // SAFETY: the frame holds whole tiles of P × P pixels, the planes `count` rows of c.
            unsafe {
                let from = framed.as_ptr().add(from + lane);
                let mut half = MaybeUninit::<[[V; P]; P]>::uninit();
                let half = half.as_mut_ptr().cast::<[V; P]>();
                for across in 0..P {
                    let mut d = [V::splat(0.0); P];
                    for down in 0..P {
                        d[down] = V::load_some(from.add(down * line + across * c), c - lane);
                    }
                    half.add(across).write(b_column(d));
                }
                let to = planes.as_mut_ptr().add(t * c + lane);
                for down in 0..P {
                    let mut row = [V::splat(0.0); P];
                    for across in 0..P {
                        row[across] = (*half.add(across))[down];
                    }
                    let row = b_column(row);
                    for across in 0..P {
                        row[across].store_some(to.add((P * down + across) * plane), c - lane);
                    }
                }
            }
        }
    }
}

#[inline(always)]
unsafe fn output_sized<V: Lanes, const P: usize>(
    tiles: &Tiles,
    part: Part,
    planes: &[f32],
    plane: usize,
    finish: Finish,
    out: &mut [f32],
) {
    let Finish { bias, rectify } = finish;
    let Shape { channels: o, height, width } = tiles.output;
    assert!(
        planes.len() >= (P * P - 1) * plane + part.count * o
            && (bias.is_empty() || bias.len() == o)
    );
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
                let mut half = MaybeUninit::<[[V; 4]; P]>::uninit();
                let half = half.as_mut_ptr().cast::<[V; 4]>();
                for across in 0..P {
                    let mut m = [V::splat(0.0); P];
                    for down in 0..P {
                        m[down] = V::load_some(from.add((P * down + across) * plane), o - lane);
                    }
                    half.add(across).write(a_column(m));
                }
                let start = match bias.is_empty() {
                    true => V::splat(0.0),
                    false => V::load_some(bias.as_ptr().add(lane), o - lane),
                };
                for down in 0..rows {
                    let mut row = [V::splat(0.0); P];
                    for across in 0..P {
                        row[across] = (*half.add(across))[down];
                    }
                    let row = a_column(row);
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
unsafe fn slope_sized<V: Lanes, const P: usize>(
    tiles: &Tiles,
    part: Part,
    d: &[f32],
    planes: &mut [f32],
    plane: usize,
) {
    let Shape { channels: o, height, width } = tiles.output;
    let last = tiles.locate(part.first + part.count - 1).0;
    assert!(planes.len() >= (P * P - 1) * plane + part.count * o);
    assert!(d.len() >= (last + 1) * tiles.output.len());
    for t in 0..part.count {
        let (image, y, x) = tiles.locate(part.first + t);
        let (rows, columns) = ((height - 4 * y).min(4), (width - 4 * x).min(4));
        let from = image * height * width + 4 * (y * width + x);
        for lane in (0..o).step_by(V::WIDTH) {
            // SAFETY: only the tile's pixels inside the output are read; the planes hold `count`
            // rows of o.
            unsafe {
                let mut half = MaybeUninit::<[[V; P]; 4]>::uninit();
                let half = half.as_mut_ptr().cast::<[V; P]>();
                for across in 0..4 {
                    let mut column = [V::splat(0.0); 4];
                    for down in 0..rows {
                        if across < columns {
                            let pixel = from + down * width + across;
                            column[down] = V::load_some(d.as_ptr().add(pixel * o + lane), o - lane);
                        }
                    }
                    half.add(across).write(a_adjoint(column));
                }
                let to = planes.as_mut_ptr().add(t * o + lane);
                for down in 0..P {
                    let mut row = [V::splat(0.0); 4];
                    for across in 0..4 {
                        row[across] = (*half.add(across))[down];
                    }
                    let row: [V; P] = a_adjoint(row);
                    for across in 0..P {
                        row[across].store_some(to.add((P * down + across) * plane), o - lane);
                    }
                }
            }
        }
    }
}
