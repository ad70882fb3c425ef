//! Sketches of a row that lies in several arrays.

use crate::border::guarded;
use numpy::{PyArray2, PyArrayMethods, PyReadonlyArray1};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use varangian_base::kernels::sketch::{BUCKETS, Sketch};

/// A part of a layer, where it begins there, and the direction's part.
#[derive(FromPyObject)]
pub(crate) struct Part<'py>(
    usize,
    usize,
    PyReadonlyArray1<'py, f32>,
    Option<PyReadonlyArray1<'py, f32>>,
);

/// Numbers of a layer: the squared length, the product with the direction, the direction's squared
/// length, and the sketch.
const WIDTH: usize = 3 + BUCKETS;

/// What the parts add to each layer, (layers, 3 + 64) float64.
#[pyfunction]
pub(crate) fn sketch<'py>(
    py: Python<'py>,
    layers: usize,
    parts: Vec<Part<'py>>,
    signs: PyReadonlyArray1<'py, f32>,
) -> PyResult<Bound<'py, PyArray2<f64>>> {
    let signs = signs.as_slice()?;
    let mut read = Vec::with_capacity(parts.len());
    for Part(layer, at, x, along) in &parts {
        let (x, along) = (x.as_slice()?, along.as_ref().map(|u| u.as_slice()).transpose()?);
        let lines = (at + x.len()).div_ceil(BUCKETS);
        if *layer >= layers || lines > signs.len() || along.is_some_and(|u| u.len() != x.len()) {
            let text = format!(
                "a part of one of {layers} layers, with a sign for each of its {lines} lines and a \
                 direction of its length; got layer {layer}, {} signs",
                signs.len()
            );
            return Err(PyValueError::new_err(text));
        }
        read.push((*layer, *at, x, along));
    }
    let out = PyArray2::zeros(py, [layers, WIDTH], false);
    let found = py.detach(|| {
        guarded(|| {
            let mut found = vec![Sketch::default(); layers];
            for (layer, at, x, along) in read {
                found[layer].add(x, at, along, signs);
            }
            found
        })
    })?;
    let mut write = out.readwrite();
    for (to, found) in write.as_slice_mut()?.chunks_mut(WIDTH).zip(&found) {
        to[..3].copy_from_slice(&[found.square, found.product, found.along]);
        to[3..].copy_from_slice(&found.buckets);
    }
    drop(write);
    Ok(out)
}
