//! What a theory says at given numbers, for a reader and for a script.

use varangian_lab::text;

/// Sentences and tables in their order, and the numbers that stand in the sentences.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Sheet {
    parts: Vec<Part>,
    numbers: Vec<(&'static str, f64)>,
}

#[derive(Clone, Debug, PartialEq)]
enum Part {
    Words(String),
    Table(Table),
}

/// A table of a [`Sheet`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Table {
    /// What it is called by a script: a word or two.
    pub name: String,
    /// The columns' names; two may have the same.
    pub columns: Vec<&'static str>,
    /// Lines of as many cells as there are columns, as they are printed.
    pub rows: Vec<Vec<String>>,
    /// Which columns are numbers. Their cells are numbers, or a word where there is none.
    pub numeric: Vec<bool>,
}

impl Table {
    /// A cell's number: none where its column has words, or the cell says that there is none.
    pub fn number(&self, row: usize, column: usize) -> Option<f64> {
        let is_numeric = self.numeric.get(column) == Some(&true);
        let cell = self.rows.get(row)?.get(column)?;
        cell.parse().ok().filter(|x: &f64| is_numeric && x.is_finite())
    }
}

impl Sheet {
    /// With a sentence or several, ending as they end.
    pub(crate) fn words(mut self, text: impl Into<String>) -> Self {
        self.parts.push(Part::Words(text.into()));
        self
    }

    /// With a number that stands in the sentences, under its name for scripts.
    pub(crate) fn number(mut self, name: &'static str, value: f64) -> Self {
        self.numbers.push((name, value));
        self
    }

    /// With a table; `numeric` says which columns are numbers.
    pub(crate) fn table(
        mut self,
        name: impl Into<String>,
        columns: &[&'static str],
        rows: Vec<Vec<String>>,
        numeric: &[bool],
    ) -> Self {
        let (name, columns, numeric) = (name.into(), columns.to_vec(), numeric.to_vec());
        self.parts.push(Part::Table(Table { name, columns, rows, numeric }));
        self
    }

    /// With all of another sheet behind.
    pub(crate) fn and(mut self, other: Sheet) -> Self {
        self.parts.extend(other.parts);
        self.numbers.extend(other.numbers);
        self
    }

    /// The whole as text, tables with their columns aligned.
    pub fn text(&self) -> String {
        let part = |part: &Part| match part {
            Part::Words(words) => words.clone(),
            Part::Table(table) => text::table(&table.columns, &table.rows, &table.numeric),
        };
        self.parts.iter().map(part).collect()
    }

    /// The tables in their order.
    pub fn tables(&self) -> impl Iterator<Item = &Table> {
        self.parts.iter().filter_map(|part| match part {
            Part::Table(table) => Some(table),
            Part::Words(_) => None,
        })
    }

    /// The sentences in their order, a paragraph or line each, without empty ones.
    pub fn sentences(&self) -> impl Iterator<Item = &str> {
        let words = self.parts.iter().filter_map(|part| match part {
            Part::Words(words) => Some(words.as_str()),
            Part::Table(_) => None,
        });
        words.map(str::trim).filter(|words| !words.is_empty())
    }

    /// The numbers that stand in the sentences, by name.
    pub fn numbers(&self) -> &[(&'static str, f64)] {
        &self.numbers
    }
}
