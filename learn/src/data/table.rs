//! Tables of numbers in memory: features and either labels or real-valued targets.

use super::images::fill_labels;
use super::{Dataset, Shape};
use crate::{Batch, Targets};
use varangian_base::Stream;

/// Samples of a fixed number of features.
pub struct Table {
    features: usize,
    shape: Shape,
    classes: usize,
    inputs: Vec<f32>,
    targets: Targets,
    groups: Option<Vec<u32>>,
    fingerprint: Option<[u8; 32]>,
}

impl Table {
    /// Samples packed one after another. Labels need `classes` > 0; values (one a sample) 0.
    ///
    /// # Panics
    /// If the counts disagree or a label is not below `classes`; loaders check files before.
    pub fn new(features: usize, classes: usize, inputs: Vec<f32>, targets: Targets) -> Self {
        let len = match &targets {
            Targets::Labels(labels) => {
                assert!(labels.iter().all(|&l| (l as usize) < classes), "labels below {classes}");
                labels.len()
            }
            Targets::Values(values) => {
                assert_eq!(classes, 0, "regression has no classes");
                values.len()
            }
        };
        assert_eq!(inputs.len(), len * features, "one target a sample");
        let shape = Shape::flat(features);
        Table { features, shape, classes, inputs, targets, groups: None, fingerprint: None }
    }

    /// The same samples, each an image: channel by channel, row by row.
    ///
    /// # Panics
    /// If the shape does not hold the features.
    #[must_use]
    pub fn with_shape(mut self, shape: Shape) -> Self {
        assert_eq!(shape.len(), self.features, "a shape of the features");
        self.shape = shape;
        self
    }

    /// The same samples with the file that each came from.
    ///
    /// # Panics
    /// If there is not one number a sample.
    pub fn with_groups(mut self, groups: Vec<u32>) -> Self {
        assert_eq!(groups.len(), self.len(), "one group a sample");
        self.groups = Some(groups);
        self
    }

    /// The same samples with a hash of all of them: what a file holds may change from day to day.
    #[must_use]
    pub fn from_a_file(mut self) -> Self {
        let mut hasher = blake3::Hasher::new();
        let mut add = |values: &[f32]| {
            for part in values.chunks(4096) {
                let bytes: Vec<u8> = part.iter().flat_map(|v| v.to_bits().to_le_bytes()).collect();
                hasher.update(&bytes);
            }
        };
        add(&self.inputs);
        if let Targets::Values(values) = &self.targets {
            add(values);
        }
        let numbers = |all: &[u32]| all.iter().flat_map(|v| v.to_le_bytes()).collect::<Vec<u8>>();
        if let Targets::Labels(labels) = &self.targets {
            hasher.update(&numbers(labels));
        }
        hasher.update(&numbers(self.groups.as_deref().unwrap_or(&[])));
        self.fingerprint = Some(*hasher.finalize().as_bytes());
        self
    }

    /// The features of sample i.
    pub fn row(&self, i: usize) -> &[f32] {
        &self.inputs[i * self.features..(i + 1) * self.features]
    }

    /// All targets.
    pub fn targets(&self) -> &Targets {
        &self.targets
    }
}

impl Dataset for Table {
    fn len(&self) -> usize {
        match &self.targets {
            Targets::Labels(labels) => labels.len(),
            Targets::Values(values) => values.len(),
        }
    }

    fn shape(&self) -> Shape {
        self.shape
    }

    fn classes(&self) -> usize {
        self.classes
    }

    fn label(&self, i: usize) -> u32 {
        match &self.targets {
            Targets::Labels(labels) => labels[i],
            Targets::Values(_) => 0,
        }
    }

    fn groups(&self) -> Option<&[u32]> {
        self.groups.as_deref()
    }

    fn fingerprint(&self) -> Option<[u8; 32]> {
        self.fingerprint
    }

    fn fill(&self, indices: &[u32], _augment: &mut Stream, batch: &mut Batch) {
        batch.begin(indices.len(), self.features);
        for (row, &i) in batch.inputs.chunks_exact_mut(self.features.max(1)).zip(indices) {
            row.copy_from_slice(self.row(i as usize));
        }
        match &self.targets {
            Targets::Labels(labels) => {
                fill_labels(batch, indices.iter().map(|&i| labels[i as usize]));
            }
            Targets::Values(values) => {
                if batch.labels_mut().is_some() {
                    batch.targets = Targets::Values(Vec::new());
                }
                if let Targets::Values(out) = &mut batch.targets {
                    out.clear();
                    out.extend(indices.iter().map(|&i| values[i as usize]));
                }
            }
        }
    }
}
