//! How results look in a paper: a file kept beside it, or the same words on the command line.

use super::{Rest, Value};
use crate::{Failure, files};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use varangian_base::SpecError;

/// What is shown, in which order, under which names, and how large.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Style {
    /// Rules, in their order; none: all, in that of the experiments.
    pub rules: Vec<String>,
    /// `key=value`: only these runs.
    #[serde(rename = "where")]
    pub only: Vec<String>,
    /// Other names of rules, attacks, settings or folders.
    pub labels: BTreeMap<String, String>,
    /// Keys that have a row of a table each.
    pub rows: Vec<String>,
    /// The key that has a column of a table, or a panel of a figure, for each value.
    pub columns: Option<String>,
    /// What the horizontal axis shows: step, bytes (that a worker sent so far), or a key.
    pub x: Option<String>,
    /// Which number of a run: mean, last or best.
    pub value: Option<String>,
    /// How other settings are put together: worst or mean.
    pub rest: Option<String>,
    /// When a table shows ±: auto, always or never.
    pub spread: Option<String>,
    /// What a figure is: curves, heatmap or boxes.
    pub kind: Option<String>,
    /// Above a figure; empty: nothing.
    pub title: Option<String>,
    /// Its width in inches.
    pub width: Option<f64>,
    /// The height of a panel as a share of its width.
    pub aspect: Option<f64>,
    /// The size of letters in points.
    pub font_size: Option<f64>,
    /// A TrueType or OpenType file whose letters are used.
    pub font: Option<PathBuf>,
    /// Endings of the files: svg, png, pdf.
    pub formats: Vec<String>,
}

impl Style {
    /// Reads a file. Paths in it are taken from its folder.
    ///
    /// # Errors
    /// If it cannot be read or says something unknown.
    pub fn read(path: &Path) -> Result<Self, Failure> {
        let bytes = files::read_plain(path).map_err(|error| Failure::file("read", path, &error))?;
        let text = String::from_utf8(bytes)
            .map_err(|_| Failure::refused(format!("{}: a style is text", path.display())))?;
        let mut style: Style = toml::from_str(&text).map_err(|error| {
            let why = error.message().to_owned();
            Failure::refused(format!("{}: {why}", path.display()))
        })?;
        let beside = path.parent().unwrap_or(Path::new(""));
        style.font = style.font.map(|font| beside.join(font));
        Ok(style)
    }

    /// What is said here, and for the rest what another style says.
    pub fn over(self, other: Style) -> Style {
        let list = |own: Vec<String>, other| if own.is_empty() { other } else { own };
        let mut labels = other.labels;
        labels.extend(self.labels);
        Style {
            rules: list(self.rules, other.rules),
            only: list(self.only, other.only),
            labels,
            rows: list(self.rows, other.rows),
            columns: self.columns.or(other.columns),
            x: self.x.or(other.x),
            value: self.value.or(other.value),
            rest: self.rest.or(other.rest),
            spread: self.spread.or(other.spread),
            kind: self.kind.or(other.kind),
            title: self.title.or(other.title),
            width: self.width.or(other.width),
            aspect: self.aspect.or(other.aspect),
            font_size: self.font_size.or(other.font_size),
            font: self.font.or(other.font),
            formats: list(self.formats, other.formats),
        }
    }

    /// What is shown for a text.
    pub fn label(&self, text: &str) -> String {
        self.labels.get(text).cloned().unwrap_or_else(|| text.to_owned())
    }

    /// The runs that are wanted, as key and value.
    ///
    /// # Errors
    /// If one is no pair.
    pub fn pairs(&self) -> Result<Vec<(String, String)>, Failure> {
        let pair = |text: &String| match text.split_once('=') {
            Some((key, value)) => Ok((key.trim().to_owned(), value.trim().to_owned())),
            None => Err(Failure::refused(format!("--where takes key=value; found \"{text}\""))),
        };
        self.only.iter().map(pair).collect()
    }

    /// How other settings are put together.
    ///
    /// # Errors
    /// If the word is unknown.
    pub fn rest(&self) -> Result<Rest, Failure> {
        Ok(match word("rest", self.rest.as_deref().unwrap_or("worst"), &["worst", "mean"])? {
            "mean" => Rest::Mean,
            _ => Rest::Worst,
        })
    }

    /// Which number of a run is shown.
    ///
    /// # Errors
    /// If the word is unknown.
    pub fn value(&self) -> Result<Value, Failure> {
        let known = ["mean", "last", "best"];
        Ok(match word("value", self.value.as_deref().unwrap_or("mean"), &known)? {
            "last" => Value::Last,
            "best" => Value::Best,
            _ => Value::Tail,
        })
    }
}

/// The word, if it is known.
pub(super) fn word<'a>(what: &str, word: &'a str, known: &[&str]) -> Result<&'a str, Failure> {
    match known.contains(&word) {
        true => Ok(word),
        false => Err(SpecError::unknown(what, word, known).into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_said_here_goes_before_what_a_file_says() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("paper.toml");
        let text = "rules = ['krum']\nwidth = 3.3\nfont = 'a.ttf'\nwhere = ['f_real=4']\n\
                    [labels]\nkrum = 'Krum'\nalie = 'ALIE'\n";
        std::fs::write(&file, text).unwrap();
        let labels = BTreeMap::from([("krum".to_owned(), "K".to_owned())]);
        let own = Style { width: Some(6.0), labels, ..Style::default() };
        let style = own.over(Style::read(&file).unwrap());
        assert_eq!((style.width, style.rules.as_slice()), (Some(6.0), &["krum".to_owned()][..]));
        assert_eq!((style.label("krum"), style.label("alie")), ("K".into(), "ALIE".into()));
        assert_eq!(style.font, Some(folder.path().join("a.ttf")));
        assert_eq!(style.pairs().unwrap(), [("f_real".to_owned(), "4".to_owned())]);
        std::fs::write(&file, "colour = 3").unwrap();
        let why = Style::read(&file).unwrap_err().to_string();
        assert!(why.contains("unknown field `colour`"), "{why}");
        let odd = Style { rest: Some("wurst".into()), ..Style::default() };
        assert!(odd.rest().unwrap_err().to_string().contains("did you mean \"worst\""));
    }
}
