//! What can be wrong with data: one line that names the file, what was expected, what was found.

use std::fmt;
use std::path::Path;
use varangian_base::SpecError;

/// Data that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DataError {
    text: String,
    missing: bool,
}

impl DataError {
    /// An error with this text, one line without a final stop. Control characters, which names of
    /// files and classes may hold, are shown as blanks: they would command a terminal.
    pub fn new(text: impl Into<String>) -> Self {
        DataError { text: printable(&text.into()), missing: false }
    }

    /// A file or folder that is not there.
    pub fn missing(text: impl Into<String>) -> Self {
        DataError { text: printable(&text.into()), missing: true }
    }

    /// Whether the data are not there at all, rather than there and wrong.
    pub fn is_missing(&self) -> bool {
        self.missing
    }

    /// The same error with the file it was found in.
    pub fn at(self, file: &Path) -> Self {
        let file = printable(&file.display().to_string());
        DataError { text: format!("{file}: {}", self.text), ..self }
    }

    /// Something that should have been `expected` but is `found`.
    pub fn expected(what: &str, expected: impl fmt::Display, found: impl fmt::Display) -> Self {
        DataError::new(format!("{what}: expected {expected}, found {found}"))
    }
}

/// The text with blanks for control characters.
pub(crate) fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

impl fmt::Display for DataError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl std::error::Error for DataError {}

impl From<SpecError> for DataError {
    fn from(error: SpecError) -> Self {
        DataError::new(error.to_string())
    }
}
