//! Files that are there whole or not at all.

use crate::Failure;
use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};

/// Writes `bytes` to `path` through a temporary file beside it, so that a reader, or a process that
/// starts after this one was killed, sees the old contents or the new ones.
///
/// # Errors
/// If the folder cannot be written.
pub(crate) fn write(path: &Path, bytes: &[u8]) -> Result<(), Failure> {
    let fail = |error: std::io::Error| Failure::file("write", path, &error);
    let temporary = beside(path);
    let done = File::create(&temporary)
        .and_then(|mut file| {
            file.write_all(bytes)?;
            file.sync_data()
        })
        .and_then(|()| fs::rename(&temporary, path));
    done.map_err(|error| {
        // What is half-written is of no use; that it could not be removed changes nothing.
        let _ = fs::remove_file(&temporary);
        fail(error)
    })
}

/// As [`write`], without waiting for the disk: for what is worth a second.
///
/// # Errors
/// If the folder cannot be written.
pub(crate) fn write_light(path: &Path, bytes: &[u8]) -> Result<(), Failure> {
    let temporary = beside(path);
    let done = fs::write(&temporary, bytes).and_then(|()| fs::rename(&temporary, path));
    done.map_err(|error| Failure::file("write", path, &error))
}

/// Makes a folder and its parents, and checks that files can be written into it.
///
/// # Errors
/// If it cannot be made or written.
pub(crate) fn make_folder(path: &Path) -> Result<(), Failure> {
    let probe = beside(&path.join("probe"));
    fs::create_dir_all(path)
        .and_then(|()| File::create(&probe))
        .and_then(|_| fs::remove_file(&probe))
        .map_err(|error| Failure::file("write into", path, &error))
}

/// The longest name that [`name`] gives, in bytes: an extension and what a writer adds beside it
/// keep it within 100.
const LONGEST: usize = 80;

/// A file's name for any text: of letters, digits and `=._-`, at most 80 bytes long, the same for
/// the same text. Where the text had to be changed or cut, a hash of the whole of it keeps names
/// of different texts apart; ", " between settings stands as "-".
pub(crate) fn name(text: &str) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() || "=._-".contains(c) { c } else { '-' };
    let joined = text.replace(", ", "-");
    let changed: String = joined.chars().map(plain).collect();
    if changed == joined && joined.len() <= LONGEST && !joined.starts_with('.') {
        return joined;
    }
    let hash = blake3::hash(text.as_bytes()).to_hex();
    let kept = &changed[..changed.len().min(LONGEST - 9)];
    format!("{}-{}", kept.trim_matches(['-', '.']), &hash[..8])
}

/// A name beside `path` that no other process uses at the same time.
fn beside(path: &Path) -> PathBuf {
    let name = path.file_name().map_or_else(String::new, |name| name.to_string_lossy().into());
    path.with_file_name(format!(".{name}.{}.tmp", std::process::id()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_short_plain_stable_and_distinct() {
        let long = "network=network compute=(log-normal median=1 sigma=0.5) down=".repeat(9);
        let texts = [
            "accuracy-dataset=csv file=13/a.csv",
            "accuracy-dataset=csv file=13-a.csv",
            long.as_str(),
            &format!("{long}2"),
            "ünïcode",
            "..",
        ];
        let mut names: Vec<String> = texts.iter().map(|text| name(text)).collect();
        assert_eq!(names[0], "accuracy-dataset=csv-file=13-a.csv-6402540c");
        for name in &names {
            assert!(name.len() <= LONGEST && name.is_ascii() && !name.starts_with('.'), "{name}");
        }
        names.sort();
        names.dedup();
        assert_eq!(names.len(), texts.len());
        assert_eq!(name("accuracy-n=10, batch=12"), "accuracy-n=10-batch=12");
    }

    #[test]
    fn a_write_replaces_the_whole_file_and_leaves_nothing_beside_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.csv");
        write(&path, b"long contents").unwrap();
        write(&path, b"short").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"short");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
        let error = write(&folder.path().join("no/a.csv"), b"x").unwrap_err();
        assert_eq!(error.code(), 2);
        assert!(make_folder(&path.join("below a file")).is_err());
    }
}
