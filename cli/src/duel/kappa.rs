//! κ known and κ found: what theory promises of a rule beside the worst that a search finds.

use varangian_attacks::search::{self, Measure, Problem};
use varangian_base::{Seed, SpecError};
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

/// What is known of the rule `text` at (n, f), stages before it included.
///
/// # Errors
/// If there is no such rule, or it refuses n and f.
pub fn known(text: &str, n: usize, f: usize) -> Result<Known, SpecError> {
    let pipeline = varangian_rules::build(text, n, f)?;
    let bare = pipeline.entries().iter().all(|entry| entry.facts.family == Family::Rule);
    Ok(match (pipeline.kappa(n, f), pipeline.entry().facts.kappa) {
        (Some(kappa), Kappa::Exact(..)) if bare => Known::Exact(kappa),
        (Some(kappa), _) => Known::AtMost(kappa),
        (None, _) => Known::Nothing,
    })
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
    let (n, f, d) = shape;
    let pipeline = varangian_rules::build(text, n, f)?;
    if pipeline.needs_oracle() {
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
