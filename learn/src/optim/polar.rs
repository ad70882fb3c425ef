//! The polar factor of a matrix by a Newton–Schulz iteration: U·Vᵀ of U·S·Vᵀ, nearly.
//!
//! X₀ = M/‖M‖ and Xₖ₊₁ = a·X + (b·A + c·A²)·X with A = X·Xᵀ, which makes each singular value s into
//! a·s + b·s³ + c·s⁵. Muon's a, b, c (Jordan et al. 2024, Muon: an optimizer for hidden layers in
//! neural networks) are chosen for a steep start: after five iterations the singular values that
//! were not tiny lie between 0.7 and 1.2, and not all at 1.
//!
//! ```
//! use varangian_learn::model::Tensor;
//! use varangian_learn::optim::polar;
//! let matrix = Tensor { name: "weight".into(), shape: vec![2, 2], offset: 0 };
//! let mut row = [3.0, 0.0, 0.0, -3.0, 7.0];
//! polar(&[matrix], 5, &mut row);
//! assert!((0.6..1.3).contains(&row[0]) && row[0] == -row[3] && row[4] == 7.0);
//! ```

use crate::kernels::product::{Mat, product};
use crate::model::Tensor;

/// a, b and c.
const MUON: [f32; 3] = [3.4445, -4.7750, 2.0315];

/// Replaces each of these tensors of a flat vector that has two dimensions or more by its polar
/// factor, as a matrix with a row for each entry of the first dimension. Finite; zeros stay. Cost
/// O(r²·c) an iteration, r ≤ c the matrix's sides, on one thread.
pub fn polar(tensors: &[Tensor], iterations: u32, row: &mut [f32]) {
    for tensor in tensors.iter().filter(|tensor| tensor.shape.len() >= 2) {
        let (rows, all) = (tensor.shape[0], tensor.shape.iter().product::<usize>());
        if all == 0 {
            continue;
        }
        let part = &mut row[tensor.offset..tensor.offset + all];
        if !normalise(part) {
            continue;
        }
        // X·Xᵀ is made of the shorter side; (Xᵀ)'s factor is that of X, transposed.
        let columns = all / rows;
        let (mut gram, mut square, mut next) = (Vec::new(), Vec::new(), Vec::new());
        for _ in 0..iterations {
            let r = rows.min(columns);
            gram.resize(r * r, 0.0);
            square.resize(r * r, 0.0);
            let x = Mat::rows(part, columns);
            match rows <= columns {
                true => product(r, r, columns, x, x.t(), &mut gram, false),
                false => product(r, r, rows, x.t(), x, &mut gram, false),
            }
            let of = Mat::rows(&gram, r);
            product(r, r, r, of, of, &mut square, false);
            let [a, b, c] = MUON;
            let terms = square.iter_mut().zip(&gram).enumerate();
            terms.for_each(|(k, (square, gram))| {
                let one = if k % (r + 1) == 0 { a } else { 0.0 };
                *square = one + b * gram + c * *square;
            });
            next.resize(all, 0.0);
            let factor = Mat::rows(&square, r);
            match rows <= columns {
                true => product(r, columns, r, factor, x, &mut next, false),
                false => product(rows, r, r, x, factor, &mut next, false),
            }
            part.copy_from_slice(&next);
        }
    }
}

/// Divides by the root of the sum of squares; false where that is 0.
fn normalise(x: &mut [f32]) -> bool {
    let length = x.iter().map(|&x| f64::from(x).powi(2)).sum::<f64>().sqrt();
    let can = length > 0.0 && length.is_finite();
    if can {
        x.iter_mut().for_each(|x| *x = (f64::from(*x) / length) as f32);
    }
    can
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tensor(shape: &[usize], offset: usize) -> Tensor {
        Tensor { name: "one".into(), shape: shape.to_vec(), offset }
    }

    /// A rotation of the plane.
    fn turn(angle: f64) -> [[f64; 2]; 2] {
        [[angle.cos(), -angle.sin()], [angle.sin(), angle.cos()]]
    }

    #[test]
    fn singular_values_follow_the_polynomial_and_vectors_stay() {
        // U·S·Vᵀ of two rotations, with a third column of zeros or as its transpose.
        let (u, v, s) = (turn(0.7), turn(-1.9), [5.0, 0.4f64]);
        let made = |s: [f64; 2]| -> [[f64; 2]; 2] {
            let entry = |i: usize, j: usize| (0..2).map(|k| u[i][k] * s[k] * v[j][k]).sum();
            std::array::from_fn(|i| std::array::from_fn(|j| entry(i, j)))
        };
        let length = s[0].hypot(s[1]);
        let after = s.map(|s| {
            (0..5).fold(s / length, |x, _| 3.4445 * x - 4.7750 * x.powi(3) + 2.0315 * x.powi(5))
        });
        let (before, after) = (made(s), made(after));
        let wide = |m: [[f64; 2]; 2]| [m[0][0], m[0][1], 0.0, m[1][0], m[1][1], 0.0];
        let tall = |m: [[f64; 2]; 2]| [m[0][0], m[1][0], m[0][1], m[1][1], 0.0, 0.0];
        for (shape, from, to) in
            [([2, 3], wide(before), wide(after)), ([3, 2], tall(before), tall(after))]
        {
            let mut row: Vec<f32> = [9.0].into_iter().chain(from).map(|x| x as f32).collect();
            polar(&[tensor(&shape, 1)], 5, &mut row);
            assert_eq!(row[0], 9.0);
            for (a, b) in row[1..].iter().zip(to) {
                assert!((f64::from(*a) - b).abs() < 1e-5, "{row:?} {to:?}");
            }
        }
    }

    #[test]
    fn kernels_are_matrices_vectors_and_zeros_stay_and_size_does_not_matter() {
        let from: Vec<f32> = (0..24u8).map(|k| f32::from(k % 7) - 3.0).collect();
        let at = |shape: &[usize], factor: f32| {
            let mut row: Vec<f32> = from.iter().map(|x| factor * x).collect();
            polar(&[tensor(shape, 0)], 5, &mut row);
            row
        };
        assert_eq!(at(&[4, 1, 2, 3], 1.0), at(&[4, 6], 1.0));
        assert_ne!(at(&[4, 6], 1.0), at(&[6, 4], 1.0));
        assert_eq!(at(&[24], 1.0), from);
        assert_eq!(at(&[4, 6], 0.0), [0.0; 24]);
        assert_eq!(at(&[4, 6], 1024.0), at(&[4, 6], 1.0));
        assert!(at(&[4, 6], 1e38).iter().all(|x| x.is_finite()));
    }
}
