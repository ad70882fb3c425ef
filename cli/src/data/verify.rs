//! Reads every data set that a folder holds.

use super::remote;
use crate::{Failure, print};
use flate2::read::MultiGzDecoder;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::fs::File;
use std::io::{BufReader, Read};
use std::path::{Path, PathBuf};
use varangian_base::Seed;
use varangian_learn::data::{self, Split};

/// Verifies one set, or all that the folder holds.
pub(super) fn run(dir: &Path, set: Option<&str>, as_json: bool) -> Result<(), Failure> {
    if !dir.is_dir() {
        let text = format!("the data folder {} does not exist", dir.display());
        return Err(Failure::refused(text));
    }
    let sets: Vec<&str> = match set {
        Some(set) => vec![set],
        None => remote::sets(),
    };
    let (mut found, mut damaged, mut values) = (0, Vec::new(), Vec::new());
    for name in sets {
        let say = |text: &str| {
            if !as_json {
                print::line(&format!("{name}: {text}"));
            }
        };
        match data::load(name, Some(dir.to_owned()), Seed(0)) {
            Ok(split) => {
                found += 1;
                say(&describe(&split));
                let files = originals(dir, name)?;
                files.iter().for_each(|file| say(&file.text()));
                values.push(whole(name, &split, &files));
            }
            Err(error) if set.is_some() => return Err(Failure::refused(error.to_string())),
            Err(error) if error.is_missing() => {
                say("not here");
                values.push(absent(name, "missing", &error.to_string()));
            }
            Err(error) => {
                say(&error.to_string());
                values.push(absent(name, "damaged", &error.to_string()));
                damaged.push(name);
            }
        }
    }
    if as_json {
        print::line(&format!("{:#}", Value::from(values)));
    }
    match (damaged.is_empty(), found) {
        (false, _) => Err(Failure::failed(format!("damaged: {}", damaged.join(", ")))),
        (true, 0) => {
            let text = format!("no data set in {}; it may hold {}", dir.display(), wanted());
            Err(Failure::refused(text))
        }
        _ => Ok(()),
    }
}

/// A set that was read, for a script.
fn whole(name: &str, split: &Split, files: &[Original]) -> Value {
    let (shape, (least, most)) = (split.train.shape(), evenness(split));
    let file = |file: &Original| json!({ "file": file.path, "original": file.same });
    json!({
        "name": name, "state": "here", "error": null,
        "train": split.train.len(), "test": split.test.len(),
        "channels": shape.channels, "height": shape.height, "width": shape.width,
        "classes": split.train.classes(), "least": least, "most": most,
        "files": files.iter().map(file).collect::<Vec<_>>(),
    })
}

/// A set that was not, with the same fields.
fn absent(name: &str, state: &str, why: &str) -> Value {
    json!({
        "name": name, "state": state, "error": why, "train": null, "test": null, "channels": null,
        "height": null, "width": null, "classes": null, "least": null, "most": null, "files": [],
    })
}

fn wanted() -> String {
    remote::sets().join(", ")
}

/// One line on what was read: counts, shape, how even the classes are.
pub(super) fn describe(split: &Split) -> String {
    let (shape, (least, most)) = (split.train.shape(), evenness(split));
    format!(
        "{} + {} samples of {} × {} × {}, {} classes of {least} to {most}",
        split.train.len(),
        split.test.len(),
        shape.channels,
        shape.height,
        shape.width,
        split.train.classes()
    )
}

/// The training samples of the rarest class, and of the most frequent one.
fn evenness(split: &Split) -> (u64, u64) {
    let mut counts = vec![0u64; split.train.classes()];
    (0..split.train.len()).for_each(|i| {
        if let Some(count) = counts.get_mut(split.train.label(i) as usize) {
            *count += 1;
        }
    });
    let least = counts.iter().min().copied().unwrap_or(0);
    (least, counts.iter().max().copied().unwrap_or(0))
}

/// A file whose original's checksum is known.
struct Original {
    path: PathBuf,
    /// Whether it holds the original bits.
    same: bool,
}

impl Original {
    fn text(&self) -> String {
        let verdict = if self.same { "the original bits" } else { "NOT the original bits" };
        format!("{} holds {verdict}", self.path.display())
    }
}

/// Whether the files are the original bits, where the original's checksum is known.
fn originals(dir: &Path, set: &str) -> Result<Vec<Original>, Failure> {
    let mut files = Vec::new();
    let set = set.split_whitespace().next().unwrap_or(set);
    for file in remote::of(set) {
        let Some(wanted) = file.unpacked else { continue };
        let plain = file.name().trim_end_matches(".gz");
        let bases = [dir.join(file.folder), dir.to_owned()];
        let paths = bases.iter().flat_map(|base| [base.join(plain), base.join(file.name())]);
        if let Some(path) = paths.into_iter().find(|path| path.is_file()) {
            files.push(Original { same: unpacked_hash(&path)? == wanted, path });
        }
    }
    Ok(files)
}

/// The SHA-256 of a file's contents, unpacked if it is gzipped, in hexadecimal.
pub(super) fn unpacked_hash(path: &Path) -> Result<String, Failure> {
    let file = File::open(path).map_err(|e| Failure::file("read", path, &e))?;
    let file = BufReader::new(file);
    match path.extension().is_some_and(|end| end == "gz") {
        true => hash(&mut MultiGzDecoder::new(file), path),
        false => hash(&mut { file }, path),
    }
}

/// The SHA-256 of a file as it lies on disk, in hexadecimal.
pub(super) fn file_hash(path: &Path) -> Result<String, Failure> {
    let file = File::open(path).map_err(|e| Failure::file("read", path, &e))?;
    hash(&mut BufReader::new(file), path)
}

fn hash(reader: &mut dyn Read, path: &Path) -> Result<String, Failure> {
    let (mut state, mut buffer) = (Sha256::new(), vec![0; 1 << 16]);
    loop {
        match reader.read(&mut buffer).map_err(|e| Failure::file("read", path, &e))? {
            0 => break,
            count => state.update(&buffer[..count]),
        }
    }
    Ok(state.finalize().iter().map(|byte| format!("{byte:02x}")).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hash_is_the_published_one_of_abc() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("abc");
        std::fs::write(&path, b"abc").unwrap();
        let wanted = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(file_hash(&path).unwrap(), wanted);
        assert_eq!(unpacked_hash(&path).unwrap(), wanted);
    }

    #[test]
    fn an_empty_folder_a_missing_one_and_a_damaged_set_are_told_apart() {
        let dir = tempfile::tempdir().unwrap();
        let failure = run(dir.path(), None, false).unwrap_err();
        assert!(failure.code() == 2 && failure.to_string().starts_with("no data set in "));
        assert_eq!(run(&dir.path().join("x"), None, false).unwrap_err().code(), 2);
        assert_eq!(run(dir.path(), Some("mnist"), false).unwrap_err().code(), 2);
        for name in
            ["train-images-idx3", "train-labels-idx1", "t10k-images-idx3", "t10k-labels-idx1"]
        {
            std::fs::write(dir.path().join(format!("{name}-ubyte")), b"?").unwrap();
        }
        let failure = run(dir.path(), None, false).unwrap_err();
        assert_eq!((failure.code(), failure.to_string().as_str()), (1, "damaged: mnist"));
        assert_eq!(
            run(dir.path(), Some("glyphs flip=none"), false).map_err(|f| f.to_string()),
            Ok(())
        );
    }
}
