//! One process at a time assembles a folder's tables and pictures.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::path::Path;
use std::time::Duration;

/// Between two attempts.
const PAUSE: Duration = Duration::from_millis(20);
/// After so many attempts, a minute, the holder has stopped: work goes on without the lock. Who
/// assembles repeats until tables and runs agree, so nothing is lost by that.
const ATTEMPTS: usize = 3000;

/// The right to assemble, until it is dropped. The system takes it back from a process that ends,
/// however it ends.
pub struct Lock {
    /// Nothing where the file system knows no locks.
    _file: Option<File>,
}

impl Lock {
    /// Waits for the lock of `path`, a file inside the folder that is made where it is missing.
    pub(crate) fn take(path: &Path) -> Self {
        let Some(file) = open(path) else { return Lock { _file: None } };
        for _ in 0..ATTEMPTS {
            match file.try_lock() {
                Ok(()) => return Lock { _file: Some(file) },
                Err(TryLockError::WouldBlock) => std::thread::sleep(PAUSE),
                Err(TryLockError::Error(_)) => break,
            }
        }
        Lock { _file: None }
    }
}

/// The file, if it is one: through a link or a pipe nothing is opened.
fn open(path: &Path) -> Option<File> {
    let made = OpenOptions::new().write(true).create_new(true).open(path);
    made.ok().or_else(|| {
        let about = fs::symlink_metadata(path).ok().filter(|about| about.is_file());
        about.and_then(|_| OpenOptions::new().write(true).open(path).ok())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_at_a_time_and_no_link_is_opened() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("lock");
        let first = Lock::take(&path);
        assert!(first._file.is_some());
        assert!(matches!(open(&path).unwrap().try_lock(), Err(TryLockError::WouldBlock)));
        drop(first);
        assert!(open(&path).unwrap().try_lock().is_ok());
        #[cfg(unix)]
        {
            let link = folder.path().join("link");
            std::os::unix::fs::symlink(&path, &link).unwrap();
            assert!(open(&link).is_none());
        }
    }
}
