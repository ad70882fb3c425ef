//! A table as text that keeps to the width of a terminal.

use std::collections::BTreeMap;

/// Between two columns.
const GAP: usize = 2;
/// No column is made narrower than this.
const LEAST: usize = 8;

/// A table to be written.
pub(crate) struct Grid<'a> {
    /// The columns' names.
    pub(crate) header: &'a [&'a str],
    /// The lines.
    pub(crate) rows: &'a [Vec<String>],
    /// The columns that align to the right. Those before the first of them are the lines' names.
    pub(crate) right: &'a [bool],
    /// Lines of their own above the row of that number.
    pub(crate) heads: &'a BTreeMap<usize, String>,
}

impl Grid<'_> {
    /// The table in lines of at most `width` characters, as far as single numbers fit into them.
    pub(crate) fn text(&self, width: Option<usize>) -> String {
        let widths = self.widths();
        let whole: usize = widths.iter().map(|width| width + GAP).sum();
        match width {
            Some(width) if whole.saturating_sub(GAP) > width => self.divided(width, &widths),
            _ => self.part(&(0..self.header.len()).collect::<Vec<_>>(), &widths),
        }
    }

    fn widths(&self) -> Vec<usize> {
        let mut widths: Vec<usize> = self.header.iter().map(|cell| length(cell)).collect();
        for row in self.rows {
            for (width, cell) in widths.iter_mut().zip(row) {
                *width = (*width).max(length(cell));
            }
        }
        widths
    }

    /// How many columns on the left name the lines.
    fn names(&self) -> usize {
        let first = self.right.iter().position(|&right| right).unwrap_or(1);
        first.clamp(1, self.header.len().max(1))
    }

    /// As many tables one below the other as it takes.
    fn divided(&self, width: usize, widths: &[usize]) -> String {
        let (names, mut widths) = (self.names(), widths.to_vec());
        // The names get what the widest column of numbers leaves, but a third at least.
        let numbers = (names..widths.len()).filter(|&column| self.right[column]);
        let other = numbers.map(|column| widths[column] + GAP).max().unwrap_or(2 * width / 3);
        shrink(&mut widths[..names], width.saturating_sub(other).max(width / 3));
        let left: usize = widths[..names].iter().map(|width| width + GAP).sum();
        let room = width.saturating_sub(left).max(LEAST);
        // Prose is broken over lines, beside what else there is.
        let prose: usize = (names..widths.len()).filter(|&column| !self.right[column]).count();
        for column in names..widths.len() {
            let most = if self.right[column] { room } else { room / prose.max(1) };
            widths[column] = widths[column].min(most.max(LEAST));
        }
        let (mut parts, mut own, mut used) = (Vec::new(), Vec::new(), left);
        for column in names..widths.len() {
            if !own.is_empty() && used + widths[column] > width {
                parts.push(std::mem::take(&mut own));
                used = left;
            }
            used += widths[column] + GAP;
            own.push(column);
        }
        parts.push(own);
        let columns =
            |part: &Vec<usize>| (0..names).chain(part.iter().copied()).collect::<Vec<_>>();
        let tables: Vec<String> =
            parts.iter().map(|part| self.part(&columns(part), &widths)).collect();
        tables.join("\n")
    }

    /// Some of the columns.
    fn part(&self, columns: &[usize], widths: &[usize]) -> String {
        let mut out = String::new();
        let head: Vec<String> = self.header.iter().map(ToString::to_string).collect();
        for (k, row) in std::iter::once(&head).chain(self.rows).enumerate() {
            // The head of the table is its first line.
            if let Some(above) = k.checked_sub(1).and_then(|k| self.heads.get(&k)) {
                out.push_str(&format!("{}{above}\n", if k > 1 { "\n" } else { "" }));
            }
            let broken: Vec<Vec<String>> =
                columns.iter().map(|&column| broken(&row[column], widths[column])).collect();
            for line in 0..broken.iter().map(Vec::len).max().unwrap_or(1) {
                let mut text = String::new();
                for (&column, cell) in columns.iter().zip(&broken) {
                    let cell = cell.get(line).map_or("", String::as_str);
                    let pad = " ".repeat(widths[column].saturating_sub(length(cell)));
                    let (before, after) =
                        if self.right[column] { (pad.as_str(), "") } else { ("", pad.as_str()) };
                    text.push_str(&format!("{before}{cell}{after}  "));
                }
                out.push_str(text.trim_end());
                out.push('\n');
            }
        }
        out
    }
}

/// The text in lines of at most `width` characters, broken at spaces where there are any; what
/// follows the first line is indented.
fn broken(text: &str, width: usize) -> Vec<String> {
    let width = width.max(4);
    if length(text) <= width {
        return vec![text.to_owned()];
    }
    let (mut lines, mut line) = (Vec::new(), String::new());
    for word in text.split(' ') {
        if !line.trim().is_empty() && length(&line) + 1 + length(word) > width {
            lines.push(std::mem::replace(&mut line, "  ".to_owned()));
        } else if !line.trim().is_empty() {
            line.push(' ');
        }
        for letter in word.chars() {
            if length(&line) == width {
                lines.push(std::mem::replace(&mut line, "  ".to_owned()));
            }
            line.push(letter);
        }
    }
    lines.push(line);
    lines
}

/// Makes the widest narrower until all fit into `room`.
fn shrink(widths: &mut [usize], room: usize) {
    let total = |widths: &[usize]| widths.iter().map(|width| width + GAP).sum::<usize>();
    while total(widths) > room {
        let Some(widest) = widths.iter_mut().max() else { return };
        if *widest <= LEAST {
            return;
        }
        *widest -= 1;
    }
}

fn length(text: &str) -> usize {
    text.chars().count()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(rules: &[&str], columns: usize) -> Vec<Vec<String>> {
        let cells = move |rule: &str| {
            let length = rule.len();
            (0..columns).map(move |k| (10 * k + length).to_string())
        };
        rules
            .iter()
            .map(|rule| std::iter::once((*rule).to_owned()).chain(cells(rule)).collect())
            .collect()
    }

    fn widest(text: &str) -> usize {
        text.lines().map(length).max().unwrap_or(0)
    }

    #[test]
    fn what_does_not_fit_stands_below_with_its_names() {
        let rows = rows(&["krum", "median"], 12);
        let names: Vec<String> = (0..12).map(|k| format!("attack-{k}")).collect();
        let header: Vec<&str> =
            std::iter::once("rule").chain(names.iter().map(String::as_str)).collect();
        let right: Vec<bool> = (0..13).map(|k| k > 0).collect();
        let heads = BTreeMap::from([(0, "n=11".to_owned()), (1, "n=15".to_owned())]);
        let grid = Grid { header: &header, rows: &rows, right: &right, heads: &heads };
        let wide = grid.text(None);
        assert_eq!(wide.matches("krum").count(), 1);
        for width in [20, 40, 80, 119] {
            let text = grid.text(Some(width));
            assert!(widest(&text) <= width, "{width}: {text}");
            assert!(text.matches("krum").count() > 1 && text.matches("n=15").count() > 1, "{text}");
            for name in &names {
                assert_eq!(
                    text.matches(name.as_str()).count().min(2),
                    if *name == "attack-1" { 2 } else { 1 },
                    "{text}"
                );
            }
        }
        assert_eq!(grid.text(Some(500)), wide);
    }

    #[test]
    fn long_names_and_prose_are_broken_over_lines() {
        let long = [
            "nnm | trimmed-mean, partition=dirichlet alpha=0.1, f_real=4, momentum_at=worker",
            "nnm | trimmed-mean, partition=dirichlet alpha=0.2, f_real=4, momentum_at=worker",
        ];
        let rows = rows(&long, 2);
        let (header, right) = (["rule", "none", "alie"], [false, true, true]);
        let grid = Grid { header: &header, rows: &rows, right: &right, heads: &BTreeMap::new() };
        for width in [24, 40, 60] {
            let text = grid.text(Some(width));
            assert!(widest(&text) <= width, "{width}: {text}");
            assert!(text.contains("alpha=0.1,") && text.contains("alpha=0.2,"), "{text}");
        }
        let all = "a key of which a long sentence says what it means, and what it does not mean";
        let rows = [vec!["key".to_owned(), all.to_owned()]];
        let heads = BTreeMap::new();
        let (header, right) = (["key", "what it means"], [false, false]);
        let text =
            Grid { header: &header, rows: &rows, right: &right, heads: &heads }.text(Some(40));
        assert!(widest(&text) <= 40 && text.lines().count() > 3, "{text}");
        let words: Vec<&str> = text.split_whitespace().skip(4).collect();
        assert_eq!(words.join(" "), format!("key {all}"), "{text}");
        assert_eq!(broken("abcdefghij", 6), ["abcdef", "  ghij"]);
    }

    #[test]
    fn no_width_is_too_small_and_no_table_too_empty() {
        let all = rows(&["krum"], 3);
        for width in 0..12 {
            for (header, rows, right) in [
                (&["rule", "a", "b", "c"][..], &all[..], &[false, true, true, true][..]),
                (&["a"], &[], &[true]),
                (&[], &[], &[]),
            ] {
                Grid { header, rows, right, heads: &BTreeMap::new() }.text(Some(width));
            }
        }
    }
}
