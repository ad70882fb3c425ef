//! Winograd's minimal filtering F(4×4, 3×3) for convolutions of 3×3 with stride 1: 36 products a
//! tile of 16 outputs instead of 144 (Lavin and Gray 2016; points 0, ±1, ±2 and ∞).
//!
//! Y = Aᵀ[(G g Gᵀ) ⊙ (Bᵀ d B)]A, and by the adjoint the gradient by g is
//! Gᵀ[Σ (Bᵀ d B) ⊙ (A dY Aᵀ)]G. Channels stand in the lanes, so the transforms are lane by lane.

mod transforms;

use super::image::{Border, Frame};
use super::panel::{self, Taps};
use crate::data::Shape;
use transforms::{g_adjoint, input_tiles, kernel, output_tiles, slope_tiles};

/// Entries of a transformed tile.
pub(crate) const PLANES: usize = 36;
/// Floats between two planes beyond their length: without them all planes of a tile would share
/// a few lines of the first cache.
const GAP: usize = 16;
/// Floats of one transformed operand that are worked on at a time, unless one tile needs more.
const FLOATS: usize = 160 * 1024;

/// The tiles of a convolution with outputs of this height and width.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Tiles {
    /// Input and output of the convolution.
    pub(crate) input: Shape,
    pub(crate) output: Shape,
    /// Border pixels above and to the left of the input.
    pub(crate) before: usize,
    pub(crate) border: Border,
}

/// Memory for [`Tiles`], reused from call to call.
#[derive(Default)]
pub(crate) struct Space {
    framed: Vec<f32>,
    left: Vec<f32>,
    right: Vec<f32>,
    bases: Vec<u32>,
}

/// What is done to an output before it is written.
#[derive(Clone, Copy, Default)]
pub(crate) struct Finish<'a> {
    /// Added to each pixel: one float a channel, or none.
    pub(crate) bias: &'a [f32],
    /// Whether what is below 0 becomes 0.
    pub(crate) rectify: bool,
}

/// A run of tiles over a batch: `count` from number `first` on.
#[derive(Clone, Copy)]
struct Part {
    first: usize,
    count: usize,
}

impl Tiles {
    fn down(&self) -> usize {
        self.output.height.div_ceil(4)
    }

    fn across(&self) -> usize {
        self.output.width.div_ceil(4)
    }

    /// Tiles that are worked on at a time.
    fn portion(&self) -> usize {
        let widest = self.input.channels.max(self.output.channels);
        // Whole tiles of rows for the products.
        (FLOATS / (PLANES * widest) / 16 * 16).clamp(16, 256)
    }

    /// The input with its border, large enough for whole tiles.
    fn frame(&self) -> Frame {
        let (height, width) = (4 * self.down() + 2, 4 * self.across() + 2);
        Frame { image: self.input, before: self.before, height, width }
    }

    /// The image, and the tile's place in it (in tiles), of tile number t of a batch.
    fn locate(&self, t: usize) -> (usize, usize, usize) {
        let each = self.down() * self.across();
        (t / each, t % each / self.across(), t % self.across())
    }

    fn parts(&self, samples: usize) -> impl Iterator<Item = Part> + use<> {
        let (all, portion) = (samples * self.down() * self.across(), self.portion());
        let part = move |first| Part { first, count: portion.min(all - first) };
        (0..all).step_by(portion).map(part)
    }

    /// The convolution: `weights` from [`pack`].
    pub(crate) fn forward(
        &self,
        inputs: &[f32],
        weights: &[f32],
        finish: Finish,
        outputs: &mut [f32],
        space: &mut Space,
    ) {
        let (c, o) = (self.input.channels, self.output.channels);
        let each = panel::packed(c, o);
        let mut shown = usize::MAX;
        for part in self.parts(inputs.len() / self.input.len()) {
            self.transform_inputs(inputs, part, &mut shown, space);
            let (left, right) = (part.count * c + GAP, part.count * o + GAP);
            grow(&mut space.right, PLANES * right);
            rows(&mut space.bases, part.count, c);
            for plane in 0..PLANES {
                let taps = Taps {
                    data: &space.left[plane * left..][..part.count * c],
                    bases: &space.bases,
                    segments: &[0],
                    run: c,
                };
                let to = &mut space.right[plane * right..][..part.count * o];
                panel::times(&taps, &weights[plane * each..(plane + 1) * each], o, &[], to);
            }
            output_tiles(self, part, &space.right, right, finish, outputs);
        }
    }

    /// Adds the transformed gradient by the weights, 36 planes of input × output channels, to
    /// `sums`; [`unpack`] finishes it.
    pub(crate) fn weight_gradient(
        &self,
        inputs: &[f32],
        d_outputs: &[f32],
        sums: &mut [f32],
        space: &mut Space,
    ) {
        let (c, o) = (self.input.channels, self.output.channels);
        let mut shown = usize::MAX;
        for part in self.parts(inputs.len() / self.input.len()) {
            self.transform_inputs(inputs, part, &mut shown, space);
            let (left, right) = (part.count * c + GAP, part.count * o + GAP);
            grow(&mut space.right, PLANES * right);
            slope_tiles(self, part, d_outputs, &mut space.right, right);
            rows(&mut space.bases, part.count, c);
            for plane in 0..PLANES {
                let taps = Taps {
                    data: &space.left[plane * left..][..part.count * c],
                    bases: &space.bases,
                    segments: &[0],
                    run: c,
                };
                let from = &space.right[plane * right..][..part.count * o];
                panel::transposed_times(&taps, from, o, &mut sums[plane * c * o..][..c * o]);
            }
        }
    }

    /// Bᵀ d B of every tile of the part into `space.left`. `shown` is the image that stands in the
    /// frame.
    fn transform_inputs(&self, inputs: &[f32], part: Part, shown: &mut usize, space: &mut Space) {
        let (frame, c) = (self.frame(), self.input.channels);
        let plane = part.count * c + GAP;
        grow(&mut space.framed, frame.len());
        grow(&mut space.left, PLANES * plane);
        let mut done = 0;
        while done < part.count {
            let (image, _, _) = self.locate(part.first + done);
            if *shown != image {
                let size = self.input.len();
                frame.set(&inputs[image * size..][..size], self.border, &mut space.framed);
                *shown = image;
            }
            let each = self.down() * self.across();
            let count = (part.count - done).min((image + 1) * each - part.first - done);
            let piece = Part { first: part.first + done, count };
            let to = &mut space.left[done * c..];
            input_tiles(self, piece, &space.framed, to, plane);
            done += count;
        }
    }
}

fn grow(memory: &mut Vec<f32>, len: usize) {
    if memory.len() < len {
        memory.resize(len, 0.0);
    }
}

/// The starts of `count` packed rows of c floats.
fn rows(bases: &mut Vec<u32>, count: usize, c: usize) {
    bases.clear();
    bases.extend((0..count).map(|r| (r * c) as u32));
}

/// G g Gᵀ for every pair of channels, packed for [`Tiles::forward`]: `weight(o, c, t)` is the
/// weight of tap t = 3y + x.
pub(crate) fn pack(
    inputs: usize,
    outputs: usize,
    weight: impl Fn(usize, usize, usize) -> f32,
    out: &mut [f32],
) {
    let each = panel::packed(inputs, outputs);
    let mut planes = vec![0.0; PLANES * inputs * outputs];
    for c in 0..inputs {
        for o in 0..outputs {
            let g: [f32; 9] = std::array::from_fn(|t| weight(o, c, t));
            for (plane, x) in kernel(&g).iter().enumerate() {
                planes[(plane * inputs + c) * outputs + o] = *x;
            }
        }
    }
    for plane in 0..PLANES {
        let from = &planes[plane * inputs * outputs..];
        let to = &mut out[plane * each..(plane + 1) * each];
        panel::pack(inputs, outputs, from, |c| c * outputs, 1, to);
    }
}

/// Gᵀ S G: the gradient by the 9 weights of output channel o and input channel c, from the sums
/// of [`Tiles::weight_gradient`].
pub(crate) fn unpack(sums: &[f32], inputs: usize, outputs: usize, o: usize, c: usize) -> [f32; 9] {
    let at = |plane: usize| sums[(plane * inputs + c) * outputs + o];
    let mut half = [[0.0; 6]; 3];
    for x in 0..6 {
        let column = g_adjoint(std::array::from_fn(|y| at(6 * y + x)));
        column.iter().zip(&mut half).for_each(|(&v, row)| row[x] = v);
    }
    let mut out = [0.0; 9];
    for (row, out) in half.iter().zip(out.chunks_exact_mut(3)) {
        out.copy_from_slice(&g_adjoint(*row));
    }
    out
}
