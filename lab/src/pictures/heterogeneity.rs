//! Maps of f × heterogeneity: how much of both a rule stands.

use crate::plot::{Grid, Picture, heatmap};
use crate::results::{self, Outcome, judge, mean};
use std::collections::BTreeMap;

/// One map a rule: the worst case over attacks of the mean over seeds of the last ten, by f and
/// partition; none unless both vary.
pub(super) fn maps(name: &str, outcomes: &[Outcome]) -> Vec<(String, Picture)> {
    let (mut partitions, mut fs, mut rules) = (Vec::new(), Vec::new(), Vec::new());
    for outcome in outcomes {
        let own = &outcome.settings;
        results::place(&mut partitions, &own.partition);
        results::place(&mut rules, &own.rule);
        fs.push(own.f_real());
    }
    fs.sort_unstable();
    fs.dedup();
    if partitions.len() < 2 || fs.len() < 2 {
        return Vec::new();
    }
    let map = |rule: &String| {
        let own: Vec<&Outcome> = outcomes.iter().filter(|one| one.settings.rule == *rule).collect();
        let row = |partition: &String| fs.iter().map(|&f| worst(&own, partition, f)).collect();
        let grid = Grid {
            rows: partitions.clone(),
            columns: fs.iter().map(|f| format!("f = {f}")).collect(),
            values: partitions.iter().map(row).collect(),
        };
        let title = format!("{name}: {rule}, worst attack, mean of the last 10");
        let file = format!("heterogeneity{}", super::file_suffix(rule));
        (file, heatmap(&title, "hostile workers", "partition", grid))
    };
    rules.iter().map(map).collect()
}

/// The least mean tail accuracy over attacks; NaN where nothing was run.
fn worst(outcomes: &[&Outcome], partition: &str, f: usize) -> f64 {
    let mut attacks: BTreeMap<&str, Vec<f64>> = BTreeMap::new();
    for outcome in outcomes.iter().filter(|outcome| outcome.is_finished()) {
        let own = &outcome.settings;
        let curve: Vec<f64> = outcome.curve("accuracy").iter().map(|point| point.1).collect();
        let Some(judged) = judge(&curve, true) else { continue };
        if own.partition == partition && own.f_real() == f {
            attacks.entry(&own.attack).or_default().push(judged.tail);
        }
    }
    attacks.values().map(|seeds| mean(seeds)).reduce(f64::min).unwrap_or(f64::NAN)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_map_needs_both_to_vary_and_shows_the_worst_attack() {
        let one = |partition: &str, f: usize, attack: &str, value: f64| {
            let mut outcome = Outcome::sample("krum", attack, 1, &[value]);
            outcome.settings.partition = partition.into();
            outcome.settings.f_real = Some(f);
            outcome
        };
        let outcomes =
            [one("iid", 1, "alie", 0.9), one("iid", 1, "ipm", 0.4), one("sorted", 2, "alie", 0.2)];
        let all: Vec<&Outcome> = outcomes.iter().collect();
        assert!((worst(&all, "iid", 1) - 0.4).abs() < 1e-12);
        assert!(worst(&all, "iid", 2).is_nan());
        assert_eq!(maps("x", &outcomes).len(), 1);
        assert!(maps("x", &outcomes[..2]).is_empty());
    }
}
