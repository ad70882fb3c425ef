//! Weights and their gradients: in and out of the transformed planes, with output channels in the
//! lanes.

use super::super::panel::{self, PANEL};
use super::super::{Lanes, kernel};
use super::points::{g_adjoint, g_column};
use super::side;

/// Where the weights of a convolution stand: tap t of output channel o and input channel c at
/// `o·by_output + c·by_input + t` of `data`, or at the opposite tap where `flip`.
#[derive(Clone, Copy)]
pub(crate) struct Weights<'a> {
    pub(crate) data: &'a [f32],
    pub(crate) inputs: usize,
    pub(crate) outputs: usize,
    pub(crate) by_input: usize,
    pub(crate) by_output: usize,
    pub(crate) flip: bool,
}

impl Weights<'_> {
    fn taps_of(&self, o: usize, c: usize, taps: usize) -> &[f32] {
        &self.data[o * self.by_output + c * self.by_input..][..taps]
    }
}

/// G g Gᵀ for every pair of channels, packed for [`super::Tiles::forward`]. A kernel has `size` ×
/// `size` weights.
pub(crate) fn pack(size: usize, weights: Weights, out: &mut [f32]) {
    let planes = side(size) * side(size);
    assert_eq!(out.len(), planes * panel::packed(weights.inputs, weights.outputs));
    out.fill(0.0);
    pack_dispatch(size, weights, out);
}

/// Gᵀ S G: the gradient by the weights of `size` × `size`, outputs × inputs × taps, from the sums
/// of [`super::Tiles::weight_gradient`].
pub(crate) fn unpack(size: usize, inputs: usize, sums: &[f32], out: &mut [f32]) {
    let outputs = out.len() / (inputs * size * size);
    assert_eq!(out.len(), outputs * inputs * size * size);
    assert_eq!(sums.len(), side(size) * side(size) * inputs * outputs);
    unpack_dispatch(size, inputs, sums, out);
}

kernel! {
    fn pack_dispatch(size: usize, weights: Weights, out: &mut [f32]) = pack_body, portable 8;
}
kernel! {
    fn unpack_dispatch(
        size: usize,
        inputs: usize,
        sums: &[f32],
        out: &mut [f32],
    ) = unpack_body, portable 8;
}

#[inline(always)]
unsafe fn pack_body<V: Lanes>(size: usize, weights: Weights, out: &mut [f32]) {
    // SAFETY: passed on to the caller.
    unsafe {
        match size {
            3 => pack_sized::<V, 3, 6>(weights, out),
            _ => pack_sized::<V, 5, 8>(weights, out),
        }
    }
}

#[inline(always)]
unsafe fn pack_sized<V: Lanes, const R: usize, const P: usize>(w: Weights, out: &mut [f32]) {
    let each = panel::packed(w.inputs, w.outputs);
    // The taps of one input channel, output channels in the lanes; no register is wider than 16.
    let mut taps = [[[0.0f32; 16]; R]; R];
    for lane in (0..w.outputs).step_by(V::WIDTH) {
        let count = (w.outputs - lane).min(V::WIDTH);
        let panel = lane / PANEL * PANEL * w.inputs + lane % PANEL;
        for c in 0..w.inputs {
            for i in 0..count {
                let from = w.taps_of(lane + i, c, R * R);
                for (t, &x) in from.iter().enumerate() {
                    let t = if w.flip { R * R - 1 - t } else { t };
                    taps[t / R][t % R][i] = x;
                }
            }
            // SAFETY: a panel is a whole number of registers, and `pack` checked its length.
            unsafe {
                let mut half = [[V::splat(0.0); R]; P];
                for x in 0..R {
                    let column = std::array::from_fn(|y| V::load(taps[y][x].as_ptr()));
                    let column = g_column::<V, R, P>(column);
                    for y in 0..P {
                        half[y][x] = column[y];
                    }
                }
                for y in 0..P {
                    let row = g_column::<V, R, P>(half[y]);
                    for x in 0..P {
                        let to = &mut out[(P * y + x) * each + panel + c * PANEL..][..V::WIDTH];
                        row[x].store_first(to.as_mut_ptr(), count);
                    }
                }
            }
        }
    }
}

#[inline(always)]
unsafe fn unpack_body<V: Lanes>(size: usize, inputs: usize, sums: &[f32], out: &mut [f32]) {
    // SAFETY: passed on to the caller.
    unsafe {
        match size {
            3 => unpack_sized::<V, 3, 6>(inputs, sums, out),
            _ => unpack_sized::<V, 5, 8>(inputs, sums, out),
        }
    }
}

#[inline(always)]
unsafe fn unpack_sized<V: Lanes, const R: usize, const P: usize>(
    inputs: usize,
    sums: &[f32],
    out: &mut [f32],
) {
    let outputs = out.len() / (inputs * R * R);
    let mut taps = [[[0.0f32; 16]; R]; R];
    for lane in (0..outputs).step_by(V::WIDTH) {
        let count = (outputs - lane).min(V::WIDTH);
        for c in 0..inputs {
            // SAFETY: `unpack` checked the length of the sums.
            unsafe {
                let mut half = [[V::splat(0.0); P]; R];
                for x in 0..P {
                    let column = std::array::from_fn(|y| {
                        let at = ((P * y + x) * inputs + c) * outputs + lane;
                        V::load_some(sums.as_ptr().add(at), count)
                    });
                    let column = g_adjoint::<V, R, P>(column);
                    for y in 0..R {
                        half[y][x] = column[y];
                    }
                }
                for y in 0..R {
                    let row = g_adjoint::<V, R, P>(half[y]);
                    for x in 0..R {
                        row[x].store(taps[y][x].as_mut_ptr());
                    }
                }
            }
            for i in 0..count {
                let to = &mut out[((lane + i) * inputs + c) * R * R..][..R * R];
                for (t, to) in to.iter_mut().enumerate() {
                    *to = taps[t / R][t % R][i];
                }
            }
        }
    }
}
