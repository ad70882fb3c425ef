//! The top eigenpair of small symmetric matrices, and of the covariance of weighted rows, from the
//! squared distances between them.
//!
//! Householder reduction to a tridiagonal matrix, bisection on Sturm counts for the greatest
//! eigenvalue, inverse iteration for its vector (Golub & Van Loan, §8.3–8.4). Cost (4/3)·n³. Where
//! it is only asked whether the eigenvalue exceeds something, a Cholesky factorisation tells most
//! often, for n³/6 and without the bisection.

use varangian_base::kernels::distances::Pairs;

/// Squares below this, in a matrix scaled to entries of 1, are far below rounding.
const NOTHING: f64 = 1e-60;

/// The share of a bound by which an eigenvalue must exceed it to be known to do so without being
/// reckoned: far above the rounding of a factorisation, which is near 1e-14.
const SLACK: f64 = 1e-9;

/// Reusable workspace; `vector` holds the last top eigenvector, of length 1.
#[derive(Clone, Default)]
pub(crate) struct Spectrum {
    a: Vec<f64>,
    diagonal: Vec<f64>,
    off: Vec<f64>,
    betas: Vec<f64>,
    scratch: Vec<f64>,
    bands: [Vec<f64>; 3],
    pub(crate) vector: Vec<f64>,
}

impl Spectrum {
    /// The greatest eigenvalue λ of the symmetric n × n matrix of these entries, up to rounding
    /// relative to its norm; with `vector`, also sets its eigenvector.
    pub(crate) fn top(
        &mut self,
        n: usize,
        mut entry: impl FnMut(usize, usize) -> f64,
        vector: bool,
    ) -> f64 {
        self.a.clear();
        self.a.extend((0..n * n).map(|at| entry(at / n, at % n)));
        let scale = self.a.iter().fold(0.0f64, |most, x| most.max(x.abs()));
        self.vector.clear();
        self.vector.resize(n, 0.0);
        if scale == 0.0 {
            self.vector[0] = 1.0;
            return 0.0;
        }
        self.a.iter_mut().for_each(|x| *x /= scale);
        self.tridiagonalise(n);
        let lambda = self.greatest(n);
        if vector {
            self.solve(n, lambda);
            self.rotate_back(n);
        }
        lambda * scale
    }

    /// The greatest eigenvalue of the covariance (1/Σc)·Σ cᵢ·(xᵢ − μ)(xᵢ − μ)ᵀ around the weighted
    /// mean μ of the rows in `alive`; `vector` holds √cᵢ·⟨xᵢ − μ, v⟩ up to one common factor, for
    /// the top eigenvector v, in the order of `alive`.
    pub(crate) fn covariance(
        &mut self,
        squared: &Pairs,
        alive: &[usize],
        weight: impl Fn(usize) -> f64,
        vector: bool,
    ) -> f64 {
        let total: f64 = alive.iter().map(|&i| weight(i)).sum();
        let mut centre = std::mem::take(&mut self.scratch);
        centre.clear();
        centre.extend(
            alive
                .iter()
                .map(|&i| alive.iter().map(|&j| weight(j) * squared.at(i, j)).sum::<f64>() / total),
        );
        let spread: f64 =
            alive.iter().zip(&centre).map(|(&i, c)| weight(i) * c).sum::<f64>() / total;
        let entry = |a: usize, b: usize| {
            let (i, j) = (alive[a], alive[b]);
            let inner = 0.5 * (centre[a] + centre[b] - squared.at(i, j) - spread);
            (weight(i) * weight(j)).sqrt() * inner / total
        };
        let lambda = self.top(alive.len(), entry, vector);
        self.scratch = centre;
        lambda.max(0.0)
    }

    /// Whether the top eigenvalue of the covariance of the rows in `alive`, all of one weight,
    /// exceeds `bound` beyond rounding. False means that it does not, or by less than [`SLACK`] of
    /// `bound`: then [`Spectrum::covariance`] tells.
    ///
    /// bound·I − C has a factorisation of Cholesky with positive pivots if and only if no
    /// eigenvalue of C reaches the bound. Up to the first negative pivot nothing in it grows, so
    /// that rounding stays far below the slack.
    pub(crate) fn exceeds(&mut self, squared: &Pairs, alive: &[usize], bound: f64) -> bool {
        let (k, size) = (alive.len(), alive.len() as f64);
        let bound = bound * (1.0 + SLACK);
        self.scratch.clear();
        let apart = |i: usize| alive.iter().map(|&j| squared.at(i, j)).sum::<f64>() / size;
        self.scratch.extend(alive.iter().map(|&i| apart(i)));
        let spread = self.scratch.iter().sum::<f64>() / size;
        self.a.clear();
        self.a.resize(k * k, 0.0);
        // bound·I − C = L·D·Lᵀ, row by row: L below the diagonal, D on it.
        for b in 0..k {
            let entry = |a: usize| {
                let apart = squared.at(alive[a], alive[b]);
                0.5 * (self.scratch[a] + self.scratch[b] - apart - spread) / size
            };
            let (before, row) = self.a.split_at_mut(b * k);
            for a in 0..b {
                let known = row.iter().zip(&before[a * k..a * k + a]);
                row[a] = -entry(a) - known.map(|(x, l)| x * l).sum::<f64>();
            }
            let mut pivot = bound - entry(b);
            for (c, x) in row[..b].iter_mut().enumerate() {
                let l = *x / before[c * k + c];
                pivot -= *x * l;
                *x = l;
            }
            if pivot.is_nan() || pivot <= 0.0 {
                return pivot < 0.0;
            }
            row[b] = pivot;
        }
        false
    }

    /// After [`Spectrum::covariance`] has answered λ > 0: ⟨xᵢ − μ, v⟩ of a row i outside
    /// `alive`, up to the factor that those of its rows have in `vector`, over √cᵢ.
    pub(crate) fn beside(
        &self,
        squared: &Pairs,
        alive: &[usize],
        weight: impl Fn(usize) -> f64,
        lambda: f64,
        i: usize,
    ) -> f64 {
        let total: f64 = alive.iter().map(|&j| weight(j)).sum();
        let own: f64 = alive.iter().map(|&j| weight(j) * squared.at(i, j)).sum::<f64>() / total;
        let term = |((&j, u), centre): ((&usize, &f64), &f64)| {
            weight(j).sqrt() * u * (centre - (squared.at(i, j) - own))
        };
        let all = alive.iter().zip(&self.vector).zip(&self.scratch);
        0.5 * all.map(term).sum::<f64>() / (total * lambda)
    }

    /// Reduces `a` to `diagonal` and `off` (off[k] couples k − 1 and k). The Householder vector
    /// that clears column k below its subdiagonal stays in that column, its factor in betas[k].
    fn tridiagonalise(&mut self, n: usize) {
        let (a, mut p) = (&mut self.a, Vec::new());
        std::mem::swap(&mut p, &mut self.diagonal);
        self.betas.clear();
        self.betas.resize(n, 0.0);
        self.off.clear();
        self.off.resize(n, 0.0);
        for k in 0..n.saturating_sub(1) {
            let tail: f64 = (k + 2..n).map(|i| a[i * n + k] * a[i * n + k]).sum();
            let head = a[(k + 1) * n + k];
            if tail < NOTHING {
                self.off[k + 1] = head;
                continue;
            }
            let norm = (head * head + tail).sqrt();
            let alpha = if head > 0.0 { -norm } else { norm };
            self.off[k + 1] = alpha;
            a[(k + 1) * n + k] = head - alpha;
            let beta = 2.0 / ((head - alpha) * (head - alpha) + tail);
            self.betas[k] = beta;
            p.clear();
            p.resize(n, 0.0);
            for i in k + 1..n {
                let sum: f64 = (k + 1..n).map(|j| a[i * n + j] * a[j * n + k]).sum();
                p[i] = beta * sum;
            }
            let along: f64 = (k + 1..n).map(|i| p[i] * a[i * n + k]).sum::<f64>() * beta / 2.0;
            (k + 1..n).for_each(|i| p[i] -= along * a[i * n + k]);
            for i in k + 1..n {
                for j in k + 1..n {
                    a[i * n + j] -= a[i * n + k] * p[j] + p[i] * a[j * n + k];
                }
            }
        }
        p.clear();
        p.extend((0..n).map(|k| a[k * n + k]));
        self.diagonal = p;
    }

    /// The greatest eigenvalue of the tridiagonal matrix, by bisection between Gershgorin's bounds.
    fn greatest(&self, n: usize) -> f64 {
        let reach =
            |k: usize| self.off[k].abs() + if k + 1 < n { self.off[k + 1].abs() } else { 0.0 };
        let mut low = (0..n).map(|k| self.diagonal[k]).fold(f64::MIN, f64::max);
        let mut high = (0..n).map(|k| self.diagonal[k] + reach(k)).fold(low, f64::max);
        for _ in 0..120 {
            let middle = low + (high - low) / 2.0;
            if middle <= low || middle >= high {
                break;
            }
            if self.any_above(n, middle) { low = middle } else { high = middle }
        }
        high
    }

    /// Whether an eigenvalue exceeds x: a positive pivot in the factorisation of T − x.
    fn any_above(&self, n: usize, x: f64) -> bool {
        let mut pivot = self.diagonal[0] - x;
        for k in 1..n {
            if pivot > 0.0 {
                return true;
            }
            let divisor = if pivot == 0.0 { -f64::MIN_POSITIVE } else { pivot };
            pivot = self.diagonal[k] - x - self.off[k] * self.off[k] / divisor;
        }
        pivot > 0.0
    }

    /// Sets `vector` to the eigenvector of the tridiagonal matrix at λ: three steps of inverse
    /// iteration, by elimination with row exchanges.
    fn solve(&mut self, n: usize, lambda: f64) {
        (0..n).for_each(|k| self.vector[k] = 1.0 + 0.1 * ((k * k + 3 * k) % 7) as f64);
        for _ in 0..3 {
            self.eliminate(n, lambda);
            let most = self.vector.iter().fold(0.0f64, |most, x| most.max(x.abs()));
            if !most.is_finite() || most == 0.0 {
                // Unseen; the axis of the greatest diagonal entry keeps the answer finite.
                let axis = (0..n).max_by(|&a, &b| self.diagonal[a].total_cmp(&self.diagonal[b]));
                self.vector.fill(0.0);
                self.vector[axis.expect("n > 0")] = 1.0;
                return;
            }
            self.vector.iter_mut().for_each(|x| *x /= most);
            let norm = self.vector.iter().map(|x| x * x).sum::<f64>().sqrt();
            self.vector.iter_mut().for_each(|x| *x /= norm);
        }
    }

    /// Solves (T − λ)·y = vector in place; pivots that vanish are replaced by rounding.
    fn eliminate(&mut self, n: usize, lambda: f64) {
        let [first, second, third] = &mut self.bands;
        first.clear();
        first.extend(self.diagonal.iter().map(|x| x - lambda));
        second.clear();
        second.extend((0..n).map(|k| if k + 1 < n { self.off[k + 1] } else { 0.0 }));
        third.clear();
        third.resize(n, 0.0);
        let nonzero = |x: f64| if x.abs() < 1e-18 { 1e-18 } else { x };
        for k in 1..n {
            let below = self.off[k];
            if below.abs() > first[k - 1].abs() {
                // Exchange rows k − 1 and k: (below, first[k], second[k]) moves up.
                let factor = first[k - 1] / below;
                (first[k - 1], first[k], second[k - 1], third[k - 1], second[k]) = (
                    below,
                    second[k - 1] - factor * first[k],
                    first[k],
                    second[k],
                    -factor * second[k],
                );
                self.vector.swap(k - 1, k);
                let above = self.vector[k - 1];
                self.vector[k] -= factor * above;
            } else {
                let factor = below / nonzero(first[k - 1]);
                first[k] -= factor * second[k - 1];
                second[k] -= factor * third[k - 1];
                let above = self.vector[k - 1];
                self.vector[k] -= factor * above;
            }
        }
        for k in (0..n).rev() {
            let mut rest = self.vector[k];
            if k + 1 < n {
                rest -= second[k] * self.vector[k + 1];
            }
            if k + 2 < n {
                rest -= third[k] * self.vector[k + 2];
            }
            self.vector[k] = rest / nonzero(first[k]);
        }
    }

    /// Applies the Householder reflections, last first, to `vector`.
    fn rotate_back(&mut self, n: usize) {
        for k in (0..n.saturating_sub(1)).rev().filter(|&k| self.betas[k] != 0.0) {
            let along: f64 = (k + 1..n).map(|i| self.a[i * n + k] * self.vector[i]).sum();
            let factor = self.betas[k] * along;
            (k + 1..n).for_each(|i| self.vector[i] -= factor * self.a[i * n + k]);
        }
    }
}

/// All eigenvalues and vectors (as columns) by Jacobi's rotations: the tests' own way.
#[cfg(test)]
pub(crate) fn jacobi(mut a: Vec<Vec<f64>>) -> (Vec<f64>, Vec<Vec<f64>>) {
    let n = a.len();
    let mut v: Vec<Vec<f64>> =
        (0..n).map(|i| (0..n).map(|j| f64::from(u8::from(i == j))).collect()).collect();
    for _ in 0..60 {
        let off = (0..n).flat_map(|i| (0..i).map(move |j| (i, j))).map(|(i, j)| a[i][j].abs());
        let size = (0..n).map(|i| a[i][i].abs()).fold(0.0, f64::max);
        if off.fold(0.0, f64::max) <= 1e-17 * size {
            break;
        }
        for p in 0..n {
            for q in p + 1..n {
                if a[p][q] == 0.0 {
                    continue;
                }
                let theta = (a[q][q] - a[p][p]) / (2.0 * a[p][q]);
                let t = theta.signum() / (theta.abs() + theta.hypot(1.0));
                let t = if theta == 0.0 { 1.0 } else { t };
                let c = 1.0 / t.hypot(1.0);
                let s = t * c;
                for k in 0..n {
                    (a[k][p], a[k][q]) = (c * a[k][p] - s * a[k][q], s * a[k][p] + c * a[k][q]);
                }
                for k in 0..n {
                    (a[p][k], a[q][k]) = (c * a[p][k] - s * a[q][k], s * a[p][k] + c * a[q][k]);
                    (v[k][p], v[k][q]) = (c * v[k][p] - s * v[k][q], s * v[k][p] + c * v[k][q]);
                }
            }
        }
    }
    ((0..n).map(|k| a[k][k]).collect(), v)
}

/// The top eigenpair of the weighted covariance of rows, in d dimensions.
#[cfg(test)]
pub(crate) fn top_covariance(rows: &[Vec<f64>], c: &[f64]) -> (f64, Vec<f64>, Vec<f64>) {
    let (d, total) = (rows[0].len(), c.iter().sum::<f64>());
    let mean: Vec<f64> =
        (0..d).map(|k| rows.iter().zip(c).map(|(x, c)| c * x[k]).sum::<f64>() / total).collect();
    let entry = |k: usize, l: usize| {
        let term = |(x, c): (&Vec<f64>, &f64)| c * (x[k] - mean[k]) * (x[l] - mean[l]);
        rows.iter().zip(c).map(term).sum::<f64>() / total
    };
    let (values, vectors) = jacobi((0..d).map(|k| (0..d).map(|l| entry(k, l)).collect()).collect());
    let top = (0..d).max_by(|&a, &b| values[a].total_cmp(&values[b])).unwrap();
    (values[top], vectors.iter().map(|row| row[top]).collect(), mean)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conformance::draws;

    #[test]
    fn the_top_pair_agrees_with_jacobi() {
        let mut spectrum = Spectrum::default();
        for n in 1..30 {
            let mut draws = draws(n as u64);
            let mut a = vec![vec![0.0; n]; n];
            for i in 0..n {
                for j in 0..=i {
                    let x = if n % 4 == 0 { draws.below(3) as f64 } else { draws.normal() };
                    (a[i][j], a[j][i]) = (x, x);
                }
            }
            let lambda = spectrum.top(n, |i, j| a[i][j], true);
            let (values, _) = jacobi(a.clone());
            let expected = values.iter().copied().fold(f64::MIN, f64::max);
            assert!((lambda - expected).abs() < 1e-12 * n as f64, "{n}: {lambda}, {expected}");
            let v = &spectrum.vector;
            assert!((v.iter().map(|x| x * x).sum::<f64>() - 1.0).abs() < 1e-12);
            for i in 0..n {
                let image: f64 = (0..n).map(|j| a[i][j] * v[j]).sum();
                assert!((image - lambda * v[i]).abs() < 1e-10, "{n}: {image} {}", lambda * v[i]);
            }
        }
    }

    #[test]
    fn a_factorisation_exceeds_where_the_eigenvalue_does() {
        let mut spectrum = Spectrum::default();
        for seed in 0..200u64 {
            let mut draws = draws(seed);
            let (n, d) = (2 + draws.below(9), 1 + draws.below(12));
            let size = 10f32.powi(draws.below(61) as i32 - 30);
            // Now and then rows alike, or all of them.
            let alike = draws.below(4);
            let mut rows = Vec::<Vec<f32>>::new();
            for i in 0..n {
                let own = (0..d).map(|_| size * draws.normal() as f32).collect();
                let same = i > 0 && (alike == 0 || alike == 1 && i % 2 == 1);
                rows.push(if same { rows[i - 1].clone() } else { own });
            }
            let matrix = varangian_base::Matrix::from_rows(&rows);
            let mut squared = Pairs::default();
            squared.squared_distances(matrix.rows());
            let alive: Vec<usize> = (0..n).filter(|i| seed % 3 != 0 || i % 4 != 1).collect();
            let lambda = spectrum.covariance(&squared, &alive, |_| 1.0, false);
            for factor in [0.0, 1e-6, 0.3, 0.9999, 1.0 - 2e-8] {
                let exceeds = spectrum.exceeds(&squared, &alive, factor * lambda);
                assert_eq!(exceeds, lambda > 0.0, "{seed}: {factor} of {lambda}");
            }
            // Closer than the slack it is not for a factorisation to say, nor above.
            for factor in [1.0 - 1e-10, 1.0, 1.0 + 1e-10, 1.0001, 3.0, 1e9] {
                assert!(!spectrum.exceeds(&squared, &alive, factor * lambda), "{seed}: {factor}");
            }
        }
        assert!(!spectrum.exceeds(&Pairs::default(), &[], 0.0));
    }

    #[test]
    fn matrices_that_fall_apart_have_a_top_too() {
        let mut spectrum = Spectrum::default();
        let diagonal = [3.0, 7.0, 7.0, -9.0, 0.0];
        let lambda = spectrum.top(5, |i, j| if i == j { diagonal[i] } else { 0.0 }, true);
        assert!((lambda - 7.0).abs() < 1e-14);
        assert!(spectrum.vector[1].powi(2) + spectrum.vector[2].powi(2) > 1.0 - 1e-12);
        assert_eq!(spectrum.top(3, |_, _| 0.0, true), 0.0);
        assert!((spectrum.top(2, |_, _| 1e-200, true) - 2e-200).abs() < 1e-212);
        assert_eq!(spectrum.top(1, |_, _| -4.0, true), -4.0);
        // One entry of 1, the rest smaller and smaller: what is left after it vanishes.
        let graded = |i: usize, j: usize| 1e-20f64.powi((i + j) as i32);
        assert!((spectrum.top(25, graded, true) - 1.0).abs() < 1e-15);
        assert!((spectrum.vector[0].abs() - 1.0).abs() < 1e-15, "{:?}", spectrum.vector);
    }
}
