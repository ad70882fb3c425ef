//! The exact answer to float64 rows.

use crate::admit::pick;
use crate::rule::{Call, Rule};
use crate::said::Said;
use pyo3::prelude::*;
use varangian_base::Seed;
use varangian_rules::{Verdict, exact};

impl Rule {
    /// The answer to packed rows of d numbers, by the exact path.
    pub(crate) fn double(
        &self,
        data: &[f64],
        d: usize,
        f: usize,
        call: &Call,
    ) -> PyResult<(Vec<f64>, Said)> {
        let n = data.len().checked_div(d).unwrap_or(0);
        let (mut kept, mut refused) = (Vec::new(), Vec::new());
        for i in 0..n {
            let row = &data[i * d..][..d];
            match row.iter().position(|x| !x.is_finite()) {
                Some(k) => refused.push((i as u32, format!("{} at coordinate {k}", row[k]))),
                None => kept.push(i as u32),
            }
        }
        let pipeline = self.hold()?;
        let used = self.demand(&pipeline, (n, f), &kept, &refused)?;
        let weights = self.weights(&pipeline, call, n, &kept, used)?;
        let rows = pick(data, d, &kept);
        let round = exact::Round {
            rows: &rows,
            ids: &kept,
            f: used,
            weights: weights.as_deref(),
            step: call.step,
            seed: Seed(call.seed),
            stage: 0,
        };
        let mut verdict = Verdict::default();
        let out = pipeline.exact(&round, &mut verdict).map_err(crate::border::refused)?;
        let (step, seed) = (call.step, call.seed);
        Ok((out, Said { verdict, f: (f, used), n, d, kept, refused, weights, step, seed }))
    }
}
