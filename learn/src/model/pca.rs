//! Principal components as a model: W of width × k, whose columns come to span the directions in
//! which the inputs vary most.
//!
//! L(W) = E‖x − W·Wᵀ·x‖², with r = x − W·Wᵀ·x and gradient −2·E[x·(rᵀW) + r·(xᵀW)]. Its minima are
//! the orthonormal bases of the k leading eigenvectors of E[x·xᵀ]; every other set of eigenvectors,
//! and W = 0, is a strict saddle. Targets are ignored.
//!
//! Evaluation says how much of the inputs the *span* of W misses, whatever its columns' lengths:
//! E‖x − P·x‖² with P the orthogonal projection onto it.

use super::{Model, ModelEntry, Place, Prepared, Recipe, Tally, Tensor, Workspace};
use crate::Batch;
use crate::data::Shape;
use crate::model::entry::Home;
use varangian_base::{Domain, Entry, Kind, Param, Seed, SpecError};

pub(crate) static ENTRY: ModelEntry = Entry {
    name: "pca",
    summary: "Principal components: E‖x − W·Wᵀ·x‖², judged by what the span of W misses.",
    paper: "Feng, Xu & Mannor, Distributed Robust Learning, 2014, arXiv 1409.5937 (distributed PCA); the loss is Oja's 1982",
    differs: &[
        "workers send gradients of the reconstruction error; in the paper each machine sends the components of all its data once, and the server takes the geometric median of the projections",
    ],
    params: &[
        Param {
            name: "components",
            kind: Kind::Count { min: 1, max: 4096 },
            default: "3",
            help: "k, the columns of W: at most the width of an input",
        },
        Param {
            name: "start",
            kind: Kind::Choice(&["random", "axes"]),
            default: "random",
            help: "W before the first step: random, normal entries alone; axes, column j is coordinate axis first + j beside them",
        },
        Param {
            name: "first",
            kind: Kind::Count { min: 0, max: 1 << 20 },
            default: "0",
            help: "with start=axes, the axis of the first column",
        },
        Param {
            name: "spread",
            kind: Kind::Real { min: 0.0, max: 100.0 },
            default: "0.1",
            help: "standard deviation of the normal entries; 0 begins where start says",
        },
    ],
    cost: "O(b·width·k)",
    facts: Home { shape: Shape { channels: 20, height: 1, width: 1 }, classes: 0, d: 60 },
    build: |args| {
        let count = |name| args.count(name).expect("has a default");
        let axes = args.text("start") == "axes";
        if !axes && args.is_given("first") {
            return Err(SpecError::new("first is the axis of start=axes"));
        }
        Ok(Box::new(Components {
            k: count("components"),
            first: axes.then(|| count("first")),
            spread: args.real("spread").expect("has a default"),
        }))
    },
};

/// What the arguments ask for.
#[derive(Clone, Copy)]
struct Components {
    k: usize,
    /// The axis at which the first column starts, if columns start at axes.
    first: Option<usize>,
    spread: f64,
}

impl Recipe for Components {
    fn build(&self, shape: Shape, _: usize) -> Result<Box<dyn Model>, SpecError> {
        let (width, k) = (shape.len(), self.k);
        let last = self.first.unwrap_or(0) + k;
        if last > width {
            let what = if self.first.is_some() { "first + components" } else { "components" };
            return Err(SpecError::new(format!(
                "{what} is at most the width of an input, {width}; found {last}"
            )));
        }
        let weight = Tensor { name: "weight".into(), shape: vec![width, k], offset: 0 };
        Ok(Box::new(Pca { width, start: *self, tensors: vec![weight] }))
    }
}

struct Pca {
    width: usize,
    start: Components,
    tensors: Vec<Tensor>,
}

/// Wᵀx, the residual x − W·Wᵀx and Wᵀ of it, for one sample; sums of gradients; a basis.
#[derive(Default)]
struct Room {
    scores: Vec<f64>,
    residual: Vec<f64>,
    back: Vec<f64>,
    sums: Vec<f64>,
    basis: Vec<f64>,
}

/// Wᵀx, into `out`; W is width × `out.len()`, row-major.
fn scores<T: Copy + Into<f64>, U: Copy + Into<f64>>(w: &[T], x: &[U], out: &mut [f64]) {
    out.fill(0.0);
    for (row, &x) in w.chunks_exact(out.len()).zip(x) {
        out.iter_mut().zip(row).for_each(|(sum, &w)| *sum += w.into() * x.into());
    }
}

/// x − W·s, into `out`.
fn residual(w: &[f32], x: &[f32], s: &[f64], out: &mut Vec<f64>) {
    let part = |row: &[f32]| -> f64 { row.iter().zip(s).map(|(&w, s)| f64::from(w) * s).sum() };
    out.clear();
    out.extend(w.chunks_exact(s.len()).zip(x).map(|(row, &x)| f64::from(x) - part(row)));
}

impl Room {
    /// An orthonormal basis of the span of W's columns, one a row, by Gram and Schmidt, twice; a
    /// column that lies in the span of those before it adds nothing.
    fn span(&mut self, w: &[f32], k: usize) {
        let width = w.len() / k;
        self.basis.clear();
        for j in 0..k {
            let mut column: Vec<f64> = w.iter().skip(j).step_by(k).map(|&x| x.into()).collect();
            let norm = |v: &[f64]| v.iter().map(|x| x * x).sum::<f64>().sqrt();
            let before = norm(&column);
            for _ in 0..2 {
                for unit in self.basis.chunks_exact(width) {
                    let along: f64 = column.iter().zip(unit).map(|(a, b)| a * b).sum();
                    column.iter_mut().zip(unit).for_each(|(x, u)| *x -= along * u);
                }
            }
            let left = norm(&column);
            if left > 1e-7 * before {
                self.basis.extend(column.iter().map(|x| x / left));
            }
        }
    }
}

impl Model for Pca {
    fn dim(&self) -> usize {
        self.width * self.start.k
    }

    fn tensors(&self) -> &[Tensor] {
        &self.tensors
    }

    fn init(&self, seed: Seed) -> Vec<f32> {
        let Components { k, first, spread } = self.start;
        let mut stream = seed.stream(Domain::Init, 0, 0);
        let mut w: Vec<f64> = (0..self.dim()).map(|_| spread * stream.normal()).collect();
        for (j, axis) in first.into_iter().flat_map(|first| (first..first + k).enumerate()) {
            w[axis * k + j] += 1.0;
        }
        w.into_iter().map(|x| x as f32).collect()
    }

    fn workspace(&self) -> Workspace {
        Box::new(Room::default())
    }

    fn gradient(
        &self,
        params: &[f32],
        _: &Prepared,
        batch: &Batch,
        _: Place,
        workspace: &mut Workspace,
        out: &mut [f32],
    ) -> f64 {
        let room: &mut Room = workspace.downcast_mut().expect("a workspace of this model");
        let k = self.start.k;
        room.sums.clear();
        room.sums.resize(params.len(), 0.0);
        let mut loss = 0.0;
        for x in batch.inputs.chunks_exact(self.width) {
            room.scores.resize(k, 0.0);
            room.back.resize(k, 0.0);
            scores(params, x, &mut room.scores);
            residual(params, x, &room.scores, &mut room.residual);
            scores(params, &room.residual, &mut room.back);
            loss += room.residual.iter().map(|r| r * r).sum::<f64>();
            let rows = room.sums.chunks_exact_mut(k).zip(x).zip(&room.residual);
            for ((row, &x), r) in rows {
                for ((sum, back), score) in row.iter_mut().zip(&room.back).zip(&room.scores) {
                    *sum += f64::from(x) * back + r * score;
                }
            }
        }
        let share = 1.0 / batch.len as f64;
        out.iter_mut().zip(&room.sums).for_each(|(g, sum)| *g = (-2.0 * share * sum) as f32);
        loss * share
    }

    fn evaluate(
        &self,
        params: &[f32],
        _: &Prepared,
        batch: &Batch,
        workspace: &mut Workspace,
    ) -> Tally {
        let room: &mut Room = workspace.downcast_mut().expect("a workspace of this model");
        room.span(params, self.start.k);
        let mut tally = Tally { count: batch.len as u64, ..Tally::default() };
        for x in batch.inputs.chunks_exact(self.width) {
            room.residual.clear();
            room.residual.extend(x.iter().map(|&x| f64::from(x)));
            for unit in room.basis.chunks_exact(self.width) {
                let along: f64 = room.residual.iter().zip(unit).map(|(a, b)| a * b).sum();
                room.residual.iter_mut().zip(unit).for_each(|(x, u)| *x -= along * u);
            }
            tally.loss += room.residual.iter().map(|r| r * r).sum::<f64>();
        }
        tally
    }
}

#[cfg(test)]
mod tests {
    use super::super::build;
    use super::*;
    use crate::Targets;

    const WIDTH: usize = 6;
    const K: usize = 2;

    fn model(more: &str) -> Box<dyn Model> {
        build(&format!("pca components={K} {more}"), Shape::flat(WIDTH), 0).unwrap()
    }

    fn batch(len: usize) -> Batch {
        let mut draws = Seed(9).stream(Domain::Test, 0, 0);
        let inputs = (0..len * WIDTH).map(|_| draws.normal() as f32).collect();
        Batch { inputs, targets: Targets::Values(vec![0.0; len]), len, ..Batch::default() }
    }

    fn gradient(model: &dyn Model, w: &[f32], batch: &Batch) -> (f64, Vec<f32>) {
        let place = Place { seed: Seed(1), worker: 0, step: 0 };
        let mut out = vec![f32::NAN; w.len()];
        let none: Prepared = Box::new(());
        let loss = model.gradient(w, &none, batch, place, &mut model.workspace(), &mut out);
        (loss, out)
    }

    /// The loss by its formula, of W in double precision.
    fn slow(w: &[f64], batch: &Batch) -> f64 {
        let mut loss = 0.0;
        for x in batch.inputs.chunks_exact(WIDTH) {
            let score = |j: usize| (0..WIDTH).map(|i| w[i * K + j] * f64::from(x[i])).sum::<f64>();
            for i in 0..WIDTH {
                let back = (0..K).map(|j| w[i * K + j] * score(j)).sum::<f64>();
                loss += (f64::from(x[i]) - back).powi(2) / batch.len as f64;
            }
        }
        loss
    }

    #[test]
    fn loss_and_gradient_are_those_of_the_formula_in_f64() {
        let (model, batch) = (model("spread=0.4"), batch(7));
        let w = model.init(Seed(4));
        let (loss, found) = gradient(model.as_ref(), &w, &batch);
        let wide: Vec<f64> = w.iter().map(|&x| x.into()).collect();
        assert!((loss - slow(&wide, &batch)).abs() < 1e-12 * loss);
        for (at, &g) in found.iter().enumerate() {
            let moved = |by: f64| {
                let mut w = wide.clone();
                w[at] += by;
                slow(&w, &batch)
            };
            let wanted = (moved(1e-5) - moved(-1e-5)) / 2e-5;
            assert!((f64::from(g) - wanted).abs() < 1e-6 * wanted.abs().max(1.0), "{g} {wanted}");
        }
    }

    #[test]
    fn zero_and_every_set_of_axes_are_stationary_for_uncorrelated_inputs() {
        // Each axis alone, once with each sign: E[x·xᵀ] is diagonal.
        let mut inputs = vec![0.0; WIDTH * WIDTH];
        (0..WIDTH).for_each(|i| inputs[i * WIDTH + i] = (WIDTH - i) as f32);
        let targets = Targets::Values(vec![0.0; WIDTH]);
        let batch = Batch { inputs, targets, len: WIDTH, ..Batch::default() };
        for more in ["spread=0", "start=axes spread=0", "start=axes first=3 spread=0"] {
            let model = model(more);
            let (_, slope) = gradient(model.as_ref(), &model.init(Seed(1)), &batch);
            assert!(slope.iter().all(|&g| g == 0.0), "{more}: {slope:?}");
        }
    }

    #[test]
    fn evaluation_sees_the_span_alone() {
        let model = model("");
        let none: Prepared = Box::new(());
        let lost = |w: &[f32], batch: &Batch| {
            model.evaluate(w, &none, batch, &mut model.workspace()).mean_loss()
        };
        let batch = batch(5);
        let of = |rows: &[usize]| -> f64 {
            let squares = |x: &[f32]| rows.iter().map(|&i| f64::from(x[i]).powi(2)).sum::<f64>();
            batch.inputs.chunks_exact(WIDTH).map(squares).sum::<f64>() / 5.0
        };
        let mut w = vec![0.0; WIDTH * K];
        assert!((lost(&w, &batch) - of(&[0, 1, 2, 3, 4, 5])).abs() < 1e-9, "nothing is spanned");
        // (2e₀, e₀ + 3e₁) spans what (e₀, e₁) does; (2e₀, −e₀) only e₀.
        (w[0], w[1], w[K + 1]) = (2.0, 1.0, 3.0);
        assert!((lost(&w, &batch) - of(&[2, 3, 4, 5])).abs() < 1e-9);
        (w[1], w[K + 1]) = (-1.0, 0.0);
        assert!((lost(&w, &batch) - of(&[1, 2, 3, 4, 5])).abs() < 1e-9);
        assert!(build("pca components=7", Shape::flat(WIDTH), 0).is_err());
        assert!(build("pca start=axes first=5 components=2", Shape::flat(WIDTH), 0).is_err());
        assert!(build("pca first=1", Shape::flat(WIDTH), 0).is_err());
    }
}
