//! Evaluation of parameters on a fixed set of samples, in fixed blocks.

use std::sync::Mutex;
use varangian_base::{Domain, Seed, blocks};
use varangian_learn::model::{Model, Prepared, Tally, Workspace};
use varangian_learn::{Batch, Dataset};

/// Samples in a block: large enough for the matrix products, small enough for two threads to share.
const BLOCK: usize = 500;
/// Samples are kept decoded between evaluations up to this many floats.
const KEEP: usize = 64 << 20;

/// Evaluates a model on the first `len` samples of a data set.
pub struct Evaluator {
    kept: Vec<Batch>,
    len: usize,
    partial: Vec<Tally>,
    free: Mutex<Vec<Seat>>,
}

struct Seat {
    workspace: Workspace,
    batch: Batch,
    indices: Vec<u32>,
}

impl Evaluator {
    /// An evaluator for the first `len` samples of `data` (all of them if there are fewer).
    pub fn new(data: &dyn Dataset, len: usize) -> Self {
        let len = len.min(data.len());
        let mut kept = Vec::new();
        if len * data.shape().len() <= KEEP {
            kept.resize(len.div_ceil(BLOCK), Batch::default());
            let mut indices = Vec::new();
            for (b, batch) in kept.iter_mut().enumerate() {
                fill(data, b * BLOCK..((b + 1) * BLOCK).min(len), &mut indices, batch);
            }
        }
        Evaluator { kept, len, partial: Vec::new(), free: Mutex::new(Vec::new()) }
    }

    /// Loss and hits at `params` over the samples. Same bits at any number of threads.
    pub fn run(
        &mut self,
        model: &dyn Model,
        params: &[f32],
        prepared: &Prepared,
        data: &dyn Dataset,
    ) -> Tally {
        let Evaluator { kept, len, partial, free } = self;
        let (kept, free) = (&*kept, &*free);
        blocks::map(*len, BLOCK, partial, |range, tally| {
            let seat = free.lock().expect("no thread panicked").pop();
            let mut seat = seat.unwrap_or_else(|| Seat {
                workspace: model.workspace(),
                batch: Batch::default(),
                indices: Vec::new(),
            });
            let batch = match kept.get(range.start / BLOCK) {
                Some(batch) => batch,
                None => {
                    fill(data, range, &mut seat.indices, &mut seat.batch);
                    &seat.batch
                }
            };
            *tally = model.evaluate(params, prepared, batch, &mut seat.workspace);
            free.lock().expect("no thread panicked").push(seat);
        });
        let mut sum = Tally::default();
        partial.iter().for_each(|tally| sum.add(*tally));
        sum
    }
}

fn fill(
    data: &dyn Dataset,
    range: std::ops::Range<usize>,
    indices: &mut Vec<u32>,
    batch: &mut Batch,
) {
    indices.clear();
    indices.extend(range.map(|i| i as u32));
    data.fill(indices, &mut Seed(0).stream(Domain::Evaluation, 0, 0), batch);
}

#[cfg(test)]
mod tests {
    use super::*;
    use varangian_learn::{data, model};

    #[test]
    fn samples_that_are_kept_count_as_those_that_are_read_again() {
        let split = data::load("glyphs", None, Seed(2)).unwrap();
        let set = split.test.as_ref();
        let network = model::build("mlp", set.shape(), set.classes()).unwrap();
        let params = network.init(Seed(1));
        let mut prepared: Prepared = Box::new(());
        network.prepare(&params, &mut prepared);
        let mut evaluator = Evaluator::new(set, 2 * BLOCK + 7);
        let kept = evaluator.run(network.as_ref(), &params, &prepared, set);
        evaluator.kept.clear();
        let again = evaluator.run(network.as_ref(), &params, &prepared, set);
        assert_eq!((kept.count, kept.hits, kept.loss), (again.count, again.hits, again.loss));
        assert_eq!(kept.count, 2 * BLOCK as u64 + 7);
    }
}
