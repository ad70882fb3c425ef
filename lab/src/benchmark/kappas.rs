//! κ of a pipeline: what is proven, and the largest ratio that a short search finds.

use super::entry::{Cell, Kappa, Setting};
use crate::Failure;
use crate::config::Own;
use crate::kappa::{self, Known};
use varangian_attacks::search::Measure;
use varangian_base::Seed;

/// Trials of the search for κ, for each number of coordinates.
const TRIALS: usize = 3000;
/// Coordinates of the rows that are searched: one is enough for most rules, two for those that
/// compare directions.
const COORDINATES: [usize; 2] = [1, 2];

/// κ at every number of hostile workers that is asked for.
pub(super) fn kappas(rule: &str, own: &Own, cells: &[Cell]) -> Result<Vec<Kappa>, Failure> {
    let mut out: Vec<Kappa> = Vec::new();
    for Setting { n, f, .. } in cells.iter().map(|cell| &cell.setting) {
        let (n, f) = (*n, *f);
        let pipeline = own.pipeline(rule)?;
        if out.iter().any(|one| (one.n, one.f) == (n, f)) || pipeline.check(n, f).is_err() {
            continue;
        }
        let (known, kind) = match kappa::known(&pipeline, n, f) {
            Known::Exact(value) => (Some(value), "exact"),
            Known::AtMost(value) => (Some(value), "bound"),
            Known::Nothing => (None, "none"),
        };
        let mut found = f64::NAN;
        for d in COORDINATES.into_iter().filter(|_| !pipeline.needs_oracle()) {
            let own = own.pipeline(rule)?;
            let value = kappa::found(own, (n, f, d), TRIALS, Measure::Trace, Seed(1))?;
            // NaN: nothing was searched yet.
            found = found.max(value);
        }
        let known = known.filter(|value| value.is_finite());
        let found = Some(found).filter(|value| value.is_finite());
        out.push(Kappa { n, f, known, kind: kind.to_owned(), found });
    }
    Ok(out)
}
