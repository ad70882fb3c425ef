//! What a reader of results must know beside them: what was set in vain, what was left out, and
//! which names stand for one run. Printed, in the summary, and kept as `notes.json`.

use super::one::Job;
use crate::config::{Idle, KEYS, Settings, label_keys};
use crate::results::{Outcome, Store};
use crate::{Failure, files};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Where the notes of a matrix stand in its folder.
const FILE: &str = "notes.json";

/// How many groups of names for one run are printed; `notes.json` holds all.
const PRINTED: usize = 10;

/// The notes of a matrix.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Notices {
    /// Values that do nothing, or less than they say.
    set_in_vain: Vec<Vain>,
    /// Runs that were left out, and why.
    left_out: Vec<String>,
    /// Runs under several names: each a list of labels and keys.
    one_run: Vec<Vec<String>>,
}

/// A value that does nothing in some runs, or less than it says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Vain {
    key: String,
    value: String,
    /// The first reason that was found.
    why: String,
    /// Whether it does nothing at all.
    nothing: bool,
    /// The runs concerned.
    runs: usize,
    /// The runs of the matrix.
    of: usize,
}

impl Notices {
    /// Notes that a run left `idle` values behind.
    pub(super) fn vain(&mut self, idle: &[Idle]) {
        for Idle { key, value, why, whole } in idle {
            let same = |vain: &&mut Vain| vain.key == *key && vain.value == *value;
            match self.set_in_vain.iter_mut().find(same) {
                Some(vain) => vain.runs += 1,
                None => self.set_in_vain.push(Vain {
                    key: (*key).to_owned(),
                    value: value.clone(),
                    why: why.clone(),
                    nothing: *whole || !why.starts_with("cut "),
                    runs: 1,
                    of: 0,
                }),
            }
        }
    }

    /// Notes that a run is not made, and why.
    pub(super) fn left_out(&mut self, text: String) {
        if !self.left_out.contains(&text) {
            self.left_out.push(text);
        }
    }

    /// Notes how many runs there are.
    pub(super) fn of(&mut self, runs: usize) {
        self.set_in_vain.iter_mut().for_each(|vain| vain.of = runs);
    }

    /// Takes up which of these outcomes are one run under several names: equal parameters and equal
    /// curves to the last bit, at one seed.
    pub(super) fn compare(&mut self, outcomes: &[Outcome]) {
        let mut groups: Vec<Vec<&Outcome>> = Vec::new();
        let mut ends: BTreeMap<(u64, &str), Vec<usize>> = BTreeMap::new();
        for outcome in outcomes.iter().filter(|outcome| outcome.is_finished()) {
            let end = ends.entry((outcome.settings.seed, outcome.parameters.as_str())).or_default();
            match end.iter().find(|&&at| same_curves(groups[at][0], outcome)) {
                Some(&at) => groups[at].push(outcome),
                None => {
                    end.push(groups.len());
                    groups.push(vec![outcome]);
                }
            }
        }
        let settings: Vec<&Settings> = outcomes.iter().map(|outcome| &outcome.settings).collect();
        let keys = label_keys(&settings);
        let name = |outcome: &&Outcome| {
            let own = &outcome.settings;
            format!("{} × {}, seed {}", own.label(&keys), own.attack, own.seed)
        };
        self.one_run = groups
            .iter()
            .filter(|group| group.iter().any(|one| asked(one) != asked(group[0])))
            .map(|group| group.iter().map(name).collect())
            .collect();
    }

    /// The notes that a folder of results keeps; none where there are none that can be read.
    fn kept(store: &Store) -> Self {
        serde_json::from_str(&files::text_of(&store.path(FILE))).unwrap_or_default()
    }

    /// One line a note; nothing where there is nothing to say.
    pub(super) fn lines(&self) -> Vec<String> {
        let mut out = Vec::new();
        for Vain { key, value, why, nothing, runs, of } in &self.set_in_vain {
            let count = if runs == of { String::new() } else { format!(" in {runs} of {of} runs") };
            let verb = if *nothing { " does nothing" } else { "" };
            // A parameter of the value has its own name: "network: keep=5".
            let part = value.split_once('=').is_some_and(|(name, _)| !name.contains(' '));
            let named = if part { format!("{key}: {value}") } else { format!("{key}={value}") };
            out.push(format!("{named}{verb}{count}: {why}"));
        }
        out.extend(self.left_out.iter().cloned());
        for group in self.one_run.iter().take(PRINTED) {
            out.push(format!("these are one run, to the last bit: {}", group.join("; ")));
        }
        if self.one_run.len() > PRINTED {
            let more = self.one_run.len() - PRINTED;
            out.push(format!("{more} more runs stand under several names: {FILE} lists them"));
        }
        out
    }

    /// The notes below a summary.
    pub(super) fn section(&self) -> String {
        let lines = self.lines();
        let text = lines.iter().map(|line| format!("- {line}\n")).collect::<String>();
        if lines.is_empty() { text } else { format!("\nNotes\n\n{text}") }
    }

    /// Keeps the notes in the folder of results.
    ///
    /// # Errors
    /// If the folder cannot be written.
    pub(super) fn write(&self, store: &Store) -> Result<(), Failure> {
        let text = serde_json::to_string_pretty(self).expect("plain values");
        store.write(FILE, format!("{text}\n").as_bytes())
    }
}

/// The notes of a folder of results, a sentence each.
pub(crate) fn notes(store: &Store) -> Vec<String> {
    Notices::kept(store).lines()
}

/// The settings of an outcome, without who is hostile where nobody attacks: there the names of one
/// run are no surprise.
fn asked(outcome: &Outcome) -> Settings {
    let own = &outcome.settings;
    if own.f_real() > 0 && own.attack != "none" {
        return own.clone();
    }
    let (attack, hostile) = ("none".into(), "last".into());
    Settings { attack, hostile, f_real: Some(0), ..own.clone() }
}

/// Whether two outcomes have the same curves, to the last bit.
fn same_curves(a: &Outcome, b: &Outcome) -> bool {
    let bits = |outcome: &Outcome, metric| -> Vec<(u64, u64)> {
        outcome.curve(metric).into_iter().map(|(step, x)| (step, x.to_bits())).collect()
    };
    ["accuracy", "test_loss"].iter().all(|metric| bits(a, metric) == bits(b, metric))
}

/// The jobs without those that are another one's run, which is noted, and the keys of those: of the
/// names for a run, the one whose keys all act is kept, else the first. `jobs`: each with the key
/// of its settings without what does nothing.
pub(super) fn without_twins(
    jobs: Vec<(Job, String)>,
    notices: &mut Notices,
) -> (Vec<Job>, Vec<String>) {
    let mut kept: Vec<(Job, String)> = Vec::new();
    // By what a run comes to, its place: a list of many seeds stays linear.
    let mut places: BTreeMap<String, usize> = BTreeMap::new();
    let (mut twins, mut dropped) = (Vec::new(), Vec::new());
    for (job, effective) in jobs {
        let at = *places.entry(effective.clone()).or_insert(kept.len());
        if at == kept.len() {
            kept.push((job, effective));
            continue;
        }
        let own = job.key == effective && kept[at].0.key != effective;
        let twin = if own { std::mem::replace(&mut kept[at].0, job) } else { job };
        if twin.key != kept[at].0.key {
            dropped.push(twin.key.clone());
            twins.push((twin, at));
        }
    }
    let mut told: Vec<(String, usize)> = Vec::new();
    for (twin, at) in &twins {
        let text = apart(twin.settings(), kept[*at].0.settings());
        match told.iter_mut().find(|(known, _)| *known == text) {
            Some((_, count)) => *count += 1,
            None => told.push((text, 1)),
        }
    }
    notices.left_out.extend(told.into_iter().map(|(text, count)| match count {
        1 => format!("{text}; 1 run is made once, under the latter"),
        _ => format!("{text}; {count} runs are made once, under the latter"),
    }));
    (kept.into_iter().map(|(job, _)| job).collect(), dropped)
}

/// "attack=ipm is the run of attack=none": the keys in which two names of a run differ.
fn apart(twin: &Settings, kept: &Settings) -> String {
    let keys = KEYS.iter().map(|key| key.name);
    let keys: Vec<&str> = keys.filter(|key| twin.text(key) != kept.text(key)).collect();
    let named = |own: &Settings| {
        keys.iter().map(|key| format!("{key}={}", own.text(key))).collect::<Vec<_>>().join(", ")
    };
    format!("{} is the run of {}", named(twin), named(kept))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_runs_are_found_under_their_names() {
        let mut all = vec![
            Outcome::sample("krum", "none", 1, &[0.5, 0.9]),
            Outcome::sample("median", "none", 1, &[0.5, 0.9]),
            Outcome::sample("median", "none", 2, &[0.5, 0.9]),
            Outcome::sample("median", "alie", 1, &[0.5, 0.8]),
        ];
        let mut notices = Notices::default();
        notices.compare(&all);
        let wanted =
            "these are one run, to the last bit: krum × none, seed 1; median × none, seed 1";
        assert_eq!(notices.lines(), [wanted]);
        all[1].parameters = "other".into();
        notices.compare(&all);
        assert_eq!(notices.section(), "");
    }
}
