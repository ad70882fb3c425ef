//! The tidy table as Parquet: one row group, dictionaries with run lengths for everything but the
//! values, no compression. pandas, polars, DuckDB and R read it in one line.
//!
//! A file is "PAR1", the columns' pages, a footer in Thrift's compact protocol, its length, "PAR1".
//! Written by hand because the format's own crate would be the heaviest dependency of the program.

use super::Tidy;
use super::cells::Cell;
use std::collections::BTreeMap;

/// A column and its cells.
enum Column {
    Text(Vec<String>),
    Whole(Vec<i64>),
    Real(Vec<f64>),
    Truth(Vec<bool>),
}

/// Numbers of the format: physical types, encodings, page types.
const BOOLEAN: i64 = 0;
const INT64: i64 = 2;
const DOUBLE: i64 = 5;
const BYTE_ARRAY: i64 = 6;
const PLAIN: i64 = 0;
const RLE: i64 = 3;
const RLE_DICTIONARY: i64 = 8;
const DATA_PAGE: i64 = 0;
const DICTIONARY_PAGE: i64 = 2;

/// The table as Parquet, with the same columns and rows as its CSV.
pub fn parquet(table: &Tidy) -> Vec<u8> {
    let column = |k: usize| {
        let cells = || table.rows.iter().map(move |row| &row[k]);
        match cells().next() {
            Some(Cell::Whole(_)) => Column::Whole(cells().map(whole).collect()),
            Some(Cell::Real(_)) => Column::Real(cells().map(real).collect()),
            Some(Cell::Truth(_)) => {
                Column::Truth(cells().map(|cell| *cell == Cell::Truth(true)).collect())
            }
            _ => Column::Text(cells().map(text).collect()),
        }
    };
    let columns: Vec<(&str, Column)> =
        table.header.iter().enumerate().map(|(k, name)| (*name, column(k))).collect();
    file(&columns, table.rows.len())
}

fn whole(cell: &Cell) -> i64 {
    if let Cell::Whole(x) = cell { *x } else { 0 }
}

fn real(cell: &Cell) -> f64 {
    if let Cell::Real(x) = cell { *x } else { f64::NAN }
}

fn text(cell: &Cell) -> String {
    match cell {
        Cell::Text(text) if text.is_empty() => "-".into(),
        Cell::Text(text) => text.clone(),
        other => other.written(),
    }
}

fn file(columns: &[(&str, Column)], rows: usize) -> Vec<u8> {
    let mut out = b"PAR1".to_vec();
    let mut chunks = Vec::new();
    for (name, column) in columns {
        chunks.push(chunk(name, column, rows, &mut out));
    }
    let footer = footer(columns, rows, &chunks, out.len() - 4);
    out.extend(&footer);
    out.extend((footer.len() as u32).to_le_bytes());
    out.extend(b"PAR1");
    out
}

/// Writes a column's pages and returns its description.
fn chunk(name: &str, column: &Column, rows: usize, out: &mut Vec<u8>) -> Thrift {
    let start = out.len();
    let (kind, dictionary) = match column {
        Column::Text(cells) => {
            (BYTE_ARRAY, Some(indexed(cells.iter().map(String::as_str), plain_text)))
        }
        Column::Whole(cells) => (INT64, Some(indexed(cells.iter().copied(), plain_whole))),
        Column::Real(_) => (DOUBLE, None),
        Column::Truth(_) => (BOOLEAN, None),
    };
    if let Some(dictionary) = &dictionary {
        page(DICTIONARY_PAGE, dictionary.distinct, PLAIN, &dictionary.values, out);
    }
    let encoding = if dictionary.is_some() { RLE_DICTIONARY } else { PLAIN };
    let data_page = out.len();
    let data = match (&dictionary, column) {
        (Some(dictionary), _) => run_lengths(&dictionary.indices, dictionary.distinct),
        (None, Column::Real(cells)) => cells.iter().flat_map(|cell| cell.to_le_bytes()).collect(),
        (None, Column::Truth(cells)) => bits(cells),
        (None, _) => Vec::new(),
    };
    page(DATA_PAGE, rows, encoding, &data, out);
    let size = (out.len() - start) as i64;
    let mut meta = Thrift::default();
    meta.whole(1, kind);
    let encodings = [PLAIN, RLE, encoding].map(Thrift::number);
    meta.list(2, 5, &encodings);
    meta.list(3, 8, &[Thrift::text(name)]);
    meta.whole(4, 0);
    meta.long(5, rows as i64);
    meta.long(6, size);
    meta.long(7, size);
    meta.long(9, data_page as i64);
    if dictionary.is_some() {
        meta.long(11, start as i64);
    }
    let mut chunk = Thrift::default();
    chunk.long(2, start as i64);
    chunk.fields(3, meta);
    chunk
}

fn page(kind: i64, values: usize, encoding: i64, data: &[u8], out: &mut Vec<u8>) {
    let mut header = Thrift::default();
    header.whole(1, kind);
    header.whole(2, data.len() as i64);
    header.whole(3, data.len() as i64);
    let mut own = Thrift::default();
    own.whole(1, values as i64);
    own.whole(2, encoding);
    if kind == DATA_PAGE {
        own.whole(3, RLE);
        own.whole(4, RLE);
        header.fields(5, own);
    } else {
        header.fields(7, own);
    }
    out.extend(header.end());
    out.extend(data);
}

fn footer(columns: &[(&str, Column)], rows: usize, chunks: &[Thrift], size: usize) -> Vec<u8> {
    let mut root = Thrift::default();
    root.text_field(4, "schema");
    root.whole(5, columns.len() as i64);
    let mut schema = vec![root];
    for (name, column) in columns {
        let mut element = Thrift::default();
        element.whole(
            1,
            match column {
                Column::Text(_) => BYTE_ARRAY,
                Column::Whole(_) => INT64,
                Column::Real(_) => DOUBLE,
                Column::Truth(_) => BOOLEAN,
            },
        );
        // Required: no cell is missing.
        element.whole(3, 0);
        element.text_field(4, name);
        if matches!(column, Column::Text(_)) {
            // UTF-8.
            element.whole(6, 0);
        }
        schema.push(element);
    }
    let mut group = Thrift::default();
    group.structs(1, chunks);
    group.long(2, size as i64);
    group.long(3, rows as i64);
    let mut file = Thrift::default();
    file.whole(1, 1);
    file.structs(2, &schema);
    file.long(3, rows as i64);
    file.structs(4, &[group]);
    file.text_field(6, concat!("varangian ", env!("CARGO_PKG_VERSION")));
    file.end()
}

/// A column as numbers into a list of its distinct values, in order of appearance.
struct Dictionary {
    indices: Vec<u32>,
    distinct: usize,
    /// The list, as the format writes plain values.
    values: Vec<u8>,
}

fn indexed<T: Ord + Copy>(cells: impl Iterator<Item = T>, plain: fn(T) -> Vec<u8>) -> Dictionary {
    let (mut known, mut values, mut indices) = (BTreeMap::new(), Vec::new(), Vec::new());
    for cell in cells {
        let next = known.len() as u32;
        indices.push(*known.entry(cell).or_insert_with(|| {
            values.extend(plain(cell));
            next
        }));
    }
    Dictionary { indices, distinct: known.len(), values }
}

fn plain_text(cell: &str) -> Vec<u8> {
    [&(cell.len() as u32).to_le_bytes(), cell.as_bytes()].concat()
}

fn plain_whole(cell: i64) -> Vec<u8> {
    cell.to_le_bytes().to_vec()
}

/// One bit a cell, from the lowest of each byte.
fn bits(cells: &[bool]) -> Vec<u8> {
    let byte =
        |part: &[bool]| part.iter().enumerate().map(|(k, cell)| u8::from(*cell) << k).sum::<u8>();
    cells.chunks(8).map(byte).collect()
}

/// Indices as the width of one in bits, then runs: twice the length as a varint, the index in whole
/// bytes.
fn run_lengths(indices: &[u32], distinct: usize) -> Vec<u8> {
    let bits = (usize::BITS - distinct.saturating_sub(1).leading_zeros()).max(1);
    let mut out = vec![bits as u8];
    for run in indices.chunk_by(|a, b| a == b) {
        varint(&mut out, 2 * run.len() as u64);
        out.extend(&run[0].to_le_bytes()[..bits.div_ceil(8) as usize]);
    }
    out
}

fn varint(out: &mut Vec<u8>, mut x: u64) {
    while x >= 0x80 {
        out.push(x as u8 | 0x80);
        x >>= 7;
    }
    out.push(x as u8);
}

/// A struct in Thrift's compact protocol, field by field in ascending order.
#[derive(Clone, Default)]
struct Thrift {
    bytes: Vec<u8>,
    last: u8,
}

impl Thrift {
    fn head(&mut self, field: u8, kind: u8) {
        self.bytes.push((field - self.last) << 4 | kind);
        self.last = field;
    }

    fn number(x: i64) -> Vec<u8> {
        let mut out = Vec::new();
        varint(&mut out, ((x << 1) ^ (x >> 63)) as u64);
        out
    }

    fn text(text: &str) -> Vec<u8> {
        let mut out = Vec::new();
        varint(&mut out, text.len() as u64);
        out.extend(text.as_bytes());
        out
    }

    /// A field of 32 bits.
    fn whole(&mut self, field: u8, x: i64) {
        self.head(field, 5);
        self.bytes.extend(Self::number(x));
    }

    /// A field of 64 bits.
    fn long(&mut self, field: u8, x: i64) {
        self.head(field, 6);
        self.bytes.extend(Self::number(x));
    }

    fn text_field(&mut self, field: u8, text: &str) {
        self.head(field, 8);
        self.bytes.extend(Self::text(text));
    }

    fn fields(&mut self, field: u8, inner: Thrift) {
        self.head(field, 12);
        self.bytes.extend(inner.end());
    }

    /// A list of encoded elements of one kind.
    fn list(&mut self, field: u8, kind: u8, elements: &[Vec<u8>]) {
        self.head(field, 9);
        match elements.len() {
            short @ 0..15 => self.bytes.push((short as u8) << 4 | kind),
            long => {
                self.bytes.push(0xf0 | kind);
                varint(&mut self.bytes, long as u64);
            }
        }
        elements.iter().for_each(|element| self.bytes.extend(element));
    }

    fn structs(&mut self, field: u8, elements: &[Thrift]) {
        let ended: Vec<Vec<u8>> = elements.iter().map(|one| one.clone().end()).collect();
        self.list(field, 12, &ended);
    }

    fn end(mut self) -> Vec<u8> {
        self.bytes.push(0);
        self.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::results::Outcome;

    #[test]
    fn runs_and_numbers_are_the_formats() {
        // Three values need two bits: a run of three 0, one of one 2.
        assert_eq!(run_lengths(&[0, 0, 0, 2], 3), [2, 6, 0, 2, 2]);
        assert_eq!(run_lengths(&[0; 200], 1), [1, 0x90, 3, 0]);
        assert_eq!(run_lengths(&[300], 301), [9, 2, 44, 1]);
        assert_eq!((Thrift::number(-1), Thrift::number(64)), (vec![1], vec![0x80, 1]));
        assert_eq!(bits(&[true, false, true, false, false, false, false, true, true]), [133, 1]);
        let mut one = Thrift::default();
        one.whole(1, 3);
        one.text_field(4, "ab");
        assert_eq!(one.end(), [0x15, 6, 0x38, 2, b'a', b'b', 0]);
    }

    #[test]
    fn the_file_is_framed_and_its_columns_are_where_the_footer_says() {
        let table = Tidy::of(&[Outcome::sample("krum", "alie", 7, &[0.25, 0.5])]);
        let bytes = parquet(&table);
        assert!(bytes.starts_with(b"PAR1") && bytes.ends_with(b"PAR1"));
        let tail = bytes.len() - 8;
        let length = u32::from_le_bytes(bytes[tail..tail + 4].try_into().unwrap()) as usize;
        let pages = &bytes[..tail - length];
        // Values are the last column: plain, in order.
        assert!(pages.ends_with(&[0.25f64.to_le_bytes(), 0.5f64.to_le_bytes()].concat()));
        let footer = &bytes[tail - length..tail];
        for name in &table.header {
            let found = footer.windows(name.len()).filter(|part| *part == name.as_bytes()).count();
            assert!(found >= 2, "{name}: in the schema and in its column");
        }
    }
}
