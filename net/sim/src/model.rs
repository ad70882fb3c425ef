//! The smallest thing that can be trained: a valley whose floor each worker sees a little
//! elsewhere, at each step anew, after some time.

use crate::draw::Draw;
use crate::stage::Stage;
use std::time::Duration;
use varangian_base::{Seed, Stream};
use varangian_learn::data::Shape;
use varangian_learn::model::{Model, Place, Prepared, Tally, Tensor, Workspace};
use varangian_learn::{Batch, Dataset, Sampler};

/// Parameters: enough for a message of several chunks.
pub const D: usize = 40;

/// ½·|θ − x|², where x is drawn for each worker and step.
pub struct Valley {
    tensors: [Tensor; 1],
}

impl Default for Valley {
    fn default() -> Self {
        Valley { tensors: [Tensor { name: "theta".into(), shape: vec![D], offset: 0 }] }
    }
}

impl Model for Valley {
    fn dim(&self) -> usize {
        D
    }

    fn tensors(&self) -> &[Tensor] {
        &self.tensors
    }

    fn init(&self, seed: Seed) -> Vec<f32> {
        let mut draw = Draw::new(seed.0, "beginning");
        (0..D).map(|_| draw.between(-4.0, 4.0) as f32).collect()
    }

    fn workspace(&self) -> Workspace {
        Box::new(())
    }

    fn gradient(
        &self,
        params: &[f32],
        _: &Prepared,
        _: &Batch,
        place: Place,
        _: &mut Workspace,
        out: &mut [f32],
    ) -> f64 {
        let mut draw = Draw::new(place.seed.0 ^ place.step << 20, &place.worker.to_string());
        let stage = Stage::on_this_thread();
        stage.wait(tokio::time::sleep(Duration::from_secs_f64(draw.between(0.05, 0.4))));
        let mut loss = 0.0;
        for (out, &theta) in out.iter_mut().zip(params) {
            *out = theta - draw.between(0.5, 1.5) as f32;
            loss += 0.5 * f64::from(*out * *out);
        }
        loss
    }

    fn evaluate(&self, _: &[f32], _: &Prepared, batch: &Batch, _: &mut Workspace) -> Tally {
        Tally { loss: 0.0, hits: 0, count: batch.len as u64 }
    }
}

/// A data set that the valley does not look at.
pub struct Nothing;

impl Dataset for Nothing {
    fn len(&self) -> usize {
        1
    }

    fn shape(&self) -> Shape {
        Shape::flat(1)
    }

    fn classes(&self) -> usize {
        0
    }

    fn label(&self, _: usize) -> u32 {
        0
    }

    fn fill(&self, indices: &[u32], _: &mut Stream, batch: &mut Batch) {
        batch.begin(indices.len(), 1);
    }
}

impl Sampler for Nothing {
    fn draw(&self, _: u32, _: u64, indices: &mut Vec<u32>) {
        indices.clear();
        indices.push(0);
    }

    fn steps_per_epoch(&self) -> f64 {
        100.0
    }
}
