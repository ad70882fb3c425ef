//! Rows of which this process holds some columns; processes that Python connects.

use crate::border::{guarded, leave, refused};
use crate::rule::{Call, Rule};
use crate::said::Said;
use numpy::{PyArray1, PyReadonlyArray1, PyReadonlyArray2};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use varangian_base::kernels::{columns, norms};
use varangian_base::{Exchange, Matrix, Rows, Seed, Shard, zeros};
use varangian_rules::evidence::Measured;
use varangian_rules::{Evidence, Pipeline, Round, Verdict};

/// How the columns are dealt, and what all processes know of the rows.
#[derive(FromPyObject)]
#[pyo3(from_item_all)]
pub(crate) struct Dealt {
    bounds: Vec<usize>,
    rank: usize,
    /// Takes as many float64 as every process gives, answers those of all in order.
    gather: Py<PyAny>,
    /// (row, reason), the same everywhere.
    refused: Vec<(u32, String)>,
}

impl Exchange for Dealt {
    fn all_gather(&self, mine: &[f64]) -> Vec<f64> {
        Python::attach(|py| {
            let all = self.gather.call1(py, (PyArray1::from_slice(py, mine),));
            let read = |all: Py<PyAny>| -> PyResult<Vec<f64>> {
                let all: PyReadonlyArray1<'_, f64> = all.extract(py)?;
                Ok(all.as_slice()?.to_vec())
            };
            all.and_then(read).unwrap_or_else(|error| leave(py, error))
        })
    }
}

impl Dealt {
    /// The columns of whole rows.
    pub(crate) fn whole(&self) -> usize {
        self.bounds.last().copied().unwrap_or(0)
    }

    /// The rows that a rule sees, and those that it does not.
    pub(crate) fn kept(&self, n: usize) -> (Vec<u32>, Vec<(u32, String)>) {
        let out = |row: &u32| self.refused.iter().any(|(of, _)| of == row);
        let kept = (0..n as u32).filter(|row| !out(row)).collect();
        (kept, self.refused.clone())
    }

    /// The columns that are here, of those or of all columns and maybe some behind them.
    fn cut<'a>(&self, rows: Rows<'a>) -> Rows<'a> {
        match self.bounds.get(self.rank..self.rank + 2) {
            Some(&[from, to]) if rows.d() != to - from && rows.d() >= self.whole() => {
                rows.columns(from..to)
            }
            _ => rows,
        }
    }

    fn shard(&self, d: usize) -> PyResult<Shard<'_>> {
        let here = self.bounds.get(self.rank..self.rank + 2).unwrap_or_default();
        if here.len() < 2 || here[1].checked_sub(here[0]) != Some(d) {
            let (rank, bounds) = (self.rank, &self.bounds);
            let text = format!("process {rank} of {bounds:?} has other columns than {d}");
            return Err(PyValueError::new_err(text));
        }
        Ok(Shard::new(&self.bounds, self.rank, self))
    }
}

impl Rule {
    /// Writes the answer to the columns that are here; what was said of the whole rows.
    pub(crate) fn shard(
        &self,
        rows: Rows<'_>,
        f: usize,
        call: &Call,
        dealt: &Dealt,
        out: &mut [f32],
    ) -> PyResult<Said> {
        let mut pipeline = self.hold()?;
        let rows = dealt.cut(rows);
        demand_room(rows, out)?;
        let (n, d) = (rows.n(), dealt.whole());
        let (kept, gone) = dealt.kept(n);
        pipeline.check_shards(n, d).map_err(refused)?;
        let used = self.demand(&pipeline, (n, f), &kept, &gone)?;
        let weights = self.weights(&pipeline, call, n, &kept, used)?;
        let at = (call.step, call.seed);
        let masses = weights.as_deref();
        let verdict = answer(&mut pipeline, rows, (&kept, used), masses, at, dealt, out)?;
        let (f, refused, (step, seed)) = ((f, used), gone, at);
        Ok(Said { verdict, f, n, d, kept, refused, weights, step, seed })
    }

    /// The same by a rule that finds in passing whether the columns are finite, and whether they
    /// are.
    pub(crate) fn shard_watching(
        &self,
        rows: Rows<'_>,
        f: usize,
        call: &Call,
        dealt: &Dealt,
        out: &mut [f32],
    ) -> PyResult<Option<(bool, Said)>> {
        let mut pipeline = self.hold()?;
        let rows = dealt.cut(rows);
        demand_room(rows, out)?;
        let (n, d) = (rows.n(), dealt.whole());
        let (kept, gone) = dealt.kept(n);
        pipeline.check_shards(n, d).map_err(refused)?;
        if !gone.is_empty()
            || call.weights.is_some()
            || self.demand(&pipeline, (n, f), &kept, &[]).is_err()
        {
            return Ok(None);
        }
        let mut verdict = Verdict::default();
        let (seed, step) = (Seed(call.seed), call.step);
        let all = rows.sharded(dealt.shard(rows.d())?);
        let mut round = Round { seed, step, ..Round::of(all, f) };
        let finite = pipeline.aggregate_watching(&mut round, out, &mut verdict);
        let (weights, refused, seed) = (None, vec![], call.seed);
        let said = Said { verdict, f: (f, f), n, d, kept, refused, weights, step, seed };
        Ok(finite.map(|finite| (finite, said)))
    }
}

/// The columns of an array in one piece.
pub(crate) fn columns<'a>(rows: &'a PyReadonlyArray2<'_, f32>) -> PyResult<Rows<'a>> {
    let [n, d] = [rows.as_array().nrows(), rows.as_array().ncols()];
    Ok(Rows::new(rows.as_slice()?, n, d))
}

fn demand_room(rows: Rows<'_>, out: &[f32]) -> PyResult<()> {
    if out.len() == rows.d() {
        return Ok(());
    }
    let (d, found) = (rows.d(), out.len());
    Err(PyValueError::new_err(format!("the answer has {d} columns; got room for {found}")))
}

/// The answer to the columns that are here. The bound was checked before.
fn answer(
    pipeline: &mut Pipeline,
    rows: Rows<'_>,
    (kept, f): (&[u32], usize),
    weights: Option<&[f64]>,
    (step, seed): (u64, u64),
    dealt: &Dealt,
    out: &mut [f32],
) -> PyResult<Verdict> {
    let shard = dealt.shard(rows.d())?;
    let copy = (kept.len() < rows.n()).then(|| {
        let finite: Vec<&[f32]> = kept.iter().map(|&i| rows.row(i as usize)).collect();
        Matrix::from_rows(&finite)
    });
    let all = copy.as_ref().map_or(rows, |copy| copy.rows().with_ids(kept));
    let mut verdict = Verdict::default();
    let mut round = Round { weights, step, seed: Seed(seed), ..Round::of(all.sharded(shard), f) };
    pipeline.aggregate(&mut round, out, &mut verdict);
    Ok(verdict)
}

/// The records of a call, from lengths, distances to the aggregate and to the median of the rows
/// that the rule saw.
pub(crate) fn evidence(pipeline: &Pipeline, said: &Said, measured: [Vec<f64>; 3]) -> Vec<Evidence> {
    let [norms, distances, off] = measured;
    let measured = Measured { norms, distances, off };
    let shape = (said.kept.len(), said.f.1, said.d);
    let (kept, weights) = (&said.kept, said.weights.as_deref());
    said.verdict.measured_evidence(pipeline, shape, said.step, kept, weights, &measured)
}

/// The place of the first number of each row that is not finite; −1 where there is none.
#[pyfunction]
pub(crate) fn first_odd(py: Python<'_>, rows: PyReadonlyArray2<'_, f32>) -> PyResult<Vec<i64>> {
    let [n, d] = [rows.as_array().nrows(), rows.as_array().ncols()];
    let rows = Rows::new(rows.as_slice()?, n, d);
    let place = |row: &[f32]| row.iter().position(|x| !x.is_finite()).map_or(-1, |k| k as i64);
    py.detach(|| {
        guarded(|| match rows.is_finite() {
            true => vec![-1; n],
            false => rows.iter().map(place).collect(),
        })
    })
}

/// Of finite rows: their squared lengths, and squared distances to the aggregate and to their own
/// coordinate-wise median.
#[pyfunction]
pub(crate) fn measure(
    py: Python<'_>,
    rows: PyReadonlyArray2<'_, f32>,
    aggregate: PyReadonlyArray1<'_, f32>,
) -> PyResult<[Vec<f64>; 3]> {
    let [n, d] = [rows.as_array().nrows(), rows.as_array().ncols()];
    let (rows, aggregate) = (Rows::new(rows.as_slice()?, n, d), aggregate.as_slice()?);
    if n == 0 || aggregate.len() != d {
        let found = aggregate.len();
        let text = format!("one row or more, and {d} columns of the aggregate; got {n}, {found}");
        return Err(PyValueError::new_err(text));
    }
    py.detach(|| {
        guarded(|| {
            let (mut out, mut median) = (<[Vec<f64>; 3]>::default(), zeros(d));
            columns::median(rows, &mut median);
            norms::rows_norm2(rows, &mut out[0]);
            norms::rows_distance2(rows, aggregate, &mut out[1]);
            norms::rows_distance2(rows, &median, &mut out[2]);
            out
        })
    })
}
