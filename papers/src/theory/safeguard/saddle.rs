//! Runs from a saddle, with the loss, the gradient's norm and the Hessian's least eigenvalue on the
//! way: what noise does to SafeguardSGD.

use super::curvature::Search;
use varangian_base::{Domain, Seed};
use varangian_lab::config::{Experiment, Settings, Source};
use varangian_lab::plot::{Curve, Panel, Picture, Spread, curves};
use varangian_lab::results::place;
use varangian_lab::run::Shelf;
use varangian_lab::{Failure, text};
use varangian_learn::model::{Model, Place, Prepared, Workspace};
use varangian_learn::{Batch, Dataset};
use varangian_sim::lockstep::Lockstep;

const EXPERIMENT: &str = include_str!("../../../experiments/safeguard/saddle.toml");

/// Training samples that the loss is measured on: the first ones.
const SAMPLES: usize = 1000;

/// Samples in one gradient.
const BATCH: usize = 200;

/// Parameters are in single precision: see [`Search::width`].
const SEARCH: Search = Search { products: 20, width: 0.03, seed: Seed(1) };

/// A run, measured at every evaluation: (step, loss, ‖∇f‖, least eigenvalue).
struct Measured {
    rule: String,
    attack: String,
    points: Vec<(u64, [f64; 3])>,
}

/// Runs the experiment at `steps` steps, where given: the table and the picture.
///
/// # Errors
/// If a run cannot be made.
pub(super) fn measure(steps: Option<u64>) -> Result<(String, Picture), Failure> {
    let set = steps.map(|steps| format!("steps={steps}")).into_iter().collect();
    let source = Source { set, ..Source::default() };
    let experiment = Experiment::parse(EXPERIMENT, "saddle", &source)?;
    let shelf = Shelf::new(None);
    let found = experiment.runs.iter().map(|settings| one(&shelf, settings));
    let found = found.collect::<Result<Vec<_>, _>>()?;
    Ok((table(&found), picture(&found)))
}

fn one(shelf: &Shelf, settings: &Settings) -> Result<Measured, Failure> {
    let train = shelf.data(settings)?.split.train;
    let plan = shelf.plan(settings)?;
    let mut landscape = Landscape::new(plan.model.as_ref(), train.as_ref(), Seed(settings.seed));
    let model = plan.model.clone();
    let mut run = Lockstep::new(plan)?;
    let mut points = Vec::new();
    for step in 0..=settings.steps {
        if step % settings.evaluate_every == 0 {
            points.push((step, landscape.at(model.as_ref(), run.params())));
        }
        if step < settings.steps {
            run.step();
        }
    }
    Ok(Measured { rule: settings.rule.clone(), attack: settings.attack.clone(), points })
}

/// The loss over fixed samples, as a function of the parameters.
struct Landscape {
    batches: Vec<Batch>,
    place: Place,
    prepared: Prepared,
    workspace: Workspace,
    single: Vec<f32>,
    part: Vec<f32>,
}

impl Landscape {
    fn new(model: &dyn Model, data: &dyn Dataset, seed: Seed) -> Self {
        let all: Vec<u32> = (0..data.len().min(SAMPLES) as u32).collect();
        let fill = |indices: &[u32]| {
            let mut batch = Batch::default();
            data.fill(indices, &mut seed.stream(Domain::Evaluation, 0, 0), &mut batch);
            batch
        };
        Landscape {
            batches: all.chunks(BATCH).map(fill).collect(),
            place: Place { seed, worker: 0, step: 0 },
            prepared: Box::new(()),
            workspace: model.workspace(),
            single: Vec::new(),
            part: vec![0.0; model.dim()],
        }
    }

    /// The loss at `x`, and its gradient into `out`; sums over batches in double precision.
    fn gradient(&mut self, model: &dyn Model, x: &[f64], out: &mut [f64]) -> f64 {
        self.single.clear();
        self.single.extend(x.iter().map(|&x| x as f32));
        model.prepare(&self.single, &mut self.prepared);
        out.fill(0.0);
        let mut loss = 0.0;
        let share = 1.0 / self.batches.len() as f64;
        for batch in &self.batches {
            let (params, prepared) = (&self.single, &self.prepared);
            let (place, workspace, part) = (self.place, &mut self.workspace, &mut self.part);
            loss += share * model.gradient(params, prepared, batch, place, workspace, part);
            out.iter_mut().zip(&*part).for_each(|(sum, &g)| *sum += share * f64::from(g));
        }
        loss
    }

    /// (loss, ‖∇f‖, least eigenvalue) at these parameters.
    fn at(&mut self, model: &dyn Model, params: &[f32]) -> [f64; 3] {
        let x: Vec<f64> = params.iter().map(|&x| f64::from(x)).collect();
        let mut slope = vec![0.0; x.len()];
        let loss = self.gradient(model, &x, &mut slope);
        let least = SEARCH.least(&x, |y, out| {
            self.gradient(model, y, out);
        });
        [loss, slope.iter().map(|g| g * g).sum::<f64>().sqrt(), least]
    }
}

fn table(found: &[Measured]) -> String {
    let row = |run: &Measured| {
        let [first, last] = [run.points[0].1, run.points[run.points.len() - 1].1];
        let left = run.points.iter().find(|(_, now)| now[0] < 0.9 * first[0]);
        let left = left.map_or("never".into(), |(step, _)| step.to_string());
        let lowest = run.points.iter().map(|(_, now)| now[2]).fold(f64::INFINITY, f64::min);
        let number = |x: f64| format!("{x:.4}");
        let mut cells = vec![run.rule.clone(), run.attack.clone(), left];
        cells.extend([first[0], last[0], last[1], first[2], lowest, last[2]].map(number));
        cells
    };
    let rows: Vec<Vec<String>> = found.iter().map(row).collect();
    let head = [
        "rule",
        "attack",
        "loss below 90 % at",
        "loss, start",
        "end",
        "‖∇f‖, end",
        "least eigenvalue, start",
        "lowest",
        "end",
    ];
    let right = [false, false, true, true, true, true, true, true, true];
    text::table(&head, &rows, &right)
}

/// Loss and least eigenvalue by step, a panel each and attack.
fn picture(found: &[Measured]) -> Picture {
    let (mut rules, mut panels) = (Vec::new(), Vec::<Panel>::new());
    for run in found {
        let line = place(&mut rules, &run.rule);
        for (what, name) in [(0, "loss"), (2, "least eigenvalue")] {
            let title = format!("{name}, attack {}", run.attack);
            let at = panels.iter().position(|panel| panel.title == title).unwrap_or(panels.len());
            if at == panels.len() {
                panels.push(Panel { title, curves: Vec::new() });
            }
            let spread = |&(step, now): &(u64, [f64; 3])| {
                let (low, high) = (f64::NAN, f64::NAN);
                Spread { step: step as f64, low, mean: now[what], high }
            };
            panels[at].curves.push(Curve { line, points: run.points.iter().map(spread).collect() });
        }
    }
    curves("From a saddle: SafeguardSGD without and with noise", "value", &rules, panels, false)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The largest singular value of E[δ·(x, 1)ᵀ], δ = softmax(0) − y, by the power method on its
    /// square: at all zeros the Hessian couples the two factors by it and by nothing else.
    fn largest_singular_value(landscape: &Landscape, width: usize, classes: usize) -> f64 {
        let mut m = vec![vec![0.0; width + 1]; classes];
        let mut count = 0.0;
        for batch in &landscape.batches {
            let varangian_learn::Targets::Labels(labels) = &batch.targets else {
                panic!("classes")
            };
            for (x, &label) in batch.inputs.chunks_exact(width).zip(labels) {
                count += 1.0;
                for (class, row) in m.iter_mut().enumerate() {
                    let delta = 1.0 / classes as f64 - f64::from(u8::from(class == label as usize));
                    row.iter_mut().zip(x).for_each(|(m, &x)| *m += delta * f64::from(x));
                    row[width] += delta;
                }
            }
        }
        let mut u = vec![1.0; classes];
        u[0] = -2.0;
        let mut value = 0.0;
        for _ in 0..500 {
            let down: Vec<f64> =
                (0..=width).map(|j| (0..classes).map(|c| m[c][j] * u[c]).sum()).collect();
            u = m.iter().map(|row| row.iter().zip(&down).map(|(a, b)| a * b).sum()).collect();
            let length = u.iter().map(|u| u * u).sum::<f64>().sqrt();
            u.iter_mut().for_each(|u| *u /= length);
            value = length.sqrt() / count;
        }
        value
    }

    #[test]
    fn at_all_zeros_the_least_eigenvalue_is_minus_a_singular_value() {
        let experiment = Experiment::parse(EXPERIMENT, "saddle", &Source::default()).unwrap();
        let (shelf, settings) = (Shelf::new(None), &experiment.runs[0]);
        let train = shelf.data(settings).unwrap().split.train;
        let model = shelf.plan(settings).unwrap().model;
        let mut landscape = Landscape::new(model.as_ref(), train.as_ref(), Seed(1));
        let zeros = vec![0.0; model.dim()];
        let [loss, slope, least] = landscape.at(model.as_ref(), &zeros);
        let exact = largest_singular_value(&landscape, train.shape().len(), train.classes());
        assert!((loss - 10f64.ln()).abs() < 1e-5 && slope < 0.1, "{loss} {slope}");
        assert!((least + exact).abs() < 2e-3 * exact, "{least} against −{exact}");
    }

    #[test]
    fn only_noise_leaves_a_saddle_and_hostile_workers_do_not_hold_it() {
        let experiment = Experiment::parse(EXPERIMENT, "saddle", &Source::default()).unwrap();
        let shelf = Shelf::new(None);
        for settings in &experiment.runs {
            let settings = Settings { steps: 300, evaluate_every: 300, ..settings.clone() };
            let run = one(&shelf, &settings).unwrap();
            let [start, end] = [run.points[0].1, run.points[1].1];
            assert!(start[2] < -0.2, "a strict saddle: {start:?}");
            if settings.rule.contains("nu=0.01") {
                assert!(end[0] < 0.7 * start[0], "{} {}: {end:?}", run.rule, run.attack);
            } else if !settings.rule.contains("nu=") {
                assert!(end[0] > 0.98 * start[0] && end[2] < -0.2, "{}: {end:?}", run.attack);
            }
        }
    }
}
