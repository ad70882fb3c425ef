//! The first row of a CSV file: names of columns, or a sample.

use super::{Layout, Schema, clip};
use crate::data::DataError;
use crate::data::tables::dictionary::{clean, is_missing};
use csv::StringRecord;

/// What the first row of a file settles.
pub(super) struct Begun {
    /// Whether it is a header.
    pub header: bool,
    /// Where each column of the schema stands in this file.
    pub places: Vec<usize>,
    pub schema: Schema,
    pub first: First,
}

/// Reads the first row of a file, given what an earlier file settled.
///
/// # Errors
/// If there is no column to predict, it may be a header or not, names are missing or given twice,
/// or the columns are not those of the earlier file.
pub(super) fn begin(
    record: &StringRecord,
    layout: &Layout,
    earlier: Option<&Schema>,
) -> Result<Begun, DataError> {
    let names: Vec<&str> = record.iter().map(clean).collect();
    if names.len() < 2 {
        let hint = match record.iter().any(|text| text.contains([';', '\t', '|'])) {
            true => " (fields are separated by commas)",
            false => "",
        };
        let found = format!("{}{hint}", names.len());
        return Err(DataError::expected("row 1", "at least two columns", found));
    }
    let wanted = match earlier {
        None => wanted(&names, layout)?,
        Some(schema) => match &schema.names {
            None => schema.wanted,
            // In a file of other order it stands elsewhere; only a header can say where.
            Some(known) => names.iter().position(|name| *name == known[schema.wanted]).unwrap_or(0),
        },
    };
    let header = match layout.header {
        Some(given) => given,
        None => is_header(&names, wanted, layout, earlier)?,
    };
    let own = header.then(|| named(&names)).transpose()?;
    let (schema, places) = match earlier {
        None => {
            let width = names.len();
            (Schema { names: own, width, wanted }, (0..width).collect())
        }
        Some(schema) => (schema.clone(), places(schema, own.as_deref(), names.len())?),
    };
    let first = match layout.header.is_none() && !header {
        true => First::sample(&names, schema.wanted),
        false => First::default(),
    };
    Ok(Begun { header, places, schema, first })
}

/// The column that `target` names in the first row.
fn wanted(names: &[&str], layout: &Layout) -> Result<usize, DataError> {
    let (target, width) = (layout.target.as_str(), names.len());
    let place = match target {
        "first" => Some(0),
        "last" => Some(width - 1),
        _ => match target.parse::<usize>() {
            Ok(k) => Some(k).filter(|&k| k < width),
            Err(_) if layout.header == Some(false) => {
                let text = "a column's number, first or last, as header=false gives no names";
                return Err(DataError::expected("target", text, format!("\"{}\"", clip(target))));
            }
            Err(_) => names.iter().position(|name| *name == clean(target)),
        },
    };
    place.ok_or_else(|| {
        let expected = "first, last, a name in row 1 or a column's number".to_string();
        DataError::expected("target", expected, format!("\"{target}\" with {width} columns"))
    })
}

/// Whether the first row holds names: its features are all no numbers, apart from holes.
fn is_header(
    names: &[&str],
    wanted: usize,
    layout: &Layout,
    earlier: Option<&Schema>,
) -> Result<bool, DataError> {
    if let Some(known) = earlier.and_then(|schema| schema.names.as_ref()) {
        // The first file has a header: so has this one, or its columns cannot be told.
        let same = |name: &&&str| known.iter().any(|k| k == *name);
        return match names.iter().find(same) {
            Some(_) => Ok(true),
            None => {
                let expected =
                    format!("the names of the first file, \"{}\"", clip(&known.join(",")));
                let found = format!("\"{}\"", clip(&names.join(",")));
                Err(DataError::expected("row 1", expected, found))
            }
        };
    }
    let word =
        |target: &str| !matches!(target, "first" | "last") && target.parse::<usize>().is_err();
    if word(&layout.target) {
        return Ok(true);
    }
    let features = || names.iter().enumerate().filter(|&(k, _)| k != wanted);
    let is_text = |name: &str| !is_missing(name) && name.parse::<f64>().is_err();
    let text = features().find(|(_, name)| is_text(name));
    let number = features().find(|(_, name)| name.parse::<f64>().is_ok_and(f64::is_finite));
    match (text, number) {
        (Some((k, name)), Some((other, number))) => {
            let what = format!("row 1, column {k}");
            let found = format!("\"{}\" beside {number} in column {other}", clip(name));
            Err(DataError::expected(
                &what,
                "a number, or names in the whole row",
                format!("{found}; header=true or header=false says which it is"),
            ))
        }
        // Names beside a number in the column to predict: a header has names throughout.
        (Some((k, name)), None) if names[wanted].parse::<f64>().is_ok_and(f64::is_finite) => {
            let found = format!("\"{}\" beside {} in column {wanted}", clip(name), names[wanted]);
            Err(DataError::expected(
                &format!("row 1, column {k}"),
                "a number, or names in the whole row",
                format!("{found}; header=true or header=false says which it is"),
            ))
        }
        (text, _) => Ok(text.is_some()),
    }
}

/// The names of a header.
fn named(names: &[&str]) -> Result<Vec<String>, DataError> {
    for (k, name) in names.iter().enumerate() {
        if name.is_empty() {
            let found = "none (a table's index? leave it out when writing)";
            return Err(DataError::expected(&format!("row 1, column {k}"), "a name", found));
        }
        if names[..k].contains(name) {
            let found = format!("\"{}\" twice", clip(name));
            return Err(DataError::expected(&format!("row 1, column {k}"), "a new name", found));
        }
    }
    Ok(names.iter().map(|&name| name.to_owned()).collect())
}

/// Where the columns of the first file stand in one with these names.
fn places(schema: &Schema, own: Option<&[String]>, width: usize) -> Result<Vec<usize>, DataError> {
    let list = |names: &[String]| format!("\"{}\"", clip(&names.join(",")));
    let (known, own) = match (&schema.names, own) {
        (None, None) if width == schema.width => return Ok((0..width).collect()),
        (None, None) => {
            let expected = format!("{} columns, as in the first file", schema.width);
            return Err(DataError::expected("row 1", expected, width));
        }
        (None, Some(own)) => {
            let expected = "a sample, as the first file has no header";
            return Err(DataError::expected("row 1", expected, format!("names: {}", list(own))));
        }
        (Some(known), None) => {
            let expected = format!("the names of the first file, {}", list(known));
            return Err(DataError::expected("row 1", expected, "a sample"));
        }
        (Some(known), Some(own)) => (known, own),
    };
    if let Some(k) = own.iter().position(|name| !known.contains(name)) {
        let expected = format!("only columns that the first file has, {}", list(known));
        let found = format!("\"{}\"", clip(&own[k]));
        return Err(DataError::expected(&format!("row 1, column {k}"), expected, found));
    }
    let place = |name: &String| {
        own.iter().position(|other| other == name).ok_or_else(|| {
            let expected = format!("a column \"{}\", as in the first file", clip(name));
            DataError::expected("row 1", expected, list(own))
        })
    };
    known.iter().map(place).collect()
}

/// A first row that was taken for a sample though nobody said so: what follows may tell that it
/// holds names after all.
#[derive(Default)]
pub(super) struct First {
    /// Its label, where the rows after it can tell that it is none.
    label: Option<String>,
    /// Whether that is no number.
    text: bool,
    /// Whether it reads 0, 1, 2 and so on, as tools number columns without names.
    counts: bool,
    /// Rows seen, the first included.
    rows: usize,
    /// Rows after the first whose label is a number, and whose label is the first's.
    numbers: usize,
    equal: usize,
}

impl First {
    fn sample(names: &[&str], wanted: usize) -> First {
        let text = names[wanted].parse::<f64>().is_err();
        let count = |(k, name): (usize, &&str)| name.parse::<usize>() == Ok(k);
        let features = names.iter().enumerate().filter(|&(k, _)| k != wanted).map(|(_, name)| name);
        let counts = match text {
            true => names.len() > 3 && features.enumerate().all(count),
            false => names.len() > 3 && names.iter().enumerate().all(count),
        };
        let label = (text || counts).then(|| names[wanted].to_owned());
        First { label, text, counts, ..First::default() }
    }

    /// Notes the label of a row.
    pub(super) fn follow(&mut self, label: &str) {
        self.rows += 1;
        if self.rows > 1 {
            self.numbers += usize::from(label.parse::<f64>().is_ok());
            self.equal += usize::from(self.label.as_deref() == Some(label));
        }
    }

    /// # Errors
    /// If the first row reads like a header.
    pub(super) fn check(&self) -> Result<(), DataError> {
        let Some(label) = self.label.as_deref().filter(|_| self.rows > 1) else { return Ok(()) };
        let after = self.rows - 1;
        let odd = self.text && self.numbers == after;
        let alone = odd || (self.counts && self.equal == 0 && after > 2);
        match alone {
            false => Ok(()),
            true => Err(DataError::expected(
                "row 1",
                "a sample or a header",
                format!(
                    "numbers and the target \"{}\", which no other row has; header=true or \
                     header=false says which it is",
                    clip(label)
                ),
            )),
        }
    }
}
