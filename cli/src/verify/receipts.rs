//! A worker's receipts beside the audit: each is the server's, and of a message that stands there.

use crate::Failure;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use varangian_net::Kept;
use varangian_net::audit::{Entry, Message};

/// The largest file of receipts that is read.
const LARGEST: u64 = 1 << 30;

/// A file of receipts, all of which are the server's.
pub(super) struct Checked {
    pub(super) path: PathBuf,
    pub(super) count: u64,
    /// How many of them are of rounds that a crash left open or a restart undid.
    pub(super) undone: u64,
}

impl Checked {
    /// What is told of it, in a line.
    pub(super) fn text(&self) -> String {
        let more = match self.undone {
            0 => String::new(),
            undone => format!(" ({undone} of rounds that a crash left open or a restart undid)"),
        };
        format!("{} receipts of {} are the server's{more}", self.count, self.path.display())
    }
}

/// Checks the receipts of a file.
///
/// # Errors
/// Names the first that the server did not give, or whose message the log does not have.
pub(super) fn check(path: &Path, entries: &[Entry]) -> Result<Checked, Failure> {
    let about = std::fs::metadata(path).map_err(|error| Failure::file("read", path, &error))?;
    if !about.is_file() || about.len() > LARGEST {
        let path = path.display();
        return Err(Failure::refused(format!(
            "{path}: receipts are a plain file of at most {LARGEST} bytes"
        )));
    }
    let text = std::fs::read_to_string(path);
    let text = text.map_err(|error| Failure::file("read", path, &error))?;
    let (starts, logged) = logged(entries);
    let (mut count, mut undone) = (0, 0);
    for (number, line) in (1..).zip(text.lines()) {
        let failed =
            |why: String| Failure::failed(format!("{} line {number}: {why}", path.display()));
        let kept: Kept = match serde_json::from_str(line) {
            Ok(kept) => kept,
            // A worker that was killed may have left half of its last line.
            Err(_) if !text.ends_with('\n') && number == text.lines().count() => break,
            Err(error) => return Err(failed(format!("no receipt: {error}"))),
        };
        let Some(start) = starts.get(&kept.run) else {
            return Err(failed(format!("the audit knows no start {} of the server", kept.run)));
        };
        if !kept.is_signed(start.key) {
            return Err(failed("the signature is not the server's: it was changed".into()));
        }
        let place = (kept.run, kept.worker, kept.number, kept.digest.as_str());
        let said = |message: &&Message| message.reason == kept.reason;
        let stands = logged.get(&place).is_some_and(|all| all.iter().any(said));
        if kept.admitted && !stands && start.undid(kept.number) {
            undone += 1;
        } else if kept.admitted && !stands {
            let (worker, number) = (kept.worker, kept.number);
            return Err(failed(format!(
                "the server took message {number} of worker {worker}, and its audit has no such \
                 message"
            )));
        }
        count += 1;
    }
    Ok(Checked { path: path.to_owned(), count, undone })
}

/// Start, worker, number and digest of a message.
type Place<'a> = (u64, u32, u64, &'a str);

/// A start of the server.
struct Start<'a> {
    key: &'a str,
    /// The step from which the next start began: what this one did from there on was undone.
    until: Option<u64>,
    /// The last round that it closed.
    last: Option<u64>,
    in_rounds: bool,
}

impl Start<'_> {
    /// Whether a message of this round may have been taken without a trace: the round was left open
    /// by a crash, or undone by the restart after it.
    fn undid(&self, number: u64) -> bool {
        let open = self.last.is_none_or(|last| number > last);
        self.in_rounds && (open || self.until.is_some_and(|until| number >= until))
    }
}

/// The starts, and the messages of each.
fn logged(entries: &[Entry]) -> (BTreeMap<u64, Start<'_>>, BTreeMap<Place<'_>, Vec<&Message>>) {
    let (mut starts, mut found) = (BTreeMap::<u64, Start<'_>>::new(), BTreeMap::new());
    let in_rounds = !entries.iter().any(|entry| matches!(entry, Entry::Message(_)));
    let mut run = None;
    for entry in entries {
        let messages = match entry {
            Entry::Begin(begin) => {
                if let Some(start) = run.and_then(|run| starts.get_mut(&run)) {
                    start.until = Some(begin.from);
                }
                run = Some(begin.run);
                let key = begin.receipt_key.as_str();
                starts.insert(begin.run, Start { key, until: None, last: None, in_rounds });
                continue;
            }
            Entry::Step(step) => {
                if let Some(start) = run.and_then(|run| starts.get_mut(&run)) {
                    start.last = Some(step.step);
                }
                step.messages.as_slice()
            }
            Entry::Message(message) => std::slice::from_ref(message),
        };
        for message in messages {
            let digest = message.digest.as_str();
            let place = (run.unwrap_or_default(), message.worker, message.number, digest);
            found.entry(place).or_insert_with(Vec::new).push(message);
        }
    }
    (starts, found)
}
