//! Finding and opening data files: plain or gzipped, in the data folder or in one named after the
//! set, and nowhere else: what an experiment file names stays below the data folder.

use super::order::natural;
use super::{DataError, Place};
use flate2::read::MultiGzDecoder;
use std::fs::File;
use std::io::{BufRead, BufReader, Cursor, Read};
use std::path::{Component, Path, PathBuf};

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

/// The file or folder that an experiment names below the data folder, or the file with `.gz`.
///
/// # Errors
/// As [`below`]; if it is not there.
pub(crate) fn named(place: &Place, set: &str, name: &str) -> Result<PathBuf, DataError> {
    let path = below(place, set, name)?;
    if path.is_dir() {
        return Ok(path);
    }
    let path = find(place, set, &[""], &[name])?;
    stays(folder(place, set, name)?, &path)?;
    Ok(path)
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

/// The path that an experiment names below the data folder. It can be read by whoever was given
/// the data folder, and nothing outside it: a name is relative, holds no `..`, and a link on the
/// way may not lead out of the folder.
///
/// # Errors
/// If no data folder was named, or the name leads out of it.
pub(crate) fn below(place: &Place, set: &str, name: &str) -> Result<PathBuf, DataError> {
    let dir = folder(place, set, name)?;
    let inside = |part: Component<'_>| matches!(part, Component::Normal(_) | Component::CurDir);
    if !Path::new(name).components().all(inside) {
        let what = format!("{set}: \"{name}\"");
        let expected = "a path below the data folder, without a leading / and without ..";
        let found = "one that leads out of it (--data DIR can name a wider folder)";
        return Err(DataError::expected(&what, expected, found));
    }
    let path = dir.join(name);
    stays(dir, &path)?;
    Ok(path)
}

/// Whether `path`, as far as it exists, still lies below `dir` once links are followed.
///
/// # Errors
/// If a link leads out of `dir`.
pub(crate) fn stays(dir: &Path, path: &Path) -> Result<(), DataError> {
    let Ok(real) = path.canonicalize() else { return Ok(()) };
    let fail = |e: std::io::Error| DataError::new(format!("cannot read: {e}")).at(dir);
    if real.starts_with(dir.canonicalize().map_err(fail)?) {
        return Ok(());
    }
    let expected = "a place below the data folder (--data DIR can name a wider one)";
    Err(DataError::expected("link", expected, format!("one to {}", real.display())).at(path))
}

/// What lies in the folder `path` below the data folder `dir`, sorted by name as people count,
/// without clutter.
///
/// # Errors
/// If it cannot be listed, or holds a link that leads out of the data folder.
pub(crate) fn list(dir: &Path, path: &Path) -> Result<Vec<PathBuf>, DataError> {
    let fail = |e: std::io::Error| DataError::new(format!("cannot list: {e}")).at(path);
    let mut out = Vec::new();
    for entry in std::fs::read_dir(path).map_err(fail)? {
        let entry = entry.map_err(fail)?;
        if is_clutter(&entry.file_name().to_string_lossy()) {
            continue;
        }
        if entry.file_type().map_err(fail)?.is_symlink() {
            stays(dir, &entry.path())?;
        }
        out.push(entry.path());
    }
    // As people count: w2 before w10, and both before and after they are written w02.
    out.sort_by(|a, b| {
        let name = |path: &PathBuf| path.file_name().map(|n| n.to_string_lossy().into_owned());
        let (x, y) = (name(a).unwrap_or_default(), name(b).unwrap_or_default());
        natural(&x, &y).then_with(|| a.cmp(b))
    });
    Ok(out)
}

/// Whether a name is one of those that systems and editors leave beside data: hidden files and
/// folders, and what file managers write. Such are never data.
pub(crate) fn is_clutter(name: &str) -> bool {
    let known = ["__macosx", "thumbs.db", "ehthumbs.db", "desktop.ini", "@eadir", "lost+found"];
    let shops = ["$recycle.bin", "system volume information", "icon\r"];
    let name = name.to_lowercase();
    name.starts_with('.')
        || name.starts_with("~$")
        || known.iter().chain(&shops).any(|k| name == *k)
}

/// Opens `path`, unpacking it if its first bytes are those of a gzip file, whatever its name.
pub(crate) fn open(path: PathBuf) -> Result<Opened, DataError> {
    let fail = |error: std::io::Error| DataError::new(format!("cannot read: {error}")).at(&path);
    let file = File::open(&path).map_err(fail)?;
    let len = file.metadata().map_err(fail)?.len();
    let mut reader = BufReader::with_capacity(1 << 16, file);
    let packed = reader.fill_buf().map_err(fail)?.starts_with(&[0x1f, 0x8b]);
    let (reader, most): (Box<dyn Read>, u64) = match packed {
        true => (Box::new(MultiGzDecoder::new(reader)), len.saturating_mul(DEFLATE_RATIO)),
        false => (Box::new(reader), len),
    };
    Ok(Opened { path, reader, most })
}

/// The text of `reader` as UTF-8, without a byte order mark.
///
/// # Errors
/// If the first bytes are those of UTF-16 or of an archive that is not unpacked here.
pub(crate) fn text(reader: &mut dyn Read) -> Result<impl BufRead + '_, DataError> {
    let mut start = Vec::new();
    let failed = |e: std::io::Error| DataError::new(format!("cannot read: {e}"));
    (&mut *reader).take(4).read_to_end(&mut start).map_err(failed)?;
    let foreign: &[(&[u8], &str)] = &[
        (b"\xff\xfe", "UTF-16"),
        (b"\xfe\xff", "UTF-16"),
        (b"PK\x03\x04", "a zip archive"),
        (b"\xfd7zX", "an xz archive"),
        (b"\x28\xb5\x2f\xfd", "a zstd archive"),
        (b"BZh", "a bzip2 archive"),
        (b"\x93NUM", "a .npy array"),
        (b"PAR1", "a parquet file"),
    ];
    if let Some((_, found)) = foreign.iter().find(|(magic, _)| start.starts_with(magic)) {
        return Err(DataError::expected("text", "UTF-8, plain or gzipped", found));
    }
    let skip = if start.starts_with(b"\xef\xbb\xbf") { 3 } else { 0 };
    Ok(BufReader::new(Cursor::new(start.split_off(skip)).chain(reader)))
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
