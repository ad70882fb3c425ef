//! Candidates and how they are improved: known attacks first, then hill climbing by mutation.

use super::basis::{Basis, Kind};
use varangian_base::Stream;

/// What the hostile workers send: groups of them, each at mean + Σ aₖuₖ.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Plan {
    /// (workers, coefficients) of each group.
    pub(crate) groups: Vec<(usize, Vec<f64>)>,
}

impl Plan {
    /// All workers along one direction.
    pub(crate) fn along(workers: usize, directions: usize, k: usize, amplitude: f64) -> Self {
        let mut coefficients = vec![0.0; directions];
        coefficients[k] = amplitude;
        Plan { groups: vec![(workers, coefficients)] }
    }
}

/// What a search may spend, and how.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Budget {
    /// Calls of `harm`.
    pub(crate) evaluations: usize,
    /// Groups at most.
    pub(crate) groups: usize,
}

/// Most calls spent on one direction before the climb.
const LINE: usize = 40;

/// The best plan found and its harm. A third of the budget goes to factor searches along each
/// direction (the published attacks among them), the rest to climbing from the best three and
/// from `last`. NaN never improves.
pub(crate) fn climb(
    basis: &Basis,
    workers: usize,
    last: Option<Plan>,
    budget: Budget,
    stream: &mut Stream,
    harm: &mut dyn FnMut(&Plan) -> f64,
) -> (Plan, f64) {
    let mut left = budget.evaluations;
    let mut found: Vec<(Plan, f64)> = Vec::new();
    if let Some(plan) = last {
        let value = harm(&plan);
        found.push((plan, value));
        left -= 1;
    }
    let each = (left / (3 * basis.count()).max(1)).clamp(1, LINE);
    for k in 0..basis.count() {
        if left < each {
            break;
        }
        left -= each;
        found.push(line(basis, workers, k, each, harm));
    }
    found.retain(|(_, value)| !value.is_nan());
    // Stable: of equals the earlier direction.
    found.sort_by(|a, b| b.1.total_cmp(&a.1));
    found.truncate(3);
    if found.is_empty() {
        return (Plan::along(workers, basis.count(), 0, 0.0), f64::NEG_INFINITY);
    }
    // Each of the few gets a sixth of what is left, then the best goes on to the end.
    let trial = left / 6;
    let mut climbers: Vec<Climber> =
        found.into_iter().map(|best| Climber::new(best, budget.groups)).collect();
    for climber in &mut climbers {
        climber.run(trial, stream, harm);
        left -= trial;
    }
    climbers.sort_by(|a, b| b.best.1.total_cmp(&a.best.1));
    let mut first = climbers.swap_remove(0);
    first.run(left, stream, harm);
    first.best
}

/// The best factor along direction k, by a search over both signs. Against the mean the unit is
/// the mean itself, else the spread.
fn line(
    basis: &Basis,
    workers: usize,
    k: usize,
    evaluations: usize,
    harm: &mut dyn FnMut(&Plan) -> f64,
) -> (Plan, f64) {
    let unit = match basis.kinds[k] {
        Kind::Mean => basis.mean_norm / basis.spread,
        _ => 1.0,
    };
    let along = |x: f64| Plan::along(workers, basis.count(), k, x * unit);
    let mut best = f64::NAN;
    let mut ask = |x: f64| {
        let value = harm(&along(x));
        best = best.max(value);
        value
    };
    let x = crate::factor::both_signs(&mut ask, evaluations);
    (along(x), best)
}

/// A hill climber with a step that grows on success and shrinks on failure.
struct Climber {
    best: (Plan, f64),
    groups: usize,
    step: f64,
}

impl Climber {
    fn new(best: (Plan, f64), groups: usize) -> Self {
        Climber { best, groups, step: 0.5 }
    }

    fn run(&mut self, evaluations: usize, stream: &mut Stream, harm: &mut dyn FnMut(&Plan) -> f64) {
        for _ in 0..evaluations {
            let plan = self.mutate(stream);
            let found = harm(&plan);
            if found > self.best.1 {
                self.best = (plan, found);
                self.step = (self.step * 1.5).min(2.0);
            } else {
                self.step = (self.step * 0.93).max(0.02);
            }
        }
    }

    fn mutate(&self, stream: &mut Stream) -> Plan {
        let mut plan = self.best.0.clone();
        let g = stream.below(plan.groups.len());
        let step = self.step;
        match stream.below(8) {
            // Nearer or farther along the same ray.
            0..=2 => {
                let factor = (step * stream.normal()).exp();
                plan.groups[g].1.iter_mut().for_each(|a| *a *= factor);
            }
            // One direction more or less.
            3 | 4 => {
                let k = stream.below(plan.groups[g].1.len());
                plan.groups[g].1[k] += step * stream.normal();
            }
            // All directions a little.
            5 => plan.groups[g].1.iter_mut().for_each(|a| *a += 0.3 * step * stream.normal()),
            // One direction out.
            6 => {
                let k = stream.below(plan.groups[g].1.len());
                plan.groups[g].1[k] = 0.0;
            }
            _ => self.regroup(&mut plan, g, stream),
        }
        plan
    }

    /// Splits group g, or where it cannot be split or there are enough, moves a worker.
    fn regroup(&self, plan: &mut Plan, g: usize, stream: &mut Stream) {
        let workers = plan.groups[g].0;
        if plan.groups.len() < self.groups && workers > 1 {
            let part = 1 + stream.below(workers - 1);
            let factor = [-1.0, 0.0, 0.5, 2.0][stream.below(4)];
            let other = plan.groups[g].1.iter().map(|a| a * factor).collect();
            plan.groups[g].0 -= part;
            plan.groups.push((part, other));
        } else if plan.groups.len() > 1 {
            let to = (g + 1 + stream.below(plan.groups.len() - 1)) % plan.groups.len();
            plan.groups[g].0 -= 1;
            plan.groups[to].0 += 1;
            plan.groups.retain(|group| group.0 > 0);
        }
    }
}
