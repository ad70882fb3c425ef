//! Which worker's rows are unlike the others', since when, and with what chance among honest ones.
//!
//! What is looked at of each row, in each step: its distance from the rows' coordinate-wise median,
//! its length, and its cosine with that median; [`outlying`](varangian_rules::evidence::outlying)
//! gives each a p. Over several steps, how often a worker is the oddest of all is counted as well.
//! Each finding's p is corrected for the number of rows, steps and looks. Rows that are not finite,
//! rows sent again bit for bit, and rows that differ where all others are equal are facts and need
//! no p.
//!
//! Rows alone tell that a row is unlike the others, not why: a worker with data of its own looks
//! like one that fails. And where half of the rows or more are wrong together, the right ones are
//! the odd ones.
//!
//! ```
//! use varangian_base::Matrix;
//! use varangian_lab::diagnose::{Sent, Step, diagnose};
//! let rows: Vec<Vec<f32>> = (0..9i32)
//!     .map(|i| (0..40i32).map(|k| 1.0 + ((i * 7 + k * 13) % 11) as f32 / 50.0).collect())
//!     .map(|row: Vec<f32>| row)
//!     .collect();
//! let mut matrix = Matrix::from_rows(&rows);
//! matrix.row_mut(4).iter_mut().for_each(|x| *x = -*x);
//! let step = Step::new(0, Sent::Single(matrix), (0..9).collect(), Vec::new());
//! let found = diagnose(&[step]);
//! assert_eq!((found.suspects[0].worker, found.suspects.len()), (4, 1));
//! assert!(found.suspects[0].looks.starts_with("points the other way"));
//! ```

mod judge;
mod measure;

pub use judge::{Diagnosis, LEVEL, Suspect, diagnose};
pub use measure::Look;

use crate::Failure;
use varangian_base::{Matrix, Seed};
use varangian_rules::{Evidence, Pipeline, Round, Verdict, exact};

/// Rows in the width in which they came.
pub enum Sent {
    /// f32, for the kernels.
    Single(Matrix),
    /// f64, for the exact path.
    Double(Vec<Vec<f64>>),
}

/// What was sent in one step.
pub struct Step {
    /// Its number.
    pub step: u64,
    /// The finite rows.
    pub rows: Sent,
    /// Who sent each of them, ascending.
    pub ids: Vec<u32>,
    /// Who sent what no rule may see, and what was wrong with it.
    pub refused: Vec<(u32, String)>,
    looks: Vec<Look>,
}

impl Step {
    /// Measures the rows. Cost O(n·d·log n).
    ///
    /// # Panics
    /// If there is not one id a row.
    pub fn new(step: u64, rows: Sent, ids: Vec<u32>, refused: Vec<(u32, String)>) -> Step {
        let looks = measure::looks(&rows);
        assert_eq!(looks.len(), ids.len(), "one id a row");
        Step { step, rows, ids, refused, looks }
    }

    /// What was measured of the worker's row, if it was finite.
    pub fn look(&self, worker: u32) -> Option<&Look> {
        self.ids.binary_search(&worker).ok().map(|i| &self.looks[i])
    }

    /// The number of coordinates.
    pub fn d(&self) -> usize {
        match &self.rows {
            Sent::Single(matrix) => matrix.d(),
            Sent::Double(rows) => rows.first().map_or(0, Vec::len),
        }
    }

    /// What `rule` answers to the finite rows with f hostile ones among them, in f64, and the
    /// evidence of every row, refused ones included, by worker.
    ///
    /// # Errors
    /// If the rule takes no such n and f, or has no answer to f64 rows.
    pub fn evidence(
        &self,
        rule: &mut Pipeline,
        f: usize,
    ) -> Result<(Vec<f64>, Vec<Evidence>), Failure> {
        let (n, d, step) = (self.ids.len(), self.d(), self.step);
        rule.check(n, f)?;
        rule.fits(n, f)?;
        let mut verdict = Verdict::default();
        let (answer, mut found) = match &self.rows {
            Sent::Single(matrix) => {
                let mut out = vec![0.0; d];
                let rows = matrix.rows().with_ids(&self.ids);
                let mut round = Round { step, ..Round::of(rows, f) };
                rule.aggregate(&mut round, &mut out, &mut verdict);
                let found = verdict.evidence(rule, &round, &out);
                (out.into_iter().map(f64::from).collect(), found)
            }
            Sent::Double(rows) => {
                let (ids, seed) = (&self.ids, Seed(0));
                let round = exact::Round { rows, ids, f, weights: None, step, seed, stage: 0 };
                let out = rule.exact(&round, &mut verdict)?;
                let found = verdict.exact_evidence(rule, &round, &out);
                (out, found)
            }
        };
        let refused = self.refused.iter();
        found.extend(refused.map(|(worker, why)| {
            Evidence::refused(rule.spec(), (n, f, d), step, *worker, why.clone())
        }));
        found.sort_by_key(|record| record.worker);
        Ok((answer, found))
    }
}

#[cfg(test)]
mod tests;
