//! Pictures that may fail to be drawn: each alone, none ends what else is written.

use crate::plot::Picture;
use crate::results::Store;
use crate::{Failure, files};
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Fails, naming the pictures that could not be drawn or written, if there are any.
///
/// # Errors
/// If there are any; refused, where one could not be written.
pub fn undrawn(trouble: &[Failure]) -> Result<(), Failure> {
    let Some(worst) = trouble.iter().max_by_key(|failure| failure.code()) else { return Ok(()) };
    let all: Vec<String> = trouble.iter().map(ToString::to_string).collect();
    Err(worst.saying(format!("not drawn: {}", all.join("; "))))
}

/// A picture that can be drawn.
pub struct Drawing<'a> {
    /// Its file, without an ending.
    pub file: String,
    /// What it shows, in a sentence.
    pub caption: String,
    draw: Box<dyn Fn() -> Picture + 'a>,
}

impl<'a> Drawing<'a> {
    /// A picture under this name.
    pub(super) fn new(file: &str, caption: String, draw: impl Fn() -> Picture + 'a) -> Self {
        Drawing { file: files::name(file), caption, draw: Box::new(draw) }
    }

    /// The picture; what a fault in drawing it says, where there is one.
    pub fn picture(&self) -> Result<Picture, String> {
        catch_unwind(AssertUnwindSafe(|| (self.draw)())).map_err(|cause| {
            let text = cause.downcast_ref::<String>().map(String::as_str);
            let text = text.or_else(|| cause.downcast_ref::<&str>().copied());
            text.unwrap_or("no message").to_owned()
        })
    }
}

/// Writes what can be drawn: the files, and what went wrong with each of the others.
pub fn write_all(store: &Store, drawings: &[Drawing<'_>]) -> (Vec<String>, Vec<Failure>) {
    let (mut drawn, mut trouble) = (Vec::new(), Vec::new());
    for Drawing { file, .. } in drawings {
        debug_assert!(file.len() <= 96, "{file}");
    }
    for drawing in drawings {
        let file = &drawing.file;
        let picture = drawing.picture().map_err(Failure::failed);
        match picture.and_then(|picture| picture.write(&store.path(file))) {
            Ok(()) => drawn.push(file.clone()),
            Err(failure) => trouble.push(failure.at(file)),
        }
    }
    (drawn, trouble)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_in_one_picture_leaves_the_others() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::make(folder.path()).unwrap();
        let good = || crate::plot::curves("t", "y", &[], Vec::new(), true);
        let all = [
            Drawing::new("first", String::new(), || panic!("no room")),
            Drawing::new("second", String::new(), good),
        ];
        let (drawn, trouble) = write_all(&store, &all);
        assert_eq!(drawn, ["second"]);
        let failure = undrawn(&trouble).unwrap_err();
        assert_eq!(
            (failure.code(), failure.to_string().as_str()),
            (1, "not drawn: first: no room")
        );
    }
}
