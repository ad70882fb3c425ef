//! The worst data of a rule: honest and hostile rows that make ‖F − x̄_S‖²/tr Σ_S as large as
//! possible, with S the honest rows. What is found is a lower bound on the rule's robustness
//! coefficient κ (Allouah et al. 2023, definition 2).

use super::spectrum;
use crate::Probe;
use varangian_base::{Domain, Matrix, Seed, Stream};

/// What the squared error is divided by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Measure {
    /// The trace of the honest rows' covariance: κ as the literature has it.
    #[default]
    Trace,
    /// Its largest eigenvalue, which is what matters when d is large.
    Eigenvalue,
}

/// What is searched.
#[derive(Clone, Copy, Debug)]
pub struct Problem {
    /// The number of rows.
    pub n: usize,
    /// How many of them are hostile (the last f).
    pub f: usize,
    /// The number of coordinates; the worst case of most rules needs 1 to 3.
    pub d: usize,
    /// Trial aggregations.
    pub evaluations: usize,
    /// What the error is divided by.
    pub measure: Measure,
    /// Where the draws come from.
    pub seed: Seed,
}

/// The worst that was found.
#[derive(Clone)]
pub struct Kappa {
    /// ‖F − x̄_S‖²/tr Σ_S, or with the largest eigenvalue.
    pub value: f64,
    /// The rows that attain it, honest ones first.
    pub rows: Matrix,
}

/// Trial aggregations of one climb before the next start.
const CLIMB: usize = 1500;

/// The worst rows for the rule behind `probe` that a search of `problem.evaluations` trials finds.
/// Cost: that many aggregations of n × d. Deterministic in the seed.
///
/// # Panics
/// Unless 0 < 2f < n and d > 0.
pub fn kappa(problem: Problem, probe: &mut dyn Probe) -> Kappa {
    let Problem { n, f, d, evaluations, .. } = problem;
    assert!(d > 0 && f > 0 && 2 * f < n, "0 < 2f < n and d > 0; got n = {n}, f = {f}, d = {d}");
    let mut judge = Judge::new(problem, probe);
    let mut starts: Vec<(f64, Vec<f64>)> = starts(problem)
        .into_iter()
        .take(evaluations / 4)
        .map(|rows| (judge.score(&rows), rows))
        .collect();
    starts.sort_by(|a, b| b.0.total_cmp(&a.0));
    let mut best = (0.0, vec![0.0; n * d]);
    let mut turn = 0u64;
    while judge.asked < evaluations {
        let mut stream = problem.seed.lane(Domain::Attack, 0, 0, turn);
        // Starts in the order of their promise, every fourth time noise, and the best once more.
        let start = match turn % 4 {
            3 => (f64::NEG_INFINITY, noise(n * d, &mut stream)),
            2 if best.0 > 0.0 => best.clone(),
            _ => starts
                .get((turn / 4 * 2 + turn % 4) as usize % starts.len().max(1))
                .cloned()
                .unwrap_or_else(|| (f64::NEG_INFINITY, noise(n * d, &mut stream))),
        };
        let budget = CLIMB.min(evaluations - judge.asked);
        let found = judge.climb(start, budget, &mut stream);
        if found.0 > best.0 {
            best = found;
        }
        turn += 1;
    }
    judge.place(&best.1);
    Kappa { value: best.0, rows: judge.rows }
}

/// Tries rows and scores them.
struct Judge<'a> {
    problem: Problem,
    probe: &'a mut dyn Probe,
    rows: Matrix,
    answer: Vec<f32>,
    asked: usize,
}

impl<'a> Judge<'a> {
    fn new(problem: Problem, probe: &'a mut dyn Probe) -> Self {
        let rows = Matrix::zeros(problem.n, problem.d);
        Judge { problem, probe, rows, answer: vec![0.0; problem.d], asked: 0 }
    }

    fn place(&mut self, rows: &[f64]) {
        for (i, row) in rows.chunks_exact(self.problem.d).enumerate() {
            for (x, &y) in self.rows.row_mut(i).iter_mut().zip(row) {
                *x = y as f32;
            }
        }
    }

    /// The ratio for these rows, NaN where the honest rows agree or something is not finite.
    fn score(&mut self, rows: &[f64]) -> f64 {
        self.asked += 1;
        if !rows.iter().all(|x| x.abs() < 1e30) {
            return f64::NAN;
        }
        self.place(rows);
        self.probe.aggregate(self.rows.rows(), &mut self.answer);
        let (h, d) = (self.problem.n - self.problem.f, self.problem.d);
        let x = |i: usize, k: usize| f64::from(self.rows.row(i)[k]);
        let mean: Vec<f64> =
            (0..d).map(|k| (0..h).map(|i| x(i, k)).sum::<f64>() / h as f64).collect();
        let covariance = |k: usize, l: usize| {
            (0..h).map(|i| (x(i, k) - mean[k]) * (x(i, l) - mean[l])).sum::<f64>() / h as f64
        };
        let trace: f64 = (0..d).map(|k| covariance(k, k)).sum();
        let scale = mean.iter().map(|m| m * m).sum::<f64>();
        if trace <= 1e-6 * scale || trace < 1e-12 {
            return f64::NAN;
        }
        let spread = match self.problem.measure {
            Measure::Trace => trace,
            Measure::Eigenvalue => {
                let matrix: Vec<f64> = (0..d * d).map(|p| covariance(p / d, p % d)).collect();
                spectrum::leading(&matrix, d).1
            }
        };
        let error = self.answer.iter().zip(&mean).map(|(&a, m)| (f64::from(a) - m).powi(2));
        error.sum::<f64>() / spread
    }

    fn climb(
        &mut self,
        start: (f64, Vec<f64>),
        budget: usize,
        stream: &mut Stream,
    ) -> (f64, Vec<f64>) {
        let mut best = start;
        let mut step = 0.5f64;
        let mut left = budget;
        if best.0 == f64::NEG_INFINITY && left > 0 {
            best.0 = self.score(&best.1);
            left -= 1;
        }
        let mut rows = best.1.clone();
        for _ in 0..left {
            rows.copy_from_slice(&best.1);
            self.mutate(&mut rows, step, stream);
            let found = self.score(&rows);
            // Equal counts as a success, so that plateaus are crossed.
            if found >= best.0 || best.0.is_nan() {
                step = if found > best.0 { (step * 1.3).min(2.0) } else { step };
                best = (found, rows.clone());
            } else {
                step = if step < 1e-5 { 0.3 } else { step * 0.97 };
            }
        }
        best
    }

    /// One change: a row, several rows together, a copy, a scaling, all rows.
    fn mutate(&self, rows: &mut [f64], step: f64, stream: &mut Stream) {
        let Problem { n, f, d, .. } = self.problem;
        let i = stream.below(n);
        let spread =
            step * (0.1 + (rows.iter().map(|x| x * x).sum::<f64>() / rows.len() as f64).sqrt());
        match stream.below(8) {
            0 | 1 => {
                rows[i * d..(i + 1) * d].iter_mut().for_each(|x| *x += spread * stream.normal())
            }
            2 => {
                let move_by: Vec<f64> = (0..d).map(|_| spread * stream.normal()).collect();
                rows[(n - f) * d..].iter_mut().enumerate().for_each(|(p, x)| *x += move_by[p % d]);
            }
            // Rows that stood together move together.
            3 | 4 => {
                let row: Vec<f64> = rows[i * d..(i + 1) * d].to_vec();
                let move_by: Vec<f64> = (0..d).map(|_| spread * stream.normal()).collect();
                for other in rows.chunks_exact_mut(d) {
                    if other.iter().zip(&row).all(|(a, b)| (a - b).abs() < 1e-9) {
                        other.iter_mut().zip(&move_by).for_each(|(x, m)| *x += m);
                    }
                }
            }
            5 => {
                let j = stream.below(n);
                rows.copy_within(j * d..(j + 1) * d, i * d);
            }
            6 => {
                let factor = 1.0 + step * stream.normal();
                rows[(n - f) * d..].iter_mut().for_each(|x| *x *= factor);
            }
            _ => rows.iter_mut().for_each(|x| *x += 0.2 * spread * stream.normal()),
        }
    }
}

fn noise(count: usize, stream: &mut Stream) -> Vec<f64> {
    (0..count).map(|_| stream.normal()).collect()
}

/// Structured data: honest rows in two clusters with the hostile ones at a place on their line, in
/// one or two groups; honest rows at a simplex's corners.
fn starts(problem: Problem) -> Vec<Vec<f64>> {
    let Problem { n, f, d, .. } = problem;
    let h = n - f;
    const PLACES: [f64; 14] =
        [-1.0, 2.0, -0.5, -1e4, 1e4, -0.9, -0.25, 0.5, 1.0, 1.5, 3.0, -2.0, -3.0, 0.0];
    let mut all = Vec::new();
    let line = |values: &dyn Fn(usize) -> f64| -> Vec<f64> {
        (0..n * d).map(|p| if p % d == 0 { values(p / d) } else { 0.0 }).collect()
    };
    for place in PLACES {
        for far in 1..=h / 2 {
            all.push(line(&|i| {
                if i < far {
                    1.0
                } else if i < h {
                    0.0
                } else {
                    place
                }
            }));
        }
    }
    for split in 1..f {
        for (a, b) in [(-1.0, 1.0), (-1.0, 2.0), (-0.5, -1.0), (-1.0, -1e4), (-1.0, 1e4)] {
            for far in 1..=h / 2 {
                let hostile = |i: usize| if i < h + split { a } else { b };
                all.push(line(&|i| {
                    if i < far {
                        1.0
                    } else if i < h {
                        0.0
                    } else {
                        hostile(i)
                    }
                }));
            }
        }
    }
    if d > 1 {
        for place in [-1.0, 0.3, -3.0] {
            // Corners of a simplex, hostile rows along the diagonal.
            all.push(
                (0..n * d)
                    .map(|p| match p / d {
                        i if i >= h => place,
                        i => f64::from(u8::from(i % (d + 1) == p % d)),
                    })
                    .collect(),
            );
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scene::Rule;

    fn found(rule: Rule, n: usize, f: usize) -> f64 {
        let problem =
            Problem { n, f, d: 1, evaluations: 6000, measure: Measure::Trace, seed: Seed(1) };
        let mut rule = rule;
        kappa(problem, &mut rule).value
    }

    #[test]
    fn the_median_s_exact_worst_case_is_found() {
        for (n, f) in [(7, 2), (11, 3), (10, 3)] {
            let (a, b) = (n as f64, f as f64);
            let exact = match n % 2 {
                1 => (a - 1.0) / (a + 1.0 - 2.0 * b),
                _ => (a - 2.0) / (a + 2.0 - 2.0 * b),
            };
            let value = found(Rule::Median, n, f);
            assert!(
                value > 0.99 * exact && value < exact * (1.0 + 1e-4),
                "{n} {f}: {value} {exact}"
            );
        }
    }

    #[test]
    fn the_rows_attain_the_value() {
        let problem = Problem {
            n: 7,
            f: 2,
            d: 2,
            evaluations: 2000,
            measure: Measure::Eigenvalue,
            seed: Seed(2),
        };
        let worst = kappa(problem, &mut Rule::Median);
        let mut rule = Rule::Median;
        let mut judge = Judge::new(problem, &mut rule);
        let rows: Vec<f64> =
            (0..7).flat_map(|i| worst.rows.row(i).to_vec()).map(f64::from).collect();
        assert_eq!(judge.score(&rows), worst.value);
        assert!(worst.value > 1.0);
    }
}
