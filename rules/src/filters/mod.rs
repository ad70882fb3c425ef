//! Filters for asynchronous training, one file each.

pub(crate) mod async_sgd;
pub(crate) mod basgd;
pub(crate) mod kardam;
pub(crate) mod weighted;
pub(crate) mod zeno_plus;
pub(crate) mod zeno_pp;

#[cfg(test)]
pub(crate) mod trial;

use varangian_base::kernels::norms;

/// out ← scale·gradient, scaled in f64.
pub(crate) fn scaled(gradient: &[f32], scale: f64, out: &mut [f32]) {
    for (out, &x) in out.iter_mut().zip(gradient) {
        *out = (f64::from(x) * scale) as f32;
    }
}

/// ‖V‖/‖g‖, at most 1 where `clip`.
pub(crate) fn ratio(validation2: f64, gradient: &[f32], clip: bool) -> f64 {
    let ratio = (validation2 / norms::norm2(gradient)).sqrt();
    if clip { ratio.min(1.0) } else { ratio }
}
