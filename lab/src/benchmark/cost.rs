//! What an aggregation costs beside the plain mean, in seconds of one core.

use super::entry::Cost;
use crate::config::Own;
use crate::results::Outcome;
use crate::{Failure, clock};
use varangian_base::{Domain, Matrix, Seed, Value};
use varangian_rules::{Pipeline, Round, Verdict};

/// Rows and coordinates of the aggregation that is timed, and hostile rows that are declared.
const ROWS: usize = 11;
const COORDINATES: usize = 50_000;
const HOSTILE: usize = 2;
/// Aggregations of which the median counts, after one that is not looked at.
const TIMES: usize = 7;
/// Bytes of a coordinate.
const FLOAT: f64 = 4.0;

/// What the pipeline costs in time and memory; `outcomes` are the runs that were judged.
///
/// # Errors
/// If no thread can be started.
pub(super) fn of(rule: &str, own: &Own, outcomes: &[Outcome]) -> Result<Cost, Failure> {
    let pipeline = own.pipeline(rule)?;
    let can = !pipeline.needs_oracle() && pipeline.check(ROWS, HOSTILE).is_ok();
    let pool = rayon::ThreadPoolBuilder::new().num_threads(1).build();
    let pool = pool.map_err(|error| Failure::failed(format!("cannot start threads: {error}")))?;
    let measured = pool.install(|| -> Result<_, Failure> {
        let rows = rows();
        let mean = timed(own.pipeline("average")?, &rows).0;
        let own = can.then(|| timed(pipeline, &rows));
        Ok(own.map(|(seconds, bytes)| (seconds, seconds / mean, bytes)))
    })?;
    Ok(Cost {
        seconds: measured.map(|one| one.0),
        means: measured.map(|one| one.1),
        n: ROWS,
        d: COORDINATES,
        sent: FLOAT,
        kept: measured.map(|one| one.2 / COORDINATES as f64),
        runs: outcomes.iter().map(|outcome| outcome.seconds).sum(),
    })
}

fn rows() -> Matrix {
    let mut rows = Matrix::zeros(ROWS, COORDINATES);
    for i in 0..ROWS {
        let mut stream = Seed(1).stream(Domain::Test, i as u32, 0);
        rows.row_mut(i).iter_mut().for_each(|x| *x = stream.normal() as f32);
    }
    rows
}

/// The median of the seconds of some aggregations, and the bytes that are kept after the last.
fn timed(mut pipeline: Pipeline, rows: &Matrix) -> (f64, f64) {
    let (mut out, mut verdict) = (vec![0.0; COORDINATES], Verdict::default());
    let mut all = Vec::new();
    for step in 0..=TIMES as u64 {
        let begun = clock::now();
        let mut round = Round { step, ..Round::of(rows.rows(), HOSTILE) };
        pipeline.aggregate(&mut round, &mut out, &mut verdict);
        all.push(begun.elapsed().as_secs_f64());
    }
    all.remove(0);
    all.sort_by(f64::total_cmp);
    let kept = pipeline.save().values.into_values().map(|value| match value {
        Value::Floats(floats) => 4 * floats.len(),
        Value::Doubles(doubles) => 8 * doubles.len(),
        Value::Integers(integers) => 8 * integers.len(),
    });
    (all[all.len() / 2], kept.sum::<usize>() as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_asks_for_a_loss_is_not_timed_and_others_are_above_nothing() {
        let of = |rule: &str| of(rule, &Own::default(), &[]).unwrap();
        let krum = of("krum");
        assert!(krum.seconds.unwrap() > 0.0 && krum.means.unwrap() > 0.0);
        assert_eq!((krum.kept, of("zeno b=2").means), (Some(0.0), None));
        // The centre of the last round, four bytes a coordinate.
        assert!(of("centred-clipping").kept.unwrap() >= 4.0);
    }
}
