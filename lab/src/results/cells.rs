//! CSV that pandas, polars and DuckDB read alike: text is quoted, whole numbers are digits, other
//! numbers have a point or an exponent, so that each column has one type whatever stands in it.

use toml::Value;

/// What stands in a cell.
#[derive(Clone, Debug, PartialEq)]
pub enum Cell {
    /// Text.
    Text(String),
    /// A whole number.
    Whole(i64),
    /// A number; NaN where nothing is known.
    Real(f64),
    /// Yes or no.
    Truth(bool),
}

impl Cell {
    /// Text.
    pub fn text(text: impl Into<String>) -> Self {
        Cell::Text(text.into())
    }

    /// A count.
    pub fn count(count: usize) -> Self {
        Cell::Whole(count as i64)
    }

    /// A setting's value.
    pub fn of(value: Option<&Value>) -> Self {
        match value {
            Some(Value::Integer(x)) => Cell::Whole(*x),
            Some(Value::Float(x)) => Cell::Real(*x),
            Some(Value::Boolean(x)) => Cell::Truth(*x),
            Some(Value::String(text)) => Cell::text(text),
            Some(other) => Cell::text(other.to_string()),
            None => Cell::text(""),
        }
    }

    /// The cell as it is written.
    pub fn written(&self) -> String {
        match self {
            // Readers take an empty text for a missing value, each in its own way.
            Cell::Text(text) if text.is_empty() => "\"-\"".into(),
            Cell::Text(text) => format!("\"{}\"", text.replace('"', "\"\"")),
            Cell::Whole(x) => x.to_string(),
            Cell::Real(x) => real(*x),
            Cell::Truth(x) => x.to_string(),
        }
    }
}

/// A number as every reader takes it for one: "0.25", "1.0", "1e22", "NaN". Infinity is 1e999:
/// the readers know "inf" as text, as a date or as a number, and all of them know this.
fn real(x: f64) -> String {
    match x {
        f64::INFINITY => "1e999".into(),
        f64::NEG_INFINITY => "-1e999".into(),
        x => format!("{x:?}"),
    }
}

/// A table with its header.
pub fn csv(header: &[&str], rows: impl Iterator<Item = Vec<Cell>>) -> Vec<u8> {
    let mut out = header.join(",");
    out.push('\n');
    for row in rows {
        debug_assert_eq!(row.len(), header.len(), "{header:?}");
        let cells: Vec<String> = row.iter().map(Cell::written).collect();
        out.push_str(&cells.join(","));
        out.push('\n');
    }
    out.into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_never_read_as_a_whole_one_and_text_never_as_a_number() {
        for x in [0.25, 1.0, 0.0, -0.0, 1e22, 1e73, 5e-324, f64::MAX, 123_456_789.0, -3.0] {
            let text = Cell::Real(x).written();
            assert!(text.contains(['.', 'e']), "{text}");
            assert_eq!(text.parse::<f64>().unwrap().to_bits(), x.to_bits());
        }
        for x in [f64::INFINITY, f64::NEG_INFINITY] {
            let text = Cell::Real(x).written();
            assert!(text.ends_with("1e999") && text.parse::<f64>() == Ok(x), "{text}");
        }
        assert_eq!(Cell::Real(f64::NAN).written(), "NaN");
        assert_eq!(Cell::text("say \"a\", b").written(), "\"say \"\"a\"\", b\"");
        assert_eq!(
            (Cell::text("").written(), Cell::Whole(-3).written()),
            ("\"-\"".into(), "-3".into())
        );
        let rows = [vec![Cell::text("1e5"), Cell::Truth(true)]].into_iter();
        assert_eq!(csv(&["a", "b"], rows), b"a,b\n\"1e5\",true\n");
    }
}
