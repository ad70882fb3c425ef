//! What every model and every partition is held to.
//!
//! [`check`] tries a model from anywhere, and says what failed:
//!
//! ```
//! use varangian_learn::{conformance, data::Shape, model};
//! let shape = Shape { channels: 1, height: 4, width: 4 };
//! let report = conformance::check(|| model::build("mlp hidden=8", shape, 3).unwrap(), shape, 3);
//! assert!(report.passed(), "{report}");
//! assert!(report.tried.contains(&"gradient"));
//! ```

use crate::data::Shape;
use crate::model::{Model, Place, Prepared};
use crate::partition::{Partition, Samples};
use crate::{Batch, Targets};
use varangian_base::{Domain, Report, Seed};

type Outcome = Result<(), String>;
type Make<'a> = &'a dyn Fn() -> Box<dyn Model>;

/// Where gradients are taken.
const PLACE: Place = Place { seed: Seed(1), worker: 2, step: 3 };
/// Samples of a batch.
const LEN: usize = 6;

/// Tries the model that `make` makes for inputs of this shape and this many classes (0 for
/// regression): named tensors that cover the parameters, a start that the seed decides, gradients
/// along random directions against differences of the loss, every entry written, the same bits
/// from a fresh and from a used workspace and on any thread, batches of one, and evaluations. A
/// panic is a failure of that check.
///
/// Cost: some hundred gradients of six samples.
pub fn check(make: impl Fn() -> Box<dyn Model>, shape: Shape, classes: usize) -> Report {
    let make: Make<'_> = &make;
    let trial = Trial { model: make(), shape, classes };
    let mut report = Report::default();
    report.run("tensors", || trial.tensors());
    report.run("start", || trial.start());
    report.run("gradient", || trial.differences());
    report.run("bits", || trial.bits());
    report.run("one sample", || trial.one_sample());
    report.run("evaluation", || trial.evaluation());
    report
}

struct Trial {
    model: Box<dyn Model>,
    shape: Shape,
    classes: usize,
}

impl Trial {
    /// A batch of normal inputs with targets as the classes ask.
    fn batch(&self, len: usize, lane: u64) -> Batch {
        let mut draws = Seed(2).lane(Domain::Test, 0, 0, lane);
        let inputs = (0..len * self.shape.len()).map(|_| draws.normal() as f32).collect();
        let targets = match self.classes {
            0 => Targets::Values((0..len).map(|_| draws.normal() as f32).collect()),
            classes => Targets::Labels((0..len).map(|_| draws.below(classes) as u32).collect()),
        };
        Batch { inputs, targets, len, ..Batch::default() }
    }

    /// Parameters away from the special values at which scales and shifts start.
    fn params(&self) -> Vec<f32> {
        let mut draws = Seed(3).stream(Domain::Test, 1, 0);
        let start = self.model.init(Seed(5));
        start.into_iter().map(|x| x + 0.05 * draws.normal() as f32).collect()
    }

    fn gradient(&self, params: &[f32], batch: &Batch) -> (f64, Vec<f32>) {
        let (mut prepared, mut workspace): (Prepared, _) = (Box::new(()), self.model.workspace());
        self.model.prepare(params, &mut prepared);
        let mut out = vec![f32::NAN; self.model.dim()];
        let loss = self.model.gradient(params, &prepared, batch, PLACE, &mut workspace, &mut out);
        (loss, out)
    }

    fn tensors(&self) -> Outcome {
        let (mut end, mut names) = (0, Vec::new());
        for tensor in self.model.tensors() {
            if tensor.offset != end {
                let (name, offset) = (&tensor.name, tensor.offset);
                return Err(format!(
                    "tensor {name} starts at {offset}; the one before ends at {end}"
                ));
            }
            if names.contains(&&tensor.name) {
                return Err(format!("two tensors are called {}", tensor.name));
            }
            names.push(&tensor.name);
            end += tensor.shape.iter().product::<usize>();
        }
        let d = self.model.dim();
        same("the parameters that tensors cover, and d", end, d)
    }

    fn start(&self) -> Outcome {
        let [one, again] = [1, 1].map(|seed| self.model.init(Seed(seed)));
        same("the length of init, and d", one.len(), self.model.dim())?;
        if let Some(x) = one.iter().find(|x| !x.is_finite()) {
            return Err(format!("init holds {x}"));
        }
        let bits = |all: &[f32]| -> Vec<u32> { all.iter().map(|x| x.to_bits()).collect() };
        if bits(&one) != bits(&again) {
            return Err("the same seed gives two starts".into());
        }
        same("init_buffers, and buffers", self.model.init_buffers().len(), self.model.buffers())
    }

    /// ⟨∇L, v⟩ beside (L(θ + εv) − L(θ − εv))/2ε along random directions v of length 1. Kinks (of
    /// rectifiers, of maxima) may lie on the way of a few.
    fn differences(&self) -> Outcome {
        let (params, batch) = (self.params(), self.batch(LEN, 1));
        let (loss, gradient) = self.gradient(&params, &batch);
        if !loss.is_finite() {
            return Err(format!("the loss is {loss}"));
        }
        if let Some(k) = gradient.iter().position(|x| !x.is_finite()) {
            return Err(format!("entry {k} of the gradient is {}", gradient[k]));
        }
        let length = gradient.iter().map(|&x| f64::from(x).powi(2)).sum::<f64>().sqrt();
        let (mut wrong, mut first) = (0, String::new());
        for lane in 0..DIRECTIONS {
            let mut draws = Seed(4).lane(Domain::Test, 0, 0, lane);
            let mut v: Vec<f64> = (0..params.len()).map(|_| draws.normal()).collect();
            // Half of the directions lean towards the gradient, so that they tell of its length.
            if lane % 2 == 0 && length > 0.0 {
                let share = (params.len() as f64).sqrt() / length;
                v.iter_mut().zip(&gradient).for_each(|(v, &g)| *v += share * f64::from(g));
            }
            let norm = v.iter().map(|x| x * x).sum::<f64>().sqrt();
            v.iter_mut().for_each(|x| *x /= norm);
            let slope: f64 = gradient.iter().zip(&v).map(|(&g, v)| f64::from(g) * v).sum();
            let at = |epsilon: f64| {
                let moved = |sign: f64| -> f64 {
                    let moved = params.iter().zip(&v);
                    let moved = moved.map(|(&p, v)| (f64::from(p) + sign * epsilon * v) as f32);
                    self.gradient(&moved.collect::<Vec<f32>>(), &batch).0
                };
                (moved(1.0) - moved(-1.0)) / (2.0 * epsilon)
            };
            let found = [3e-2, 1e-2, 3e-3].map(at);
            let off = |x: &f64| (x - slope).abs();
            let best = found.iter().map(off).fold(f64::INFINITY, f64::min);
            if best > 2e-2 * slope.abs() + 2e-3 * length + 1e-6 {
                wrong += 1;
                if first.is_empty() {
                    first =
                        format!("⟨∇L, v⟩ = {slope:.6}; differences of the loss give {found:.6?}");
                }
            }
        }
        match wrong > DIRECTIONS / 4 {
            true => Err(format!("{wrong} of {DIRECTIONS} directions are off, as {first}")),
            false => Ok(()),
        }
    }

    /// A used workspace, what stood in the output, and the thread change no bit.
    fn bits(&self) -> Outcome {
        let (params, batch, other) = (self.params(), self.batch(LEN, 1), self.batch(LEN, 2));
        let bits = |(loss, all): (f64, Vec<f32>)| -> (u64, Vec<u32>) {
            (loss.to_bits(), all.iter().map(|x| x.to_bits()).collect())
        };
        let wanted = bits(self.gradient(&params, &batch));
        let (mut prepared, mut workspace): (Prepared, _) = (Box::new(()), self.model.workspace());
        self.model.prepare(&params, &mut prepared);
        let mut out = vec![7.0; self.model.dim()];
        for batch in [&other, &batch] {
            let loss =
                self.model.gradient(&params, &prepared, batch, PLACE, &mut workspace, &mut out);
            if std::ptr::eq(batch, &other) {
                continue;
            }
            if bits((loss, out.clone())) != wanted {
                return Err("a used workspace gives other bits than a fresh one".into());
            }
        }
        let pool = rayon::ThreadPoolBuilder::new().num_threads(3).build();
        let pool = pool.map_err(|error| error.to_string())?;
        match bits(pool.install(|| self.gradient(&params, &batch))) == wanted {
            true => Ok(()),
            false => Err("three threads give other bits than one".into()),
        }
    }

    fn one_sample(&self) -> Outcome {
        let (loss, gradient) = self.gradient(&self.params(), &self.batch(1, 3));
        match loss.is_finite() && gradient.iter().all(|x| x.is_finite()) {
            true => Ok(()),
            false => Err(format!("one sample has the loss {loss}, or a gradient not finite")),
        }
    }

    fn evaluation(&self) -> Outcome {
        let (params, batch) = (self.params(), self.batch(LEN, 4));
        let (mut prepared, mut workspace): (Prepared, _) = (Box::new(()), self.model.workspace());
        self.model.prepare(&params, &mut prepared);
        self.model.load_buffers(&self.model.init_buffers(), &mut prepared);
        let run = |workspace: &mut _| self.model.evaluate(&params, &prepared, &batch, workspace);
        let (one, again) = (run(&mut workspace), run(&mut workspace));
        same("samples that were evaluated, and those of the batch", one.count as usize, LEN)?;
        if one.hits > one.count || !one.loss.is_finite() || one != again {
            return Err(format!("an evaluation gives {one:?}, and then {again:?}"));
        }
        Ok(())
    }
}

/// Directions along which gradients are compared.
const DIRECTIONS: u64 = 12;

fn same(what: &str, found: usize, wanted: usize) -> Outcome {
    match found == wanted {
        true => Ok(()),
        false => Err(format!("{what}: {found} and {wanted}")),
    }
}

/// Tries the partition that `make` makes on 600 samples of 10 classes from 6 files, over 1 to 40
/// workers: a share each or an error that says why, no share empty, no sample in two, and the seed
/// alone decides.
pub fn check_partition(make: impl Fn() -> Box<dyn Partition>) -> Report {
    let mut report = Report::default();
    report.run("shares", || {
        let labels = (0..600).map(|i| i % 10).collect();
        let groups = (0..600).map(|i| i / 100).collect();
        let samples = Samples { labels, classes: 10, groups };
        let mut split = 0;
        for workers in [1, 2, 5, 6, 11, 40] {
            let shares = match make().split(&samples, workers, Seed(1)) {
                Ok(shares) => shares,
                Err(error) if error.to_string().trim().is_empty() => {
                    return Err(format!("{workers} workers: refused without a reason"));
                }
                Err(_) => continue,
            };
            split += 1;
            same("shares, and workers", shares.samples.len(), workers)?;
            let mut seen = vec![false; 600];
            for (worker, share) in shares.samples.iter().enumerate() {
                if share.is_empty() {
                    return Err(format!("{workers} workers: worker {worker} has no sample"));
                }
                for &i in share {
                    match seen.get_mut(i as usize) {
                        Some(seen) if !*seen => *seen = true,
                        Some(_) => return Err(format!("{workers} workers: sample {i} is in two")),
                        None => return Err(format!("{workers} workers: there is no sample {i}")),
                    }
                }
            }
            let again = make().split(&samples, workers, Seed(1));
            if again.ok().as_ref() != Some(&shares) {
                return Err(format!("{workers} workers: the same seed gives two splits"));
            }
        }
        if split == 0 { Err("no number of workers was taken".into()) } else { Ok(()) }
    });
    report
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{self, Tally, Tensor, Workspace};
    use crate::partition;
    use varangian_base::spec;

    #[test]
    fn models_hold_to_the_suite() {
        let digits = Shape { channels: 1, height: 28, width: 28 };
        let colours = Shape { channels: 3, height: 32, width: 32 };
        let row = |width| Shape { channels: 1, height: 1, width };
        for (text, shape, classes) in [
            ("linear", digits, 10),
            ("linear", row(7), 0),
            ("logistic", row(7), 2),
            ("mlp hidden=20-10", digits, 10),
            ("linreg-net", row(20), 0),
            ("pca", row(20), 0),
            ("simples-conv", digits, 10),
            ("torchnet", digits, 10),
            ("resnet20", colours, 10),
            ("transformer width=8 hidden=12", row(6), 5),
        ] {
            let report = check(|| model::build(text, shape, classes).unwrap(), shape, classes);
            assert!(report.passed(), "{text}: {report}");
        }
    }

    #[test]
    fn partitions_hold_to_the_suite() {
        for entry in partition::ALL {
            let make = || partition::make(&spec::parse(entry.name).unwrap()).unwrap();
            let report = check_partition(make);
            assert!(report.passed(), "{}: {report}", entry.name);
        }
    }

    /// L = Σ wₖ·xₖ over the batch, whose gradient is off by a factor.
    struct Faulty(f32, Vec<Tensor>);

    impl Model for Faulty {
        fn dim(&self) -> usize {
            3
        }

        fn tensors(&self) -> &[Tensor] {
            &self.1
        }

        fn init(&self, _: Seed) -> Vec<f32> {
            vec![1.0; 3]
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
            let mean = |k: usize| -> f64 {
                let column = batch.inputs.iter().skip(k).step_by(3);
                column.map(|&x| f64::from(x)).sum::<f64>() / batch.len as f64
            };
            (0..3).for_each(|k| out[k] = self.0 * mean(k) as f32);
            (0..3).map(|k| f64::from(params[k]) * mean(k)).sum()
        }

        fn evaluate(&self, _: &[f32], _: &Prepared, batch: &Batch, _: &mut Workspace) -> Tally {
            Tally { loss: 1.0, hits: 0, count: batch.len as u64 }
        }
    }

    #[test]
    fn a_wrong_gradient_and_a_gap_between_tensors_are_found() {
        let shape = Shape { channels: 1, height: 1, width: 3 };
        let failed = |factor: f32, offset: usize| -> Vec<&'static str> {
            let tensor = Tensor { name: "w".into(), shape: vec![3], offset };
            let make = || Box::new(Faulty(factor, vec![tensor.clone()])) as Box<dyn Model>;
            check(make, shape, 0).failures.iter().map(|failure| failure.check).collect()
        };
        assert_eq!(failed(1.0, 0), [""; 0]);
        assert_eq!(failed(1.1, 0), ["gradient"]);
        assert_eq!(failed(-1.0, 0), ["gradient"]);
        assert_eq!(failed(1.0, 1), ["tensors"]);
    }
}
