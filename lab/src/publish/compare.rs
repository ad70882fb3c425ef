//! Folders of results against one another: runs matched by their settings, differences seed by
//! seed, and mean ranks over settings.

use super::{Entries, Entry, FOLDER};
use crate::config::KEYS;
use crate::results::paired::{Ranks, bootstrap, holm, ranks, wilcoxon, within};
use crate::results::{judge, mean, student};
use serde::Serialize;
use std::collections::BTreeMap;

/// A folder against the first one.
#[derive(Clone, Debug, Serialize)]
pub struct Comparison {
    /// The first folder.
    pub base: String,
    /// The other one.
    pub other: String,
    /// Settings of which each of the two has one value, and not the same: what is compared.
    pub differs: Vec<String>,
    /// Runs of the first, of the other, and pairs of them that are alike otherwise.
    pub runs: [usize; 3],
    /// A line a rule.
    pub lines: Vec<Line>,
}

/// How a rule does in the other folder, less how it does in the first.
#[derive(Clone, Debug, Serialize)]
pub struct Line {
    /// The rule; "all" where rules are what is compared.
    pub rule: String,
    /// Pairs of runs.
    pub pairs: usize,
    /// Settings in which there are pairs.
    pub settings: usize,
    /// Settings in which the other folder is better on average.
    pub better: usize,
    /// Seeds that both have.
    pub seeds: usize,
    /// The mean over seeds of the mean difference over settings.
    pub mean: f64,
    /// Half of Student's 95 % interval over seeds, from three on; NaN is null in JSON.
    pub half: f64,
    /// The bootstrap's 95 % interval over seeds.
    pub bootstrap: (f64, f64),
    /// p of Wilcoxon's signed-rank test over settings, each a mean over seeds.
    pub wilcoxon: f64,
    /// The same with Holm's correction for all lines.
    pub holm: f64,
}

/// Mean ranks of rules (of folders, where there are several) over settings.
#[derive(Clone, Debug)]
pub struct Ranked {
    /// What is ranked, the best first.
    pub names: Vec<String>,
    /// The place of each one's rule among all rules.
    pub places: Vec<usize>,
    /// Their ranks, in the same order.
    pub ranks: Ranks,
}

/// Each folder after the first against the first.
pub fn compare(entries: &Entries) -> Vec<Comparison> {
    (1..entries.names.len()).map(|other| against(entries, other)).collect()
}

/// The one value of a key in a folder, if it has just one.
fn only<'a>(entries: &'a Entries, folder: usize, key: &str) -> Option<&'a str> {
    let mut values = entries.all.iter().filter(|one| one.folder == folder);
    let first = entries.value(values.next()?, key);
    values.all(|one| entries.value(one, key) == first).then_some(first)
}

/// Keys of which each folder has one value, and not all the same.
fn differing(entries: &Entries, folders: &[usize]) -> Vec<&'static str> {
    let keys = KEYS.iter().map(|key| key.name).filter(|key| *key != "seed");
    let differs = |key: &&str| {
        let values: Vec<_> = folders.iter().map(|folder| only(entries, *folder, key)).collect();
        values.iter().all(Option::is_some) && values.iter().any(|one| *one != values[0])
    };
    keys.filter(differs).collect()
}

/// Everything that must be alike, as one text; the rule and the seed are apart.
fn setting(entries: &Entries, entry: &Entry, but: &[&str]) -> String {
    let keys = KEYS.iter().map(|key| key.name);
    let kept = keys.filter(|key| !["seed", "rule"].contains(key) && !but.contains(key));
    kept.map(|key| format!("{}\n", entries.value(entry, key))).collect()
}

/// The mean of a run's last ten; nothing where it has none that is finite.
fn tail(entries: &Entries, entry: &Entry) -> Option<f64> {
    let curve = entry.outcome.curve(entries.metric);
    let judged = judge(&curve, entries.higher_is_better())?;
    (entry.outcome.is_finished() && judged.tail.is_finite()).then_some(judged.tail)
}

fn against(entries: &Entries, other: usize) -> Comparison {
    let differs = differing(entries, &[0, other]);
    let rule_of = |entry: &Entry| match differs.contains(&"rule") {
        true => "all".to_owned(),
        false => entry.outcome.settings.rule.clone(),
    };
    let mut base: BTreeMap<(String, String, u64), f64> = BTreeMap::new();
    let name = |entry: &Entry| {
        (rule_of(entry), setting(entries, entry, &differs), entry.outcome.settings.seed)
    };
    let of = |folder: usize| entries.all.iter().filter(move |one| one.folder == folder);
    for entry in of(0) {
        base.extend(tail(entries, entry).map(|value| (name(entry), value)));
    }
    let (mut order, mut pairs) = (Vec::new(), BTreeMap::<String, Pairs>::new());
    for entry in of(other) {
        let (rule, setting, seed) = name(entry);
        let partner = base.get(&(rule.clone(), setting.clone(), seed));
        let Some((value, partner)) = tail(entries, entry).zip(partner) else { continue };
        crate::results::place(&mut order, &rule);
        let own = pairs.entry(rule).or_default();
        own.count += 1;
        own.seeds.entry(seed).or_default().push(value - partner);
        own.settings.entry(setting).or_default().push(value - partner);
    }
    let sign = if entries.higher_is_better() { 1.0 } else { -1.0 };
    let mut lines: Vec<Line> = order.iter().map(|rule| pairs[rule].line(rule, sign)).collect();
    let adjusted = holm(&lines.iter().map(|line| line.wilcoxon).collect::<Vec<_>>());
    lines.iter_mut().zip(adjusted).for_each(|(line, p)| line.holm = p);
    let told = |key: &&str| {
        let value = |folder| only(entries, folder, key).unwrap_or_default();
        format!("{key}: {} → {}", value(0), value(other))
    };
    Comparison {
        base: entries.names[0].clone(),
        other: entries.names[other].clone(),
        differs: differs.iter().map(told).collect(),
        runs: [of(0).count(), of(other).count(), lines.iter().map(|line| line.pairs).sum()],
        lines,
    }
}

/// The differences of a rule.
#[derive(Default)]
struct Pairs {
    count: usize,
    seeds: BTreeMap<u64, Vec<f64>>,
    settings: BTreeMap<String, Vec<f64>>,
}

impl Pairs {
    fn line(&self, rule: &str, sign: f64) -> Line {
        let seeds = within(self.seeds.values().cloned());
        let settings = within(self.settings.values().cloned());
        Line {
            rule: rule.to_owned(),
            pairs: self.count,
            settings: settings.len(),
            better: settings.iter().filter(|x| sign * **x > 0.0).count(),
            seeds: seeds.len(),
            mean: mean(&seeds),
            half: if seeds.len() < 3 { f64::NAN } else { student(&seeds).half },
            bootstrap: bootstrap(&seeds),
            wilcoxon: wilcoxon(&settings),
            holm: f64::NAN,
        }
    }
}

/// Mean ranks over the settings in which all have a value; nothing where there are fewer than two
/// to rank, or no such setting.
pub fn ranked(entries: &Entries) -> Option<Ranked> {
    let folders: Vec<usize> = (0..entries.names.len()).collect();
    let differs = if folders.len() > 1 { differing(entries, &folders) } else { Vec::new() };
    let (mut names, mut places) = (Vec::<String>::new(), Vec::new());
    let mut table: BTreeMap<String, BTreeMap<usize, Vec<f64>>> = BTreeMap::new();
    let sign = if entries.higher_is_better() { 1.0 } else { -1.0 };
    for entry in &entries.all {
        let rule = &entry.outcome.settings.rule;
        let name = match folders.len() {
            1 => rule.clone(),
            _ => format!("{rule}, {}", entries.value(entry, FOLDER)),
        };
        let own = crate::results::place(&mut names, &name);
        if own == places.len() {
            places.push(entries.rules.iter().position(|one| one == rule).unwrap_or(own));
        }
        let judged = tail(entries, entry).map_or(f64::NAN, |value| sign * value);
        let setting = setting(entries, entry, &differs);
        table.entry(setting).or_default().entry(own).or_default().push(judged);
    }
    let whole = table.values().filter(|row| row.len() == names.len());
    let values: Vec<Vec<f64>> = whole.map(|row| within(row.values().cloned())).collect();
    let found = ranks(&values)?;
    let mut order: Vec<usize> = (0..names.len()).collect();
    order.sort_by(|a, b| found.means[*a].total_cmp(&found.means[*b]));
    let pick = |k: &usize| found.means[*k];
    Some(Ranked {
        names: order.iter().map(|k| names[*k].clone()).collect(),
        places: order.iter().map(|k| places[*k]).collect(),
        ranks: Ranks { means: order.iter().map(pick).collect(), ..found.clone() },
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Settings;
    use crate::results::{Outcome, Store, key};

    fn folder(batch: usize, more: f64) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::make(folder.path()).unwrap();
        for (rule, base) in [("krum", 0.3), ("median", 0.5)] {
            for n in [11, 15, 19] {
                for seed in 1..=4 {
                    let settings =
                        Settings { n, batch, seed, rule: rule.into(), ..Settings::default() };
                    // Seeds differ far more than folders do: only pairs show it.
                    let value =
                        base + 0.05 * seed as f64 + more * if rule == "krum" { 1.0 } else { 0.0 };
                    let mut one = Outcome::sample(rule, "none", seed, &[0.1, value]);
                    (one.key, one.settings) = (key(&settings, &[0; 32]), settings);
                    store.save(&one).unwrap();
                }
            }
        }
        folder
    }

    #[test]
    fn pairs_show_what_separate_means_do_not() {
        let (one, other) = (folder(32, 0.0), folder(64, 0.01));
        let paths = [one.path().to_owned(), other.path().to_owned()];
        let entries = Entries::read(&paths).unwrap();
        let all = compare(&entries);
        assert_eq!((all.len(), all[0].runs), (1, [24, 24, 24]));
        assert_eq!(all[0].differs, ["batch: 32 → 64"]);
        let krum = &all[0].lines.iter().find(|line| line.rule == "krum").unwrap();
        assert!((krum.mean - 0.01).abs() < 1e-12 && krum.half < 1e-9, "{krum:?}");
        assert_eq!((krum.pairs, krum.settings, krum.better, krum.seeds), (12, 3, 3, 4));
        // Three settings that all say the same: 2/2³; the other line has no difference at all.
        assert!((krum.wilcoxon - 0.25).abs() < 0.15, "{krum:?}");
        let median = &all[0].lines.iter().find(|line| line.rule == "median").unwrap();
        assert!(median.wilcoxon.is_nan() && median.mean == 0.0);
        let ranked = ranked(&entries).unwrap();
        assert_eq!(ranked.ranks.settings, 3);
        assert!(ranked.names[0].starts_with("median, ") && ranked.names[2].starts_with("krum, "));
        assert_eq!(ranked.ranks.means, [1.5, 1.5, 3.0, 4.0]);
    }

    #[test]
    fn what_has_no_partner_is_counted_and_left_out() {
        let (one, other) = (folder(32, 0.0), tempfile::tempdir().unwrap());
        let store = Store::make(other.path()).unwrap();
        let paths = [one.path().to_owned(), other.path().to_owned()];
        store.save(&Outcome::sample("mda", "alie", 9, &[0.1, 0.2])).unwrap();
        let all = compare(&Entries::read(&paths).unwrap());
        assert_eq!((all[0].runs, all[0].lines.len()), ([24, 1, 0], 0));
    }
}
