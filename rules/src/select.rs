//! Selections: the rows of least key, ties to the lower id, and rules that look at nothing but
//! the squared distances between rows.

use crate::{Bound, Round, Rule, Stage, Verdict, exact};
use varangian_base::kernels::combine;
use varangian_base::kernels::distances::Pairs;

/// Sets `order` to 0 … keys.len() − 1 by ascending (key, index). Cost O(n log n).
pub(crate) fn sort_by_key(keys: &[f64], order: &mut Vec<usize>) {
    order.clear();
    order.extend(0..keys.len());
    order.sort_unstable_by(|&a, &b| keys[a].total_cmp(&keys[b]).then(a.cmp(&b)));
}

/// Sets `weights` to those of the mean of the rows in `selected`.
pub(crate) fn mean_of(selected: &[usize], weights: &mut [f64]) {
    weights.fill(0.0);
    for &i in selected {
        weights[i] = 1.0 / selected.len() as f64;
    }
}

/// The mean of the chosen rows by their own weights, in place of the given mean of them.
fn among(chosen: &mut [f64], weights: &[f64]) {
    chosen.iter_mut().zip(weights).for_each(|(chosen, w)| *chosen *= w);
    let sum: f64 = chosen.iter().sum();
    chosen.iter_mut().for_each(|chosen| *chosen /= sum);
}

/// What a rule that needs nothing but distances does: distances to weights.
pub(crate) trait Weigh: Clone + Send + 'static {
    /// Sets the weight of each row; they sum to 1 and none is negative.
    fn weigh(&mut self, squared: &Pairs, f: usize, weights: &mut [f64]);

    /// The same from the formula, of f64 rows.
    fn exact(&self, round: &exact::Round<'_>) -> exact::Blend;

    /// As [`Rule::margin`], right after `weigh` of these distances.
    fn margin(&self, squared: &Pairs, f: usize) -> Option<f64> {
        let _ = (squared, f);
        None
    }

    /// As [`Rule::bound`].
    fn bound(&self) -> Option<Bound> {
        None
    }

    /// As [`Rule::check`].
    fn check(&self, n: usize, f: usize) -> Result<(), String> {
        let _ = (n, f);
        Ok(())
    }
}

/// The rule that combines rows with the weights that `weigh` gives them.
pub(crate) fn by_distances(weigh: impl Weigh) -> Box<Stage> {
    let (pairs, weights) = Default::default();
    Box::new(Stage::Rule(Box::new(ByDistances { weigh, pairs, weights })))
}

#[derive(Clone)]
struct ByDistances<W> {
    weigh: W,
    pairs: Pairs,
    weights: Vec<f64>,
}

impl<W: Weigh> Rule for ByDistances<W> {
    fn aggregate(&mut self, round: &mut Round<'_>, out: &mut [f32], verdict: &mut Verdict) {
        self.pairs.squared_distances(round.rows);
        if round.rows.sent().known_odd() {
            return;
        }
        self.weights.resize(round.rows.n(), 0.0);
        self.weigh.weigh(&self.pairs, round.f, &mut self.weights);
        if let Some(weights) = round.weights {
            among(&mut self.weights, weights);
        }
        combine::combine(round.rows, &self.weights, out);
        verdict.weights.extend_from_slice(&self.weights);
    }

    fn exact(&self, round: &exact::Round<'_>, verdict: &mut Verdict) -> Result<Vec<f64>, String> {
        let blend = self.weigh.exact(round);
        let Some(weights) = round.weights else { return Ok(verdict.blend(round.rows, &blend)) };
        let mut parts = blend.weights();
        among(&mut parts, weights);
        Ok(verdict.blend(round.rows, &exact::Blend::weighted(&parts, 1.0)))
    }

    fn fork(&self) -> Box<dyn Rule> {
        Box::new(self.clone())
    }

    fn watches(&self) -> bool {
        true
    }

    fn bound(&self) -> Option<Bound> {
        self.weigh.bound()
    }

    fn margin(&self, f: usize) -> Option<f64> {
        self.weigh.margin(&self.pairs, f)
    }

    fn check(&self, n: usize, f: usize) -> Result<(), String> {
        self.weigh.check(n, f)
    }

    fn weigh(&mut self, squared: &Pairs, f: usize, weights: &mut [f64]) -> bool {
        self.weigh.weigh(squared, f, weights);
        true
    }
}
