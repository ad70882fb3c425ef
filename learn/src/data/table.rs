//! Tables of numbers in memory: features and either labels or real-valued targets.

use super::images::fill_labels;
use super::{Dataset, Shape};
use crate::{Batch, Targets};
use varangian_base::Stream;

/// Samples of a fixed number of features.
pub struct Table {
    features: usize,
    classes: usize,
    inputs: Vec<f32>,
    targets: Targets,
    groups: Option<Vec<u32>>,
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
        Table { features, classes, inputs, targets, groups: None }
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
        Shape::flat(self.features)
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
