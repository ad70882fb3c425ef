//! A folder of rows as `.npy` files, for the commands that read them.

use ndarray::Array2;
use ndarray_npy::WriteNpyExt;
use std::fs::File;
use std::path::PathBuf;

/// Goes with the test.
pub(crate) struct Folder(pub(crate) tempfile::TempDir);

impl Folder {
    pub(crate) fn new() -> Self {
        Folder(tempfile::tempdir().unwrap())
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// Rows as f64.
    pub(crate) fn double(&self, name: &str, rows: &[&[f64]]) {
        let array = Array2::from_shape_fn((rows.len(), rows[0].len()), |(i, k)| rows[i][k]);
        array.write_npy(File::create(self.path(name)).unwrap()).unwrap();
    }

    /// The same as f32.
    pub(crate) fn single(&self, name: &str, rows: &[&[f32]]) {
        let array = Array2::from_shape_fn((rows.len(), rows[0].len()), |(i, k)| rows[i][k]);
        array.write_npy(File::create(self.path(name)).unwrap()).unwrap();
    }
}
