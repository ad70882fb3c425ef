//! Convolutional networks of the papers: plain stacks of convolutions, pooling and dense layers.

use super::entry::{Home, ModelEntry};
use super::images::{DROPOUT, HOLD, Images, MASKS, NORM, UNIT};
use super::plan::{Kernel, Plan};
use super::{geometry, init, norm};
use varangian_base::{Args, Entry, Kind, Param, SpecError};

/// A square kernel with stride 1 and a bias.
fn square(size: usize, pad: usize) -> Kernel {
    Kernel { size, stride: 1, pad, bias: true }
}

/// The LeNet of the distributed-momentum study.
pub(crate) static SIMPLES_CONV: ModelEntry = Entry {
    name: "simples-conv",
    summary: "C(20, 5×5), pool, C(50, 5×5), pool, L(500), L: the small convolutional network for digits.",
    paper: "El-Mhamdi, Guerraoui, Rouault, Distributed Momentum for Byzantine-resilient Stochastic Gradient Descent, ICLR 2021",
    differs: &[],
    params: &[init::PARAM, init::SEED, geometry::PARAM],
    cost: "O(b·d·pixels)",
    facts: Home::image(1, 28, 28, 10, 431_080),
    build: |args| {
        let layers = |_: &Args, plan: &mut Plan, classes| {
            for (i, width) in [20, 50].iter().enumerate() {
                plan.conv(&format!("conv{}", i + 1), *width, square(5, 0))?;
                plan.relu();
                plan.max_pool(2, 2, 0)?;
            }
            plan.flatten();
            plan.linear("fc1", 500);
            plan.relu();
            plan.linear("fc2", classes);
            Ok(())
        };
        Images::recipe(args, layers)
    },
};

/// The network of PyTorch's MNIST example.
pub(crate) static TORCHNET: ModelEntry = Entry {
    name: "torchnet",
    summary: "C(32, 3×3), C(64, 3×3), pool, dropout, L(128), dropout, L: PyTorch's example for digits.",
    paper: "Akoun, Meyer, SignSGD: Fault-Tolerance to Blind and Byzantine Adversaries, 2022, arXiv 2202.02085, §5",
    differs: &[],
    params: &[
        init::PARAM,
        init::SEED,
        geometry::PARAM,
        DROPOUT,
        MASKS,
        HOLD,
        UNIT,
        Param {
            name: "second-relu",
            kind: Kind::Flag,
            default: "true",
            help: "whether a rectifier follows the second convolution; none does in the example's \
                   earlier form, which bucketing's code took",
        },
    ],
    cost: "O(b·d·pixels)",
    facts: Home::image(1, 28, 28, 10, 1_199_882),
    build: |args| {
        let layers = |args: &Args, plan: &mut Plan, classes| {
            plan.conv("conv1", 32, square(3, 0))?;
            plan.relu();
            plan.conv("conv2", 64, square(3, 0))?;
            if args.flag("second-relu") {
                plan.relu();
            }
            plan.max_pool(2, 2, 0)?;
            plan.dropout(0.25);
            head(plan, &[128], 0.5, classes);
            Ok(())
        };
        Images::recipe(args, layers)
    },
};

/// The MNIST network of the sign experiments.
pub(crate) static MNISTNET: ModelEntry = Entry {
    name: "mnistnet",
    summary: "Two C(64, 5×5), pool, dropout, two C(64, 3×3), pool, dropout, L(128), dropout, L.",
    paper: "Akoun, Meyer, SignSGD: Fault-Tolerance to Blind and Byzantine Adversaries, 2022, arXiv 2202.02085, §5",
    differs: &[],
    params: &[init::PARAM, init::SEED, geometry::PARAM, DROPOUT, MASKS, HOLD, UNIT],
    cost: "O(b·d·pixels)",
    facts: Home::image(1, 28, 28, 10, 580_810),
    build: |args| {
        let layers = |_: &Args, plan: &mut Plan, classes| {
            for (i, size) in [5, 5, 3, 3].iter().enumerate() {
                plan.conv(&format!("conv{}", i + 1), 64, square(*size, size / 2))?;
                plan.relu();
                if i % 2 == 1 {
                    plan.max_pool(2, 2, 0)?;
                    plan.dropout(0.25);
                }
            }
            head(plan, &[128], 0.5, classes);
            Ok(())
        };
        Images::recipe(args, layers)
    },
};

/// Flattening, dense layers with rectifiers, dropout before the last one.
fn head(plan: &mut Plan, hidden: &[usize], p: f32, classes: usize) {
    plan.flatten();
    for (i, width) in hidden.iter().enumerate() {
        plan.linear(&format!("fc{}", i + 1), *width);
        plan.relu();
    }
    plan.dropout(p);
    plan.linear(&format!("fc{}", hidden.len() + 1), classes);
}

/// Two pairs of 3×3 convolutions, each followed by a rectifier and then batch normalisation, a
/// pool and a dropout after each pair.
fn pairs(plan: &mut Plan, widths: [usize; 4]) -> Result<(), SpecError> {
    for (i, width) in widths.iter().enumerate() {
        plan.conv(&format!("conv{}", i + 1), *width, square(3, 1))?;
        plan.relu();
        plan.norm(&format!("bn{}", i + 1));
        if i % 2 == 1 {
            plan.max_pool(2, 2, 0)?;
            plan.dropout(0.25);
        }
    }
    Ok(())
}

const EMPIRE_DIFFERS: &[&str] = &[
    "Initial parameters are PyTorch's unless init=xavier asks for those of the Zeno code.",
    "The distributed-momentum study trained in evaluation mode: norm=frozen-init dropout=false.",
    norm::DIFFERS,
];

/// The CIFAR network of Zeno, Fall of Empires and the distributed-momentum study.
pub(crate) static EMPIRE_CNN: ModelEntry = Entry {
    name: "empire-cnn",
    summary: "Four 3×3 convolutions (64, 64, 128, 128) with batch norm behind the rectifier, two pools, dropout, L(128 or 256), L.",
    paper: "Xie, Koyejo, Gupta, Fall of Empires, UAI 2019, arXiv 1903.03936; Zeno, ICML 2019, arXiv 1805.10032",
    differs: EMPIRE_DIFFERS,
    params: &[
        Param {
            name: "hidden",
            kind: Kind::Count { min: 1, max: 1 << 20 },
            default: "auto",
            help: "width of the dense layer; auto is 128 for up to 10 classes, else 256",
        },
        init::PARAM,
        init::SEED,
        geometry::PARAM,
        NORM,
        DROPOUT,
        MASKS,
        HOLD,
    ],
    cost: "O(b·d·pixels)",
    facts: Home::image(3, 32, 32, 10, 1_310_922),
    build: |args| {
        let layers = |args: &Args, plan: &mut Plan, classes| {
            pairs(plan, [64, 64, 128, 128])?;
            let auto = if classes <= 10 { 128 } else { 256 };
            head(plan, &[args.count("hidden").unwrap_or(auto)], 0.25, classes);
            Ok(())
        };
        Images::recipe(args, layers)
    },
};

/// The CIFAR network of Zeno++.
pub(crate) static ZENO_PP_CNN: ModelEntry = Entry {
    name: "zeno-pp-cnn",
    summary: "Four 3×3 convolutions of 64 channels with batch norm behind the rectifier, two pools, dropout, L(128), L(128), L.",
    paper: "Xie, Koyejo, Gupta, Zeno++: Robust Fully Asynchronous SGD, ICML 2020, arXiv 1903.07020",
    differs: &[
        "Initial parameters are PyTorch's unless init=xavier asks for those of the code.",
        norm::DIFFERS,
    ],
    params: &[init::PARAM, init::SEED, geometry::PARAM, NORM, DROPOUT, MASKS, HOLD],
    cost: "O(b·d·pixels)",
    facts: Home::image(3, 32, 32, 10, 655_306),
    build: |args| {
        let layers = |_: &Args, plan: &mut Plan, classes| {
            pairs(plan, [64; 4])?;
            head(plan, &[128, 128], 0.25, classes);
            Ok(())
        };
        Images::recipe(args, layers)
    },
};
