//! Leading eigenvectors of small symmetric matrices.

/// Rounds of the power iteration: each squares the matrix, so that 2^12 products are made.
const SQUARINGS: usize = 12;

/// The leading eigenvector of the symmetric n × n matrix (unit length) and its eigenvalue, by
/// repeated squaring; zeros for a zero matrix. Cost O(n³).
pub(crate) fn leading(matrix: &[f64], n: usize) -> (Vec<f64>, f64) {
    let mut power = matrix.to_vec();
    for _ in 0..SQUARINGS {
        let scale = power.iter().map(|x| x.abs()).fold(0.0, f64::max);
        if scale == 0.0 || !scale.is_finite() {
            return (vec![0.0; n], 0.0);
        }
        power.iter_mut().for_each(|x| *x /= scale);
        power = product(&power, &power, n);
    }
    // The longest column of a power of A points along the leading eigenvector.
    let column = |j: usize| (0..n).map(|i| power[i * n + j]).collect::<Vec<f64>>();
    let norm2 = |x: &[f64]| x.iter().map(|x| x * x).sum::<f64>();
    let longest = (0..n).map(column).max_by(|a, b| norm2(a).total_cmp(&norm2(b)));
    let mut vector = longest.unwrap_or_default();
    let norm = norm2(&vector).sqrt();
    if norm > 0.0 {
        vector.iter_mut().for_each(|x| *x /= norm);
    }
    let value = (0..n).map(|i| vector[i] * dot(&matrix[i * n..(i + 1) * n], &vector)).sum();
    (vector, value)
}

/// The `count` leading eigenvectors and eigenvalues, by deflation.
pub(crate) fn leading_few(matrix: &[f64], n: usize, count: usize) -> Vec<(Vec<f64>, f64)> {
    let mut rest = matrix.to_vec();
    let mut found = Vec::new();
    for _ in 0..count.min(n) {
        let (vector, value) = leading(&rest, n);
        for i in 0..n {
            for j in 0..n {
                rest[i * n + j] -= value * vector[i] * vector[j];
            }
        }
        found.push((vector, value));
    }
    found
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

fn product(a: &[f64], b: &[f64], n: usize) -> Vec<f64> {
    let mut out = vec![0.0; n * n];
    for i in 0..n {
        for k in 0..n {
            let x = a[i * n + k];
            for j in 0..n {
                out[i * n + j] += x * b[k * n + j];
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn eigenvectors_of_a_known_matrix() {
        // Eigenvalues 5, 2 and 1 along (1, 1, 0)/√2, (1, −1, 0)/√2 and (0, 0, 1).
        let matrix = [3.5, 1.5, 0.0, 1.5, 3.5, 0.0, 0.0, 0.0, 1.0];
        let found = leading_few(&matrix, 3, 3);
        let values: Vec<f64> = found.iter().map(|(_, value)| *value).collect();
        assert!(
            values.iter().zip([5.0, 2.0, 1.0]).all(|(a, b)| (a - b).abs() < 1e-9),
            "{values:?}"
        );
        assert!((found[0].0[0] - found[0].0[1]).abs() < 1e-9);
        assert_eq!(leading(&[0.0; 4], 2), (vec![0.0; 2], 0.0));
    }
}
