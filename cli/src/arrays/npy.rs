//! The `.npy` format: a magic string, a header that is a Python dictionary, the entries.

/// A matrix of numbers as a file holds it, row by row.
pub(super) struct Array {
    /// Rows and columns.
    pub(super) shape: (usize, usize),
    /// The name of the kind of number: "f32", "bf16", "i64".
    pub(super) kind: &'static str,
    /// The entries, row-major.
    pub(super) entries: Entries,
}

/// Entries by the width that they are worked on in.
pub(super) enum Entries {
    /// f32, or widened to it without loss.
    Single(Vec<f32>),
    /// f64, or widened to it without loss.
    Double(Vec<f64>),
}

/// What can be read, as an error names it.
const READ: &str = "rows are f32, f64, f16, bf16 or whole numbers";

/// Bytes with which the length of the header is known.
pub(super) const START: u64 = 12;

/// How many bytes of the header come after its first [`START`]; 0 where these are no such file's.
pub(super) fn header_length(start: &[u8]) -> u64 {
    if start.len() < START as usize || !start.starts_with(b"\x93NUMPY") {
        return 0;
    }
    match start[6] {
        1 => u64::from(u16::from_le_bytes([start[8], start[9]])).saturating_sub(2),
        2 | 3 => u64::from(u32::from_le_bytes([start[8], start[9], start[10], start[11]])),
        _ => 0,
    }
}

/// How many bytes of entries a header promises; 0 where it cannot be read, which is said later.
pub(super) fn promised(bytes: &[u8]) -> u64 {
    let size = || {
        let (header, _) = split(bytes).ok()?;
        let width = kind(field(header, "descr").ok()?).ok()?.width;
        let shape = field(header, "shape").ok()?;
        let (n, d) = self::shape(shape, false).or_else(|_| self::shape(shape, true)).ok()?;
        u64::try_from(n.checked_mul(d)?.checked_mul(width)?).ok()
    };
    size().unwrap_or(0)
}

/// Reads a matrix from all bytes of a file; where a `vector` is wanted, one row with one axis.
pub(super) fn read(bytes: &[u8], vector: bool) -> Result<Array, String> {
    let (header, data) = split(bytes)?;
    let kind = kind(field(header, "descr")?)?;
    let fortran = match field(header, "fortran_order")? {
        text if text.starts_with("True") => true,
        text if text.starts_with("False") => false,
        _ => return Err("its header is damaged: fortran_order is neither True nor False".into()),
    };
    let shape = shape(field(header, "shape")?, vector)?;
    let count = shape.0.checked_mul(shape.1).filter(|n| n.checked_mul(kind.width).is_some());
    let Some(count) = count.filter(|&count| count > 0) else {
        let (n, d) = shape;
        return Err(match n == 0 || d == 0 {
            true if vector => "the vector is empty".into(),
            true => "the matrix is empty".into(),
            false => format!("its header promises {n} × {d} entries"),
        });
    };
    let (wanted, found) = (count * kind.width, data.len());
    if wanted != found {
        let (n, d) = shape;
        let found = match found < wanted {
            true => format!("found {found}: it is truncated"),
            false => "found more: something follows".into(),
        };
        return Err(format!("{n} × {d} of {} take {wanted} bytes; {found}", kind.name));
    }
    let at = |i: usize| if fortran { i % shape.1 * shape.0 + i / shape.1 } else { i };
    let entry = |i: usize| -> &[u8] { &data[at(i) * kind.width..][..kind.width] };
    let entries = match kind.decode {
        Decode::Single(decode) => {
            Entries::Single((0..count).map(|i| decode(entry(i), kind.big)).collect())
        }
        Decode::Double(decode) => {
            let number = |i: usize| {
                decode(entry(i), kind.big).ok_or_else(|| {
                    let (row, column) = (i / shape.1, i % shape.1);
                    format!(
                        "row {row}, column {column}: a whole number beyond 2⁵³, which f64 rounds"
                    )
                })
            };
            Entries::Double((0..count).map(number).collect::<Result<_, _>>()?)
        }
    };
    Ok(Array { shape, kind: kind.name, entries })
}

/// The header's text and what follows it.
fn split(bytes: &[u8]) -> Result<(&str, &[u8]), String> {
    if bytes.starts_with(b"PK\x03\x04") || bytes.starts_with(b"PK\x05\x06") {
        return Err("it is an .npz archive of arrays; one .npy array is read: \
             numpy.save(\"rows.npy\", numpy.load(\"rows.npz\")[\"name\"]) takes one out"
            .into());
    }
    if bytes.starts_with(&[0x1f, 0x8b]) {
        return Err("it is compressed by gzip; unpack it first".into());
    }
    if bytes.len() < 10 || !bytes.starts_with(b"\x93NUMPY") {
        return Err("it is no .npy file: those start with \\x93NUMPY".into());
    }
    let (length, from): (usize, usize) = match bytes[6] {
        1 => (usize::from(u16::from_le_bytes([bytes[8], bytes[9]])), 10),
        2 | 3 if bytes.len() >= 12 => {
            let length = [bytes[8], bytes[9], bytes[10], bytes[11]];
            (u32::from_le_bytes(length) as usize, 12)
        }
        2 | 3 => (usize::MAX, 12),
        other => return Err(format!("it is of .npy version {other}; 1 to 3 are read")),
    };
    let Some(end) = from.checked_add(length).filter(|&end| end <= bytes.len()) else {
        return Err("it ends within its header: it is truncated".into());
    };
    let text = std::str::from_utf8(&bytes[from..end]).map_err(|_| "its header is no text")?;
    Ok((text, &bytes[end..]))
}

/// What stands in the header after a key and its colon.
fn field<'a>(header: &'a str, key: &str) -> Result<&'a str, String> {
    let quoted = [format!("'{key}'"), format!("\"{key}\"")];
    let after = quoted.iter().find_map(|key| header.split_once(key.as_str()));
    let value = after.and_then(|(_, rest)| rest.trim_start().strip_prefix(':'));
    value.map(str::trim_start).ok_or_else(|| format!("its header is damaged: it has no {key}"))
}

fn shape(text: &str, vector: bool) -> Result<(usize, usize), String> {
    let inner = text.strip_prefix('(').and_then(|rest| rest.split_once(')'));
    let Some((inner, _)) = inner else {
        return Err("its header is damaged: shape is no tuple".into());
    };
    let sizes: Result<Vec<usize>, _> =
        inner.split(',').map(str::trim).filter(|s| !s.is_empty()).map(str::parse).collect();
    match sizes.as_deref() {
        Ok([n, d]) if !vector => Ok((*n, *d)),
        Ok([d]) if vector => Ok((1, *d)),
        Ok(sizes) => {
            let found = sizes.len();
            Err(match vector {
                true => format!("a vector has one axis; found {found}"),
                false => format!("rows have two axes, workers × coordinates; found {found}"),
            })
        }
        Err(_) => Err("its header is damaged: shape holds no whole numbers".into()),
    }
}

/// A kind of number.
struct Kind {
    name: &'static str,
    width: usize,
    big: bool,
    decode: Decode,
}

enum Decode {
    Single(fn(&[u8], bool) -> f32),
    Double(fn(&[u8], bool) -> Option<f64>),
}

macro_rules! number {
    ($t:ty) => {
        |bytes: &[u8], big: bool| {
            let bytes = bytes.try_into().unwrap_or_default();
            if big { <$t>::from_be_bytes(bytes) } else { <$t>::from_le_bytes(bytes) }
        }
    };
}

macro_rules! whole {
    ($t:ty) => {
        Decode::Double(|bytes, big| {
            let x = number!($t)(bytes, big);
            let wide = x as f64;
            // The greatest whole number of the type rounds up, out of its range.
            (wide as i128 == x as i128).then_some(wide)
        })
    };
}

/// The kind of number that a header's descr names.
fn kind(descr: &str) -> Result<Kind, String> {
    let quote = descr.chars().next().filter(|c| ['\'', '"'].contains(c));
    let Some(inner) = quote.and_then(|quote| descr[1..].split(quote).next()) else {
        return Err(format!("{READ}; found records of named fields"));
    };
    let big = inner.starts_with('>');
    let code = inner.trim_start_matches(['<', '>', '|', '=']);
    let single = |decode| Decode::Single(decode);
    let (name, width, decode) = match code {
        "f4" => ("f32", 4, single(number!(f32))),
        "f2" => ("f16", 2, single(|bytes, big| half(number!(u16)(bytes, big)))),
        // ml_dtypes writes its bfloat16 as two bytes of no kind.
        "V2" | "bfloat16" => (
            "bf16",
            2,
            single(|bytes, big| f32::from_bits(u32::from(number!(u16)(bytes, big)) << 16)),
        ),
        "f8" => ("f64", 8, Decode::Double(|bytes, big| Some(number!(f64)(bytes, big)))),
        "i1" => ("i8", 1, whole!(i8)),
        "i2" => ("i16", 2, whole!(i16)),
        "i4" => ("i32", 4, whole!(i32)),
        "i8" => ("i64", 8, whole!(i64)),
        "u1" => ("u8", 1, whole!(u8)),
        "u2" => ("u16", 2, whole!(u16)),
        "u4" => ("u32", 4, whole!(u32)),
        "u8" => ("u64", 8, whole!(u64)),
        _ => return Err(format!("{READ}; found {}{}", inner.escape_debug(), meaning(code))),
    };
    Ok(Kind { name, width, big, decode })
}

/// What a kind that is not read is, in words.
fn meaning(code: &str) -> &'static str {
    match code.as_bytes().first() {
        Some(b'f' | b'g') => " (a wider float; save it as float64)",
        Some(b'c') => " (complex numbers)",
        Some(b'b' | b'?') => " (booleans)",
        Some(b'O') => " (Python objects)",
        Some(b'U' | b'S') => " (text)",
        Some(b'M' | b'm') => " (dates)",
        Some(b'V') => " (bytes of no kind; float8 is not read)",
        _ => "",
    }
}

/// An IEEE half as f32, exactly.
fn half(bits: u16) -> f32 {
    let (sign, rest) = (u32::from(bits & 0x8000) << 16, u32::from(bits & 0x7fff));
    match rest >> 10 {
        0x1f => f32::from_bits(sign | 0x7f80_0000 | (rest & 0x3ff) << 13),
        // Zero and the numbers below the normal range are multiples of 2⁻²⁴.
        0 => f32::from_bits(sign | (rest as f32 * 2f32.powi(-24)).to_bits()),
        _ => f32::from_bits(sign | ((rest << 13) + (112 << 23))),
    }
}
