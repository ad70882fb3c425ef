//! Sets of four IDX files: images and labels, for training and for testing.

use super::transform::Options;
use super::{DataError, Images, Place, Shape, Source, Split, files, idx};
use std::path::Path;

/// A set of four IDX files.
pub(crate) struct IdxImages {
    /// Its name in messages.
    pub name: &'static str,
    /// The folders that it is looked for in, below the data folder.
    pub folders: &'static [&'static str],
    /// Images and labels for training, then for testing.
    pub files: [String; 4],
    /// The number of classes.
    pub classes: usize,
    /// The label of class 0.
    pub first: u8,
    /// Whether images are stored column by column.
    pub transposed: bool,
    /// Normalisation and transforms.
    pub options: Options,
}

impl Source for IdxImages {
    fn load(&self, place: &Place) -> Result<Split, DataError> {
        // All four are looked for first: what is missing is said before anything is read.
        for name in &self.files {
            files::find(place, self.name, self.folders, &spellings(name))?;
        }
        let train = self.read(place, &self.files[0], &self.files[1])?;
        let test = self.read(place, &self.files[2], &self.files[3])?;
        let (a, b) = (train.stored_shape(), test.stored_shape());
        if a != b {
            return Err(DataError::new(format!(
                "{}: training images are {} × {}, test images {} × {}",
                self.name, a.height, a.width, b.height, b.width
            )));
        }
        if let Some((i, label)) = train.lacks(&test) {
            let expected = "a class that a training image has";
            let what = format!("{}: label {i} of {}", self.name, self.files[3]);
            return Err(DataError::expected(&what, expected, label + u16::from(self.first)));
        }
        Ok(self.options.views(train.from_files(), test.from_files()))
    }
}

impl IdxImages {
    fn read(&self, place: &Place, images: &str, labels: &str) -> Result<Images, DataError> {
        let read = |name: &str, rank: usize| {
            let path = files::find(place, self.name, self.folders, &spellings(name))?;
            files::read(path, |reader, most| idx::read(reader, most, rank))
        };
        let (image_path, image) = read(images, 3)?;
        let (label_path, label) = read(labels, 1)?;
        self.join(&image_path, image, &label_path, label)
    }

    /// Images and labels as one set, if their counts agree and each label is a class.
    fn join(
        &self,
        image_path: &Path,
        mut image: idx::Idx,
        label_path: &Path,
        mut label: idx::Idx,
    ) -> Result<Images, DataError> {
        let (count, height, width) = (image.sizes[0], image.sizes[1], image.sizes[2]);
        if count != label.sizes[0] {
            let expected = format!("{count}, one for each image of {}", image_path.display());
            return Err(DataError::expected("labels", expected, label.sizes[0]).at(label_path));
        }
        if image.bytes.is_empty() {
            let found = format!("sizes {:?}", image.sizes);
            return Err(DataError::expected("images", "at least one pixel", found).at(image_path));
        }
        files::check_labels(label_path, &label.bytes, self.first, self.classes)?;
        label.bytes.iter_mut().for_each(|label| *label -= self.first);
        let mut shape = Shape { channels: 1, height, width };
        if self.transposed {
            image.bytes = transpose(&image.bytes, height, width);
            shape = Shape { channels: 1, height: width, width: height };
        }
        let labels = label.bytes.into_iter().map(u16::from).collect();
        Ok(Images::new(shape, self.classes, image.bytes, labels))
    }
}

/// Each image of `height` rows of `width` with rows and columns exchanged.
fn transpose(pixels: &[u8], height: usize, width: usize) -> Vec<u8> {
    let mut out = Vec::with_capacity(pixels.len());
    for image in pixels.chunks_exact(height * width) {
        for column in 0..width {
            out.extend((0..height).map(|row| image[row * width + column]));
        }
    }
    out
}

/// Both spellings under which a file of this family is found.
fn spellings(name: &str) -> [String; 2] {
    [name.to_owned(), name.replace("-idx", ".idx")]
}

#[cfg(test)]
mod tests {
    use super::super::mnist::FILES;
    use super::*;
    use flate2::{Compression, write::GzEncoder};
    use std::io::Write;
    use tempfile::TempDir;
    use varangian_base::Seed;

    /// An IDX file of `count` entries of the given inner sizes.
    fn idx_file(inner: &[u32], data: &[u8]) -> Vec<u8> {
        let entry: u32 = inner.iter().product();
        let count = data.len() as u32 / entry;
        let words = [0x801 + inner.len() as u32, count].into_iter().chain(inner.iter().copied());
        words.flat_map(u32::to_be_bytes).chain(data.iter().copied()).collect()
    }

    /// A folder with three training and two test images of 2 × 2; one file gzipped.
    fn folder() -> TempDir {
        let dir = tempfile::tempdir().unwrap();
        let put = |name: &str, bytes: &[u8]| std::fs::write(dir.path().join(name), bytes).unwrap();
        put(FILES[0], &idx_file(&[2, 2], &[0, 255, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10]));
        put("train-labels.idx1-ubyte", &idx_file(&[], &[5, 0, 9]));
        let mut gz = GzEncoder::new(Vec::new(), Compression::default());
        gz.write_all(&idx_file(&[2, 2], &[1; 8])).unwrap();
        std::fs::create_dir(dir.path().join("mnist")).unwrap();
        put("mnist/t10k-images-idx3-ubyte.gz", &gz.finish().unwrap());
        put(FILES[3], &idx_file(&[], &[9, 0]));
        dir
    }

    fn load(dir: &TempDir) -> Result<Split, String> {
        let place = Some(dir.path().to_path_buf());
        super::super::load("mnist", place, Seed(0)).map_err(|e| e.to_string())
    }

    /// The error after a file was replaced, without the folder's name.
    fn error(name: &str, bytes: &[u8]) -> String {
        let dir = folder();
        std::fs::write(dir.path().join(name), bytes).unwrap();
        let error = load(&dir).err().expect("refused");
        error.replace(&format!("{}/", dir.path().display()), "")
    }

    #[test]
    fn plain_dotted_gzipped_and_nested_files_are_found() {
        let split = load(&folder()).unwrap();
        assert_eq!((split.train.len(), split.test.len(), split.train.classes()), (3, 2, 10));
        assert_eq!(split.train.shape(), Shape { channels: 1, height: 2, width: 2 });
        let mut batch = crate::Batch::default();
        let mut unused = Seed(0).stream(varangian_base::Domain::Augment, 0, 0);
        split.train.fill(&[0], &mut unused, &mut batch);
        assert!((batch.inputs[0] + 0.424_213).abs() < 1e-5, "{}", batch.inputs[0]);
        assert!((batch.inputs[1] - 2.821_487).abs() < 1e-5, "{}", batch.inputs[1]);
    }

    #[test]
    fn each_bad_file_has_its_line() {
        assert_eq!(
            error("train-labels.idx1-ubyte", &idx_file(&[], &[5, 0])),
            "train-labels.idx1-ubyte: labels: expected 3, one for each image of \
             train-images-idx3-ubyte, found 2"
        );
        assert_eq!(
            error("train-labels.idx1-ubyte", &idx_file(&[], &[5, 0, 10])),
            "train-labels.idx1-ubyte: label 2: expected a class from 0 to 9, found 10"
        );
        assert_eq!(
            error(FILES[3], &idx_file(&[], &[9, 1])),
            "mnist: label 1 of t10k-labels-idx1-ubyte: expected a class that a training image has, \
             found 1"
        );
        let truncated = &idx_file(&[2, 2], &[1; 12])[..20];
        assert_eq!(
            error(FILES[0], truncated),
            "train-images-idx3-ubyte: data: expected 12 bytes for sizes [3, 2, 2], \
             found only 4 (the file is truncated)"
        );
        assert!(
            error("mnist/t10k-images-idx3-ubyte.gz", b"this is no gzip file")
                .contains("magic number: expected 0x00000803")
        );
        assert_eq!(
            error(FILES[0], &idx_file(&[3, 1], &[1; 9])),
            "mnist: training images are 3 × 1, test images 2 × 2"
        );
    }

    #[test]
    fn transposing_exchanges_rows_and_columns() {
        assert_eq!(transpose(&[1, 2, 3, 4, 5, 6], 2, 3), [1, 4, 2, 5, 3, 6]);
    }

    #[test]
    fn what_is_missing_is_named() {
        let dir = folder();
        std::fs::remove_file(dir.path().join(FILES[3])).unwrap();
        let path = dir.path().display().to_string();
        assert_eq!(
            load(&dir).err().unwrap().replace(&path, "DIR"),
            "mnist: no file t10k-labels-idx1-ubyte in DIR/mnist, DIR/MNIST/raw, DIR; \
             wanted: t10k-labels-idx1-ubyte or t10k-labels.idx1-ubyte, plain or .gz"
        );
        let no_folder = super::super::load("mnist", None, Seed(0)).err().unwrap().to_string();
        assert!(no_folder.contains("--data DIR"), "{no_folder}");
        let gone = Some(dir.path().join("gone"));
        let error = super::super::load("mnist", gone, Seed(0)).err().unwrap().to_string();
        assert!(error.ends_with("gone does not exist"), "{error}");
    }
}
