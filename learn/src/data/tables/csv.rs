//! Comma-separated values: one sample a row, numbers, and one column to predict.

use super::{Dictionary, FILE, Parsed, STANDARDISE, TASK, TEST, TableOptions};
use crate::data::{DataError, Facts, Place, Source, Split};
use std::io::Read;
use varangian_base::{Entry, Kind, Param};

/// CSV.
pub(crate) static ENTRY: Entry<dyn Source, Facts> = Entry {
    name: "csv",
    summary: "Your own table: comma-separated numbers, one column to predict.",
    paper: "RFC 4180",
    differs: &[],
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
            help: "whether the first row holds names; auto: if a feature in it is no number",
        },
        TASK,
        STANDARDISE,
    ],
    cost: "4 bytes a number in memory",
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
        self.options.load(place, ".csv", &|reader, _, names| {
            read(reader, &self.target, self.header, self.options.labels, names)
        })
    }
}

/// Reads a table. `target` is `first`, `last`, a name of the header or a number; `header` says
/// whether there is one, `None` to find out.
///
/// # Errors
/// Names the row (from 1) and column of what is not a finite number, or of a row of other length.
pub fn read(
    reader: &mut dyn Read,
    target: &str,
    header: Option<bool>,
    labels: bool,
    names: &mut Dictionary,
) -> Result<Parsed, DataError> {
    let mut reader =
        csv::ReaderBuilder::new().has_headers(false).flexible(true).from_reader(reader);
    let mut record = csv::StringRecord::new();
    let (mut out, mut wanted, mut width) = (Parsed::default(), 0, 0);
    for row in 1.. {
        let more = reader
            .read_record(&mut record)
            .map_err(|e| DataError::new(format!("cannot read row {row}: {e}")))?;
        if !more {
            break;
        }
        if row == 1 {
            width = record.len();
            wanted = column(&record, target)?;
            let number = |k: usize| record[k].trim().parse::<f64>().is_ok();
            let named = || (0..width).any(|k| k != wanted && !number(k));
            if header.unwrap_or_else(named) {
                continue;
            }
        }
        if record.len() != width {
            let what = format!("row {row}");
            return Err(DataError::expected(&what, format!("{width} columns"), record.len()));
        }
        for k in (0..width).filter(|&k| k != wanted) {
            out.inputs.push(number(&record[k], row, k)? as f32);
        }
        out.targets.push(match labels {
            true => f64::from(names.code(&record[wanted])),
            false => number(&record[wanted], row, wanted)?,
        });
    }
    out.features = width.saturating_sub(1);
    Ok(out)
}

/// The column that `target` names in the first row.
fn column(first: &csv::StringRecord, target: &str) -> Result<usize, DataError> {
    let width = first.len();
    let place = match target {
        _ if width < 2 => {
            return Err(DataError::expected("row 1", "at least two columns", width));
        }
        "first" => Some(0),
        "last" => Some(width - 1),
        _ => match target.parse::<usize>() {
            Ok(k) => Some(k).filter(|&k| k < width),
            Err(_) => first.iter().position(|name| name.trim() == target),
        },
    };
    place.ok_or_else(|| {
        let expected = "first, last, a name in row 1 or a column's number".to_string();
        DataError::expected("target", expected, format!("\"{target}\" with {width} columns"))
    })
}

fn number(text: &str, row: usize, column: usize) -> Result<f64, DataError> {
    let value = text.trim().parse::<f64>().ok().filter(|&v| (v as f32).is_finite());
    value.ok_or_else(|| {
        let what = format!("row {row}, column {column}");
        DataError::expected(&what, "a finite number", format!("\"{}\"", clip(text)))
    })
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
        assert_eq!(unseen, "u.csv: test sample 1 has a label that no training sample has");
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300),
            target in prop_oneof![Just("first"), Just("last"), Just("1"), Just("a")]) {
            let parsed = read(&mut &bytes[..], target, None, true, &mut Dictionary::default());
            if let Ok(parsed) = parsed {
                prop_assert_eq!(parsed.inputs.len(), parsed.features * parsed.targets.len());
                prop_assert!(parsed.inputs.len() <= bytes.len());
            }
        }

        #[test]
        fn digits_and_commas_never_panic(text in "[0-9,.\n\"e-]{0,120}") {
            let _ = read(&mut text.as_bytes(), "last", None, true, &mut Dictionary::default());
        }
    }
}
