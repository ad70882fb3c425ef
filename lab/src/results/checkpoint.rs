//! Half-finished runs: everything that the next step depends on, as safetensors beside JSON.
//!
//! `KEY.STEP.safetensors` goes first, `KEY.checkpoint.json` that says STEP second; only then is an
//! older one removed. A process killed at any moment leaves a pair that fits or none.
//!
//! A folder may come from somebody else. Nothing that is stored in it becomes a path: the names of
//! tensors are formed from the key and a number. A checksum over all of a pair, with the format's
//! version, finds what was cut, mixed up or edited by accident; such a pair counts as none.

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

/// The version of what is stored.
const FORMAT: u32 = 2;

/// What stands in `KEY.checkpoint.json`. Points are CSV, which keeps NaN.
#[derive(Serialize, Deserialize)]
struct Sidecar {
    format: u32,
    /// BLAKE3 of the tensors and of everything here but itself.
    checksum: String,
    step: u64,
    points: String,
    refused: BTreeMap<String, u64>,
    skipped: u64,
}

impl Sidecar {
    /// The checksum that belongs to this and to these bytes of tensors.
    fn sum(&self, tensors: &[u8]) -> String {
        let mut hasher = blake3::Hasher::new();
        let rest = (self.format, self.step, &self.points, &self.refused, self.skipped);
        let rest = serde_json::to_vec(&rest).expect("plain values");
        hasher.update(&(rest.len() as u64).to_le_bytes()).update(&rest).update(tensors);
        hasher.finalize().to_hex().to_string()
    }
}

/// The name of the tensors of `key` before `step`.
fn tensors_of(key: &str, step: u64) -> String {
    format!("{key}.{step}.safetensors")
}

/// Keeps a checkpoint in place of an older one.
///
/// # Errors
/// If the folder cannot be written.
pub(crate) fn save(store: &Store, key: &str, checkpoint: &Checkpoint) -> Result<(), Failure> {
    let tensors = pack(&checkpoint.memory);
    let file = tensors_of(key, checkpoint.step);
    files::write(&store.run_file(&file), &tensors)?;
    let mut new = Sidecar {
        format: FORMAT,
        checksum: String::new(),
        step: checkpoint.step,
        points: super::store::points_text(&checkpoint.points),
        refused: checkpoint.refused.clone(),
        skipped: checkpoint.skipped,
    };
    new.checksum = new.sum(&tensors);
    let text = serde_json::to_string(&new).expect("plain values");
    files::write(&store.run_file(&format!("{key}.checkpoint.json")), text.as_bytes())?;
    sweep(store, key, Some(checkpoint.step));
    Ok(())
}

/// The checkpoint of `key`, if there is one that can be read and is whole.
pub(crate) fn load(store: &Store, key: &str) -> Option<Checkpoint> {
    let sidecar = sidecar(store, key)?;
    let tensors = std::fs::read(store.run_file(&tensors_of(key, sidecar.step))).ok()?;
    if sidecar.format != FORMAT || sidecar.checksum != sidecar.sum(&tensors) {
        return None;
    }
    let Sidecar { step, points, refused, skipped, .. } = sidecar;
    let memory = unpack(&tensors)?;
    let points = super::store::read_points(points.as_bytes())?;
    Some(Checkpoint { step, points, refused, skipped, memory })
}

/// Removes the checkpoint of `key`: its run is over.
pub(crate) fn remove(store: &Store, key: &str) {
    // The sidecar first: without it the tensors are never read.
    let _ = std::fs::remove_file(store.run_file(&format!("{key}.checkpoint.json")));
    sweep(store, key, None);
}

/// Removes the tensors of `key` but those before `kept`. What is left over takes room and does no
/// harm.
fn sweep(store: &Store, key: &str, kept: Option<u64>) {
    for name in std::fs::read_dir(store.path("runs")).into_iter().flatten().flatten() {
        let name = name.file_name().to_string_lossy().into_owned();
        let middle = name.strip_suffix(".safetensors").and_then(|stem| stem.strip_prefix(key));
        let step = middle.and_then(|middle| middle.strip_prefix('.')?.parse::<u64>().ok());
        if step.is_some_and(|step| name == tensors_of(key, step) && Some(step) != kept) {
            let _ = std::fs::remove_file(store.path("runs").join(name));
        }
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

    fn kept(store: &Store, step: u64) {
        let mut memory = Memory::default();
        memory.put("server/params", Value::Floats(vec![1.0, 2.0]));
        let checkpoint =
            Checkpoint { step, points: Vec::new(), refused: BTreeMap::new(), skipped: 0, memory };
        save(store, "k", &checkpoint).unwrap();
    }

    #[test]
    fn what_a_foreign_checkpoint_names_is_neither_read_nor_removed() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::make(&folder.path().join("results")).unwrap();
        let precious = folder.path().join("precious.safetensors");
        std::fs::write(&precious, "mine").unwrap();
        let sidecar = store.run_file("k.checkpoint.json");
        for name in ["../../precious.safetensors", precious.to_str().unwrap()] {
            kept(&store, 3);
            let text = std::fs::read_to_string(&sidecar).unwrap();
            let mut value: serde_json::Value = serde_json::from_str(&text).unwrap();
            value["tensors"] = name.into();
            value["step"] = name.into();
            std::fs::write(&sidecar, value.to_string()).unwrap();
            assert!(load(&store, "k").is_none(), "{name}");
            kept(&store, 4);
            remove(&store, "k");
            assert_eq!(std::fs::read_to_string(&precious).unwrap(), "mine", "{name}");
        }
        // A link is taken away; what it leads to stays.
        #[cfg(unix)]
        {
            std::os::unix::fs::symlink(&precious, store.run_file("k.9.safetensors")).unwrap();
            remove(&store, "k");
            assert_eq!(std::fs::read_to_string(&precious).unwrap(), "mine");
        }
    }

    #[test]
    fn a_pair_that_was_cut_edited_or_mixed_up_counts_as_none() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::make(folder.path()).unwrap();
        let (sidecar, tensors) =
            (store.run_file("k.checkpoint.json"), store.run_file("k.3.safetensors"));
        let edit = |path: &std::path::Path, edit: &dyn Fn(&mut Vec<u8>)| {
            kept(&store, 3);
            assert!(load(&store, "k").is_some());
            let mut bytes = std::fs::read(path).unwrap();
            edit(&mut bytes);
            std::fs::write(path, bytes).unwrap();
            assert!(load(&store, "k").is_none(), "{}", path.display());
        };
        edit(&tensors, &|bytes| *bytes.last_mut().unwrap() ^= 1);
        edit(&tensors, &|bytes| bytes.truncate(bytes.len() - 4));
        edit(&tensors, &|bytes| bytes.clear());
        edit(&sidecar, &|bytes| bytes.truncate(20));
        let replaced = |from: &'static str, to: &'static str| {
            move |bytes: &mut Vec<u8>| {
                let text = String::from_utf8(bytes.clone()).unwrap();
                assert!(text.contains(from), "{text}");
                *bytes = text.replace(from, to).into_bytes();
            }
        };
        edit(&sidecar, &replaced("\"skipped\":0", "\"skipped\":1"));
        edit(&sidecar, &replaced("\"step\":3", "\"step\":4611686018427387904"));
        edit(&sidecar, &replaced("\"format\":2", "\"format\":1"));
    }
}
