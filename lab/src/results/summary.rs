//! The summary of a matrix of runs as text: every rule under every attack, and its worst.

use super::{Cell, Table, fate};
use crate::text;
use std::collections::BTreeMap;

/// Tables of the tail means by line and attack, and of the worst case by line. `missing`: what is
/// not in them, where runs are not over. `width`: that of the lines of tables, in characters.
pub fn summary(table: &Table, missing: Option<&str>, width: Option<usize>) -> String {
    let name = if table.higher_is_better { "accuracy, %" } else { "test loss" };
    let mut out = missing.map_or_else(String::new, |missing| format!("{missing}\n\n"));
    out.push_str(&format!("Mean of the {}: {name}", table.tail()));
    table.explained().iter().for_each(|line| out.push_str(&format!("; {line}")));
    out.push_str("\n\n");
    out.push_str(&matrix(table, width));
    out.push_str("\nWorst case over attacks\n\n");
    out.push_str(&worst_cases(table, width));
    let meanings = fate::meanings(&table.fates());
    if !meanings.is_empty() {
        out.push_str(&format!("\n{}\n", meanings.join("\n")));
    }
    out
}

fn matrix(table: &Table, width: Option<usize>) -> String {
    let mut header = vec!["rule"];
    header.extend(table.attacks.iter().map(String::as_str));
    let marks = table.cells.values().map(|cell| fate::marks(&cell.fates).len()).max().unwrap_or(0);
    let row = |line: usize| {
        let cell = |attack: usize| table.cells.get(&(line, attack));
        let cells = (0..table.attacks.len())
            .map(|attack| cell(attack).map_or(String::new(), |cell| in_matrix(table, cell, marks)));
        Some(std::iter::once(table.parts[line].0.clone()).chain(cells).collect())
    };
    let right: Vec<bool> = (0..header.len()).map(|k| k > 0).collect();
    by_setting(table, width, &header, &right, row)
}

/// The number and its marks, in as many columns as the table's longest marks.
fn in_matrix(table: &Table, cell: &Cell, marks: usize) -> String {
    if cell.seeds.is_empty() {
        return "failed".into();
    }
    let own = fate::marks(&cell.fates);
    format!("{}{own:<marks$}", table.text(cell, |judged| judged.tail))
}

fn worst_cases(table: &Table, width: Option<usize>) -> String {
    let header = ["rule", "worst attack", "last", "mean of last", "best", "what broke"];
    let row = |line: usize| {
        let (attack, cell) = table.worst(line)?;
        Some(vec![
            table.parts[line].0.clone(),
            table.attacks[attack].clone(),
            table.text(cell, |judged| judged.last),
            table.text(cell, |judged| judged.tail),
            table.text(cell, |judged| judged.best),
            fate::told(&cell.fates),
        ])
    };
    by_setting(table, width, &header, &[false, false, true, true, true, false], row)
}

/// A table in which each setting that was swept stands once, above its lines.
fn by_setting(
    table: &Table,
    width: Option<usize>,
    header: &[&str],
    right: &[bool],
    row: impl Fn(usize) -> Option<Vec<String>>,
) -> String {
    let settings = table.settings();
    let (mut rows, mut heads) = (Vec::new(), BTreeMap::new());
    for (setting, lines) in settings {
        if !setting.is_empty() {
            heads.insert(rows.len(), setting.to_string());
        }
        rows.extend(lines.into_iter().filter_map(&row));
    }
    text::Grid { header, rows: &rows, right, heads: &heads }.text(width)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::results::{Outcome, Sweep};

    #[test]
    fn the_summary_names_the_worst_attack_and_says_what_broke() {
        let outcomes = [
            Outcome::sample("krum", "none", 1, &[0.5, 0.9]),
            Outcome::sample("krum", "none", 2, &[0.5, 0.8]),
            Outcome::sample("krum", "alie", 1, &[0.7, 0.1]),
        ];
        let table = Table::of(&outcomes, &Sweep::default());
        let text = summary(&table, Some("Partial: 3 of 4 runs are over"), None);
        assert!(text.starts_with("Partial: 3 of 4 runs are over\n"), "{text}");
        assert!(text.contains("Mean of the last evaluation (no more follow"), "{text}");
        assert!(text.contains("85.0 [80.0, 90.0]"), "{text}");
        assert!(text.contains("krum  alie          10.0"), "{text}");
        assert!(text.contains("10.0!cn") && text.contains("1 of 1 collapsed"), "{text}");
        assert!(text.contains("\n!c collapsed: ended more than 5 points"), "{text}");
        assert!(!summary(&table, None, None).contains("Partial"));
    }

    #[test]
    fn a_swept_setting_stands_once_above_its_lines() {
        let mut outcomes = Vec::new();
        for n in [11, 15] {
            for rule in ["krum", "median"] {
                let mut one = Outcome::sample(rule, "none", 1, &[0.5, 0.9]);
                one.settings.n = n;
                outcomes.push(one);
            }
        }
        let runs = outcomes.iter().map(|one| &one.settings);
        let table = Table::of(&outcomes, &Sweep::of(runs, &[], Vec::new()));
        let text = summary(&table, None, None);
        let lines: Vec<&str> = text.lines().skip(2).take(8).map(str::trim_end).collect();
        let wanted =
            ["rule    none", "n=11", "krum    90.0", "median  90.0", "", "n=15", "krum    90.0"];
        assert_eq!(lines[..7], wanted, "{text}");
        assert_eq!(text.matches("n=15").count(), 2, "once in each table: {text}");
    }
}
