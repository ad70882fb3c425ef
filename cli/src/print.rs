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

/// As [`line`], for what a person reads: sentences that are wider than the lines of standard output
/// go on in the next one between two words. Tables are as wide as they were made.
pub(crate) fn told(text: &str) {
    match width() {
        Some(width) => line(&folded(text, width)),
        None => line(text),
    }
}

/// The text with its sentences in lines of at most `width` characters, where words allow it. What
/// goes on does so below where it began: behind the line's indent, or below the last column of a
/// line that has two spaces side by side, a word and what it means. Lines of tables are not wider
/// than they were asked to be, and stay as they are.
fn folded(text: &str, width: usize) -> String {
    let mut out = Vec::new();
    for line in text.split('\n') {
        if line.chars().count() <= width {
            out.push(line.to_owned());
            continue;
        }
        let start = line.trim_end().rfind("  ").map_or(0, |gap| gap + 2);
        let start = start + line[start..].len() - line[start..].trim_start().len();
        let indent = line[..start].chars().count();
        if indent > width / 2 {
            out.push(line.to_owned());
            continue;
        }
        let (mut now, mut is_empty) = (line[..start].to_owned(), true);
        for word in line[start..].split(' ') {
            let (so_far, more) = (now.chars().count(), word.chars().count());
            if !is_empty && so_far + 1 + more > width {
                out.push(std::mem::replace(&mut now, " ".repeat(indent)));
            } else if !is_empty {
                now.push(' ');
            }
            now.push_str(word);
            is_empty = false;
        }
        out.push(now);
    }
    out.join("\n")
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
    let text = match terminal_width() {
        Some(width) => folded(text, width),
        None => text.to_owned(),
    };
    let _ = writeln!(std::io::stderr().lock(), "{}", shown(&text));
}

/// The characters in a line of standard error, where it is a terminal: what is searched in a file
/// stays in one line.
#[cfg(unix)]
fn terminal_width() -> Option<usize> {
    Some(terminal_size::terminal_size_of(std::io::stderr())?.0.0.into())
}

/// As on other systems.
#[cfg(not(unix))]
fn terminal_width() -> Option<usize> {
    width_of(std::io::stderr())
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sentences_are_folded_between_words_and_tables_are_not() {
        let text = "note: one two three four five\n  a table of columns  1.0\n  so it goes on and";
        let wanted =
            "note: one two\nthree four five\n  a table of columns  1.0\n  so it goes on\n  and";
        assert_eq!(folded(text, 15), wanted);
        // What a word means goes on below where it began.
        assert_eq!(folded("  m=1  how many rows", 14), "  m=1  how\n       many\n       rows");
        // A word that is wider than a line stands alone, and nothing is lost.
        assert_eq!(folded("a veryverylongword b", 6), "a\nveryverylongword\nb");
        for width in 1..60 {
            let words = |text: &str| text.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
            assert_eq!(words(&folded(text, width)), words(text));
        }
        // Characters are counted and not bytes.
        assert_eq!(folded("κ ≤ ½ κ ≤ ½", 11), "κ ≤ ½ κ ≤ ½");
    }
}
