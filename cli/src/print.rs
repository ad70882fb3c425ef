//! Standard output and standard error, where a reader that closes its end (`| head`) is no error,
//! and a disk that is full is one.

use crate::Failure;
use std::io::{ErrorKind, Write};
use std::sync::OnceLock;
use varangian_lab::text;
pub(crate) use varangian_lab::text::{number, shown};

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

/// A table as [`varangian_lab::text::table_within`] has it, within the lines of standard output.
pub(crate) fn table(header: &[&str], rows: &[Vec<String>], right: &[bool]) -> String {
    text::table_within(width(), header, rows, right)
}

/// The characters in a line of standard output: as COLUMNS asks, else those of its terminal; no
/// bound where it is none.
pub(crate) fn width() -> Option<usize> {
    width_of(std::io::stdout())
}

/// As [`width`], of another output.
#[cfg(unix)]
pub(crate) fn width_of(out: impl std::os::fd::AsFd + std::io::IsTerminal) -> Option<usize> {
    asked().or_else(|| Some(terminal_size::terminal_size_of(out)?.0.0.into()))
}

/// As [`width`], of another output.
#[cfg(not(unix))]
pub(crate) fn width_of(out: impl std::io::IsTerminal) -> Option<usize> {
    asked().or_else(|| out.is_terminal().then(terminal_size::terminal_size)??.0.0.into())
}

fn asked() -> Option<usize> {
    std::env::var("COLUMNS").ok()?.parse().ok().filter(|&width| width > 0)
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
