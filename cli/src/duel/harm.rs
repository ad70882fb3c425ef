//! One rule against one attack on one set of rows: what came of it.

use varangian_attacks::{Ground, View};
use varangian_base::kernels::{combine, norms};
use varangian_base::{Matrix, Seed, SpecError};
use varangian_rules::{Pipeline, Round, Verdict};
use varangian_train::{TrialRule, named};

/// The rows of a round: what honest workers send, and what the hostile ones would have sent.
pub struct Arena {
    /// The honest rows.
    pub honest: Matrix,
    /// The hostile workers' own honest rows.
    pub own: Matrix,
    /// The declared number of hostile rows.
    pub f: usize,
    /// The server's last aggregate; zeros where there is none.
    pub previous: Vec<f32>,
    /// The parameters; zeros where there are none.
    pub params: Vec<f32>,
    /// The step at which the rows were sent.
    pub step: u64,
    /// Where attacks draw from.
    pub seed: Seed,
}

/// What an attack did to a rule.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Harm {
    /// ‖F − honest mean‖² over the trace of the honest rows' covariance: at most the rule's κ.
    pub ratio: f64,
    /// ⟨F, honest mean⟩/‖honest mean‖²: 1 without harm, negative where the step climbs.
    pub progress: f64,
    /// The share of the answer's weight that hostile rows have, where the rule weighs rows.
    pub hostile_weight: Option<f64>,
    /// Hostile rows that the server would refuse, as they are not finite.
    pub refused: usize,
}

impl Arena {
    /// An arena outside training: step 0, no parameters.
    ///
    /// # Panics
    /// If the rows differ in length.
    pub fn of(honest: Matrix, own: Matrix, f: usize, seed: Seed) -> Self {
        let d = honest.rows().d();
        assert_eq!(own.rows().d(), d, "honest and own rows are equally long");
        Arena { honest, own, f, previous: vec![0.0; d], params: vec![0.0; d], step: 0, seed }
    }

    /// The number of workers.
    pub fn n(&self) -> usize {
        self.honest.n() + self.own.n()
    }

    /// Lets `attack` write the hostile rows against `rule`, and `rule` aggregate. Non-finite
    /// hostile rows are refused and lower f, as in training.
    ///
    /// # Errors
    /// If the rule or the attack cannot be built, or either refuses n and f.
    pub fn fight(&self, rule: &str, attack: &str) -> Result<Harm, SpecError> {
        let mut pipeline = varangian_rules::build(rule, self.n(), self.f)?;
        if pipeline.needs_oracle() {
            let why = format!("{rule} asks for the loss on data; rows alone have none");
            return Err(SpecError::new(why));
        }
        let rows = self.forge(&pipeline, attack)?;
        let (h, hostile) = (self.honest.n(), self.own.n());
        let kept = |i: &usize| *i < h || rows.row(*i).iter().all(|x| x.is_finite());
        let kept: Vec<usize> = (0..h + hostile).filter(kept).collect();
        let refused = h + hostile - kept.len();
        let f = self.f.saturating_sub(refused);
        pipeline.check(kept.len(), f)?;
        let finite: Vec<&[f32]> = kept.iter().map(|&i| rows.row(i)).collect();
        let finite = Matrix::from_rows(&finite);
        let (mut answer, mut verdict) = (vec![0.0; finite.d()], Verdict::default());
        let mut round = Round {
            step: self.step,
            params: &self.params,
            seed: self.seed,
            ..Round::of(finite.rows(), f)
        };
        pipeline.aggregate(&mut round, &mut answer, &mut verdict);
        let weight = |weights: &[f64]| -> f64 {
            let total: f64 = weights.iter().map(|w| w.abs()).sum();
            weights[h..].iter().map(|w| w.abs()).sum::<f64>() / total.max(f64::MIN_POSITIVE)
        };
        let hostile_weight = (!verdict.weights.is_empty()).then(|| weight(&verdict.weights));
        Ok(self.judge(&answer, hostile_weight, refused))
    }

    fn judge(&self, answer: &[f32], hostile_weight: Option<f64>, refused: usize) -> Harm {
        let mut mean = vec![0.0; answer.len()];
        combine::mean(self.honest.rows(), &mut mean);
        let mut squares = Vec::new();
        norms::rows_distance2(self.honest.rows(), &mean, &mut squares);
        let trace = squares.iter().sum::<f64>() / squares.len() as f64;
        Harm {
            ratio: norms::distance2(answer, &mean) / trace,
            progress: norms::dot(answer, &mean) / norms::norm2(&mean),
            hostile_weight,
            refused,
        }
    }

    /// All rows, honest first.
    fn forge(&self, pipeline: &Pipeline, attack: &str) -> Result<Matrix, SpecError> {
        let (h, hostile) = (self.honest.n(), self.own.n());
        let mut attack = varangian_attacks::build(attack)?;
        attack.check(h, hostile, self.f).map_err(|condition| {
            SpecError::new(format!("the attack needs {condition}; got {h} honest rows"))
        })?;
        let ids: Vec<u32> = (0..(h + hostile) as u32).collect();
        let ground = Ground { honest: &ids[..h], d: self.honest.d(), classes: None, image: None };
        attack
            .fits(ground)
            .map_err(|condition| SpecError::new(format!("the attack needs {condition}")))?;
        let mut rows = Matrix::zeros(h + hostile, self.honest.rows().d());
        for i in 0..h {
            rows.row_mut(i).copy_from_slice(self.honest.row(i));
        }
        let named = named(attack.as_ref(), (h + hostile, self.f))?;
        let mut probe = TrialRule::new(named.unwrap_or_else(|| pipeline.fork()), self.f);
        let honest = self.honest.rows().with_ids(&ids[..h]);
        let own = self.own.rows().with_ids(&ids[h..]);
        let mut view = View {
            n: h + hostile,
            f: self.f,
            step: self.step,
            previous: &self.previous,
            seed: self.seed,
            ..View::of(honest, own, &self.params, &mut probe)
        };
        if hostile > 0 {
            attack.forge(&mut view, rows.rows_mut().split_at(h).1);
        }
        Ok(rows)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn arena() -> Arena {
        let honest = Matrix::from_rows(&[[1.0, 0.0], [2.0, 0.0], [3.0, 3.0]]);
        Arena::of(honest, Matrix::zeros(1, 2), 1, Seed(0))
    }

    #[test]
    fn the_harm_of_a_hand_computed_duel() {
        // The hostile row is (−4, −2), the answer (0.5, 0.25), the honest mean (2, 1), the trace
        // 8/3.
        let harm = arena().fight("average", "ipm epsilon=2").unwrap();
        assert!((harm.ratio - 2.8125 / (8.0 / 3.0)).abs() < 1e-6, "{harm:?}");
        assert!((harm.progress - 0.25).abs() < 1e-6);
        assert_eq!((harm.hostile_weight, harm.refused), (Some(0.25), 0));
    }

    #[test]
    fn rows_that_are_not_finite_are_refused_and_lower_f() {
        let harm = arena().fight("median", "non-finite").unwrap();
        // The honest median is (2, 0).
        assert_eq!((harm.refused, harm.hostile_weight), (1, None));
        assert!((harm.ratio - 1.0 / (8.0 / 3.0)).abs() < 1e-6, "{harm:?}");
    }

    #[test]
    fn what_cannot_be_is_refused_in_words() {
        let error = arena().fight("krum", "alie").unwrap_err().to_string();
        assert!(error.contains("krum needs n ≥ 2f + 3"), "{error}");
        assert!(arena().fight("median", "alei").is_err());
    }
}
