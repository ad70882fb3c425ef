//! What tells one data set from another.

use varangian_base::{Domain, Seed};
use varangian_learn::data::Split;
use varangian_learn::{Batch, Dataset, Targets};

/// A hash of sizes, all labels, and the pixels of 256 samples spread over each split: enough for
/// sets that are generated. Of what was read from files it takes in every number.
pub(super) fn digest(split: &Split) -> [u8; 32] {
    let mut hasher = blake3::Hasher::new();
    for part in [&split.train, &split.test] {
        hash_part(part.as_ref(), &mut hasher);
    }
    *hasher.finalize().as_bytes()
}

fn hash_part(data: &dyn Dataset, hasher: &mut blake3::Hasher) {
    if let Some(whole) = data.fingerprint() {
        hasher.update(&whole);
    }
    let (len, shape) = (data.len(), data.shape());
    for number in [len, shape.channels, shape.height, shape.width, data.classes()] {
        hasher.update(&(number as u64).to_le_bytes());
    }
    for i in 0..len {
        hasher.update(&data.label(i).to_le_bytes());
    }
    let chosen: Vec<u32> = (0..len).step_by(len.div_ceil(256).max(1)).map(|i| i as u32).collect();
    let mut batch = Batch::default();
    data.fill(&chosen, &mut Seed(0).stream(Domain::Evaluation, 0, 0), &mut batch);
    batch.inputs.iter().for_each(|x| {
        hasher.update(&x.to_bits().to_le_bytes());
    });
    if let Targets::Values(values) = &batch.targets {
        values.iter().for_each(|x| {
            hasher.update(&x.to_bits().to_le_bytes());
        });
    }
}
