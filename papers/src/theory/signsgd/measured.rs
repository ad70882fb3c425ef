//! A run beside its bound: sign descent on linear regression, where the constants are known.
//!
//! The loss f(w) = (1/N)·Σ (x·w − y)² of a linear model is a quadratic with Hessian H, so
//! Lᵢ = Σⱼ |Hᵢⱼ| is smooth enough for A2, f* is that of least squares, and σᵢ is the largest
//! deviation of one sample's gradient at any point that the run visits.

use super::{Opposition, Problem, honest};
use varangian_base::{Domain, Seed};
use varangian_lab::Failure;
use varangian_lab::config::Settings;
use varangian_lab::pictures::band;
use varangian_lab::plot::{Curve, Panel, Picture, Spread, curves};
use varangian_lab::run::Shelf;
use varangian_learn::{Batch, Dataset, Targets};
use varangian_sim::lockstep::Lockstep;

/// Runs that are averaged.
const SEEDS: u64 = 5;

/// What is measured: numbers of the command.
pub(super) struct Plan {
    pub(super) workers: usize,
    pub(super) steps: u64,
    pub(super) p: f64,
}

/// One panel, and a line that says what was found.
pub(super) struct Found {
    panel: Panel,
    pub(super) text: String,
}

/// The picture of all panels.
pub(super) fn picture(found: Vec<Found>) -> Picture {
    let lines = ["‖g‖₁ at the step", "its mean so far", "bound on it", "bound, unrounded"];
    let legend = lines.map(String::from);
    let panels = found.into_iter().map(|found| found.panel).collect();
    let title = "Sign descent with majority vote on linear regression, beside its bounds";
    curves(title, "‖g‖₁ of the whole training set", &legend, panels, false)
}

/// Runs the vote against `hostile` workers of this kind and evaluates the bound on what was met.
///
/// # Errors
/// If such a run cannot be made, as with more hostile workers than there are.
pub(super) fn measure(plan: &Plan, hostile: u64, kind: Opposition) -> Result<Found, Failure> {
    let shelf = Shelf::new(None);
    let mut settings = settings(plan, hostile, kind);
    let train = shelf.data(&settings)?.split.train;
    let quadratic = Quadratic::of(train.as_ref());
    let mut deviations = vec![0.0; quadratic.c.len()];
    let (mut norms, mut honest) = (Vec::new(), Vec::new());
    let mut gap = 0.0f64;
    for seed in 1..=SEEDS {
        settings.seed = seed;
        let start = shelf.plan(&settings)?.model.init(Seed(seed));
        // The gap of the furthest start decides the step of all.
        gap = gap.max(quadratic.gap(&start));
    }
    let mut problem = Problem { gap, smoothness: quadratic.smoothness(), noise: 0.0 };
    settings.learning_rate = problem.step(plan.steps as f64);
    for seed in 1..=SEEDS {
        settings.seed = seed;
        let mut run = Lockstep::new(shelf.plan(&settings)?)?;
        let mut curve = Vec::new();
        for step in 0..plan.steps {
            curve.push((step, quadratic.gradient(run.params()).iter().map(|g| g.abs()).sum()));
            quadratic.deviate(run.params(), &mut deviations);
            let seen = [0, plan.steps / 2, plan.steps - 1].contains(&step);
            if seed == 1 && seen && honest.last().is_none_or(|(last, _)| *last != step) {
                let batch = plan.steps as usize;
                honest.push((step, honest::look(&quadratic, run.params(), batch, Seed(seed))));
            }
            run.step();
        }
        norms.push(curve);
    }
    problem.noise = deviations.iter().sum();
    let found = found(plan, hostile, kind, &problem, &norms);
    let text = format!("{}\n{}", found.text, honest::told(&honest).trim_end());
    Ok(Found { text, ..found })
}

fn settings(plan: &Plan, hostile: u64, kind: Opposition) -> Settings {
    let attack = if kind == Opposition::Blind { "blind-inversion" } else { "oppose" };
    Settings {
        dataset: "linreg".into(),
        model: "linear".into(),
        // Every worker draws from all samples: A3 asks for unbiased gradients.
        sampling: "shared-stream".into(),
        n: plan.workers,
        f_real: Some(hostile as usize),
        batch: plan.steps as usize,
        steps: plan.steps,
        evaluate_every: plan.steps,
        momentum: 0.0,
        message: "sign".into(),
        rule: "majority".into(),
        attack: if hostile == 0 { "none".into() } else { attack.into() },
        ..Settings::default()
    }
}

fn found(
    plan: &Plan,
    hostile: u64,
    kind: Opposition,
    problem: &Problem,
    norms: &[Vec<(u64, f64)>],
) -> Found {
    let (k, m) = (plan.steps as f64, plan.workers as f64);
    let alpha = hostile as f64 / m;
    let name = if kind == Opposition::Blind { "blind" } else { "opposing" };
    let means: Vec<Vec<(u64, f64)>> = norms.iter().map(|curve| so_far(curve)).collect();
    let mut curves =
        vec![Curve { line: 0, points: band(norms) }, Curve { line: 1, points: band(&means) }];
    let at_end: f64 = means.iter().filter_map(|curve| curve.last()).map(|point| point.1).sum();
    let measured = at_end / means.len() as f64;
    let text = match kind.factor(alpha, plan.p) {
        Ok(c) => {
            let bound = problem.vote(k * k, m, alpha, plan.p, kind).map_or(f64::NAN, f64::sqrt);
            let unrounded = problem.telescoped(k, m, c);
            curves.push(level(2, plan.steps, bound));
            curves.push(level(3, plan.steps, unrounded));
            format!("{measured:.4} ≤ {unrounded:.4} ≤ {bound:.4}")
        }
        Err(vacuous) => format!("{measured:.4}; {vacuous}"),
    };
    let text = format!("{name}, α = {alpha:.2}: mean ‖g‖₁ {text}");
    Found { panel: Panel { title: format!("{name}, α = {alpha:.2}"), curves }, text }
}

/// The mean of a curve up to each of its points.
fn so_far(curve: &[(u64, f64)]) -> Vec<(u64, f64)> {
    let mut sum = 0.0;
    let mean = |(k, &(step, x)): (usize, &(u64, f64))| {
        sum += x;
        (step, sum / (k + 1) as f64)
    };
    curve.iter().enumerate().map(mean).collect()
}

fn level(line: usize, steps: u64, value: f64) -> Curve {
    let point =
        |step: u64| Spread { step: step as f64, low: f64::NAN, mean: value, high: f64::NAN };
    Curve { line, points: [0, steps - 1].map(point).into() }
}

/// f(w) = ½·wᵀHw − c·w + constant, from samples with a 1 behind their features.
pub(super) struct Quadratic {
    rows: Vec<Vec<f64>>,
    targets: Vec<f64>,
    h: Vec<Vec<f64>>,
    c: Vec<f64>,
}

impl Quadratic {
    fn of(data: &dyn Dataset) -> Self {
        let mut batch = Batch::default();
        let all: Vec<u32> = (0..data.len() as u32).collect();
        data.fill(&all, &mut Seed(0).stream(Domain::Evaluation, 0, 0), &mut batch);
        let width = data.shape().len();
        let row = |x: &[f32]| x.iter().map(|&x| f64::from(x)).chain([1.0]).collect();
        let rows: Vec<Vec<f64>> = batch.inputs.chunks_exact(width).map(row).collect();
        let targets: Vec<f64> = match &batch.targets {
            Targets::Values(values) => values.iter().map(|&y| f64::from(y)).collect(),
            Targets::Labels(labels) => labels.iter().map(|&y| f64::from(y)).collect(),
        };
        Quadratic::from_rows(rows, targets)
    }

    /// Of samples with all that the model sees of them.
    pub(super) fn from_rows(rows: Vec<Vec<f64>>, targets: Vec<f64>) -> Self {
        let width = rows[0].len() - 1;
        let scale = 2.0 / rows.len() as f64;
        let over = |term: &dyn Fn(&[f64], f64) -> f64| -> f64 {
            scale * rows.iter().zip(&targets).map(|(x, &y)| term(x, y)).sum::<f64>()
        };
        let entry = |i: usize, j: usize| over(&|x, _| x[i] * x[j]);
        let h = (0..=width).map(|i| (0..=width).map(|j| entry(i, j)).collect()).collect();
        let c = (0..=width).map(|i| over(&|x, y| x[i] * y)).collect();
        Quadratic { rows, targets, h, c }
    }

    /// Sample i as the model sees it.
    pub(super) fn row(&self, i: usize) -> &[f64] {
        &self.rows[i]
    }

    /// x·w − y of every sample.
    pub(super) fn residuals(&self, params: &[f32]) -> Vec<f64> {
        let w = wide(params);
        self.rows.iter().zip(&self.targets).map(|(row, y)| dot(row, &w) - y).collect()
    }

    /// Hw − c.
    fn slope(&self, w: &[f64]) -> Vec<f64> {
        self.h.iter().zip(&self.c).map(|(row, c)| dot(row, w) - c).collect()
    }

    pub(super) fn gradient(&self, params: &[f32]) -> Vec<f64> {
        self.slope(&wide(params))
    }

    /// ‖L‖₁.
    fn smoothness(&self) -> f64 {
        self.h.iter().flatten().map(|x| x.abs()).sum()
    }

    /// f(w) − f*, by descent to the least squares: the condition number is below 10.
    fn gap(&self, params: &[f32]) -> f64 {
        let reach = self.h.iter().map(|row| row.iter().map(|x| x.abs()).sum::<f64>());
        let rate = 1.0 / reach.fold(1e-12, f64::max);
        let start = wide(params);
        let mut w = start.clone();
        for _ in 0..2000 {
            let slope = self.slope(&w);
            w.iter_mut().zip(&slope).for_each(|(w, g)| *w -= rate * g);
        }
        let value = |w: &[f64]| -> f64 {
            let half: f64 = self.h.iter().zip(w).map(|(row, w_i)| w_i * dot(row, w)).sum();
            0.5 * half - dot(&self.c, w)
        };
        value(&start) - value(&w)
    }

    /// Raises each coordinate to the deviation of one sample's gradient there.
    fn deviate(&self, params: &[f32], deviations: &mut [f64]) {
        let (w, mean) = (wide(params), self.gradient(params));
        let mut squares = vec![0.0; w.len()];
        for (x, y) in self.rows.iter().zip(&self.targets) {
            let slope = 2.0 * (dot(x, &w) - y);
            squares.iter_mut().zip(x).for_each(|(square, x)| *square += (slope * x).powi(2));
        }
        for ((out, square), mean) in deviations.iter_mut().zip(squares).zip(mean) {
            let variance = square / self.rows.len() as f64 - mean * mean;
            *out = out.max(variance.max(0.0).sqrt());
        }
    }
}

fn wide(params: &[f32]) -> Vec<f64> {
    params.iter().map(|&x| f64::from(x)).collect()
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_stay_below_their_bounds_and_a_vacuous_one_is_named() {
        let plan = Plan { workers: 9, steps: 12, p: 0.9 };
        let blind = measure(&plan, 2, Opposition::Blind).unwrap();
        let [at, so_far, bound, unrounded] = [0, 1, 2, 3]
            .map(|k| blind.panel.curves[k].points.last().map(|point| point.mean).unwrap());
        assert!(at > 0.0 && so_far <= unrounded && unrounded <= bound, "{}", blind.text);
        let lost = measure(&plan, 4, Opposition::ByzantineCorrected).unwrap();
        assert_eq!(lost.panel.curves.len(), 2);
        assert!(lost.text.contains("Theorem 2bis needs 0 ≤ α < 1 − 1/(2p)"), "{}", lost.text);
    }

    #[test]
    fn the_quadratic_is_the_loss_of_the_linear_model() {
        let plan = Plan { workers: 3, steps: 2, p: 0.9 };
        let shelf = Shelf::new(None);
        let plan = shelf.plan(&settings(&plan, 0, Opposition::Blind)).unwrap();
        let quadratic = Quadratic::of(plan.train.as_ref());
        let params = plan.model.init(Seed(2));
        let mut batch = Batch::default();
        let all: Vec<u32> = (0..plan.train.len() as u32).collect();
        plan.train.fill(&all, &mut Seed(0).stream(Domain::Evaluation, 0, 0), &mut batch);
        let mut prepared: varangian_learn::model::Prepared = Box::new(());
        plan.model.prepare(&params, &mut prepared);
        let place = varangian_learn::model::Place { seed: Seed(0), worker: 0, step: 0 };
        let mut slope = vec![0.0; params.len()];
        let mut workspace = plan.model.workspace();
        plan.model.gradient(&params, &prepared, &batch, place, &mut workspace, &mut slope);
        for (a, b) in slope.iter().zip(quadratic.gradient(&params)) {
            assert!((f64::from(*a) - b).abs() < 1e-4, "{a} {b}");
        }
    }
}
