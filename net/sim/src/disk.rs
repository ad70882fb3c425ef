//! The server's disk: what was synchronised is there after a crash, and nothing else can be relied
//! on.
//!
//! *Differs:* the command keeps its state by `varangian-lab`, which writes beside the old file,
//! synchronises and renames. This is that protocol in memory, so that every moment of it can be a
//! crash; the files themselves are killed and read in `varangian/tests/network.rs`.

use varangian_base::{Memory, Value};

/// The points of keeping a state, in their order.
pub const POINTS: &[&str] = &[
    "checkpoint packed",
    "checkpoint written",
    "checkpoint synchronised",
    "checkpoint renamed",
    "checkpoint kept",
];

/// A file: its bytes, and whether they are there after a crash.
#[derive(Clone, Debug)]
struct File {
    bytes: Vec<u8>,
    synchronised: bool,
}

/// Two names: the state's, and the one that it is written under.
#[derive(Debug, Default)]
pub struct Disk {
    kept: Option<File>,
    beside: Option<File>,
    /// The file before it, until the rename itself is synchronised.
    before: Option<Option<File>>,
    /// Writes that find no room from now on.
    pub full: u64,
}

impl Disk {
    /// Writes beside what is kept; `torn`: only a part of it.
    ///
    /// # Errors
    /// If there is no room; a part is there then.
    pub fn write(&mut self, bytes: &[u8], torn: bool) -> Result<(), String> {
        let is_full = self.full > 0;
        self.full -= u64::from(is_full);
        let part = if torn || is_full { bytes.len() / 2 } else { bytes.len() };
        self.beside = Some(File { bytes: bytes[..part].to_vec(), synchronised: false });
        if is_full { Err("no space left on device".into()) } else { Ok(()) }
    }

    /// What was written is there after a crash.
    pub fn synchronise(&mut self) {
        self.beside.as_mut().expect("it was written").synchronised = true;
    }

    /// Takes the place of what was kept; that is certain only from the next call on.
    pub fn rename(&mut self) {
        self.before = Some(self.kept.take());
        self.kept = self.beside.take();
    }

    /// The folder is synchronised.
    pub fn settle(&mut self) {
        self.before = None;
    }

    /// The power is cut: `late` says whether what was not certain had come to the disk.
    pub fn crash(&mut self, late: bool) {
        self.beside = None;
        if let Some(before) = self.before.take()
            && !late
        {
            self.kept = before;
        }
        if let Some(kept) = &mut self.kept
            && !kept.synchronised
        {
            let part = kept.bytes.len() / 2;
            kept.bytes.truncate(part);
        }
    }

    /// What is kept.
    pub fn read(&self) -> Option<&[u8]> {
        self.kept.as_ref().map(|file| file.bytes.as_slice())
    }
}

/// A state as bytes, with their digest before them.
pub fn pack(memory: &Memory) -> Vec<u8> {
    let mut body = Vec::new();
    let word = |body: &mut Vec<u8>, x: usize| body.extend((x as u64).to_le_bytes());
    for (name, value) in &memory.values {
        word(&mut body, name.len());
        body.extend(name.as_bytes());
        match value {
            Value::Floats(x) => {
                word(&mut body, 0);
                word(&mut body, x.len());
                body.extend(x.iter().flat_map(|x| u64::from(x.to_bits()).to_le_bytes()));
            }
            Value::Doubles(x) => {
                word(&mut body, 1);
                word(&mut body, x.len());
                body.extend(x.iter().flat_map(|x| x.to_bits().to_le_bytes()));
            }
            Value::Integers(x) => {
                word(&mut body, 2);
                word(&mut body, x.len());
                body.extend(x.iter().flat_map(|x| x.to_le_bytes()));
            }
        }
    }
    [blake3::hash(&body).as_bytes(), &body[..]].concat()
}

/// The state that these bytes are, if they are whole.
pub fn unpack(bytes: &[u8]) -> Option<Memory> {
    let (digest, mut body) = bytes.split_at_checked(32)?;
    if blake3::hash(body).as_bytes() != digest {
        return None;
    }
    let mut memory = Memory::default();
    while !body.is_empty() {
        let name = {
            let length = word(&mut body)? as usize;
            let (name, rest) = body.split_at_checked(length)?;
            body = rest;
            std::str::from_utf8(name).ok()?.to_owned()
        };
        let (kind, length) = (word(&mut body)?, word(&mut body)?);
        let words: Vec<u64> = (0..length).map(|_| word(&mut body)).collect::<Option<_>>()?;
        let value = match kind {
            0 => Value::Floats(words.iter().map(|&x| f32::from_bits(x as u32)).collect()),
            1 => Value::Doubles(words.iter().map(|&x| f64::from_bits(x)).collect()),
            _ => Value::Integers(words),
        };
        memory.put(&name, value);
    }
    Some(memory)
}

fn word(body: &mut &[u8]) -> Option<u64> {
    let (word, rest) = body.split_first_chunk::<8>()?;
    *body = rest;
    Some(u64::from_le_bytes(*word))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_state_comes_back_and_a_part_of_it_is_none() {
        let mut memory = Memory::default();
        memory.put("params", Value::Floats(vec![1.5, -0.0, f32::MAX]));
        memory.put("sum", Value::Doubles(vec![1e-310]));
        memory.put("step", Value::Integers(vec![u64::MAX, 3]));
        let bytes = pack(&memory);
        assert_eq!(unpack(&bytes), Some(memory));
        assert_eq!(unpack(&bytes[..bytes.len() / 2]), None);
    }

    #[test]
    fn what_was_not_synchronised_is_lost_in_a_crash() {
        let mut disk = Disk::default();
        disk.write(b"one!", false).unwrap();
        disk.synchronise();
        disk.rename();
        disk.settle();
        disk.write(b"two!", false).unwrap();
        disk.crash(true);
        assert_eq!(disk.read(), Some(&b"one!"[..]));
        disk.write(b"two!", false).unwrap();
        disk.synchronise();
        disk.rename();
        disk.crash(false);
        assert_eq!(disk.read(), Some(&b"one!"[..]));
        // Whoever renames before it has synchronised has a part of a file.
        disk.write(b"two!", false).unwrap();
        disk.rename();
        disk.crash(true);
        assert_eq!(disk.read(), Some(&b"tw"[..]));
        disk.full = 1;
        assert!(disk.write(b"two!", false).is_err());
        assert!(disk.write(b"two!", false).is_ok());
    }
}
