//! Half-finished runs: everything that the next step depends on, as safetensors beside JSON.
//!
//! `KEY.STEP.safetensors` goes first, `KEY.checkpoint.json` that names it second; only then is an
//! older one removed. A process killed at any moment leaves a pair that fits or none.

use super::{Point, Store};
use crate::{Failure, files};
use safetensors::tensor::{Dtype, SafeTensors, TensorView};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use varangian_base::{Memory, Value};

/// A run between two steps.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Checkpoint {
    /// The next step.
    pub(crate) step: u64,
    /// Everything measured so far.
    pub(crate) points: Vec<Point>,
    /// Refusals so far by "reason/worker".
    pub(crate) refused: BTreeMap<String, u64>,
    /// Steps skipped so far.
    pub(crate) skipped: u64,
    /// Parameters, momenta, memories.
    pub(crate) memory: Memory,
}

/// What stands in `KEY.checkpoint.json`. Points are CSV, which keeps NaN.
#[derive(Serialize, Deserialize)]
struct Sidecar {
    step: u64,
    tensors: String,
    points: String,
    refused: BTreeMap<String, u64>,
    skipped: u64,
}

/// Keeps a checkpoint in place of an older one.
///
/// # Errors
/// If the folder cannot be written.
pub(crate) fn save(store: &Store, key: &str, checkpoint: &Checkpoint) -> Result<(), Failure> {
    let older = sidecar(store, key).map(|old| old.tensors);
    let tensors = format!("{key}.{}.safetensors", checkpoint.step);
    files::write(&store.run_file(&tensors), &pack(&checkpoint.memory))?;
    let new = Sidecar {
        step: checkpoint.step,
        tensors: tensors.clone(),
        points: super::store::points_text(&checkpoint.points),
        refused: checkpoint.refused.clone(),
        skipped: checkpoint.skipped,
    };
    let text = serde_json::to_string(&new).expect("plain values");
    files::write(&store.run_file(&format!("{key}.checkpoint.json")), text.as_bytes())?;
    if let Some(older) = older.filter(|older| *older != tensors) {
        // What is left over takes room and does no harm.
        let _ = std::fs::remove_file(store.run_file(&older));
    }
    Ok(())
}

/// The checkpoint of `key`, if there is one that can be read.
pub(crate) fn load(store: &Store, key: &str) -> Option<Checkpoint> {
    let Sidecar { step, tensors, points, refused, skipped } = sidecar(store, key)?;
    let memory = unpack(&std::fs::read(store.run_file(&tensors)).ok()?)?;
    let points = super::store::read_points(points.as_bytes())?;
    Some(Checkpoint { step, points, refused, skipped, memory })
}

/// Removes the checkpoint of `key`: its run is over.
pub(crate) fn remove(store: &Store, key: &str) {
    if let Some(old) = sidecar(store, key) {
        // The sidecar first: without it the tensors are never read.
        let _ = std::fs::remove_file(store.run_file(&format!("{key}.checkpoint.json")));
        let _ = std::fs::remove_file(store.run_file(&old.tensors));
    }
}

fn sidecar(store: &Store, key: &str) -> Option<Sidecar> {
    let path = store.run_file(&format!("{key}.checkpoint.json"));
    serde_json::from_str(&std::fs::read_to_string(path).ok()?).ok()
}

fn pack(memory: &Memory) -> Vec<u8> {
    let bytes = |value: &Value| -> (Dtype, usize, Vec<u8>) {
        match value {
            Value::Floats(x) => {
                (Dtype::F32, x.len(), x.iter().flat_map(|x| x.to_le_bytes()).collect())
            }
            Value::Doubles(x) => {
                (Dtype::F64, x.len(), x.iter().flat_map(|x| x.to_le_bytes()).collect())
            }
            Value::Integers(x) => {
                (Dtype::U64, x.len(), x.iter().flat_map(|x| x.to_le_bytes()).collect())
            }
        }
    };
    let packed: Vec<_> = memory.values.iter().map(|(name, value)| (name, bytes(value))).collect();
    let views = packed.iter().map(|(name, (dtype, len, bytes))| {
        (name, TensorView::new(*dtype, vec![*len], bytes).expect("lengths agree"))
    });
    safetensors::serialize(views, None).expect("plain tensors")
}

fn unpack(bytes: &[u8]) -> Option<Memory> {
    let mut memory = Memory::default();
    for (name, view) in SafeTensors::deserialize(bytes).ok()?.tensors() {
        let data = view.data();
        let eights = || data.chunks_exact(8).map(|x| x.try_into().expect("eight bytes"));
        let value = match view.dtype() {
            Dtype::F32 => Value::Floats(
                data.chunks_exact(4)
                    .map(|x| f32::from_le_bytes(x.try_into().expect("four bytes")))
                    .collect(),
            ),
            Dtype::F64 => Value::Doubles(eights().map(f64::from_le_bytes).collect()),
            Dtype::U64 => Value::Integers(eights().map(u64::from_le_bytes).collect()),
            _ => return None,
        };
        memory.put(&name, value);
    }
    Some(memory)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_checkpoint_comes_back_and_replaces_the_older_one() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::make(folder.path()).unwrap();
        let mut memory = Memory::default();
        memory.put("server/params", Value::Floats(vec![1.5, f32::NAN, -0.0]));
        memory.put("rule/sum", Value::Doubles(vec![1e-310]));
        memory.put("server/step", Value::Integers(vec![u64::MAX]));
        memory.put("velocity", Value::Floats(Vec::new()));
        let points = vec![Point { step: 1, metric: "train_loss".into(), value: f64::NAN }];
        let mut kept = Checkpoint { step: 7, points, refused: BTreeMap::new(), skipped: 2, memory };
        kept.refused.insert("not-finite/3".into(), 5);
        for step in [7, 9] {
            kept.step = step;
            save(&store, "k", &kept).unwrap();
            let back = load(&store, "k").unwrap();
            // NaN differs from itself; its text does not.
            assert_eq!(format!("{back:?}"), format!("{kept:?}"));
        }
        assert!(!store.run_file("k.7.safetensors").exists());
        remove(&store, "k");
        assert!(load(&store, "k").is_none());
        assert_eq!(std::fs::read_dir(folder.path().join("runs")).unwrap().count(), 0);
    }
}
