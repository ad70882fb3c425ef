//! What a worker elsewhere remembers between two steps, in a file of its own: a line of JSON with
//! checksums, then a safetensors file, as checkpoints are.

use super::checkpoint::{pack, unpack};
use super::record::{self, BLANK};
use crate::{Failure, files};
use serde::{Deserialize, Serialize};
use std::path::Path;
use varangian_base::Memory;

/// The version of the file.
const VERSION: u32 = 1;

/// The first line. Its checksum comes first.
#[derive(Serialize, Deserialize)]
struct Head {
    check: String,
    version: u32,
    /// Whose state it is.
    of: String,
    /// The step that comes next.
    next: u64,
    /// BLAKE3 of the tensors' bytes.
    tensors: String,
}

/// Keeps the state of `of` for the step `next` at `path`, in place of an older one: whole or not
/// at all.
///
/// # Errors
/// If the file cannot be written.
pub fn save(path: &Path, of: &str, next: u64, memory: &Memory) -> Result<(), Failure> {
    let tensors = pack(memory);
    let hash = blake3::hash(&tensors).to_hex().to_string();
    let head =
        Head { check: BLANK.into(), version: VERSION, of: of.to_owned(), next, tensors: hash };
    let head = record::sealed(&serde_json::to_string(&head).expect("plain values"));
    files::write_to(path, &[head.as_bytes(), b"\n", &tensors].concat())
}

/// The state of `of` at `path` and the step that it is for; nothing where there is no file.
///
/// # Errors
/// If the file cannot be read, was cut or edited, or is the state of another.
pub fn load(path: &Path, of: &str) -> Result<Option<(u64, Memory)>, Failure> {
    let fail = |text: &str| Failure::refused(format!("{}: {text}", path.display()));
    let bytes = match std::fs::metadata(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Ok(about) if !about.is_file() => return Err(fail("a state is a plain file")),
        Ok(about) if about.len() > files::TABLE => {
            let (most, found) = (files::TABLE, about.len());
            return Err(fail(&format!("a state has at most {most} bytes; found {found}")));
        }
        _ => std::fs::read(path).map_err(|error| Failure::file("read", path, &error))?,
    };
    let damaged = || fail("it is no state, or was cut or edited; remove it to begin without one");
    let end = bytes.iter().position(|&byte| byte == b'\n').ok_or_else(damaged)?;
    let text = std::str::from_utf8(&bytes[..end]).map_err(|_| damaged())?;
    let head: Head = serde_json::from_str(text).map_err(|_| damaged())?;
    if head.version != VERSION {
        let found = head.version;
        return Err(fail(&format!("states of version {VERSION} are read; found version {found}")));
    }
    let hash = blake3::hash(&bytes[end + 1..]).to_hex();
    if !record::is_sealed(text, &head.check) || hash.as_str() != head.tensors {
        return Err(damaged());
    }
    if head.of != of {
        return Err(fail(&format!("it is the state of {}; this is {of}", head.of)));
    }
    let memory = unpack(&bytes[end + 1..]).ok_or_else(damaged)?;
    Ok(Some((head.next, memory)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use varangian_base::Value;

    #[test]
    fn a_state_comes_back_and_a_damaged_or_another_one_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state");
        assert!(load(&path, "worker 1").unwrap().is_none());
        let mut memory = Memory::default();
        memory.put("momentum", Value::Floats(vec![1.5, -0.0, f32::MIN_POSITIVE]));
        save(&path, "worker 1", 7, &memory).unwrap();
        assert_eq!(load(&path, "worker 1").unwrap(), Some((7, memory)));
        let why = load(&path, "worker 2").unwrap_err().to_string();
        assert!(why.ends_with("it is the state of worker 1; this is worker 2"), "{why}");
        let whole = std::fs::read(&path).unwrap();
        for place in 0..whole.len() {
            let mut bytes = whole.clone();
            bytes[place] ^= 1;
            std::fs::write(&path, &bytes).unwrap();
            assert!(load(&path, "worker 1").is_err(), "a bit of byte {place}");
            std::fs::write(&path, &whole[..place]).unwrap();
            assert!(load(&path, "worker 1").is_err(), "cut at {place}");
        }
        assert!(load(folder.path(), "worker 1").unwrap_err().to_string().contains("plain file"));
    }
}
