//! Numbers and tables as text, and text that steers no terminal.

mod grid;

pub(crate) use grid::Grid;
use std::collections::BTreeMap;

/// The text with control characters escaped, line ends and tabs apart: names of foreign files and
/// what stands in them must not move the reader's cursor, colour or title, nor turn words around.
pub fn shown(text: &str) -> String {
    let steers = |c: char| {
        let marks = ['\u{200e}', '\u{200f}'].contains(&c);
        let turns = marks || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
        turns || c.is_control() && c != '\n' && c != '\t'
    };
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match steers(c) {
            true => out.extend(c.escape_default()),
            false => out.push(c),
        }
    }
    out
}

/// The text in one line: line ends and tabs are spaces, other control characters escaped.
pub fn one_line(text: &str) -> String {
    let flat: Vec<&str> = text.split(['\n', '\r', '\t']).map(str::trim_end).collect();
    let flat = flat.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join(" ");
    shown(&flat)
}

/// A number to four digits behind the point, or with an exponent where these would hide it.
pub fn number(x: f64) -> String {
    match x.abs() {
        0.0 => "0".into(),
        size if (1e-3..1e5).contains(&size) => format!("{x:.4}"),
        size if size.is_finite() => format!("{x:.3e}"),
        _ => x.to_string(),
    }
}

/// A table with two spaces between columns; `right` marks the columns that align to the right.
pub fn table(header: &[&str], rows: &[Vec<String>], right: &[bool]) -> String {
    grid::Grid { header, rows, right, heads: &BTreeMap::new() }.text(None)
}

/// As [`table`], in lines of at most `width` characters: columns that do not fit stand in further
/// tables below, with the names on their left again, and long texts are broken over lines. `None`:
/// as wide as it is.
pub fn table_within(
    width: Option<usize>,
    header: &[&str],
    rows: &[Vec<String>],
    right: &[bool],
) -> String {
    grid::Grid { header, rows, right, heads: &BTreeMap::new() }.text(width)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_seen_at_any_magnitude() {
        let all = [0.0, 0.25, 2.4e10, 1e-12, 1e73, f64::NAN, f64::INFINITY].map(number);
        assert_eq!(all, ["0", "0.2500", "2.400e10", "1.000e-12", "1.000e73", "NaN", "inf"]);
    }

    #[test]
    fn what_steers_a_terminal_is_escaped() {
        assert_eq!(shown("a\u{1b}[2Jb\tc\n\u{7}"), "a\\u{1b}[2Jb\tc\n\\u{7}");
        assert_eq!(shown("exe\u{202e}gpj × ünï"), "exe\\u{202e}gpj × ünï");
        assert_eq!(one_line("bad\n  key\u{1b}[0m\r\n"), "bad   key\\u{1b}[0m");
    }

    #[test]
    fn columns_line_up() {
        let rows = [vec!["krum".into(), "0.5".into()], vec!["average".into(), "12.25".into()]];
        let text = table(&["rule", "value"], &rows, &[false, true]);
        assert_eq!(text, "rule     value\nkrum       0.5\naverage  12.25\n");
    }
}
