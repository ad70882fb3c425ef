//! Where the pixels of images are: in memory, or in a file that is read as they are asked for.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

/// Pixels of images of one size, packed one after another.
pub(super) enum Pixels {
    /// In memory.
    Memory(Vec<u8>),
    /// In a file.
    File(Stored),
}

impl Pixels {
    /// The `size` bytes of image i; `room` holds them where they have to be read.
    ///
    /// # Panics
    /// If a file was changed or cannot be read any more: no run may go on with other pixels than
    /// those that its key is of.
    pub(super) fn image<'a>(&'a self, i: usize, size: usize, room: &'a mut Vec<u8>) -> &'a [u8] {
        match self {
            Pixels::Memory(all) => &all[i * size..(i + 1) * size],
            Pixels::File(stored) => {
                room.resize(size, 0);
                if let Err(error) = stored.read(i, room) {
                    let path = stored.path.display();
                    panic!("{path}: the pixels of image {i}, counted from 0: {error}");
                }
                room
            }
        }
    }

    /// Takes all bytes of `count` images of `size` bytes, in order.
    pub(super) fn each(&self, (count, size): (usize, usize), mut take: impl FnMut(&[u8])) {
        let mut room = Vec::new();
        (0..count).for_each(|i| take(self.image(i, size, &mut room)));
    }
}

/// What stands before the pixels of a file: their hash.
pub(super) const HASH: usize = blake3::OUT_LEN;

/// A file of pixels with the hash of all of them in front, whose images are read one by one. Each
/// is held to what it was when the file was opened.
pub(super) struct Stored {
    path: PathBuf,
    #[cfg(unix)]
    file: File,
    /// By image, eight bytes of its hash.
    checks: Vec<u64>,
}

impl Stored {
    /// Takes a file of `count` images of `size` bytes, if its pixels are those of its hash: all of
    /// it is read once.
    pub(super) fn open(path: &Path, (count, size): (usize, usize)) -> Option<Self> {
        let mut file = File::open(path).ok()?;
        if file.metadata().ok()?.len() != (HASH + count * size) as u64 {
            return None;
        }
        let mut hash = [0; HASH];
        file.read_exact(&mut hash).ok()?;
        let (mut all, mut checks) = (blake3::Hasher::new(), Vec::with_capacity(count));
        let (mut reader, mut image) = (io::BufReader::with_capacity(1 << 20, file), vec![0; size]);
        for _ in 0..count {
            reader.read_exact(&mut image).ok()?;
            all.update(&image);
            checks.push(check(&image));
        }
        (*all.finalize().as_bytes() == hash).then(|| Stored {
            path: path.to_owned(),
            #[cfg(unix)]
            file: reader.into_inner(),
            checks,
        })
    }

    fn read(&self, i: usize, out: &mut [u8]) -> io::Result<()> {
        let at = (HASH + i * out.len()) as u64;
        self.read_at(at, out)?;
        match check(out) == self.checks[i] {
            true => Ok(()),
            false => Err(io::Error::other("the file was changed since it was opened")),
        }
    }

    #[cfg(unix)]
    fn read_at(&self, at: u64, out: &mut [u8]) -> io::Result<()> {
        std::os::unix::fs::FileExt::read_exact_at(&self.file, out, at)
    }

    #[cfg(not(unix))]
    fn read_at(&self, at: u64, out: &mut [u8]) -> io::Result<()> {
        // Each read seeks on a handle of its own place.
        let mut file = File::open(&self.path)?;
        io::Seek::seek(&mut file, io::SeekFrom::Start(at))?;
        file.read_exact(out)
    }
}

/// What an image is held to: eight bytes of its hash.
fn check(image: &[u8]) -> u64 {
    let hash = blake3::hash(image);
    u64::from_le_bytes(*hash.as_bytes().first_chunk().expect("a hash has 32 bytes"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_of_pixels_is_what_it_was_or_is_not_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.pixels");
        let pixels = [1, 2, 3, 4, 5, 6];
        let whole = [&blake3::hash(&pixels).as_bytes()[..], &pixels].concat();
        std::fs::write(&path, &whole).unwrap();
        let stored = Stored::open(&path, (3, 2)).unwrap();
        let all = Pixels::File(stored);
        let mut room = Vec::new();
        assert_eq!([2, 0].map(|i| all.image(i, 2, &mut room).to_vec()), [vec![5, 6], vec![1, 2]]);
        let mut seen = Vec::new();
        all.each((3, 2), |image| seen.extend_from_slice(image));
        assert_eq!(seen, pixels);
        assert!(Stored::open(&path, (2, 2)).is_none());
        let mut edited = whole.clone();
        *edited.last_mut().unwrap() = 7;
        std::fs::write(&path, &edited).unwrap();
        assert!(Stored::open(&path, (3, 2)).is_none());
        // Image 2 was edited while the file was open, the others were not.
        assert_eq!(all.image(1, 2, &mut room), [3, 4]);
        let edited = std::panic::catch_unwind(|| all.image(2, 2, &mut Vec::new()).to_vec());
        let why = *edited.unwrap_err().downcast::<String>().unwrap();
        assert!(why.ends_with("image 2, counted from 0: the file was changed since it was opened"));
    }
}
