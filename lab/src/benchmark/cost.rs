//! What an aggregation costs beside the plain mean, in seconds of one core.

use super::Entry;
use super::entry::Cost;
use crate::config::Own;
use crate::results::Outcome;
use crate::{Failure, clock};
use std::path::PathBuf;
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
        let mean = own.pipeline("average")?;
        Ok(can.then(|| timed([mean, pipeline], &rows())))
    })?;
    Ok(Cost {
        seconds: measured.map(|one| one.0[1]),
        means: measured.map(|one| one.0[1] / one.0[0]),
        n: ROWS,
        d: COORDINATES,
        sent: FLOAT,
        kept: measured.map(|one| one.1 / COORDINATES as f64),
        runs: outcomes.iter().map(|outcome| outcome.seconds).sum(),
    })
}

/// Times each pipeline anew and writes what it costs into its entry; entries of rules of one's own,
/// which this program has not, stay as they are. Told of each rule and its time in plain means.
///
/// # Errors
/// If an entry cannot be read or written.
pub(super) fn retime(
    paths: &[PathBuf],
    mut told: impl FnMut(&str, Option<f64>),
) -> Result<(), Failure> {
    for path in paths {
        let entry = Entry::read(path)?;
        if entry.own {
            told(&entry.rule, None);
            continue;
        }
        let cost = of(&entry.rule, &Own::default(), &[]);
        let Cost { seconds, means, kept, .. } = cost.map_err(|why| why.at(path.display()))?;
        Entry::change(path, |now| {
            let cost = Cost { seconds, means, kept, ..now.cost };
            Entry { cost, ..now }
        })?;
        told(&entry.rule, means);
    }
    Ok(())
}

fn rows() -> Matrix {
    let mut rows = Matrix::zeros(ROWS, COORDINATES);
    for i in 0..ROWS {
        let mut stream = Seed(1).stream(Domain::Test, i as u32, 0);
        rows.row_mut(i).iter_mut().for_each(|x| *x = stream.normal() as f32);
    }
    rows
}

/// The medians of the seconds of some aggregations by two pipelines in turn, so that both meet the
/// machine alike, and the bytes that the second keeps after the last.
fn timed(mut pipelines: [Pipeline; 2], rows: &Matrix) -> ([f64; 2], f64) {
    let (mut out, mut verdict) = (vec![0.0; COORDINATES], Verdict::default());
    let mut all = [const { Vec::new() }; 2];
    for step in 0..=TIMES as u64 {
        for (pipeline, all) in pipelines.iter_mut().zip(&mut all) {
            let begun = clock::now();
            let mut round = Round { step, ..Round::of(rows.rows(), HOSTILE) };
            pipeline.aggregate(&mut round, &mut out, &mut verdict);
            all.push(begun.elapsed().as_secs_f64());
        }
    }
    let medians = all.map(|mut all| {
        all.remove(0);
        all.sort_by(f64::total_cmp);
        all[all.len() / 2]
    });
    let kept = pipelines[1].save().values.into_values().map(|value| match value {
        Value::Floats(floats) => 4 * floats.len(),
        Value::Doubles(doubles) => 8 * doubles.len(),
        Value::Integers(integers) => 8 * integers.len(),
    });
    (medians, kept.sum::<usize>() as f64)
}

#[cfg(test)]
mod tests {
    use super::super::judge::tests::entry;
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

    #[test]
    fn entries_are_timed_anew_and_are_otherwise_what_they_were() {
        let folder = tempfile::tempdir().unwrap();
        let path = |rule: &str| folder.path().join(Entry::file(rule));
        let (median, own) = (entry("median", 1.0 / 3.0), entry("krum", 0.1));
        let entries = [median, Entry { rule: "rules.py:mine".into(), own: true, ..own }];
        for entry in &entries {
            std::fs::write(path(&entry.rule), entry.text()).unwrap();
        }
        let mut told = Vec::new();
        let paths = entries.each_ref().map(|entry| path(&entry.rule));
        retime(&paths, |rule, means| told.push((rule.to_owned(), means.is_some()))).unwrap();
        assert_eq!(told, [("median".to_owned(), true), ("rules.py:mine".to_owned(), false)]);
        let read = paths.map(|path| Entry::read(&path).unwrap());
        assert!(read[0].cost.seconds.unwrap() != entries[0].cost.seconds.unwrap());
        let cost = entries[0].cost.clone();
        assert_eq!(Entry { cost, ..read[0].clone() }.text(), entries[0].text());
        assert_eq!(read[1].text(), entries[1].text());
    }
}
