//! The metrics of a step that say why a curve moved: deviations, norms, angles, curvature
//! (El-Mhamdi, Guerraoui & Rouault, ICLR 2021, §4; the columns of the published code's `study`
//! file).
//!
//! *Sampled* are the clipped gradients of the honest workers, *honest* what they send, *attack*
//! what hostile workers send, *defence* the aggregate. Values that do not exist (no attacker, one
//! row) are NaN.

use std::collections::VecDeque;
use std::ops::Range;
use varangian_base::Rows;
use varangian_base::kernels::moments::means_and_scatter;
use varangian_base::kernels::norms;

/// The columns of a [`StudyRow`], in order: the published code's by its names, then eight of ours.
///
/// The *honest variance-norm ratio* (deviation/norm)² proves resilience where it is below the
/// rule's *limit*. The *descent ratio* κ·tr Σ/‖μ‖² is the modern test: below 1, the aggregate has
/// a positive inner product with the honest mean whatever f rows are hostile, since ‖F − μ‖² ≤
/// κ·tr Σ < ‖μ‖².
///
/// The [`VOTES`] are shares of the coordinates where workers send signs: those that the aggregate
/// moves; those that it moves *against* the sum of the honest signs; those on which all honest
/// workers agree; of all honest signs, those that are 0, an odd number of which lets colluders turn
/// a tie into a flip where n is even; and, of the honest signs that are not 0, where their sum is
/// not either, those that are the sum's. The last is the p of Akoun & Meyer 2022 (Theorem 2bis) as
/// a run can see it, a mean over coordinates. *Differs:* theirs is against the true gradient's sign
/// and bounds every coordinate from below; each sign is part of the sum, which favours agreement.
pub const COLUMNS: [&str; 32] = [
    "Step number",
    "Training point count",
    "Average loss",
    "l2 from origin",
    "Sampled gradient deviation",
    "Honest gradient deviation",
    "Attack gradient deviation",
    "Sampled gradient norm",
    "Honest gradient norm",
    "Attack gradient norm",
    "Defense gradient norm",
    "Sampled max coordinate",
    "Honest max coordinate",
    "Attack max coordinate",
    "Defense max coordinate",
    "Sampled-honest cosine",
    "Sampled-attack cosine",
    "Sampled-defense cosine",
    "Honest-attack cosine",
    "Honest-defense cosine",
    "Attack-defense cosine",
    "Sampled-prev cosine",
    "Sampled composite curvature",
    "Attack acceptation ratio",
    "Honest variance-norm ratio",
    "Variance-norm limit",
    "Descent ratio",
    "Vote moved share",
    "Vote against-honest share",
    "Vote unanimous share",
    "Vote abstention share",
    "Vote agreement share",
];

/// The places in [`COLUMNS`] of what exists only where workers send signs; NaN elsewhere.
pub const VOTES: Range<usize> = 27..32;

/// One step's values in the order of [`COLUMNS`].
pub type StudyRow = [f64; COLUMNS.len()];

/// What a study is shown of one step.
pub struct Shown<'a> {
    /// The step.
    pub step: u64,
    /// Samples consumed before this step.
    pub points: u64,
    /// Mean honest minibatch loss.
    pub loss: f64,
    /// Clipped gradients of the honest workers; nothing where they are what is sent.
    pub sampled: Option<Rows<'a>>,
    /// Messages of the honest workers.
    pub honest: Rows<'a>,
    /// Messages of the hostile workers; no rows without attackers.
    pub attack: Rows<'a>,
    /// θ before the update.
    pub params: &'a [f32],
    /// The largest deviation/norm for which the rule is proven resilient, where one is known.
    pub variance_norm: Option<f64>,
    /// The rule's robustness coefficient κ, where it or a bound on it is known.
    pub kappa: Option<f64>,
    /// Whether messages are signs.
    pub votes: bool,
}

/// Gathers the metrics of consecutive steps.
pub struct Study {
    momentum: f64,
    past: usize,
    origin: Vec<f32>,
    means: VecDeque<Vec<f32>>,
    composite: Vec<f32>,
    sampled: Vec<f32>,
    honest: Vec<f32>,
    attack: Vec<f32>,
    squares: Vec<f64>,
    /// Norms of the sampled, honest and hostile mean; NaN without rows.
    norms: [f64; 3],
    votes: bool,
    row: StudyRow,
}

impl Study {
    /// A study from parameters `origin` on; `momentum` μ and the number of `past` means are those
    /// of the composite curvature s_t = Σ_{i<past} μ^{i+1}·⟨a_t, a_{t−1−i}⟩.
    pub fn new(origin: &[f32], momentum: f64, past: usize) -> Self {
        let zeros = vec![0.0; origin.len()];
        Study {
            momentum,
            past,
            origin: origin.to_vec(),
            means: VecDeque::new(),
            composite: zeros.clone(),
            sampled: zeros.clone(),
            honest: zeros.clone(),
            attack: zeros,
            squares: vec![0.0; origin.len()],
            norms: [f64::NAN; 3],
            votes: false,
            row: [f64::NAN; COLUMNS.len()],
        }
    }

    /// Looks at what was sent, before the server aggregates. Cost: one pass over each matrix.
    pub fn before(&mut self, shown: &Shown<'_>) {
        self.row = [f64::NAN; COLUMNS.len()];
        self.row[0] = shown.step as f64;
        self.row[1] = shown.points as f64;
        self.row[2] = shown.loss;
        self.row[3] = norms::distance2(shown.params, &self.origin).sqrt();
        let Study { sampled, honest, attack, squares, .. } = self;
        self.row[5] = deviation(shown.honest, honest, squares);
        self.row[4] = match shown.sampled {
            Some(rows) => deviation(rows, sampled, squares),
            None => {
                sampled.copy_from_slice(honest);
                self.row[5]
            }
        };
        self.row[6] = deviation(shown.attack, attack, squares);
        let hostile = shown.attack.n() > 0;
        self.norms = [f64::NAN; 3];
        for (k, mean) in [&self.sampled, &self.honest, &self.attack].into_iter().enumerate() {
            if k < 2 || hostile {
                self.norms[k] = norms::norm2(mean).sqrt();
                self.row[7 + k] = self.norms[k];
                self.row[11 + k] = largest(mean);
            }
        }
        let [of_sampled, of_honest, of_attack] = self.norms;
        self.row[15] = norms::dot(&self.sampled, &self.honest) / (of_sampled * of_honest);
        if hostile {
            self.row[16] = norms::dot(&self.sampled, &self.attack) / (of_sampled * of_attack);
            self.row[18] = norms::dot(&self.honest, &self.attack) / (of_honest * of_attack);
        }
        self.row[24] = (self.row[5] / self.row[8]).powi(2);
        self.row[25] = shown.variance_norm.map_or(f64::NAN, |limit| limit * limit);
        let m = shown.honest.n() as f64;
        self.row[26] = shown.kappa.map_or(f64::NAN, |kappa| kappa * self.row[24] * (m - 1.0) / m);
        self.votes = shown.votes;
        if self.votes {
            // Of m signs, a mean beyond 1 − 1/m is that of all.
            let least = 1.0 - 0.5 / m as f32;
            self.row[29] = share(self.honest.iter().map(|mean| mean.abs() > least));
            let rows = (0..shown.honest.n()).map(|i| shown.honest.row(i));
            self.row[30] = share(rows.clone().flatten().map(|&sign| sign == 0.0));
            let means = &self.honest;
            let products =
                rows.flat_map(|row| row.iter().zip(means).map(|(sign, mean)| sign * mean));
            self.row[31] = share(products.filter(|&x| x != 0.0).map(|x| x > 0.0));
        }
        self.remember();
    }

    /// Looks at the aggregate and the share of weight that hostile rows got; the row is complete.
    pub fn after(&mut self, aggregate: &[f32], hostile_weight: Option<f64>) -> &StudyRow {
        let norm = norms::norm2(aggregate).sqrt();
        self.row[10] = norm;
        self.row[14] = largest(aggregate);
        let means = [(17, &self.sampled), (19, &self.honest), (20, &self.attack)];
        for ((column, mean), of) in means.into_iter().zip(self.norms) {
            if !of.is_nan() {
                self.row[column] = norms::dot(mean, aggregate) / (of * norm);
            }
        }
        self.row[23] = hostile_weight.unwrap_or(f64::NAN);
        if self.votes {
            let against = |(mean, moved): (&f32, &f32)| mean * moved < 0.0;
            self.row[27] = share(aggregate.iter().map(|&moved| moved != 0.0));
            self.row[28] = share(self.honest.iter().zip(aggregate).map(against));
        }
        &self.row
    }

    /// Curvature and cosine against past means, then takes the present mean among them. The
    /// weighted sum of past means is kept up to date, so the cost does not grow with their number.
    fn remember(&mut self) {
        if let Some(last) = self.means.back() {
            let norm = norms::norm2(last).sqrt();
            self.row[21] = norms::dot(&self.sampled, last) / (self.norms[0] * norm);
        }
        let mu = self.momentum;
        self.row[22] = mu * norms::dot(&self.sampled, &self.composite);
        let mut present = if self.means.len() == self.past && self.past > 0 {
            let oldest = self.means.pop_front().expect("past > 0");
            let weight = mu.powi(self.past as i32 - 1) as f32;
            self.composite.iter_mut().zip(&oldest).for_each(|(c, x)| *c -= weight * x);
            oldest
        } else {
            vec![0.0; self.sampled.len()]
        };
        present.copy_from_slice(&self.sampled);
        if self.past > 0 {
            let mu = mu as f32;
            self.composite.iter_mut().zip(&present).for_each(|(c, x)| *c = mu * *c + x);
            self.means.push_back(present);
        }
    }
}

/// √(Σ‖xᵢ − x̄‖²/(k − 1)) of k rows, NaN below two; leaves x̄ in `mean` where there is a row. Sums
/// are f64: rows as large as floats can be have a deviation too.
fn deviation(rows: Rows<'_>, mean: &mut [f32], squares: &mut [f64]) -> f64 {
    let k = rows.n();
    if k == 0 {
        return f64::NAN;
    }
    means_and_scatter(rows, mean, squares);
    match k {
        1 => f64::NAN,
        _ => (squares.iter().sum::<f64>() / (k - 1) as f64).sqrt(),
    }
}

/// How many of these hold, of all; NaN for none.
fn share(cases: impl Iterator<Item = bool>) -> f64 {
    let (held, all) =
        cases.fold((0u64, 0u64), |(held, all), case| (held + u64::from(case), all + 1));
    held as f64 / all as f64
}

fn largest(x: &[f32]) -> f64 {
    f64::from(x.iter().fold(0.0f32, |most, x| most.max(x.abs())))
}

#[cfg(test)]
mod tests {
    use super::*;
    use varangian_base::Matrix;

    #[test]
    fn rows_as_large_as_floats_can_be_have_a_deviation() {
        let rows = Matrix::from_rows(&[[3e38f32], [2e38]]);
        let found = deviation(rows.rows(), &mut [0.0], &mut [0.0]);
        assert!((found / (0.5f64.sqrt() * 1e38) - 1.0).abs() < 1e-6, "{found}");
    }

    fn shown<'a>(step: u64, rows: Rows<'a>, attack: Rows<'a>, params: &'a [f32]) -> Shown<'a> {
        let (variance_norm, kappa) = (Some(0.5), Some(0.25));
        let (sampled, honest) = (Some(rows), rows);
        let (points, loss, votes) = (0, 1.0, false);
        Shown { step, points, loss, sampled, honest, attack, params, variance_norm, kappa, votes }
    }

    #[test]
    fn three_honest_votes_have_the_hand_shares_and_vectors_have_none() {
        let rows = Matrix::from_rows(&[
            [1.0f32, 1.0, -1.0, 0.0, 0.0],
            [1.0, -1.0, -1.0, 0.0, 1.0],
            [1.0, 1.0, -1.0, 0.0, 1.0],
        ]);
        let none = Matrix::zeros(0, 5);
        let mut study = Study::new(&[0.0; 5], 0.0, 1);
        let params = [0.0; 5];
        let vectors = shown(0, rows.rows(), none.rows(), &params);
        study.before(&Shown { votes: true, ..vectors });
        let row = *study.after(&[1.0, -1.0, -1.0, 1.0, 0.0], None);
        // Sums 3, 1, −3, 0, 2: of 11 signs on the four that decide, one is against.
        assert_eq!(row[VOTES], [4.0 / 5.0, 1.0 / 5.0, 2.0 / 5.0, 4.0 / 15.0, 10.0 / 11.0]);
        study.before(&shown(1, rows.rows(), none.rows(), &params));
        assert!(study.after(&[0.0; 5], None)[VOTES].iter().all(|x| x.is_nan()));
    }

    #[test]
    fn two_orthogonal_gradients_have_the_hand_values() {
        let rows = Matrix::from_rows(&[[1.0f32, 0.0], [0.0, 1.0]]);
        let attack = Matrix::from_rows(&[[-1.0f32, -1.0]]);
        let mut study = Study::new(&[0.0, 0.0], 0.9, 4);
        study.before(&shown(0, rows.rows(), attack.rows(), &[3.0, 4.0]));
        let row = *study.after(&[2.0, 0.0], Some(0.25));
        let value = |name: &str| row[COLUMNS.iter().position(|c| *c == name).unwrap()];
        let close = |name, expected: f64| {
            assert!((value(name) - expected).abs() < 1e-6, "{name}: {}", value(name));
        };
        close("l2 from origin", 5.0);
        close("Sampled gradient norm", 0.5f64.sqrt());
        close("Honest gradient deviation", 1.0);
        close("Honest variance-norm ratio", 2.0);
        close("Honest-attack cosine", -1.0);
        close("Honest-defense cosine", 0.5f64.sqrt());
        close("Variance-norm limit", 0.25);
        close("Descent ratio", 0.25);
        close("Defense max coordinate", 2.0);
        close("Attack acceptation ratio", 0.25);
        close("Sampled composite curvature", 0.0);
        assert!(value("Sampled-prev cosine").is_nan());
        assert!(value("Attack gradient deviation").is_nan());
    }

    #[test]
    fn a_constant_gradient_has_the_geometric_curvature() {
        let rows = Matrix::from_rows(&[[1.0f32, 2.0], [1.0, 2.0]]);
        let none = Matrix::zeros(0, 2);
        let mut study = Study::new(&[0.0, 0.0], 0.9, 3);
        for step in 0..8 {
            study.before(&shown(step, rows.rows(), none.rows(), &[0.0, 0.0]));
            let row = study.after(&[1.0, 2.0], None);
            let known = step.min(3) as i32;
            let expected = 5.0 * 0.9 * (1.0 - 0.9f64.powi(known)) / 0.1;
            assert!((row[22] - expected).abs() < 1e-5, "step {step}: {} {expected}", row[22]);
            assert!(row[20].is_nan() && row[23].is_nan());
            assert_eq!(row[21].is_nan(), step == 0);
        }
    }

    #[test]
    fn a_gradient_that_turns_and_grows_has_the_cosine_with_the_one_before() {
        let none = Matrix::zeros(0, 2);
        let mut study = Study::new(&[0.0, 0.0], 0.9, 3);
        for (step, (row, cosine)) in
            [([0.0f32, 2.0], f64::NAN), ([3.0, 4.0], 0.8), ([-6.0, 8.0], 0.28)].iter().enumerate()
        {
            let rows = Matrix::from_rows(&[*row, *row]);
            study.before(&shown(step as u64, rows.rows(), none.rows(), &[0.0, 0.0]));
            let found = study.after(&[1.0, 2.0], None)[21];
            assert!(cosine.is_nan() && found.is_nan() || (found - cosine).abs() < 1e-6, "{found}");
        }
    }
}
