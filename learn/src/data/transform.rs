//! How stored pixels become inputs: normalisation, and random flips and crops of a view.
//!
//! A transform belongs to a view (train or test), never to the stored set, and its draws come from
//! the stream that `fill` is given: augmenting one view cannot touch the other.

use super::{Images, Split};
use std::sync::Arc;
use varangian_base::{Args, Kind, Param, Stream};

/// How pixel values become inputs: bytes are first scaled to 0 to 1, then (x − mean) / deviation.
#[derive(Clone, Debug, PartialEq)]
pub struct Normalise {
    /// One mean a channel.
    pub mean: Vec<f32>,
    /// One standard deviation a channel, greater than 0.
    pub deviation: Vec<f32>,
}

impl Normalise {
    /// Pixels stay in 0 to 1.
    pub fn none(channels: usize) -> Self {
        Normalise { mean: vec![0.0; channels], deviation: vec![1.0; channels] }
    }

    /// The mean and deviation of each channel over all of `images`.
    pub fn measured(images: &Images) -> Self {
        let shape = images.stored_shape();
        let mut counts = vec![[0u64; 256]; shape.channels];
        let mut room = Vec::new();
        for i in 0..images.count() {
            for (channel, plane) in images.planes(i, &mut room).enumerate() {
                plane.iter().for_each(|&byte| counts[channel][usize::from(byte)] += 1);
            }
        }
        let moments = |counts: &[u64; 256]| {
            let total = counts.iter().sum::<u64>().max(1) as f64;
            let sum = |power: i32| {
                let term = |(byte, &n): (usize, &u64)| (byte as f64 / 255.0).powi(power) * n as f64;
                counts.iter().enumerate().map(term).sum::<f64>() / total
            };
            let mean = sum(1);
            let deviation = (sum(2) - mean * mean).max(0.0).sqrt();
            let constant = counts.iter().filter(|&&n| n > 0).count() < 2 || deviation == 0.0;
            (mean as f32, if constant { 1.0 } else { deviation as f32 })
        };
        let (mean, deviation) = counts.iter().map(moments).unzip();
        Normalise { mean, deviation }
    }
}

/// Random changes of an image. The default changes nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Transform {
    /// Mirror left and right with probability one half.
    pub flip: bool,
    /// Pad each side by this many pixels, then cut the old size out at a random place.
    pub crop: usize,
    /// Pad with the nearest pixel instead of black.
    pub replicate: bool,
}

/// One image's draw of a [`Transform`]: the pixel at (row, column) comes from
/// (row + down, column + right), mirrored first.
pub(crate) struct Drawn {
    pub mirror: bool,
    pub down: isize,
    pub right: isize,
    pub replicate: bool,
}

impl Transform {
    /// Whether it changes nothing, so that nothing needs to be drawn.
    pub fn is_none(self) -> bool {
        !self.flip && self.crop == 0
    }

    /// Draws for one image.
    pub(crate) fn draw(self, stream: &mut Stream) -> Drawn {
        let mirror = self.flip && stream.coin(0.5);
        let mut offset = || match self.crop {
            0 => 0,
            crop => stream.below(2 * crop + 1) as isize - crop as isize,
        };
        Drawn { mirror, down: offset(), right: offset(), replicate: self.replicate }
    }
}

impl Drawn {
    /// Writes `plane` (height × width bytes), changed, through `table` into `out`.
    pub(crate) fn write(&self, plane: &[u8], width: usize, table: &[f32; 256], out: &mut [f32]) {
        let height = plane.len() / width;
        for (row, line) in out.chunks_exact_mut(width).enumerate() {
            let from = self.source(row as isize + self.down, height);
            for (column, x) in line.iter_mut().enumerate() {
                let place = match self.mirror {
                    true => width - 1 - column,
                    false => column,
                };
                let from_column = self.source(place as isize + self.right, width);
                let byte = match (from, from_column) {
                    (Some(r), Some(c)) => plane[r * width + c],
                    _ => 0,
                };
                *x = table[usize::from(byte)];
            }
        }
    }

    /// Where a padded coordinate lies in the image, or `None` for black.
    fn source(&self, at: isize, size: usize) -> Option<usize> {
        match usize::try_from(at) {
            Ok(at) if at < size => Some(at),
            _ if self.replicate => Some(at.clamp(0, size as isize - 1) as usize),
            _ => None,
        }
    }
}

/// What the parameters of an image set ask for.
#[derive(Clone, Debug)]
pub(crate) struct Options {
    normalise: Scale,
    train: Transform,
    test: Transform,
}

#[derive(Clone, Debug)]
enum Scale {
    Fixed(Normalise),
    Measured,
}

/// The parameter by which images choose their scale.
pub(crate) const NORMALISE: Param = Param {
    name: "normalise",
    kind: Kind::Choice(&["standard", "measured", "none"]),
    default: "standard",
    help: "standard: pixels in 0 to 1, minus the set's usual mean, over its usual deviation (measured where there is none); measured: those of the training split; none: 0 to 1",
};

/// Random mirror images, off unless asked for.
pub(crate) const FLIP: Param = Param {
    name: "flip",
    kind: Kind::Choice(&["none", "train", "both"]),
    default: "none",
    help: "which views are mirrored at random; both is a mistake that published code makes",
};

/// Random mirror images of the training view.
pub(crate) const FLIP_TRAIN: Param = Param { default: "train", ..FLIP };

/// Random crops of the training view.
pub(crate) const CROP: Param = Param {
    name: "crop",
    kind: Kind::Count { min: 0, max: 64 },
    default: "0",
    help: "training images are padded by this many pixels and cut out at random; usual: 4",
};

/// How crops are padded.
pub(crate) const PAD: Param = Param {
    name: "pad",
    kind: Kind::Choice(&["zero", "replicate"]),
    default: "zero",
    help: "what lies beyond the edge of a cropped image: black, or the nearest pixel",
};

impl Options {
    /// Reads the four parameters; `standard` is the set's usual mean and deviation.
    pub(crate) fn read(args: &Args, standard: Option<Normalise>) -> Options {
        let normalise = match (args.text("normalise"), standard) {
            ("none", _) => Scale::Fixed(Normalise::none(0)),
            ("standard", Some(normalise)) => Scale::Fixed(normalise),
            _ => Scale::Measured,
        };
        let flip = args.text("flip");
        let crop = args.count("crop").unwrap_or(0);
        let replicate = args.text("pad") == "replicate";
        Options {
            normalise,
            train: Transform { flip: flip != "none", crop, replicate },
            test: Transform { flip: flip == "both", crop: 0, replicate },
        }
    }

    /// Both views of a set.
    pub(crate) fn views(&self, train: Images, test: Images) -> Split {
        let normalise = match &self.normalise {
            Scale::Measured => Normalise::measured(&train),
            Scale::Fixed(normalise) if normalise.mean.is_empty() => {
                Normalise::none(train.stored_shape().channels)
            }
            Scale::Fixed(normalise) => normalise.clone(),
        };
        Split {
            train: Arc::new(train.with(&normalise, self.train)),
            test: Arc::new(test.with(&normalise, self.test)),
        }
    }
}

/// The usual mean and deviation of a grey set.
pub(crate) fn grey(mean: f32, deviation: f32) -> Option<Normalise> {
    Some(Normalise { mean: vec![mean], deviation: vec![deviation] })
}

#[cfg(test)]
mod tests {
    use super::*;
    use varangian_base::{Domain, Seed};

    fn identity() -> [f32; 256] {
        std::array::from_fn(|byte| byte as f32)
    }

    fn write(drawn: &Drawn, width: usize) -> Vec<f32> {
        let mut out = vec![-1.0; 6];
        drawn.write(&[1, 2, 3, 4, 5, 6], width, &identity(), &mut out);
        out
    }

    #[test]
    fn mirrors_and_crops_are_those_written_out_by_hand() {
        let mut drawn = Drawn { mirror: true, down: 0, right: 0, replicate: false };
        assert_eq!(write(&drawn, 3), [3., 2., 1., 6., 5., 4.]);
        drawn = Drawn { mirror: false, down: 1, right: -1, replicate: false };
        assert_eq!(write(&drawn, 3), [0., 4., 5., 0., 0., 0.]);
        drawn.replicate = true;
        assert_eq!(write(&drawn, 3), [4., 4., 5., 4., 4., 5.]);
        assert_eq!(write(&drawn, 2), [3., 3., 5., 5., 5., 5.]);
    }

    #[test]
    fn draws_cover_every_offset_and_both_sides() {
        let transform = Transform { flip: true, crop: 2, replicate: false };
        let mut stream = Seed(1).stream(Domain::Augment, 0, 0);
        let mut seen = std::collections::BTreeSet::new();
        for _ in 0..2_000 {
            let drawn = transform.draw(&mut stream);
            seen.insert((drawn.mirror, drawn.down, drawn.right));
        }
        assert_eq!(seen.len(), 2 * 5 * 5);
        assert!(seen.iter().all(|&(_, down, right)| down.abs() <= 2 && right.abs() <= 2));
    }
}
