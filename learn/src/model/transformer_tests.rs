//! The transformer against a slow loss in f64 that shares nothing with it.

use super::super::build;
use super::*;
use varangian_base::Stream;

const LENGTH: usize = 5;
const CLASSES: usize = 7;
const TEXT: &str = "transformer width=6 heads=2 blocks=2 hidden=9";

fn model() -> Box<dyn Model> {
    build(TEXT, Shape::flat(LENGTH), CLASSES).unwrap()
}

fn batch(len: usize, stream: &mut Stream) -> Batch {
    let inputs = (0..len * LENGTH).map(|_| stream.below(CLASSES) as f32).collect();
    let targets = Targets::Labels((0..len).map(|_| stream.below(CLASSES) as u32).collect());
    Batch { inputs, targets, len, ..Batch::default() }
}

fn gradient(model: &dyn Model, params: &[f32], batch: &Batch) -> (f64, Vec<f32>) {
    let place = Place { seed: Seed(1), worker: 0, step: 0 };
    let (none, mut out): (Prepared, _) = (Box::new(()), vec![f32::NAN; model.dim()]);
    let loss = model.gradient(params, &none, batch, place, &mut model.workspace(), &mut out);
    (loss, out)
}

/// Parameters in f64 by name.
struct Slow<'a> {
    model: &'a dyn Model,
    params: &'a [f64],
}

impl Slow<'_> {
    fn of(&self, name: &str) -> &[f64] {
        let tensor = self.model.tensors().iter().find(|tensor| tensor.name == name).unwrap();
        &self.params[tensor.offset..tensor.offset + tensor.extent().1]
    }

    fn linear(&self, name: &str, x: &[f64]) -> Vec<f64> {
        let (w, b) = (self.of(&format!("{name}.weight")), self.of(&format!("{name}.bias")));
        let one = |(o, b): (usize, &f64)| {
            b + (0..x.len()).map(|i| w[o * x.len() + i] * x[i]).sum::<f64>()
        };
        b.iter().enumerate().map(one).collect()
    }

    fn norm(&self, name: &str, x: &[f64]) -> Vec<f64> {
        let (w, b) = (self.of(&format!("{name}.weight")), self.of(&format!("{name}.bias")));
        let n = x.len() as f64;
        let mean = x.iter().sum::<f64>() / n;
        let variance = x.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / n;
        let one = |k: usize| (x[k] - mean) / (variance + 1e-5).sqrt() * w[k] + b[k];
        (0..x.len()).map(one).collect()
    }

    /// Logits of each position of a window.
    fn logits(&self, window: &[usize]) -> Vec<Vec<f64>> {
        let (tokens, positions) = (self.of("tokens.weight"), self.of("positions.weight"));
        let start = |(t, c): (usize, &usize)| {
            (0..6).map(|k| tokens[c * 6 + k] + positions[t * 6 + k]).collect::<Vec<f64>>()
        };
        let mut x: Vec<Vec<f64>> = window.iter().enumerate().map(start).collect();
        for block in 0..2 {
            let name = |part: &str| format!("blocks.{block}.{part}");
            let qkv: Vec<Vec<f64>> = x
                .iter()
                .map(|x| self.linear(&name("attention"), &self.norm(&name("norm1"), x)))
                .collect();
            for t in 0..x.len() {
                let mut context = vec![0.0; 6];
                for head in [0..3, 3..6] {
                    let score = |u: usize| -> f64 {
                        head.clone().map(|k| qkv[t][k] * qkv[u][6 + k]).sum::<f64>() / 3f64.sqrt()
                    };
                    let whole: f64 = (0..=t).map(|u| score(u).exp()).sum();
                    for u in 0..=t {
                        let share = score(u).exp() / whole;
                        head.clone().for_each(|k| context[k] += share * qkv[u][12 + k]);
                    }
                }
                let out = self.linear(&name("out"), &context);
                x[t].iter_mut().zip(out).for_each(|(x, out)| *x += out);
                let mut middle = self.linear(&name("up"), &self.norm(&name("norm2"), &x[t]));
                middle.iter_mut().for_each(|x| *x = x.max(0.0));
                let out = self.linear(&name("down"), &middle);
                x[t].iter_mut().zip(out).for_each(|(x, out)| *x += out);
            }
        }
        x.iter().map(|x| self.linear("head", &self.norm("norm", x))).collect()
    }

    fn loss(&self, batch: &Batch) -> f64 {
        let Targets::Labels(labels) = &batch.targets else { panic!("labels") };
        let mut loss = 0.0;
        for (window, label) in batch.inputs.chunks_exact(LENGTH).zip(labels) {
            let window: Vec<usize> = window.iter().map(|&c| c as usize).collect();
            let next = window[1..].iter().copied().chain([*label as usize]);
            for (logits, next) in self.logits(&window).iter().zip(next) {
                let whole: f64 = logits.iter().map(|z| z.exp()).sum();
                loss += whole.ln() - logits[next];
            }
        }
        loss / (labels.len() * LENGTH) as f64
    }
}

#[test]
fn loss_and_gradient_agree_with_a_slow_loss_in_double_precision() {
    let (model, mut stream) = (model(), Seed(4).stream(Domain::Test, 0, 0));
    let mut params = model.init(Seed(2));
    params.iter_mut().for_each(|x| *x += 0.05 * stream.normal() as f32);
    let batch = batch(3, &mut stream);
    let (loss, found) = gradient(model.as_ref(), &params, &batch);
    let mut exact: Vec<f64> = params.iter().map(|&x| f64::from(x)).collect();
    let at = |exact: &[f64]| Slow { model: model.as_ref(), params: exact }.loss(&batch);
    assert!((loss - at(&exact)).abs() < 1e-5, "{loss} {}", at(&exact));
    for tensor in model.tensors() {
        let range = tensor.offset..tensor.offset + tensor.extent().1;
        let largest = found[range.clone()].iter().fold(0f32, |a, x| a.max(x.abs()));
        for k in range {
            let (old, step) = (exact[k], 1e-6);
            exact[k] = old + step;
            let above = at(&exact);
            exact[k] = old - step;
            let slope = (above - at(&exact)) / (2.0 * step);
            exact[k] = old;
            let error = (f64::from(found[k]) - slope).abs();
            // The bias of the keys moves nothing: there is noise alone.
            let bound = 3e-4 * f64::from(largest) + 2e-6;
            assert!(error < bound, "{}[{k}]: {} against {slope}", tensor.name, found[k]);
        }
    }
}

#[test]
fn a_used_workspace_gives_the_same_bits_and_evaluation_the_same_loss() {
    let (model, mut stream) = (model(), Seed(5).stream(Domain::Test, 0, 0));
    let (params, none) = (model.init(Seed(2)), Box::new(()) as Prepared);
    let mut workspace = model.workspace();
    let place = Place { seed: Seed(1), worker: 0, step: 0 };
    for len in [4, 1, 9, 4] {
        let batch = batch(len, &mut stream);
        let mut out = vec![f32::NAN; model.dim()];
        let loss = model.gradient(&params, &none, &batch, place, &mut workspace, &mut out);
        assert_eq!((loss, out), gradient(model.as_ref(), &params, &batch));
        let tally = model.evaluate(&params, &none, &batch, &mut workspace);
        assert!((tally.mean_loss() - loss).abs() < 1e-6 && tally.count == len as u64);
    }
}

#[test]
fn no_position_sees_what_comes_later() {
    let model = model();
    let start: Vec<f64> = model.init(Seed(2)).iter().map(|&x| x.into()).collect();
    let any: &dyn std::any::Any = model.as_ref();
    let transformer: &Transformer = any.downcast_ref().unwrap();
    let logits = |last: f32| {
        let targets = Targets::Labels(vec![0]);
        let inputs = vec![1.0, 2.0, 3.0, 4.0, last];
        let batch = Batch { inputs, targets, len: 1, ..Batch::default() };
        let (params, mut room) = (model.init(Seed(2)), Room::default());
        transformer.forward(&params, &batch, &mut room);
        room.logits
    };
    let (one, other) = (logits(0.0), logits(6.0));
    assert_eq!(one[..4 * CLASSES], other[..4 * CLASSES]);
    assert_ne!(one[4 * CLASSES..], other[4 * CLASSES..]);
    let slow = Slow { model: model.as_ref(), params: &start }.logits(&[1, 2, 3, 4, 0]);
    for (fast, slow) in one.iter().zip(slow.iter().flatten()) {
        assert!((f64::from(*fast) - slow).abs() < 1e-4, "{fast} {slow}");
    }
}

#[test]
fn it_learns_a_text_by_heart_and_hits_are_those_of_the_last_position() {
    let (model, mut stream) = (model(), Seed(6).stream(Domain::Test, 0, 0));
    let (mut params, batch) = (model.init(Seed(2)), batch(3, &mut stream));
    for _ in 0..400 {
        let (_, slope) = gradient(model.as_ref(), &params, &batch);
        params.iter_mut().zip(slope).for_each(|(p, g)| *p -= 0.3 * g);
    }
    let none: Prepared = Box::new(());
    let tally = model.evaluate(&params, &none, &batch, &mut model.workspace());
    assert!(tally.mean_loss() < 0.5 && tally.hits == 3, "{tally:?}");
}

#[test]
fn sizes_that_do_not_fit_are_refused() {
    let say = |text: &str, classes| {
        build(text, Shape::flat(LENGTH), classes).err().expect("refused").to_string()
    };
    let error = say("transformer width=7", 5);
    assert_eq!(error, "transformer: width is a multiple of heads; found width=7 heads=2");
    let error = say("transformer", 0);
    assert_eq!(error, "transformer: characters are classes, at least 2 of them; found 0");
}
