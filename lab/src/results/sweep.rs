//! What varies between the runs of a matrix, and what of it belongs to the rule.

use super::{Outcome, Store};
use crate::config::{Settings, TUNABLE, label_keys};
use std::collections::{BTreeMap, BTreeSet};

/// What tells the lines of tables and pictures apart.
#[derive(Clone, Debug, Default)]
pub struct Sweep {
    /// Keys beside rule, attack and seed that vary: each combination is a setting of its own.
    pub keys: Vec<&'static str>,
    /// Keys that were tuned for each rule, or that each rule has one value of: part of the rule's
    /// line, as in "krum (batch=16)".
    pub tied: Vec<&'static str>,
    /// All rules in the order of the experiment: a rule's place here is its colour everywhere.
    pub rules: Vec<String>,
}

impl Sweep {
    /// What varies between these runs. `tuned`: keys that were chosen for each rule. `rules`: the
    /// order of the experiment; rules that it lacks follow in the order of the runs.
    pub fn of<'a>(
        runs: impl Iterator<Item = &'a Settings>,
        tuned: &[String],
        rules: Vec<String>,
    ) -> Self {
        let runs: Vec<&Settings> = runs.collect();
        let all = label_keys(&runs).into_iter().filter(|key| *key != "rule");
        let is_tied = |key: &&str| tuned.iter().any(|one| one == *key) || tied(&runs, key);
        let (tied, keys) = all.partition(is_tied);
        let mut sweep = Sweep { keys, tied, rules };
        for run in &runs {
            super::place(&mut sweep.rules, &run.rule);
        }
        sweep
    }

    /// As [`Sweep::of`] for what a folder holds.
    pub fn kept(store: &Store, outcomes: &[Outcome]) -> Self {
        let runs = outcomes.iter().map(|outcome| &outcome.settings);
        Sweep::of(runs, &store.tuned(), store.rules())
    }

    /// "n=15, momentum_at=worker": a run's setting; empty where only rules and attacks vary.
    pub fn setting(&self, run: &Settings) -> String {
        run.label(&self.keys)
    }

    /// "nnm | krum (batch=16)": a run's line within its setting.
    pub fn line(&self, run: &Settings) -> String {
        match run.label(&self.tied) {
            tied if tied.is_empty() => run.rule.clone(),
            tied => format!("{} ({tied})", run.rule),
        }
    }

    /// Line and setting.
    pub fn label(&self, run: &Settings) -> String {
        match self.setting(run) {
            setting if setting.is_empty() => self.line(run),
            setting => format!("{}, {setting}", self.line(run)),
        }
    }

    /// The place of a rule among all rules, which is that of its colour, dashes and marker.
    pub fn place(&self, rule: &str) -> usize {
        self.rules.iter().position(|known| known == rule).unwrap_or(self.rules.len())
    }
}

/// Whether each rule has one value of the key, and not all the same one: of what the server is told
/// of, or of a hyperparameter. What says which problem or which attacker it is belongs to no rule.
fn tied(runs: &[&Settings], key: &str) -> bool {
    let mut values: BTreeMap<&str, BTreeSet<String>> = BTreeMap::new();
    for run in runs {
        values.entry(&run.rule).or_default().insert(run.text(key));
    }
    (key == "f" || TUNABLE.contains(&key))
        && values.len() > 1
        && values.values().all(|own| own.len() == 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(rule: &str, f: usize, rate: f64) -> Settings {
        let (rule, f_real) = (rule.into(), Some(4));
        Settings { rule, f, f_real, learning_rate: rate, ..Settings::default() }
    }

    #[test]
    fn what_each_rule_has_its_own_value_of_belongs_to_its_line() {
        let runs =
            [run("zeno", 12, 0.1), run("krum", 4, 0.1), run("zeno", 12, 0.2), run("krum", 4, 0.2)];
        let sweep = Sweep::of(runs.iter(), &[], vec!["krum".into()]);
        assert_eq!(
            (sweep.keys.clone(), sweep.tied.clone()),
            (vec!["f_real", "learning_rate"], vec!["f"])
        );
        assert_eq!(sweep.line(&runs[0]), "zeno (f=12)");
        assert_eq!((sweep.place("krum"), sweep.place("zeno")), (0, 1));
        let tuned = Sweep::of(runs.iter(), &["learning_rate".into()], Vec::new());
        assert!(!tuned.keys.contains(&"learning_rate"), "{tuned:?}");
        assert_eq!(tuned.line(&runs[2]), "zeno (f=12, learning_rate=0.2)");
        let steps = [run("zeno", 4, 0.1), Settings { steps: 9, ..run("krum", 4, 0.1) }];
        assert_eq!(Sweep::of(steps.iter(), &[], Vec::new()).keys, ["steps"]);
        let one = Sweep::of(runs[..1].iter(), &[], Vec::new());
        assert_eq!((one.line(&runs[0]), one.tied.len()), ("zeno".into(), 0));
    }
}
