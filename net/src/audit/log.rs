//! The log as a server that runs writes it.

use super::{
    Audit, Begin, Entry, LINES, Level, Lines, Message, ROWS, Step, VERSION, digest_of, hex, linked,
    whole_text,
};
use crate::Trouble;
use crate::shared::{Letter, Shared};
use std::fs::{File, OpenOptions, Permissions};
use std::io::Write;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::Path;
use varangian_train::{Refusal, Server};

/// The log of a server that runs.
pub(crate) struct Log {
    lines: File,
    rows: Option<File>,
    at: u64,
    chain: String,
    /// Bytes of the log.
    end: u64,
    /// The step after the last one that the log has, or the messages judged.
    reached: u64,
    begun: bool,
    /// The messages of the open round.
    pub(crate) messages: Vec<Message>,
    /// Why the log ended, if it did.
    trouble: Option<String>,
}

impl Log {
    /// Goes on with the log in the folder, or begins one. What a crash left half-written at the
    /// end of it is cut off.
    pub(crate) fn open(audit: &Audit) -> Result<Self, Trouble> {
        let path = audit.folder.join(LINES);
        let failed = |why: String| Trouble(whole_text(&path, &why));
        let mut lines = opened(&path)?;
        let (mut chain, mut whole, mut reached) = (String::new(), 0, 0);
        let mut reader = Lines::of(&mut lines);
        while let Some(line) = reader.next().map_err(failed)?.filter(|line| line.is_whole) {
            let entry =
                serde_json::from_str(&line.entry).map_err(|error| failed(error.to_string()))?;
            reached = after(reached, &entry);
            (chain, whole) = (line.chain, line.end);
        }
        let len = lines.metadata().map_err(|error| failed(error.to_string()))?.len();
        if whole == 0 && len > 0 {
            return Err(failed("an audit goes on there; found what is none".into()));
        }
        lines.set_len(whole).map_err(|error| failed(error.to_string()))?;
        let rows = match audit.level {
            Level::Rows => Some(opened(&audit.folder.join(ROWS))?),
            Level::Digests => None,
        };
        let at = rows.as_ref().map_or(Ok(0), |file| file.metadata().map(|about| about.len()));
        let at = at.map_err(|error| failed(error.to_string()))?;
        let (begun, messages, trouble) = (false, Vec::new(), None);
        let end = whole;
        Ok(Log { lines, rows, at, chain, end, reached, begun, messages, trouble })
    }

    /// Says that the server was started, before its first step; nothing the next times.
    pub(crate) fn begin(&mut self, from: u64, shared: &Shared) {
        if std::mem::replace(&mut self.begun, true) {
            return;
        }
        if self.reached < from {
            let reached = self.reached;
            return self.fail(&format!(
                "it ends at step {reached} and the run goes on at step {from}; move it away to \
                 begin another"
            ));
        }
        let level = if self.rows.is_some() { Level::Rows } else { Level::Digests };
        self.write(&Entry::Begin(Begin {
            version: VERSION,
            run: shared.run,
            from,
            level,
            codec: shared.terms.letter.codec.to_string(),
            receipt_key: hex(shared.signer.key()),
            settings: shared.terms.settings.clone(),
        }));
    }

    /// Adds the line of the round that the server has just closed.
    pub(crate) fn close(&mut self, server: &Server) {
        let closed = server.closed();
        let messages = std::mem::take(&mut self.messages);
        self.write(&Entry::Step(Step {
            step: closed.step,
            messages,
            ids: closed.ids.clone(),
            f: closed.f,
            skipped: closed.skipped.clone(),
            aggregate: digest_of(server.aggregate()),
            parameters: digest_of(server.params()),
        }));
    }

    /// Keeps the body of a message, where bodies are kept: where it stands. Where it cannot be
    /// written there is trouble, and the message is not to be taken.
    pub(crate) fn keep(&mut self, body: &[u8]) -> Option<(u64, u64)> {
        let rows = self.rows.as_mut()?;
        let (at, len) = (self.at, body.len() as u64);
        if let Err(error) = rows.write_all(body) {
            // What was half-written is of no use.
            let _ = rows.set_len(at);
            self.fail(&error);
            return None;
        }
        self.at += len;
        Some((at, len))
    }

    /// Adds a line.
    pub(crate) fn write(&mut self, entry: &Entry) {
        let entry = serde_json::to_string(entry).expect("plain values");
        let chain = linked(&self.chain, &entry);
        let line = format!("{{\"chain\":\"{chain}\",\"entry\":{entry}}}\n");
        match self.lines.write_all(line.as_bytes()) {
            Ok(()) => (self.chain, self.end) = (chain, self.end + line.len() as u64),
            Err(error) => {
                let _ = self.lines.set_len(self.end);
                self.fail(&error);
            }
        }
    }

    /// Waits until all that was written is on the disk.
    pub(crate) fn sync(&self) {
        let done = self.rows.as_ref().map_or(Ok(()), File::sync_data);
        if let Err(error) = done.and_then(|()| self.lines.sync_data()) {
            tracing::error!("the audit may not be on the disk: {error}");
        }
    }

    fn fail(&mut self, error: &dyn std::fmt::Display) {
        let text = format!("the audit cannot go on: {error}");
        if self.trouble.is_none() {
            tracing::error!("{text}; the server stops");
        }
        self.trouble.get_or_insert(text);
    }

    /// Why nothing more is kept: a server that was asked for an audit then ends.
    pub(crate) fn trouble(&self) -> Option<&str> {
        self.trouble.as_deref()
    }
}

/// A file of the audit: a plain one, its owner's alone, and no link that leads elsewhere.
fn opened(path: &Path) -> Result<File, Trouble> {
    let failed = |error: std::io::Error| Trouble(whole_text(path, &error.to_string()));
    if let Ok(there) = std::fs::symlink_metadata(path)
        && !there.is_file()
    {
        return Err(Trouble(whole_text(path, "an audit is a plain file, and no link")));
    }
    let mut options = OpenOptions::new();
    let options = options.read(true).append(true).create(true).mode(0o600);
    let file = options.open(path).map_err(failed)?;
    file.set_permissions(Permissions::from_mode(0o600)).map_err(failed)?;
    Ok(file)
}

/// The step after the last one that a log has, after one more entry.
fn after(reached: u64, entry: &Entry) -> u64 {
    match entry {
        Entry::Begin(begin) => reached.min(begin.from),
        Entry::Step(step) => step.step + 1,
        Entry::Message(message) => reached + u64::from(!message.fate.is_empty()),
    }
}

impl Message {
    pub(crate) fn of(letter: &Letter, refusal: Option<&Refusal>, at: Option<(u64, u64)>) -> Self {
        let reason = refusal.map_or_else(String::new, |refusal| refusal.reason.name().to_owned());
        Message {
            worker: letter.worker,
            number: letter.number,
            version: letter.version,
            digest: hex(&letter.digest),
            reason,
            detail: refusal.map_or_else(String::new, |refusal| refusal.detail.clone()),
            at: at.filter(|_| refusal.is_none()),
            fate: String::new(),
            parameters: String::new(),
        }
    }
}
