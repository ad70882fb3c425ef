//! The least eigenvalue of a Hessian, from gradients alone: Lanczos' method on Hessian-vector
//! products (∇f(x + hv) − ∇f(x − hv))/(2h).
//!
//! All but the gradients is in double precision. The error of a product is of the order h² times
//! the third derivative, plus the gradient's own error over h: in single precision h of a few
//! hundredths, in double precision a ten-thousandth, is about the best.

use varangian_base::{Domain, Seed};

/// How the least eigenvalue is sought.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Search {
    /// Products, at most d of which are made: the Krylov space's dimension.
    pub products: usize,
    /// h > 0: how far gradients are taken from the point.
    pub width: f64,
    /// The seed of the first vector.
    pub seed: Seed,
}

impl Search {
    /// The least eigenvalue of ∇²f at `x`, up to rounding never below it. `gradient(y, out)` writes
    /// ∇f(y). Cost 2·products gradients and O(products²·d); kept are products vectors of d.
    ///
    /// Eigenvalues at the ends are found first; how well depends on the gap to the next over the
    /// whole range: twenty products give three digits where that is a tenth.
    pub fn least(&self, x: &[f64], mut gradient: impl FnMut(&[f64], &mut [f64])) -> f64 {
        let d = x.len();
        let mut stream = self.seed.stream(Domain::Evaluation, 0, 0);
        let mut v: Vec<f64> = (0..d).map(|_| stream.normal()).collect();
        let mut basis: Vec<Vec<f64>> = Vec::new();
        let (mut diagonal, mut beside) = (Vec::new(), Vec::new());
        let (mut at, mut ahead, mut behind) = (vec![0.0; d], vec![0.0; d], vec![0.0; d]);
        let mut length = norm(&v);
        for _ in 0..self.products.min(d) {
            v.iter_mut().for_each(|v| *v /= length);
            let mut product = |sign: f64, out: &mut Vec<f64>| {
                at.iter_mut()
                    .zip(x)
                    .zip(&v)
                    .for_each(|((at, x), v)| *at = x + sign * self.width * v);
                gradient(&at, out);
            };
            product(1.0, &mut ahead);
            product(-1.0, &mut behind);
            let mut next: Vec<f64> =
                ahead.iter().zip(&behind).map(|(a, b)| (a - b) / (2.0 * self.width)).collect();
            diagonal.push(dot(&v, &next));
            basis.push(v);
            // Twice against all that came before: without it found eigenvalues come back.
            for _ in 0..2 {
                for old in &basis {
                    let along = dot(old, &next);
                    next.iter_mut().zip(old).for_each(|(x, old)| *x -= along * old);
                }
            }
            length = norm(&next);
            let scale =
                diagonal.iter().chain(&beside).fold(0.0f64, |most, x: &f64| most.max(x.abs()));
            if length <= 1e-10 * scale {
                break;
            }
            beside.push(length);
            v = next;
        }
        least_of_tridiagonal(&diagonal, &beside)
    }
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

fn norm(a: &[f64]) -> f64 {
    dot(a, a).sqrt()
}

/// The least eigenvalue of the symmetric matrix with this diagonal and these entries beside it, by
/// bisection: how many eigenvalues lie below t is how many pivots of T − t·I are negative.
fn least_of_tridiagonal(diagonal: &[f64], beside: &[f64]) -> f64 {
    let m = diagonal.len();
    let any_below = |t: f64| {
        let mut pivot = 1.0;
        (0..m).any(|i| {
            let before = if i == 0 { 0.0 } else { beside[i - 1].powi(2) / pivot };
            pivot = diagonal[i] - t - before;
            pivot < 0.0
        })
    };
    // Gershgorin: all lie within these.
    let reach = |i: usize| {
        let left = if i == 0 { 0.0 } else { beside[i - 1].abs() };
        left + beside.get(i).filter(|_| i + 1 < m).map_or(0.0, |b| b.abs())
    };
    let ends = (0..m).map(|i| diagonal[i] - reach(i));
    let mut low = ends.fold(f64::INFINITY, f64::min);
    let mut high = diagonal.iter().copied().fold(f64::INFINITY, f64::min);
    for _ in 0..200 {
        let middle = low + (high - low) / 2.0;
        match any_below(middle) {
            true => high = middle,
            false => low = middle,
        }
    }
    low + (high - low) / 2.0
}

#[cfg(test)]
mod tests {
    use super::*;

    /// ½‖W₂W₁x − y‖² over a few samples, three inputs, two hidden, two outputs: smooth, with a
    /// saddle at 0. Its Hessian by differences of the exact gradient, entry by entry, is `dense`.
    struct Product {
        inputs: Vec<[f64; 3]>,
        targets: Vec<[f64; 2]>,
    }

    const D: usize = 10;

    impl Product {
        fn new() -> Self {
            let mut stream = Seed(4).stream(Domain::Test, 0, 0);
            let inputs: Vec<[f64; 3]> =
                (0..8).map(|_| std::array::from_fn(|_| stream.normal())).collect();
            let target = |x: &[f64; 3]| [x[0] - 2.0 * x[1], 0.5 * x[2]];
            Product { targets: inputs.iter().map(target).collect(), inputs }
        }

        /// W₁ is the first six numbers, row by row, W₂ the last four.
        fn gradient(&self, w: &[f64], out: &mut [f64]) {
            out.fill(0.0);
            for (x, y) in self.inputs.iter().zip(&self.targets) {
                let hidden: [f64; 2] =
                    std::array::from_fn(|h| (0..3).map(|j| w[3 * h + j] * x[j]).sum());
                for o in 0..2 {
                    let answer: f64 = (0..2).map(|h| w[6 + 2 * o + h] * hidden[h]).sum();
                    let off = (answer - y[o]) / self.inputs.len() as f64;
                    for h in 0..2 {
                        out[6 + 2 * o + h] += off * hidden[h];
                        (0..3).for_each(|j| out[3 * h + j] += off * w[6 + 2 * o + h] * x[j]);
                    }
                }
            }
        }

        fn dense(&self, w: &[f64]) -> Vec<Vec<f64>> {
            let column = |k: usize| {
                let at = |sign: f64| {
                    let (mut w, mut out) = (w.to_vec(), vec![0.0; D]);
                    w[k] += sign * 1e-4;
                    self.gradient(&w, &mut out);
                    out
                };
                let (a, b) = (at(1.0), at(-1.0));
                (0..D).map(|i| (a[i] - b[i]) / 2e-4).collect()
            };
            (0..D).map(column).collect()
        }
    }

    /// All eigenvalues of a symmetric matrix, ascending, by Jacobi's rotations.
    fn eigenvalues(mut a: Vec<Vec<f64>>) -> Vec<f64> {
        let n = a.len();
        for _ in 0..60 {
            for (p, q) in (0..n).flat_map(|p| (p + 1..n).map(move |q| (p, q))) {
                if a[p][q].abs() < 1e-300 {
                    continue;
                }
                let theta = (a[q][q] - a[p][p]) / (2.0 * a[p][q]);
                let t = theta.signum() / (theta.abs() + (theta * theta + 1.0).sqrt());
                let c = 1.0 / (t * t + 1.0).sqrt();
                let s = t * c;
                for k in 0..n {
                    let (x, y) = (a[k][p], a[k][q]);
                    (a[k][p], a[k][q]) = (c * x - s * y, s * x + c * y);
                }
                for k in 0..n {
                    let (x, y) = (a[p][k], a[q][k]);
                    (a[p][k], a[q][k]) = (c * x - s * y, s * x + c * y);
                }
            }
        }
        let mut found: Vec<f64> = (0..n).map(|i| a[i][i]).collect();
        found.sort_unstable_by(f64::total_cmp);
        found
    }

    const SEARCH: Search = Search { products: D, width: 1e-4, seed: Seed(1) };

    #[test]
    fn it_is_the_least_eigenvalue_of_the_dense_hessian() {
        let f = Product::new();
        for trial in 0..20u32 {
            let mut stream = Seed(9).stream(Domain::Test, trial, 0);
            let scale = if trial == 0 { 0.0 } else { 0.7 };
            let w: Vec<f64> = (0..D).map(|_| scale * stream.normal()).collect();
            let all = eigenvalues(f.dense(&w));
            let found = SEARCH.least(&w, |w, out| f.gradient(w, out));
            assert!((found - all[0]).abs() < 1e-6, "trial {trial}: {found} of {all:?}");
            // Fewer products find what lies within the range, never below.
            let rough = Search { products: 4, ..SEARCH }.least(&w, |w, out| f.gradient(w, out));
            assert!(rough > all[0] - 1e-6 && rough < all[D - 1], "{rough} of {all:?}");
        }
    }

    #[test]
    fn gradients_in_single_precision_give_four_digits() {
        let f = Product::new();
        let w: Vec<f64> = (0..D).map(|k| 0.3 - 0.1 * k as f64).collect();
        let exact = SEARCH.least(&w, |w, out| f.gradient(w, out));
        let single = Search { width: 0.03, ..SEARCH }.least(&w, |w, out| {
            let w: Vec<f64> = w.iter().map(|&x| f64::from(x as f32)).collect();
            f.gradient(&w, out);
            out.iter_mut().for_each(|x| *x = f64::from(*x as f32));
        });
        assert!((single / exact - 1.0).abs() < 2e-3, "{single} against {exact}");
    }

    #[test]
    fn a_diagonal_and_a_tridiagonal_matrix_by_hand() {
        let scales = [3.0, -2.0, 0.5, 7.0];
        let gradient = |x: &[f64], out: &mut [f64]| {
            out.iter_mut().zip(x).zip(scales).for_each(|((out, x), s)| *out = s * x);
        };
        let search = Search { products: 9, ..SEARCH };
        assert!((search.least(&[1.0; 4], gradient) + 2.0).abs() < 1e-8);
        // 2 on the diagonal, −1 beside it, three rows: 2 − √2.
        let least = least_of_tridiagonal(&[2.0; 3], &[-1.0, -1.0]);
        assert!((least - (2.0 - 2f64.sqrt())).abs() < 1e-12, "{least}");
        assert_eq!(least_of_tridiagonal(&[-3.5], &[]), -3.5);
    }
}
