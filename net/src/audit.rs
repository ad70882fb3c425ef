//! The audit: what the server was sent, what it said of it and what it made of it, as a log that
//! can be checked afterwards.
//!
//! `audit.jsonl` has one object a line, `{"chain":…,"entry":…}`. The chain is BLAKE3 of the chain
//! before and the bytes of the entry: a line that is changed, taken out or put in breaks all that
//! follow. An entry is a [`Begin`], a [`Step`] or a [`Message`]. With [`Level::Rows`] the bodies of
//! all admitted messages stand one after the other in `audit.rows`, as they came.

mod log;

pub(crate) use log::Log;

use crate::Trouble;
use crate::shared::digest;
use serde::{Deserialize, Serialize};
use std::fs::File;
use std::io::{BufRead, BufReader, Seek, SeekFrom};
use std::path::{Path, PathBuf};

/// The name of the log in its folder.
pub const LINES: &str = "audit.jsonl";
/// The name of the file of bodies.
pub const ROWS: &str = "audit.rows";
/// The version of the log.
const VERSION: u32 = 1;
/// The longest line that is read: a step of some thousands of workers.
const LONGEST: u64 = 64 << 20;

/// How much is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Level {
    /// Digests of messages, aggregates and parameters.
    Digests,
    /// Also the messages themselves.
    Rows,
}

/// Where the audit is kept, and how much of it.
#[derive(Clone, Debug)]
pub struct Audit {
    /// The folder.
    pub folder: PathBuf,
    /// How much.
    pub level: Level,
}

/// A start of the server.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Begin {
    /// The version of the log.
    pub version: u32,
    /// This start.
    pub run: u64,
    /// The step that comes next: what the log says of it and of later ones before this line was
    /// undone by the restart. In asynchronous training, of messages judged.
    pub from: u64,
    /// How much is kept.
    pub level: Level,
    /// The codec of messages.
    pub codec: String,
    /// The Ed25519 key of this start's receipts, hexadecimal.
    pub receipt_key: String,
    /// The settings of the run.
    pub settings: String,
}

/// One message that was looked at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Message {
    /// Who sent it.
    pub worker: u32,
    /// Its number; in rounds, the step.
    pub number: u64,
    /// In asynchronous training, the version of its model.
    pub version: u64,
    /// BLAKE3 of its bytes, hexadecimal.
    pub digest: String,
    /// Why it was refused; empty where it was admitted.
    pub reason: String,
    /// What was found, where it was refused.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub detail: String,
    /// Where its bytes begin in the file of rows, and how many they are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<(u64, u64)>,
    /// In asynchronous training, what became of it.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub fate: String,
    /// In asynchronous training, BLAKE3 of the parameters after it, where they moved.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub parameters: String,
}

/// One round that was closed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Step {
    /// Which.
    pub step: u64,
    /// Every message for it, in the order of their coming.
    pub messages: Vec<Message>,
    /// The workers whose messages the rule saw.
    pub ids: Vec<u32>,
    /// Hostile rows that the rule reckoned with.
    pub f: usize,
    /// Why no step was made, if none was.
    pub skipped: Option<String>,
    /// BLAKE3 of the aggregate, as 32-bit floats.
    pub aggregate: String,
    /// BLAKE3 of the parameters after the step.
    pub parameters: String,
}

/// A line's content.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Entry {
    /// A start of the server.
    Begin(Begin),
    /// A round.
    Step(Step),
    /// A message in asynchronous training.
    Message(Message),
}

fn whole_text(path: &Path, why: &str) -> String {
    format!("{}: {why}", path.display())
}

/// BLAKE3 of numbers as they travel, in hexadecimal digits.
pub fn digest_of(numbers: &[f32]) -> String {
    hex(&digest(numbers))
}

/// Bytes in hexadecimal digits.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The chain after an entry.
fn linked(chain: &str, entry: &str) -> String {
    let mut hasher = blake3::Hasher::new();
    hasher.update(chain.as_bytes());
    hasher.update(entry.as_bytes());
    hasher.finalize().to_hex().to_string()
}

/// A line of a log, and whether its chain holds.
struct Line {
    chain: String,
    entry: String,
    /// Whether it ends as lines do; the last one of a crash may not.
    is_whole: bool,
    /// The bytes up to its end.
    end: u64,
}

/// Reads lines and checks their chain.
struct Lines<'a> {
    file: BufReader<&'a mut File>,
    chain: String,
    number: u64,
    end: u64,
}

impl<'a> Lines<'a> {
    fn of(file: &'a mut File) -> Self {
        Lines { file: BufReader::new(file), chain: String::new(), number: 0, end: 0 }
    }

    fn next(&mut self) -> Result<Option<Line>, String> {
        let mut bytes = Vec::new();
        let mut limited = std::io::Read::take(&mut self.file, LONGEST);
        let count = limited.read_until(b'\n', &mut bytes).map_err(|error| error.to_string())?;
        if count == 0 {
            return Ok(None);
        }
        self.number += 1;
        let line = self.number;
        let is_whole = bytes.last() == Some(&b'\n');
        if !is_whole && count as u64 == LONGEST {
            return Err(format!("line {line} is longer than the {LONGEST} bytes of the longest"));
        }
        let parts = std::str::from_utf8(&bytes).ok().and_then(|text| {
            let rest = text.strip_prefix("{\"chain\":\"")?;
            let (chain, rest) = rest.split_once("\",\"entry\":")?;
            Some((chain.to_owned(), rest.strip_suffix("}\n")?.to_owned()))
        });
        let Some((chain, entry)) = parts else {
            return if is_whole {
                Err(format!("line {line} is no line of an audit"))
            } else {
                let (chain, entry) = (self.chain.clone(), String::new());
                Ok(Some(Line { chain, entry, is_whole, end: self.end }))
            };
        };
        if linked(&self.chain, &entry) != chain {
            return Err(format!(
                "the chain breaks at line {line}: that line, or one before it, was changed, taken \
                 out or put in"
            ));
        }
        self.chain.clone_from(&chain);
        self.end += count as u64;
        Ok(Some(Line { chain, entry, is_whole, end: self.end }))
    }
}

/// What an audit says.
pub struct Read {
    /// Its entries, whose chain was checked.
    pub entries: Vec<Entry>,
    /// Whether bytes that are no line follow: what a crash left, or somebody cut.
    pub is_cut: bool,
}

/// The audit in a folder.
///
/// # Errors
/// If the file cannot be read, is no audit, or the chain breaks.
pub fn read(folder: &Path) -> Result<Read, Trouble> {
    let path = folder.join(LINES);
    let failed = |why: String| Trouble(whole_text(&path, &why));
    let mut file = plain(&path)?;
    let mut lines = Lines::of(&mut file);
    let (mut entries, mut is_cut) = (Vec::new(), false);
    while let Some(line) = lines.next().map_err(failed)? {
        if !line.is_whole {
            is_cut = true;
            break;
        }
        let number = lines.number;
        let entry = serde_json::from_str(&line.entry)
            .map_err(|error| failed(format!("line {number}: {error}")))?;
        if let Entry::Begin(Begin { version, .. }) = &entry
            && *version != VERSION
        {
            return Err(failed(format!(
                "audits of version {VERSION} are read; found version {version}"
            )));
        }
        entries.push(entry);
    }
    Ok(Read { entries, is_cut })
}

/// A plain file, open for reading.
fn plain(path: &Path) -> Result<File, Trouble> {
    let failed = |error: std::io::Error| Trouble(whole_text(path, &error.to_string()));
    if !std::fs::metadata(path).map_err(failed)?.is_file() {
        return Err(Trouble(whole_text(path, "an audit is a plain file")));
    }
    File::open(path).map_err(failed)
}

/// The bodies of an audit's messages.
pub struct Bodies {
    file: File,
    path: PathBuf,
}

impl Bodies {
    /// Those in this folder.
    ///
    /// # Errors
    /// If there is no such file.
    pub fn open(folder: &Path) -> Result<Self, Trouble> {
        let path = folder.join(ROWS);
        Ok(Bodies { file: plain(&path)?, path })
    }

    /// The bytes of a message, of at most `most`; they are checked against its digest.
    ///
    /// # Errors
    /// If they are not there, or not those that the digest is of.
    pub fn read(&mut self, message: &Message, most: usize) -> Result<Vec<u8>, Trouble> {
        let Message { worker, number, digest, .. } = message;
        let failed = |why: String| {
            let path = self.path.display();
            Trouble(format!("{path}: message {number} of worker {worker}: {why}"))
        };
        let (at, len) = message.at.ok_or_else(|| failed("its bytes were not kept".into()))?;
        if len > most as u64 {
            return Err(failed(format!("messages are at most {most} bytes; found {len}")));
        }
        let mut bytes = vec![0; len as usize];
        let mut file = &self.file;
        file.seek(SeekFrom::Start(at)).map_err(|error| failed(error.to_string()))?;
        let read = std::io::Read::read_exact(&mut file, &mut bytes);
        read.map_err(|error| failed(error.to_string()))?;
        let found = blake3::hash(&bytes).to_hex().to_string();
        if found != *digest {
            return Err(failed(format!("its bytes have the digest {found}; it was {digest}")));
        }
        Ok(bytes)
    }
}
