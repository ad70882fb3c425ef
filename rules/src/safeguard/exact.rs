//! SafeguardSGD's first round in f64.

use super::Safeguard;
use super::window::{Mode, Window, theory_threshold};
use crate::exact::{self, Blend, Wide};
use crate::{Verdict, exact::Round};

/// Squared distances to the median and the squared radius, or that there is no median, or that
/// nobody is judged yet.
enum Finding {
    Later,
    NoMedian,
    Within(Vec<Wide>, Wide),
}

impl Safeguard {
    /// Who is still good after the first round.
    fn exact_judgement(&self, pairs: &[Vec<Wide>], step: u64, verdict: &mut Verdict) -> Vec<bool> {
        let mut good = vec![true; pairs.len()];
        for window in &self.windows {
            match judge(window, self.mode, pairs, step) {
                Finding::Later => {}
                Finding::NoMedian => {
                    verdict.event = Some(super::NO_MEDIAN.to_owned());
                    return vec![true; pairs.len()];
                }
                Finding::Within(squared, radius2) => {
                    good.iter_mut().zip(&squared).for_each(|(keep, s)| *keep &= *s <= radius2);
                }
            }
        }
        if !good.contains(&true) {
            verdict.event = Some(super::NOBODY_LEFT.to_owned());
            good.fill(true);
        }
        good
    }

    /// The answer to f64 rows of workers that are all new.
    pub(super) fn exact_first(&self, round: &Round<'_>, verdict: &mut Verdict) -> Vec<f64> {
        let n = round.n();
        // The sums of a first step are the rows over n.
        let share = Wide::from((n * n) as f64);
        let mut pairs = exact::pairs(round.rows);
        pairs.iter_mut().flatten().for_each(|s| *s = *s / share);
        let good = self.exact_judgement(&pairs, round.step, verdict);
        let out: Vec<u32> = (0..n).filter(|&i| !good[i]).map(|i| round.ids[i]).collect();
        if !out.is_empty() {
            verdict.event = Some(super::expelled(round.step, &out));
        }
        let counted: Vec<usize> = (0..n).filter(|&i| good[i] || !self.drop_immediately).collect();
        let mut answer = verdict.blend(round.rows, &Blend::selection(n, &counted));
        verdict.expelled = out;
        if self.nu > 0.0 {
            super::draw(round.seed, round.step, &mut answer, |x, normal| *x += self.nu * normal);
        }
        answer
    }
}

fn judge(window: &Window, mode: Mode, pairs: &[Vec<Wide>], step: u64) -> Finding {
    let n = pairs.len();
    match mode {
        Mode::Fixed => algorithm(window.threshold, pairs),
        Mode::Theory { p, v, per_worker } => {
            algorithm(theory_threshold(window.length, n, p, v, per_worker), pairs)
        }
        Mode::Empirical { patience, .. } if window.is_young(patience, step) => Finding::Later,
        Mode::Empirical { mult, floor, .. } => {
            let s = |far: &Vec<Wide>| {
                let mut sorted = far.clone();
                sorted.sort_unstable();
                sorted[n / 2].sqrt()
            };
            let centre = (0..n).min_by_key(|&i| s(&pairs[i])).expect("there are rows");
            let radius = Wide::from(2.0 * mult) * s(&pairs[centre]).max(floor.into());
            Finding::Within(pairs[centre].clone(), radius * radius)
        }
        Mode::Calibrated { steps, .. } if step >= steps => algorithm(0.0, pairs),
        Mode::Calibrated { .. } => Finding::Later,
    }
}

fn algorithm(threshold: f64, pairs: &[Vec<Wide>]) -> Finding {
    let threshold2 = Wide::from(threshold) * Wide::from(threshold);
    let central =
        |far: &&Vec<Wide>| 2 * far.iter().filter(|s| **s <= threshold2).count() > far.len();
    match pairs.iter().find(central) {
        Some(far) => Finding::Within(far.clone(), Wide::from(4.0) * threshold2),
        None => Finding::NoMedian,
    }
}
