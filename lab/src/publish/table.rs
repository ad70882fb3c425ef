//! A table for a paper: LaTeX, Markdown or CSV, the best of each column in bold.

use super::style::word;
use super::{Entries, Style, Worth};
use crate::results::Fate;
use crate::results::cells::{self, Cell};
use crate::results::fate;
use crate::{Failure, text};

/// What a table is written as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// A `tabular` with the rules of the package booktabs.
    Latex,
    /// A table as GitHub and pandoc take it.
    Markdown,
    /// Numbers without their looks.
    Csv,
}

/// A table of numbers, and what is to be said of it.
pub struct Table {
    heads: Vec<String>,
    columns: Vec<String>,
    rows: Vec<Row>,
    notes: Vec<String>,
    percent: bool,
    higher: bool,
    spread: Spread,
}

struct Row {
    names: Vec<String>,
    cells: Vec<Option<Number>>,
}

struct Number {
    mean: f64,
    half: f64,
    seeds: usize,
    marks: String,
}

/// When ± is shown.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Spread {
    /// Where it is a number that is seen at the digits of the mean.
    Auto,
    Always,
    Never,
}

impl Table {
    /// Of runs, as a style has it: by default a row a rule, a column an attack, and its worst.
    ///
    /// # Errors
    /// If the style names a key or a word that there is none of.
    pub fn of(entries: &Entries, style: &Style) -> Result<Self, Failure> {
        let varies = entries.varies();
        let column = style.columns.as_deref().unwrap_or("attack");
        let mut rows: Vec<&str> = match style.rows.as_slice() {
            [] => vec!["rule"],
            own => own.iter().map(String::as_str).collect(),
        };
        if style.rows.is_empty() && varies.contains(&super::FOLDER) && column != super::FOLDER {
            rows.insert(0, super::FOLDER);
        }
        rows.iter().chain([&column]).try_for_each(|key| entries.known(key))?;
        rows.retain(|key| *key != column);
        let (rest, value) = (style.rest()?, style.value()?);
        let spread = style.spread.as_deref().unwrap_or("auto");
        let spread = match word("spread", spread, &["auto", "always", "never"])? {
            "always" => Spread::Always,
            "never" => Spread::Never,
            _ => Spread::Auto,
        };
        let columns = entries.values(column, style);
        let keys: Vec<&str> = rows.iter().copied().chain([column]).collect();
        let (groups, whole) = (entries.groups(&keys), entries.groups(&rows));
        let orders: Vec<Vec<String>> = rows.iter().map(|key| entries.values(key, style)).collect();
        let mut sorted: Vec<&super::Group<'_>> = whole.iter().collect();
        sorted.sort_by_key(|group| {
            let place = |(k, at): (usize, &String)| orders[k].iter().position(|one| one == at);
            group.at.iter().enumerate().map(place).collect::<Vec<_>>()
        });
        let cell = |worth: Option<Worth<'_>>| worth.map(|worth| Number::of(&worth));
        let lines = sorted.into_iter().map(|line| {
            let of = |column: &String| {
                let own = groups.iter().find(|group| {
                    group.at[..rows.len()] == line.at[..] && group.at[rows.len()] == *column
                });
                cell(own.and_then(|group| group.worth(entries, rest, value)))
            };
            let mut cells: Vec<Option<Number>> = columns.iter().map(of).collect();
            if columns.len() > 1 {
                cells.push(cell(line.worth(entries, super::Rest::Worst, value)));
            }
            Row { names: line.at.iter().map(|at| style.label(at)).collect(), cells }
        });
        let rows_of = lines.collect();
        let mut names: Vec<String> = columns.iter().map(|one| style.label(one)).collect();
        if columns.len() > 1 {
            names.push("worst".into());
        }
        let mut table = Table {
            heads: rows.iter().map(|key| style.label(key)).collect(),
            columns: names,
            rows: rows_of,
            notes: entries.missing.clone(),
            percent: entries.metric == "accuracy",
            higher: entries.higher_is_better(),
            spread,
        };
        table.say(entries, style, &keys)?;
        Ok(table)
    }

    /// What the numbers are, and what they are taken over.
    fn say(&mut self, entries: &Entries, style: &Style, keys: &[&str]) -> Result<(), Failure> {
        let what = match style.value()? {
            super::Value::Tail => "mean of the last ten evaluations",
            super::Value::Last => "last evaluation",
            super::Value::Best => "best evaluation",
        };
        let name = if self.percent { "Accuracy in %" } else { "Test loss" };
        let mut seeds: Vec<usize> =
            self.rows.iter().flat_map(|row| &row.cells).flatten().map(|one| one.seeds).collect();
        seeds.sort_unstable();
        seeds.dedup();
        let seeds: Vec<String> = seeds.iter().map(usize::to_string).collect();
        self.notes.push(format!("{name}, {what}, over {} seeds", seeds.join(" or ")));
        let pooled: Vec<&str> =
            entries.varies().into_iter().filter(|key| !keys.contains(key)).collect();
        if !pooled.is_empty() {
            let how = match style.rest()? {
                super::Rest::Worst => "the worst over",
                super::Rest::Mean => "the mean over",
            };
            self.notes.push(format!("{how} {}", pooled.join(", ")));
        }
        let shown = |one: &&Number| self.shows(one);
        if self.rows.iter().flat_map(|row| &row.cells).flatten().any(|one| shown(&one)) {
            self.notes.push("±: half of Student's 95 % interval over seeds".into());
        }
        let marks: String = self
            .rows
            .iter()
            .flat_map(|row| &row.cells)
            .flatten()
            .map(|one| one.marks.as_str())
            .collect();
        for (mark, word, meaning) in fate::DEFINITIONS {
            if marks.contains(mark) {
                self.notes.push(format!("!{mark} {word}: {meaning}"));
            }
        }
        Ok(())
    }

    /// What is to be said of it, a sentence each.
    pub fn notes(&self) -> &[String] {
        &self.notes
    }

    /// The table as text.
    pub fn text(&self, format: Format) -> String {
        match format {
            Format::Latex => self.latex(),
            Format::Markdown => self.markdown(),
            Format::Csv => self.csv(),
        }
    }

    fn shows(&self, one: &Number) -> bool {
        let seen = if self.percent { 100.0 * one.half >= 0.05 } else { one.half > 0.0 };
        match self.spread {
            Spread::Never => false,
            Spread::Always => one.half.is_finite(),
            Spread::Auto => one.half.is_finite() && seen,
        }
    }

    fn number(&self, x: f64) -> String {
        match self.percent {
            _ if !x.is_finite() => "not finite".into(),
            true => format!("{:.1}", 100.0 * x),
            false => text::number(x),
        }
    }

    /// Whether a cell is as good as the best of its column, at the digits that are shown.
    fn is_best(&self, column: usize, one: &Number) -> bool {
        let sign = if self.higher { 1.0 } else { -1.0 };
        let all = self.rows.iter().filter_map(|row| row.cells[column].as_ref());
        let best = all.filter(|one| one.mean.is_finite()).map(|one| sign * one.mean);
        let best = sign * best.fold(f64::NEG_INFINITY, f64::max);
        one.mean.is_finite() && self.rows.len() > 1 && self.number(one.mean) == self.number(best)
    }

    fn latex(&self) -> String {
        let columns = format!("{}{}", "l".repeat(self.heads.len()), "r".repeat(self.columns.len()));
        let mut out: String = self.notes.iter().map(|note| format!("% {note}\n")).collect();
        out += &format!("\\begin{{tabular}}{{{columns}}}\n\\toprule\n");
        let heads: Vec<String> =
            self.heads.iter().chain(&self.columns).map(|head| escaped(head)).collect();
        out += &format!("{} \\\\\n\\midrule\n", heads.join(" & "));
        for row in &self.rows {
            let mut parts: Vec<String> = row.names.iter().map(|name| escaped(name)).collect();
            for (k, cell) in row.cells.iter().enumerate() {
                let Some(one) = cell else {
                    parts.push("--".into());
                    continue;
                };
                let (mean, marks) = (self.number(one.mean), escaped(&one.marks));
                let mean = if self.is_best(k, one) { format!("\\textbf{{{mean}}}") } else { mean };
                let half = match self.shows(one) {
                    true => format!(" $\\pm$ {}", self.number(one.half)),
                    false => String::new(),
                };
                let marks = if marks.is_empty() { marks } else { format!("\\,{marks}") };
                parts.push(format!("{mean}{half}{marks}"));
            }
            out += &format!("{} \\\\\n", parts.join(" & "));
        }
        out + "\\bottomrule\n\\end{tabular}\n"
    }

    fn markdown(&self) -> String {
        let plain = |text: &str| {
            let text = text::one_line(text).replace('\\', "\\\\").replace('|', "\\|");
            text.replace('<', "&lt;").replace('*', "\\*").replace('_', "\\_")
        };
        let heads: Vec<String> =
            self.heads.iter().chain(&self.columns).map(|head| plain(head)).collect();
        let mut out = format!("| {} |\n", heads.join(" | "));
        let lines = self.heads.iter().map(|_| "---").chain(self.columns.iter().map(|_| "---:"));
        out += &format!("|{}|\n", lines.collect::<Vec<_>>().join("|"));
        for row in &self.rows {
            let mut parts: Vec<String> = row.names.iter().map(|name| plain(name)).collect();
            for (k, cell) in row.cells.iter().enumerate() {
                let Some(one) = cell else {
                    parts.push("–".into());
                    continue;
                };
                let mean = self.number(one.mean);
                let mean = if self.is_best(k, one) { format!("**{mean}**") } else { mean };
                let half = match self.shows(one) {
                    true => format!(" ± {}", self.number(one.half)),
                    false => String::new(),
                };
                let gap = if one.marks.is_empty() { "" } else { " " };
                parts.push(format!("{mean}{half}{gap}{}", one.marks));
            }
            out += &format!("| {} |\n", parts.join(" | "));
        }
        let notes: Vec<String> = self.notes.iter().map(|note| plain(note)).collect();
        format!("{out}\n{}.\n", notes.join(". "))
    }

    fn csv(&self) -> String {
        let mut header: Vec<String> = self.heads.clone();
        header.extend(["column", "mean", "half", "seeds", "marks"].map(str::to_owned));
        let header: Vec<&str> = header.iter().map(String::as_str).collect();
        let rows = self.rows.iter().flat_map(|row| {
            row.cells.iter().zip(&self.columns).filter_map(|(cell, column)| {
                let one = cell.as_ref()?;
                let mut out: Vec<Cell> = row.names.iter().map(Cell::text).collect();
                out.push(Cell::text(column));
                out.extend([Cell::Real(one.mean), Cell::Real(one.half)]);
                out.extend([Cell::Whole(one.seeds as i64), Cell::text(&one.marks)]);
                Some(out)
            })
        });
        String::from_utf8(cells::csv(&header, rows)).expect("text")
    }
}

impl Number {
    fn of(worth: &Worth<'_>) -> Self {
        let fates: Vec<Fate> = worth.runs.iter().map(|run| Fate::of(&run.outcome)).collect();
        let (mean, half, seeds) = (worth.mean, worth.half, worth.values.len());
        Number { mean, half, seeds, marks: fate::marks(&fates) }
    }
}

/// A text in which LaTeX takes nothing for an order of its own.
pub(crate) fn escaped(text: &str) -> String {
    let mut out = String::new();
    for sign in text::one_line(text).chars() {
        match sign {
            '\\' => out.push_str("\\textbackslash{}"),
            '~' => out.push_str("\\textasciitilde{}"),
            '^' => out.push_str("\\textasciicircum{}"),
            '|' => out.push_str("$|$"),
            '<' => out.push_str("$<$"),
            '>' => out.push_str("$>$"),
            '&' | '%' | '$' | '#' | '_' | '{' | '}' => {
                out.push('\\');
                out.push(sign);
            }
            sign => out.push(sign),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::results::{Outcome, Store};

    fn entries() -> Entries {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::make(folder.path()).unwrap();
        for (rule, base) in [("nnm | krum", 0.8), ("50%_$x", 0.4)] {
            for attack in ["none", "alie"] {
                for seed in 1..=3 {
                    let spread = if attack == "none" { 0.0 } else { 0.01 * seed as f64 };
                    let drop = if attack == "none" { 0.0 } else { 0.1 };
                    let value = base + spread - drop;
                    store.save(&Outcome::sample(rule, attack, seed, &[0.1, value])).unwrap();
                }
            }
        }
        Entries::read(&[folder.path().to_owned()]).unwrap()
    }

    #[test]
    fn the_best_is_bold_and_a_spread_stands_where_it_says_something() {
        let style = Style { rules: vec!["nnm | krum".into(), "50%_$x".into()], ..Style::default() };
        let entries = entries().chosen(&style).unwrap();
        let table = Table::of(&entries, &style).unwrap();
        let latex = table.text(Format::Latex);
        let line = latex.lines().find(|line| line.starts_with("nnm")).unwrap();
        let cells: Vec<&str> = line.trim_end_matches(" \\\\").split(" & ").collect();
        assert_eq!(cells[0], "nnm $|$ krum");
        let none = latex.lines().find(|line| line.starts_with("rule")).unwrap();
        let place = none.split(" & ").position(|head| head.starts_with("none")).unwrap();
        assert_eq!(cells[place], "\\textbf{80.0}");
        assert_eq!(cells[3 - place], "\\textbf{72.0} $\\pm$ 2.5");
        assert!(latex.contains("50\\%\\_\\$x & "), "{latex}");
        let markdown = table.text(Format::Markdown);
        assert!(markdown.contains("| nnm \\| krum |") && markdown.contains("**72.0** ± 2.5"));
        let csv = table.text(Format::Csv);
        assert_eq!(csv.lines().next(), Some("rule,column,mean,half,seeds,marks"));
        assert_eq!(csv.lines().count(), 7, "{csv}");
    }

    #[test]
    fn rows_are_in_the_order_of_the_style_under_its_names() {
        let mut style =
            Style { rules: vec!["50%_$x".into(), "nnm | krum".into()], ..Style::default() };
        style.labels.insert("nnm | krum".into(), "NNM".into());
        style.spread = Some("never".into());
        let entries = entries().chosen(&style).unwrap();
        let text = Table::of(&entries, &style).unwrap().text(Format::Latex);
        assert!(text.find("50\\%").unwrap() < text.find("NNM &").unwrap(), "{text}");
        assert!(!text.contains("\\pm"), "{text}");
        style.only = vec!["attack=ipm".into()];
        let why = entries.chosen(&style).map(|_| ()).unwrap_err().to_string();
        assert_eq!(why, "no run has attack=ipm");
    }
}
