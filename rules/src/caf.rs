//! CAF, the covariance-agnostic filter (Allouah, Guerraoui & Stephan 2025, algorithm 1), with exact
//! eigenvectors.
//!
//! Weights c start at 1. While Σc > n − 2f: with the weighted mean μ and covariance Σ, its greatest
//! eigenvalue λ and eigenvector v, τᵢ = ⟨xᵢ − μ, v⟩² and cᵢ ← cᵢ·(1 − τᵢ/max τ) over the rows with
//! cⱼ > 0. The answer is the μ of least λ. Σ is never formed: v lies in the span of the rows, and
//! the n × n Gram matrix around μ, from the distances between rows, has the same spectrum.
//!
//! ```
//! # use varangian_base::Matrix;
//! # use varangian_rules::{Round, Verdict, build};
//! let rows = Matrix::from_rows(&[[0.0], [1.0], [2.0], [3.0], [1e15]]);
//! let mut out = [0.0];
//! build("caf", 5, 1).unwrap().aggregate(&mut Round::of(rows.rows(), 1), &mut out, &mut Verdict::default());
//! assert_eq!(out, [1.5]);
//! ```

use crate::select::{Weigh, by_distances};
use crate::spectrum::Spectrum;
use crate::{Bound, Claims, Kappa, RuleEntry, RuleFacts, exact};
use varangian_base::kernels::distances::Pairs;

pub(crate) static ENTRY: RuleEntry = RuleEntry {
    name: "caf",
    summary: "weights fall along the direction of greatest variance until 2f are gone; the mean of least variance",
    paper: "Allouah, Guerraoui & Stephan, Towards Trustworthy Federated Learning with Untrusted Participants, ICML 2025, arXiv 2505.01874, algorithm 1",
    differs: &["at f = 0, where the paper's loop does not run, the answer is the mean"],
    params: &[],
    cost: "O(n²·d + n³) and at most n rounds of n³",
    facts: RuleFacts {
        bound: Bound::majority("Allouah et al. 2025"),
        claims: Claims::GEOMETRIC,
        weights: true,
        excluded: "its weight was used up along the directions of greatest variance",
        kappa: Kappa::Open(
            "O(f/n) for λ_max of the covariance in place of its trace, away from f/n = 1/2 (Allouah et al. 2025); no constant is published",
        ),
        ..RuleFacts::RULE
    },
    build: |_| Ok(by_distances(Caf::default())),
};

/// Weights below this are what rounding leaves of copies of the farthest row.
const ROUNDING: f64 = 1e-14;

#[derive(Clone, Default)]
struct Caf {
    alive: Vec<usize>,
    c: Vec<f64>,
    tau: Vec<f64>,
    spectrum: Spectrum,
}

impl Weigh for Caf {
    fn weigh(&mut self, squared: &Pairs, f: usize, weights: &mut [f64]) {
        let n = squared.n();
        self.c.clear();
        self.c.resize(n, 1.0);
        weights.fill(1.0 / n as f64);
        let mut least = f64::INFINITY;
        let mut total = n as f64;
        while total > (n - 2 * f) as f64 {
            self.alive.clear();
            self.alive.extend((0..n).filter(|&i| self.c[i] > 0.0));
            let lambda = self.spectrum.covariance(squared, &self.alive, |i| self.c[i], true);
            if lambda < least {
                least = lambda;
                weights.iter_mut().zip(&self.c).for_each(|(w, c)| *w = c / total);
            }
            if lambda == 0.0 {
                return;
            }
            let along = self.alive.iter().zip(&self.spectrum.vector);
            self.tau.clear();
            self.tau.extend(along.map(|(&i, u)| u * u / self.c[i]));
            let most = self.tau.iter().copied().fold(0.0, f64::max);
            for (&i, tau) in self.alive.iter().zip(&self.tau) {
                let kept = self.c[i] * (1.0 - tau / most);
                self.c[i] = if kept < ROUNDING { 0.0 } else { kept };
            }
            total = self.c.iter().sum();
        }
    }

    fn exact(&self, round: &exact::Round<'_>) -> exact::Blend {
        let (n, f) = (round.n(), round.f);
        let mut spread = exact::Spread::of(round.rows);
        let mut c = vec![1.0; n];
        let mut best = (None, c.clone());
        while c.iter().sum::<f64>() > (n - 2 * f) as f64 {
            let alive: Vec<usize> = (0..n).filter(|&i| c[i] > 0.0).collect();
            let lambda = spread.covariance(&alive, |i| c[i], true);
            if best.0.is_none_or(|least| lambda < least) {
                best = (Some(lambda), c.clone());
            }
            if lambda.is_zero() {
                break;
            }
            let along = alive.iter().zip(&spread.spectrum.vector);
            let tau: Vec<f64> = along.map(|(&i, u)| u * u / c[i]).collect();
            let most = tau.iter().copied().fold(0.0, f64::max);
            for (&i, tau) in alive.iter().zip(&tau) {
                let kept = c[i] * (1.0 - tau / most);
                c[i] = if kept < ROUNDING { 0.0 } else { kept };
            }
        }
        exact::Blend::mean(best.1.iter().map(|&c| c.into()).collect())
    }
}

/// In d dimensions, with a full eigendecomposition of the covariance.
#[cfg(test)]
pub(crate) fn reference(rows: &[Vec<f64>], f: usize) -> Vec<f64> {
    let n = rows.len();
    let mut c = vec![1.0; n];
    let mut best = (f64::INFINITY, crate::conformance::mean(rows.iter()));
    while c.iter().sum::<f64>() > (n - 2 * f) as f64 {
        let (lambda, v, mean) = crate::spectrum::top_covariance(rows, &c);
        if lambda < best.0 {
            best = (lambda, mean.clone());
        }
        if lambda <= 0.0 {
            break;
        }
        let tau: Vec<f64> = rows
            .iter()
            .map(|x| {
                x.iter().zip(&mean).zip(&v).map(|((x, m), v)| (x - m) * v).sum::<f64>().powi(2)
            })
            .collect();
        let alive: Vec<usize> = (0..n).filter(|&i| c[i] > 0.0).collect();
        let most = alive.iter().map(|&i| tau[i]).fold(0.0, f64::max);
        alive.iter().for_each(|&i| c[i] *= 1.0 - tau[i] / most);
    }
    best.1
}
