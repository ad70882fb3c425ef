//! What can be wrong with data: one line that names the file, what was expected, what was found.

use std::fmt;
use std::path::Path;
use varangian_base::SpecError;

/// Data that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DataError(String);

impl DataError {
    /// An error with this text, one line without a final stop.
    pub fn new(text: impl Into<String>) -> Self {
        DataError(text.into())
    }

    /// The same error with the file it was found in.
    pub fn at(self, file: &Path) -> Self {
        DataError(format!("{}: {}", file.display(), self.0))
    }

    /// Something that should have been `expected` but is `found`.
    pub fn expected(what: &str, expected: impl fmt::Display, found: impl fmt::Display) -> Self {
        DataError(format!("{what}: expected {expected}, found {found}"))
    }
}

impl fmt::Display for DataError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for DataError {}

impl From<SpecError> for DataError {
    fn from(error: SpecError) -> Self {
        DataError(error.to_string())
    }
}
