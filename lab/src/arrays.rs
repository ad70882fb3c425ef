//! Rows in and out of `.npy` files, f32 or f64, in C or Fortran order.

use crate::{Failure, files};
use ndarray::{Array1, Array2};
use ndarray_npy::{ReadNpyError, ReadNpyExt, ReadableElement, WriteNpyExt};
use std::fs::File;
use std::io::BufReader;
use std::path::Path;
use varangian_base::Matrix;

/// A matrix as it was read.
pub(crate) struct Rows {
    /// The finite rows, in order.
    pub(crate) finite: Matrix,
    /// Where the finite rows stood.
    pub(crate) ids: Vec<u32>,
    /// Where rows with an entry that is not finite in f32 stood.
    pub(crate) refused: Vec<u32>,
    /// Whether the file holds f64.
    pub(crate) double: bool,
}

/// Reads a matrix.
///
/// # Errors
/// If the file is missing, is no `.npy` file, holds other than two axes of f32 or f64, or is empty.
pub(crate) fn read(path: &Path) -> Result<Rows, Failure> {
    let fail = |error: &dyn std::fmt::Display| Failure::file("read", path, error);
    let rows = match read_as::<f32>(path) {
        Ok(array) => split(&array, false),
        Err(ReadNpyError::WrongDescriptor(found)) => match read_as::<f64>(path) {
            Ok(array) => split(&array.mapv(|x| x as f32), true),
            Err(ReadNpyError::WrongDescriptor(_)) => {
                return Err(fail(&format!("rows are f32 or f64; found {found}")));
            }
            Err(error) => return Err(fail(&error)),
        },
        Err(ReadNpyError::WrongNdim(_, found)) => {
            return Err(fail(&format!("rows have two axes, workers × coordinates; found {found}")));
        }
        Err(error) => return Err(fail(&error)),
    };
    match rows.ids.len() + rows.refused.len() == 0 || rows.finite.d() == 0 {
        true => Err(fail(&"the matrix is empty")),
        false => Ok(rows),
    }
}

fn read_as<T: ReadableElement>(path: &Path) -> Result<Array2<T>, ReadNpyError> {
    Array2::read_npy(BufReader::new(File::open(path)?))
}

fn split(array: &Array2<f32>, double: bool) -> Rows {
    let (n, d) = array.dim();
    let whole = |&i: &usize| array.row(i).iter().all(|x| x.is_finite());
    let (kept, refused): (Vec<usize>, Vec<usize>) = (0..n).partition(whole);
    let mut finite = Matrix::zeros(kept.len(), d);
    for (to, &from) in kept.iter().enumerate() {
        for (out, &x) in finite.row_mut(to).iter_mut().zip(array.row(from)) {
            *out = x;
        }
    }
    let ids = |list: Vec<usize>| list.into_iter().map(|i| i as u32).collect();
    Rows { finite, ids: ids(kept), refused: ids(refused), double }
}

/// Writes a matrix, as f64 where `double`.
///
/// # Errors
/// If the file cannot be written.
pub(crate) fn write(
    path: &Path,
    rows: varangian_base::Rows<'_>,
    double: bool,
) -> Result<(), Failure> {
    let array = Array2::from_shape_fn((rows.n(), rows.d()), |(i, k)| rows.row(i)[k]);
    let mut bytes = Vec::new();
    let written = match double {
        true => array.mapv(f64::from).write_npy(&mut bytes),
        false => array.write_npy(&mut bytes),
    };
    written.map_err(|error| Failure::file("write", path, &error))?;
    files::write(path, &bytes)
}

/// Writes a vector, as f64 where `double`.
///
/// # Errors
/// If the file cannot be written.
pub(crate) fn write_vector(path: &Path, vector: &[f32], double: bool) -> Result<(), Failure> {
    let array = Array1::from(vector.to_vec());
    let mut bytes = Vec::new();
    let written = match double {
        true => array.mapv(f64::from).write_npy(&mut bytes),
        false => array.write_npy(&mut bytes),
    };
    written.map_err(|error| Failure::file("write", path, &error))?;
    files::write(path, &bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::ShapeBuilder;

    #[test]
    fn both_orders_and_both_widths_read_the_same_and_bad_rows_are_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("rows.npy");
        let values = vec![1.0, 2.0, 3.0, f64::NAN, 5.0, 1e300];
        let c = Array2::from_shape_vec((3, 2), values).unwrap();
        let mut fortran = Array2::zeros((3, 2).f());
        fortran.assign(&c);
        for array in [c, fortran] {
            array.write_npy(File::create(&path).unwrap()).unwrap();
            let rows = read(&path).unwrap();
            assert_eq!((rows.finite.row(0), rows.double), ([1.0, 2.0].as_slice(), true));
            assert_eq!((rows.ids, rows.refused), (vec![0], vec![1, 2]));
        }
        Array1::from(vec![1.0f32]).write_npy(File::create(&path).unwrap()).unwrap();
        let error = read(&path).err().unwrap().to_string();
        assert!(error.ends_with("rows have two axes, workers × coordinates; found 1"), "{error}");
        std::fs::write(&path, b"no array").unwrap();
        assert_eq!(read(&path).err().unwrap().code(), 2);
    }
}
