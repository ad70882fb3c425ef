//! Glyphs: 70,000 images of the ten digits, drawn here, so that a first run needs no download.
//!
//! An image is drawn at the address (`Domain::Data`, 1 + split, index): a hand out of
//! [`DIGITS`], each of its points shifted a little, the whole bent by a smooth field, scaled,
//! sheared, rotated, moved; a pen of some thickness and softness; noise. Only additions,
//! multiplications, divisions and square roots are used, so that the bits are the same everywhere.

use super::glyphs_strokes::{DIGITS, Point, Stroke};
use super::transform::{CROP, FLIP, NORMALISE, Options, PAD, grey};
use super::{DataError, Facts, Images, Place, Shape, Source, Split};
use rayon::prelude::*;
use varangian_base::{Domain, Entry, Seed, Stream};

/// The built-in digits.
pub(crate) static ENTRY: Entry<dyn Source, Facts> = Entry {
    name: "glyphs",
    summary: "Built-in handwritten digits, 28 × 28 grey, drawn from strokes; needs no files.",
    paper: "none: drawn by this program",
    differs: &[],
    params: &[NORMALISE, FLIP, CROP, PAD],
    cost: "55 MB in memory; some seconds of one core to draw",
    facts: Facts { size: "60,000 + 10,000, 10 classes, 1 × 28 × 28", files: &[] },
    build: |args| Ok(Box::new(Glyphs { options: Options::read(args, grey(MEAN, DEVIATION)) })),
};

const SIDE: usize = 28;
const PIXELS: usize = SIDE * SIDE;
const TRAIN: usize = 60_000;
const TEST: usize = 10_000;
/// Mean and deviation of all pixels, rounded; the same for every seed.
const MEAN: f32 = 0.122;
const DEVIATION: f32 = 0.235;
/// Images drawn by one task.
const BLOCK: usize = 250;
/// Straight pieces that a smooth stretch between two points is cut into.
const PIECES: usize = 5;

struct Glyphs {
    options: Options,
}

impl Source for Glyphs {
    fn load(&self, place: &Place) -> Result<Split, DataError> {
        let view = |split: u32, count: usize| {
            let (pixels, labels) = draw_all(place.seed, split, count);
            let shape = Shape { channels: 1, height: SIDE, width: SIDE };
            Images::new(shape, 10, pixels, labels.into_iter().map(u16::from).collect())
        };
        Ok(self.options.views(view(0, TRAIN), view(1, TEST)))
    }
}

/// Draws the first `count` images of a split, in blocks.
fn draw_all(seed: Seed, split: u32, count: usize) -> (Vec<u8>, Vec<u8>) {
    let mut pixels = vec![0; count * PIXELS];
    let mut labels = vec![0; count];
    let blocks = pixels.par_chunks_mut(BLOCK * PIXELS).zip(labels.par_chunks_mut(BLOCK));
    blocks.enumerate().for_each(|(block, (pixels, labels))| {
        let mut canvas = Canvas::default();
        for (k, (image, label)) in pixels.chunks_exact_mut(PIXELS).zip(labels).enumerate() {
            let index = (block * BLOCK + k) as u64;
            let mut stream = seed.stream(Domain::Data, 1 + split, index);
            *label = stream.below(10) as u8;
            draw(usize::from(*label), &mut stream, &mut canvas, image);
        }
    });
    (pixels, labels)
}

/// Draws one image of `digit`.
fn draw(digit: usize, stream: &mut Stream, canvas: &mut Canvas, image: &mut [u8]) {
    let hand = DIGITS[digit][stream.below(DIGITS[digit].len())];
    let warp = Warp::draw(stream);
    let radius = stream.between(0.6, 2.0);
    let softness = stream.between(0.7, 1.6);
    canvas.clear();
    for &stroke in hand {
        canvas.trace(stroke, &warp, stream);
    }
    canvas.ink(radius + softness);
    let ink = stream.between(0.5, 1.0);
    let noise = stream.between(0.0, 0.3);
    canvas.develop(radius, softness, ink, noise, stream, image);
}

/// How a whole glyph is moved and bent.
struct Warp {
    /// Row-major 2 × 2, from hundredths of the box around its centre to pixels.
    linear: [f32; 4],
    shift: Point,
    /// Strength of the smooth bending field in each direction: terms xy, x², y².
    bend: [f32; 6],
    /// How far each point may stray, in hundredths of the box.
    jitter: f32,
}

impl Warp {
    fn draw(stream: &mut Stream) -> Warp {
        // A rotation by the angle whose half has tangent t: no trigonometry, the same bits
        // anywhere.
        let t = 0.16 * (stream.between(-1.0, 1.0) + stream.between(-1.0, 1.0)) / 1.3;
        let (cos, sin) = ((1.0 - t * t) / (1.0 + t * t), 2.0 * t / (1.0 + t * t));
        let size = stream.between(0.16, 0.225);
        let (wide, tall) = (size * stream.between(0.72, 1.08), size);
        let slant = stream.between(-0.32, 0.22);
        let upright = [wide, -slant * wide, 0.0, tall];
        let linear = [
            cos * upright[0] - sin * upright[2],
            cos * upright[1] - sin * upright[3],
            sin * upright[0] + cos * upright[2],
            sin * upright[1] + cos * upright[3],
        ];
        let shift = (stream.between(-2.0, 2.0), stream.between(-2.0, 2.0));
        let bend = std::array::from_fn(|_| stream.between(-0.0035, 0.0035));
        Warp { linear, shift, bend, jitter: stream.between(3.0, 11.0) }
    }

    /// Where a point of the box comes to lie, in pixels.
    fn place(&self, (x, y): Point) -> Point {
        let (x, y) = (x - 50.0, y - 50.0);
        let b = &self.bend;
        let (x, y) = (
            x + b[0] * x * y + b[1] * x * x + b[2] * y * y,
            y + b[3] * x * y + b[4] * x * x + b[5] * y * y,
        );
        let middle = SIDE as f32 / 2.0;
        let m = &self.linear;
        (middle + self.shift.0 + m[0] * x + m[1] * y, middle + self.shift.1 + m[2] * x + m[3] * y)
    }
}

/// The pen's path and, for each pixel, the squared distance to it.
struct Canvas {
    points: Vec<Point>,
    pieces: Vec<(Point, Point)>,
    distance: [f32; PIXELS],
}

impl Default for Canvas {
    fn default() -> Self {
        Canvas { points: Vec::new(), pieces: Vec::new(), distance: [0.0; PIXELS] }
    }
}

impl Canvas {
    fn clear(&mut self) {
        self.pieces.clear();
        self.distance.fill(f32::MAX);
    }

    /// Adds a stroke's straight pieces, its points strayed and warped.
    fn trace(&mut self, stroke: Stroke, warp: &Warp, stream: &mut Stream) {
        let (Stroke::Line(points) | Stroke::Curve(points) | Stroke::Loop(points)) = stroke;
        self.points.clear();
        for &(x, y) in points {
            let (dx, dy) = (stream.between(-1.0, 1.0), stream.between(-1.0, 1.0));
            self.points.push(warp.place((x + warp.jitter * dx, y + warp.jitter * dy)));
        }
        let n = self.points.len();
        let at = |i: isize| match stroke {
            Stroke::Loop(_) => self.points[i.rem_euclid(n as isize) as usize],
            _ => self.points[i.clamp(0, n as isize - 1) as usize],
        };
        let stretches = if matches!(stroke, Stroke::Loop(_)) { n } else { n - 1 } as isize;
        for i in 0..stretches {
            if matches!(stroke, Stroke::Line(_)) {
                self.pieces.push((at(i), at(i + 1)));
                continue;
            }
            let around = [at(i - 1), at(i), at(i + 1), at(i + 2)];
            let mut from = around[1];
            for piece in 1..=PIECES {
                let to = smooth(around, piece as f32 / PIECES as f32);
                self.pieces.push((from, to));
                from = to;
            }
        }
    }

    /// Lowers each pixel's distance to that of the nearest piece, where it is within `reach`.
    fn ink(&mut self, reach: f32) {
        for &(a, b) in &self.pieces {
            let (dx, dy) = (b.0 - a.0, b.1 - a.1);
            let scale = 1.0 / (dx * dx + dy * dy).max(1e-6);
            let (left, right) = span(a.0.min(b.0) - reach, a.0.max(b.0) + reach);
            let (top, bottom) = span(a.1.min(b.1) - reach, a.1.max(b.1) + reach);
            for row in top..bottom {
                let py = row as f32 + 0.5 - a.1;
                for column in left..right {
                    let px = column as f32 + 0.5 - a.0;
                    let along = ((px * dx + py * dy) * scale).clamp(0.0, 1.0);
                    let (ex, ey) = (px - along * dx, py - along * dy);
                    let slot = &mut self.distance[row * SIDE + column];
                    *slot = slot.min(ex * ex + ey * ey);
                }
            }
        }
    }

    /// Turns distances into bytes: full ink within the pen, fading over `softness`, plus noise of
    /// triangular distribution.
    fn develop(
        &self,
        radius: f32,
        softness: f32,
        ink: f32,
        noise: f32,
        stream: &mut Stream,
        image: &mut [u8],
    ) {
        use rand::Rng;
        let mut grain = [0u8; 2 * PIXELS];
        stream.fill_bytes(&mut grain);
        let edge = radius + 0.5 * softness;
        for (i, (byte, &square)) in image.iter_mut().zip(&self.distance).enumerate() {
            let near = if square == f32::MAX { 0.0 } else { (edge - square.sqrt()) / softness };
            let grey = (f32::from(grain[2 * i]) - f32::from(grain[2 * i + 1])) * (1.0 / 255.0);
            let value = ink * near.clamp(0.0, 1.0) + noise * grey;
            *byte = (value.clamp(0.0, 1.0) * 255.0 + 0.5) as u8;
        }
    }
}

/// The pixels whose centres lie between two coordinates.
fn span(low: f32, high: f32) -> (usize, usize) {
    let clip = |v: f32| v.clamp(0.0, SIDE as f32) as usize;
    (clip(low), clip(high + 1.0))
}

/// The Catmull-Rom curve from the second to the third of four points.
fn smooth(p: [Point; 4], t: f32) -> Point {
    let axis = |a: f32, b: f32, c: f32, d: f32| {
        let slope = c - a;
        let square = 2.0 * a - 5.0 * b + 4.0 * c - d;
        let cube = 3.0 * (b - c) + d - a;
        b + 0.5 * t * (slope + t * (square + t * cube))
    };
    (axis(p[0].0, p[1].0, p[2].0, p[3].0), axis(p[0].1, p[1].1, p[2].1, p[3].1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn images_depend_on_seed_and_index_alone() {
        let (all, labels) = draw_all(Seed(5), 0, 600);
        let one = rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap();
        assert_eq!(one.install(|| draw_all(Seed(5), 0, 600)), (all.clone(), labels.clone()));
        let (few, _) = draw_all(Seed(5), 0, 7);
        assert_eq!(few, all[..7 * PIXELS]);
        assert_ne!(draw_all(Seed(6), 0, 7).0, few);
        assert_ne!(draw_all(Seed(5), 1, 7).0, few);
        assert!((0..10).all(|digit| labels.iter().filter(|&&l| l == digit).count() > 30));
    }

    #[test]
    fn the_pixels_are_pinned() {
        // A change of this sum would change every result published on glyphs.
        let (pixels, _) = draw_all(Seed(1), 0, 100);
        let sum = pixels.iter().fold(0u64, |s, &p| s.wrapping_mul(31).wrapping_add(p.into()));
        assert_eq!(sum, PINNED);
    }
    const PINNED: u64 = 2_287_163_735_050_993_527;

    #[test]
    fn the_stated_mean_and_deviation_are_those_of_the_pixels() {
        let (pixels, _) = draw_all(Seed(2), 0, 2_000);
        let count = pixels.len() as f64;
        let mean = pixels.iter().map(|&p| f64::from(p) / 255.0).sum::<f64>() / count;
        let square = pixels.iter().map(|&p| (f64::from(p) / 255.0).powi(2)).sum::<f64>() / count;
        let deviation = (square - mean * mean).sqrt();
        assert!((mean - f64::from(MEAN)).abs() < 0.01, "{mean}");
        assert!((deviation - f64::from(DEVIATION)).abs() < 0.01, "{deviation}");
    }
}
