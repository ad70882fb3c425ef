//! Files that a user names, as with `--output`: written as a shell's redirection would, except that
//! a plain file is there whole or not at all.

use crate::Failure;
use std::fs::{self, File, Metadata, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};

/// Links that are followed one after the other, as the kernel has it.
const HOPS: usize = 40;

/// Where a name leads.
enum Place {
    /// A plain file, or nothing yet.
    Plain(PathBuf, Option<Metadata>),
    /// A device or a pipe.
    Through(PathBuf),
    /// A file that this process has open already.
    Open(PathBuf, u32),
}

/// Writes `bytes` where `path` leads: links are followed; a plain file is replaced as a whole and
/// keeps its mode and owner; devices, pipes and open files are written to and stay what they are.
///
/// # Errors
/// If it cannot be written; what was there before is then still there.
pub fn write_to(path: &Path, bytes: &[u8]) -> Result<(), Failure> {
    let done = place(path).and_then(|place| match place {
        Place::Plain(path, about) => plain(&path, about, bytes),
        Place::Through(path) => through(OpenOptions::new().write(true).open(path)?, bytes),
        Place::Open(_, 1) => through(io::stdout().lock(), bytes),
        Place::Open(_, 2) => through(io::stderr().lock(), bytes),
        Place::Open(path, _) => through(OpenOptions::new().append(true).open(path)?, bytes),
    });
    done.map_err(|error| Failure::file("write", path, &error))
}

fn through(mut out: impl Write, bytes: &[u8]) -> io::Result<()> {
    match out.write_all(bytes).and_then(|()| out.flush()) {
        // Nobody reads any more: there is nobody to tell.
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        done => done,
    }
}

fn place(path: &Path) -> io::Result<Place> {
    let mut path = path.to_owned();
    for _ in 0..HOPS {
        if let Some(number) = descriptor(&path) {
            return Ok(Place::Open(path, number));
        }
        match fs::symlink_metadata(&path) {
            Ok(about) if about.is_symlink() => {
                let to = fs::read_link(&path)?;
                path = path.parent().unwrap_or(Path::new("")).join(to);
            }
            Ok(about) if about.is_file() => return Ok(Place::Plain(path, Some(about))),
            Ok(about) if about.is_dir() => return Err(io::Error::other("it is a folder")),
            Ok(_) => return Ok(Place::Through(path)),
            Err(error) if error.kind() == ErrorKind::NotFound => {
                return Ok(Place::Plain(path, None));
            }
            Err(error) => return Err(error),
        }
    }
    Err(io::Error::other("it is a circle of links"))
}

/// The number of an open file under one of the names that systems have for them.
fn descriptor(path: &Path) -> Option<u32> {
    match path.to_str()? {
        "/dev/stdin" => Some(0),
        "/dev/stdout" => Some(1),
        "/dev/stderr" => Some(2),
        text => {
            let own = format!("/proc/{}/fd/", std::process::id());
            let folders = ["/dev/fd/", "/proc/self/fd/", own.as_str()];
            folders.iter().find_map(|folder| text.strip_prefix(folder))?.parse().ok()
        }
    }
}

/// Replaces a plain file, or makes one.
fn plain(path: &Path, about: Option<Metadata>, bytes: &[u8]) -> io::Result<()> {
    if about.is_some() {
        // A file that may not be written may not be replaced either.
        OpenOptions::new().write(true).open(path)?;
    }
    let (draft, mut file) = match super::draft(path) {
        // The folder is closed and the file in it open: then there is only writing over it.
        Err(error) if error.kind() == ErrorKind::PermissionDenied && about.is_some() => {
            return File::create(path).and_then(|file| through(file, bytes));
        }
        other => other?,
    };
    let done = file
        .write_all(bytes)
        .and_then(|()| about.map_or(Ok(()), |about| like(&file, &about)))
        .and_then(|()| file.sync_data());
    drop(file);
    done.and_then(|()| fs::rename(&draft, path)).inspect_err(|_| {
        // What is half-written is of no use; that it could not be removed changes nothing.
        let _ = fs::remove_file(&draft);
    })
}

/// Gives the new file the mode of the old one, and its owner where that is allowed.
fn like(file: &File, about: &Metadata) -> io::Result<()> {
    #[cfg(unix)]
    {
        use std::os::unix::fs::{MetadataExt, fchown};
        let (owner, group) = (Some(about.uid()), Some(about.gid()));
        // Who may not give files away keeps them.
        let _ = fchown(file, owner, group).or_else(|_| fchown(file, None, group));
    }
    file.set_permissions(about.permissions())
}

#[cfg(test)]
#[cfg(unix)]
mod tests {
    use super::*;
    use std::io::Read;
    use std::os::unix::fs::{FileTypeExt, PermissionsExt, symlink};

    #[test]
    fn links_are_followed_and_modes_kept() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        fs::create_dir(at("below")).unwrap();
        fs::write(at("below/file"), "old").unwrap();
        fs::set_permissions(at("below/file"), fs::Permissions::from_mode(0o640)).unwrap();
        symlink("below/file", at("one")).unwrap();
        symlink("one", at("two")).unwrap();
        write_to(&at("two"), b"new").unwrap();
        assert_eq!(fs::read(at("below/file")).unwrap(), b"new");
        let mode = fs::metadata(at("below/file")).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o640);
        assert!(fs::symlink_metadata(at("two")).unwrap().is_symlink());
        symlink("below/free", at("dangling")).unwrap();
        write_to(&at("dangling"), b"made").unwrap();
        assert_eq!(fs::read(at("below/free")).unwrap(), b"made");
        symlink("circle", at("circle")).unwrap();
        let refused = write_to(&at("circle"), b"x").unwrap_err();
        assert!(refused.code() == 2 && refused.to_string().contains("circle of links"));
        assert!(write_to(&at("below"), b"x").unwrap_err().to_string().contains("a folder"));
        assert_eq!(fs::read_dir(at("below")).unwrap().count(), 2);
    }

    #[test]
    fn devices_and_pipes_stay_what_they_are() {
        let folder = tempfile::tempdir().unwrap();
        let pipe = folder.path().join("pipe");
        let made = std::process::Command::new("mkfifo").arg(&pipe).status();
        assert!(made.unwrap().success());
        let reader = {
            let pipe = pipe.clone();
            std::thread::spawn(move || {
                let mut bytes = Vec::new();
                File::open(pipe).unwrap().read_to_end(&mut bytes).map(|_| bytes)
            })
        };
        write_to(&pipe, b"through").unwrap();
        assert_eq!(reader.join().unwrap().unwrap(), b"through");
        assert!(fs::symlink_metadata(&pipe).unwrap().file_type().is_fifo());
        write_to(Path::new("/dev/null"), b"gone").unwrap();
        let link = folder.path().join("null");
        symlink("/dev/null", &link).unwrap();
        write_to(&link, b"gone").unwrap();
        assert!(fs::metadata("/dev/null").unwrap().file_type().is_char_device());
        if Path::new("/dev/full").exists() {
            assert_eq!(write_to(Path::new("/dev/full"), b"x").unwrap_err().code(), 2);
        }
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        assert_eq!(descriptor(Path::new("/proc/self/fd/7")), Some(7));
        assert_eq!(descriptor(Path::new("/dev/stdoutx")), None);
    }
}
