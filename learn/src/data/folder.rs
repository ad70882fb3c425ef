//! Image folders in ImageNet's layout: `train/CLASS/…` and `val/CLASS/…` of PNG and JPEG files.
//!
//! Each image is scaled so that its shorter side has `resize` pixels and its middle is cut out. The
//! decoded set is kept beside the folders in one file, named by what went into it (paths, sizes,
//! times, places on the disk, parameters), and read from there the next time if it is as it was
//! written, well after the last picture changed.

mod listing;
mod picture;

pub use picture::picture;

use super::pixels::{HASH, Pixels, Stored};
use super::transform::{CROP, FLIP_TRAIN, NORMALISE, Options, PAD};
use super::{DataError, Facts, Images, Place, Shape, Source, Split, files};
use image::DynamicImage;
use image::imageops::FilterType;
use listing::Listing;
use rayon::prelude::*;
use std::collections::hash_map::RandomState;
use std::fs::Metadata;
use std::hash::{BuildHasher, Hasher};
use std::io::{Read, Seek, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};
use varangian_base::{Entry, Kind, Param};

/// Image folders.
pub(crate) static ENTRY: Entry<dyn Source, Facts> = Entry {
    name: "images",
    summary: "Your own pictures: folders of PNG and JPEG files, one a class (ImageNet's layout).",
    paper: "Deng et al.: ImageNet, CVPR 2009 (the layout)",
    differs: &[
        "Pictures are turned upright as their EXIF orientation says; transparency is dropped.",
        "Hidden files and folders are passed over; an empty class, a picture that is cut and a link out of the data folder are refused.",
        "The test split holds the first picture of each class, then the second, and so on.",
        "Classes are numbered by the names of their folders: numbers by value, then names, digits in them counted as numbers.",
        "Training images are cut at their middle and then changed by crop= and flip=; there is no crop of random size.",
    ],
    params: &[
        Param {
            name: "file",
            kind: Kind::Text,
            default: "",
            help: "the folder that holds train and val (or test), below the data folder",
        },
        Param {
            name: "size",
            kind: Kind::Count { min: 1, max: 1024 },
            default: "224",
            help: "height and width of an input, in pixels",
        },
        Param {
            name: "resize",
            kind: Kind::Count { min: 1, max: 2048 },
            default: "auto",
            help: "length of the shorter side before the cut, at least size; auto: size · 256 / 224",
        },
        Param { name: "colour", kind: Kind::Flag, default: "true", help: "three channels, or one" },
        Param {
            name: "memory",
            kind: Kind::Real { min: 0.0, max: 1e6 },
            default: "1",
            help: "the most GiB that a decoded split may take in memory; a larger one is read from its file as it is needed",
        },
        Param {
            name: "cache",
            kind: Kind::Flag,
            default: "true",
            help: "keep the decoded set in a file beside the folders; what is larger than memory needs one",
        },
        NORMALISE,
        FLIP_TRAIN,
        CROP,
        PAD,
    ],
    cost: "size² · channels bytes an image on disk, and in memory up to memory GiB a split",
    facts: Facts {
        size: "that of the folders",
        files: &["train/CLASS/*.png|jpg", "val/CLASS/*.png|jpg"],
    },
    build: |args| {
        let size = args.count("size").unwrap_or(224);
        let resize = args.count("resize").unwrap_or((size * 256).div_ceil(224));
        if resize < size {
            let text = format!("resize must be at least size; got resize={resize}, size={size}");
            return Err(varangian_base::SpecError::new(text));
        }
        Ok(Box::new(Folder {
            file: args.text("file").to_owned(),
            size: size as u32,
            resize: resize as u32,
            colour: args.flag("colour"),
            memory: args.real("memory").unwrap_or(8.0),
            cache: args.flag("cache"),
            options: Options::read(args, None),
        }))
    },
};

struct Folder {
    file: String,
    size: u32,
    resize: u32,
    colour: bool,
    memory: f64,
    cache: bool,
    options: Options,
}

impl Source for Folder {
    fn load(&self, place: &Place) -> Result<Split, DataError> {
        let dir = files::folder(place, "images", "train/CLASS/*.png")?;
        let root = files::below(place, "images", &self.file)?;
        let train_dir = root.join("train");
        let test_dir = ["val", "test", "valid"].map(|name| root.join(name));
        let test_dir = test_dir.iter().find(|dir| dir.is_dir()).ok_or_else(|| {
            DataError::expected("test images", "a folder val, test or valid", "none").at(&root)
        })?;
        files::stays(dir, &train_dir)?;
        files::stays(dir, test_dir)?;
        let classes = listing::classes(dir, &train_dir)?;
        if classes.is_empty() || classes.len() > usize::from(u16::MAX) {
            let expected = "1 to 65535 folders, one a class";
            return Err(DataError::expected("classes", expected, classes.len()).at(&train_dir));
        }
        let train = listing::list(dir, &train_dir, &classes)?;
        // Evaluations may take the start of the test set alone.
        let test = listing::in_turn(listing::list(dir, test_dir, &classes)?);
        let views = (
            self.decoded(&root, &train, classes.len())?,
            self.decoded(&root, &test, classes.len())?,
        );
        Ok(self.options.views(views.0, views.1))
    }
}

impl Folder {
    fn shape(&self) -> Shape {
        let side = self.size as usize;
        Shape { channels: if self.colour { 3 } else { 1 }, height: side, width: side }
    }

    /// The images of a listing, from the cache if it holds them.
    fn decoded(&self, root: &Path, listing: &Listing, classes: usize) -> Result<Images, DataError> {
        let labels: Vec<u16> = listing.iter().map(|&(_, class)| class).collect();
        let sizes = (listing.len(), self.shape().len());
        let (key, newest) = self.key(listing)?;
        let cache = root.join(format!(".varangian-{}.pixels", &key[..24]));
        let images = |pixels| Images::of(self.shape(), classes, pixels, labels).from_files();
        let gib = sizes.0 as f64 * sizes.1 as f64 / f64::from(1 << 30);
        if gib > self.memory {
            return Ok(images(Pixels::File(self.stored(&cache, listing, newest)?)));
        }
        if let Some(pixels) = kept(&cache, sizes.0 * sizes.1, newest).filter(|_| self.cache) {
            return Ok(images(Pixels::Memory(pixels)));
        }
        let mut pixels = vec![0; sizes.0 * sizes.1];
        self.decode_all(listing, &mut pixels)?;
        if self.cache {
            // A folder that cannot be written only costs decoding again.
            let _ = keep(&cache, |write| write(&pixels));
        }
        Ok(images(Pixels::Memory(pixels)))
    }

    /// Images that are too many for memory, in their file; those that are not there are decoded
    /// into it, some at a time.
    fn stored(
        &self,
        cache: &Path,
        listing: &Listing,
        newest: Option<SystemTime>,
    ) -> Result<Stored, DataError> {
        let (count, size) = (listing.len(), self.shape().len());
        let gib = count as f64 * size as f64 / f64::from(1 << 30);
        let refused = |why: &str| {
            let what = format!("{count} images of {:?}", self.shape());
            let expected = format!("at most memory={} GiB decoded, or {why}", self.memory);
            DataError::expected(&what, expected, format!("{gib:.2}")).at(cache)
        };
        if !self.cache {
            return Err(refused("cache=true"));
        }
        let open = || Stored::open(cache, (count, size));
        if let Some(stored) = is_later(cache, newest).then(open).flatten() {
            return Ok(stored);
        }
        let mut failed = None;
        let kept = keep(cache, |write| {
            let mut pixels = Vec::new();
            for some in listing.chunks(AT_ONCE) {
                pixels.resize(some.len() * size, 0);
                if let Err(error) = self.decode_all(some, &mut pixels) {
                    failed = Some(error);
                    return Err(std::io::Error::other("a picture cannot be read"));
                }
                write(&pixels)?;
            }
            Ok(())
        });
        match (kept, failed) {
            (_, Some(error)) => Err(error),
            (Err(error), _) => Err(refused(&format!("a file for them ({error})"))),
            (Ok(()), _) => open().ok_or_else(|| refused("a file that nobody else writes to")),
        }
    }

    /// Decodes the pictures of a listing one after another into `pixels`.
    fn decode_all(&self, listing: &[(PathBuf, u16)], pixels: &mut [u8]) -> Result<(), DataError> {
        let slots = pixels.par_chunks_mut(self.shape().len()).zip(listing);
        // The first bad file in the order of the listing is named, whatever thread met it.
        let failed = slots.filter_map(|(out, (path, _))| self.decode(path, out).err());
        failed.collect::<Vec<_>>().into_iter().next().map_or(Ok(()), Err)
    }

    /// What the decoded bytes depend on, hashed: of each picture its name, its size, both its times
    /// and its place on the disk; and when one of them last changed.
    fn key(&self, listing: &Listing) -> Result<(String, Option<SystemTime>), DataError> {
        let mut hash = blake3::Hasher::new();
        let mut newest = Some(SystemTime::UNIX_EPOCH);
        hash.update(format!("3 {} {} {}", self.size, self.resize, self.colour).as_bytes());
        for (path, _) in listing {
            let fail = |e: std::io::Error| DataError::new(format!("cannot read: {e}")).at(path);
            let meta = std::fs::metadata(path).map_err(fail)?;
            let (time, place) = changed(&meta);
            newest = newest.zip(time).map(|(newest, time)| newest.max(time));
            let line = format!("\n{} {} {place}", path.display(), meta.len());
            hash.update(line.as_bytes());
        }
        Ok((hash.finalize().to_hex().to_string(), newest))
    }

    fn decode(&self, path: &Path, out: &mut [u8]) -> Result<(), DataError> {
        let bytes = std::fs::read(path);
        let bytes = bytes.map_err(|e| DataError::new(format!("cannot read: {e}")).at(path))?;
        let picture = picture(&bytes).map_err(|e| e.at(path))?;
        let picture = self.cut(picture);
        match self.colour {
            true => {
                let plane = out.len() / 3;
                for (i, pixel) in picture.to_rgb8().pixels().enumerate() {
                    (0..3).for_each(|c| out[c * plane + i] = pixel.0[c]);
                }
            }
            false => out.copy_from_slice(picture.to_luma8().as_raw()),
        }
        Ok(())
    }

    /// The middle of the picture, after its shorter side was scaled to `resize`.
    fn cut(&self, picture: DynamicImage) -> DynamicImage {
        let (width, height) = (picture.width().max(1), picture.height().max(1));
        let scale = f64::from(self.resize) / f64::from(width.min(height));
        let to = |side: u32| ((f64::from(side) * scale).round() as u32).max(self.resize);
        let scaled = match width.min(height) == self.resize {
            true => picture,
            false => picture.resize_exact(to(width), to(height), FilterType::Triangle),
        };
        let (x, y) = ((scaled.width() - self.size) / 2, (scaled.height() - self.size) / 2);
        scaled.crop_imm(x, y, self.size, self.size)
    }
}

/// When a file last changed, in content, time or name, and its times and place as text.
#[cfg(unix)]
fn changed(meta: &Metadata) -> (Option<SystemTime>, String) {
    use std::os::unix::fs::MetadataExt;
    let time = u64::try_from(meta.ctime()).ok().map(|seconds| {
        SystemTime::UNIX_EPOCH + Duration::new(seconds, meta.ctime_nsec().unsigned_abs() as u32)
    });
    let place = [meta.mtime(), meta.mtime_nsec(), meta.ctime(), meta.ctime_nsec()];
    // A time may be set back; that of its change may not.
    (time.max(meta.modified().ok()), format!("{place:?} {} {}", meta.dev(), meta.ino()))
}

#[cfg(not(unix))]
fn changed(meta: &Metadata) -> (Option<SystemTime>, String) {
    let time = meta.modified().ok();
    (time, format!("{time:?}"))
}

/// A change within so much of the writing of a cache may have the same times as what was decoded:
/// file systems count in ticks of up to two seconds.
const TICK: Duration = Duration::from_secs(3);

/// Pictures that are decoded at once where they are too many for memory.
const AT_ONCE: usize = 256;

/// The `size` pixels of a cache that was written well after the last of the pictures changed, if
/// they are as they were written.
fn kept(cache: &Path, size: usize, newest: Option<SystemTime>) -> Option<Vec<u8>> {
    let meta = std::fs::symlink_metadata(cache).ok()?;
    if meta.len() != (HASH + size) as u64 || !is_later(cache, newest) {
        return None;
    }
    let mut file = std::fs::File::open(cache).ok()?;
    let (mut hash, mut pixels) = ([0; HASH], Vec::with_capacity(size));
    file.read_exact(&mut hash).ok()?;
    file.read_to_end(&mut pixels).ok()?;
    (pixels.len() == size && *blake3::hash(&pixels).as_bytes() == hash).then_some(pixels)
}

/// Whether a cache was written well after the last of the pictures changed.
fn is_later(cache: &Path, newest: Option<SystemTime>) -> bool {
    let meta = std::fs::symlink_metadata(cache).ok().filter(Metadata::is_file);
    let written = meta.and_then(|meta| meta.modified().ok());
    let age = written.zip(newest).and_then(|(written, newest)| written.duration_since(newest).ok());
    age.is_some_and(|age| age >= TICK)
}

/// Writes a cache of whatever pixels `fill` hands over, through a draft that no other process has.
fn keep(
    cache: &Path,
    fill: impl FnOnce(&mut dyn FnMut(&[u8]) -> std::io::Result<()>) -> std::io::Result<()>,
) -> std::io::Result<()> {
    let name = RandomState::new().build_hasher().finish();
    let draft = cache.with_extension(format!("draft-{name:016x}"));
    let mut file = std::fs::OpenOptions::new().write(true).create_new(true).open(&draft)?;
    let write = || {
        let mut hasher = blake3::Hasher::new();
        file.write_all(&[0; HASH])?;
        fill(&mut |pixels| {
            hasher.update(pixels);
            file.write_all(pixels)
        })?;
        file.rewind()?;
        file.write_all(hasher.finalize().as_bytes())?;
        std::fs::rename(&draft, cache)
    };
    write().inspect_err(|_| drop(std::fs::remove_file(&draft)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::io::Cursor;
    use varangian_base::Seed;

    /// A PNG of one colour, its right half blue.
    fn png(width: u32, height: u32, red: u8) -> Vec<u8> {
        let picture = image::RgbImage::from_fn(width, height, |x, _| {
            image::Rgb(if x < width / 2 { [red, 0, 0] } else { [0, 0, 255] })
        });
        let mut out = Cursor::new(Vec::new());
        picture.write_to(&mut out, image::ImageFormat::Png).unwrap();
        out.into_inner()
    }

    fn folder() -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        for (path, bytes) in [
            ("p/train/cat/1.png", png(8, 4, 100)),
            ("p/train/cat/2.PNG", png(4, 4, 200)),
            ("p/train/dog/1.png", png(4, 12, 50)),
            ("p/val/dog/1.png", png(4, 4, 10)),
        ] {
            let path = dir.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, bytes).unwrap();
        }
        dir
    }

    fn load(dir: &tempfile::TempDir, spec: &str) -> Result<Split, String> {
        crate::data::load(spec, Some(dir.path().into()), Seed(0))
            .map_err(|e| e.to_string().replace(&format!("{}/", dir.path().display()), ""))
    }

    #[test]
    fn folders_are_classes_and_the_middle_is_kept() {
        let dir = folder();
        let spec = "images file=p size=4 resize=4 normalise=none flip=none";
        for _ in 0..2 {
            let split = load(&dir, spec).unwrap();
            assert_eq!((split.train.len(), split.test.len(), split.train.classes()), (3, 1, 2));
            assert_eq!([0, 1, 2].map(|i| split.train.label(i)), [0, 0, 1]);
            assert_eq!(split.test.label(0), 1);
            let mut batch = crate::Batch::default();
            let mut unused = Seed(0).stream(varangian_base::Domain::Augment, 0, 0);
            split.train.fill(&[0], &mut unused, &mut batch);
            let red = 100.0 / 255.0;
            assert_eq!(batch.inputs[..4], [red, red, 0.0, 0.0]);
            assert_eq!(batch.inputs[32..36], [0.0, 0.0, 1.0, 1.0]);
        }
        let cached = std::fs::read_dir(dir.path().join("p")).unwrap().count();
        assert_eq!(cached, 4, "train, val and a file of pixels each");
    }

    #[test]
    fn pictures_that_are_too_many_for_memory_are_the_same_from_their_file() {
        let dir = folder();
        let batch = |spec: &str| {
            let split = load(&dir, spec).unwrap();
            let (mut batch, mut unused) =
                (crate::Batch::default(), Seed(0).stream(varangian_base::Domain::Augment, 0, 0));
            split.train.fill(&[2, 0, 1], &mut unused, &mut batch);
            (batch.inputs, split.train.fingerprint(), split.test.fingerprint())
        };
        let spec = "images file=p size=4 resize=4";
        let wanted = batch(&format!("{spec} cache=false"));
        for _ in 0..2 {
            assert_eq!(batch(&format!("{spec} memory=0")), wanted);
        }
        let error = load(&dir, &format!("{spec} memory=0 cache=false")).err().unwrap();
        assert!(error.contains("expected at most memory=0 GiB decoded, or cache=true"), "{error}");
        std::fs::write(dir.path().join("p/train/dog/2.png"), "no picture").unwrap();
        let error = load(&dir, &format!("{spec} memory=0")).err().unwrap();
        assert!(error.starts_with("p/train/dog/2.png: not a PNG"), "{error}");
        let left = std::fs::read_dir(dir.path().join("p")).unwrap().count();
        assert_eq!(left, 4, "no draft stays");
    }

    #[test]
    fn a_cache_is_taken_only_whole_and_well_after_the_last_change() {
        let dir = tempfile::tempdir().unwrap();
        let cache = dir.path().join("a.pixels");
        keep(&cache, |write| write(&[1, 2]).and_then(|()| write(&[3]))).unwrap();
        let written = std::fs::metadata(&cache).unwrap().modified().unwrap();
        let long_ago = Some(written - TICK);
        assert_eq!(kept(&cache, 3, long_ago), Some(vec![1, 2, 3]));
        // A picture that changed since, or about when the cache was written, may be another one.
        assert_eq!(kept(&cache, 3, Some(written)), None);
        assert_eq!(kept(&cache, 3, Some(written + TICK)), None);
        assert_eq!((kept(&cache, 3, None), kept(&cache, 4, long_ago)), (None, None));
        let mut bytes = std::fs::read(&cache).unwrap();
        *bytes.last_mut().unwrap() = 4;
        std::fs::write(&cache, bytes).unwrap();
        assert_eq!(kept(&cache, 3, long_ago), None);
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_picture_edited_behind_its_time_is_noticed() {
        let dir = folder();
        let digest = || load(&dir, "images file=p size=4 resize=4").unwrap().train.fingerprint();
        let path = dir.path().join("p/train/dog/1.png");
        let before = digest();
        assert_eq!(digest(), before);
        let time = std::fs::metadata(&path).unwrap().modified().unwrap();
        let length = std::fs::metadata(&path).unwrap().len();
        // Another picture of the same length, under the same time.
        let mut others = (0..=255).filter(|red| *red != 50).map(|red| png(4, 12, red));
        let other = others.find(|other| other.len() as u64 == length).expect("one is as long");
        std::fs::write(&path, other).unwrap();
        std::fs::File::options().write(true).open(&path).unwrap().set_modified(time).unwrap();
        assert_ne!(digest(), before);
    }

    #[test]
    fn each_fault_names_the_file() {
        let dir = folder();
        let path = dir.path().join("p/train/dog/1.png");
        let whole = std::fs::read(&path).unwrap();
        std::fs::write(&path, &whole[..whole.len() - 30]).unwrap();
        let error = load(&dir, "images file=p size=4 resize=4").err().unwrap();
        assert!(error.starts_with("p/train/dog/1.png: picture: expected"), "{error}");
        std::fs::create_dir(dir.path().join("p/val/fox")).unwrap();
        let error = load(&dir, "images file=p size=4").err().unwrap();
        assert_eq!(error, "p/val: classes: expected only classes that train has, found \"fox\"");
        let error = load(&dir, "images file=q").err().unwrap();
        assert_eq!(error, "q: test images: expected a folder val, test or valid, found none");
        let error = load(&dir, "images file=p size=9 resize=4").err().unwrap();
        assert_eq!(error, "images: resize must be at least size; got resize=4, size=9");
    }

    #[test]
    fn a_header_that_promises_too_much_is_refused() {
        let mut bytes = png(4, 4, 1);
        bytes[16..20].copy_from_slice(&30_000u32.to_be_bytes());
        bytes[20..24].copy_from_slice(&30_000u32.to_be_bytes());
        let error = picture(&bytes).unwrap_err().to_string();
        assert!(error.starts_with("picture: expected at most") || error.contains("PNG"), "{error}");
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn a_damaged_picture_never_panics(
            at in 0usize..90, byte in any::<u8>(), cut in 0usize..90,
        ) {
            let mut bytes = png(6, 5, 7);
            let place = at % bytes.len();
            bytes[place] = byte;
            bytes.truncate(bytes.len() - cut % bytes.len());
            let _ = picture(&bytes);
        }
    }
}
