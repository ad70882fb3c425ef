//! The exact path through the stages.

use super::{Pipeline, PreStage};
use crate::{RuleEntry, Verdict, exact};
use varangian_base::SpecError;

impl Pipeline {
    /// What the pipeline answers to a first round of f64 rows, evaluated slowly in f64 (see
    /// [`exact`]). Sets the verdict as [`Pipeline::aggregate`] does.
    ///
    /// # Errors
    /// Names the stage that has no such answer, and why.
    ///
    /// # Panics
    /// If there is not one id a row. The bound is the caller's to check.
    pub fn exact(
        &self,
        round: &exact::Round<'_>,
        verdict: &mut Verdict,
    ) -> Result<Vec<f64>, SpecError> {
        assert_eq!(round.ids.len(), round.n(), "one id a row");
        verdict.clear();
        if let Some(blocks) = &self.blocks {
            return blocks.exact(&self.of_a_block(), round, verdict);
        }
        let refused = |entry: &RuleEntry| {
            let name = entry.name;
            move |why| SpecError::new(format!("{name} gives f64 rows no answer: {why}"))
        };
        let sum: f64 = round.weights.unwrap_or_default().iter().sum();
        let masses: Option<Vec<f64>> =
            round.weights.map(|weights| weights.iter().map(|w| w / sum).collect());
        let round = &exact::Round { weights: masses.as_deref(), ..*round };
        let (mut rows, mut ids) = (round.rows.to_vec(), round.ids.to_vec());
        let (mut f, mut maps) = (round.f, Vec::new());
        for (place, PreStage { stage, entry, .. }) in (0..).zip(&self.pre) {
            let inner = exact::Round { rows: &rows, ids: &ids, f, stage: place, ..*round };
            let blends = stage.exact(&inner).map_err(refused(entry))?;
            f = stage.hostile(rows.len(), f, blends.len());
            rows = blends.iter().map(|blend| blend.of(&rows)).collect();
            if !stage.keeps_workers() {
                ids = (0..rows.len() as u32).collect();
            }
            maps.push(blends);
        }
        let stage = self.pre.len() as u64;
        let inner = exact::Round { rows: &rows, ids: &ids, f, stage, ..*round };
        let mut out = self.rule.exact(&inner, verdict).map_err(refused(self.rule_entry))?;
        for (stage, entry) in &self.post {
            out = stage.exact(&inner, out, verdict).map_err(refused(entry))?;
        }
        for blends in maps.iter().rev() {
            pull_back(blends, &mut verdict.weights);
        }
        Ok(out)
    }
}

/// The weights of the rows that went into `blends`, from those of what came out, where there are
/// any.
fn pull_back(blends: &[exact::Blend], weights: &mut Vec<f64>) {
    if weights.is_empty() {
        return;
    }
    let outer = std::mem::take(weights);
    for (blend, outer) in blends.iter().zip(outer) {
        let inner = blend.weights();
        weights.resize(inner.len(), 0.0);
        weights.iter_mut().zip(inner).for_each(|(sum, w)| *sum += outer * w);
    }
}
