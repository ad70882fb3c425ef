//! CAF, the covariance-bound agnostic filter (Allouah, Guerraoui & Stephan 2025, algorithm 2), with
//! exact eigenvectors.
//!
//! Weights c start at 1. While Σc > n − 2f: with the weighted mean μ and covariance Σ, its greatest
//! eigenvalue λ and eigenvector v, τᵢ = ⟨xᵢ − μ, v⟩² and cᵢ ← cᵢ·(1 − τᵢ/max τ) over the rows with
//! cⱼ > 0. The answer is the μ of least λ. Σ is never formed: v lies in the span of the rows, and
//! the n × n Gram matrix around μ, from the distances between rows, has the same spectrum.
//!
//! `variant=byzfl` divides by the max τ over all rows: a row that lost its weight may still hold
//! it, and the others then lose theirs in small steps.
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
use varangian_base::{Kind, Param};

pub(crate) static ENTRY: RuleEntry = RuleEntry {
    name: "caf",
    summary: "weights fall along the direction of greatest variance until 2f are gone; the mean of least variance",
    paper: "Allouah, Guerraoui & Stephan, Towards Trustworthy Federated Learning with Untrusted Participants, ICML 2025, arXiv 2505.01874, algorithm 2",
    differs: &[
        "at f = 0, where the paper's loop does not run, the answer is the mean",
        "the eigenvectors are exact; ByzFL's code takes one step of the power method from a random start",
        "variant = byzfl divides by the greatest τ of all rows, as ByzFL's code does; where a far row without weight holds it, the loop ends after 1000 rounds or when no weight changes (ByzFL's does not end)",
    ],
    params: &[Param {
        name: "variant",
        kind: Kind::Choice(&["weighted", "byzfl"]),
        default: "weighted",
        help: "the rows whose greatest τ the others are measured by: those that still have weight, or all",
    }],
    cost: "O(n²·d + n³) and at most n rounds of n³",
    facts: RuleFacts {
        bound: Bound::majority("Allouah et al. 2025"),
        claims: Claims::GEOMETRIC,
        weights: true,
        excluded: "its weight was used up along the directions of greatest variance",
        kappa: Kappa::Open(
            "O(f/n) for λ_max of the covariance in place of its trace, away from f/n = 1/2 (Allouah et al. 2025); no constant is published",
        ),
        whole_rows: "",
        ..RuleFacts::RULE
    },
    build: |args| {
        let all = args.text("variant") == "byzfl";
        Ok(by_distances(Caf { all, ..Caf::default() }))
    },
};

/// Weights below this are what rounding leaves of copies of the farthest row.
const ROUNDING: f64 = 1e-14;

/// The most rounds over all rows.
const ROUNDS: usize = 1000;

#[derive(Clone, Default)]
struct Caf {
    /// Whether the greatest τ is that of all rows.
    all: bool,
    alive: Vec<usize>,
    c: Vec<f64>,
    tau: Vec<f64>,
    spectrum: Spectrum,
}

impl Caf {
    /// The rounds that may be run.
    fn rounds(&self) -> usize {
        if self.all { ROUNDS } else { usize::MAX }
    }
}

/// The greatest τ of the rows without weight, from ⟨xᵢ − μ, v⟩ as `along` gives it.
fn most_without(c: &[f64], mut along: impl FnMut(usize) -> f64) -> f64 {
    let without = (0..c.len()).filter(|&i| c[i] == 0.0);
    without.map(|i| along(i).powi(2)).fold(0.0, f64::max)
}

/// Takes from the weights of the rows in `alive` by their τ; `most` may be that of another row.
/// Answers whether any changed.
fn lower(c: &mut [f64], alive: &[usize], tau: &[f64], most: f64) -> bool {
    let most = tau.iter().copied().fold(most, f64::max);
    let mut changed = false;
    for (&i, tau) in alive.iter().zip(tau) {
        let kept = c[i] * (1.0 - tau / most);
        let kept = if kept < ROUNDING { 0.0 } else { kept };
        changed |= kept != c[i];
        c[i] = kept;
    }
    changed
}

impl Weigh for Caf {
    fn weigh(&mut self, squared: &Pairs, f: usize, weights: &mut [f64]) {
        let n = squared.n();
        self.c.clear();
        self.c.resize(n, 1.0);
        weights.fill(1.0 / n as f64);
        let mut least = f64::INFINITY;
        for _ in 0..self.rounds() {
            let total: f64 = self.c.iter().sum();
            if total <= (n - 2 * f) as f64 {
                return;
            }
            self.alive.clear();
            self.alive.extend((0..n).filter(|&i| self.c[i] > 0.0));
            let Caf { all, alive, c, tau, spectrum } = self;
            let lambda = spectrum.covariance(squared, alive, |i| c[i], true);
            if lambda < least {
                least = lambda;
                weights.iter_mut().zip(&*c).for_each(|(w, c)| *w = c / total);
            }
            if lambda == 0.0 {
                return;
            }
            tau.clear();
            tau.extend(alive.iter().zip(&spectrum.vector).map(|(&i, u)| u * u / c[i]));
            let beside = |i| spectrum.beside(squared, alive, |i| c[i], lambda, i);
            let most = if *all { most_without(c, beside) } else { 0.0 };
            if !lower(c, alive, tau, most) {
                return;
            }
        }
    }

    fn exact(&self, round: &exact::Round<'_>) -> exact::Blend {
        let (n, f) = (round.n(), round.f);
        let mut spread = exact::Spread::of(round.rows);
        let mut c = vec![1.0; n];
        let mut best = (None, c.clone());
        for _ in 0..self.rounds() {
            if c.iter().sum::<f64>() <= (n - 2 * f) as f64 {
                break;
            }
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
            let beside = |i| spread.beside(&alive, |i| c[i], i);
            let most = if self.all { most_without(&c, beside) } else { 0.0 };
            if !lower(&mut c, &alive, &tau, most) {
                break;
            }
        }
        exact::Blend::mean(best.1.iter().map(|&c| c.into()).collect())
    }
}

/// In d dimensions, with a full eigendecomposition of the covariance.
#[cfg(test)]
pub(crate) fn reference(rows: &[Vec<f64>], f: usize, all: bool) -> Vec<f64> {
    let n = rows.len();
    let mut c = vec![1.0; n];
    let mut best = (f64::INFINITY, crate::conformance::mean(rows.iter()));
    for _ in 0..if all { ROUNDS } else { usize::MAX } {
        if c.iter().sum::<f64>() <= (n - 2 * f) as f64 {
            break;
        }
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
        let held = (0..n).filter(|&i| all || c[i] > 0.0);
        let most = held.map(|i| tau[i]).fold(0.0, f64::max);
        let before = c.clone();
        alive.iter().for_each(|&i| c[i] *= 1.0 - tau[i] / most);
        if c == before {
            break;
        }
    }
    best.1
}
