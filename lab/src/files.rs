//! Files that are there whole or not at all: those under the program's own names, which no link
//! leads elsewhere, and those that a user names, which go wherever the name leads.

mod named;

pub use named::write_to;

use crate::Failure;
use std::collections::hash_map::RandomState;
use std::fs::{self, File, OpenOptions};
use std::hash::{BuildHasher, Hasher};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

/// What a draft's name starts and ends with; sixteen hexadecimal digits stand between.
const DRAFT: [&str; 2] = [".varangian-", ".tmp"];
/// A draft that nobody has written to for this long was left by a process that is gone.
const ABANDONED: Duration = Duration::from_secs(3600);
/// The largest file that is read from a folder of results.
const LARGEST: u64 = 16 << 30;

/// Writes `bytes` to `path`, a name that the program formed, through a draft beside it: a reader,
/// or a process that starts after this one was killed, sees the old contents or the new ones. What
/// stands there is replaced and never followed: a link goes, and not what it leads to.
///
/// # Errors
/// If the folder cannot be written.
pub fn write(path: &Path, bytes: &[u8]) -> Result<(), Failure> {
    replace(path, bytes, true).map_err(|error| Failure::file("write", path, &error))
}

/// As [`write()`], without waiting for the disk: for what is worth a second.
///
/// # Errors
/// If the folder cannot be written.
pub fn write_light(path: &Path, bytes: &[u8]) -> Result<(), Failure> {
    replace(path, bytes, false).map_err(|error| Failure::file("write", path, &error))
}

fn replace(path: &Path, bytes: &[u8], wait: bool) -> io::Result<()> {
    let (draft, mut file) = draft(path)?;
    let done = file.write_all(bytes).and_then(|()| if wait { file.sync_data() } else { Ok(()) });
    drop(file);
    done.and_then(|()| fs::rename(&draft, path)).inspect_err(|_| {
        // What is half-written is of no use; that it could not be removed changes nothing.
        let _ = fs::remove_file(&draft);
    })
}

/// A new file beside `path` that nobody else has, open for writing: the file system itself sees to
/// that, whatever processes, containers or hosts share the folder.
fn draft(path: &Path) -> io::Result<(PathBuf, File)> {
    let mut names = std::iter::repeat_with(unique);
    draft_among(path, &mut names)
}

fn draft_among(path: &Path, names: &mut dyn Iterator<Item = u64>) -> io::Result<(PathBuf, File)> {
    for name in names.take(1000) {
        let draft = path.with_file_name(format!("{}{name:016x}{}", DRAFT[0], DRAFT[1]));
        match OpenOptions::new().write(true).create_new(true).open(&draft) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            other => return other.map(|file| (draft, file)),
        }
    }
    Err(io::Error::other("no name for a draft is free"))
}

/// A number that no other call is likely to give, on whatever machine: from the system's own
/// randomness. Process ids would not do, as each container counts its own.
fn unique() -> u64 {
    static CALLS: AtomicU64 = AtomicU64::new(0);
    let mut hasher = RandomState::new().build_hasher();
    hasher.write_u64(CALLS.fetch_add(1, Ordering::Relaxed));
    hasher.finish()
}

/// Makes a folder and its parents, checks that files can be written into it, and takes away what
/// crashed processes left half-written there.
///
/// # Errors
/// If it cannot be made or written.
pub fn make_folder(path: &Path) -> Result<(), Failure> {
    let probe = || {
        fs::create_dir_all(path)?;
        let (probe, file) = draft(&path.join("probe"))?;
        // The folder's own clock: hosts that share it may differ in theirs.
        let now = file.metadata().and_then(|about| about.modified());
        fs::remove_file(&probe)?;
        now.map(|now| collect_drafts(path, now))
    };
    probe().map_err(|error| Failure::file("write into", path, &error))
}

/// Removes drafts that nobody has written to for an hour; one that cannot be removed stays.
fn collect_drafts(folder: &Path, now: SystemTime) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let old = |time: SystemTime| now.duration_since(time).is_ok_and(|age| age > ABANDONED);
        let about = entry.metadata().ok().filter(|about| about.is_file());
        let left = about.and_then(|about| about.modified().ok()).is_some_and(old);
        if left && name.to_str().is_some_and(is_draft) {
            let _ = fs::remove_file(entry.path());
        }
    }
}

fn is_draft(name: &str) -> bool {
    let middle = name.strip_prefix(DRAFT[0]).and_then(|rest| rest.strip_suffix(DRAFT[1]));
    middle.is_some_and(|digits| digits.len() == 16 && digits.bytes().all(|c| c.is_ascii_hexdigit()))
}

/// Whether a name inside a folder of results may be used as a folder: it is free or one already,
/// and no link, which could lead anywhere.
///
/// # Errors
/// If something else stands there.
pub fn demand_own_folder(path: &Path) -> Result<(), Failure> {
    let found = match fs::symlink_metadata(path) {
        Ok(about) if about.is_symlink() => "a link",
        Ok(about) if !about.is_dir() => "a file",
        _ => return Ok(()),
    };
    let path = path.display();
    Err(Failure::refused(format!("{path} should be a folder of the results' own; found {found}")))
}

/// The whole of a file under a name that the program formed: a plain file, no link, no pipe, no
/// device, of at most `most` bytes.
///
/// # Errors
/// As the file system gives them; if it is anything else.
pub fn read_own(path: &Path, most: u64) -> io::Result<Vec<u8>> {
    let about = fs::symlink_metadata(path)?;
    if !about.is_file() {
        return Err(io::Error::other("it is no plain file"));
    }
    read_at_most(path, most)
}

/// As [`read_own`] for a file that a user names: links are followed.
///
/// # Errors
/// As the file system gives them; if the name leads to anything but a plain file.
pub fn read_plain(path: &Path) -> io::Result<Vec<u8>> {
    if !fs::metadata(path)?.is_file() {
        return Err(io::Error::other("it is no plain file"));
    }
    read_at_most(path, LARGEST)
}

fn read_at_most(path: &Path, most: u64) -> io::Result<Vec<u8>> {
    let file = File::open(path)?;
    let length = file.metadata()?.len();
    if length > most {
        return Err(io::Error::other(format!("{length} bytes, where at most {most} can be")));
    }
    let mut bytes = Vec::new();
    bytes.try_reserve_exact(length as usize).map_err(io::Error::other)?;
    file.take(length).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// The text of a file of a folder of results; nothing where there is none that can be read.
pub fn text_of(path: &Path) -> String {
    let bytes = read_own(path, TEXT).unwrap_or_default();
    String::from_utf8(bytes).unwrap_or_default()
}

/// The largest record, list or note.
pub const TEXT: u64 = 256 << 20;
/// The largest table, checkpoint or model.
pub const TABLE: u64 = LARGEST;

/// The longest name that [`name`] gives, in bytes: an extension and what a writer adds beside it
/// keep it within 100.
const LONGEST: usize = 80;

/// A file's name for any text: of letters, digits and `=._-`, at most 80 bytes long, the same for
/// the same text. Where the text had to be changed or cut, a hash of the whole of it keeps names
/// of different texts apart; ", " between settings stands as "-".
pub fn name(text: &str) -> String {
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

    #[test]
    fn names_that_collide_are_passed_over() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.csv");
        // Eight writers whose names are the same, as those by process id in eight containers.
        let drafts: Vec<(PathBuf, File)> =
            (0..8).map(|_| draft_among(&path, &mut (1..)).unwrap()).collect();
        for (k, (draft, mut file)) in drafts.into_iter().enumerate() {
            file.write_all(&[k as u8]).unwrap();
            fs::rename(&draft, &path).unwrap();
            assert_eq!(fs::read(&path).unwrap(), [k as u8]);
        }
        let mut same = std::iter::repeat(1);
        let first = draft_among(&path, &mut same).unwrap();
        assert!(draft_among(&path, &mut same).is_err() && first.0.exists());
        assert_ne!(unique(), unique());
    }

    #[test]
    fn many_threads_write_one_name_and_it_is_always_whole() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.csv");
        std::thread::scope(|scope| {
            for k in 0..8u8 {
                let path = &path;
                scope.spawn(move || {
                    for _ in 0..20 {
                        make_folder(path.parent().unwrap()).unwrap();
                        write_light(path, &[k; 5000]).unwrap();
                        let found = fs::read(path).unwrap();
                        assert!(found.len() == 5000 && found.iter().all(|x| *x == found[0]));
                    }
                });
            }
        });
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn what_a_crash_left_goes_and_what_is_being_written_stays() {
        let folder = tempfile::tempdir().unwrap();
        let old = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000_000);
        let put = |name: &str, aged: bool| {
            let file = File::create(folder.path().join(name)).unwrap();
            if aged {
                file.set_modified(old).unwrap();
            }
        };
        put(".varangian-0123456789abcdef.tmp", true);
        put(".varangian-1123456789abcdef.tmp", false);
        put(".varangian-mine.tmp", true);
        put("results.csv", true);
        make_folder(folder.path()).unwrap();
        let names = fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name());
        let mut names: Vec<String> = names.map(|name| name.into_string().unwrap()).collect();
        names.sort();
        let left = [".varangian-1123456789abcdef.tmp", ".varangian-mine.tmp", "results.csv"];
        assert_eq!(names, left);
    }

    #[test]
    #[cfg(unix)]
    fn own_names_are_replaced_and_never_followed() {
        use std::os::unix::fs::symlink;
        let folder = tempfile::tempdir().unwrap();
        let [mine, link] = ["mine", "link"].map(|name| folder.path().join(name));
        write(&mine, b"mine").unwrap();
        symlink(&mine, &link).unwrap();
        assert!(read_own(&link, 100).is_err());
        assert_eq!(read_plain(&link).unwrap(), b"mine");
        assert!(read_own(&mine, 3).unwrap_err().to_string().contains("at most 3"));
        write(&link, b"results").unwrap();
        assert_eq!(
            (fs::read(&mine).unwrap(), fs::read(&link).unwrap()),
            (b"mine".to_vec(), b"results".to_vec())
        );
        assert!(read_plain(Path::new("/dev/zero")).is_err());
        symlink(folder.path(), folder.path().join("runs")).unwrap();
        let refused = demand_own_folder(&folder.path().join("runs")).unwrap_err().to_string();
        assert!(refused.ends_with("found a link"), "{refused}");
    }
}
