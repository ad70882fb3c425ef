//! The search for a way out of a saddle, step by step: ByzantinePGD's state.

use crate::descent::restore;
use varangian_base::blocks::{self, BLOCK};
use varangian_base::kernels::norms;
use varangian_base::{Domain, Memory, Seed, SpecError, Value, lanes};
use varangian_learn::optim::Escape;

/// Where the search stands.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Phase {
    /// Descending by long aggregates.
    Descent,
    /// In this attempt, from 1, after so many of its steps.
    Attempt { attempt: u64, made: u64 },
    /// No attempt left: θ stays.
    Rest,
}

/// The state of [`Escape`] between steps.
pub(crate) struct Search {
    escape: Escape,
    phase: Phase,
    /// θ̃: where the aggregate was found short.
    saddle: Vec<f32>,
    /// w: where the attempt began.
    start: Vec<f32>,
}

/// The step of a run at which draws are addressed.
#[derive(Clone, Copy)]
pub(crate) struct Moment {
    pub(crate) seed: Seed,
    pub(crate) step: u64,
}

impl Search {
    pub(crate) fn new(escape: Escape, d: usize) -> Self {
        Search { escape, phase: Phase::Descent, saddle: vec![0.0; d], start: vec![0.0; d] }
    }

    /// Moves θ by the aggregate at θ, which `descend` does where a step is due; what happened,
    /// where it is more than a step.
    pub(crate) fn step(
        &mut self,
        moment: Moment,
        aggregate: &[f32],
        params: &mut [f32],
        descend: impl FnOnce(&mut [f32]),
    ) -> Option<String> {
        match self.phase {
            Phase::Descent if norms::norm2(aggregate).sqrt() > self.escape.short => {
                descend(params);
                None
            }
            Phase::Descent => {
                self.saddle.copy_from_slice(params);
                Some(self.attempt(1, moment, params))
            }
            Phase::Attempt { attempt, made } => {
                let moved = norms::distance2(params, &self.start).sqrt();
                if moved >= self.escape.away {
                    self.phase = Phase::Descent;
                    descend(params);
                    return Some(format!("escaped in attempt {attempt} after {made} steps"));
                }
                if made < self.escape.steps {
                    self.phase = Phase::Attempt { attempt, made: made + 1 };
                    descend(params);
                    return None;
                }
                if attempt < self.escape.attempts {
                    return Some(self.attempt(attempt + 1, moment, params));
                }
                params.copy_from_slice(&self.saddle);
                self.phase = Phase::Rest;
                Some(format!("no way out in {attempt} attempts: the parameters stay"))
            }
            Phase::Rest => None,
        }
    }

    /// Sets θ to θ̃ + p and begins an attempt there.
    fn attempt(&mut self, attempt: u64, moment: Moment, params: &mut [f32]) -> String {
        ball(moment, self.escape.radius, &mut self.start);
        for ((x, p), &saddle) in params.iter_mut().zip(&mut self.start).zip(&self.saddle) {
            *x = saddle + *p;
            *p = *x;
        }
        self.phase = Phase::Attempt { attempt, made: 0 };
        format!("perturbed: attempt {attempt} of {}", self.escape.attempts)
    }

    /// Adds the state to a machine's memory.
    pub(crate) fn save(&self, memory: &mut Memory) {
        let phase = match self.phase {
            Phase::Descent => [0, 0, 0],
            Phase::Attempt { attempt, made } => [1, attempt, made],
            Phase::Rest => [2, 0, 0],
        };
        memory.put("escape", Value::Integers(phase.to_vec()));
        memory.put("saddle", Value::Floats(self.saddle.clone()));
        memory.put("attempt", Value::Floats(self.start.clone()));
    }

    /// Restores what `save` added.
    ///
    /// # Errors
    /// If the memory is of another model or optimiser.
    pub(crate) fn load(&mut self, memory: &Memory) -> Result<(), SpecError> {
        restore(memory, "saddle", &mut self.saddle)?;
        restore(memory, "attempt", &mut self.start)?;
        self.phase = match *memory.integers("escape")? {
            [0, ..] => Phase::Descent,
            [1, attempt, made] => Phase::Attempt { attempt, made },
            [2, ..] => Phase::Rest,
            _ => return Err(SpecError::new("checkpoint: escape is no state of byzantine-pgd")),
        };
        Ok(())
    }
}

/// A uniform draw from the ball of this radius around 0, into `out`: a normal direction at
/// (`Domain::Noise`, perturbation, step, 1 + block), its length at lane 0.
fn ball(Moment { seed, step }: Moment, radius: f64, out: &mut [f32]) {
    let lane = |lane| seed.lane(Domain::Noise, lanes::noise::PERTURBATION, step, lane);
    blocks::fill(out, BLOCK, |range, part| {
        let mut stream = lane(1 + (range.start / BLOCK) as u64);
        part.iter_mut().for_each(|x| *x = stream.normal() as f32);
    });
    let share = lane(0).uniform_f64().powf(1.0 / out.len().max(1) as f64);
    let norm = norms::norm2(out).sqrt();
    let scale = if norm > 0.0 { radius * share / norm } else { 0.0 };
    out.iter_mut().for_each(|x| *x = (scale * f64::from(*x)) as f32);
}

#[cfg(test)]
mod tests {
    use super::*;

    const ESCAPE: Escape = Escape { short: 0.1, radius: 0.5, away: 2.0, attempts: 2, steps: 3 };

    fn moment(step: u64) -> Moment {
        Moment { seed: Seed(5), step }
    }

    /// One step at rate 1 along `slope`.
    fn step(search: &mut Search, at: u64, slope: &[f32], x: &mut [f32]) -> String {
        let descend = |x: &mut [f32]| x.iter_mut().zip(slope).for_each(|(x, g)| *x -= g);
        search.step(moment(at), slope, x, descend).unwrap_or_default()
    }

    #[test]
    fn long_aggregates_are_followed_and_short_ones_perturb() {
        let (mut search, mut x) = (Search::new(ESCAPE, 2), vec![1.0, 1.0]);
        assert_eq!(step(&mut search, 0, &[0.0, 0.2], &mut x), "");
        assert_eq!(x, [1.0, 0.8]);
        assert_eq!(step(&mut search, 1, &[0.0, 0.09], &mut x), "perturbed: attempt 1 of 2");
        let away = norms::distance2(&x, &[1.0, 0.8]).sqrt();
        assert!(away > 0.0 && away <= 0.5, "{away}");
    }

    #[test]
    fn who_comes_far_enough_has_escaped_and_goes_on_from_there() {
        let (mut search, mut x) = (Search::new(ESCAPE, 1), vec![0.0]);
        step(&mut search, 0, &[0.0], &mut x);
        let start = x[0];
        assert_eq!(step(&mut search, 1, &[-2.5], &mut x), "");
        let told = step(&mut search, 2, &[-1.0], &mut x);
        assert_eq!(told, "escaped in attempt 1 after 1 steps");
        assert!((x[0] - start - 3.5).abs() < 1e-6, "{x:?} from {start}");
        assert_eq!(step(&mut search, 3, &[-1.0], &mut x), "");
    }

    #[test]
    fn after_the_last_attempt_it_is_back_and_stays_and_a_copy_of_its_memory_does_the_same() {
        let (mut search, mut x) = (Search::new(ESCAPE, 1), vec![7.0]);
        let mut said = Vec::new();
        for at in 0..12 {
            let mut memory = Memory::default();
            search.save(&mut memory);
            let (mut again, mut y) = (Search::new(ESCAPE, 1), x.clone());
            again.load(&memory).unwrap();
            let told = step(&mut search, at, &[0.01], &mut x);
            assert_eq!(step(&mut again, at, &[0.01], &mut y), told);
            assert_eq!(x, y);
            said.push(told);
        }
        let at = |text: &str| said.iter().position(|told| told == text);
        assert_eq!(at("perturbed: attempt 1 of 2"), Some(0));
        assert_eq!(at("perturbed: attempt 2 of 2"), Some(4));
        assert_eq!(at("no way out in 2 attempts: the parameters stay"), Some(8));
        assert_eq!(x, [7.0]);
    }

    #[test]
    fn perturbations_are_uniform_in_the_ball() {
        // Of d numbers the length's d-th power is uniform, and no direction is preferred.
        let (d, draws) = (3, 4000);
        let (mut inside, mut mean) = (0, [0.0; 3]);
        for step in 0..draws {
            let mut p = vec![0.0; d];
            ball(moment(step), 2.0, &mut p);
            let length = norms::norm2(&p).sqrt();
            assert!(length <= 2.0 + 1e-6);
            inside += usize::from(length < 1.0);
            mean.iter_mut().zip(&p).for_each(|(sum, &x)| *sum += f64::from(x) / draws as f64);
        }
        let share = inside as f64 / draws as f64;
        assert!((share - 0.125).abs() < 0.02, "{share} within half the radius");
        assert!(mean.iter().all(|x| x.abs() < 0.06), "{mean:?}");
    }
}
