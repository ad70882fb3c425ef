//! The log as a server that runs writes it.

use super::{
    Audit, Begin, Entry, LINES, Level, Lines, Message, ROWS, Step, VERSION, digest_of, hex, linked,
    whole_text,
};
use crate::Trouble;
use crate::shared::{Letter, Shared};
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use varangian_train::{Refusal, Server};

/// The log of a server that runs.
pub(crate) struct Log {
    lines: File,
    rows: Option<File>,
    at: u64,
    chain: String,
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
        let failed = |error: std::io::Error| Trouble(format!("{}: {error}", path.display()));
        let mut options = OpenOptions::new();
        options.read(true).append(true).create(true).mode(0o600);
        let mut lines = options.open(&path).map_err(failed)?;
        let (mut chain, mut whole) = (String::new(), 0);
        let mut reader = Lines::of(&mut lines);
        while let Some(line) = reader.next().map_err(|why| Trouble(whole_text(&path, &why)))? {
            match line.is_whole {
                true => (chain, whole) = (line.chain, line.end),
                false => break,
            }
        }
        lines.set_len(whole).map_err(failed)?;
        let path = audit.folder.join(ROWS);
        let rows = (audit.level == Level::Rows).then(|| options.open(&path)).transpose();
        let failed = |error: std::io::Error| Trouble(format!("{}: {error}", path.display()));
        let rows = rows.map_err(failed)?;
        let at = rows.as_ref().map_or(Ok(0), |file| file.metadata().map(|about| about.len()));
        let at = at.map_err(failed)?;
        Ok(Log { lines, rows, at, chain, begun: false, messages: Vec::new(), trouble: None })
    }

    /// Says that the server was started, before its first step; nothing the next times.
    pub(crate) fn begin(&mut self, from: u64, shared: &Shared) {
        if std::mem::replace(&mut self.begun, true) {
            return;
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

    /// Keeps the body of an admitted message, where bodies are kept: where it stands.
    pub(crate) fn keep(&mut self, body: &[u8]) -> Option<(u64, u64)> {
        let rows = self.rows.as_mut()?;
        let (at, len) = (self.at, body.len() as u64);
        match rows.write_all(body) {
            Ok(()) => self.at += len,
            Err(error) => self.fail(&error),
        }
        Some((at, len))
    }

    /// Adds a line.
    pub(crate) fn write(&mut self, entry: &Entry) {
        let entry = serde_json::to_string(entry).expect("plain values");
        let chain = linked(&self.chain, &entry);
        let line = format!("{{\"chain\":\"{chain}\",\"entry\":{entry}}}\n");
        match self.lines.write_all(line.as_bytes()) {
            Ok(()) => self.chain = chain,
            Err(error) => self.fail(&error),
        }
    }

    /// Waits until all that was written is on the disk.
    pub(crate) fn sync(&self) {
        let done = self.rows.as_ref().map_or(Ok(()), File::sync_data);
        if let Err(error) = done.and_then(|()| self.lines.sync_data()) {
            tracing::error!("the audit may not be on the disk: {error}");
        }
    }

    fn fail(&mut self, error: &std::io::Error) {
        let text = format!("the audit cannot be written: {error}");
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
            at,
            fate: String::new(),
            parameters: String::new(),
        }
    }
}
