//! Clipping of sampled gradients to a norm bound (El-Mhamdi et al. 2021, §4; before momentum).

use varangian_base::kernels::norms;

/// What happens to a gradient longer than the bound.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClipMode {
    /// g·c/‖g‖: norm c. What the paper says.
    Rescale,
    /// g/‖g‖: norm 1, whatever the bound. What the published code of distributed momentum did.
    Unit,
}

/// A bound on the norm of a gradient.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Clip {
    /// c > 0.
    pub bound: f64,
    /// What happens beyond it.
    pub mode: ClipMode,
}

impl Clip {
    /// Clips `gradient` in place. A gradient whose norm is not finite is left alone: the intake
    /// refuses it.
    pub fn apply(&self, gradient: &mut [f32]) {
        let norm = norms::norm2(gradient).sqrt();
        if norm > self.bound && norm.is_finite() {
            let target = if self.mode == ClipMode::Rescale { self.bound } else { 1.0 };
            let factor = (target / norm) as f32;
            gradient.iter_mut().for_each(|x| *x *= factor);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_gradients_are_shortened_and_short_ones_left_alone() {
        let norm_after = |length: f32, mode| {
            let mut g = [length * 0.6, length * 0.8];
            Clip { bound: 2.0, mode }.apply(&mut g);
            norms::norm2(&g).sqrt()
        };
        assert!((norm_after(4.0, ClipMode::Rescale) - 2.0).abs() < 1e-6);
        assert!((norm_after(4.0, ClipMode::Unit) - 1.0).abs() < 1e-6);
        assert!((norm_after(1.9, ClipMode::Unit) - 1.9).abs() < 1e-6);
    }
}
