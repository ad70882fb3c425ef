//! Test samples with a backdoor's patch: how many of them a model takes for its target.

use std::sync::Arc;
use varangian_attacks::Trigger;
use varangian_base::Stream;
use varangian_learn::data::Shape;
use varangian_learn::{Batch, Dataset, Targets};

/// The samples of a data set that are not of a trigger's target, each stamped and labelled as the
/// target: the accuracy on them is the rate at which the backdoor opens.
pub struct Triggered {
    data: Arc<dyn Dataset>,
    trigger: Trigger,
    /// The samples that are left, by their places in `data`.
    others: Vec<u32>,
}

impl Triggered {
    /// Of the first `len` samples of `data`, all of them if there are fewer, those of another class
    /// than the target.
    pub fn new(data: Arc<dyn Dataset>, trigger: Trigger, len: usize) -> Self {
        let all = 0..len.min(data.len());
        let others = all.filter(|&i| data.label(i) != trigger.target).map(|i| i as u32).collect();
        Triggered { data, trigger, others }
    }
}

impl Dataset for Triggered {
    fn len(&self) -> usize {
        self.others.len()
    }

    fn shape(&self) -> Shape {
        self.data.shape()
    }

    fn classes(&self) -> usize {
        self.data.classes()
    }

    fn label(&self, _: usize) -> u32 {
        self.trigger.target
    }

    fn fill(&self, indices: &[u32], augment: &mut Stream, batch: &mut Batch) {
        let own: Vec<u32> = indices.iter().map(|&i| self.others[i as usize]).collect();
        self.data.fill(&own, augment, batch);
        let Shape { channels, height, width } = self.shape();
        let len = channels * height * width;
        batch.begin(batch.len, len);
        for image in batch.inputs.chunks_exact_mut(len.max(1)) {
            self.trigger.stamp(image, [channels, height, width]);
        }
        batch.targets = Targets::Labels(vec![self.trigger.target; indices.len()]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use varangian_base::{Domain, Seed};
    use varangian_learn::data::load;

    #[test]
    fn stamped_samples_of_other_classes_are_to_be_the_target() {
        let test = load("glyphs", None, Seed(1)).unwrap().test;
        let trigger = Trigger { target: 4, size: 3, value: 5.0 };
        let triggered = Triggered::new(Arc::clone(&test), trigger, 300);
        let of_target = (0..300).filter(|&i| test.label(i) == 4).count();
        assert!(of_target > 10);
        assert_eq!(triggered.len(), 300 - of_target);
        let (mut batch, mut plain) = (Batch::default(), Batch::default());
        let stream = || Seed(0).stream(Domain::Evaluation, 0, 0);
        triggered.fill(&[0, 7], &mut stream(), &mut batch);
        assert_eq!(batch.targets, Targets::Labels(vec![4, 4]));
        let own = [triggered.others[0], triggered.others[7]];
        assert!(own.iter().all(|&i| test.label(i as usize) != 4));
        test.fill(&own, &mut stream(), &mut plain);
        let Shape { channels, height, width } = test.shape();
        for (k, (x, was)) in batch.inputs.iter().zip(&plain.inputs).enumerate() {
            let (row, column) = (k / width % height, k % width);
            let inside = row + 3 >= height && column + 3 >= width;
            assert_eq!(*x, if inside { 5.0 } else { *was }, "{k}, {channels} channels");
        }
    }
}
