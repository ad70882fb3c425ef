//! What `plot` and `table` take alike: which runs, in which order, under which names, how large.

use crate::Failure;
use std::collections::BTreeMap;
use std::path::PathBuf;
use varangian_lab::publish::Style;

/// Choices that a style file holds too; what stands on the command line goes before it.
#[derive(clap::Args, Default)]
pub(crate) struct Chosen {
    /// A TOML file with any of these choices, kept beside a paper: rules = [..], where = [..],
    /// [labels], width = 3.3, …
    #[arg(long, value_name = "FILE")]
    style: Option<PathBuf>,
    /// A rule that is shown, again for each, in this order
    #[arg(long = "rule", value_name = "RULE")]
    rules: Vec<String>,
    /// Only runs whose key has this value; the key may be folder
    #[arg(long = "where", value_name = "KEY=VALUE")]
    only: Vec<String>,
    /// Another name for a rule, an attack, a value, a key or a folder; again for each
    #[arg(long = "label", value_name = "TEXT=NAME", value_parser = pair)]
    labels: Vec<(String, String)>,
    /// A key with a row for each value; again for each
    #[arg(long = "row", value_name = "KEY")]
    rows: Vec<String>,
    /// The key with a column or a panel for each value (attack)
    #[arg(long, value_name = "KEY")]
    column: Option<String>,
    /// Which number of a run: mean (of the last ten), last or best
    #[arg(long, value_name = "WORD")]
    value: Option<String>,
    /// How settings that nothing tells apart are put together: worst or mean
    #[arg(long, value_name = "WORD")]
    rest: Option<String>,
}

/// Reads "TEXT=NAME"; the text may hold "=" itself, as "alpha=0.1=α = 0.1" has it: the last one
/// that stands without a space beside it divides.
fn pair(text: &str) -> Result<(String, String), String> {
    let mut places = text.match_indices('=').map(|(place, _)| place);
    let bare = |place: &usize| {
        let around = [text[..*place].chars().last(), text[place + 1..].chars().next()];
        around.iter().all(|sign| sign.is_none_or(|sign| sign != ' '))
    };
    match places.rfind(bare) {
        Some(place) if place > 0 => Ok((text[..place].to_owned(), text[place + 1..].to_owned())),
        _ => Err("a label is TEXT=NAME, as in \"nnm | krum=NNM + Krum\"".into()),
    }
}

impl Chosen {
    /// Whether nothing is chosen.
    pub(crate) fn is_empty(&self) -> bool {
        self.style.is_none()
            && [&self.rules, &self.only, &self.rows].iter().all(|list| list.is_empty())
            && self.labels.is_empty()
            && [&self.column, &self.value, &self.rest].iter().all(|one| one.is_none())
    }

    /// The choices, before those of the file; `more` are those of one command alone.
    ///
    /// # Errors
    /// If the file cannot be read or says something unknown.
    pub(crate) fn read(&self, more: Style) -> Result<Style, Failure> {
        let file = self.style.as_deref().map(Style::read).transpose()?.unwrap_or_default();
        let own = Style {
            rules: self.rules.clone(),
            only: self.only.clone(),
            labels: self.labels.iter().cloned().collect::<BTreeMap<_, _>>(),
            rows: self.rows.clone(),
            columns: self.column.clone(),
            value: self.value.clone(),
            rest: self.rest.clone(),
            ..more
        };
        Ok(own.over(file))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_label_is_divided_where_no_space_stands() {
        let of = |text: &str| pair(text).ok();
        let both = |a: &str, b: &str| Some((a.to_owned(), b.to_owned()));
        assert_eq!(of("krum=Krum"), both("krum", "Krum"));
        assert_eq!(of("dirichlet alpha=0.1=α = 0.1"), both("dirichlet alpha=0.1", "α = 0.1"));
        assert_eq!(of("krum="), both("krum", ""));
        assert!(of("krum").is_none() && of("=x").is_none());
    }
}
