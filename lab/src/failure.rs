//! How a command fails: one line on standard error and an exit code.

use crate::text;
use std::fmt;
use std::path::Path;
use varangian_base::SpecError;

/// Exit code of a run that did not do all it was asked to.
const FAILED: u8 = 1;
/// Exit code of an order that cannot be carried out.
const REFUSED: u8 = 2;
/// Exit code after Ctrl-C, as shells have it.
const INTERRUPTED: u8 = 130;

/// Why a command stopped: its exit code, and one line for the reader.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    code: u8,
    text: String,
    /// Whether the text keeps its lines; else it is one.
    lines: bool,
}

impl Failure {
    /// The order itself is wrong (arguments, configuration, input files): code 2, nothing done.
    pub fn refused(text: impl Into<String>) -> Self {
        Failure { code: REFUSED, text: text.into(), lines: false }
    }

    /// The order was right and something went wrong while it was carried out: code 1.
    pub fn failed(text: impl Into<String>) -> Self {
        Failure { code: FAILED, text: text.into(), lines: false }
    }

    /// A shard's share is done, and what follows waits for the other shards: code 0.
    pub fn waiting(text: impl Into<String>) -> Self {
        Failure { code: 0, text: text.into(), lines: false }
    }

    /// Ctrl-C: what was done is kept; code 130.
    pub fn interrupted(text: impl Into<String>) -> Self {
        Failure { code: INTERRUPTED, text: text.into(), lines: false }
    }

    /// A file or folder that cannot be read or written: code 2. `verb` is what was tried.
    pub fn file(verb: &str, path: &Path, error: &dyn fmt::Display) -> Self {
        Failure::refused(format!("cannot {verb} {}: {error}", path.display()))
    }

    /// A command line that cannot be read: code 2. The text is that of its reader, several lines
    /// with the usage.
    pub fn usage(text: &str) -> Self {
        Failure { code: REFUSED, text: text.to_owned(), lines: true }
    }

    /// The exit code.
    pub fn code(&self) -> u8 {
        self.code
    }

    /// A failure of the same kind with another text.
    pub fn saying(&self, text: String) -> Self {
        Failure { text, ..self.clone() }
    }

    /// The same failure with where it happened in front.
    pub fn at(self, place: impl fmt::Display) -> Self {
        Failure { text: format!("{place}: {}", self.text), ..self }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.lines {
            true => f.write_str(&text::shown(&self.text)),
            false => f.write_str(&text::one_line(&self.text)),
        }
    }
}

impl std::error::Error for Failure {}

impl From<SpecError> for Failure {
    fn from(error: SpecError) -> Self {
        Failure::refused(error.to_string())
    }
}
