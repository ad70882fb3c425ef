//! Networks written in [Burn](https://docs.rs/burn) as models of varangian.
//!
//! [`BurnModel`] wraps a module and how it is called; everything that takes a [`Model`] then trains
//! it: rules, attacks, momentum, checkpoints. The framework differentiates; the loss is varangian's,
//! so that figures compare with those of built-in models. On a GPU it is the same code with another
//! device and the feature `cuda` or `wgpu`; neither was tried.
//!
//! Limits: all tensors are floats that require a gradient, so a module with running statistics
//! (batch norm) is refused; a module that draws random numbers in its forward pass (dropout) draws
//! them from Burn's one generator, so its runs repeat only on one thread. Parameters and gradients
//! pass through 32-bit floats.

use burn::module::{Module, ModuleMapper, ModuleVisitor, Param};
use burn::tensor::{Device, Gradients, Tensor, TensorData};
use std::ops::Range;
use std::sync::{Mutex, PoisonError};
use varangian_base::{Seed, SpecError};
use varangian_learn::Batch;
use varangian_learn::model::{self, Loss, Model, Place, Prepared, Tally, Workspace};

/// Samples that inference takes at a time.
const SAMPLES: usize = 256;

/// Burn's generator is one for all: whoever draws initial parameters draws alone.
static DRAWING: Mutex<()> = Mutex::new(());

/// A Burn module with a loss, as a function of one flat parameter vector.
///
/// The vector holds the module's tensors in the order in which Burn visits them, each row-major in
/// Burn's own layout (a linear layer's weight is inputs × outputs).
pub struct BurnModel<M> {
    /// The module as it is copied before each gradient; its parameters are overwritten.
    pattern: M,
    make: Box<dyn Fn(&Device) -> M + Send + Sync>,
    forward: Box<dyn Fn(&M, Tensor<2>) -> Tensor<2> + Send + Sync>,
    loss: Loss,
    device: Device,
    tensors: Vec<model::Tensor>,
    dim: usize,
}

impl<M: Module + Sync + 'static> BurnModel<M> {
    /// A model on `device`. `make` makes the module with fresh parameters; `forward` answers a
    /// batch: samples × inputs in (an image channel by channel, row by row), samples × outputs out,
    /// logits for the losses on labels.
    ///
    /// # Errors
    /// Names the first tensor that holds no floats or requires no gradient, or says that there is none.
    pub fn new(
        device: &Device,
        loss: Loss,
        make: impl Fn(&Device) -> M + Send + Sync + 'static,
        forward: impl Fn(&M, Tensor<2>) -> Tensor<2> + Send + Sync + 'static,
    ) -> Result<Self, SpecError> {
        let device = device.clone().autodiff();
        let pattern = make(&device);
        let mut reader = Reader::default();
        pattern.visit(&mut reader);
        if let Some(error) = reader.error {
            return Err(SpecError::new(error));
        }
        if reader.values.is_empty() {
            return Err(SpecError::new("a model needs a parameter; the module has none"));
        }
        let dim = reader.values.len();
        let (make, forward) = (Box::new(make), Box::new(forward));
        Ok(BurnModel { pattern, make, forward, loss, device, tensors: reader.tensors, dim })
    }

    /// The module with these parameters, ready to be differentiated: the way back to Burn after
    /// training.
    pub fn module(&self, params: &[f32]) -> M {
        assert_eq!(params.len(), self.dim, "d floats");
        self.pattern.clone().map(&mut Writer { rest: params, device: &self.device })
    }

    /// Samples of the batch as a tensor.
    fn inputs(&self, batch: &Batch, samples: Range<usize>, device: &Device) -> Tensor<2> {
        let width = batch.inputs.len() / batch.len;
        let inputs = batch.inputs[samples.start * width..samples.end * width].to_vec();
        Tensor::from_data(TensorData::new(inputs, [samples.len(), width]), device)
    }
}

/// The floats of a tensor.
fn floats<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
    let data = tensor.into_data().convert::<f32>();
    data.as_slice().expect("converted to f32").to_vec()
}

/// Reads all tensors: names, shapes and values, one after the other.
#[derive(Default)]
struct Reader {
    path: Vec<String>,
    tensors: Vec<model::Tensor>,
    values: Vec<f32>,
    error: Option<String>,
}

impl Reader {
    fn refuse(&mut self, what: &str) {
        let name = self.path.join(".");
        self.error.get_or_insert_with(|| {
            format!("a model's tensors are floats that require a gradient; {name} {what}")
        });
    }
}

impl ModuleVisitor for Reader {
    fn enter_module(&mut self, name: &str, _: &str) {
        self.path.push(name.to_owned());
    }

    fn exit_module(&mut self, _: &str, _: &str) {
        self.path.pop();
    }

    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let tensor = param.val();
        if !tensor.is_require_grad() {
            return self.refuse("requires none (a frozen parameter, or batch norm's statistics)");
        }
        let (name, offset) = (self.path.join("."), self.values.len());
        let shape = tensor.dims().to_vec();
        self.tensors.push(model::Tensor { name, shape, offset });
        self.values.extend(floats(tensor.without_autodiff()));
    }

    fn visit_int<const D: usize>(&mut self, _: &Param<Tensor<D, burn::tensor::Int>>) {
        self.refuse("holds integers");
    }

    fn visit_bool<const D: usize>(&mut self, _: &Param<Tensor<D, burn::tensor::Bool>>) {
        self.refuse("holds truth values");
    }
}

/// Replaces all tensors by the next floats.
struct Writer<'a> {
    rest: &'a [f32],
    device: &'a Device,
}

impl ModuleMapper for Writer<'_> {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        param.map(|old| {
            let dims = old.dims();
            let (own, rest) = self.rest.split_at(dims.iter().product());
            self.rest = rest;
            Tensor::from_data(TensorData::new(own.to_vec(), dims), self.device).require_grad()
        })
    }
}

/// Writes the gradients of all tensors, one after the other; 0 for what the answer does not need.
struct Collector<'a> {
    gradients: &'a mut Gradients,
    rest: &'a mut [f32],
}

impl ModuleVisitor for Collector<'_> {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let tensor = param.val();
        let (own, rest) =
            std::mem::take(&mut self.rest).split_at_mut(tensor.dims().iter().product());
        self.rest = rest;
        match tensor.grad_remove(self.gradients) {
            Some(gradient) => own.copy_from_slice(&floats(gradient)),
            None => own.fill(0.0),
        }
    }
}

impl<M: Module + Sync + 'static> Model for BurnModel<M> {
    fn dim(&self) -> usize {
        self.dim
    }

    fn tensors(&self) -> &[model::Tensor] {
        &self.tensors
    }

    /// The parameters of a fresh module, drawn by Burn's own initialisers from this seed.
    fn init(&self, seed: Seed) -> Vec<f32> {
        let _alone = DRAWING.lock().unwrap_or_else(PoisonError::into_inner);
        self.device.seed(seed.0);
        let mut reader = Reader::default();
        (self.make)(&self.device).visit(&mut reader);
        reader.values
    }

    fn workspace(&self) -> Workspace {
        Box::new(())
    }

    fn gradient(
        &self,
        params: &[f32],
        _: &Prepared,
        batch: &Batch,
        _: Place,
        _: &mut Workspace,
        out: &mut [f32],
    ) -> f64 {
        assert_eq!(out.len(), self.dim, "d floats");
        let module = self.module(params);
        let answers = (self.forward)(&module, self.inputs(batch, 0..batch.len, &self.device));
        let [samples, width] = answers.dims();
        assert_eq!(samples, batch.len, "one row of answers a sample");
        // The gradient of the loss by the answers is known; ⟨slopes, answers⟩ has the same one.
        let mut slopes = floats(answers.clone().without_autodiff());
        let loss = self.loss.gradient(&mut slopes, width, &batch.targets);
        let slopes = TensorData::new(slopes, [samples, width]);
        let slopes = Tensor::<2>::from_data(slopes, &self.device);
        let mut gradients = (answers * slopes).sum().backward();
        module.visit(&mut Collector { gradients: &mut gradients, rest: out });
        loss
    }

    fn evaluate(&self, params: &[f32], _: &Prepared, batch: &Batch, _: &mut Workspace) -> Tally {
        let module = self.module(params).valid();
        let device = self.device.clone().without_autodiff();
        let mut tally = Tally::default();
        for first in (0..batch.len).step_by(SAMPLES) {
            let samples = first..(first + SAMPLES).min(batch.len);
            let answers = (self.forward)(&module, self.inputs(batch, samples, &device));
            let width = answers.dims()[1];
            tally.add(self.loss.tally(&mut floats(answers), width, &batch.targets, first));
        }
        tally
    }
}
