//! Stages before a rule without the rule: rows to rows.
//!
//! ```
//! use varangian_base::Matrix;
//! use varangian_rules::{Round, Stages};
//! let rows = Matrix::from_rows(&[[0.0], [1.0], [2.0], [3.0], [10.0]]);
//! let mixed = Stages::parse("nnm").unwrap().rows(&mut Round::of(rows.rows(), 1));
//! assert_eq!((mixed.n(), mixed.row(0), mixed.row(4)), (5, &[1.5][..], &[4.0][..]));
//! ```

use super::Pipeline;
use crate::{ALL, Family, Round, Rule, Verdict, average, exact};
use std::sync::{Arc, Mutex, PoisonError};
use varangian_base::{Matrix, Rows, RowsMut, SpecError, entry, spec, zeros};

/// Stages without a rule.
pub struct Stages {
    pipeline: Pipeline,
    spec: String,
    seen: Arc<Mutex<Seen>>,
}

/// The rows that came out last.
#[derive(Default)]
struct Seen {
    /// Packed, and how many they are.
    single: (Vec<f32>, usize),
    double: Vec<Vec<f64>>,
}

impl Stages {
    /// Whether every stage of `text` stands before a rule, so that it is none by itself.
    pub fn are(text: &str) -> bool {
        let before = |stage: &varangian_base::Spec| {
            entry::find("rule", ALL, &stage.name)
                .is_ok_and(|entry| entry.facts.family == Family::PreAggregation)
        };
        spec::parse_chain(text).is_ok_and(|stages| stages.iter().all(before))
    }

    /// Reads stages: "arc | nnm".
    ///
    /// # Errors
    /// If a stage or parameter is unknown, or one is a rule or stands after one; or if stages work
    /// by block and one leaves no row to its worker, so that blocks need not have as many rows.
    pub fn parse(text: &str) -> Result<Stages, SpecError> {
        let mut pipeline = Pipeline::parse(&format!("{text} | {}", average::ENTRY.name))?;
        let nameless = pipeline.pre.iter().find(|stage| !stage.stage.keeps_workers());
        if let Some(stage) = nameless.filter(|_| pipeline.is_by_block()) {
            return Err(SpecError::new(format!(
                "rows are put together again from blocks that each have a row a worker; {} leaves \
                 others",
                stage.entry.name
            )));
        }
        let spec = pipeline.spec.rsplit_once(" | ").map_or(text, |(stages, _)| stages).to_owned();
        let seen = Arc::<Mutex<Seen>>::default();
        pipeline.rule = Box::new(Capture(seen.clone()));
        Ok(Stages { pipeline, spec, seen })
    }

    /// The stages in their one spelling.
    pub fn spec(&self) -> &str {
        &self.spec
    }

    /// Whether every stage accepts n rows, f of them hostile, and its parameters exist there.
    ///
    /// # Errors
    /// As [`Pipeline::check`] and [`Pipeline::fits`].
    pub fn check(&self, n: usize, f: usize) -> Result<(), SpecError> {
        self.pipeline.check(n, f)?;
        self.pipeline.fits(n, f)
    }

    /// The rows that a rule would see. The bound is the caller's to check.
    pub fn rows(&mut self, round: &mut Round<'_>) -> Matrix {
        let mut matrix = Matrix::default();
        let d = round.rows.d();
        let (packed, n) = self.packed(round);
        matrix.copy_from(Rows::new(&packed, n, d));
        matrix
    }

    /// As [`Stages::rows`], one after the other, and how many they are.
    pub fn packed(&mut self, round: &mut Round<'_>) -> (Vec<f32>, usize) {
        let d = round.rows.d();
        let Some(blocks) = self.pipeline.blocks.take() else {
            let mut out = zeros(d);
            self.pipeline.aggregate(round, &mut out, &mut Verdict::default());
            return std::mem::take(&mut self.seen().single);
        };
        let n = round.rows.n();
        let mut whole = zeros(n * d);
        for range in blocks.ranges(d) {
            let rows = round.rows.of(round.rows.sent().columns(range.clone()));
            let (part, _) = self.packed(&mut Round { rows, oracle: None, ..*round });
            for (row, part) in whole.chunks_mut(d).zip(part.chunks(range.len())) {
                row[range.clone()].copy_from_slice(part);
            }
        }
        self.pipeline.blocks = Some(blocks);
        (whole, n)
    }

    /// The same of rows of which nobody knows whether they are finite, found in passing; `None`
    /// where they are not, or the first stage does not find it. The bound is the caller's to check.
    pub fn packed_watching(&mut self, round: &mut Round<'_>) -> Option<(Vec<f32>, usize)> {
        let mut out = zeros(round.rows.d());
        let verdict = &mut Verdict::default();
        let finite = self.pipeline.aggregate_watching(round, &mut out, verdict)?;
        let rows = std::mem::take(&mut self.seen().single);
        finite.then_some(rows)
    }

    /// The same of f64 rows, by the exact path.
    ///
    /// # Errors
    /// As [`Pipeline::exact`].
    pub fn exact(&self, round: &exact::Round<'_>) -> Result<Vec<Vec<f64>>, SpecError> {
        let Some(blocks) = &self.pipeline.blocks else {
            self.pipeline.exact(round, &mut Verdict::default())?;
            return Ok(std::mem::take(&mut self.seen().double));
        };
        let mut one = self.pipeline.of_a_block();
        one.rule = Box::new(Capture(self.seen.clone()));
        let mut rows = vec![Vec::new(); round.n()];
        for range in blocks.ranges(round.d()) {
            let part: Vec<Vec<f64>> =
                round.rows.iter().map(|row| row[range.clone()].to_vec()).collect();
            one.exact(&exact::Round { rows: &part, ..*round }, &mut Verdict::default())?;
            let found = std::mem::take(&mut self.seen().double);
            rows.iter_mut().zip(found).for_each(|(row, part)| row.extend(part));
        }
        Ok(rows)
    }

    fn seen(&self) -> std::sync::MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Pipeline {
    /// The length to which the first stage cuts rows of these lengths, if it does that.
    pub(crate) fn cut(&self, norms: &[f64], f: usize) -> Option<f64> {
        let first = self.pre.first().filter(|_| !self.is_by_block());
        first.and_then(|first| first.stage.cut(norms, f))
    }

    /// The rows of these lengths that the first stage leaves out.
    pub(crate) fn left_out(&self, norms: &[f64], f: usize) -> Vec<usize> {
        let first = self.pre.first().filter(|_| !self.is_by_block());
        first.map_or_else(Vec::new, |first| first.stage.left_out(norms, f))
    }
}

/// A rule that keeps the rows that it sees and answers zeros.
struct Capture(Arc<Mutex<Seen>>);

impl Rule for Capture {
    fn aggregate(&mut self, round: &mut Round<'_>, out: &mut [f32], _: &mut Verdict) {
        // The answer is nobody's: it stays the zeros that it is.
        let (n, d) = (round.rows.n(), out.len());
        let mut rows = zeros(n * d);
        round.rows.copy_to(RowsMut::new(&mut rows, n, d));
        self.0.lock().unwrap_or_else(PoisonError::into_inner).single = (rows, n);
    }

    fn exact(&self, round: &exact::Round<'_>, _: &mut Verdict) -> Result<Vec<f64>, String> {
        let mut seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        seen.double = round.rows.to_vec();
        Ok(vec![0.0; round.d()])
    }

    fn fork(&self) -> Box<dyn Rule> {
        Box::new(Capture(Arc::default()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use varangian_base::Seed;

    #[test]
    fn the_rows_are_those_that_a_rule_would_see() {
        let rows = [[0.0f32, 1.0], [1.0, 0.0], [2.0, 5.0], [3.0, 2.0], [10.0, -9.0]];
        let wide: Vec<Vec<f64>> =
            rows.iter().map(|row| row.iter().map(|&x| x.into()).collect()).collect();
        let matrix = Matrix::from_rows(&rows);
        for text in [
            "nnm",
            "arc | nnm",
            "clipping c=2",
            "bucketing s=2 | arc",
            "per-block length=1 | clipping c=median",
        ] {
            let mut stages = Stages::parse(text).unwrap();
            stages.check(5, 1).unwrap();
            let mixed = stages.rows(&mut Round::of(matrix.rows(), 1));
            let round = exact::Round {
                rows: &wide,
                ids: &[0, 1, 2, 3, 4],
                f: 1,
                weights: None,
                step: 0,
                seed: Seed(0),
                stage: 0,
            };
            let exact = stages.exact(&round).unwrap();
            assert_eq!(exact.len(), mixed.n(), "{text}");
            // Their mean is what the pipeline with a mean answers.
            let mut out = [0.0; 2];
            let mut whole = crate::build(&format!("{text} | average"), 5, 1).unwrap();
            whole.aggregate(&mut Round::of(matrix.rows(), 1), &mut out, &mut Verdict::default());
            for k in 0..2 {
                let mean = mixed.rows().iter().map(|row| row[k]).sum::<f32>() / mixed.n() as f32;
                assert!((mean - out[k]).abs() < 1e-6, "{text}: {mean} {}", out[k]);
                for (i, row) in exact.iter().enumerate() {
                    assert!((row[k] - f64::from(mixed.row(i)[k])).abs() < 1e-6, "{text}");
                }
            }
        }
        assert_eq!(Stages::parse(" arc|nnm ").unwrap().spec(), "arc | nnm");
        assert!(Stages::are("arc | nnm") && !Stages::are("nnm | krum") && !Stages::are("ctma"));
        assert!(!Stages::are("nmm") && Stages::parse("krum").is_err());
    }
}
