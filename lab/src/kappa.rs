//! κ known and κ found: what theory promises of a pipeline beside the worst that a search finds.

use varangian_attacks::search::{self, Measure, Problem};
use varangian_base::{Seed, SpecError};
use varangian_rules::Pipeline;
use varangian_rules::entry::{Family, Kappa};
use varangian_train::TrialRule;

/// What theory says of a rule's κ at (n, f).
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Known {
    /// The exact worst case.
    Exact(f64),
    /// An upper bound.
    AtMost(f64),
    /// Nothing.
    Nothing,
}

/// What is known of the pipeline at (n, f), stages before its rule included.
pub fn known(pipeline: &Pipeline, n: usize, f: usize) -> Known {
    let bare = pipeline.entries().iter().all(|entry| entry.facts.family == Family::Rule);
    match (pipeline.kappa(n, f), pipeline.entry().facts.kappa) {
        (Some(kappa), Kappa::Exact(..)) if bare => Known::Exact(kappa),
        (Some(kappa), _) => Known::AtMost(kappa),
        (None, _) => Known::Nothing,
    }
}

/// The largest ‖F − x̄_S‖²/tr Σ_S (or over the largest eigenvalue) that a search of `evaluations`
/// trials finds for the pipeline on n rows, f of them hostile, of d coordinates: `(n, f, d)`.
///
/// # Errors
/// If the pipeline asks for the loss on data, it refuses n and f, or not 0 < 2f < n and d > 0.
pub fn found(
    pipeline: Pipeline,
    (n, f, d): (usize, usize, usize),
    evaluations: usize,
    measure: Measure,
    seed: Seed,
) -> Result<f64, SpecError> {
    pipeline.check(n, f)?;
    if pipeline.needs_oracle() {
        let text = pipeline.spec();
        let why = format!("{text} asks for the loss on data; a search for κ has none");
        return Err(SpecError::new(why));
    }
    if f == 0 || 2 * f >= n || d == 0 {
        let why = format!("κ needs 0 < 2f < n and d > 0; got n = {n}, f = {f}, d = {d}");
        return Err(SpecError::new(why));
    }
    let problem = Problem { n, f, d, evaluations, measure, seed };
    Ok(search::kappa(problem, &mut TrialRule::new(pipeline, f)).value)
}
