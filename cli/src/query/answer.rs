//! A table as it is asked for: text, CSV or JSON.

use crate::print;
use serde_json::{Map, Value, json};
use varangian_lab::results::cells::{self, Cell};
use varangian_lab::results::fate::DEFINITIONS;

/// One field of a line.
pub(super) enum Field {
    /// Text.
    Text(String),
    /// A count.
    Count(u64),
    /// A number; NaN: there is none.
    Number(f64),
    /// A number with the marks of what broke in its runs; NaN: there is none.
    Marked(f64, String),
    /// A step, or the middle of two; NaN: there is none.
    Step(f64),
}

impl Field {
    /// Text.
    pub(super) fn text(text: impl Into<String>) -> Self {
        Field::Text(text.into())
    }

    fn shown(&self) -> String {
        match self {
            Field::Text(text) => text.clone(),
            Field::Count(count) => count.to_string(),
            Field::Number(x) | Field::Step(x) if x.is_nan() => "-".into(),
            Field::Marked(x, marks) if x.is_nan() => format!("-{marks}"),
            Field::Marked(x, marks) => format!("{}{marks}", print::number(*x)),
            Field::Step(x) => x.to_string(),
            Field::Number(x) => print::number(*x),
        }
    }

    fn cell(&self) -> Cell {
        match self {
            Field::Text(text) => Cell::text(text),
            Field::Count(count) => Cell::Whole(*count as i64),
            Field::Number(x) | Field::Marked(x, _) | Field::Step(x) => Cell::Real(*x),
        }
    }

    /// JSON has no infinity: it is text there, and a missing number null.
    fn json(&self) -> Value {
        match self {
            Field::Text(text) => json!(text),
            Field::Count(count) => json!(count),
            Field::Number(x) | Field::Marked(x, _) if x.is_infinite() => json!(x.to_string()),
            Field::Number(x) | Field::Marked(x, _) | Field::Step(x) => json!(x),
        }
    }
}

/// A table with what is to be said of it.
pub(super) struct Answer {
    /// The columns' names, each once.
    pub(super) head: Vec<String>,
    /// The lines.
    pub(super) rows: Vec<Vec<Field>>,
    /// Columns on the left that are names.
    pub(super) names: usize,
    /// Sentences about the table.
    pub(super) notes: Vec<String>,
}

impl Answer {
    /// The table; as text its notes follow.
    pub(super) fn text(&self, csv: bool, json: bool) -> String {
        let head: Vec<&str> = self.head.iter().map(String::as_str).collect();
        if csv {
            let rows = self.rows.iter().map(|row| row.iter().map(Field::cell).collect());
            return String::from_utf8(cells::csv(&head, rows)).expect("text");
        }
        if json {
            return self.json();
        }
        let rows: Vec<Vec<String>> =
            self.rows.iter().map(|row| row.iter().map(Field::shown).collect()).collect();
        let right: Vec<bool> = (0..head.len()).map(|k| k >= self.names).collect();
        // A second ± needs no name where it stands beside what it belongs to.
        let short: Vec<&str> =
            head.iter().map(|name| if name.starts_with('±') { "±" } else { name }).collect();
        format!("{}\n{}\n", print::table(&short, &rows, &right), self.notes.join("\n"))
    }

    fn json(&self) -> String {
        let line = |row: &Vec<Field>| {
            let fields = self.head.iter().cloned().zip(row.iter().map(Field::json));
            Value::Object(fields.collect::<Map<String, Value>>())
        };
        let lines: Vec<Value> = self.rows.iter().map(line).collect();
        let meanings: Map<String, Value> = DEFINITIONS
            .iter()
            .map(|(_, word, meaning)| (word.to_string(), json!(meaning)))
            .collect();
        let all = json!({ "lines": lines, "notes": self.notes, "definitions": meanings });
        serde_json::to_string_pretty(&all).expect("plain values")
    }
}
