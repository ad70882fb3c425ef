//! Convolutions.

use super::geometry::{Geometry, Method};
use super::layer::{Keep, Layer, Pass, Sink, Spare, Values};
use crate::data::Shape;
use crate::kernels::channels::bias_gradient;
use crate::kernels::floats::Floats;
use crate::kernels::image::{Border, Frame};
use crate::kernels::panel::{self, Taps};
use crate::kernels::pointwise::{add_to, put, rectify};
use crate::kernels::product::{Mat, product};
use crate::kernels::winograd::{self, Finish, Tiles, Weights};

/// A convolution with square kernels, weights O × I × size × size at `weight`.
pub(crate) struct Conv {
    pub(crate) input: Shape,
    pub(crate) output: Shape,
    pub(crate) size: usize,
    pub(crate) stride: usize,
    pub(crate) pad: usize,
    pub(crate) border: Border,
    pub(crate) weight: usize,
    pub(crate) bias: Option<usize>,
    method: Method,
    /// Whether it computes the rectifier behind it.
    pub(crate) rectify: bool,
    /// The starts of the output pixels in the framed input, and of the kernel's rows.
    forward: (Vec<u32>, Vec<u32>),
    /// The same for the gradient by the framed input, of stride 1.
    backward: (Vec<u32>, Vec<u32>),
}

/// The starts of output pixels in a framed image of `width` pixels of `c` floats, and of the
/// rows of a kernel of `size`.
fn starts(out: Shape, size: usize, stride: usize, width: usize, c: usize) -> (Vec<u32>, Vec<u32>) {
    let pixels = (0..out.height).flat_map(|y| (0..out.width).map(move |x| (y, x)));
    let bases = pixels.map(|(y, x)| (stride * (y * width + x) * c) as u32).collect();
    (bases, (0..size).map(|row| (row * width * c) as u32).collect())
}

impl Conv {
    pub(crate) fn new(
        geometry: Geometry,
        method: Method,
        weight: usize,
        bias: Option<usize>,
    ) -> Self {
        let Geometry { input, size, stride, pad, border, .. } = geometry;
        let output = geometry.output();
        let few = input.channels.min(output.channels);
        let mut conv = Conv {
            input,
            output,
            size,
            stride,
            pad,
            border,
            weight,
            bias,
            method: method.settle(size, stride, pad, few),
            rectify: false,
            forward: Default::default(),
            backward: Default::default(),
        };
        conv.forward = starts(output, size, stride, conv.frame().width, input.channels);
        if conv.slides() {
            let (back, to) = (conv.back_frame(), conv.back_shape());
            conv.backward = starts(to, size, 1, back.width, output.channels);
        }
        conv
    }

    /// The length of a patch.
    fn patch(&self) -> usize {
        self.size * self.size * self.input.channels
    }

    /// Whether the gradient by the input is a convolution too.
    fn slides(&self) -> bool {
        self.stride == 1 && self.pad < self.size && self.method != Method::Im2col
    }

    /// The input in its border.
    fn frame(&self) -> Frame {
        let Shape { height, width, .. } = self.input;
        let (height, width) = (height + 2 * self.pad, width + 2 * self.pad);
        Frame { image: self.input, before: self.pad, height, width }
    }

    /// The image by which the backward convolution makes a gradient: the input, or the framed
    /// input where its border repeats pixels.
    fn back_shape(&self) -> Shape {
        match self.border {
            Border::Zeros => self.input,
            Border::Replicate => {
                let Frame { height, width, .. } = self.frame();
                Shape { channels: self.input.channels, height, width }
            }
        }
    }

    /// The gradient by the output in the border that the backward convolution needs.
    fn back_frame(&self) -> Frame {
        let pad = if self.border == Border::Zeros { self.pad } else { 0 };
        let (before, to) = (self.size - 1 - pad, self.back_shape());
        let (height, width) = (to.height + self.size - 1, to.width + self.size - 1);
        Frame { image: self.output, before, height, width }
    }

    fn tiles(&self) -> Tiles {
        let (input, output, before, border) = (self.input, self.output, self.pad, self.border);
        Tiles { input, output, size: self.size, before, border }
    }

    fn back_tiles(&self) -> Tiles {
        let Frame { before, .. } = self.back_frame();
        let (input, output, size) = (self.output, self.back_shape(), self.size);
        Tiles { input, output, size, before, border: Border::Zeros }
    }

    /// The method of the forward pass.
    fn method(&self, lean: bool) -> Method {
        if lean && self.method == Method::Winograd { Method::Direct } else { self.method }
    }

    /// The floats of the prepared forward weights; the backward ones follow.
    fn split(&self, lean: bool) -> usize {
        let (c, o) = (self.input.channels, self.output.channels);
        match self.method(lean) {
            Method::Winograd => winograd::planes(self.size) * panel::packed(c, o),
            Method::Im2col => self.patch() * o,
            _ => panel::packed(self.patch(), o),
        }
    }

    fn bias<'a>(&self, pass: &Pass<'a>) -> &'a [f32] {
        self.bias.map_or(&[], |at| &pass.params[at..at + self.output.channels])
    }

    /// Where the weight of output 0 and entry k of a channels-last patch stands.
    fn entry(&self, k: usize) -> usize {
        k % self.input.channels * self.size * self.size + k / self.input.channels
    }

    /// Framed image i, or the image itself where there is no border.
    fn framed<'a>(&self, frame: &Frame, image: &'a [f32], memory: &'a mut Floats) -> &'a [f32] {
        if frame.is_image() {
            return image;
        }
        let border = if frame.image == self.input { self.border } else { Border::Zeros };
        let framed = memory.room(frame.len());
        frame.set(image, border, framed);
        framed
    }

    fn taps<'a>(&'a self, data: &'a [f32]) -> Taps<'a> {
        let (bases, segments) = &self.forward;
        Taps { data, bases, segments, run: self.size * self.input.channels }
    }

    /// Gathers the patches of a framed image into `columns`, one a row.
    fn gather(&self, framed: &[f32], columns: &mut Floats) {
        let (taps, patch) = (self.taps(framed), self.patch());
        let columns = columns.room(taps.bases.len() * patch);
        for (row, &base) in columns.chunks_exact_mut(patch).zip(taps.bases) {
            for (to, &segment) in row.chunks_exact_mut(taps.run).zip(taps.segments) {
                let from = (base + segment) as usize;
                to.copy_from_slice(&framed[from..from + taps.run]);
            }
        }
    }

    /// The gradient by the weights from sums in the order of patches.
    fn unpack(&self, sums: &[f32], gradient: &mut [f32]) {
        let (taps, c) = (self.size * self.size, self.input.channels);
        let o = self.output.channels;
        for (output, part) in gradient.chunks_exact_mut(taps * c).enumerate() {
            for (channel, part) in part.chunks_exact_mut(taps).enumerate() {
                for (tap, to) in part.iter_mut().enumerate() {
                    *to = sums[(tap * c + channel) * o + output];
                }
            }
        }
    }

    fn weight_gradient(&self, input: &[f32], d: &[f32], out: &mut [f32], spare: &mut Spare) {
        let (c, o) = (self.input.channels, self.output.channels);
        let mut sums = std::mem::take(&mut spare.b);
        if self.method == Method::Winograd {
            let sums = sums.room(winograd::planes(self.size) * c * o);
            sums.fill(0.0);
            self.tiles().weight_gradient(input, d, sums, &mut spare.space);
            winograd::unpack(self.size, c, sums, out);
        } else {
            let sums = sums.room(self.patch() * o);
            sums.fill(0.0);
            let images = input.chunks_exact(self.input.len());
            let mut columns = Floats::default();
            for (image, d) in images.zip(d.chunks_exact(self.output.len())) {
                let framed = self.framed(&self.frame(), image, &mut spare.a);
                if self.method == Method::Im2col {
                    self.gather(framed, &mut columns);
                    let pixels = self.output.height * self.output.width;
                    let left = Mat::rows(&columns, self.patch()).t();
                    product(self.patch(), o, pixels, left, Mat::rows(d, o), sums, true);
                } else {
                    panel::transposed_times(&self.taps(framed), d, o, sums);
                }
            }
            self.unpack(sums, out);
        }
        spare.b = sums;
    }

    /// The gradient by the input where that is a convolution with flipped weights.
    fn slide_back(&self, weights: &[f32], d: &[f32], sink: Sink, spare: &mut Spare) {
        let (to, c) = (self.back_shape(), self.input.channels);
        let samples = d.len() / self.output.len();
        let plain = to == self.input && !sink.add;
        let mut own = std::mem::take(&mut spare.b);
        let out = if plain { &mut *sink.data } else { own.room(samples * to.len()) };
        if self.method == Method::Winograd {
            self.back_tiles().forward(d, weights, Finish::default(), out, &mut spare.space);
        } else {
            let (bases, segments) = &self.backward;
            for (d, out) in d.chunks_exact(self.output.len()).zip(out.chunks_exact_mut(to.len())) {
                let data = self.framed(&self.back_frame(), d, &mut spare.a);
                let run = self.size * self.output.channels;
                panel::times(&Taps { data, bases, segments, run }, weights, c, &[], out);
            }
        }
        if to != self.input {
            let images = own.chunks_exact(to.len()).take(samples);
            for (d, dx) in images.zip(sink.data.chunks_exact_mut(self.input.len())) {
                self.frame().gather(d, self.border, dx, sink.add);
            }
        } else if sink.add {
            add_to(&own[..samples * to.len()], sink.data);
        }
        spare.b = own;
    }

    /// The gradient by the input through the gradients by patches.
    fn scatter_back(&self, weights: &[f32], d: &[f32], sink: Sink, spare: &mut Spare) {
        let (patch, o) = (self.patch(), self.output.channels);
        let (frame, pixels) = (self.frame(), self.output.height * self.output.width);
        let mut columns = std::mem::take(&mut spare.b);
        let framed = spare.a.room(frame.len());
        let images = d.chunks_exact(self.output.len());
        for (d, dx) in images.zip(sink.data.chunks_exact_mut(self.input.len())) {
            let right = Mat::rows(weights, o).t();
            product(pixels, patch, o, Mat::rows(d, o), right, columns.room(pixels * patch), false);
            framed.fill(0.0);
            let (bases, segments) = &self.forward;
            for (row, &base) in columns.chunks_exact(patch).zip(bases) {
                for (part, &segment) in row.chunks_exact(patch / self.size).zip(segments) {
                    let from = (base + segment) as usize;
                    add_to(part, &mut framed[from..from + part.len()]);
                }
            }
            if frame.is_image() {
                put(framed, dx, sink.add);
            } else {
                frame.gather(framed, self.border, dx, sink.add);
            }
        }
        spare.b = columns;
    }
}

impl Layer for Conv {
    fn learns(&self) -> bool {
        true
    }

    fn prepare(&self, params: &[f32], lean: bool, out: &mut Floats) {
        let (c, o, taps) = (self.input.channels, self.output.channels, self.size * self.size);
        let w = &params[self.weight..self.weight + o * c * taps];
        let split = self.split(lean);
        let behind = match (self.slides(), self.method) {
            _ if lean => 0,
            (true, Method::Winograd) => winograd::planes(self.size) * panel::packed(o, c),
            (true, _) => panel::packed(taps * o, c),
            (false, _) => self.patch() * o,
        };
        out.resize(split + behind);
        let (forward, backward) = out.split_at_mut(split);
        let patch = self.patch();
        match self.method(lean) {
            Method::Winograd => {
                let (one, all) = (taps, taps * c);
                let there = Weights {
                    data: w,
                    inputs: c,
                    outputs: o,
                    by_input: one,
                    by_output: all,
                    flip: false,
                };
                winograd::pack(self.size, there, forward);
                let back = Weights {
                    inputs: o,
                    outputs: c,
                    by_input: all,
                    by_output: one,
                    flip: true,
                    ..there
                };
                winograd::pack(self.size, back, backward);
            }
            Method::Im2col => rows(patch, o, w, |k| self.entry(k), patch, forward),
            _ => panel::pack(patch, o, w, |k| self.entry(k), patch, forward),
        }
        if lean {
            return;
        }
        if self.slides() && self.method != Method::Winograd {
            let flipped = |k: usize| k % o * patch + taps - 1 - k / o;
            panel::pack(taps * o, c, w, flipped, taps, backward);
        } else if !self.slides() {
            rows(patch, o, w, |k| self.entry(k), patch, backward);
        }
    }

    fn forward(
        &self,
        pass: &Pass,
        input: &[f32],
        output: &mut [f32],
        _: &mut Keep,
        spare: &mut Spare,
    ) {
        let (weights, bias) = (&pass.prepared[..self.split(pass.lean)], self.bias(pass));
        if self.method(pass.lean) == Method::Winograd {
            let finish = Finish { bias, rectify: self.rectify };
            return self.tiles().forward(input, weights, finish, output, &mut spare.space);
        }
        let o = self.output.channels;
        let images = input.chunks_exact(self.input.len());
        for (image, out) in images.zip(output.chunks_exact_mut(self.output.len())) {
            let framed = self.framed(&self.frame(), image, &mut spare.a);
            if self.method == Method::Im2col {
                self.gather(framed, &mut spare.b);
                match bias {
                    [] => out.fill(0.0),
                    _ => out.chunks_exact_mut(o).for_each(|pixel| pixel.copy_from_slice(bias)),
                }
                let (pixels, k) = (out.len() / o, self.patch());
                product(pixels, o, k, Mat::rows(&spare.b, k), Mat::rows(weights, o), out, true);
            } else {
                panel::times(&self.taps(framed), weights, o, bias, out);
            }
            if self.rectify {
                rectify(out);
            }
        }
    }

    fn backward(
        &self,
        pass: &Pass,
        values: Values,
        d_output: &mut [f32],
        sink: Option<Sink>,
        gradient: &mut [f32],
        _: &mut Keep,
        spare: &mut Spare,
    ) {
        let len = self.patch() * self.output.channels;
        let weights = &mut gradient[self.weight..self.weight + len];
        self.weight_gradient(values.input, d_output, weights, spare);
        if let Some(at) = self.bias {
            bias_gradient(d_output, &mut gradient[at..at + self.output.channels]);
        }
        let Some(sink) = sink else { return };
        let weights = &pass.prepared[self.split(false)..];
        match self.slides() {
            true => self.slide_back(weights, d_output, sink, spare),
            false => self.scatter_back(weights, d_output, sink, spare),
        }
    }
}

/// A k × n matrix with packed rows, whose entry (i, j) stands at `row(i)` + j·`across` of `from`.
fn rows(
    k: usize,
    n: usize,
    from: &[f32],
    row: impl Fn(usize) -> usize,
    across: usize,
    out: &mut [f32],
) {
    for (i, to) in out[..k * n].chunks_exact_mut(n).enumerate() {
        let from = from[row(i)..].iter().step_by(across);
        to.iter_mut().zip(from).for_each(|(to, &x)| *to = x);
    }
}
