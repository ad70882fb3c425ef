//! Models: flat parameters and a batch in; loss and flat gradient out.

mod attention;
mod conv;
mod convolutional;
mod dense;
mod dropout;
pub mod entry;
mod fuse;
mod geometry;
mod images;
mod init;
mod layer;
mod linear;
mod loss;
pub(crate) mod mersenne;
mod network;
mod norm;
mod pca;
mod plan;
mod pool;
mod relu;
mod reorder;
mod residual;
mod resnet;
mod started;
pub mod state;
#[cfg(test)]
mod tests;
mod transformer;

pub use entry::{ALL, Home, ModelEntry, Recipe, build, build_among, recipe, recipe_among};
pub use loss::Loss;
pub use started::starting_from;

use crate::Batch;
use std::any::Any;
use varangian_base::Seed;

/// A named tensor inside the flat parameter vector, with PyTorch's name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tensor {
    /// "conv1.weight".
    pub name: String,
    /// Its shape, row-major.
    pub shape: Vec<usize>,
    /// Where it starts in the flat vector.
    pub offset: usize,
}

impl Tensor {
    /// Its name and its number of entries.
    pub fn extent(&self) -> (&str, usize) {
        (&self.name, self.shape.iter().product())
    }
}

/// Scratch memory of one thread for one model, reused from gradient to gradient.
pub type Workspace = Box<dyn Any + Send>;

/// What depends on the parameters alone, computed once a step and shared by all workers.
pub type Prepared = Box<dyn Any + Send + Sync>;

/// Where in a run a gradient is taken: the address of its dropout masks.
#[derive(Clone, Copy, Debug)]
pub struct Place {
    /// The run's seed.
    pub seed: Seed,
    /// The worker.
    pub worker: u32,
    /// The step.
    pub step: u64,
}

/// One worker's part of [`Model::gradients`].
pub struct Wanted<'a> {
    /// The minibatch.
    pub batch: &'a Batch,
    /// Where in the run.
    pub place: Place,
    /// The gradient, to be written: d floats.
    pub out: &'a mut [f32],
    /// What [`Model::statistics`] would say after it, to be written.
    pub statistics: &'a mut [f32],
    /// The mean loss, to be written.
    pub loss: f64,
}

/// Sums over a batch in inference mode.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Tally {
    /// Sum of the samples' losses.
    pub loss: f64,
    /// Samples whose most likely class is the label (0 for regression).
    pub hits: u64,
    /// Samples.
    pub count: u64,
}

impl Tally {
    /// Adds another tally.
    pub fn add(&mut self, other: Tally) {
        self.loss += other.loss;
        self.hits += other.hits;
        self.count += other.count;
    }

    /// Mean loss.
    pub fn mean_loss(&self) -> f64 {
        self.loss / self.count as f64
    }

    /// Share of hits, 0 to 1.
    pub fn accuracy(&self) -> f64 {
        self.hits as f64 / self.count as f64
    }
}

/// A model with a loss: differentiable in a flat vector of d parameters.
///
/// The same inputs give the same bits at any number of threads: one thread computes one worker's
/// whole gradient.
pub trait Model: Any + Send + Sync {
    /// d: the number of parameters.
    fn dim(&self) -> usize;

    /// The named tensors, covering the flat vector without gap.
    fn tensors(&self) -> &[Tensor];

    /// Initial parameters, drawn at (`Domain::Init`, 0, 0, tensor index).
    fn init(&self, seed: Seed) -> Vec<f32>;

    /// Scratch memory for one thread.
    fn workspace(&self) -> Workspace;

    /// What depends on `params` alone; reuses `prepared`, which `prepare` made before or is `()`.
    /// `gradient` and `evaluate` want it made from the `params` that they get.
    fn prepare(&self, params: &[f32], prepared: &mut Prepared) {
        let _ = (params, prepared);
    }

    /// As [`Model::prepare`] for `evaluate` alone, with little work: for the losses of many
    /// candidate parameter vectors over one small batch.
    fn prepare_inference(&self, params: &[f32], prepared: &mut Prepared) {
        self.prepare(params, prepared);
    }

    /// The number of floats that are state but not parameters: running statistics of batch norm.
    fn buffers(&self) -> usize {
        self.buffer_tensors().iter().map(|tensor| tensor.shape.iter().product::<usize>()).sum()
    }

    /// The named parts of the buffers, covering them without gap.
    fn buffer_tensors(&self) -> &[Tensor] {
        &[]
    }

    /// The buffers of a new model.
    fn init_buffers(&self) -> Vec<f32> {
        Vec::new()
    }

    /// Hands the buffers to inference through `prepared`, after `prepare`. A model without buffers
    /// needs no call.
    fn load_buffers(&self, buffers: &[f32], prepared: &mut Prepared) {
        let _ = (buffers, prepared);
    }

    /// The batch statistics that the last `gradient` in this workspace measured, in the layout of
    /// the buffers, into `out`. The owner of the buffers moves them towards the mean over workers:
    /// buffers ← 0.9ᵏ·buffers + (1 − 0.9ᵏ)·(mean of the statistics of k passes).
    fn statistics(&self, workspace: &Workspace, out: &mut [f32]) {
        let _ = (workspace, out);
    }

    /// Mean loss over the batch and its gradient, into `out` (d floats, fully overwritten).
    fn gradient(
        &self,
        params: &[f32],
        prepared: &Prepared,
        batch: &Batch,
        place: Place,
        workspace: &mut Workspace,
        out: &mut [f32],
    ) -> f64;

    /// Whether [`Model::gradients`] is the better way to the gradients of a step.
    fn takes_all_at_once(&self) -> bool {
        false
    }

    /// What [`Model::gradient`] gives for every worker of a step, where that is one computation:
    /// asked only of a model that [takes all at once](Model::takes_all_at_once).
    fn gradients(&self, params: &[f32], prepared: &Prepared, all: &mut [Wanted<'_>]) {
        one_by_one(self, params, prepared, all);
    }

    /// Loss and hits over the batch in inference mode (no dropout).
    fn evaluate(
        &self,
        params: &[f32],
        prepared: &Prepared,
        batch: &Batch,
        workspace: &mut Workspace,
    ) -> Tally;
}

/// The gradients of every worker of a step by [`Model::gradient`], one after the other.
pub fn one_by_one<M: Model + ?Sized>(
    model: &M,
    params: &[f32],
    prepared: &Prepared,
    all: &mut [Wanted<'_>],
) {
    let mut workspace = model.workspace();
    for Wanted { batch, place, out, statistics, loss } in all {
        *loss = model.gradient(params, prepared, batch, *place, &mut workspace, out);
        model.statistics(&workspace, statistics);
    }
}
