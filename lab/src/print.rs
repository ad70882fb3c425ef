//! Standard output, where a reader that closes its end (`| head`) is no error.

use std::io::Write;

/// Writes `text` and a line end to standard output.
pub(crate) fn line(text: &str) {
    let mut out = std::io::stdout().lock();
    // A closed pipe means that nobody reads any more: there is nobody to tell.
    let _ = writeln!(out, "{text}");
}

/// A number to four digits behind the point, or with an exponent where these would hide it.
pub(crate) fn number(x: f64) -> String {
    match x.abs() {
        0.0 => "0".into(),
        size if (1e-3..1e5).contains(&size) => format!("{x:.4}"),
        size if size.is_finite() => format!("{x:.3e}"),
        _ => x.to_string(),
    }
}

/// A table with two spaces between columns; `right` marks the columns that align to the right.
pub(crate) fn table(header: &[&str], rows: &[Vec<String>], right: &[bool]) -> String {
    let mut widths: Vec<usize> = header.iter().map(|cell| cell.chars().count()).collect();
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let mut out = String::new();
    let head: Vec<String> = header.iter().map(ToString::to_string).collect();
    for row in std::iter::once(&head).chain(rows) {
        let mut text = String::new();
        for (k, cell) in row.iter().enumerate() {
            let pad = " ".repeat(widths[k] - cell.chars().count());
            let (before, after) = if right[k] { (pad.as_str(), "") } else { ("", pad.as_str()) };
            text.push_str(&format!("{before}{cell}{after}  "));
        }
        out.push_str(text.trim_end());
        out.push('\n');
    }
    out
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
    fn columns_line_up() {
        let rows = [vec!["krum".into(), "0.5".into()], vec!["average".into(), "12.25".into()]];
        let text = table(&["rule", "value"], &rows, &[false, true]);
        assert_eq!(text, "rule     value\nkrum       0.5\naverage  12.25\n");
    }
}
