//! The list of workers as it is written, `workers.toml`: read with care, and changed in place.

use super::{files, is_name, is_text, quoted};
use crate::Trouble;
use crate::roll::{Entry, Member};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::ops::Range;
use std::path::Path;
use toml::Spanned;

/// The largest list of workers, in bytes; it has room for some twenty thousand.
pub(crate) const MOST: u64 = 4 << 20;

/// The file as it is written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    #[serde(default)]
    worker: Vec<Line>,
}

/// An entry, with where its values stand.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    id: Spanned<u32>,
    name: Spanned<String>,
    fingerprint: Spanned<String>,
    organisation: Option<Spanned<String>>,
    revoked: Option<Spanned<bool>>,
}

impl Line {
    fn is_revoked(&self) -> bool {
        self.revoked.as_ref().is_some_and(|revoked| *revoked.get_ref())
    }
}

/// A file's entries, each of them sound and none there twice.
pub(crate) struct List<'a> {
    text: &'a str,
    path: &'a Path,
    lines: Vec<Line>,
}

impl<'a> List<'a> {
    /// Reads a list; `path` is for errors.
    pub(crate) fn parse(text: &'a str, path: &'a Path) -> Result<List<'a>, Trouble> {
        let written: Written = toml::from_str(text).map_err(|error| {
            let at = error.span().map_or(0, |span| span.start);
            trouble(text, path, at, &error.message().replace('\n', " "))
        })?;
        let list = List { text, path, lines: written.worker };
        list.demand_formed()?;
        list.demand_distinct()?;
        Ok(list)
    }

    /// All entries, in the file's order.
    pub(crate) fn entries(&self) -> Vec<Entry> {
        let text = |value: &Spanned<String>| value.get_ref().clone();
        let entry = |line: &Line| Entry {
            member: Member {
                id: *line.id.get_ref(),
                name: text(&line.name),
                fingerprint: text(&line.fingerprint),
                organisation: line.organisation.as_ref().map(text).unwrap_or_default(),
            },
            revoked: line.is_revoked(),
        };
        self.lines.iter().map(entry).collect()
    }

    /// The text with another worker at its end.
    pub(crate) fn with(&self, member: &Member) -> String {
        let end = if self.text.is_empty() || self.text.ends_with('\n') { "" } else { "\n" };
        format!("{}{end}{}", self.text, lines(member))
    }

    /// The text with a worker, by its place in the list, revoked.
    pub(crate) fn without(&self, at: usize) -> String {
        let Some(line) = self.lines.get(at) else { return self.text.to_owned() };
        if let Some(word) = &line.revoked {
            return splice(self.text, word.span(), "true");
        }
        // A line of its own below the fingerprint's.
        let end = line.fingerprint.span().end;
        match self.text.bytes().skip(end).position(|byte| byte == b'\n') {
            Some(k) => splice(self.text, end + k + 1..end + k + 1, "revoked = true\n"),
            None => format!("{}\nrevoked = true\n", self.text),
        }
    }

    /// Writes another text into the file, if it reads as this list after `change` and nothing else:
    /// whatever way the file is written, no worker comes or goes by accident.
    pub(crate) fn replace(
        &self,
        text: &str,
        change: impl FnOnce(&mut Vec<Entry>),
    ) -> Result<(), Trouble> {
        let mut wanted = self.entries();
        change(&mut wanted);
        let path = self.path.display();
        let why = match List::parse(text, self.path) {
            Ok(found) if found.entries() == wanted => None,
            Ok(_) => Some("it would read otherwise than meant".to_owned()),
            Err(trouble) => Some(format!("it would not do, {trouble}")),
        };
        if let Some(why) = why {
            return Err(Trouble(format!(
                "{path} stays as it was: changed, {why}; what is changed here has each worker \
                 under its own [[worker]], a value a line"
            )));
        }
        if text.len() as u64 > MOST {
            let found = text.len();
            return Err(Trouble(format!("{path} has at most {MOST} bytes; it would have {found}")));
        }
        files::replace(self.path, text.as_bytes())
    }

    fn demand_formed(&self) -> Result<(), Trouble> {
        for line in &self.lines {
            let (name, key) = (&line.name, &line.fingerprint);
            if !is_name(name.get_ref()) {
                let found = quoted(name.get_ref());
                let text = format!("a worker's name is 1 to 64 of a-z, 0-9 and \"-\"; got {found}");
                return Err(self.at(name, &text));
            }
            if !is_fingerprint(key.get_ref()) {
                let text = format!(
                    "a fingerprint is \"sha256:\" and 64 of 0-9 and a-f; {} has {}",
                    name.get_ref(),
                    quoted(key.get_ref())
                );
                return Err(self.at(key, &text));
            }
            if let Some(organisation) = &line.organisation
                && !(organisation.get_ref().is_empty() || is_text(organisation.get_ref()))
            {
                let text = format!(
                    "an organisation is at most 64 letters, digits, signs and spaces, none at its \
                     ends; {} has {}",
                    name.get_ref(),
                    quoted(organisation.get_ref())
                );
                return Err(self.at(organisation, &text));
            }
        }
        Ok(())
    }

    /// Names and fingerprints are each there once; numbers once among those that are enrolled.
    fn demand_distinct(&self) -> Result<(), Trouble> {
        let (mut ids, mut names, mut keys) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
        for line in &self.lines {
            let name = line.name.get_ref();
            if let Some(other) = names.insert(name, line) {
                return Err(self.double(&line.name, &format!("the name {name}"), other));
            }
            if let Some(other) = keys.insert(line.fingerprint.get_ref(), line) {
                let what = format!("the fingerprint of {name}");
                return Err(self.double(&line.fingerprint, &what, other));
            }
            let id = line.id.get_ref();
            if !line.is_revoked()
                && let Some(other) = ids.insert(id, line)
            {
                return Err(self.double(&line.id, &format!("number {id}, {name}'s,"), other));
            }
        }
        Ok(())
    }

    fn double<T>(&self, value: &Spanned<T>, what: &str, other: &Line) -> Trouble {
        let (name, above) = (other.name.get_ref(), line_of(self.text, other.name.span().start));
        self.at(value, &format!("{what} is that of {name} already (line {above})"))
    }

    /// Whether all enrolled workers have numbers below n.
    pub(crate) fn demand_below(&self, n: usize) -> Result<(), Trouble> {
        let beyond = |line: &&Line| !line.is_revoked() && *line.id.get_ref() as usize >= n;
        match self.lines.iter().find(beyond) {
            None => Ok(()),
            Some(line) => {
                let (id, name) = (line.id.get_ref(), line.name.get_ref());
                let text =
                    format!("a run of n = {n} workers numbers them below {n}; {name} has {id}");
                Err(self.at(&line.id, &text))
            }
        }
    }

    fn at<T>(&self, value: &Spanned<T>, text: &str) -> Trouble {
        trouble(self.text, self.path, value.span().start, text)
    }
}

fn trouble(text: &str, path: &Path, at: usize, what: &str) -> Trouble {
    Trouble(format!("{}, line {}: {what}", path.display(), line_of(text, at)))
}

/// The number of the line in which a byte stands, from 1.
fn line_of(text: &str, at: usize) -> usize {
    1 + text.bytes().take(at).filter(|&byte| byte == b'\n').count()
}

fn is_fingerprint(text: &str) -> bool {
    let digit = |c: u8| c.is_ascii_digit() || (b'a'..=b'f').contains(&c);
    text.strip_prefix("sha256:").is_some_and(|hex| hex.len() == 64 && hex.bytes().all(digit))
}

/// A worker as the file has it.
fn lines(member: &Member) -> String {
    let text = |text: &str| toml::Value::String(text.to_owned()).to_string();
    let organisation = match member.organisation.as_str() {
        "" => String::new(),
        name => format!("organisation = {}\n", text(name)),
    };
    format!(
        "\n[[worker]]\nid = {}\nname = {}\nfingerprint = {}\n{organisation}",
        member.id,
        text(&member.name),
        text(&member.fingerprint)
    )
}

/// The text with another piece in a place.
fn splice(text: &str, place: Range<usize>, piece: &str) -> String {
    format!("{}{piece}{}", &text[..place.start], &text[place.end..])
}
