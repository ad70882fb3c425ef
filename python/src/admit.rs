//! Rows on their way to a rule: which are finite, and how many of them may be hostile.

use numpy::PyReadonlyArray2;
use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;
use varangian_base::{Matrix, Rows, SpecError};
use varangian_rules::Bound as Least;

/// A matrix of one width, borrowed from numpy.
pub(crate) enum Given<'py> {
    Single(PyReadonlyArray2<'py, f32>),
    Double(PyReadonlyArray2<'py, f64>),
}

impl<'a, 'py> FromPyObject<'a, 'py> for Given<'py> {
    type Error = PyErr;

    fn extract(object: Borrowed<'a, 'py, PyAny>) -> PyResult<Self> {
        if let Ok(rows) = object.extract() {
            return Ok(Given::Single(rows));
        }
        let wrong = |_| PyTypeError::new_err("rows are a matrix of float32 or float64");
        object.extract().map(Given::Double).map_err(wrong)
    }
}

/// The rows of a contiguous matrix, and those of its rows that are finite.
pub(crate) struct Admitted<'a> {
    pub(crate) kept: Vec<u32>,
    pub(crate) refused: Vec<(u32, String)>,
    /// A copy of the finite rows, where any is refused.
    copy: Option<Matrix>,
    all: Rows<'a>,
}

impl<'a> Admitted<'a> {
    pub(crate) fn of(data: &'a [f32], n: usize, d: usize) -> Self {
        let all = Rows::new(data, n, d);
        if all.is_finite() {
            return Admitted { kept: (0..n as u32).collect(), refused: vec![], copy: None, all };
        }
        let mut refused = Vec::new();
        let mut kept = Vec::new();
        for (i, row) in all.iter().enumerate() {
            match row.iter().position(|x| !x.is_finite()) {
                Some(k) => refused.push((i as u32, format!("{} at coordinate {k}", row[k]))),
                None => kept.push(i as u32),
            }
        }
        let rows: Vec<&[f32]> = kept.iter().map(|&i| all.row(i as usize)).collect();
        let copy = (!rows.is_empty()).then(|| Matrix::from_rows(&rows));
        Admitted { kept, refused, copy, all }
    }

    pub(crate) fn rows(&self) -> Rows<'_> {
        match &self.copy {
            Some(copy) => copy.rows().with_ids(&self.kept),
            None => self.all,
        }
    }
}

/// How many rows may be hostile once some are refused.
pub(crate) fn left(f: usize, n: usize, refused: &[(u32, String)], name: &str) -> PyResult<usize> {
    Least::declared(name, n, f).map_err(crate::border::refused)?;
    f.checked_sub(refused.len()).ok_or_else(|| {
        let which: Vec<String> = refused.iter().map(|(row, _)| row.to_string()).collect();
        PyValueError::new_err(format!(
            "at most f = {f} rows may be hostile; {} are not finite: {}",
            refused.len(),
            which.join(", ")
        ))
    })
}

/// An error about what is left of the rows.
pub(crate) fn spread(error: SpecError, refused: &[(u32, String)]) -> PyErr {
    if refused.is_empty() {
        return crate::border::refused(error);
    }
    let which: Vec<String> = refused.iter().map(|(row, _)| row.to_string()).collect();
    crate::border::refused(
        error.at(format!("without rows {} that are not finite", which.join(", "))),
    )
}

/// The rows of a packed matrix that are named.
pub(crate) fn pick(data: &[f64], d: usize, which: &[u32]) -> Vec<Vec<f64>> {
    which.iter().map(|&i| data[i as usize * d..][..d].to_vec()).collect()
}
