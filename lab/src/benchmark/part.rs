//! A part of a protocol: for a first look at a rule, before the whole is worth its minutes.

use super::protocol::Kind;
use crate::Failure;
use crate::config::Settings;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use varangian_base::SpecError;

/// Which of a protocol's runs are done: of each key that is named, those with one of its values.
/// Runs without an attack are always there, as everything is set beside them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Part(BTreeMap<String, Vec<String>>);

/// The keys by which a protocol's runs can be told apart.
const KEYS: [&str; 5] = ["attack", "dataset", "f", "partition", "seed"];

impl Part {
    /// The part with the values of these keys: dataset, partition, f, attack, seed. A value is as
    /// the protocol spells it, "worst budget=32 objective=loss", or a name alone, which stands for
    /// everything of this name: "worst". Nothing at all is the whole.
    ///
    /// # Errors
    /// If there is no such key, one comes twice, or without a value.
    pub fn new<K, V>(keys: impl IntoIterator<Item = (K, V)>) -> Result<Self, Failure>
    where
        K: AsRef<str>,
        V: IntoIterator<Item = String>,
    {
        let mut all = BTreeMap::new();
        for (key, values) in keys {
            let key = key.as_ref();
            if !KEYS.contains(&key) {
                return Err(SpecError::unknown("key of a part", key, &KEYS).into());
            }
            let values: Vec<String> = values.into_iter().map(|value| value.trim().into()).collect();
            if values.is_empty() || values.iter().any(String::is_empty) {
                return Err(Failure::refused(format!("a part names values of {key}; got none")));
            }
            if all.insert(key.to_owned(), values).is_some() {
                return Err(Failure::refused(format!("a part names {key} once; got it twice")));
            }
        }
        Ok(Part(all))
    }

    /// The part that words like `attack=alie,worst` name, as the command takes them.
    ///
    /// # Errors
    /// As [`Part::new`]; or if a word has no "=".
    pub fn parse(words: &[String]) -> Result<Self, Failure> {
        let pair = |word: &String| {
            let (key, values) = word.split_once('=').ok_or_else(|| {
                Failure::refused(format!("a part is KEY=VALUE[,VALUE]; got \"{word}\""))
            })?;
            Ok((key.trim().to_owned(), values.split(',').map(str::to_owned).collect::<Vec<_>>()))
        };
        Part::new(words.iter().map(pair).collect::<Result<Vec<_>, Failure>>()?)
    }

    /// Whether nothing is left out.
    pub fn is_whole(&self) -> bool {
        self.0.is_empty()
    }

    /// "attack=alie,worst dataset=logreg"; empty for the whole.
    pub fn text(&self) -> String {
        let one = |(key, values): (&String, &Vec<String>)| format!("{key}={}", values.join(","));
        self.0.iter().map(one).collect::<Vec<_>>().join(" ")
    }

    /// What a protocol with this hash is called where only this part of it was judged.
    pub(super) fn of_protocol(&self, hash: &str) -> String {
        match self.is_whole() {
            true => hash.to_owned(),
            false => {
                let text = format!("{hash} only {}", self.text());
                blake3::hash(text.as_bytes()).to_hex()[..16].to_owned()
            }
        }
    }

    /// Leaves out of the runs what is not in the part.
    ///
    /// # Errors
    /// If no run has one of the values, or none is left with a hostile worker.
    pub(super) fn narrow(&self, runs: &mut Vec<Settings>) -> Result<(), Failure> {
        for (key, values) in &self.0 {
            for value in values {
                if !runs.iter().any(|run| is(value, &of(key, run))) {
                    let mut known: Vec<String> = Vec::new();
                    for run in runs.iter().map(|run| of(key, run)) {
                        if !known.contains(&run) {
                            known.push(run);
                        }
                    }
                    return Err(Failure::refused(format!(
                        "no run of the protocol has {key} = \"{value}\"; it has {}",
                        known.join(", ")
                    )));
                }
            }
        }
        let none = |run: &Settings| Kind::of(&run.attack) == Kind::None;
        runs.retain(|run| {
            self.0.iter().all(|(key, values)| {
                let found = of(key, run);
                key == "attack" && none(run) || values.iter().any(|value| is(value, &found))
            })
        });
        match runs.iter().any(|run| run.f > 0 && !none(run)) {
            true => Ok(()),
            false => Err(Failure::refused(format!(
                "a judgement is of a worst case: {} leaves no run with an attack",
                self.text()
            ))),
        }
    }
}

fn of(key: &str, run: &Settings) -> String {
    match key {
        "attack" => run.attack.clone(),
        "dataset" => run.dataset.clone(),
        "f" => run.f.to_string(),
        "partition" => run.partition.clone(),
        _ => run.seed.to_string(),
    }
}

/// Whether a value is what was found, or its name alone.
fn is(value: &str, found: &str) -> bool {
    value == found || found.split_whitespace().next() == Some(value)
}

#[cfg(test)]
mod tests {
    use super::super::Tier;
    use super::*;
    use crate::config::Own;

    fn narrowed(words: &[&str]) -> Result<Vec<Settings>, Failure> {
        let words: Vec<String> = words.iter().map(ToString::to_string).collect();
        let mut runs = Tier::Small.experiment("median", &Own::default())?.runs;
        Part::parse(&words)?.narrow(&mut runs)?;
        Ok(runs)
    }

    #[test]
    fn names_stand_for_all_of_their_name_and_nobody_attacks_in_every_part() {
        let whole = narrowed(&[]).unwrap();
        assert_eq!(whole, Tier::Small.experiment("median", &Own::default()).unwrap().runs);
        let runs = narrowed(&["attack=worst", "dataset=logreg", "f = 2", "seed=1,2"]).unwrap();
        // Two partitions, two seeds, four searches and no attack.
        assert_eq!(runs.len(), 2 * 2 * 5);
        assert_eq!(runs.iter().filter(|run| run.attack == "none").count(), 4);
        assert!(runs.iter().all(|run| run.dataset == "logreg" && run.f == 2 && run.seed < 3));
        let one = narrowed(&["attack=worst budget=32 objective=loss,alie"]).unwrap();
        let attacks = |name: &str| one.iter().filter(|run| run.attack.starts_with(name)).count();
        assert_eq!((attacks("worst"), attacks("alie"), attacks("ipm")), (40, 40, 0));
        assert_eq!(attacks("none"), 40 + 20);
    }

    #[test]
    fn parts_are_other_protocols_and_wrong_ones_are_refused() {
        let part = |word: &str| Part::parse(&[word.to_owned()]);
        let alie = part("attack=alie").unwrap();
        assert_eq!((alie.text().as_str(), alie.is_whole()), ("attack=alie", false));
        assert_ne!(alie.of_protocol("h"), part("attack=ipm").unwrap().of_protocol("h"));
        assert_eq!(Part::default().of_protocol("h"), "h");
        let error = |word: &str| part(word).unwrap_err().to_string();
        assert_eq!(
            error("atack=alie"),
            "unknown key of a part \"atack\"; did you mean \"attack\"?"
        );
        assert_eq!(error("attack"), "a part is KEY=VALUE[,VALUE]; got \"attack\"");
        assert_eq!(error("attack=,"), "a part names values of attack; got none");
        let twice = ["f=2".to_owned(), "f=4".to_owned()];
        assert!(Part::parse(&twice).unwrap_err().to_string().contains("got it twice"));
        let error = |words: &[&str]| narrowed(words).unwrap_err().to_string();
        assert_eq!(error(&["f=3"]), "no run of the protocol has f = \"3\"; it has 2, 4, 0");
        assert!(error(&["f=0"]).contains("f=0 leaves no run with an attack"));
        assert!(error(&["attack=none"]).contains("leaves no run with an attack"));
    }
}
