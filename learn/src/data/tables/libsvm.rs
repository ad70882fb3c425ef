//! LIBSVM's sparse text: `label index:value index:value …`, indices ascending from 1.

use super::csv::clip;
use super::{Dictionary, FILE, Parsed, STANDARDISE, TASK, TEST, TableOptions};
use crate::data::{DataError, Facts, Place, Source, Split};
use std::io::{BufRead, BufReader, Read};
use varangian_base::{Entry, Param};

/// LIBSVM.
pub(crate) static ENTRY: Entry<dyn Source, Facts> = Entry {
    name: "libsvm",
    summary: "Your own table in LIBSVM's sparse text, made dense.",
    paper: "Chang, Lin: LIBSVM, ACM TIST 2011",
    differs: &[
        "A qid: entry is passed over.",
        "A file whose dense form holds more than 64 numbers a byte of text is refused.",
    ],
    params: &[FILE, TEST, TASK, Param { default: "false", ..STANDARDISE }],
    cost: "4 bytes a number in memory, zeros included",
    facts: Facts { size: "that of the file", files: &["the file named by file="] },
    build: |args| Ok(Box::new(Libsvm { options: TableOptions::read("libsvm", args) })),
};

/// Dense numbers allowed for each byte of text: bounds memory by the size of the file.
pub const DENSE_A_BYTE: usize = 64;

struct Libsvm {
    options: TableOptions,
}

impl Source for Libsvm {
    fn load(&self, place: &Place) -> Result<Split, DataError> {
        self.options.load(place, "", &|reader, _, names| read(reader, self.options.labels, names))
    }
}

/// Reads samples and makes them dense.
///
/// # Errors
/// Names the line (from 1) and the entry that is malformed or out of order.
pub fn read(
    reader: &mut dyn Read,
    labels: bool,
    names: &mut Dictionary,
) -> Result<Parsed, DataError> {
    let mut reader = BufReader::new(reader);
    let (mut entries, mut out, mut bytes) = (Vec::new(), Parsed::default(), 0);
    let mut text = Vec::new();
    for line in 1.. {
        text.clear();
        let count = reader
            .read_until(b'\n', &mut text)
            .map_err(|e| DataError::new(format!("cannot read line {line}: {e}")))?;
        if count == 0 {
            break;
        }
        bytes += count;
        let text = String::from_utf8_lossy(&text);
        let text = text.split('#').next().unwrap_or("");
        let mut words = text.split_ascii_whitespace();
        let Some(label) = words.next() else { continue };
        let sample = out.targets.len();
        out.targets.push(match labels {
            true => f64::from(names.code(label)),
            false => number(label, line)?,
        });
        let mut last = 0;
        for word in words.filter(|word| !word.starts_with("qid:")) {
            let (index, value) = entry(word, last, line)?;
            last = index;
            out.features = out.features.max(index);
            entries.push((sample, index - 1, value));
        }
    }
    dense(out, &entries, bytes)
}

fn dense(
    mut out: Parsed,
    entries: &[(usize, usize, f32)],
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

/// An `index:value` whose index is above `last`.
fn entry(word: &str, last: usize, line: usize) -> Result<(usize, f32), DataError> {
    let bad = |expected: String| {
        DataError::expected(&format!("line {line}"), expected, format!("\"{}\"", clip(word)))
    };
    let (index, value) = word.split_once(':').ok_or_else(|| bad("index:value".into()))?;
    let index = index.parse::<usize>().map_err(|_| bad("index:value".into()))?;
    if index <= last {
        return Err(bad(format!("an index above {last}")));
    }
    let value = value.parse::<f32>().ok().filter(|v| v.is_finite());
    Ok((index, value.ok_or_else(|| bad("a finite value".into()))?))
}

fn number(text: &str, line: usize) -> Result<f64, DataError> {
    let value = text.parse::<f64>().ok().filter(|&v| (v as f32).is_finite());
    value.ok_or_else(|| {
        let what = format!("line {line}");
        DataError::expected(&what, "a finite number first", format!("\"{}\"", clip(text)))
    })
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
        assert_eq!(error("1 0:1\n"), "a: line 1: expected an index above 0, found \"0:1\"");
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
            let parsed = read(&mut text.as_bytes(), labels, &mut Dictionary::default());
            if let Ok(parsed) = parsed {
                prop_assert!(parsed.inputs.len() <= DENSE_A_BYTE * text.len());
            }
        }

        #[test]
        fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = read(&mut &bytes[..], true, &mut Dictionary::default());
        }
    }
}
