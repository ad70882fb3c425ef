//! LIBSVM's sparse text: `label index:value index:value …`, indices ascending from 1 (or 0).

use super::csv::clip;
use super::{Dictionary, FILE, Parsed, STANDARDISE, TASK, TEST, TableOptions};
use crate::data::{DataError, Facts, Place, Source, Split, files};
use std::io::{BufRead, Read};
use varangian_base::{Entry, Kind, Param};

/// LIBSVM.
pub(crate) static ENTRY: Entry<dyn Source, Facts> = Entry {
    name: "libsvm",
    summary: "Your own table in LIBSVM's sparse text, made dense.",
    paper: "Chang, Lin: LIBSVM, ACM TIST 2011",
    differs: &[
        "A qid: entry is passed over.",
        "A file whose dense form holds more than 64 numbers a byte of text is refused.",
    ],
    params: &[
        FILE,
        TEST,
        Param {
            name: "base",
            kind: Kind::Choice(&["1", "0"]),
            default: "1",
            help: "the index of the first feature: 1, as LIBSVM writes, or 0, as others do",
        },
        TASK,
        Param { default: "false", ..STANDARDISE },
    ],
    cost: "4 bytes a number in memory, 8 while it is read, zeros included",
    facts: Facts { size: "that of the file", files: &["the file named by file="] },
    build: |args| {
        let base = usize::from(args.text("base") == "1");
        Ok(Box::new(Libsvm { options: TableOptions::read("libsvm", args), base }))
    },
};

/// Dense numbers allowed for each byte of text: bounds memory by the size of the file.
pub const DENSE_A_BYTE: usize = 64;

struct Libsvm {
    options: TableOptions,
    base: usize,
}

impl Source for Libsvm {
    fn load(&self, place: &Place) -> Result<Split, DataError> {
        self.options
            .load(place, "", &|reader, names| read(reader, self.base, self.options.labels, names))
    }
}

/// Reads samples and makes them dense. `base` is the index of the first feature, 0 or 1.
///
/// # Errors
/// Names the line (from 1) and the entry that is malformed or out of order, and the line without a
/// label.
pub fn read(
    reader: &mut dyn Read,
    base: usize,
    labels: bool,
    names: &mut Dictionary,
) -> Result<Parsed, DataError> {
    let mut reader = files::text(reader)?;
    let (mut entries, mut bytes) = (Vec::new(), 0);
    let mut out = Parsed { unit: "line", ..Parsed::default() };
    let mut text = Vec::new();
    for line in 1.. {
        text.clear();
        let count = next(&mut reader, &mut text)
            .map_err(|e| DataError::new(format!("cannot read line {line}: {e}")))?;
        if count == 0 {
            break;
        }
        bytes += count;
        let text = std::str::from_utf8(&text)
            .map_err(|_| DataError::expected(&format!("line {line}"), "UTF-8", "other bytes"))?;
        let text = text.split('#').next().unwrap_or("");
        let mut words = text.split_ascii_whitespace();
        let Some(label) = words.next() else { continue };
        let sample = out.targets.len();
        out.targets.push(target(label, line, labels, names)?);
        out.rows.push(line);
        let mut next = base;
        for word in words.filter(|word| !word.starts_with("qid:")) {
            let (index, value) = entry(word, next, base, line)?;
            next = index + 1;
            out.features = out.features.max(next - base);
            entries.push((sample, index - base, value));
        }
    }
    out.columns = (0..out.features.min(bytes)).map(|k| format!("index {}", k + base)).collect();
    dense(out, &entries, bytes)
}

/// Reads a line into `text`, which may end in a line feed, a carriage return or both; gives the
/// bytes that were taken, 0 at the end.
fn next(reader: &mut impl BufRead, text: &mut Vec<u8>) -> std::io::Result<usize> {
    let mut taken = 0;
    loop {
        let found = reader.fill_buf()?;
        if found.is_empty() {
            return Ok(taken);
        }
        let end = found.iter().position(|&byte| matches!(byte, b'\n' | b'\r'));
        text.extend_from_slice(&found[..end.unwrap_or(found.len())]);
        let is_return = end.is_some_and(|end| found[end] == b'\r');
        let count = end.map_or(found.len(), |end| end + 1);
        reader.consume(count);
        taken += count;
        if end.is_none() {
            continue;
        }
        if is_return && reader.fill_buf()?.first() == Some(&b'\n') {
            reader.consume(1);
            taken += 1;
        }
        return Ok(taken);
    }
}

fn target(text: &str, line: u32, labels: bool, names: &mut Dictionary) -> Result<f64, DataError> {
    let wrong = |expected: &str| {
        let found = format!("\"{}\"", clip(text));
        DataError::expected(&format!("line {line}"), expected, found)
    };
    // What holds a colon is an entry or a query, and the line has no label; what holds a comma is
    // several labels, of which none is meant alone.
    match labels {
        _ if text.contains(':') => Err(wrong("a label before the first index:value")),
        true if text.contains(',') => Err(wrong("one label")),
        true => names.code(text).map(f64::from).ok_or_else(|| wrong("a class first")),
        false => {
            let value = text.parse::<f64>().ok().filter(|&v| (v as f32).is_finite());
            value.ok_or_else(|| wrong("a finite number first"))
        }
    }
}

fn dense(
    mut out: Parsed,
    entries: &[(usize, usize, f64)],
    bytes: usize,
) -> Result<Parsed, DataError> {
    let total = out.features.saturating_mul(out.targets.len());
    if total > bytes.saturating_mul(DENSE_A_BYTE) {
        let what = format!("{} samples of {} features", out.targets.len(), out.features);
        let expected = format!("at most {DENSE_A_BYTE} numbers a byte of text");
        return Err(DataError::expected(&what, expected, format!("{total} for {bytes} bytes")));
    }
    out.inputs = vec![0.0; total];
    for &(sample, k, value) in entries {
        out.inputs[sample * out.features + k] = value;
    }
    Ok(out)
}

/// An `index:value` whose index is at least `least`.
fn entry(word: &str, least: usize, base: usize, line: u32) -> Result<(usize, f64), DataError> {
    let bad = |expected: &str| {
        DataError::expected(&format!("line {line}"), expected, format!("\"{}\"", clip(word)))
    };
    let (index, value) = word.split_once(':').ok_or_else(|| bad("index:value"))?;
    let index = index.parse::<usize>().map_err(|_| bad("index:value"))?;
    if index < base {
        return Err(bad("an index above 0 (base=0 reads files that count from 0)"));
    }
    if index < least || index == usize::MAX {
        return Err(bad(&format!("an index above {}", least.saturating_sub(1))));
    }
    let value = value.parse::<f64>().ok().filter(|v| v.is_finite());
    Ok((index, value.ok_or_else(|| bad("a finite value"))?))
}

#[cfg(test)]
mod tests {
    use super::super::tests::{all, load};
    use super::*;
    use crate::Targets;
    use proptest::prelude::*;

    #[test]
    fn sparse_lines_become_dense_and_the_wider_file_widens_the_other() {
        let train = b"+1 1:0.5 3:2 # note\n\n-1 qid:4 2:-1\n";
        let spec = "libsvm file=a test=b";
        let split = load(spec, &[("a", train), ("b", b"1 4:9\n")]).unwrap();
        let (inputs, targets) = all(&*split.train);
        assert_eq!(inputs, [0.5, 0., 2., 0., 0., -1., 0., 0.]);
        assert_eq!(targets, Targets::Labels(vec![1, 0]));
        assert_eq!(all(&*split.test).0, [0., 0., 0., 9.]);
    }

    #[test]
    fn each_fault_names_its_line() {
        let error = |text: &str| load("libsvm file=a", &[("a", text.as_bytes())]).err().unwrap();
        assert_eq!(
            error("1 0:1\n"),
            "a: line 1: expected an index above 0 (base=0 reads files that count from 0), found \"0:1\""
        );
        assert_eq!(error("1 2:1 2:1\n"), "a: line 1: expected an index above 2, found \"2:1\"");
        assert_eq!(error("1 1:1\n1 x\n"), "a: line 2: expected index:value, found \"x\"");
        assert_eq!(error("1 1:nan\n"), "a: line 1: expected a finite value, found \"1:nan\"");
        let bomb = error("1 999999999999:1\n");
        assert!(bomb.starts_with("a: 1 samples of 999999999999 features: expected"), "{bomb}");
    }

    proptest! {
        #[test]
        fn arbitrary_text_never_panics_nor_grows_beyond_its_bound(
            text in "[-+0-9: .#q\n]{0,200}", labels in any::<bool>(),
        ) {
            let parsed = read(&mut text.as_bytes(), 1, labels, &mut Dictionary::default());
            if let Ok(parsed) = parsed {
                prop_assert!(parsed.inputs.len() <= DENSE_A_BYTE * text.len());
            }
        }

        #[test]
        fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = read(&mut &bytes[..], 0, true, &mut Dictionary::default());
        }
    }
}
