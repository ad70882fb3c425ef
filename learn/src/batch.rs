//! A minibatch: inputs and targets, owned and reused from step to step.

/// What the model should answer.
#[derive(Clone, Debug, PartialEq)]
pub enum Targets {
    /// One class a sample, from 0.
    Labels(Vec<u32>),
    /// One or more real values a sample, rows packed.
    Values(Vec<f32>),
}

/// A minibatch of `len` samples.
#[derive(Clone, Debug)]
pub struct Batch {
    /// Inputs, one sample a row, packed: channels × height × width for images.
    pub inputs: Vec<f32>,
    /// Targets, in the order of the inputs.
    pub targets: Targets,
    /// The number of samples.
    pub len: usize,
}

impl Default for Batch {
    fn default() -> Self {
        Batch { inputs: Vec::new(), targets: Targets::Labels(Vec::new()), len: 0 }
    }
}

impl Batch {
    /// The labels, or `None` for real-valued targets.
    pub fn labels_mut(&mut self) -> Option<&mut [u32]> {
        match &mut self.targets {
            Targets::Labels(labels) => Some(labels),
            Targets::Values(_) => None,
        }
    }
}

/// Which training samples a worker draws at a step: a pure function of (worker, step), so that any
/// step can be drawn again alone and workers can be computed in any order.
pub trait Sampler: Send + Sync {
    /// Sets `indices` to the samples of `worker`'s minibatch at `step`.
    fn draw(&self, worker: u32, step: u64, indices: &mut Vec<u32>);

    /// Steps after which a worker has seen its samples once; schedules and records count epochs by
    /// it.
    fn steps_per_epoch(&self) -> f64;
}
