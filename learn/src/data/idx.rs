//! The IDX format of MNIST and its relatives: two zero bytes, a type, a rank, big-endian sizes,
//! data.
//!
//! Only unsigned bytes (type 8) are read: the images and labels of these sets are nothing else.

use super::DataError;
use std::io::Read;

/// An array of bytes read from an IDX file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Idx {
    /// The sizes, outermost first.
    pub sizes: Vec<usize>,
    /// The entries, row-major: the product of the sizes.
    pub bytes: Vec<u8>,
}

/// Reads an array of `rank` dimensions. `most` bounds what the reader can yield: a header that
/// promises more is refused before anything is allocated.
///
/// # Errors
/// Wrong magic number, more data promised than the file can hold, truncation, trailing bytes.
pub fn read(reader: &mut dyn Read, most: u64, rank: usize) -> Result<Idx, DataError> {
    let magic = word(reader, "magic number")?;
    let wanted = 0x800 + rank as u32;
    if magic != wanted {
        let expected = format!("{wanted:#010x} (IDX, unsigned bytes, {rank} dimensions)");
        return Err(DataError::expected("magic number", expected, format!("{magic:#010x}")));
    }
    let mut sizes = Vec::with_capacity(rank);
    for k in 0..rank {
        sizes.push(word(reader, &format!("size of dimension {k}"))? as usize);
    }
    let total = sizes.iter().fold(1u128, |product, &size| product.saturating_mul(size as u128));
    if total > u128::from(most) {
        let what = format!("data of sizes {sizes:?}");
        let expected = format!("at most the {most} bytes that the file can hold");
        let found = format!("{total} promised (truncated, or a corrupt header)");
        return Err(DataError::expected(&what, expected, found));
    }
    let total = total as u64;
    let mut bytes = Vec::new();
    let failed = |e: std::io::Error| DataError::new(format!("cannot read the data: {e}"));
    // Grows with what really comes, so that a lying header in a packed file costs nothing.
    reader.take(total).read_to_end(&mut bytes).map_err(failed)?;
    if bytes.len() as u64 != total {
        let expected = format!("{total} bytes for sizes {sizes:?}");
        let found = format!("only {} (the file is truncated)", bytes.len());
        return Err(DataError::expected("data", expected, found));
    }
    if reader.read(&mut [0]).map_err(failed)? != 0 {
        let expected = format!("the file to end after {total} bytes for sizes {sizes:?}");
        return Err(DataError::expected("data", expected, "trailing bytes"));
    }
    Ok(Idx { sizes, bytes })
}

fn word(reader: &mut dyn Read, what: &str) -> Result<u32, DataError> {
    let mut bytes = [0; 4];
    reader.read_exact(&mut bytes).map_err(|error| match error.kind() {
        std::io::ErrorKind::UnexpectedEof => {
            DataError::expected(what, "4 bytes", "the end of the file (it is truncated)")
        }
        _ => DataError::new(format!("cannot read the {what}: {error}")),
    })?;
    Ok(u32::from_be_bytes(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn file(magic: u32, sizes: &[u32], data: &[u8]) -> Vec<u8> {
        let words = std::iter::once(&magic).chain(sizes);
        let mut bytes: Vec<u8> = words.flat_map(|w| w.to_be_bytes()).collect();
        bytes.extend_from_slice(data);
        bytes
    }

    fn read_all(bytes: &[u8], rank: usize) -> Result<Idx, String> {
        read(&mut &bytes[..], bytes.len() as u64, rank).map_err(|e| e.to_string())
    }

    #[test]
    fn a_small_file_is_read() {
        let idx = read_all(&file(0x803, &[2, 1, 3], &[1, 2, 3, 4, 5, 6]), 3).unwrap();
        assert_eq!((idx.sizes, idx.bytes), (vec![2, 1, 3], vec![1, 2, 3, 4, 5, 6]));
        assert!(read_all(&file(0x801, &[0], &[]), 1).unwrap().bytes.is_empty());
    }

    #[test]
    fn each_fault_has_its_line() {
        let error = |bytes: &[u8], rank| read_all(bytes, rank).unwrap_err();
        assert_eq!(
            error(&file(0x801, &[1], &[0]), 3),
            "magic number: expected 0x00000803 (IDX, unsigned bytes, 3 dimensions), \
             found 0x00000801"
        );
        assert_eq!(
            error(&[0, 0, 8], 1),
            "magic number: expected 4 bytes, found the end of the file (it is truncated)"
        );
        assert_eq!(
            error(&file(0x801, &[6], &[1, 2]), 1),
            "data: expected 6 bytes for sizes [6], found only 2 (the file is truncated)"
        );
        assert_eq!(
            error(&file(0x801, &[1], &[1, 2]), 1),
            "data: expected the file to end after 1 bytes for sizes [1], found trailing bytes"
        );
        let huge = file(0x803, &[u32::MAX; 3], &[]);
        assert!(error(&huge, 3).contains("expected at most the 16 bytes that the file can hold"));
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_never_panic_nor_allocate_beyond_the_file(
            mut bytes in proptest::collection::vec(any::<u8>(), 0..200),
            rank in 1usize..4,
            magic in any::<bool>(),
        ) {
            if magic && bytes.len() >= 4 {
                bytes[..4].copy_from_slice(&(0x800 + rank as u32).to_be_bytes());
            }
            if let Ok(idx) = read_all(&bytes, rank) {
                prop_assert_eq!(idx.bytes.len() + 4 * (rank + 1), bytes.len());
                prop_assert!(idx.bytes.capacity() <= 2 * bytes.len() + 64);
            }
        }
    }
}
