//! Files of an authority's folder: there whole or not at all, and keys for their owner alone.

use crate::Trouble;
use std::collections::hash_map::RandomState;
use std::fs::{self, File, OpenOptions};
use std::hash::{BuildHasher, Hasher};
use std::io::{self, ErrorKind, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

/// The mode of a private key's file: its owner's alone.
pub(crate) const SECRET: u32 = 0o600;
/// The mode of any other file, less what the process's own mask takes away.
pub(crate) const PUBLIC: u32 = 0o644;
/// The largest file in PEM format that is read.
pub(crate) const MOST_PEM: u64 = 1 << 20;

impl Trouble {
    /// The same with the file where it arose in front.
    pub(crate) fn at(self, path: &Path) -> Trouble {
        Trouble(format!("{}: {}", path.display(), self.0))
    }
}

fn file(verb: &str, path: &Path, error: &io::Error) -> Trouble {
    Trouble(format!("cannot {verb} {}: {error}", path.display()))
}

/// The whole of a plain file of at most `most` bytes; links are followed.
///
/// # Errors
/// If it cannot be read, is larger, or is a folder, a pipe or a device.
pub(crate) fn bytes(path: &Path, most: u64) -> Result<Vec<u8>, Trouble> {
    let read = || {
        if !fs::metadata(path)?.is_file() {
            return Err(io::Error::other("it is no plain file"));
        }
        let mut bytes = Vec::new();
        File::open(path)?.take(most + 1).read_to_end(&mut bytes)?;
        match bytes.len() as u64 > most {
            true => Err(io::Error::other(format!("it is larger than {most} bytes"))),
            false => Ok(bytes),
        }
    };
    read().map_err(|error| file("read", path, &error))
}

/// As [`bytes`], for a file of UTF-8 text.
pub(crate) fn text(path: &Path, most: u64) -> Result<String, Trouble> {
    String::from_utf8(bytes(path, most)?)
        .map_err(|_| Trouble(format!("cannot read {}: it is no UTF-8 text", path.display())))
}

/// Makes a folder and its parents where they are missing; a new one is its owner's alone.
pub(crate) fn make_folder(path: &Path) -> Result<(), Trouble> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(path).map_err(|error| file("make", path, &error))
}

/// Makes files that are not there yet, with the modes given; all of them or none.
///
/// # Errors
/// If one is there already or cannot be written.
pub(crate) fn create_all(files: &[(&Path, &str, u32)]) -> Result<(), Trouble> {
    for (k, (path, text, mode)) in files.iter().enumerate() {
        let Err(error) = create(path, text.as_bytes(), *mode) else { continue };
        for (made, ..) in &files[..k] {
            // A part of them is of no use; that it could not go changes nothing.
            let _ = fs::remove_file(made);
        }
        return Err(match error.kind() {
            ErrorKind::AlreadyExists => Trouble(format!(
                "{} is there already and is not written over; choose another name, or move it away \
                 if nobody needs it",
                path.display()
            )),
            _ => file("write", path, &error),
        });
    }
    Ok(())
}

/// Takes the name, which must be free, and puts the whole file under it.
fn create(path: &Path, bytes: &[u8], mode: u32) -> io::Result<()> {
    drop(fresh(path, mode)?);
    put(path, bytes, |draft| fresh(draft, mode)).inspect_err(|_| {
        let _ = fs::remove_file(path);
    })
}

/// Replaces what stands in a file, which keeps its mode; links are followed.
///
/// # Errors
/// If it is not there or cannot be written; what was there before is then still there.
pub(crate) fn replace(path: &Path, bytes: &[u8]) -> Result<(), Trouble> {
    let write = || {
        let path = fs::canonicalize(path)?;
        // A file that may not be written may not be replaced either.
        let about = OpenOptions::new().write(true).open(&path)?.metadata()?;
        put(&path, bytes, |draft| {
            let file = fresh(draft, SECRET)?;
            file.set_permissions(about.permissions())?;
            Ok(file)
        })
    };
    write().map_err(|error| file("write", path, &error))
}

/// Writes a draft beside `path` and gives it that name.
fn put(path: &Path, bytes: &[u8], make: impl Fn(&Path) -> io::Result<File>) -> io::Result<()> {
    let draft = draft(path);
    let mut file = make(&draft)?;
    let done = file.write_all(bytes).and_then(|()| file.sync_all());
    drop(file);
    done.and_then(|()| fs::rename(&draft, path)).inspect_err(|_| {
        // What is half-written is of no use; that it could not be removed changes nothing.
        let _ = fs::remove_file(&draft);
    })
}

/// A new file: an error if anything, a link too, has its name.
fn fresh(path: &Path, mode: u32) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, mode);
    #[cfg(not(unix))]
    let _ = mode;
    options.open(path)
}

/// A name beside `path` that no other call is likely to have, on whatever machine.
fn draft(path: &Path) -> PathBuf {
    static CALLS: AtomicU64 = AtomicU64::new(0);
    let mut hasher = RandomState::new().build_hasher();
    hasher.write_u64(CALLS.fetch_add(1, Ordering::Relaxed));
    path.with_file_name(format!(".varangian-{:016x}.tmp", hasher.finish()))
}

/// Keeps other processes from changing a folder's list until it is dropped.
#[derive(Debug)]
pub(crate) struct Held {
    _folder: Option<File>,
}

/// Waits until no other process changes a file of the folder in which `path` stands. Where file
/// systems know no such thing, as some over a network, nothing is waited for.
pub(crate) fn hold(path: &Path) -> Held {
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    let locked = File::open(folder).and_then(|folder| folder.lock().map(|()| folder));
    Held { _folder: locked.ok() }
}
