//! Images in memory as bytes, turned into normalised floats when a batch is filled.

use super::{Dataset, Normalise, Shape, Transform};
use crate::{Batch, Targets};
use std::sync::Arc;
use varangian_base::Stream;

/// Labelled images, one byte a channel of a pixel, and how a view changes them.
pub struct Images {
    shape: Shape,
    classes: usize,
    pixels: Arc<Vec<u8>>,
    labels: Arc<Vec<u16>>,
    /// For each channel, what each byte becomes.
    lookup: Vec<[f32; 256]>,
    transform: Transform,
}

impl Images {
    /// Images packed one after another, each channels × height × width, with a label each; pixels
    /// in 0 to 1, unchanged.
    ///
    /// # Panics
    /// If the counts disagree or a label is not below `classes`; loaders check files before.
    pub fn new(shape: Shape, classes: usize, pixels: Vec<u8>, labels: Vec<u16>) -> Self {
        assert_eq!(pixels.len(), labels.len() * shape.len(), "one label an image");
        assert!(labels.iter().all(|&l| usize::from(l) < classes), "labels below {classes}");
        let lookup = lookup(&Normalise::none(shape.channels));
        let (pixels, labels) = (Arc::new(pixels), Arc::new(labels));
        Images { shape, classes, pixels, labels, lookup, transform: Transform::default() }
    }

    /// A view of the same stored images under this normalisation and transform.
    pub fn with(&self, normalise: &Normalise, transform: Transform) -> Self {
        assert_eq!(normalise.mean.len(), self.shape.channels, "one mean a channel");
        let (pixels, labels) = (self.pixels.clone(), self.labels.clone());
        let lookup = lookup(normalise);
        Images { shape: self.shape, classes: self.classes, pixels, labels, lookup, transform }
    }

    /// The bytes of image i.
    pub fn pixels(&self, i: usize) -> &[u8] {
        &self.pixels[i * self.shape.len()..(i + 1) * self.shape.len()]
    }

    /// The channels of image i.
    pub(crate) fn planes(&self, i: usize) -> impl Iterator<Item = &[u8]> {
        self.pixels(i).chunks_exact(self.shape.height * self.shape.width)
    }

    pub(crate) fn stored_shape(&self) -> Shape {
        self.shape
    }

    pub(crate) fn count(&self) -> usize {
        self.labels.len()
    }
}

fn lookup(normalise: &Normalise) -> Vec<[f32; 256]> {
    let table = |(mean, deviation): (&f32, &f32)| {
        std::array::from_fn(|byte| (byte as f32 / 255.0 - mean) / deviation)
    };
    normalise.mean.iter().zip(&normalise.deviation).map(table).collect()
}

impl Dataset for Images {
    fn len(&self) -> usize {
        self.labels.len()
    }

    fn shape(&self) -> Shape {
        self.shape
    }

    fn classes(&self) -> usize {
        self.classes
    }

    fn label(&self, i: usize) -> u32 {
        u32::from(self.labels[i])
    }

    fn fill(&self, indices: &[u32], augment: &mut Stream, batch: &mut Batch) {
        let plane = self.shape.height * self.shape.width;
        batch.len = indices.len();
        batch.inputs.resize(indices.len() * self.shape.len(), 0.0);
        let rows = batch.inputs.chunks_exact_mut(self.shape.len());
        for (&i, row) in indices.iter().zip(rows) {
            let drawn = (!self.transform.is_none()).then(|| self.transform.draw(augment));
            let planes = row.chunks_exact_mut(plane).zip(self.planes(i as usize));
            for ((out, bytes), table) in planes.zip(&self.lookup) {
                match &drawn {
                    Some(drawn) => drawn.write(bytes, self.shape.width, table, out),
                    None => look_up(bytes, table, out),
                }
            }
        }
        fill_labels(batch, indices.iter().map(|&i| self.label(i as usize)));
    }
}

/// Each byte's entry. Runs of black, of which images of characters are full, go in one piece.
fn look_up(bytes: &[u8], table: &[f32; 256], out: &mut [f32]) {
    let one = |(x, &byte): (&mut f32, &u8)| *x = table[usize::from(byte)];
    let (runs, rest) = bytes.as_chunks::<16>();
    let (pieces, last) = out.as_chunks_mut::<16>();
    for (run, out) in runs.iter().zip(pieces) {
        match *run == [0; 16] {
            true => *out = [table[0]; 16],
            false => out.iter_mut().zip(run).for_each(one),
        }
    }
    last.iter_mut().zip(rest).for_each(one);
}

/// Puts `labels` into the batch, reusing its vector.
pub(crate) fn fill_labels(batch: &mut Batch, labels: impl Iterator<Item = u32>) {
    if batch.labels_mut().is_none() {
        batch.targets = Targets::Labels(Vec::new());
    }
    if let Targets::Labels(out) = &mut batch.targets {
        out.clear();
        out.extend(labels);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use varangian_base::{Domain, Seed};

    fn two_images() -> Images {
        let shape = Shape { channels: 2, height: 1, width: 2 };
        Images::new(shape, 3, vec![0, 255, 0, 255, 51, 102, 51, 102], vec![2, 1])
    }

    fn close(a: &[f32], b: &[f32]) -> bool {
        a.len() == b.len() && a.iter().zip(b).all(|(x, y)| (x - y).abs() < 1e-6)
    }

    #[test]
    fn a_batch_is_normalised_by_channel_and_keeps_its_order() {
        let normalise = Normalise { mean: vec![0.0, 0.5], deviation: vec![1.0, 0.5] };
        let images = two_images().with(&normalise, Transform::default());
        let mut batch = Batch { targets: Targets::Values(vec![1.0]), ..Batch::default() };
        images.fill(&[1, 0], &mut Seed(0).stream(Domain::Augment, 0, 0), &mut batch);
        assert!(close(&batch.inputs, &[0.2, 0.4, -0.6, -0.2, 0.0, 1.0, -1.0, 1.0]));
        assert_eq!((batch.len, batch.targets), (2, Targets::Labels(vec![1, 2])));
    }

    #[test]
    fn augmenting_one_view_leaves_the_other_alone_and_is_replayed_by_its_stream() {
        let images = two_images();
        let none = Normalise::none(2);
        let flip = Transform { flip: true, ..Transform::default() };
        let (train, test) = (images.with(&none, flip), images.with(&none, Transform::default()));
        let draw = |set: &Images, step: u64| {
            let mut batch = Batch::default();
            let mut stream = Seed(0).stream(Domain::Augment, 0, step);
            set.fill(&[0, 1, 0, 1, 0], &mut stream, &mut batch);
            batch.inputs
        };
        assert_eq!(draw(&train, 1), draw(&train, 1));
        assert!((0..9).any(|step| draw(&train, step) != draw(&train, 0)));
        assert!((0..9).all(|step| draw(&test, step) == draw(&test, 0)));
        assert!(close(&draw(&test, 0)[..4], &[0.0, 1.0, 0.0, 1.0]));
    }

    #[test]
    fn measured_moments_are_those_of_the_pixels() {
        let measured = Normalise::measured(&two_images());
        assert!(close(&measured.mean, &[0.4, 0.4]));
        let deviation = ((0.16f32 + 0.36 + 0.04) / 4.0).sqrt();
        assert!(close(&measured.deviation, &[deviation; 2]), "{:?}", measured.deviation);
    }
}
