//! Some of the samples of a set, without a copy: a validation split, a smaller run.

use super::{Dataset, Shape};
use crate::Batch;
use std::sync::Arc;
use varangian_base::Stream;

/// The samples of `whole` at some indices, numbered anew from 0.
pub struct Subset {
    whole: Arc<dyn Dataset>,
    indices: Vec<u32>,
    groups: Option<Vec<u32>>,
}

impl Subset {
    /// The samples of `whole` at `indices`, in that order.
    ///
    /// # Panics
    /// If an index is not below the number of samples.
    pub fn new(whole: Arc<dyn Dataset>, indices: Vec<u32>) -> Subset {
        assert!(indices.iter().all(|&i| (i as usize) < whole.len()), "indices of the whole set");
        let pick = |all: &[u32]| indices.iter().map(|&i| all[i as usize]).collect();
        let groups = whole.groups().map(pick);
        Subset { whole, indices, groups }
    }
}

impl Dataset for Subset {
    fn len(&self) -> usize {
        self.indices.len()
    }

    fn shape(&self) -> Shape {
        self.whole.shape()
    }

    fn classes(&self) -> usize {
        self.whole.classes()
    }

    fn label(&self, i: usize) -> u32 {
        self.whole.label(self.indices[i] as usize)
    }

    fn groups(&self) -> Option<&[u32]> {
        self.groups.as_deref()
    }

    fn fill(&self, indices: &[u32], augment: &mut Stream, batch: &mut Batch) {
        let inner: Vec<u32> = indices.iter().map(|&i| self.indices[i as usize]).collect();
        self.whole.fill(&inner, augment, batch);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Targets;
    use crate::data::Table;
    use varangian_base::{Domain, Seed};

    #[test]
    fn samples_are_numbered_anew() {
        let table = Table::new(1, 9, vec![0.0, 1.0, 2.0], Targets::Labels(vec![6, 7, 8]));
        let some = Subset::new(Arc::new(table), vec![2, 0]);
        let mut batch = Batch::default();
        some.fill(&[1, 0], &mut Seed(0).stream(Domain::Augment, 0, 0), &mut batch);
        assert_eq!((batch.inputs, batch.targets), (vec![0.0, 2.0], Targets::Labels(vec![6, 8])));
        assert_eq!((some.len(), some.label(0)), (2, 8));
    }
}
