//! Residual networks: of He et al. for CIFAR and ImageNet, the variants of Akoun and Meyer, and
//! wide ones.

use super::entry::{Home, ModelEntry};
use super::images::{DROPOUT, HOLD, Images, Layers, MASKS, NORM};
use super::plan::{Kernel, Plan};
use super::{geometry, init, norm};
use crate::kernels::image::Border;
use varangian_base::{Args, Entry, Kind, Param, SpecError};

/// A square kernel with the padding that keeps the size, without bias.
fn bare(size: usize, stride: usize) -> Kernel {
    Kernel { size, stride, pad: size / 2, bias: false }
}

/// The same with a bias.
fn biased(size: usize, stride: usize) -> Kernel {
    Kernel { bias: true, ..bare(size, stride) }
}

/// Convolution, batch norm.
fn conv_norm(
    plan: &mut Plan,
    [conv, norm]: [String; 2],
    width: usize,
    kernel: Kernel,
) -> Result<(), SpecError> {
    plan.conv(&conv, width, kernel)?;
    plan.norm(&norm);
    Ok(())
}

/// One stage of a network: its blocks, their width, the stride of the first.
struct Stage {
    blocks: usize,
    width: usize,
    stride: usize,
}

/// Stages of doubling widths; all but the first halve the image.
fn stages(blocks: &[usize], width: usize) -> Vec<Stage> {
    let stage =
        |(i, &blocks)| Stage { blocks, width: width << i, stride: if i == 0 { 1 } else { 2 } };
    blocks.iter().enumerate().map(stage).collect()
}

/// A block of two 3×3 convolutions, or of 1×1, 3×3, 1×1 where `wide` is 4.
fn block(
    plan: &mut Plan,
    name: &str,
    width: usize,
    stride: usize,
    wide: usize,
    shortcut: &str,
) -> Result<(), SpecError> {
    let (start, before) = (plan.at(), plan.shape());
    let part = |i: usize| [format!("{name}.conv{i}"), format!("{name}.bn{i}")];
    if wide == 1 {
        conv_norm(plan, part(1), width, bare(3, stride))?;
        plan.relu();
        conv_norm(plan, part(2), width, bare(3, 1))?;
    } else {
        conv_norm(plan, part(1), width, bare(1, 1))?;
        plan.relu();
        conv_norm(plan, part(2), width, bare(3, stride))?;
        plan.relu();
        conv_norm(plan, part(3), width * wide, bare(1, 1))?;
    }
    let main = plan.at();
    if stride > 1 || before.channels != width * wide {
        plan.go(start);
        match shortcut {
            "pad" => plan.subsample(width * wide, stride),
            _ => {
                let names = [format!("{name}.{shortcut}.0"), format!("{name}.{shortcut}.1")];
                conv_norm(plan, names, width * wide, bare(1, stride))?;
            }
        }
        let other = plan.at();
        plan.go(main);
        plan.add(other);
    } else {
        plan.add(start);
    }
    plan.relu();
    Ok(())
}

/// ResNet-20 for CIFAR.
pub(crate) static RESNET20: ModelEntry = Entry {
    name: "resnet20",
    summary: "Nine blocks of two 3×3 convolutions with 16, 32, 64 channels, for 32×32 images.",
    paper: "He, Zhang, Ren, Sun, Deep Residual Learning for Image Recognition, CVPR 2016, arXiv 1512.03385, §4.2",
    differs: &[norm::DIFFERS],
    params: &[
        Param {
            name: "shortcut",
            kind: Kind::Choice(&["pad", "conv"]),
            default: "pad",
            help: "where a block changes the shape: pad, every second pixel and channels of zeros \
                   (option A of the paper); conv, a 1×1 convolution with batch norm (option B, \
                   272474 parameters)",
        },
        init::PARAM,
        geometry::PARAM,
        NORM,
    ],
    cost: "O(b·d·pixels)",
    facts: Home::image(3, 32, 32, 10, 269_722),
    build: |args| {
        let layers = |args: &Args, plan: &mut Plan, classes| {
            let shortcut = if args.text("shortcut") == "pad" { "pad" } else { "shortcut" };
            conv_norm(plan, ["conv1".into(), "bn1".into()], 16, bare(3, 1))?;
            plan.relu();
            for (i, stage) in stages(&[3, 3, 3], 16).iter().enumerate() {
                for b in 0..stage.blocks {
                    let name = format!("layer{}.{b}", i + 1);
                    let stride = if b == 0 { stage.stride } else { 1 };
                    block(plan, &name, stage.width, stride, 1, shortcut)?;
                }
            }
            plan.global_mean();
            plan.linear("linear", classes);
            Ok(())
        };
        Images::recipe(args, layers)
    },
};

/// The parameter by which the larger ones are cut for their images.
const VARIANT: Param = Param {
    name: "variant",
    kind: Kind::Choice(&["imagenet", "cifar", "signsgd"]),
    default: "imagenet",
    help: "imagenet: 7×7 with stride 2 and a pool first; cifar: 3×3 first, for 32×32 images; \
           signsgd: the code of Akoun and Meyer 2022, with replicated borders, biases, the \
           rectifier before the sum, and a shortcut convolution in every block, idle where the \
           shape does not change",
};

/// A network with four stages of these blocks; `wide` is 4 for blocks of three convolutions.
fn four_stages(
    args: &Args,
    plan: &mut Plan,
    classes: usize,
    blocks: &[usize; 4],
    wide: usize,
) -> Result<(), SpecError> {
    if args.text("variant") == "signsgd" {
        return signsgd(plan, classes, blocks, wide);
    }
    let cifar = args.text("variant") == "cifar";
    let first = if cifar { bare(3, 1) } else { bare(7, 2) };
    conv_norm(plan, ["conv1".into(), "bn1".into()], 64, first)?;
    plan.relu();
    if !cifar {
        plan.max_pool(3, 2, 1)?;
    }
    for (i, stage) in stages(blocks, 64).iter().enumerate() {
        for b in 0..stage.blocks {
            let name = format!("layer{}.{b}", i + 1);
            let stride = if b == 0 { stage.stride } else { 1 };
            block(plan, &name, stage.width, stride, wide, "downsample")?;
        }
    }
    plan.global_mean();
    plan.linear("fc", classes);
    Ok(())
}

/// The networks of Akoun and Meyer.
fn signsgd(
    plan: &mut Plan,
    classes: usize,
    blocks: &[usize; 4],
    wide: usize,
) -> Result<(), SpecError> {
    conv_norm(plan, ["entry.conv".into(), "entry.bn".into()], 64, biased(7, 2))?;
    plan.relu();
    plan.max_pool(3, 2, 1)?;
    for (i, stage) in stages(blocks, 64).iter().enumerate() {
        for b in 0..stage.blocks {
            let name = format!("blocks.conv{}_{}", i + 2, b + 1);
            signsgd_block(plan, &name, stage, b == 0, wide)?;
        }
    }
    plan.global_mean();
    plan.linear("exit.fc", classes);
    Ok(())
}

/// One of their blocks: the sum has no rectifier behind it, and the shortcut's tensors exist even
/// where the shortcut is the identity.
fn signsgd_block(
    plan: &mut Plan,
    name: &str,
    stage: &Stage,
    first: bool,
    wide: usize,
) -> Result<(), SpecError> {
    let (start, channels) = (plan.at(), plan.shape().channels);
    let (stride, out) = (if first { stage.stride } else { 1 }, stage.width * wide);
    let kernels: &[(usize, Kernel)] = match wide {
        1 => &[(stage.width, biased(3, stride)), (stage.width, biased(3, 1))],
        _ => &[(stage.width, biased(1, stride)), (stage.width, biased(3, 1)), (out, biased(1, 1))],
    };
    for (i, (width, kernel)) in kernels.iter().enumerate() {
        let names = [format!("{name}.plain.{}", 3 * i), format!("{name}.plain.{}", 3 * i + 1)];
        conv_norm(plan, names, *width, *kernel)?;
        plan.relu();
    }
    let main = plan.at();
    plan.go(start);
    let names = [format!("{name}.shortcut.0"), format!("{name}.shortcut.1")];
    if channels == out {
        plan.idle_conv_norm(names, out, biased(1, stride));
    } else {
        conv_norm(plan, names, out, biased(1, stride))?;
    }
    let other = plan.at();
    plan.go(main);
    plan.add(other);
    Ok(())
}

const SIGNSGD_DIFFERS: &[&str] = &[
    "variant=signsgd leaves out that code's softmax over the batch before the loss; the number of \
     blocks is the paper's, where the code builds fewer for lack of distinct names.",
    norm::DIFFERS,
];

/// ResNet-18.
pub(crate) static RESNET18: ModelEntry = Entry {
    name: "resnet18",
    summary: "Eight blocks of two 3×3 convolutions with 64 to 512 channels.",
    paper: "He, Zhang, Ren, Sun, Deep Residual Learning for Image Recognition, CVPR 2016, arXiv 1512.03385, table 1",
    differs: SIGNSGD_DIFFERS,
    params: &[VARIANT, init::PARAM, geometry::PARAM, NORM],
    cost: "O(b·d·pixels)",
    facts: Home::image(3, 224, 224, 1000, 11_689_512),
    build: |args| {
        let layers = |args: &Args, plan: &mut Plan, classes| {
            four_stages(args, plan, classes, &[2, 2, 2, 2], 1)
        };
        large(args, layers)
    },
};

/// ResNet-50.
pub(crate) static RESNET50: ModelEntry = Entry {
    name: "resnet50",
    summary: "Sixteen blocks of 1×1, 3×3 and 1×1 convolutions with 256 to 2048 channels.",
    paper: "He, Zhang, Ren, Sun, Deep Residual Learning for Image Recognition, CVPR 2016, arXiv 1512.03385, table 1",
    differs: &[
        "The stride stands in the 3×3 convolution, as in PyTorch, not in the first 1×1.",
        SIGNSGD_DIFFERS[0],
        norm::DIFFERS,
    ],
    params: &[VARIANT, init::PARAM, geometry::PARAM, NORM],
    cost: "O(b·d·pixels)",
    facts: Home::image(3, 224, 224, 1000, 25_557_032),
    build: |args| {
        let layers = |args: &Args, plan: &mut Plan, classes| {
            four_stages(args, plan, classes, &[3, 4, 6, 3], 4)
        };
        large(args, layers)
    },
};

fn large(args: &Args, layers: Layers) -> Result<Box<dyn super::Recipe>, SpecError> {
    let border = match args.text("variant") {
        "signsgd" => Border::Replicate,
        _ => Border::Zeros,
    };
    Images::bordered(args, border, layers)
}

/// WRN-28-10.
pub(crate) static WIDE_RESNET: ModelEntry = Entry {
    name: "wide-resnet",
    summary: "Blocks of two 3×3 convolutions behind batch norm and rectifier, 10 times as wide: WRN-28-10.",
    paper: "Zagoruyko, Komodakis, Wide Residual Networks, BMVC 2016, arXiv 1605.07146",
    differs: &[
        "Convolutions have biases and the shortcut is a bare 1×1 convolution, as in the code that the distributed-momentum study used.",
        norm::DIFFERS,
    ],
    params: &[
        Param {
            name: "depth",
            kind: Kind::Count { min: 10, max: 100 },
            default: "28",
            help: "convolutions: 6k + 4 for k blocks a stage",
        },
        Param {
            name: "widen",
            kind: Kind::Count { min: 1, max: 20 },
            default: "10",
            help: "the stages have 16, 32, 64 channels times this",
        },
        Param {
            name: "p",
            kind: Kind::Real { min: 0.0, max: 0.95 },
            default: "0.3",
            help: "probability of dropout inside a block",
        },
        init::PARAM,
        geometry::PARAM,
        NORM,
        DROPOUT,
        MASKS,
        HOLD,
    ],
    cost: "O(b·d·pixels)",
    facts: Home::image(3, 32, 32, 10, 36_489_290),
    build: |args| {
        let depth = args.count("depth").unwrap_or(28);
        if depth % 6 != 4 {
            return Err(SpecError::new(format!("depth takes 6k + 4; found {depth}")));
        }
        Images::recipe(args, wide)
    },
};

fn wide(args: &Args, plan: &mut Plan, classes: usize) -> Result<(), SpecError> {
    let blocks = (args.count("depth").unwrap_or(28) - 4) / 6;
    let widen = args.count("widen").unwrap_or(10);
    let p = args.real("p").unwrap_or(0.3) as f32;
    plan.conv("conv1", 16, biased(3, 1))?;
    for (i, stage) in stages(&[blocks; 3], 16 * widen).iter().enumerate() {
        for b in 0..blocks {
            let name = format!("layer{}.{b}", i + 1);
            let stride = if b == 0 { stage.stride } else { 1 };
            wide_block(plan, &name, stage.width, stride, p)?;
        }
    }
    plan.norm("bn1");
    plan.relu();
    plan.global_mean();
    plan.linear("linear", classes);
    Ok(())
}

fn wide_block(
    plan: &mut Plan,
    name: &str,
    width: usize,
    stride: usize,
    p: f32,
) -> Result<(), SpecError> {
    let (start, channels) = (plan.at(), plan.shape().channels);
    plan.norm(&format!("{name}.bn1"));
    plan.relu();
    plan.conv(&format!("{name}.conv1"), width, biased(3, 1))?;
    plan.dropout(p);
    plan.norm(&format!("{name}.bn2"));
    plan.relu();
    plan.conv(&format!("{name}.conv2"), width, biased(3, stride))?;
    let main = plan.at();
    plan.go(start);
    if stride > 1 || channels != width {
        plan.conv(&format!("{name}.shortcut.0"), width, biased(1, stride))?;
    }
    let other = plan.at();
    plan.go(main);
    plan.add(other);
    Ok(())
}
