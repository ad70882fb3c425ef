//! Maps of f × heterogeneity: how much of both a rule stands.

use super::{Drawing, Subject};
use crate::plot::{Grid, Picture, heatmap};
use crate::results::{self, Outcome, judge, mean, or_worst};
use std::collections::BTreeMap;

/// One map: what it shows, and of which runs.
struct Map<'a> {
    rule: String,
    setting: String,
    partitions: Vec<String>,
    fs: Vec<usize>,
    runs: Vec<&'a Outcome>,
}

/// One map a rule and a setting of what varies beside: the worst case over attacks of the mean over
/// seeds of the last ten, by f and partition; none unless both vary.
pub(super) fn maps<'a>(subject: &'a Subject<'_>) -> Vec<Drawing<'a>> {
    let (mut partitions, mut fs) = (Vec::new(), Vec::new());
    for outcome in subject.outcomes {
        results::place(&mut partitions, &outcome.settings.partition);
        fs.push(outcome.settings.f_real());
    }
    fs.sort_unstable();
    fs.dedup();
    if partitions.len() < 2 || fs.len() < 2 {
        return Vec::new();
    }
    let told_apart = subject.outcomes.iter().any(|one| one.settings.f != one.settings.f_real());
    let on_axes = |key: &str| match key {
        "partition" | "f_real" => true,
        "f" => !told_apart,
        _ => false,
    };
    let keys: Vec<&str> = subject.sweep.keys.iter().copied().filter(|key| !on_axes(key)).collect();
    let (mut names, mut maps) = (Vec::new(), Vec::<Map<'a>>::new());
    for outcome in subject.outcomes.iter().filter(|outcome| outcome.is_finished()) {
        let (rule, setting) = (outcome.settings.rule.clone(), outcome.settings.label(&keys));
        let place = results::place(&mut names, &format!("{rule}\n{setting}"));
        if place == maps.len() {
            let (partitions, fs, runs) = (partitions.clone(), fs.clone(), Vec::new());
            maps.push(Map { rule, setting, partitions, fs, runs });
        }
        maps[place].runs.push(outcome);
    }
    maps.into_iter().map(|map| drawing(subject, map)).collect()
}

fn drawing<'a>(subject: &'a Subject<'_>, map: Map<'a>) -> Drawing<'a> {
    let line = format!("{}{}", map.rule, super::of(&map.setting));
    let caption =
        format!("{line}: accuracy under the worst attack, by partition and hostile workers");
    let file = super::file(&format!("heterogeneity-{}", map.rule), &map.setting);
    Drawing::new(&file, caption, move || picture(subject, &map, &line))
}

fn picture(subject: &Subject<'_>, map: &Map<'_>, line: &str) -> Picture {
    let row = |partition: &String| {
        map.fs.iter().map(|&f| worst(&map.runs, partition, f)).collect::<Vec<f64>>()
    };
    let grid = Grid {
        rows: map.partitions.clone(),
        columns: map.fs.iter().map(|f| format!("f = {f}")).collect(),
        values: map.partitions.iter().map(row).collect(),
    };
    let tail = subject.table.tail();
    let title = format!("{}: {line}, worst attack, mean of the {tail}", subject.name);
    let mut notes = vec!["Means over seeds; grey: not run, failed or not over".to_owned()];
    notes.extend(subject.notes(&map.runs));
    heatmap(&title, "hostile workers", "partition", grid, notes)
}

/// The least mean tail accuracy over attacks; NaN where nothing was run.
fn worst(outcomes: &[&Outcome], partition: &str, f: usize) -> f64 {
    let mut attacks: BTreeMap<&str, Vec<f64>> = BTreeMap::new();
    for outcome in outcomes {
        let own = &outcome.settings;
        let Some(judged) = judge(&outcome.curve("accuracy"), true) else { continue };
        if own.partition == partition && own.f_real() == f {
            attacks.entry(&own.attack).or_default().push(judged.tail);
        }
    }
    let means = attacks.values().map(|seeds| mean(seeds));
    means.min_by(|a, b| or_worst(*a).total_cmp(&or_worst(*b))).unwrap_or(f64::NAN)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(partition: &str, f: usize, attack: &str, at: &str, value: f64) -> Outcome {
        let mut outcome = Outcome::sample("krum", attack, 1, &[0.1, value]);
        outcome.settings.partition = partition.into();
        outcome.settings.momentum_at = at.into();
        (outcome.settings.f, outcome.settings.f_real) = (f, Some(f));
        outcome
    }

    #[test]
    fn a_map_needs_both_to_vary_shows_the_worst_attack_and_pools_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let store = crate::results::Store::make(folder.path()).unwrap();
        let mut outcomes = vec![
            one("iid", 1, "alie", "worker", 0.9),
            one("iid", 1, "ipm", "worker", 0.4),
            one("sorted", 2, "alie", "worker", 0.2),
        ];
        let all: Vec<&Outcome> = outcomes.iter().collect();
        assert!((worst(&all, "iid", 1) - 0.4).abs() < 1e-12);
        assert!(worst(&all, "iid", 2).is_nan());
        let files = |outcomes: &[Outcome]| {
            let subject = Subject::of(&store, "x", outcomes, None);
            maps(&subject).into_iter().map(|map| map.file).collect::<Vec<_>>()
        };
        assert_eq!(files(&outcomes), ["heterogeneity-krum"]);
        assert!(files(&outcomes[..2]).is_empty());
        outcomes.push(one("iid", 1, "ipm", "update", 0.8));
        let two =
            ["heterogeneity-krum-momentum_at=worker", "heterogeneity-krum-momentum_at=update"];
        assert_eq!(files(&outcomes), two);
    }
}
