//! A Burn module as a model: its gradient beside the built-in engine's, bits at any number of
//! threads, and what is refused.

use burn::module::Module;
use burn::nn::{BatchNorm, BatchNormConfig, Linear, LinearConfig, Relu};
use burn::tensor::{Device, Tensor};
use rayon::prelude::*;
use varangian_base::{Domain, Seed};
use varangian_burn::BurnModel;
use varangian_learn::data::Shape;
use varangian_learn::model::{self, Loss, Model, Place, Prepared};
use varangian_learn::{Batch, Targets};

const PLACE: Place = Place { seed: Seed(1), worker: 0, step: 0 };

#[derive(Module, Debug)]
struct Mlp {
    fc1: Linear,
    fc2: Linear,
    relu: Relu,
}

impl Mlp {
    fn new(device: &Device) -> Self {
        let (fc1, fc2) = (LinearConfig::new(12, 7), LinearConfig::new(7, 3));
        Mlp { fc1: fc1.init(device), fc2: fc2.init(device), relu: Relu::new() }
    }

    fn forward(&self, x: Tensor<2>) -> Tensor<2> {
        self.fc2.forward(self.relu.forward(self.fc1.forward(x)))
    }
}

fn ours() -> BurnModel<Mlp> {
    BurnModel::new(&Device::flex(), Loss::CrossEntropy, Mlp::new, |net, x| net.forward(x)).unwrap()
}

fn batch(len: usize) -> Batch {
    let mut stream = Seed(3).stream(Domain::Test, 0, len as u64);
    let inputs = (0..12 * len).map(|_| stream.normal() as f32).collect();
    let targets = Targets::Labels((0..len).map(|_| stream.below(3) as u32).collect());
    Batch { inputs, targets, len, ..Batch::default() }
}

/// Loss and gradient, as a worker computes them.
fn gradient(model: &dyn Model, params: &[f32], batch: &Batch) -> (f64, Vec<f32>) {
    let (mut prepared, mut workspace) = (Box::new(()) as Prepared, model.workspace());
    model.prepare(params, &mut prepared);
    let mut out = vec![f32::NAN; model.dim()];
    let loss = model.gradient(params, &prepared, batch, PLACE, &mut workspace, &mut out);
    (loss, out)
}

/// Burn holds a linear layer's weight as inputs × outputs, the built-in model as PyTorch does.
fn transposed(from: &[f32], inputs: usize, outputs: usize) -> Vec<f32> {
    (0..outputs).flat_map(|o| (0..inputs).map(move |i| from[i * outputs + o])).collect()
}

/// Burn's vector in the built-in model's order.
fn reordered(x: &[f32]) -> Vec<f32> {
    let (w1, b1, w2, b2) = (&x[..84], &x[84..91], &x[91..112], &x[112..]);
    [transposed(w1, 12, 7), b1.to_vec(), transposed(w2, 7, 3), b2.to_vec()].concat()
}

#[test]
fn loss_gradient_and_tally_are_those_of_the_built_in_engine() {
    let (burn, shape) = (ours(), Shape { channels: 12, height: 1, width: 1 });
    let built_in = model::build("mlp hidden=7", shape, 3).unwrap();
    let names: Vec<&str> = burn.tensors().iter().map(|tensor| tensor.name.as_str()).collect();
    assert_eq!(names, ["fc1.weight", "fc1.bias", "fc2.weight", "fc2.bias"]);
    assert_eq!((burn.dim(), burn.tensors()[2].offset), (built_in.dim(), 91));
    let params = burn.init(Seed(5));
    let theirs = reordered(&params);
    for len in [1, 17, 300] {
        let batch = batch(len);
        let (loss, found) = gradient(&burn, &params, &batch);
        let (want_loss, want) = gradient(built_in.as_ref(), &theirs, &batch);
        assert!((loss - want_loss).abs() < 1e-5, "{loss} {want_loss}");
        for (found, want) in reordered(&found).iter().zip(&want) {
            assert!((found - want).abs() < 1e-5, "{found} {want}");
        }
        let mut prepared = Box::new(()) as Prepared;
        built_in.prepare(&theirs, &mut prepared);
        let want = built_in.evaluate(&theirs, &prepared, &batch, &mut built_in.workspace());
        let none = Box::new(()) as Prepared;
        let found = burn.evaluate(&params, &none, &batch, &mut burn.workspace());
        assert_eq!((found.hits, found.count), (want.hits, want.count));
        assert!((found.mean_loss() - want.mean_loss()).abs() < 1e-5);
    }
}

#[test]
fn the_same_bits_at_any_number_of_threads_and_from_the_same_seed() {
    let model = ours();
    let params = model.init(Seed(5));
    assert_eq!(params, model.init(Seed(5)));
    assert_ne!(params, model.init(Seed(6)));
    let batches: Vec<Batch> = (1..9).map(|k| batch(4 * k)).collect();
    let runs = [1, 2, 8].map(|threads| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| {
            let all: Vec<_> = batches.par_iter().map(|b| gradient(&model, &params, b)).collect();
            all
        })
    });
    assert!(runs[0] == runs[1] && runs[0] == runs[2]);
}

#[test]
fn parameters_go_back_into_the_module() {
    let model = ours();
    let params: Vec<f32> = (0..model.dim()).map(|i| i as f32).collect();
    let module = model.module(&params);
    let bias = module.fc1.bias.unwrap().val().into_data();
    assert_eq!(bias.as_slice::<f32>().unwrap(), &params[84..91]);
}

#[derive(Module, Debug)]
struct Normed {
    norm: BatchNorm,
    out: Linear,
}

#[test]
fn a_module_with_running_statistics_is_one_clear_line() {
    let make = |device: &Device| Normed {
        norm: BatchNormConfig::new(4).init(device),
        out: LinearConfig::new(4, 2).init(device),
    };
    let forward = |net: &Normed, x: Tensor<2>| net.out.forward(net.norm.forward(x));
    let Err(error) = BurnModel::new(&Device::flex(), Loss::CrossEntropy, make, forward) else {
        panic!("built")
    };
    assert_eq!(
        error.to_string(),
        "a model's tensors are floats that require a gradient; norm.running_mean requires none (a \
         frozen parameter, or batch norm's statistics)"
    );
}
