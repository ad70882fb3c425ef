//! SMEA, smallest maximum eigenvalue averaging (Allouah, Guerraoui, Gupta, Pinot & Stephan 2023):
//! the mean of the n − f rows whose covariance has the least top eigenvalue; ties within 1e-12 go
//! to the lexicographically first set.
//!
//! Exact. A set's scatter only grows as rows join it, so a partial set whose top eigenvalue exceeds
//! the best one found is abandoned; whether it does a factorisation tells, and only where that is
//! close the eigenvalue itself. The search starts from the set that drops, f times, the row that
//! weighs most in the top eigenvector.
//!
//! ```
//! # use varangian_base::Matrix;
//! # use varangian_rules::{Round, Verdict, build};
//! let rows = Matrix::from_rows(&[[0.0], [1.0], [2.0], [3.0], [100.0]]);
//! let mut out = [0.0];
//! build("smea", 5, 1).unwrap().aggregate(&mut Round::of(rows.rows(), 1), &mut out, &mut Verdict::default());
//! assert_eq!(out, [1.5]);
//! ```

use crate::select::{Weigh, by_distances, mean_of};
use crate::spectrum::Spectrum;
use crate::{Bound, Claims, Kappa, RuleEntry, RuleFacts, exact};
use varangian_base::kernels::distances::Pairs;

pub(crate) static ENTRY: RuleEntry = RuleEntry {
    name: "smea",
    summary: "mean of the n − f rows whose covariance has the least top eigenvalue, found exactly",
    paper: "Allouah, Guerraoui, Gupta, Pinot & Stephan, On the Privacy-Robustness-Utility Trilemma in Distributed Learning, ICML 2023, arXiv 2302.04787, §4",
    differs: &[],
    params: &[],
    cost: "O(n²·d) and at most C(n, f)·n³, less what is abandoned early; C(n, f) ≤ 200000",
    facts: RuleFacts {
        bound: Bound::majority("Allouah et al. 2023"),
        claims: Claims::GEOMETRIC,
        weights: true,
        excluded: "outside the {k} rows of least top eigenvalue",
        kappa: Kappa::Bound(
            kappa,
            "4f/(n−f)·(1 + f/(n−2f))², which holds for λ_max of the covariance in place of its trace (Allouah et al. 2023)",
        ),
        whole_rows: "",
        ..RuleFacts::RULE
    },
    build: |_| Ok(by_distances(Smea::default())),
};

/// The most sets that may have to be compared.
const MOST: usize = 200_000;

/// Relative differences of eigenvalues below this are ties.
const TIE: f64 = 1e-12;

fn kappa(n: usize, f: usize) -> f64 {
    let (n, f) = (n as f64, f as f64);
    4.0 * f / (n - f) * (1.0 + f / (n - 2.0 * f)).powi(2)
}

#[derive(Clone, Default)]
struct Smea {
    set: Vec<usize>,
    best: Vec<usize>,
    least: f64,
    found: bool,
    spectrum: Spectrum,
}

impl Smea {
    /// The top eigenvalue of the scatter Σ (xᵢ − μ)(xᵢ − μ)ᵀ of the current set.
    fn scatter(&mut self, squared: &Pairs, vector: bool) -> f64 {
        let size = self.set.len() as f64;
        size * self.spectrum.covariance(squared, &self.set, |_| 1.0, vector)
    }

    /// Whether the scatter of the current set is greater than the least one, beyond a tie and
    /// beyond doubt.
    fn exceeds(&mut self, squared: &Pairs) -> bool {
        let size = self.set.len();
        size > 1 && self.spectrum.exceeds(squared, &self.set, self.least / size as f64)
    }

    /// A good set to begin with.
    fn greedy(&mut self, squared: &Pairs, f: usize) {
        self.set.clear();
        self.set.extend(0..squared.n());
        for _ in 0..f {
            self.scatter(squared, true);
            let along = self.spectrum.vector.iter().map(|u| u.abs()).enumerate();
            let (at, _) = along.max_by(|a, b| a.1.total_cmp(&b.1)).expect("rows remain");
            self.set.remove(at);
        }
        self.least = self.scatter(squared, false);
        self.best.clone_from(&self.set);
        self.found = false;
        self.set.clear();
    }

    /// Tries all completions of the current set to `size` rows from row `next` on.
    fn search(&mut self, squared: &Pairs, next: usize, size: usize) {
        if self.exceeds(squared) {
            return;
        }
        if self.set.len() == size {
            let scatter = self.scatter(squared, false);
            let better = scatter < self.least * (1.0 - TIE);
            if better || !self.found && scatter <= self.least * (1.0 + TIE) {
                self.found = true;
                self.least = self.least.min(scatter);
                self.best.clone_from(&self.set);
            }
            return;
        }
        let last = squared.n() - (size - self.set.len());
        for i in next..=last {
            self.set.push(i);
            self.search(squared, i + 1, size);
            self.set.pop();
        }
    }
}

impl Weigh for Smea {
    fn weigh(&mut self, squared: &Pairs, f: usize, weights: &mut [f64]) {
        self.greedy(squared, f);
        self.search(squared, 0, squared.n() - f);
        mean_of(&self.best, weights);
    }

    fn exact(&self, round: &exact::Round<'_>) -> exact::Blend {
        let (n, f) = (round.n(), round.f);
        let mut search =
            Search { spread: exact::Spread::of(round.rows), set: Vec::new(), best: None };
        search.complete(n, 0, n - f);
        let (_, best) = search.best.expect("there is a set of n − f rows");
        exact::Blend::selection(n, &best)
    }

    fn check(&self, n: usize, f: usize) -> Result<(), String> {
        let sets = (0..f).try_fold(1usize, |sets, k| {
            sets.checked_mul(n - k).map(|sets| sets / (k + 1)).filter(|&sets| sets <= MOST)
        });
        sets.map(|_| ()).ok_or_else(|| format!("at most {MOST} sets of n − f rows to compare"))
    }
}

/// The search in f64 of any magnitude, in lexicographic order.
struct Search {
    spread: exact::Spread,
    set: Vec<usize>,
    best: Option<(exact::Wide, Vec<usize>)>,
}

impl Search {
    /// Tries all completions of the current set to `size` of n rows from row `next` on.
    fn complete(&mut self, n: usize, next: usize, size: usize) {
        let scatter = match self.set.len() {
            0 | 1 => exact::Wide::ZERO,
            len => {
                exact::Wide::from(len as f64) * self.spread.covariance(&self.set, |_| 1.0, false)
            }
        };
        let less = exact::Wide::from(1.0 - TIE);
        if self.best.as_ref().is_some_and(|(least, _)| scatter >= *least * less) {
            return;
        }
        if self.set.len() == size {
            self.best = Some((scatter, self.set.clone()));
            return;
        }
        for i in next..=n - (size - self.set.len()) {
            self.set.push(i);
            self.complete(n, i + 1, size);
            self.set.pop();
        }
    }
}

/// By enumeration of all sets, with full eigendecompositions in d dimensions.
#[cfg(test)]
pub(crate) fn reference(rows: &[Vec<f64>], f: usize) -> Vec<f64> {
    use crate::conformance::{mean, subsets};
    let mut best: Option<(f64, Vec<usize>)> = None;
    for set in subsets(rows.len(), rows.len() - f) {
        let chosen: Vec<Vec<f64>> = set.iter().map(|&i| rows[i].clone()).collect();
        let (lambda, _, _) = crate::spectrum::top_covariance(&chosen, &vec![1.0; set.len()]);
        if best.as_ref().is_none_or(|(least, _)| lambda < least * (1.0 - 1e-10)) {
            best = Some((lambda, set));
        }
    }
    mean(best.unwrap().1.iter().map(|&i| &rows[i]))
}
