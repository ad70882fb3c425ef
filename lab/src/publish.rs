//! What leaves for a paper: runs of one or several folders, chosen, put in order, given other
//! names, and put together over whatever is not told apart.

pub mod compare;
pub mod figure;
mod style;
pub mod table;

pub use style::Style;

use crate::config::KEYS;
use crate::pictures::name_of;
use crate::results::{self, Outcome, Store, Sweep, judge, student};
use crate::{Failure, text};
use std::collections::BTreeMap;
use std::path::PathBuf;
use varangian_base::SpecError;

/// The key by which folders are told apart, as if it were a setting.
pub const FOLDER: &str = "folder";

/// A run with the folder that it is from.
pub struct Entry {
    /// The folder's place.
    pub folder: usize,
    /// The run.
    pub outcome: Outcome,
    /// Every setting as it prints.
    texts: BTreeMap<&'static str, String>,
    /// All of them but the seed, as one text.
    combo: String,
}

/// The runs of folders.
pub struct Entries {
    /// What each folder is called, each name once.
    pub names: Vec<String>,
    /// The runs, folder by folder, in the order of the experiments.
    pub all: Vec<Entry>,
    /// All rules, in the order of the experiments: a rule's place is its colour.
    pub rules: Vec<String>,
    /// What readers must know: that runs are missing, or not as they were written.
    pub missing: Vec<String>,
    /// The metric that is judged, and whether more of it is better.
    pub metric: &'static str,
}

impl Entries {
    /// Reads folders.
    ///
    /// # Errors
    /// If one holds no results.
    pub fn read(folders: &[PathBuf]) -> Result<Self, Failure> {
        let (mut names, mut all) = (Vec::<String>::new(), Vec::new());
        let (mut rules, mut missing) = (Vec::new(), Vec::new());
        for (folder, path) in folders.iter().enumerate() {
            let store = Store::open(path)?;
            let kept = store.kept()?;
            let name = name_of(path);
            missing.extend(kept.missing().map(|text| format!("{name}: {text}")));
            // Two folders of one experiment are called by their folders too.
            names.push(match names.contains(&name) {
                false => name,
                true => format!("{name} ({})", text::one_line(&path.display().to_string())),
            });
            let sweep = Sweep::kept(&store, &kept.outcomes);
            for rule in &sweep.rules {
                results::place(&mut rules, rule);
            }
            all.extend(kept.outcomes.into_iter().map(|outcome| Entry::of(folder, outcome)));
        }
        let metric = results::metric(all.iter().map(|entry: &Entry| &entry.outcome));
        Ok(Entries { names, all, rules, missing, metric })
    }

    /// Whether more of the metric is better.
    pub fn higher_is_better(&self) -> bool {
        self.metric == "accuracy"
    }

    /// A run's value of a key, which may be the folder.
    pub fn value<'a>(&'a self, entry: &'a Entry, key: &str) -> &'a str {
        match key {
            FOLDER => &self.names[entry.folder],
            key => entry.texts.get(key).map_or("", String::as_str),
        }
    }

    /// Leaves out what a style does not choose.
    ///
    /// # Errors
    /// If it names a key or a rule that there is none of, or nothing is left.
    pub fn chosen(mut self, style: &Style) -> Result<Self, Failure> {
        let pairs = style.pairs()?;
        for (key, _) in &pairs {
            self.known(key)?;
        }
        let known: Vec<&str> = self.rules.iter().map(String::as_str).collect();
        if let Some(odd) = style.rules.iter().find(|rule| !known.contains(&rule.as_str())) {
            return Err(SpecError::unknown("rule of these results", odd, &known).into());
        }
        let holds = |entry: &Entry| {
            let rule = &entry.outcome.settings.rule;
            (style.rules.is_empty() || style.rules.contains(rule))
                && pairs.iter().all(|(key, value)| match key.as_str() {
                    FOLDER => self.names[entry.folder] == *value,
                    key => entry.texts.get(key).is_some_and(|own| own == value),
                })
        };
        let keep: Vec<bool> = self.all.iter().map(holds).collect();
        let mut keep = keep.into_iter();
        self.all.retain(|_| keep.next().unwrap_or(false));
        match self.all.is_empty() {
            true => Err(Failure::refused(format!(
                "no run has {}",
                pairs.iter().map(|(k, v)| format!("{k}={v}")).collect::<Vec<_>>().join(" and ")
            ))),
            false => Ok(self),
        }
    }

    /// Refuses a key that there is none of.
    ///
    /// # Errors
    /// Which is meant.
    pub fn known(&self, key: &str) -> Result<(), Failure> {
        let known: Vec<&str> = KEYS.iter().map(|key| key.name).chain([FOLDER]).collect();
        match known.contains(&key) {
            true => Ok(()),
            false => Err(SpecError::unknown("key", key, &known).into()),
        }
    }

    /// The keys that vary, in their order; the seed is none, the folder is one where there are
    /// several.
    pub fn varies(&self) -> Vec<&'static str> {
        let keys = KEYS.iter().map(|key| key.name).chain([FOLDER]);
        let varies = |key: &&str| {
            let mut values = self.all.iter().map(|entry| self.value(entry, key));
            let first = values.next();
            *key != "seed" && values.any(|value| Some(value) != first)
        };
        keys.filter(varies).collect()
    }

    /// The values of a key: rules as the style has them or the experiments do, numbers by size,
    /// others in the order of the runs.
    pub fn values(&self, key: &str, style: &Style) -> Vec<String> {
        let mut out: Vec<String> = Vec::new();
        for entry in &self.all {
            results::place(&mut out, self.value(entry, key));
        }
        if key == "rule" {
            let order = if style.rules.is_empty() { &self.rules } else { &style.rules };
            let place = |rule: &String| order.iter().position(|one| one == rule);
            out.sort_by_key(|rule| place(rule).unwrap_or(usize::MAX));
        } else if let Some(numbers) = numbers(&out) {
            let mut both: Vec<(f64, String)> = numbers.into_iter().zip(out).collect();
            both.sort_by(|a, b| a.0.total_cmp(&b.0));
            out = both.into_iter().map(|(_, text)| text).collect();
        }
        out
    }

    /// Runs by their values of `keys`, and in each group by all other settings.
    pub fn groups<'a>(&'a self, keys: &[&str]) -> Vec<Group<'a>> {
        let mut places: BTreeMap<Vec<&str>, usize> = BTreeMap::new();
        let mut groups: Vec<Group<'a>> = Vec::new();
        for entry in &self.all {
            let at: Vec<&str> = keys.iter().map(|key| self.value(entry, key)).collect();
            let place = *places.entry(at.clone()).or_insert(groups.len());
            if place == groups.len() {
                let at = at.into_iter().map(str::to_owned).collect();
                groups.push(Group { at, combos: Vec::new() });
            }
            let combos = &mut groups[place].combos;
            let name = (entry.folder, entry.combo.as_str());
            match combos.iter_mut().find(|combo| combo.name == name) {
                Some(combo) => combo.runs.push(entry),
                None => combos.push(Combo { name, runs: vec![entry] }),
            }
        }
        groups
    }
}

/// The values as numbers, where all are.
fn numbers(values: &[String]) -> Option<Vec<f64>> {
    values.iter().map(|text| text.parse().ok().filter(|x: &f64| !x.is_nan())).collect()
}

impl Entry {
    fn of(folder: usize, outcome: Outcome) -> Self {
        let texts = outcome.settings.texts();
        let parts = texts.iter().filter(|(key, _)| **key != "seed");
        let combo = parts.map(|(key, value)| format!("{key}={value}\n")).collect();
        Entry { folder, outcome, texts, combo }
    }
}

/// Runs that share the values of some keys.
pub struct Group<'a> {
    /// Those values, in the order of the keys.
    pub at: Vec<String>,
    /// The runs by all other settings.
    pub combos: Vec<Combo<'a>>,
}

/// Runs that differ in nothing but the seed.
pub struct Combo<'a> {
    name: (usize, &'a str),
    /// The runs.
    pub runs: Vec<&'a Entry>,
}

/// How settings that nothing tells apart are put together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Rest {
    /// The worst of them.
    #[default]
    Worst,
    /// Their mean, seed by seed.
    Mean,
}

/// What a group is worth.
pub struct Worth<'a> {
    /// A value a seed.
    pub values: Vec<f64>,
    /// The mean.
    pub mean: f64,
    /// Half of Student's 95 % interval, from three seeds on; else NaN.
    pub half: f64,
    /// The runs behind it.
    pub runs: Vec<&'a Entry>,
}

/// Which number of a run is taken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Value {
    /// The mean of the last ten.
    #[default]
    Tail,
    /// The last.
    Last,
    /// The best.
    Best,
}

impl Group<'_> {
    /// What it is worth; nothing where nothing was measured.
    pub fn worth(&self, entries: &Entries, rest: Rest, value: Value) -> Option<Worth<'_>> {
        let higher = entries.higher_is_better();
        let number = |entry: &Entry| {
            let judged = judge(&entry.outcome.curve(entries.metric), higher)?;
            Some(match value {
                Value::Tail => judged.tail,
                Value::Last => judged.last,
                Value::Best => judged.best,
            })
        };
        let finished = |runs: &&Entry| runs.outcome.is_finished();
        let mut all: Vec<Vec<(&Entry, f64)>> = Vec::new();
        for combo in &self.combos {
            let runs = combo.runs.iter().copied().filter(finished);
            let own: Vec<_> = runs.filter_map(|run| Some((run, number(run)?))).collect();
            if !own.is_empty() {
                all.push(own);
            }
        }
        let mean_of =
            |own: &[(&Entry, f64)]| results::mean(&own.iter().map(|one| one.1).collect::<Vec<_>>());
        let sign = if higher { 1.0 } else { -1.0 };
        let badness = |own: &Vec<(&Entry, f64)>| results::or_worst(sign * mean_of(own));
        let (values, runs): (Vec<f64>, Vec<&Entry>) = match rest {
            Rest::Worst => {
                let worst = all.iter().min_by(|a, b| badness(a).total_cmp(&badness(b)))?;
                (worst.iter().map(|one| one.1).collect(), worst.iter().map(|one| one.0).collect())
            }
            Rest::Mean => {
                let mut seeds: BTreeMap<u64, Vec<f64>> = BTreeMap::new();
                for (run, value) in all.iter().flatten() {
                    seeds.entry(run.outcome.settings.seed).or_default().push(*value);
                }
                if seeds.is_empty() {
                    return None;
                }
                let values = seeds.into_values().map(|values| results::mean(&values)).collect();
                (values, all.iter().flatten().map(|one| one.0).collect())
            }
        };
        let half = if values.len() < 3 { f64::NAN } else { student(&values).half };
        Some(Worth { mean: results::mean(&values), half, values, runs })
    }
}
