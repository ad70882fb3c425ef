//! Penalties on the parameters that each worker adds to its loss and gradient.

use varangian_base::kernels::elementwise::add_scaled;
use varangian_base::kernels::norms;

/// A penalty on the parameters θ.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum Regulariser {
    /// None.
    #[default]
    None,
    /// (λ/2)·‖θ‖²; gradient λ·θ: weight decay as in textbooks.
    HalfSquared(f64),
    /// c·‖θ‖; gradient c·θ/‖θ‖: what `--l2-regularize c` of distributed momentum's code says.
    Norm(f64),
    /// c²·‖θ‖; gradient c²·θ/‖θ‖: what that code does, because the factor enters twice.
    ReferenceNorm(f64),
}

impl Regulariser {
    /// Adds the penalty's gradient at `params` to `gradient`; returns the penalty. Cost O(d).
    pub fn apply(&self, params: &[f32], gradient: &mut [f32]) -> f64 {
        let (factor, penalty) = match *self {
            Regulariser::None => return 0.0,
            Regulariser::HalfSquared(lambda) => (lambda, 0.5 * lambda * norms::norm2(params)),
            Regulariser::Norm(c) => by_norm(c, params),
            Regulariser::ReferenceNorm(c) => by_norm(c * c, params),
        };
        add_scaled(gradient, factor as f32, params);
        penalty
    }
}

/// The factor on θ and the penalty of c·‖θ‖; at θ = 0 the subgradient 0.
fn by_norm(c: f64, params: &[f32]) -> (f64, f64) {
    let norm = norms::norm2(params).sqrt();
    if norm > 0.0 { (c / norm, c * norm) } else { (0.0, 0.0) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reference_squares_its_coefficient() {
        let params = [3.0, 4.0];
        let mut gradient = [0.0; 2];
        let penalty = Regulariser::ReferenceNorm(0.01).apply(&params, &mut gradient);
        assert!((penalty - 5e-4).abs() < 1e-12);
        assert!((norms::norm2(&gradient).sqrt() - 1e-4).abs() < 1e-10);
    }

    #[test]
    fn penalties_agree_with_finite_differences() {
        let params = [0.5f32, -1.25, 2.0];
        for penalty in [Regulariser::HalfSquared(0.3), Regulariser::Norm(0.7)] {
            let mut gradient = [0.0; 3];
            penalty.apply(&params, &mut gradient);
            for k in 0..3 {
                let at = |h: f32| {
                    let mut moved = params;
                    moved[k] += h;
                    penalty.apply(&moved, &mut [0.0; 3])
                };
                let h = 1.0 / 1024.0;
                let difference = (at(h) - at(-h)) / (2.0 * f64::from(h));
                assert!((difference - f64::from(gradient[k])).abs() < 1e-5, "{penalty:?} {k}");
            }
        }
        assert_eq!(Regulariser::Norm(1.0).apply(&[0.0; 3], &mut [0.0; 3]), 0.0);
    }
}
