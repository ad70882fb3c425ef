//! Finding and opening data files: plain or gzipped, in the data folder or in one named after the
//! set.

use super::{DataError, Place};
use flate2::read::MultiGzDecoder;
use std::fs::File;
use std::io::{BufReader, Read};
use std::path::{Path, PathBuf};

/// Deflate never packs better than 1032 to 1: what a file of `packed` bytes can unpack to at most.
pub(crate) const DEFLATE_RATIO: u64 = 1032;

/// An opened file and the most bytes that it can hold.
pub(crate) struct Opened {
    /// Where it was found.
    pub path: PathBuf,
    /// Its unpacked bytes.
    pub reader: Box<dyn Read>,
    /// An upper bound for the unpacked bytes, known before reading: no header may promise more.
    pub most: u64,
}

/// The file called one of `names`, plain or with `.gz`, in one of `folders` below the data folder
/// (`""` is the data folder itself).
pub(crate) fn find(
    place: &Place,
    set: &str,
    folders: &[&str],
    names: &[impl AsRef<str>],
) -> Result<PathBuf, DataError> {
    let wanted: Vec<&str> = names.iter().map(AsRef::as_ref).collect();
    let dir = folder(place, set, wanted[0])?;
    let bases: Vec<PathBuf> = folders
        .iter()
        .map(|folder| if folder.is_empty() { dir.to_owned() } else { dir.join(folder) })
        .collect();
    for base in &bases {
        for name in &wanted {
            for candidate in [base.join(name), base.join(format!("{name}.gz"))] {
                if candidate.is_file() {
                    return Ok(candidate);
                }
            }
        }
    }
    let bases: Vec<String> = bases.iter().map(|base| base.display().to_string()).collect();
    Err(DataError::missing(format!(
        "{set}: no file {} in {}; wanted: {}, plain or .gz",
        wanted[0],
        bases.join(", "),
        wanted.join(" or ")
    )))
}

/// The data folder, if one was named and exists.
pub(crate) fn folder<'a>(place: &'a Place, set: &str, file: &str) -> Result<&'a Path, DataError> {
    let Some(dir) = &place.data_dir else {
        return Err(DataError::new(format!(
            "{set} is read from files and no data folder was given: \
             --data DIR names the folder that holds {file}"
        )));
    };
    if !dir.is_dir() {
        return Err(DataError::new(format!("data folder {} does not exist", dir.display())));
    }
    Ok(dir)
}

/// Opens `path`, unpacking it if its name ends in `.gz`.
pub(crate) fn open(path: PathBuf) -> Result<Opened, DataError> {
    let fail = |error: std::io::Error| DataError::new(format!("cannot read: {error}")).at(&path);
    let file = File::open(&path).map_err(fail)?;
    let len = file.metadata().map_err(fail)?.len();
    let packed = path.extension().is_some_and(|end| end == "gz");
    let reader = BufReader::with_capacity(1 << 16, file);
    let (reader, most): (Box<dyn Read>, u64) = match packed {
        true => (Box::new(MultiGzDecoder::new(reader)), len.saturating_mul(DEFLATE_RATIO)),
        false => (Box::new(reader), len),
    };
    Ok(Opened { path, reader, most })
}

/// Opens `path` and lets `read` read it; errors name the file.
pub(crate) fn read<T>(
    path: PathBuf,
    read: impl FnOnce(&mut dyn Read, u64) -> Result<T, DataError>,
) -> Result<(PathBuf, T), DataError> {
    let mut opened = open(path)?;
    let value = read(&mut *opened.reader, opened.most).map_err(|e| e.at(&opened.path))?;
    Ok((opened.path, value))
}

/// Labels from `first` to `first` + `classes` − 1, or an error that names the file and the first
/// that is not.
pub(crate) fn check_labels(
    path: &Path,
    labels: &[u8],
    first: u8,
    classes: usize,
) -> Result<(), DataError> {
    let class = |label: u8| label.checked_sub(first).is_some_and(|l| usize::from(l) < classes);
    match labels.iter().position(|&label| !class(label)) {
        None => Ok(()),
        Some(i) => Err(DataError::expected(
            &format!("label {i}"),
            format!("a class from {first} to {}", usize::from(first) + classes - 1),
            labels[i],
        )
        .at(path)),
    }
}
