//! A model that starts from a given state instead of a drawn one.

use super::state::State;
use super::{Model, Place, Prepared, Tally, Tensor, Wanted, Workspace};
use crate::Batch;
use varangian_base::Seed;

/// `model` with initial parameters and buffers of `state`, whatever the seed.
///
/// # Panics
/// If the state is not one of this model.
pub fn starting_from(model: Box<dyn Model>, state: State) -> Box<dyn Model> {
    let lens = (state.params.len(), state.buffers.len());
    assert_eq!(lens, (model.dim(), model.buffers()), "a state of this model");
    Box::new(Started { model, state })
}

struct Started {
    model: Box<dyn Model>,
    state: State,
}

impl Model for Started {
    fn dim(&self) -> usize {
        self.model.dim()
    }

    fn tensors(&self) -> &[Tensor] {
        self.model.tensors()
    }

    fn init(&self, _: Seed) -> Vec<f32> {
        self.state.params.clone()
    }

    fn workspace(&self) -> Workspace {
        self.model.workspace()
    }

    fn prepare(&self, params: &[f32], prepared: &mut Prepared) {
        self.model.prepare(params, prepared);
    }

    fn prepare_inference(&self, params: &[f32], prepared: &mut Prepared) {
        self.model.prepare_inference(params, prepared);
    }

    fn buffers(&self) -> usize {
        self.model.buffers()
    }

    fn buffer_tensors(&self) -> &[Tensor] {
        self.model.buffer_tensors()
    }

    fn init_buffers(&self) -> Vec<f32> {
        self.state.buffers.clone()
    }

    fn load_buffers(&self, buffers: &[f32], prepared: &mut Prepared) {
        self.model.load_buffers(buffers, prepared);
    }

    fn statistics(&self, workspace: &Workspace, out: &mut [f32]) {
        self.model.statistics(workspace, out);
    }

    fn gradient(
        &self,
        params: &[f32],
        prepared: &Prepared,
        batch: &Batch,
        place: Place,
        workspace: &mut Workspace,
        out: &mut [f32],
    ) -> f64 {
        self.model.gradient(params, prepared, batch, place, workspace, out)
    }

    fn takes_all_at_once(&self) -> bool {
        self.model.takes_all_at_once()
    }

    fn gradients(&self, params: &[f32], prepared: &Prepared, all: &mut [Wanted<'_>]) {
        self.model.gradients(params, prepared, all);
    }

    fn evaluate(
        &self,
        params: &[f32],
        prepared: &Prepared,
        batch: &Batch,
        workspace: &mut Workspace,
    ) -> Tally {
        self.model.evaluate(params, prepared, batch, workspace)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::Shape;
    use crate::model::build;

    #[test]
    fn it_starts_where_it_is_told_whatever_the_seed() {
        let shape = Shape { channels: 3, height: 8, width: 8 };
        let plain = || build("empire-cnn hidden=5", shape, 4).unwrap();
        let mut state = State { params: plain().init(Seed(3)), buffers: plain().init_buffers() };
        state.buffers[1] = 0.5;
        let started = starting_from(plain(), state.clone());
        assert_eq!(started.init(Seed(9)), state.params);
        assert_eq!(started.init_buffers(), state.buffers);
        assert_eq!(started.tensors(), plain().tensors());
        assert_ne!(plain().init(Seed(9)), state.params);
    }
}
