//! Every model against finite differences of an f64 loss, and the promises of the engine.

mod layers;
mod reference;

use super::network::Network;
use super::*;
use crate::data::Shape;
use crate::{Batch, Targets};
use varangian_base::{Domain, Seed, Stream, spec};

/// Where the tests take gradients.
const PLACE: Place = Place { seed: Seed(1), worker: 2, step: 3 };

/// A batch of normal inputs with targets as the classes ask.
fn batch(shape: Shape, classes: usize, len: usize, stream: &mut Stream) -> Batch {
    let inputs = (0..len * shape.len()).map(|_| stream.normal() as f32).collect();
    let targets = match classes {
        0 => Targets::Values((0..len).map(|_| stream.normal() as f32).collect()),
        _ => Targets::Labels((0..len).map(|_| stream.below(classes) as u32).collect()),
    };
    Batch { inputs, targets, len, ..Batch::default() }
}

/// Builds each entry at its home with these parameters, and hands over the network.
fn with_network(text: &str, shape: Shape, classes: usize, test: impl FnOnce(&Network)) {
    let model = build(text, shape, classes).unwrap();
    let any: &dyn Any = model.as_ref();
    test(any.downcast_ref().expect("built by the engine"));
}

/// The gradient at `params` and the loss.
fn gradient(network: &Network, params: &[f32], batch: &Batch) -> (f64, Vec<f32>) {
    let mut prepared: Prepared = Box::new(());
    network.prepare(params, &mut prepared);
    let mut out = vec![f32::NAN; network.dim()];
    let mut workspace = network.workspace();
    let loss = network.gradient(params, &prepared, batch, PLACE, &mut workspace, &mut out);
    (loss, out)
}

/// Compares up to `count` entries of every `every`-th tensor with central differences of the
/// reference.
fn check_gradient(
    network: &Network,
    batch: &Batch,
    [count, every]: [usize; 2],
    stream: &mut Stream,
) {
    // Away from the special values that scales and shifts start at.
    let mut params = network.init(Seed(5));
    params.iter_mut().for_each(|x| *x += 0.05 * stream.normal() as f32);
    let (loss, found) = gradient(network, &params, batch);
    assert!(found.iter().all(|x| x.is_finite()), "every entry is written");
    let mut exact: Vec<f64> = params.iter().map(|&x| f64::from(x)).collect();
    let want = reference::loss(network, &exact, batch, PLACE);
    assert!((loss - want).abs() < 1e-5 * want.abs().max(1.0), "loss {loss}, want {want}");
    for tensor in network.tensors().iter().step_by(every) {
        let len: usize = tensor.shape.iter().product();
        let range = tensor.offset..tensor.offset + len;
        let norm = found[range].iter().map(|x| x.abs()).fold(0.0, f32::max);
        for t in 0..count.min(len) {
            let k = tensor.offset + if len <= count { t } else { stream.below(len) };
            let (old, step) = (exact[k], 1e-6);
            exact[k] = old + step;
            let above = reference::loss(network, &exact, batch, PLACE);
            exact[k] = old - step;
            let below = reference::loss(network, &exact, batch, PLACE);
            exact[k] = old;
            let slope = (above - below) / (2.0 * step);
            let error = (f64::from(found[k]) - slope).abs();
            let bound = 2e-4 * f64::from(norm) + 1e-7;
            assert!(error < bound, "{}[{k}]: {} against {slope}", tensor.name, found[k]);
        }
    }
}

#[test]
fn each_model_has_its_published_size_at_home_and_tensors_without_gap() {
    for entry in ALL {
        let recipe = entry.make(&spec::Spec::bare(entry.name)).unwrap();
        let model = recipe.build(entry.facts.shape, entry.facts.classes).unwrap();
        assert_eq!(model.dim(), entry.facts.d, "{}", entry.name);
        let mut end = 0;
        for tensor in model.tensors() {
            assert_eq!(tensor.offset, end, "{}: {}", entry.name, tensor.name);
            end += tensor.shape.iter().product::<usize>();
        }
        assert_eq!(end, model.dim());
    }
}

#[test]
fn dense_gradients_agree_with_finite_differences() {
    let mut stream = Seed(1).stream(Domain::Test, 0, 1);
    let flat = |channels| Shape { channels, height: 1, width: 1 };
    let image = Shape { channels: 1, height: 7, width: 5 };
    let cases = [
        ("linear", image, 10),
        ("linear", flat(9), 0),
        ("logistic init=xavier", flat(13), 2),
        ("mlp hidden=17-9 init=kaiming", image, 3),
        ("mlp hidden=17-9 activation=none", image, 3),
        ("mlp hidden=6", flat(4), 0),
        ("linreg-net", flat(20), 0),
        ("logreg-net", flat(20), 2),
    ];
    for (text, shape, classes) in cases {
        for len in [1, 2, 11] {
            let batch = batch(shape, classes, len, &mut stream);
            with_network(text, shape, classes, |net| {
                check_gradient(net, &batch, [12, 1], &mut stream)
            });
        }
    }
}

#[test]
fn a_workspace_is_reused_across_batch_sizes_and_inference() {
    let mut stream = Seed(1).stream(Domain::Test, 0, 2);
    let shape = Shape { channels: 1, height: 6, width: 6 };
    with_network("mlp hidden=12", shape, 4, |net| {
        let params = net.init(Seed(1));
        let (mut workspace, mut prepared) = (net.workspace(), Box::new(()) as Prepared);
        net.prepare(&params, &mut prepared);
        for len in [5, 1, 2500, 5] {
            let batch = batch(shape, 4, len, &mut stream);
            let mut out = vec![f32::NAN; net.dim()];
            let loss = net.gradient(&params, &prepared, &batch, PLACE, &mut workspace, &mut out);
            assert_eq!((loss, out), gradient(net, &params, &batch));
            let tally = net.evaluate(&params, &prepared, &batch, &mut workspace);
            assert!((tally.mean_loss() - loss).abs() < 1e-6 && tally.count == len as u64);
        }
    });
}

#[test]
fn what_does_not_go_together_is_one_clear_line() {
    let shape = Shape { channels: 20, height: 1, width: 1 };
    let say = |text: &str, classes| match build(text, shape, classes) {
        Ok(_) => panic!("{text} was built"),
        Err(error) => error.to_string(),
    };
    assert_eq!(
        say("logistic", 10),
        "logistic: needs a data set with 2 classes; this one has 10 classes"
    );
    assert_eq!(
        say("linreg-net", 2),
        "linreg-net: needs a data set with real-valued targets (0 classes); this one has 2 classes"
    );
    assert_eq!(
        say("mlp hidden=0", 2),
        "mlp: hidden takes widths from 1 to 1048576 as 100 or 200-100; found \"0\""
    );
    assert_eq!(say("mpl", 2), "unknown model \"mpl\"; did you mean \"mlp\"?");
}

#[test]
fn initial_parameters_follow_their_scheme() {
    let shape = Shape { channels: 1, height: 28, width: 28 };
    for (scheme, deviation, bias) in [
        ("torch", 1.0 / (3.0 * 784.0f64).sqrt(), true),
        ("xavier", (2.0 / 884.0f64).sqrt(), false),
        ("kaiming", (2.0 / 784.0f64).sqrt(), false),
    ] {
        with_network(&format!("mlp init={scheme}"), shape, 10, |net| {
            let params = net.init(Seed(3));
            assert_eq!(params, net.init(Seed(3)));
            let weights = &params[..78_400];
            let square: f64 = weights.iter().map(|&x| f64::from(x).powi(2)).sum::<f64>();
            let found = (square / 78_400.0).sqrt();
            assert!((found / deviation - 1.0).abs() < 0.02, "{scheme}: {found} {deviation}");
            assert_eq!(params[78_400..78_500].iter().any(|&b| b != 0.0), bias);
        });
    }
}

#[test]
fn a_seed_of_pytorch_gives_its_initial_parameters_whatever_the_run() {
    // torch.manual_seed(8005); torch.nn.Linear(20, 40); torch.nn.Linear(40, 1)
    let shape = Shape { channels: 20, height: 1, width: 1 };
    with_network("linreg-net init-seed=8005", shape, 0, |net| {
        let params = net.init(Seed(3));
        assert_eq!(params, net.init(Seed(4)));
        let found = [0, 1, 2, 799, 800, 839, 840, 879, 880].map(|k: usize| params[k]);
        let published = [
            0.006_430_975,
            -0.003_885_513,
            0.063_466_005,
            0.118_852_66,
            -0.057_267_632,
            0.026_080_023,
            -0.071_537_144,
            -0.088_440_25,
            0.059_995_458,
        ];
        assert_eq!(found, published);
    });
    for text in ["linreg-net init=xavier init-seed=1", "mnistnet init=kaiming init-seed=1"] {
        let error = crate::model::build(text, shape, 0).err().unwrap();
        assert!(error.to_string().contains("init-seed is PyTorch's seed"), "{error}");
    }
}

#[test]
fn a_seed_of_pytorch_gives_a_convolutional_networks_initial_parameters() {
    // torch.manual_seed(8005), then Conv2d(1, 64, 5), Conv2d(64, 64, 5), Conv2d(64, 64, 3) twice,
    // Linear(3136, 128), Linear(128, 10) of PyTorch 2.11: some of them, and all bits in one number.
    let shape = Shape { channels: 1, height: 28, width: 28 };
    with_network("mnistnet init-seed=8005", shape, 10, |net| {
        let params = net.init(Seed(3));
        let found = [0, 1599, 1600, 1663, 580_809].map(|k: usize| params[k]);
        assert_eq!(
            found,
            [0.005_752_039, 0.172_561_69, -0.176_815_54, 0.083_209_57, -0.062_247_67]
        );
        let mix =
            |hash: u64, x: &f32| (hash ^ u64::from(x.to_bits())).wrapping_mul(0x0100_0000_01b3);
        assert_eq!(params.iter().fold(0xcbf2_9ce4_8422_2325, mix), 0x1574_c7cc_ffe7_063b);
    });
}

#[test]
fn the_network_of_pytorchs_example_has_its_losses_in_both_forms() {
    // PyTorch 2.15 in f64, after torch.manual_seed(1): the losses of one image under labels 0 to 2.
    let shape = Shape { channels: 1, height: 28, width: 28 };
    for (text, losses) in [
        ("", [2.383_093_143_129, 2.311_669_105_472, 2.339_371_906_063]),
        ("second-relu=false", [2.392_677_469_954, 2.308_545_136_097, 2.362_353_053_350]),
    ] {
        with_network(&format!("torchnet init-seed=1 {text}"), shape, 10, |net| {
            let (params, mut workspace) = (net.init(Seed(3)), net.workspace());
            let mut prepared: Prepared = Box::new(());
            net.prepare(&params, &mut prepared);
            for (label, loss) in losses.into_iter().enumerate() {
                let mut batch = Batch::default();
                batch.begin(1, 784);
                batch.inputs = (0..784).map(|k| (k % 7) as f32 / 7.0 - 0.3).collect();
                batch.targets = Targets::Labels(vec![label as u32]);
                let found = net.evaluate(&params, &prepared, &batch, &mut workspace).mean_loss();
                assert!((found - loss).abs() < 1e-5, "{text}: {found} {loss}");
            }
        });
    }
}

#[test]
fn workers_and_steps_share_dropout_masks_only_where_they_are_asked_to() {
    let mut stream = Seed(1).stream(Domain::Test, 0, 4);
    let shape = Shape { channels: 1, height: 8, width: 8 };
    let batch = batch(shape, 10, 3, &mut stream);
    // Of steps 0, 2, 4, 5 and 6 those with the masks of step 3.
    let (none, all) = ([false; 5], [true; 5]);
    for (masks, shared, same) in [
        ("own", false, none),
        ("shared", true, none),
        ("frozen", true, all),
        ("frozen dropout-hold=3", true, [false, false, true, true, false]),
    ] {
        let text = &format!("mnistnet dropout-masks={masks}");
        with_network(text, shape, 10, |net| {
            let (params, mut workspace) = (net.init(Seed(5)), net.workspace());
            let mut prepared: Prepared = Box::new(());
            net.prepare(&params, &mut prepared);
            let mut at = |worker, step| {
                let mut out = vec![f32::NAN; net.dim()];
                let place = Place { seed: Seed(1), worker, step };
                net.gradient(&params, &prepared, &batch, place, &mut workspace, &mut out);
                out
            };
            let first = at(0, 3);
            assert_eq!(at(2, 3) == first, shared, "{text}: workers");
            assert_eq!(at(u32::MAX, 3) == first, shared, "{text}: the server");
            assert_eq!([0, 2, 4, 5, 6].map(|step| at(0, step) == first), same, "{text}: steps");
        });
    }
}

#[test]
fn inference_with_little_preparation_agrees_with_the_full_one() {
    let mut stream = Seed(1).stream(Domain::Test, 0, 3);
    let shape = Shape { channels: 3, height: 9, width: 8 };
    for text in ["empire-cnn hidden=9", "resnet20 conv=im2col", "mlp hidden=20"] {
        let batch = batch(shape, 10, 4, &mut stream);
        with_network(text, shape, 10, |net| {
            let params = net.init(Seed(8));
            let (mut prepared, mut workspace) = (Box::new(()) as Prepared, net.workspace());
            net.prepare_inference(&params, &mut prepared);
            let lean = net.evaluate(&params, &prepared, &batch, &mut workspace);
            net.prepare(&params, &mut prepared);
            let full = net.evaluate(&params, &prepared, &batch, &mut workspace);
            assert!((lean.loss - full.loss).abs() < 1e-4 * full.loss, "{lean:?} {full:?}");
            assert_eq!(lean.hits, full.hits);
        });
    }
}

/// Images on a plain background take the sparse path of the first layer; so do rows of zeros.
#[test]
fn sparse_inputs_have_the_gradients_of_finite_differences_too() {
    let mut stream = Seed(1).stream(Domain::Test, 0, 4);
    let shape = Shape { channels: 1, height: 7, width: 9 };
    for (background, share) in [(-0.4242, 0.1), (0.0, 0.2), (1.0, 0.0)] {
        for text in ["mlp hidden=37", "mlp hidden=130", "linear"] {
            let mut batch = batch(shape, 4, 9, &mut stream);
            for x in batch.inputs.iter_mut().skip(1) {
                *x = if stream.uniform() < share { *x } else { background };
            }
            batch.inputs[0] = background;
            with_network(text, shape, 4, |net| {
                check_gradient(net, &batch, [40, 1], &mut stream);
                let params = net.init(Seed(9));
                let (mut prepared, mut workspace) = (Box::new(()) as Prepared, net.workspace());
                net.prepare(&params, &mut prepared);
                let (loss, _) = gradient(net, &params, &batch);
                let tally = net.evaluate(&params, &prepared, &batch, &mut workspace);
                assert!((tally.mean_loss() - loss).abs() < 1e-6);
            });
        }
    }
}
