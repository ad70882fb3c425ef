//! Data that were edited in one place, behind their size and their time, are other data: whatever
//! the loader, their fingerprint differs.

use std::path::Path;
use std::time::SystemTime;
use varangian_base::{Domain, Seed};
use varangian_learn::data::load;

/// Edits of each kind of file.
const TRIALS: u64 = 100;
/// Rows of tables and images of sets: many more than a sample would look at.
const ROWS: u32 = 900;

/// One file of a set and where in it a byte may be edited, by what.
struct File {
    name: &'static str,
    bytes: Vec<u8>,
    edits: &'static str,
}

/// What can be edited in text: a digit becomes another one.
const DIGITS: &str = "digits";
/// Any byte behind the first 16 becomes another one.
const BYTES: &str = "bytes";

fn text(row: impl Fn(u32) -> String) -> Vec<u8> {
    (0..ROWS).map(row).collect::<String>().into_bytes()
}

fn idx(sizes: &[u32], data: Vec<u8>) -> Vec<u8> {
    let head = [0, 0, 8, sizes.len() as u8];
    let sizes: Vec<u8> = sizes.iter().flat_map(|size| size.to_be_bytes()).collect();
    [&head[..], &sizes, &data].concat()
}

/// A data set of each loader: what it is called, and its files.
fn sets() -> Vec<(&'static str, Vec<File>)> {
    let digit = |i: u32, k: u32| (i * i * (k + 3) + i) % 7 + 1;
    let csv = text(|i| format!("1.{}5,2.{}5,{}\n", digit(i, 0), digit(i, 1), i % 3));
    let svm = text(|i| format!("{} 1:1.{}5 2:2.{}5\n", i % 3, digit(i, 0), digit(i, 1)));
    let pixels = |n: u32, d: u32| (0..n * d).map(|k| (k * 7 % 251) as u8).collect::<Vec<u8>>();
    let labels = |n: u32| (0..n).map(|i| (i % 10) as u8).collect::<Vec<u8>>();
    let cifar = |n: u32| -> Vec<u8> {
        let record = |i: u32| [vec![(i % 10) as u8], pixels(1, 3072)].concat();
        (0..n).flat_map(record).collect()
    };
    let file = |name, bytes, edits| File { name, bytes, edits };
    let mut batches: Vec<File> = [
        "data_batch_1.bin",
        "data_batch_2.bin",
        "data_batch_3.bin",
        "data_batch_4.bin",
        "data_batch_5.bin",
    ]
    .map(|name| file(name, cifar(60), BYTES))
    .into();
    batches.push(file("test_batch.bin", cifar(20), BYTES));
    vec![
        (
            "csv file=a.csv test=b.csv",
            vec![file("a.csv", csv.clone(), DIGITS), file("b.csv", csv, DIGITS)],
        ),
        (
            "libsvm file=a.svm test=b.svm",
            vec![file("a.svm", svm.clone(), DIGITS), file("b.svm", svm, DIGITS)],
        ),
        (
            "mnist",
            vec![
                file("train-images-idx3-ubyte", idx(&[ROWS, 6, 5], pixels(ROWS, 30)), BYTES),
                file("train-labels-idx1-ubyte", idx(&[ROWS], labels(ROWS)), ""),
                file("t10k-images-idx3-ubyte", idx(&[50, 6, 5], pixels(50, 30)), BYTES),
                file("t10k-labels-idx1-ubyte", idx(&[50], labels(50)), ""),
            ],
        ),
        ("cifar10 records=any", batches),
    ]
}

fn fingerprint(spec: &str, folder: &Path) -> Option<[[u8; 32]; 2]> {
    let split = load(spec, Some(folder.into()), Seed(0)).ok()?;
    let of = |set: &dyn varangian_learn::Dataset| set.fingerprint().expect("files have one");
    Some([of(split.train.as_ref()), of(split.test.as_ref())])
}

#[test]
fn one_edited_byte_in_a_hundred_of_a_hundred_trials_is_noticed() {
    for (spec, files) in sets() {
        let folder = tempfile::tempdir().unwrap();
        let path = |file: &File| folder.path().join(file.name);
        files.iter().for_each(|file| std::fs::write(path(file), &file.bytes).unwrap());
        let before = fingerprint(spec, folder.path()).unwrap_or_else(|| panic!("{spec} loads"));
        assert_eq!(fingerprint(spec, folder.path()), Some(before), "{spec}");
        let editable: Vec<&File> = files.iter().filter(|file| !file.edits.is_empty()).collect();
        for trial in 0..TRIALS {
            let mut draw = Seed(trial).stream(Domain::Test, 3, 0);
            let file = editable[draw.below(editable.len())];
            let mut bytes = file.bytes.clone();
            let at = loop {
                let at = draw.below(bytes.len());
                let (behind, digit) = (at >= 16, bytes[at].is_ascii_digit());
                if if file.edits == DIGITS { digit } else { behind } {
                    break at;
                }
            };
            bytes[at] = match file.edits {
                DIGITS => b'0' + (bytes[at] - b'0' + 1) % 10,
                _ => bytes[at] ^ 1,
            };
            let time = std::fs::metadata(path(file)).unwrap().modified().unwrap();
            write_behind(&path(file), &bytes, time);
            // What an edit breaks is refused, which is noticed too.
            let after = fingerprint(spec, folder.path());
            assert_ne!(after, Some(before), "{spec}: byte {at} of {}, trial {trial}", file.name);
            write_behind(&path(file), &file.bytes, time);
        }
        assert_eq!(fingerprint(spec, folder.path()), Some(before), "{spec}");
    }
}

/// Writes a file and sets its time.
fn write_behind(path: &Path, bytes: &[u8], time: SystemTime) {
    std::fs::write(path, bytes).unwrap();
    std::fs::File::options().write(true).open(path).unwrap().set_modified(time).unwrap();
}
