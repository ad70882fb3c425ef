//! Arrays as a data set.

use crate::border::refused;
use crate::own::{Brought, Own, Shelf, leak};
use numpy::PyReadonlyArrayDyn;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use std::sync::Arc;
use varangian_base::Stream;
use varangian_learn::data::{DataEntry, DataError, Facts, Place, Shape, Source, Split};
use varangian_learn::{Batch, Dataset, Targets};

/// Splits that were brought.
static SPLITS: Shelf<Split> = Shelf::new();

/// Samples in memory.
struct Samples {
    shape: Shape,
    classes: usize,
    inputs: Vec<f32>,
    /// Empty for regression.
    labels: Vec<u32>,
    /// Values a sample; empty for classes.
    values: Vec<f32>,
    len: usize,
    fingerprint: [u8; 32],
}

impl Dataset for Samples {
    fn len(&self) -> usize {
        self.len
    }

    fn shape(&self) -> Shape {
        self.shape
    }

    fn classes(&self) -> usize {
        self.classes
    }

    fn label(&self, i: usize) -> u32 {
        self.labels.get(i).copied().unwrap_or(0)
    }

    fn fingerprint(&self) -> Option<[u8; 32]> {
        Some(self.fingerprint)
    }

    fn fill(&self, indices: &[u32], _: &mut Stream, batch: &mut Batch) {
        let width = self.shape.len();
        batch.begin(indices.len(), width);
        for (to, &i) in batch.inputs.chunks_mut(width).zip(indices) {
            to.copy_from_slice(&self.inputs[i as usize * width..][..width]);
        }
        if self.classes > 0 {
            let labels = indices.iter().map(|&i| self.labels[i as usize]);
            batch.targets = Targets::Labels(labels.collect());
        } else {
            let each = self.values.len() / self.len;
            let of = |&i: &u32| &self.values[i as usize * each..][..each];
            batch.targets = Targets::Values(indices.iter().flat_map(of).copied().collect());
        }
    }
}

/// Inputs and targets of one split, as Python gives them.
#[derive(FromPyObject)]
pub(crate) struct Part<'py>(PyReadonlyArrayDyn<'py, f32>, Targeted<'py>);

#[derive(FromPyObject)]
pub(crate) enum Targeted<'py> {
    Labels(PyReadonlyArrayDyn<'py, i64>),
    Values(PyReadonlyArrayDyn<'py, f32>),
}

fn samples(part: &Part<'_>, classes: usize, which: &str) -> PyResult<Samples> {
    let wrong = |text: String| PyValueError::new_err(format!("{which}: {text}"));
    let inputs = part.0.as_array();
    let shape = match *inputs.shape() {
        [_, features] => Shape::flat(features),
        [_, channels, height, width] => Shape { channels, height, width },
        ref other => {
            return Err(wrong(format!(
                "inputs are samples × features or samples × channels × height × width; got {other:?}"
            )));
        }
    };
    let len = inputs.shape()[0];
    let inputs = part.0.as_slice()?.to_vec();
    if len == 0 || shape.is_empty() {
        return Err(wrong("there are no samples".into()));
    }
    if let Some(k) = inputs.iter().position(|x| !x.is_finite()) {
        return Err(wrong(format!("inputs are finite; sample {} is not", k / shape.len())));
    }
    let (mut labels, mut values) = (Vec::new(), Vec::new());
    match &part.1 {
        Targeted::Labels(given) => {
            for (i, &label) in given.as_slice()?.iter().enumerate() {
                match u32::try_from(label).ok().filter(|label| (*label as usize) < classes) {
                    Some(label) => labels.push(label),
                    None => {
                        return Err(wrong(format!(
                            "labels are 0 to {}; that of sample {i} is {label}",
                            classes.saturating_sub(1)
                        )));
                    }
                }
            }
        }
        Targeted::Values(_) if classes > 0 => {
            return Err(wrong(format!("targets of {classes} classes are whole numbers")));
        }
        Targeted::Values(given) => {
            values = given.as_slice()?.to_vec();
            if let Some(k) = values.iter().position(|x| !x.is_finite()) {
                return Err(wrong(format!("targets are finite; number {k} is {}", values[k])));
            }
        }
    }
    let targets = labels.len().max(values.len());
    let whole = labels.len() == len || !values.is_empty() && values.len().is_multiple_of(len);
    if !whole {
        return Err(wrong(format!("a target a sample; got {targets} for {len} samples")));
    }
    let mut hasher = blake3::Hasher::new();
    hasher.update(&(len as u64).to_le_bytes());
    inputs.iter().chain(&values).for_each(|x| {
        hasher.update(&x.to_bits().to_le_bytes());
    });
    labels.iter().for_each(|x| {
        hasher.update(&x.to_le_bytes());
    });
    let fingerprint = *hasher.finalize().as_bytes();
    Ok(Samples { shape, classes, inputs, labels, values, len, fingerprint })
}

struct Arrays(Split);

impl Source for Arrays {
    fn load(&self, _: &Place) -> Result<Split, DataError> {
        Ok(self.0.clone())
    }
}

/// An entry for arrays: (inputs, targets) of both splits. `classes` is 0 for regression.
#[pyfunction]
pub(crate) fn dataset(
    name: &str,
    train: Part<'_>,
    test: Part<'_>,
    classes: usize,
) -> PyResult<Own> {
    let train = samples(&train, classes, "train")?;
    let test = samples(&test, classes, "test")?;
    if train.shape != test.shape {
        return Err(PyValueError::new_err(
            "samples of train and test have one shape; these differ",
        ));
    }
    if train.values.len() / train.len != test.values.len() / test.len {
        return Err(PyValueError::new_err(
            "train and test have as many targets a sample; these differ",
        ));
    }
    let split = Split { train: Arc::new(train), test: Arc::new(test) };
    let (params, place) = SPLITS.put(split);
    let entry: &'static DataEntry = Box::leak(Box::new(DataEntry {
        name: leak(name),
        summary: "arrays from Python",
        paper: "",
        differs: &[],
        params,
        cost: "",
        facts: Facts { size: "as given", files: &[] },
        build: |args| {
            let split = SPLITS.take(args, |split| Some(split.clone()))?;
            Ok(Box::new(Arrays(split)))
        },
    }));
    entry.sound("data set").map_err(refused)?;
    Ok(Own::new(Brought::Dataset(entry), place))
}
