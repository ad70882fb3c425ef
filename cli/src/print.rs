//! Standard output and standard error, where a reader that closes its end (`| head`) is no error,
//! and a disk that is full is one.

use crate::Failure;
use std::io::{ErrorKind, Write};
use std::sync::OnceLock;
pub(crate) use varangian_lab::text::{number, shown, table};

/// The first line that could not be written to standard output, where one could not.
static TROUBLE: OnceLock<String> = OnceLock::new();

/// Writes `text` and a line end to standard output, with what could steer a terminal escaped.
pub(crate) fn line(text: &str) {
    let mut out = std::io::stdout().lock();
    if let Err(error) = writeln!(out, "{}", shown(text)).and_then(|()| out.flush())
        // A closed pipe means that nobody reads any more: there is nobody to tell.
        && error.kind() != ErrorKind::BrokenPipe
    {
        let _ = TROUBLE.set(error.to_string());
    }
}

/// Writes `text` and a line end to standard error, likewise; there is nobody to tell that it
/// cannot be written.
pub(crate) fn note(text: &str) {
    let _ = writeln!(std::io::stderr().lock(), "{}", shown(text));
}

/// Whether all that was printed was written.
///
/// # Errors
/// If standard output could not be written, as on a full disk.
pub(crate) fn all_written() -> Result<(), Failure> {
    match TROUBLE.get() {
        None => Ok(()),
        Some(error) => Err(Failure::refused(format!("cannot write to standard output: {error}"))),
    }
}
