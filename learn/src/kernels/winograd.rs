//! Winograd's minimal filtering for convolutions with stride 1 (Lavin and Gray 2016): F(4×4, 3×3),
//! 36 products a tile of 16 outputs instead of 144, and F(4×4, 5×5), 64 instead of 400.
//!
//! Y = Aᵀ[(G g Gᵀ) ⊙ (Bᵀ d B)]A, and by the adjoint the gradient by g is
//! Gᵀ[Σ (Bᵀ d B) ⊙ (A dY Aᵀ)]G. Channels stand in the lanes, so the transforms are lane by lane.

mod points;
mod transforms;
mod weights;

use super::floats::Floats;
use super::image::{Border, Frame};
use super::panel::{self, Taps};
use crate::data::Shape;
use transforms::{input_tiles, output_tiles, slope_tiles};
pub(crate) use weights::{Weights, pack, unpack};

/// The rows of a transformed tile for kernels of `size` × `size`.
fn side(size: usize) -> usize {
    size + 3
}

/// Entries of a transformed tile for kernels of `size` × `size`.
pub(crate) fn planes(size: usize) -> usize {
    side(size) * side(size)
}

/// Whether there is a transform for kernels of this size.
pub(crate) fn fits(size: usize) -> bool {
    size == 3 || size == 5
}

/// Floats between two planes beyond their length: without them all planes of a tile would share
/// a few lines of the first cache.
const GAP: usize = 16;
/// Floats of one transformed operand that are worked on at a time, unless one tile needs more.
const FLOATS: usize = 112 * 1024;

/// The tiles of a convolution with outputs of this height and width.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Tiles {
    /// Input and output of the convolution.
    pub(crate) input: Shape,
    pub(crate) output: Shape,
    /// 3 or 5: the kernel's rows.
    pub(crate) size: usize,
    /// Border pixels above and to the left of the input.
    pub(crate) before: usize,
    pub(crate) border: Border,
}

/// Memory for [`Tiles`], reused from call to call.
#[derive(Default)]
pub(crate) struct Space {
    framed: Floats,
    left: Floats,
    right: Floats,
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
        (FLOATS / (planes(self.size) * widest) / 12 * 12).clamp(12, 252)
    }

    /// The input with its border, large enough for whole tiles.
    fn frame(&self) -> Frame {
        let beyond = self.size - 1;
        let (height, width) = (4 * self.down() + beyond, 4 * self.across() + beyond);
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
        let planes = planes(self.size);
        let each = panel::packed(c, o);
        let mut shown = usize::MAX;
        for part in self.parts(inputs.len() / self.input.len()) {
            self.transform_inputs(inputs, part, &mut shown, space);
            let (left, right) = (part.count * c + GAP, part.count * o + GAP);
            space.right.room(planes * right);
            rows(&mut space.bases, part.count, c);
            for plane in 0..planes {
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

    /// Adds the transformed gradient by the weights, [`planes`] of input × output channels, to
    /// `sums`; [`unpack`] finishes it.
    pub(crate) fn weight_gradient(
        &self,
        inputs: &[f32],
        d_outputs: &[f32],
        sums: &mut [f32],
        space: &mut Space,
    ) {
        let (c, o) = (self.input.channels, self.output.channels);
        let planes = planes(self.size);
        let mut shown = usize::MAX;
        for part in self.parts(inputs.len() / self.input.len()) {
            self.transform_inputs(inputs, part, &mut shown, space);
            let (left, right) = (part.count * c + GAP, part.count * o + GAP);
            slope_tiles(self, part, d_outputs, space.right.room(planes * right), right);
            rows(&mut space.bases, part.count, c);
            for plane in 0..planes {
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
        let framed = space.framed.room(frame.len());
        let left = space.left.room(planes(self.size) * plane);
        let mut done = 0;
        while done < part.count {
            let (image, _, _) = self.locate(part.first + done);
            if *shown != image {
                let size = self.input.len();
                let from = &inputs[image * size..][..size];
                match *shown != usize::MAX && self.border == Border::Zeros {
                    true => frame.replace(from, framed),
                    false => frame.set(from, self.border, framed),
                }
                *shown = image;
            }
            let each = self.down() * self.across();
            let count = (part.count - done).min((image + 1) * each - part.first - done);
            let piece = Part { first: part.first + done, count };
            input_tiles(self, piece, framed, &mut left[done * c..], plane);
            done += count;
        }
    }
}

/// The starts of `count` packed rows of c floats.
fn rows(bases: &mut Vec<u32>, count: usize, c: usize) {
    bases.clear();
    bases.extend((0..count).map(|r| (r * c) as u32));
}
