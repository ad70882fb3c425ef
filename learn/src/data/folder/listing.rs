//! Which pictures lie in which class: the folders of a split, without what is no data.

use crate::data::{DataError, files, order};
use std::path::{Path, PathBuf};

/// The files of one split, with the class of each.
pub(super) type Listing = Vec<(PathBuf, u16)>;

/// Endings of the pictures that are read.
const READ: &[&str] = &["png", "jpg", "jpeg", "jpe", "jfif"];

/// Endings of pictures that are not: beside others they would be left out without a word.
const FOREIGN: &[&str] = &[
    "gif", "webp", "bmp", "tif", "tiff", "heic", "heif", "avif", "jxl", "jp2", "ppm", "pgm", "pbm",
    "tga",
];

/// The classes of the training split: its folders by name, numbers by value. Hidden folders and
/// what file managers leave are none.
///
/// # Errors
/// If a picture lies beside the folders, or a folder holds no picture.
pub(super) fn classes(dir: &Path, train: &Path) -> Result<Vec<String>, DataError> {
    let mut names = folders(dir, train)?.iter().map(|path| name(path)).collect::<Vec<String>>();
    names.sort_by(|a, b| order::classes(a, b));
    Ok(names)
}

/// The pictures of each class in `split`, a folder below the data folder `dir`, by class and name.
///
/// # Errors
/// If there is a class that `classes` has not, one without a picture, or a file that is a picture
/// of another kind.
pub(super) fn list(dir: &Path, split: &Path, classes: &[String]) -> Result<Listing, DataError> {
    let mut out = Vec::new();
    for path in folders(dir, split)? {
        let name = name(&path);
        let class = classes.iter().position(|class| *class == name).ok_or_else(|| {
            let expected = "only classes that train has";
            DataError::expected("classes", expected, format!("\"{name}\"")).at(split)
        })?;
        let pictures = pictures(dir, &path)?;
        if pictures.is_empty() {
            let expected = "at least one .png or .jpg in each class";
            return Err(DataError::expected("pictures", expected, "none").at(&path));
        }
        out.extend(pictures.into_iter().map(|file| (file, class as u16)));
    }
    if out.is_empty() {
        return Err(DataError::expected("pictures", "at least one .png or .jpg", "none").at(split));
    }
    out.sort_by_key(|&(_, class)| class);
    Ok(out)
}

/// The pictures in turn from all classes: the first of each, then the second of each, and so on. A
/// start of the listing is then no sample of some classes alone.
pub(super) fn in_turn(listing: Listing) -> Listing {
    let mut turns = std::collections::BTreeMap::new();
    let turn = |(path, class): (PathBuf, u16)| {
        let next = turns.entry(class).or_insert(0usize);
        *next += 1;
        (*next, class, path)
    };
    let mut out: Vec<(usize, u16, PathBuf)> = listing.into_iter().map(turn).collect();
    out.sort();
    out.into_iter().map(|(_, class, path)| (path, class)).collect()
}

/// The folders of a split, one a class.
fn folders(dir: &Path, split: &Path) -> Result<Vec<PathBuf>, DataError> {
    let (folders, others): (Vec<PathBuf>, Vec<PathBuf>) =
        files::list(dir, split)?.into_iter().partition(|path| path.is_dir());
    match others.iter().find(|path| ends(path, READ) || ends(path, FOREIGN)) {
        None => Ok(folders),
        Some(path) => {
            let found = format!("the file {}", name(path));
            Err(DataError::expected("classes", "folders, one a class", found).at(split))
        }
    }
}

/// The pictures of a class, sorted by name.
fn pictures(dir: &Path, class: &Path) -> Result<Vec<PathBuf>, DataError> {
    let mut out = Vec::new();
    for path in files::list(dir, class)? {
        if path.is_dir() {
            let expected = "pictures, not folders within a class";
            return Err(DataError::expected("class", expected, "a folder").at(&path));
        }
        if ends(&path, FOREIGN) {
            return Err(DataError::expected("picture", "PNG or JPEG", "another kind").at(&path));
        }
        if ends(&path, READ) {
            out.push(path);
        }
    }
    Ok(out)
}

fn ends(path: &Path, ends: &[&str]) -> bool {
    let end = path.extension().map(|end| end.to_string_lossy().to_lowercase());
    end.is_some_and(|end| ends.contains(&end.as_str()))
}

fn name(path: &Path) -> String {
    path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_start_of_the_listing_has_all_classes() {
        let listing = [("a1", 0), ("a2", 0), ("a3", 0), ("b1", 1), ("c1", 2), ("c2", 2)];
        let listing = listing.map(|(name, class)| (PathBuf::from(name), class)).to_vec();
        let classes: Vec<u16> = in_turn(listing).into_iter().map(|(_, class)| class).collect();
        assert_eq!(classes, [0, 1, 2, 0, 2, 0]);
    }
}
