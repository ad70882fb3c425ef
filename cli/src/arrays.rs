//! Rows in and out of `.npy` files: f32, f64, f16, bf16 or whole numbers, in either byte order, in
//! C or Fortran order.

mod npy;

use crate::Failure;
use ndarray::{Array1, Array2};
use ndarray_npy::{WritableElement, WriteNpyExt};
use npy::Entries;
use std::io::Read;
use std::path::Path;
use varangian_base::Matrix;
use varangian_lab::files;
use varangian_lab::run::memory;
use varangian_rules::Bound;

/// Who computes in f32 where rows are for attacks.
pub(crate) const ATTACKS: &str = "attacks compute";

/// A matrix as it was read.
pub(crate) struct Rows {
    /// The finite rows, in order.
    pub(crate) finite: Values,
    /// Where the finite rows stood.
    pub(crate) ids: Vec<u32>,
    /// Where rows with an entry that is not finite stood.
    pub(crate) refused: Vec<u32>,
    /// Why, for each of them: "NaN at coordinate 17".
    pub(crate) reasons: Vec<String>,
    /// The kind of number in the file: "f32", "f64", "f16", "bf16", "i64".
    pub(crate) kind: &'static str,
    /// The number of coordinates.
    pub(crate) d: usize,
}

/// Rows by the width that they are worked on in.
pub(crate) enum Values {
    /// f32; f16 and bf16 are widened to it.
    Single(Matrix),
    /// f64; whole numbers are widened to it.
    Double(Vec<Vec<f64>>),
}

impl Rows {
    /// How many rows the file holds.
    pub(crate) fn total(&self) -> usize {
        self.ids.len() + self.refused.len()
    }

    /// The width in which these rows are worked on.
    pub(crate) fn width(&self) -> &'static str {
        match self.finite {
            Values::Single(_) => "f32",
            Values::Double(_) => "f64",
        }
    }

    /// The finite rows in f32, for what has no exact path: `who`, "attacks compute".
    ///
    /// # Errors
    /// If rounding to f32 would lose what tells them apart: a number beyond its range, or a column
    /// whose spread moves by more than a thousandth.
    pub(crate) fn narrow(&self, path: &Path, who: &str) -> Result<Matrix, Failure> {
        let rows = match &self.finite {
            Values::Single(matrix) => return Ok(matrix.clone()),
            Values::Double(rows) => rows,
        };
        let lost = |what: String| {
            let path = path.display();
            Err(Failure::refused(format!(
                "{path}: {who} in f32, which these f64 rows do not fit: {what}"
            )))
        };
        for k in 0..self.d {
            let column = || rows.iter().map(|row| row[k]);
            if let Some(i) = column().position(|x| !(x as f32).is_finite()) {
                let (row, x) = (self.ids[i], rows[i][k]);
                return lost(format!("row {row}, column {k} is {x:e}"));
            }
            let (low, high) = column().fold((f64::MAX, f64::MIN), |(a, b), x| (a.min(x), b.max(x)));
            let moved = column().map(|x| (x - f64::from(x as f32)).abs()).fold(0.0, f64::max);
            if low < high && moved > (high - low) / 1000.0 {
                let spread = high - low;
                return lost(format!("column {k} spreads over {spread:e} and moves by {moved:e}"));
            }
        }
        let narrow = |row: &Vec<f64>| row.iter().map(|&x| x as f32).collect::<Vec<f32>>();
        Ok(Matrix::from_rows(&rows.iter().map(narrow).collect::<Vec<_>>()))
    }
}

/// Reads a matrix; `-` is standard input.
///
/// # Errors
/// If the file is missing, is no `.npy` file, holds other than two axes of numbers, or is empty.
pub(crate) fn read(path: &Path) -> Result<Rows, Failure> {
    let array = array(path, false)?;
    let (n, d) = array.shape;
    let (finite, ids, refused, reasons) = match array.entries {
        Entries::Single(all) => {
            let trouble = |i: usize| trouble(all[i * d..][..d].iter().map(|&x| f64::from(x)));
            let (kept, refused, reasons) = part(n, trouble);
            let rows: Vec<&[f32]> = kept.iter().map(|&i| &all[i as usize * d..][..d]).collect();
            (Values::Single(Matrix::from_rows(&rows)), kept, refused, reasons)
        }
        Entries::Double(all) => {
            let trouble = |i: usize| trouble(all[i * d..][..d].iter().copied());
            let (kept, refused, reasons) = part(n, trouble);
            let rows = kept.iter().map(|&i| all[i as usize * d..][..d].to_vec()).collect();
            (Values::Double(rows), kept, refused, reasons)
        }
    };
    Ok(Rows { finite, ids, refused, reasons, kind: array.kind, d })
}

/// Reads a vector of finite numbers; `-` is standard input.
///
/// # Errors
/// As [`read`]; or if it has not `wanted` numbers, or one is not finite. `what` says of what each
/// is: "coordinate", "row".
pub(crate) fn read_vector(path: &Path, wanted: usize, what: &str) -> Result<Vec<f64>, Failure> {
    let fail = |text: String| Err(Failure::refused(format!("{}: {text}", path.display())));
    let numbers: Vec<f64> = match array(path, true)?.entries {
        Entries::Single(all) => all.into_iter().map(f64::from).collect(),
        Entries::Double(all) => all,
    };
    if numbers.len() != wanted {
        return fail(format!("a number for each of {wanted} {what}s; found {}", numbers.len()));
    }
    match numbers.iter().position(|x| !x.is_finite()) {
        Some(k) => fail(format!("numbers are finite; that of {what} {k} is {}", numbers[k])),
        None => Ok(numbers),
    }
}

/// Reads labels: whole numbers from 0, a vector of one worker's or a matrix of a row a worker;
/// whether it was a vector.
///
/// # Errors
/// As [`read`]; or if a number is no label below `classes`.
pub(crate) fn read_labels(path: &Path, classes: u32) -> Result<(Vec<Vec<u32>>, bool), Failure> {
    let fail = |error: &dyn std::fmt::Display| Failure::file("read", path, error);
    let bytes = bytes(path)?;
    let vector = npy::read(&bytes, true);
    let is_vector = vector.is_ok();
    let array = vector.or_else(|_| npy::read(&bytes, false)).map_err(|error| fail(&error))?;
    let numbers: Vec<f64> = match array.entries {
        Entries::Single(all) => all.into_iter().map(f64::from).collect(),
        Entries::Double(all) => all,
    };
    let d = array.shape.1;
    let label = |(k, &x): (usize, &f64)| match (0.0..f64::from(classes)).contains(&x) {
        true if x.fract() == 0.0 => Ok(x as u32),
        _ => Err(Failure::refused(format!(
            "{}: labels are whole numbers from 0 to {}; row {}, column {} is {x}",
            path.display(),
            classes.saturating_sub(1),
            k / d,
            k % d
        ))),
    };
    let labels = numbers.iter().enumerate().map(label).collect::<Result<Vec<u32>, _>>()?;
    Ok((labels.chunks(d).map(<[u32]>::to_vec).collect(), is_vector))
}

fn array(path: &Path, vector: bool) -> Result<npy::Array, Failure> {
    npy::read(&bytes(path)?, vector).map_err(|error| Failure::file("read", path, &error))
}

fn bytes(path: &Path) -> Result<Vec<u8>, Failure> {
    let bytes = match path.as_os_str() == "-" {
        true => whole(&mut std::io::stdin().lock(), memory::available()),
        false => std::fs::File::open(path)
            .map_err(|error| error.to_string())
            .and_then(|mut file| whole(&mut file, memory::available())),
    };
    bytes.map_err(|error| Failure::file("read", path, &error))
}

/// All that a file or pipe holds: no more than one byte beyond what its header promises, growing
/// with what comes, so that neither a header nor an endless pipe takes more memory than the bytes
/// that are there; and not begun where the rows beside their copy would not fit into `room` bytes.
///
/// # Errors
/// If it cannot be read, or takes more than there is room for.
fn whole(reader: &mut dyn Read, room: Option<u64>) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::new();
    let mut read = |bytes: &mut Vec<u8>, most: u64| {
        let read = (&mut *reader).take(most).read_to_end(bytes);
        read.map_err(|error| error.to_string())
    };
    read(&mut bytes, npy::START)?;
    let header = npy::header_length(&bytes);
    read(&mut bytes, header)?;
    let wanted = npy::promised(&bytes);
    let needed = u128::from(wanted) * 2;
    if let Some(room) = room.filter(|&room| needed > u128::from(room)) {
        return Err(format!(
            "its header promises {wanted} bytes, which take {needed} to work on; {room} can be had"
        ));
    }
    read(&mut bytes, wanted.saturating_add(1))?;
    Ok(bytes)
}

/// Whether rows for f hostile workers can be had, before any of them is made.
///
/// # Errors
/// If f is above 2³¹, or f rows of d coordinates take more memory than there is.
pub(crate) fn demand_room(f: usize, d: usize) -> Result<(), Failure> {
    if f > Bound::MOST {
        let most = Bound::MOST;
        return Err(Failure::refused(format!("f is at most {most}; got {f}")));
    }
    memory::demand(
        &format!("f = {f} rows of {d} coordinates"),
        (8 * f as u128).saturating_mul(d as u128),
    )
}

/// The rows of n that are finite, the others, and what is wrong with each of these.
fn part(n: usize, trouble: impl Fn(usize) -> Option<String>) -> (Vec<u32>, Vec<u32>, Vec<String>) {
    let (mut kept, mut refused, mut reasons) = (Vec::new(), Vec::new(), Vec::new());
    for i in 0..n {
        match trouble(i) {
            None => kept.push(i as u32),
            Some(reason) => {
                refused.push(i as u32);
                reasons.push(reason);
            }
        }
    }
    (kept, refused, reasons)
}

/// What is wrong with a row, if anything is.
fn trouble(row: impl Iterator<Item = f64>) -> Option<String> {
    let (k, x) = row.enumerate().find(|(_, x)| !x.is_finite())?;
    Some(format!("{x} at coordinate {k}"))
}

/// Writes n rows of equal length.
///
/// # Errors
/// If the file cannot be written.
pub(crate) fn write<T: WritableElement + Copy>(path: &Path, rows: &[&[T]]) -> Result<(), Failure> {
    let d = rows.first().map_or(0, |row| row.len());
    save(path, &Array2::from_shape_fn((rows.len(), d), |(i, k)| rows[i][k]))
}

/// Writes a vector.
///
/// # Errors
/// If the file cannot be written.
pub(crate) fn write_vector<T: WritableElement + Copy>(
    path: &Path,
    vector: &[T],
) -> Result<(), Failure> {
    save(path, &Array1::from(vector.to_vec()))
}

fn save(path: &Path, array: &impl WriteNpyExt) -> Result<(), Failure> {
    let mut bytes = Vec::new();
    array.write_npy(&mut bytes).map_err(|error| Failure::file("write", path, &error))?;
    files::write_to(path, &bytes)
}

#[cfg(test)]
mod tests;
