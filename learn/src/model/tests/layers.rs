//! Convolutions and what stands around them, on odd shapes, by every method and instruction set.

use super::super::geometry::Method;
use super::super::init::Scheme;
use super::super::norm::Statistics;
use super::super::plan::{Kernel, Plan, Style};
use super::*;
use crate::kernels::image::Border;
use crate::kernels::isa::{self, Isa};

fn image(channels: usize, height: usize, width: usize) -> Shape {
    Shape { channels, height, width }
}

fn style(method: Method, border: Border) -> Style {
    Style { method, border, ..Style::plain(Scheme::Torch) }
}

/// Two convolutions, so that the second one's gradient by its input is used, and a dense layer.
fn stack(shape: Shape, kernel: Kernel, widths: [usize; 2], style: Style) -> Network {
    let mut plan = Plan::image(shape, style);
    plan.conv("a", widths[0], Kernel { size: 1, stride: 1, pad: 0, bias: true }).unwrap();
    plan.conv("b", widths[1], kernel).unwrap();
    plan.flatten();
    plan.linear("c", 3);
    Network::new(plan, Loss::CrossEntropy)
}

#[test]
fn convolutions_agree_with_finite_differences_on_odd_shapes() {
    let mut stream = Seed(4).stream(Domain::Test, 0, 0);
    let kernel = |size, stride, pad, bias| Kernel { size, stride, pad, bias };
    let cases = [
        (image(3, 5, 7), kernel(3, 1, 1, true), [17, 20]),
        (image(1, 9, 4), kernel(3, 1, 0, false), [16, 33]),
        (image(2, 6, 6), kernel(3, 1, 2, true), [5, 40]),
        (image(2, 7, 5), kernel(3, 2, 1, true), [6, 17]),
        (image(2, 6, 7), kernel(5, 1, 2, true), [4, 19]),
        (image(3, 9, 5), kernel(5, 1, 4, false), [17, 3]),
        (image(1, 9, 10), kernel(5, 1, 0, true), [33, 18]),
        (image(3, 5, 5), kernel(1, 2, 0, false), [35, 3]),
        (image(1, 8, 9), kernel(7, 2, 3, true), [2, 4]),
    ];
    for isa in Isa::ALL.into_iter().filter(|isa| isa.available()) {
        for (shape, kernel, widths) in cases {
            for method in [Method::Direct, Method::Winograd, Method::Im2col] {
                for border in [Border::Zeros, Border::Replicate] {
                    let net = stack(shape, kernel, widths, style(method, border));
                    let batch = batch(shape, 3, 3, &mut stream);
                    isa::with(isa, || check_gradient(&net, &batch, [3, 1], &mut stream));
                }
            }
        }
    }
}

#[test]
fn many_tiles_and_images_agree_between_methods() {
    let mut stream = Seed(4).stream(Domain::Test, 0, 1);
    for (shape, widths, len, size) in [
        (image(3, 19, 18), [48, 65], 7, 3),
        (image(1, 8, 8), [16, 16], 90, 3),
        (image(3, 19, 18), [48, 65], 7, 5),
        (image(1, 8, 8), [16, 16], 90, 5),
    ] {
        let kernel = Kernel { size, stride: 1, pad: size / 2, bias: true };
        let batch = batch(shape, 3, len, &mut stream);
        let found = [Method::Direct, Method::Winograd, Method::Im2col].map(|method| {
            let net = stack(shape, kernel, widths, style(method, Border::Zeros));
            gradient(&net, &net.init(Seed(2)), &batch).1
        });
        let norm: f64 = found[0].iter().map(|&x| f64::from(x).powi(2)).sum();
        for other in &found[1..] {
            let far: f64 = found[0].iter().zip(other).map(|(a, b)| f64::from(a - b).powi(2)).sum();
            assert!((far / norm).sqrt() < 1e-5, "{size}: {}", (far / norm).sqrt());
        }
    }
}

#[test]
fn norm_pools_dropout_and_sums_agree_with_finite_differences() {
    let mut stream = Seed(4).stream(Domain::Test, 0, 2);
    let kernel = Kernel { size: 3, stride: 1, pad: 1, bias: false };
    for statistics in [Statistics::Batch, Statistics::FrozenInit] {
        for (size, stride, pad) in [(2, 2, 0), (3, 2, 1), (2, 1, 0)] {
            let shape = image(2, 7, 6);
            let mut plan =
                Plan::image(shape, Style { statistics, ..style(Method::Auto, Border::Zeros) });
            plan.conv("a", 5, kernel).unwrap();
            plan.norm("b");
            plan.relu();
            let start = plan.at();
            plan.conv("c", 9, kernel).unwrap();
            plan.dropout(0.4);
            let main = plan.at();
            plan.go(start);
            plan.subsample(9, 1);
            let other = plan.at();
            plan.go(main);
            plan.add(other);
            plan.max_pool(size, stride, pad).unwrap();
            plan.norm("d");
            let pooled = plan.at();
            plan.relu();
            plan.add(pooled);
            plan.global_mean();
            plan.linear("e", 4);
            let net = Network::new(plan, Loss::CrossEntropy);
            let batch = batch(shape, 4, 5, &mut stream);
            check_gradient(&net, &batch, [6, 1], &mut stream);
        }
    }
}

#[test]
fn small_networks_of_the_papers_agree_with_finite_differences() {
    let mut stream = Seed(4).stream(Domain::Test, 0, 3);
    let cases = [
        ("simples-conv", image(1, 16, 16), 2, [2, 1]),
        ("torchnet", image(1, 6, 8), 2, [2, 1]),
        ("mnistnet conv=direct", image(1, 8, 8), 1, [1, 1]),
        ("mnistnet dropout-masks=shared", image(1, 8, 8), 2, [1, 2]),
        ("torchnet dropout-unit=channel second-relu=false", image(1, 6, 8), 2, [2, 1]),
        (
            "mnistnet dropout-masks=frozen dropout-hold=1 dropout-unit=channel",
            image(1, 8, 8),
            2,
            [1, 2],
        ),
        ("empire-cnn hidden=20", image(3, 8, 8), 2, [1, 1]),
        ("empire-cnn hidden=20 norm=frozen-init dropout=false", image(3, 5, 6), 1, [1, 1]),
        ("zeno-pp-cnn init=xavier", image(3, 6, 6), 2, [1, 2]),
        ("resnet20", image(3, 8, 8), 3, [1, 5]),
        ("resnet20 shortcut=conv conv=direct", image(3, 9, 7), 2, [1, 7]),
        ("wide-resnet depth=10 widen=2", image(3, 8, 8), 2, [1, 2]),
    ];
    for (text, shape, len, counts) in cases {
        let batch = batch(shape, 10, len, &mut stream);
        with_network(text, shape, 10, |net| check_gradient(net, &batch, counts, &mut stream));
    }
}

#[test]
fn the_variants_have_their_published_sizes() {
    let (cifar, imagenet) = (image(3, 32, 32), image(3, 224, 224));
    for (text, shape, classes, d) in [
        ("empire-cnn", cifar, 100, 2_384_036),
        ("resnet20 shortcut=conv", cifar, 10, 272_474),
        ("resnet18 variant=cifar", cifar, 10, 11_173_962),
        ("resnet18 variant=signsgd", imagenet, 10, 11_541_770),
        ("resnet50 variant=signsgd", imagenet, 10, 38_137_866),
        ("resnet50 variant=cifar", cifar, 10, 23_520_842),
    ] {
        assert_eq!(build(text, shape, classes).unwrap().dim(), d, "{text}");
    }
}

#[test]
fn the_same_bits_at_any_number_of_threads() {
    let mut stream = Seed(4).stream(Domain::Test, 0, 4);
    let shape = image(3, 12, 12);
    let batches: Vec<Batch> = (0..5).map(|_| batch(shape, 10, 3, &mut stream)).collect();
    with_network("empire-cnn hidden=16", shape, 10, |net| {
        let params = net.init(Seed(9));
        let runs = [1, 2, 8].map(|threads| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| {
                use rayon::prelude::*;
                let all: Vec<_> = batches.par_iter().map(|b| gradient(net, &params, b)).collect();
                all
            })
        });
        assert!(runs[0] == runs[1] && runs[0] == runs[2]);
    });
}

#[test]
fn running_statistics_are_measured_and_used_in_inference() {
    let mut stream = Seed(4).stream(Domain::Test, 0, 5);
    let shape = image(2, 4, 4);
    let mut plan = Plan::image(shape, style(Method::Auto, Border::Zeros));
    plan.norm("a");
    plan.flatten();
    plan.linear("b", 3);
    let net = Network::new(plan, Loss::CrossEntropy);
    assert_eq!(net.init_buffers(), [0.0, 0.0, 1.0, 1.0]);
    assert_eq!(net.buffer_tensors()[1].name, "a.running_var");
    let (params, batch) = (net.init(Seed(1)), batch(shape, 3, 50, &mut stream));
    let (mut prepared, mut workspace) = (Box::new(()) as Prepared, net.workspace());
    net.prepare(&params, &mut prepared);
    let mut out = vec![0.0; net.dim()];
    let loss = net.gradient(&params, &prepared, &batch, PLACE, &mut workspace, &mut out);
    let mut found = vec![f32::NAN; net.buffers()];
    net.statistics(&workspace, &mut found);
    for channel in 0..2 {
        let all: Vec<f64> = batch
            .inputs
            .chunks(16)
            .skip(channel)
            .step_by(2)
            .flatten()
            .map(|&x| f64::from(x))
            .collect();
        let mean = all.iter().sum::<f64>() / 800.0;
        let variance = all.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / 799.0;
        assert!((f64::from(found[channel]) - mean).abs() < 1e-6);
        assert!((f64::from(found[2 + channel]) - variance).abs() < 1e-5);
    }
    // With the batch's own statistics inference gives nearly the loss of training.
    net.load_buffers(&found, &mut prepared);
    let tally = net.evaluate(&params, &prepared, &batch, &mut workspace);
    assert!((tally.mean_loss() - loss).abs() < 1e-3);
}

#[test]
fn an_image_too_small_is_one_clear_line() {
    let Err(error) = build("simples-conv", image(1, 7, 7), 10) else { panic!("built") };
    assert_eq!(
        error.to_string(),
        "simples-conv: a window of 5 × 5 needs a larger image; found 1 × 1"
    );
}
