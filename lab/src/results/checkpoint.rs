//! Half-finished runs: everything that the next step depends on, in one file.
//!
//! `KEY.checkpoint` is a line of JSON, with a checksum of itself and of what follows, and a
//! safetensors file. It is written whole or not at all, and its name is formed from the key alone:
//! nothing that stands in a file becomes the name of another.

use super::record::{self, BLANK, FORMAT};
use super::{Point, Store};
use crate::{Failure, files};
use safetensors::tensor::{Dtype, SafeTensors, TensorView};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use varangian_base::{Memory, Value};

/// A run between two steps.
#[derive(Clone, Debug, PartialEq)]
pub struct Checkpoint {
    /// The next step.
    pub step: u64,
    /// Everything measured so far.
    pub points: Vec<Point>,
    /// Refusals so far by "reason/worker".
    pub refused: BTreeMap<String, u64>,
    /// Steps skipped so far.
    pub skipped: u64,
    /// Parameters, momenta, memories.
    pub memory: Memory,
}

/// The first line. Its checksum comes first; points are CSV, which keeps NaN.
#[derive(Serialize, Deserialize)]
struct Head {
    check: String,
    format: u32,
    key: String,
    step: u64,
    points: String,
    refused: BTreeMap<String, u64>,
    skipped: u64,
    /// BLAKE3 of the tensors' bytes.
    tensors: String,
}

/// The ending of a checkpoint's file.
const ENDING: &str = "checkpoint";

/// Keeps a checkpoint in place of an older one.
///
/// # Errors
/// If the folder cannot be written.
pub fn save(store: &Store, key: &str, checkpoint: &Checkpoint) -> Result<(), Failure> {
    let tensors = pack(&checkpoint.memory);
    let head = Head {
        check: BLANK.into(),
        format: FORMAT,
        key: key.to_owned(),
        step: checkpoint.step,
        points: record::points_text(&checkpoint.points),
        refused: checkpoint.refused.clone(),
        skipped: checkpoint.skipped,
        tensors: blake3::hash(&tensors).to_hex().to_string(),
    };
    let head = record::sealed(&serde_json::to_string(&head).expect("plain values"));
    let bytes = [head.as_bytes(), b"\n", &tensors].concat();
    files::write(&store.part(key, ENDING), &bytes)
}

/// The checkpoint of `key`, a run of `steps` steps; nothing where there is none.
///
/// # Errors
/// Why what is there is not one of this run.
pub fn load(store: &Store, key: &str, steps: u64) -> Result<Option<Checkpoint>, String> {
    let bytes = match files::read_own(&store.part(key, ENDING), files::TABLE) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(format!("it cannot be read: {error}")),
    };
    let cut = || "it is cut short".to_owned();
    let end = bytes.iter().position(|&byte| byte == b'\n').ok_or_else(cut)?;
    let (head, tensors) = (&bytes[..end], &bytes[end + 1..]);
    let text = std::str::from_utf8(head).map_err(|_| cut())?;
    let head: Head = serde_json::from_str(text).map_err(|error| error.to_string())?;
    if head.format != FORMAT {
        return Err(format!("it is of format {}; this program has {FORMAT}", head.format));
    }
    let hash = blake3::hash(tensors).to_hex();
    if !record::is_sealed(text, &head.check) || hash.as_str() != head.tensors {
        return Err("it does not match its checksum".into());
    }
    if super::bare(&head.key) != super::bare(key) {
        return Err("it is that of another run".into());
    }
    let points = record::read_points(head.points.as_bytes()).ok_or_else(cut)?;
    if head.step >= steps || points.iter().any(|point| point.step > head.step) {
        return Err(format!("it is of step {}, of {steps} in all", head.step));
    }
    let memory = unpack(tensors).ok_or_else(cut)?;
    let Head { step, refused, skipped, .. } = head;
    Ok(Some(Checkpoint { step, points, refused, skipped, memory }))
}

/// Removes the checkpoint of `key`, as its run is over or it fits none; also those of older
/// versions, a JSON file and tensors named by their step.
pub fn remove(store: &Store, key: &str) {
    let _ = std::fs::remove_file(store.part(key, ENDING));
    let names = store.run_files();
    for name in names.iter().filter(|name| is_older(name, key)) {
        let ending = name.split_once('.').map_or("", |(_, ending)| ending);
        let _ = std::fs::remove_file(store.part(key, ending));
    }
}

/// Whether there is a file in the place of a checkpoint.
pub fn exists(store: &Store, key: &str) -> bool {
    store.part(key, ENDING).exists()
}

/// Whether a name is that of a checkpoint of `key` by an older version.
fn is_older(name: &str, key: &str) -> bool {
    let Some((own, ending)) = name.split_once('.') else { return false };
    let step = ending.strip_suffix(".safetensors");
    let digits = |step: &str| !step.is_empty() && step.bytes().all(|c| c.is_ascii_digit());
    super::bare(own) == super::bare(key)
        && (ending == "checkpoint.json" || step.is_some_and(digits))
}

pub(super) fn pack(memory: &Memory) -> Vec<u8> {
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

pub(super) fn unpack(bytes: &[u8]) -> Option<Memory> {
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

    const KEY: &str = "r0123456789ab";

    fn sample() -> Checkpoint {
        let mut memory = Memory::default();
        memory.put("server/params", Value::Floats(vec![1.5, f32::NAN, -0.0]));
        memory.put("rule/sum", Value::Doubles(vec![1e-310]));
        memory.put("server/step", Value::Integers(vec![u64::MAX]));
        memory.put("velocity", Value::Floats(Vec::new()));
        let points = vec![Point { step: 1, metric: "train_loss".into(), value: f64::NAN }];
        let refused = BTreeMap::from([("not-finite/3".to_owned(), 5)]);
        Checkpoint { step: 7, points, refused, skipped: 2, memory }
    }

    #[test]
    fn a_checkpoint_comes_back_and_replaces_the_older_one() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::make(folder.path()).unwrap();
        let mut kept = sample();
        for step in [7, 9] {
            kept.step = step;
            save(&store, KEY, &kept).unwrap();
            let back = load(&store, KEY, 10).unwrap().unwrap();
            // NaN differs from itself; its text does not.
            assert_eq!(format!("{back:?}"), format!("{kept:?}"));
        }
        assert_eq!(store.run_files().len(), 1);
        remove(&store, KEY);
        assert_eq!(load(&store, KEY, 10), Ok(None));
        assert_eq!(store.run_files().len(), 0);
    }

    #[test]
    fn no_flipped_bit_and_no_foreign_checkpoint_is_believed() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::make(folder.path()).unwrap();
        save(&store, KEY, &sample()).unwrap();
        let path = store.part(KEY, ENDING);
        let whole = std::fs::read(&path).unwrap();
        let refused = |bytes: &[u8]| {
            std::fs::write(&path, bytes).unwrap();
            load(&store, KEY, 10).unwrap_err()
        };
        for at in 0..whole.len() {
            let mut bytes = whole.clone();
            bytes[at] ^= 4;
            refused(&bytes);
        }
        for end in [0, 1, whole.len() / 2, whole.len() - 1] {
            refused(&whole[..end]);
        }
        let zeros = [&whole[..whole.len() - 8], &[0; 8]].concat();
        assert_eq!(refused(&zeros), "it does not match its checksum");
        std::fs::write(&path, &whole).unwrap();
        assert_eq!(load(&store, KEY, 7).unwrap_err(), "it is of step 7, of 7 in all");
        std::fs::rename(&path, store.part("r1123456789ab", ENDING)).unwrap();
        assert_eq!(load(&store, "r1123456789ab", 10).unwrap_err(), "it is that of another run");
        // Whoever seals a wrong step is found out as well, at once.
        let far = Checkpoint { step: 1 << 62, ..sample() };
        save(&store, KEY, &far).unwrap();
        assert!(load(&store, KEY, 10).unwrap_err().contains("of 10 in all"));
    }

    #[test]
    fn names_in_a_folder_from_elsewhere_reach_no_other_file() {
        let folder = tempfile::tempdir().unwrap();
        let mine = folder.path().join("mine.txt");
        std::fs::write(&mine, "mine").unwrap();
        let store = Store::make(&folder.path().join("out")).unwrap();
        for target in [mine.to_str().unwrap(), "../../mine.txt"] {
            let text = format!(
                "{{\"step\":3,\"tensors\":\"{target}\",\"points\":\"step,metric,value\\n\",\
                 \"refused\":{{}},\"skipped\":0}}"
            );
            let older = store.part(KEY, "checkpoint.json");
            std::fs::write(&older, text).unwrap();
            std::fs::write(store.part(KEY, "3.safetensors"), "tensors").unwrap();
            #[cfg(unix)]
            std::os::unix::fs::symlink(&mine, store.part(KEY, ENDING)).unwrap();
            #[cfg(unix)]
            assert!(load(&store, KEY, 10).is_err());
            save(&store, KEY, &sample()).unwrap();
            remove(&store, KEY);
            assert_eq!(std::fs::read_to_string(&mine).unwrap(), "mine");
            assert_eq!(store.run_files(), Vec::<String>::new());
        }
    }
}
