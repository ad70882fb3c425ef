//! The summary of a matrix of runs as text: every rule under every attack, and its worst.

use super::{Cell, Table};
use crate::html::number;
use crate::print;

/// Tables of the tail means by line and attack, and of the worst case by line.
pub(crate) fn summary(table: &Table) -> String {
    let name = if table.higher_is_better { "accuracy, %" } else { "test loss" };
    let mut out =
        format!("Mean of the last 10 evaluations: {name}; ± Student's 95 % over seeds\n\n");
    out.push_str(&matrix(table));
    out.push_str("\nWorst case over attacks\n\n");
    out.push_str(&worst_cases(table));
    if table.cells.values().any(|cell| cell.collapsed() > 0) {
        out.push_str("\n! collapsed: a run ended more than 5 points below its best\n");
    }
    out
}

fn matrix(table: &Table) -> String {
    let mut header = vec!["rule"];
    header.extend(table.attacks.iter().map(String::as_str));
    let row = |line: usize| {
        let cell = |attack: usize| table.cells.get(&(line, attack));
        let cells = (0..table.attacks.len())
            .map(|attack| cell(attack).map_or(String::new(), |cell| in_matrix(table, cell)));
        std::iter::once(table.lines[line].clone()).chain(cells).collect()
    };
    let rows: Vec<Vec<String>> = (0..table.lines.len()).map(row).collect();
    let right: Vec<bool> = (0..header.len()).map(|k| k > 0).collect();
    print::table(&header, &rows, &right)
}

fn in_matrix(table: &Table, cell: &Cell) -> String {
    if cell.seeds.is_empty() {
        return "failed".into();
    }
    let mark = if cell.collapsed() > 0 { "!" } else { " " };
    format!("{}{mark}", number(table, cell.over(|judged| judged.tail)))
}

fn worst_cases(table: &Table) -> String {
    let header = ["rule", "worst attack", "last", "last 10", "best", "collapsed"];
    let mut rows = Vec::new();
    for line in 0..table.lines.len() {
        let Some((attack, cell)) = table.worst(line) else { continue };
        rows.push(vec![
            table.lines[line].clone(),
            table.attacks[attack].clone(),
            number(table, cell.over(|judged| judged.last)),
            number(table, cell.over(|judged| judged.tail)),
            number(table, cell.over(|judged| judged.best)),
            format!("{} of {}", cell.collapsed(), cell.seeds.len()),
        ]);
    }
    print::table(&header, &rows, &[false, false, true, true, true, true])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::results::Outcome;

    #[test]
    fn the_summary_names_the_worst_attack_and_marks_collapse() {
        let outcomes = [
            Outcome::sample("krum", "none", 1, &[0.5, 0.9]),
            Outcome::sample("krum", "none", 2, &[0.5, 0.8]),
            Outcome::sample("krum", "alie", 1, &[0.7, 0.1]),
        ];
        let text = summary(&Table::of(&outcomes));
        assert!(text.contains("67.5 ± 31.8"), "{text}");
        assert!(text.contains("krum  alie          10.0"), "{text}");
        assert!(text.contains("40.0!") && text.contains("1 of 1"), "{text}");
    }
}
