//! Channels-last images: borders, and the order of channels.

use crate::data::Shape;

/// What stands in the border around an image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Border {
    /// Zeros.
    Zeros,
    /// The nearest pixel of the image.
    Replicate,
}

/// An image in a larger frame: `before` pixels above and to the left, the rest below and right.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Frame {
    pub(crate) image: Shape,
    pub(crate) before: usize,
    pub(crate) height: usize,
    pub(crate) width: usize,
}

impl Frame {
    /// The floats of the framed image.
    pub(crate) fn len(&self) -> usize {
        self.height * self.width * self.image.channels
    }

    /// Whether the frame is the image itself.
    pub(crate) fn is_image(&self) -> bool {
        (self.before, self.height, self.width) == (0, self.image.height, self.image.width)
    }

    /// Copies the image into the frame.
    pub(crate) fn set(&self, image: &[f32], border: Border, framed: &mut [f32]) {
        let (c, p) = (self.image.channels, self.before);
        let row = self.image.width * c;
        let whole = self.width * c;
        let framed = &mut framed[..self.len()];
        for (y, out) in framed.chunks_exact_mut(whole).enumerate() {
            let from = match border {
                Border::Zeros => (p..p + self.image.height).contains(&y).then(|| y - p),
                Border::Replicate => Some(y.saturating_sub(p).min(self.image.height - 1)),
            };
            let Some(from) = from else {
                out.fill(0.0);
                continue;
            };
            let image = &image[from * row..(from + 1) * row];
            out[p * c..p * c + row].copy_from_slice(image);
            let (left, rest) = out.split_at_mut(p * c);
            let right = &mut rest[row..];
            if border == Border::Zeros {
                left.fill(0.0);
                right.fill(0.0);
            } else {
                left.chunks_exact_mut(c).for_each(|x| x.copy_from_slice(&image[..c]));
                right.chunks_exact_mut(c).for_each(|x| x.copy_from_slice(&image[row - c..]));
            }
        }
    }

    /// As [`Frame::set`] where the frame holds another image between zeros: these stay.
    pub(crate) fn replace(&self, image: &[f32], framed: &mut [f32]) {
        let (c, p) = (self.image.channels, self.before);
        let row = self.image.width * c;
        let lines = framed[..self.len()].chunks_exact_mut(self.width * c).skip(p);
        for (line, image) in lines.zip(image.chunks_exact(row)) {
            line[p * c..p * c + row].copy_from_slice(image);
        }
    }

    /// The adjoint of [`Frame::set`]: gathers from the frame into the image, added where `add`.
    pub(crate) fn gather(&self, framed: &[f32], border: Border, image: &mut [f32], add: bool) {
        let (c, p) = (self.image.channels, self.before);
        let (height, width) = (self.image.height, self.image.width);
        if !add {
            image.fill(0.0);
        }
        for (y, row) in framed[..self.len()].chunks_exact(self.width * c).enumerate() {
            let Some(to) = place(y, p, height, border) else { continue };
            for (x, pixel) in row.chunks_exact(c).enumerate() {
                let Some(across) = place(x, p, width, border) else { continue };
                let at = (to * width + across) * c;
                for (sum, &d) in image[at..at + c].iter_mut().zip(pixel) {
                    *sum += d;
                }
            }
        }
    }
}

/// The image's row or column that the frame's row or column `x` shows.
fn place(x: usize, before: usize, len: usize, border: Border) -> Option<usize> {
    match border {
        Border::Zeros => (before..before + len).contains(&x).then(|| x - before),
        Border::Replicate => Some(x.saturating_sub(before).min(len - 1)),
    }
}

/// From channels first to channels last.
pub(crate) fn to_channels_last(shape: Shape, image: &[f32], out: &mut [f32]) {
    let (c, pixels) = (shape.channels, shape.height * shape.width);
    for (channel, plane) in image.chunks_exact(pixels).enumerate() {
        for (out, &x) in out[channel..].iter_mut().step_by(c).zip(plane) {
            *out = x;
        }
    }
}

/// From channels last to channels first; added where `add`.
pub(crate) fn to_channels_first(shape: Shape, image: &[f32], out: &mut [f32], add: bool) {
    let (c, pixels) = (shape.channels, shape.height * shape.width);
    for (channel, plane) in out.chunks_exact_mut(pixels).enumerate() {
        for (out, &x) in plane.iter_mut().zip(image[channel..].iter().step_by(c)) {
            *out = if add { *out + x } else { x };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gathering_is_the_adjoint_of_framing() {
        // ⟨frame(x), y⟩ = ⟨x, gather(y)⟩ on numbers that add without rounding.
        let image = Shape { channels: 2, height: 3, width: 4 };
        let frame = Frame { image, before: 2, height: 8, width: 7 };
        let x: Vec<f32> = (0..24).map(|i| (i % 5) as f32).collect();
        let y: Vec<f32> = (0..112).map(|i| (i % 7) as f32).collect();
        let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f32>();
        for border in [Border::Zeros, Border::Replicate] {
            let (mut framed, mut back) = (vec![f32::NAN; 112], vec![f32::NAN; 24]);
            frame.set(&x, border, &mut framed);
            frame.gather(&y, border, &mut back, false);
            assert_eq!(dot(&framed, &y), dot(&x, &back), "{border:?}");
        }
    }

    #[test]
    fn orders_are_inverse() {
        let shape = Shape { channels: 3, height: 2, width: 5 };
        let x: Vec<f32> = (0..30).map(|i| i as f32).collect();
        let (mut last, mut first) = (vec![0.0; 30], vec![0.0; 30]);
        to_channels_last(shape, &x, &mut last);
        assert_eq!(last[..4], [0.0, 10.0, 20.0, 1.0]);
        to_channels_first(shape, &last, &mut first, false);
        assert_eq!(x, first);
    }
}
