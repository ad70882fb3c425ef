//! Images as bytes, in memory or in a file, turned into normalised floats when a batch is filled.

use super::pixels::Pixels;
use super::{Dataset, Normalise, Shape, Transform};
use crate::kernels::bytes;
use crate::{Batch, Targets};
use std::sync::Arc;
use varangian_base::Stream;

/// Labelled images, one byte a channel of a pixel, and how a view changes them.
pub struct Images {
    shape: Shape,
    classes: usize,
    pixels: Arc<Pixels>,
    labels: Arc<Vec<u16>>,
    /// For each channel, what each byte becomes.
    lookup: Vec<[f32; 256]>,
    transform: Transform,
    fingerprint: Option<[u8; 32]>,
}

impl Images {
    /// Images packed one after another, each channels × height × width, with a label each; pixels
    /// in 0 to 1, unchanged.
    ///
    /// # Panics
    /// If the counts disagree or a label is not below `classes`; loaders check files before.
    pub fn new(shape: Shape, classes: usize, pixels: Vec<u8>, labels: Vec<u16>) -> Self {
        assert_eq!(pixels.len(), labels.len() * shape.len(), "one label an image");
        Images::of(shape, classes, Pixels::Memory(pixels), labels)
    }

    /// As [`Images::new`], with pixels wherever they are.
    pub(super) fn of(shape: Shape, classes: usize, pixels: Pixels, labels: Vec<u16>) -> Self {
        assert!(labels.iter().all(|&l| usize::from(l) < classes), "labels below {classes}");
        let lookup = lookup(&Normalise::none(shape.channels));
        let (pixels, labels) = (Arc::new(pixels), Arc::new(labels));
        let transform = Transform::default();
        Images { shape, classes, pixels, labels, lookup, transform, fingerprint: None }
    }

    /// The same images with a hash of all of them, for files whose content nobody vouches for:
    /// it may change from day to day.
    #[must_use]
    pub fn from_files(mut self) -> Self {
        let mut hasher = blake3::Hasher::new();
        self.labels.iter().for_each(|label| {
            hasher.update(&label.to_le_bytes());
        });
        self.pixels.each((self.count(), self.shape.len()), |image| {
            hasher.update(image);
        });
        self.fingerprint = Some(*hasher.finalize().as_bytes());
        self
    }

    /// A view of the same stored images under this normalisation and transform.
    pub fn with(&self, normalise: &Normalise, transform: Transform) -> Self {
        assert_eq!(normalise.mean.len(), self.shape.channels, "one mean a channel");
        let (pixels, labels) = (self.pixels.clone(), self.labels.clone());
        let (lookup, fingerprint) = (lookup(normalise), self.fingerprint);
        let (shape, classes) = (self.shape, self.classes);
        Images { shape, classes, pixels, labels, lookup, transform, fingerprint }
    }

    /// The bytes of image i; `room` holds them where they have to be read.
    pub fn pixels<'a>(&'a self, i: usize, room: &'a mut Vec<u8>) -> &'a [u8] {
        self.pixels.image(i, self.shape.len(), room)
    }

    /// The channels of image i, likewise.
    pub(crate) fn planes<'a>(
        &'a self,
        i: usize,
        room: &'a mut Vec<u8>,
    ) -> impl Iterator<Item = &'a [u8]> {
        self.pixels(i, room).chunks_exact(self.shape.height * self.shape.width)
    }

    /// The first image of `test` whose class none of these images has, and its label.
    pub(crate) fn lacks(&self, test: &Images) -> Option<(usize, u16)> {
        let mut known = vec![false; self.classes.max(test.classes)];
        self.labels.iter().for_each(|&label| known[usize::from(label)] = true);
        let unknown = |&(_, label): &(usize, &u16)| !known[usize::from(*label)];
        test.labels.iter().enumerate().find(unknown).map(|(i, &label)| (i, label))
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

    fn fingerprint(&self) -> Option<[u8; 32]> {
        self.fingerprint
    }

    fn fill(&self, indices: &[u32], augment: &mut Stream, batch: &mut Batch) {
        let plane = self.shape.height * self.shape.width;
        batch.begin(indices.len(), self.shape.len());
        if self.transform.is_none() && self.lookup.len() == 1 {
            self.list(indices, batch);
            return fill_labels(batch, indices.iter().map(|&i| self.label(i as usize)));
        }
        let (rows, mut room) = (batch.inputs.chunks_exact_mut(self.shape.len()), Vec::new());
        for (&i, row) in indices.iter().zip(rows) {
            let drawn = (!self.transform.is_none()).then(|| self.transform.draw(augment));
            let planes = row.chunks_exact_mut(plane).zip(self.planes(i as usize, &mut room));
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

impl Images {
    /// Images of one channel as they are; what is not black is listed along the way.
    fn list(&self, indices: &[u32], batch: &mut Batch) {
        let (table, width) = (&self.lookup[0], self.shape.len());
        let (mut listing, mut room) =
            (batch.entries.start(indices.len(), width, table[0]), Vec::new());
        for (&i, row) in indices.iter().zip(batch.inputs.chunks_exact_mut(width)) {
            let bytes = self.planes(i as usize, &mut room).next().expect("a channel");
            if listing {
                let count = bytes::look_up(bytes, table, row, batch.entries.room());
                listing = batch.entries.end_row(count);
            } else {
                look_up(bytes, table, row);
            }
        }
        if listing {
            batch.entries.end();
        }
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
    use crate::batch::Entries;
    use crate::kernels::sparse::gather;
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
    fn what_is_listed_is_what_a_look_at_the_inputs_finds() {
        let shape = Shape { channels: 1, height: 3, width: 11 };
        let mut pixels = vec![0; 4 * 33];
        (0..4 * 33).step_by(5).for_each(|k| pixels[k + usize::from(k == 0)] = (k % 251) as u8 + 1);
        let normalise = Normalise { mean: vec![0.3], deviation: vec![0.7] };
        let images =
            Images::new(shape, 2, pixels, vec![0; 4]).with(&normalise, Transform::default());
        let stream = &mut Seed(0).stream(Domain::Augment, 0, 0);
        let (mut batch, mut found) = (Batch::default(), Entries::default());
        images.fill(&[2, 0, 3], stream, &mut batch);
        // The first float that a look at the inputs starts from has to be the background.
        batch.inputs[0] = batch.inputs[1];
        let (listed, inputs) = (batch.entries.clone(), batch.inputs.clone());
        images.fill(&[0, 3], stream, &mut batch);
        assert!(gather(&mut found, &batch.inputs, 33));
        let listed_again = batch.entries.listed(0..2, 33).unwrap();
        for (r, row) in [(1, 0), (2, 1)] {
            assert_eq!(listed.listed(0..3, 33).unwrap().row(r), listed_again.row(row));
            assert_eq!(found.listed(0..2, 33).unwrap().row(row), listed_again.row(row));
            assert_eq!(inputs[r * 33..][..33], batch.inputs[row * 33..][..33]);
        }
        assert!(
            batch.entries.listed(0..2, 32).is_none() && batch.entries.listed(0..3, 33).is_none()
        );
        two_images().fill(&[0, 1], stream, &mut batch);
        assert!(batch.entries.listed(0..2, 4).is_none(), "colours are not listed");
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
