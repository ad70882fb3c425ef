//! Images in memory as bytes, turned into normalised floats when a batch is filled.

use super::{Dataset, Shape};
use crate::{Batch, Targets};
use varangian_base::Stream;

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
}

/// Labelled images, one byte a channel of a pixel.
pub struct Images {
    shape: Shape,
    classes: usize,
    pixels: Vec<u8>,
    labels: Vec<u8>,
    /// For each channel, what each byte becomes.
    lookup: Vec<[f32; 256]>,
}

impl Images {
    /// Images packed one after another, each channels × height × width, with a label each.
    ///
    /// # Panics
    /// If the counts disagree or a label is not below `classes`; loaders check files before.
    pub fn new(
        shape: Shape,
        classes: usize,
        pixels: Vec<u8>,
        labels: Vec<u8>,
        normalise: &Normalise,
    ) -> Self {
        assert_eq!(pixels.len(), labels.len() * shape.len(), "one label an image");
        assert!(labels.iter().all(|&l| usize::from(l) < classes), "labels below {classes}");
        let channel = |c: usize| -> [f32; 256] {
            let (mean, deviation) = (normalise.mean[c], normalise.deviation[c]);
            std::array::from_fn(|byte| (byte as f32 / 255.0 - mean) / deviation)
        };
        let lookup = (0..shape.channels).map(channel).collect();
        Images { shape, classes, pixels, labels, lookup }
    }

    /// The bytes of image i.
    pub fn pixels(&self, i: usize) -> &[u8] {
        &self.pixels[i * self.shape.len()..(i + 1) * self.shape.len()]
    }
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

    fn fill(&self, indices: &[u32], _augment: &mut Stream, batch: &mut Batch) {
        let plane = self.shape.height * self.shape.width;
        batch.len = indices.len();
        batch.inputs.resize(indices.len() * self.shape.len(), 0.0);
        let rows = batch.inputs.chunks_exact_mut(self.shape.len());
        for (&i, row) in indices.iter().zip(rows) {
            let planes = self.pixels(i as usize).chunks_exact(plane);
            for ((out, bytes), table) in
                row.chunks_exact_mut(plane).zip(planes).zip(self.lookup.iter())
            {
                for (x, &byte) in out.iter_mut().zip(bytes) {
                    *x = table[usize::from(byte)];
                }
            }
        }
        fill_labels(batch, indices.iter().map(|&i| self.label(i as usize)));
    }
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

    #[test]
    fn a_batch_is_normalised_by_channel_and_keeps_its_order() {
        let shape = Shape { channels: 2, height: 1, width: 2 };
        let normalise = Normalise { mean: vec![0.0, 0.5], deviation: vec![1.0, 0.5] };
        let pixels = vec![0, 255, 0, 255, 51, 102, 51, 102];
        let images = Images::new(shape, 3, pixels, vec![2, 1], &normalise);
        let mut batch = Batch { targets: Targets::Values(vec![1.0]), ..Batch::default() };
        images.fill(&[1, 0], &mut Seed(0).stream(Domain::Augment, 0, 0), &mut batch);
        let wanted = [0.2, 0.4, -0.6, -0.2, 0.0, 1.0, -1.0, 1.0];
        assert!(batch.inputs.iter().zip(wanted).all(|(x, w)| (x - w).abs() < 1e-6));
        assert_eq!((batch.len, batch.targets), (2, Targets::Labels(vec![1, 2])));
    }
}
