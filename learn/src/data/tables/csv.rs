//! Comma-separated values: one sample a row, numbers, and one column to predict.

mod first;

use super::{Dictionary, FILE, Parsed, STANDARDISE, TASK, TEST, TableOptions, dictionary};
use crate::data::{DataError, Facts, Place, Source, Split, files};
use std::cell::RefCell;
use std::io::Read;
use varangian_base::{Entry, Kind, Param};

/// CSV.
pub(crate) static ENTRY: Entry<dyn Source, Facts> = Entry {
    name: "csv",
    summary: "Your own table: comma-separated numbers, one column to predict.",
    paper: "RFC 4180",
    differs: &[
        "Where there is a header, columns of a test file or of other files of a folder are matched by name.",
        "Missing values (nothing, NA, NaN, null, None, ? and the like) are refused, also as labels.",
    ],
    params: &[
        FILE,
        TEST,
        Param {
            name: "target",
            kind: Kind::Text,
            default: "last",
            help: "the column to predict: first, last, its name, or its number from 0",
        },
        Param {
            name: "header",
            kind: Kind::Choice(&["auto", "true", "false"]),
            default: "auto",
            help: "whether the first row holds names; auto: if its features are no numbers",
        },
        TASK,
        STANDARDISE,
    ],
    cost: "4 bytes a number in memory, 8 while it is read",
    facts: Facts { size: "that of the file", files: &["the file named by file="] },
    build: |args| {
        let header = match args.text("header") {
            "true" => Some(true),
            "false" => Some(false),
            _ => None,
        };
        let target = args.text("target").to_owned();
        Ok(Box::new(Csv { options: TableOptions::read("csv", args), target, header }))
    },
};

struct Csv {
    options: TableOptions,
    target: String,
    header: Option<bool>,
}

impl Source for Csv {
    fn load(&self, place: &Place) -> Result<Split, DataError> {
        let layout = Layout {
            target: self.target.clone(),
            header: self.header,
            labels: self.options.labels,
        };
        let schema = RefCell::new(None);
        self.options.load(place, ".csv", &|reader, names| {
            read(reader, &layout, &mut schema.borrow_mut(), names)
        })
    }
}

/// How a table is to be read.
#[derive(Clone, Debug)]
pub struct Layout {
    /// The column to predict: `first`, `last`, a name of the header or a number from 0.
    pub target: String,
    /// Whether the first row is a header; `None` to find out.
    pub header: Option<bool>,
    /// Whether targets are names of classes; otherwise they are numbers.
    pub labels: bool,
}

/// What the first file settles for all: its columns, and which of them is predicted.
#[derive(Clone, Debug)]
pub struct Schema {
    /// The names in the header, if there is one.
    pub names: Option<Vec<String>>,
    /// The number of columns.
    pub width: usize,
    /// The column to predict.
    pub wanted: usize,
}

/// Reads a table. The first file makes the `schema`; columns of later ones are matched to it by
/// the names in their headers, or by their number where there is none.
///
/// # Errors
/// Names the row (from 1) and column (from 0) of what is missing or no finite number, a row of
/// other length, a header that is not that of the first file, a first row that may be a header.
pub fn read(
    reader: &mut dyn Read,
    layout: &Layout,
    schema: &mut Option<Schema>,
    names: &mut Dictionary,
) -> Result<Parsed, DataError> {
    let text = files::text(reader)?;
    let mut reader = csv::ReaderBuilder::new().has_headers(false).flexible(true).from_reader(text);
    let mut record = csv::StringRecord::new();
    let (mut out, mut places) = (Parsed { unit: "row", ..Parsed::default() }, Vec::new());
    let mut first = first::First::default();
    for row in 1.. {
        let more = reader
            .read_record(&mut record)
            .map_err(|e| DataError::new(format!("cannot read row {row}: {e}")))?;
        if !more {
            break;
        }
        if row == 1 {
            let begun = first::begin(&record, layout, schema.as_ref())?;
            first = begun.first;
            (places, *schema) = (begun.places, Some(begun.schema));
            if begun.header {
                continue;
            }
        }
        let schema = schema.as_ref().expect("made from row 1");
        if record.len() != schema.width {
            let (what, found) = (format!("row {row}"), record.len());
            return Err(DataError::expected(&what, format!("{} columns", schema.width), found));
        }
        let cell = Cell { schema, record: &record, places: &places, row };
        for k in (0..schema.width).filter(|&k| k != schema.wanted) {
            out.inputs.push(cell.number(k)?);
        }
        out.targets.push(match layout.labels {
            true => f64::from(cell.label(schema.wanted, names)?),
            false => cell.single(schema.wanted)?,
        });
        out.rows.push(row);
        first.follow(dictionary::clean(&record[places[schema.wanted]]));
    }
    first.check()?;
    if let Some(schema) = schema {
        out.features = schema.width - 1;
        let features = (0..schema.width).filter(|&k| k != schema.wanted);
        out.columns = features.map(|k| schema.column(k, k)).collect();
    }
    Ok(out)
}

impl Schema {
    /// What messages call column k, which stands at `place` in its file.
    fn column(&self, k: usize, place: usize) -> String {
        match &self.names {
            Some(names) => format!("column {place} (\"{}\")", clip(&names[k])),
            None => format!("column {place}"),
        }
    }
}

/// The cells of one row.
struct Cell<'a> {
    schema: &'a Schema,
    record: &'a csv::StringRecord,
    /// Where each column of the schema stands in this file.
    places: &'a [usize],
    row: u32,
}

impl Cell<'_> {
    /// The text of column k of the schema.
    fn text(&self, k: usize) -> &str {
        dictionary::clean(&self.record[self.places[k]])
    }

    fn wrong(&self, k: usize, expected: &str) -> DataError {
        let column = self.schema.column(k, self.places[k]);
        let text = self.text(k);
        let note = match dictionary::is_missing(text) {
            true => " (a missing value: leave the row out, or fill it in)",
            false => "",
        };
        let found = format!("\"{}\"{note}", clip(text));
        DataError::expected(&format!("row {}, {column}", self.row), expected, found)
    }

    fn number(&self, k: usize) -> Result<f64, DataError> {
        let value = self.text(k).parse::<f64>().ok().filter(|v| v.is_finite());
        value.ok_or_else(|| self.wrong(k, "a finite number"))
    }

    /// A number that single precision holds.
    fn single(&self, k: usize) -> Result<f64, DataError> {
        let value = self.number(k)?;
        match (value as f32).is_finite() {
            true => Ok(value),
            false => Err(self.wrong(k, "a number of single precision, at most 3.4e38 in size")),
        }
    }

    fn label(&self, k: usize, names: &mut Dictionary) -> Result<u32, DataError> {
        if self.text(k).contains(['\n', '\r']) {
            return Err(self.wrong(k, "a class on one line (is a quote not closed?)"));
        }
        names.code(self.text(k)).ok_or_else(|| self.wrong(k, "a class"))
    }
}

/// The start of a text, for a message on one line.
pub(super) fn clip(text: &str) -> String {
    text.chars().take(40).map(|c| if c.is_control() { ' ' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::super::tests::{all, load};
    use super::*;
    use crate::Targets;
    use proptest::prelude::*;

    #[test]
    fn headers_names_and_targets_are_understood() {
        let file = b"a,kind,b\n1,cat,2\n3,dog,4\n5,cat,6\n";
        let spec = "csv file=t.csv test=t.csv target=kind standardise=false";
        let split = load(spec, &[("t.csv", file)]).unwrap();
        let (inputs, targets) = all(&*split.train);
        assert_eq!(inputs, [1., 2., 3., 4., 5., 6.]);
        assert_eq!(targets, Targets::Labels(vec![0, 1, 0]));
        assert_eq!(split.train.classes(), 2);
        let spec = "csv file=t.csv test=t.csv target=first task=values standardise=false";
        let split = load(spec, &[("t.csv", b"0.5,1\n-1.5,2\n")]).unwrap();
        assert_eq!(all(&*split.test).1, Targets::Values(vec![0.5, -1.5]));
    }

    #[test]
    fn each_fault_names_its_place() {
        let error = |bytes: &[u8]| load("csv file=t.csv", &[("t.csv", bytes)]).err().unwrap();
        assert_eq!(
            error(b"1,2,0\n3,x,1\n"),
            "t.csv: row 2, column 1: expected a finite number, found \"x\""
        );
        assert_eq!(error(b"1,2,0\n3,1\n"), "t.csv: row 2: expected 3 columns, found 2");
        assert_eq!(
            error(b"1,inf,0\n"),
            "t.csv: row 1, column 1: expected a finite number, found \"inf\""
        );
        assert_eq!(error(b"1\n"), "t.csv: row 1: expected at least two columns, found 1");
        assert_eq!(error(b""), "t.csv: samples: expected at least one, found none");
        let spec = "csv file=t.csv test=u.csv";
        let unseen = load(spec, &[("t.csv", b"1,a\n"), ("u.csv", b"1,a\n1,b\n")]).err().unwrap();
        assert_eq!(
            unseen,
            "u.csv: row 2: expected a label that a training sample has, found \"b\""
        );
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300),
            target in prop_oneof![Just("first"), Just("last"), Just("1"), Just("a")]) {
            let layout = Layout { target: target.into(), header: None, labels: true };
            let names = &mut Dictionary::default();
            let parsed = read(&mut &bytes[..], &layout, &mut None, names);
            if let Ok(parsed) = parsed {
                prop_assert_eq!(parsed.inputs.len(), parsed.features * parsed.targets.len());
                prop_assert!(parsed.inputs.len() <= bytes.len());
            }
        }

        #[test]
        fn digits_and_commas_never_panic(text in "[0-9,.\n\"e-]{0,120}") {
            let layout = Layout { target: "last".into(), header: None, labels: true };
            let _ = read(&mut text.as_bytes(), &layout, &mut None, &mut Dictionary::default());
        }
    }
}
