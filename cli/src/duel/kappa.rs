//! κ known and κ found of a rule by its text: see [`varangian_lab::kappa`].

use varangian_attacks::search::Measure;
use varangian_base::{Seed, SpecError};
use varangian_lab::kappa;

pub use varangian_lab::kappa::Known;

/// What is known of the rule `text` at (n, f), stages before it included.
///
/// # Errors
/// If there is no such rule, or it refuses n and f.
pub fn known(text: &str, n: usize, f: usize) -> Result<Known, SpecError> {
    Ok(kappa::known(&varangian_rules::build(text, n, f)?, n, f))
}

/// The largest ‖F − x̄_S‖²/tr Σ_S (or over the largest eigenvalue) that a search of `evaluations`
/// trials finds for the rule `text` on n rows, f of them hostile, of d coordinates.
///
/// # Errors
/// If there is no such rule, it refuses n and f, or not 0 < 2f < n.
pub fn found(
    text: &str,
    shape: (usize, usize, usize),
    evaluations: usize,
    measure: Measure,
    seed: Seed,
) -> Result<f64, SpecError> {
    let (n, f, _) = shape;
    kappa::found(varangian_rules::build(text, n, f)?, shape, evaluations, measure, seed)
}
