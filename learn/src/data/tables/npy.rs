//! The .npy format: a magic string, a header that is a Python dictionary, data.

use crate::data::DataError;
use half::{bf16, f16};
use std::io::Read;

/// An array read from a .npy file.
#[derive(Clone, Debug, PartialEq)]
pub struct Array {
    /// The sizes, outermost first.
    pub shape: Vec<usize>,
    /// The entries, row-major.
    pub values: Values,
}

/// The entries of an array.
#[derive(Clone, Debug, PartialEq)]
pub enum Values {
    /// Unsigned bytes, as images are stored.
    Bytes(Vec<u8>),
    /// Any other kind of number, exact but for whole numbers beyond 2⁵³.
    Numbers(Vec<f64>),
}

impl Values {
    /// The entries as numbers.
    pub fn numbers(self) -> Vec<f64> {
        match self {
            Values::Bytes(bytes) => bytes.into_iter().map(f64::from).collect(),
            Values::Numbers(numbers) => numbers,
        }
    }
}

/// The header of a .npy file.
struct Header {
    /// The kind of number: a letter and a width in bytes, as `f4`.
    kind: String,
    /// Whether the most significant byte comes first.
    big: bool,
    fortran: bool,
    shape: Vec<usize>,
}

/// Reads an array of bytes, booleans, integers or floats. `most` bounds what the reader can yield.
///
/// # Errors
/// Wrong magic, a kind of number that is not read, more data promised than the file can hold,
/// truncation, trailing bytes.
pub fn read(reader: &mut dyn Read, most: u64) -> Result<Array, DataError> {
    let header = header(reader)?;
    let width: u64 = header.kind[1..].parse().unwrap_or(0);
    let count = header.shape.iter().fold(1u128, |p, &size| p.saturating_mul(size as u128));
    let total = count.saturating_mul(u128::from(width));
    if total > u128::from(most) {
        let what = format!("data of shape {:?}", header.shape);
        let expected = format!("at most the {most} bytes that the file can hold");
        return Err(DataError::expected(&what, expected, format!("{total} promised")));
    }
    let mut bytes = Vec::new();
    let failed = |e: std::io::Error| DataError::new(format!("cannot read the data: {e}"));
    reader.take(total as u64).read_to_end(&mut bytes).map_err(failed)?;
    if bytes.len() as u128 != total {
        let found = format!("only {} (the file is truncated)", bytes.len());
        return Err(DataError::expected("data", format!("{total} bytes"), found));
    }
    if reader.read(&mut [0]).map_err(failed)? != 0 {
        let expected = format!("the end after {total} bytes");
        return Err(DataError::expected("data", expected, "trailing bytes"));
    }
    if header.big {
        bytes.chunks_exact_mut((width as usize).max(1)).for_each(<[u8]>::reverse);
    }
    let values = values(&header.kind, bytes)?;
    let array = Array { shape: header.shape, values };
    Ok(if header.fortran { to_c_order(array) } else { array })
}

fn values(kind: &str, bytes: Vec<u8>) -> Result<Values, DataError> {
    macro_rules! numbers {
        ($t:ty) => {
            numbers!($t, |v| v as f64)
        };
        ($t:ty, $double:expr) => {{
            let read = |b: &[u8]| <$t>::from_le_bytes(b.try_into().unwrap_or_default());
            let double: fn($t) -> f64 = $double;
            Ok(Values::Numbers(bytes.chunks_exact(size_of::<$t>()).map(read).map(double).collect()))
        }};
    }
    match kind {
        "u1" | "b1" => Ok(Values::Bytes(bytes)),
        "i1" => numbers!(i8),
        "i2" => numbers!(i16),
        "i4" => numbers!(i32),
        "i8" => numbers!(i64),
        "u2" => numbers!(u16),
        "u4" => numbers!(u32),
        "u8" => numbers!(u64),
        "f2" => numbers!(f16, f16::to_f64),
        "V2" => numbers!(bf16, bf16::to_f64),
        "f4" => numbers!(f32),
        "f8" => numbers!(f64),
        other => Err(foreign(other)),
    }
}

/// The kinds that are read. bfloat16 goes by V2, as ml_dtypes writes it.
const KINDS: &[&str] =
    &["u1", "b1", "i1", "i2", "i4", "i8", "u2", "u4", "u8", "f2", "V2", "f4", "f8"];

/// What to say of a kind that is not read.
fn foreign(kind: &str) -> DataError {
    let meaning = match kind.chars().next() {
        Some('U' | 'S' | 'a') => " (text: numbers can stand for classes)",
        Some('O') => " (pickled Python objects, which are never read: save numbers)",
        Some('c') => " (complex numbers)",
        Some('M' | 'm') => " (dates or durations: save numbers)",
        Some('V' | '[') => " (records: save one array of numbers)",
        Some('f') => " (long doubles: save f8)",
        _ => "",
    };
    let found = format!("{}{meaning}", super::csv::clip(kind));
    DataError::expected("kind of number", "u1 to u8, i1 to i8, b1, f2, bfloat16, f4 or f8", found)
}

/// From Fortran order, in which the first index runs fastest, to row-major order.
fn to_c_order(array: Array) -> Array {
    let Array { shape, values } = array;
    // How far apart entries lie whose index differs by one, in the file.
    let strides: Vec<usize> = shape
        .iter()
        .scan(1, |stride, &size| {
            let here = *stride;
            *stride *= size;
            Some(here)
        })
        .collect();
    let place = |mut i: usize| {
        let mut from = 0;
        for (&size, &stride) in shape.iter().zip(&strides).rev() {
            from += i % size * stride;
            i /= size;
        }
        from
    };
    fn turn<T: Copy>(from: &[T], place: impl Fn(usize) -> usize) -> Vec<T> {
        (0..from.len()).map(|i| from[place(i)]).collect()
    }
    let values = match &values {
        Values::Bytes(from) => Values::Bytes(turn(from, place)),
        Values::Numbers(from) => Values::Numbers(turn(from, place)),
    };
    Array { shape, values }
}

fn header(reader: &mut dyn Read) -> Result<Header, DataError> {
    let mut start = [0; 8];
    exact(reader, &mut start)?;
    if start[..6] != *b"\x93NUMPY" {
        let found = format!("{:02x?}", &start[..6]);
        return Err(DataError::expected("magic", "\\x93NUMPY (a .npy file)", found));
    }
    let mut length = [0; 4];
    match start[6] {
        1 => exact(reader, &mut length[..2])?,
        2 | 3 => exact(reader, &mut length)?,
        other => return Err(DataError::expected("format version", "1, 2 or 3", other)),
    }
    let length = u32::from_le_bytes(length);
    if length > 65_536 {
        return Err(DataError::expected("header", "at most 65536 bytes", length));
    }
    let mut text = vec![0; length as usize];
    exact(reader, &mut text)?;
    parse(&String::from_utf8_lossy(&text))
}

/// Reads `{'descr': '<f4', 'fortran_order': False, 'shape': (3, 4), }`.
fn parse(text: &str) -> Result<Header, DataError> {
    let after = |key: &str| {
        let missing = || DataError::new(format!("the header has no '{key}'"));
        let rest = text.split_once(&format!("'{key}'")).ok_or_else(missing)?.1;
        Ok::<&str, DataError>(rest.trim_start_matches([':', ' ']))
    };
    let kind = after("descr")?;
    if kind.starts_with('[') {
        return Err(foreign("[…]"));
    }
    let kind = kind.split(['\'', '"']).nth(1).unwrap_or("");
    let big = kind.starts_with('>');
    let kind = kind.trim_start_matches(['<', '>', '|', '=']).to_owned();
    if !KINDS.contains(&kind.as_str()) {
        return Err(foreign(&kind));
    }
    let fortran = after("fortran_order")?.starts_with("True");
    let sizes = after("shape")?.strip_prefix('(').and_then(|rest| rest.split_once(')'));
    let (sizes, _) = sizes.ok_or_else(|| DataError::new("the header's shape is no tuple"))?;
    let mut shape = Vec::new();
    for size in sizes.split(',').map(str::trim).filter(|size| !size.is_empty()) {
        let bad = |_| DataError::expected("shape", "whole numbers", format!("({sizes})"));
        shape.push(size.parse().map_err(bad)?);
    }
    Ok(Header { kind, big, fortran, shape })
}

fn exact(reader: &mut dyn Read, out: &mut [u8]) -> Result<(), DataError> {
    reader.read_exact(out).map_err(|e| match e.kind() {
        std::io::ErrorKind::UnexpectedEof => {
            DataError::new("the file ends within its header (it is truncated)")
        }
        _ => DataError::new(format!("cannot read the header: {e}")),
    })
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use proptest::prelude::*;

    /// A .npy file.
    pub(in super::super) fn file(kind: &str, fortran: bool, shape: &str, data: &[u8]) -> Vec<u8> {
        let order = if fortran { "True" } else { "False" };
        let text = format!("{{'descr': '{kind}', 'fortran_order': {order}, 'shape': {shape}, }}\n");
        let length = (text.len() as u16).to_le_bytes();
        [b"\x93NUMPY\x01\x00", &length[..], text.as_bytes(), data].concat()
    }

    fn read_all(bytes: &[u8]) -> Result<Array, String> {
        read(&mut &bytes[..], bytes.len() as u64).map_err(|e| e.to_string())
    }

    #[test]
    fn kinds_and_orders_are_read() {
        let floats: Vec<u8> =
            [1.5f32, 2.0, 3.0, 4.0].iter().flat_map(|v| v.to_le_bytes()).collect();
        let array = read_all(&file("<f4", false, "(2, 2)", &floats)).unwrap();
        assert_eq!(array.values, Values::Numbers(vec![1.5, 2.0, 3.0, 4.0]));
        let array = read_all(&file("<f4", true, "(2, 2)", &floats)).unwrap();
        assert_eq!(array.values, Values::Numbers(vec![1.5, 3.0, 2.0, 4.0]));
        let array = read_all(&file("|u1", false, "(3,)", &[7, 8, 9])).unwrap();
        assert_eq!((array.shape, array.values), (vec![3], Values::Bytes(vec![7, 8, 9])));
        let array = read_all(&file("<i8", false, "(1,)", &(-5i64).to_le_bytes())).unwrap();
        assert_eq!(array.values, Values::Numbers(vec![-5.0]));
    }

    #[test]
    fn widths_and_ends_and_orders_say_the_same_numbers() {
        let numbers = [1.5, -2.0, 0.25, 96.0, -0.0, 1024.0];
        let one = |kind: &str, v: f64| match kind {
            "<f8" => v.to_le_bytes().to_vec(),
            ">f8" => v.to_be_bytes().to_vec(),
            "<f4" => (v as f32).to_le_bytes().to_vec(),
            ">f4" => (v as f32).to_be_bytes().to_vec(),
            "<f2" => f16::from_f64(v).to_le_bytes().to_vec(),
            ">f2" => f16::from_f64(v).to_be_bytes().to_vec(),
            _ => bf16::from_f64(v).to_le_bytes().to_vec(),
        };
        for kind in ["<f8", ">f8", "<f4", ">f4", "<f2", ">f2", "<V2", "|V2"] {
            let data: Vec<u8> = numbers.iter().flat_map(|&v| one(kind, v)).collect();
            let array = read_all(&file(kind, false, "(1, 2, 3)", &data)).unwrap();
            assert_eq!(array.values, Values::Numbers(numbers.to_vec()), "{kind}");
        }
        let c: Vec<u8> = (0..24).collect();
        let place = |i: usize, j: usize, k: usize| i + 2 * j + 6 * k;
        let mut fortran = vec![0; 24];
        for (i, j, k) in (0..24).map(|e| (e / 12, e / 4 % 3, e % 4)) {
            fortran[place(i, j, k)] = c[i * 12 + j * 4 + k];
        }
        let turned = read_all(&file("|u1", true, "(2, 3, 4)", &fortran)).unwrap();
        assert_eq!(turned.values, Values::Bytes(c));
    }

    #[test]
    fn each_fault_has_its_line() {
        let error = |bytes: &[u8]| read_all(bytes).unwrap_err();
        let starts = |bytes: &[u8], text: &str| {
            let found = error(bytes);
            assert!(found.starts_with(text), "{found}");
        };
        starts(b"PK34567890", "magic: expected \\x93NUMPY (a .npy file), found [");
        starts(&file("<c8", false, "(1,)", &[0; 8]), "kind of number: expected u1 to u8");
        for kind in ["<U2", "|S1", "<U9", "|O", "<M8[ns]", "<f16", "|V8"] {
            starts(&file(kind, false, "(1,)", &[0; 8]), "kind of number: expected u1 to u8");
        }
        assert!(error(&file("<U2", false, "(1,)", &[0; 8])).contains("found U2 (text"));
        starts(&file("<f4", false, "(9, 9)", &[]), "data of shape [9, 9]: expected at most the");
        starts(&file("<f4", false, "(2,)", &[0; 5]), "data: expected 8 bytes, found only 5");
        starts(&file("<f4", false, "(1,)", &[0; 5]), "data: expected the end after 4 bytes");
        starts(&file("<f4", false, "(-1,)", &[]), "shape: expected whole numbers, found (-1,)");
        starts(b"\x93NUMPY\x01", "the file ends within its header");
    }

    proptest! {
        #[test]
        fn arbitrary_headers_never_panic_nor_allocate_beyond_the_file(
            kind in "[<>|]?[a-z][0-9]", shape in "\\([0-9, -]{0,30}\\)?", fortran in any::<bool>(),
            data in proptest::collection::vec(any::<u8>(), 0..64),
        ) {
            let bytes = file(&kind, fortran, &shape, &data);
            if let Ok(array) = read_all(&bytes) {
                prop_assert!(array.values.numbers().len() <= bytes.len());
            }
        }

        #[test]
        fn arbitrary_bytes_never_panic(data in proptest::collection::vec(any::<u8>(), 0..99)) {
            let _ = read_all(&[b"\x93NUMPY", &data[..]].concat());
        }
    }
}
