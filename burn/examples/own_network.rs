//! A network of one's own, written in Burn, trained by 11 workers of which 4 send −3 times their
//! gradient, under the mean and under Multi-Krum.
//!
//! `cargo run --release --example own_network` in this folder.

use burn::module::Module;
use burn::nn::conv::{Conv2d, Conv2dConfig};
use burn::nn::pool::{MaxPool2d, MaxPool2dConfig};
use burn::nn::{Linear, LinearConfig, Relu};
use burn::tensor::{Device, Tensor};
use std::sync::Arc;
use varangian_base::{Seed, spec};
use varangian_burn::BurnModel;
use varangian_learn::data::{self, Split};
use varangian_learn::model::Loss;
use varangian_learn::optim::Optimiser;
use varangian_learn::partition::{self, Minibatches, Samples, Sampling};
use varangian_rules::Pipeline;
use varangian_sim::lockstep::Lockstep;
use varangian_sim::{Hostile, Plan};
use varangian_train::{NonFinite, Passes};

/// Any module: nothing in it knows of varangian.
#[derive(Module, Debug)]
struct Net {
    conv: Conv2d,
    pool: MaxPool2d,
    hidden: Linear,
    out: Linear,
    relu: Relu,
}

impl Net {
    fn new(device: &Device) -> Self {
        Net {
            conv: Conv2dConfig::new([1, 8], [5, 5]).init(device),
            pool: MaxPool2dConfig::new([4, 4]).with_strides([4, 4]).init(),
            hidden: LinearConfig::new(8 * 6 * 6, 32).init(device),
            out: LinearConfig::new(32, 10).init(device),
            relu: Relu::new(),
        }
    }

    fn forward(&self, images: Tensor<4>) -> Tensor<2> {
        let x = self.pool.forward(self.relu.forward(self.conv.forward(images)));
        self.out.forward(self.relu.forward(self.hidden.forward(x.flatten::<2>(1, 3))))
    }
}

fn main() {
    let digits = data::load("glyphs", None, Seed(1)).expect("an embedded set");
    for rule in ["average", "multi-krum"] {
        let mut run = Lockstep::new(plan(&digits, rule)).expect("11 workers bear 4 hostile ones");
        for _ in 0..150 {
            run.step();
        }
        let tally = run.evaluate().tally;
        println!("{rule:<12} {:.1} % after 150 steps", 100.0 * tally.accuracy());
    }
}

/// The network, 11 workers with equal shares, 4 of which send −3 times their gradient.
fn plan(digits: &Split, rule: &str) -> Plan {
    // `Device::cuda(0)` with the feature `cuda`.
    let device = Device::flex();
    let images = |net: &Net, x: Tensor<2>| {
        let samples = x.dims()[0];
        net.forward(x.reshape([samples, 1, 28, 28]))
    };
    let model = BurnModel::new(&device, Loss::CrossEntropy, Net::new, images).expect("a plain net");
    let (n, f, seed) = (11, 4, Seed(1));
    let iid = spec::parse("iid").and_then(|text| partition::make(&text)).expect("a partition");
    let shares = iid.split(&Samples::of(digits.train.as_ref()), n, seed).expect("enough samples");
    let sampling = Sampling::Epochs { drop_last: false };
    let sampler = Minibatches::new(shares.samples, 32, sampling, seed).expect("no empty share");
    Plan {
        model: Arc::new(model),
        train: Arc::clone(&digits.train),
        test: Arc::clone(&digits.test),
        sampler: Arc::new(sampler),
        n,
        f: if rule == "average" { 0 } else { f },
        f_real: f,
        hostile: Hostile::Last,
        participation: None,
        non_finite: NonFinite::default(),
        weights: None,
        rule: Pipeline::parse(rule).expect("a known rule"),
        attack: varangian_attacks::build("sign-flip scale=3").expect("a known attack"),
        optimiser: Optimiser::sgd(0.2),
        passes: Passes::Honest,
        oracle: None,
        test_samples: 1000,
        study: None,
        certificate: None,
        seed,
    }
}
