//! What was asked of a matrix of runs, in a sentence; how it was done, in a paragraph for a paper.

use super::{Store, Sweep};
use crate::config::{KEYS, Settings};
use crate::files;
use crate::publish::Entries;
use std::path::Path;

/// Values that a sentence names; of more it says how many there are.
const NAMED: usize = 5;

/// The values of a key over all runs, each once, in the order of the runs; numbers by size.
fn values(runs: &[&Settings], key: &str) -> Vec<String> {
    let mut out: Vec<String> = Vec::new();
    let mut last = String::new();
    for run in runs {
        let text = match key {
            // By far the most frequent ones, without a table of all keys for each.
            "rule" => run.rule.clone(),
            "attack" => run.attack.clone(),
            "seed" => run.seed.to_string(),
            "f_real" => run.f_real().to_string(),
            key => run.text(key),
        };
        if text != last && !out.contains(&text) {
            out.push(text.clone());
        }
        last = text;
    }
    let numbers: Option<Vec<f64>> = out.iter().map(|text| text.parse().ok()).collect();
    if let Some(numbers) = numbers {
        let mut both: Vec<(f64, String)> = numbers.into_iter().zip(out).collect();
        both.sort_by(|a, b| a.0.total_cmp(&b.0));
        out = both.into_iter().map(|(_, text)| text).collect();
    }
    out
}

/// "a", "a or b", "a, b or c", "7 values".
fn either(values: &[String], word: &str) -> String {
    match values {
        [] => "nothing".into(),
        [one] => one.clone(),
        many if many.len() > NAMED => format!("{} values", many.len()),
        [first @ .., last] => format!("{} {word} {last}", first.join(", ")),
    }
}

fn counted(count: usize, one: &str, many: &str) -> String {
    if count == 1 { format!("1 {one}") } else { format!("{count} {many}") }
}

/// What was asked: "3 rules against 2 attacks: 11 workers, 0, 2 or 4 of them hostile, …".
pub fn asked(runs: &[&Settings], sweep: &Sweep) -> String {
    let Some(first) = runs.first() else { return String::new() };
    let of = |key: &str| values(runs, key);
    let said = |key: &str, word: &str| either(&of(key), word);
    let rules = of("rule").len();
    let attacks = of("attack").into_iter().filter(|attack| attack != "none").count();
    let holds = match (rules, attacks) {
        (1, 0) => "How does it train?".to_owned(),
        (_, 0) => format!("Which of {rules} rules trains best?"),
        (1, attacks) => format!(
            "How does {} hold against {}?",
            first.rule,
            counted(attacks, "attack", "attacks")
        ),
        (rules, attacks) => format!(
            "Which of {rules} rules holds against {}?",
            counted(attacks, "attack", "attacks")
        ),
    };
    let mut parts = vec![
        format!("{} workers, {} of them hostile", said("n", "or"), said("f_real", "or")),
        format!("{} on {}", said("model", "or"), said("dataset", "or")),
        format!("split {}", said("partition", "or")),
    ];
    if of("momentum") != ["0"] {
        parts.push(format!("momentum {} at {}", said("momentum", "or"), said("momentum_at", "or")));
    }
    let told = ["n", "f", "f_real", "model", "dataset", "partition", "momentum", "momentum_at"];
    for key in sweep.keys.iter().chain(&sweep.tied).filter(|key| !told.contains(key)) {
        if *key != "steps" {
            parts.push(format!("{key} {}", said(key, "or")));
        }
    }
    parts.push(format!("{} steps", said("steps", "or")));
    parts.push(counted(of("seed").len(), "seed", "seeds"));
    format!("{holds} {}.", parts.join(", "))
}

/// How it was done, as a paragraph for a paper: everything in it is from the configuration.
pub fn methods(runs: &[&Settings], sweep: &Sweep, metric: &str, configuration: &str) -> String {
    let Some(first) = runs.first() else { return String::new() };
    let of = |key: &str| values(runs, key);
    let and = |key: &str| listed(&of(key));
    let mut out = format!(
        "We train {} on {} with n = {} workers, of which {} are Byzantine; the server is told f = \
         {}.",
        and("model"),
        and("dataset"),
        and("n"),
        and("f_real"),
        and("f")
    );
    out += &format!(
        " Training data are split over the workers by {}; a worker draws minibatches of {} samples.",
        and("partition"),
        and("batch")
    );
    out += &format!(
        " Training takes {} steps with learning rate {} (schedule {})",
        and("steps"),
        and("learning_rate"),
        and("schedule")
    );
    match of("momentum").as_slice() {
        [zero] if zero == "0" => out += ", without momentum.",
        _ => out += &format!(" and momentum {} at {}.", and("momentum"), and("momentum_at")),
    }
    out += &format!(" Aggregation rules: {}. Attacks: {}.", and("rule"), and("attack"));
    let rest = unusual(first, sweep);
    if !rest.is_empty() {
        out += &format!(" Other settings that are not the defaults: {}.", rest.join(", "));
    }
    let more = sweep.keys.iter().chain(&sweep.tied).filter(|key| !SAID.contains(key));
    for key in more {
        out += &format!(" {key} takes the values {}.", and(key));
    }
    let name = if metric == "accuracy" { "test accuracy" } else { "test loss" };
    out += &format!(
        " Each combination is run with {} ({}); runs of one seed share initial parameters and \
         minibatches whatever the rule. We report the mean {name} over the last ten evaluations \
         (one every {} steps), with Student's 95 % interval over seeds.",
        counted(of("seed").len(), "seed", "seeds"),
        and("seed"),
        and("evaluate_every")
    );
    let version = env!("CARGO_PKG_VERSION");
    let hash = configuration.lines().next().and_then(|line| line.split("configuration ").nth(1));
    out += &match hash.map(str::trim).filter(|hash| hash.chars().all(|c| c.is_ascii_alphanumeric()))
    {
        Some(hash) if !hash.is_empty() => {
            format!(" Experiments ran with varangian {version}, configuration {hash}.")
        }
        _ => format!(" Experiments ran with varangian {version}."),
    };
    out
}

/// The paragraph of a folder's runs among those that were chosen.
pub fn of_folder(path: &Path, entries: &Entries, folder: usize) -> String {
    let own = entries.all.iter().filter(|entry| entry.folder == folder);
    let runs: Vec<&Settings> = own.map(|entry| &entry.outcome.settings).collect();
    let tuned = Store::open(path).map(|store| store.tuned()).unwrap_or_default();
    let sweep = Sweep::of(runs.iter().copied(), &tuned, entries.rules.clone());
    methods(&runs, &sweep, entries.metric, &files::text_of(&path.join("experiment.toml")))
}

/// Keys that the paragraph names in its sentences.
const SAID: [&str; 15] = [
    "model",
    "dataset",
    "n",
    "f",
    "f_real",
    "partition",
    "batch",
    "steps",
    "learning_rate",
    "schedule",
    "momentum",
    "momentum_at",
    "rule",
    "attack",
    "evaluate_every",
];

/// "a", "a and b", "a, b and c": all of them, as a paper must say.
fn listed(values: &[String]) -> String {
    match values {
        [] => "nothing".into(),
        [one] => one.clone(),
        [first @ .., last] => format!("{} and {last}", first.join(", ")),
    }
}

/// "key=value" of what all runs share and no default is.
fn unusual(first: &Settings, sweep: &Sweep) -> Vec<String> {
    let (own, default) = (first.texts(), Settings::default().texts());
    let quiet = |key: &str| {
        SAID.contains(&key)
            || key == "seed"
            || sweep.keys.contains(&key)
            || sweep.tied.contains(&key)
    };
    KEYS.iter()
        .map(|key| key.name)
        .filter(|key| !quiet(key) && own[key] != default[key])
        .map(|key| format!("{key} = {}", own[key]))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn runs() -> Vec<Settings> {
        let mut out = Vec::new();
        for rule in ["krum", "median"] {
            for f_real in [4, 0, 2] {
                for seed in [1, 2] {
                    out.push(Settings {
                        rule: rule.into(),
                        attack: if f_real > 0 { "alie" } else { "none" }.into(),
                        f: 4,
                        f_real: Some(f_real),
                        seed,
                        clip: 2.0,
                        ..Settings::default()
                    });
                }
            }
        }
        out
    }

    #[test]
    fn the_sentence_says_what_varies_and_what_does_not() {
        let runs = runs();
        let runs: Vec<&Settings> = runs.iter().collect();
        let sweep = Sweep::of(runs.iter().copied(), &[], Vec::new());
        let wanted = "Which of 2 rules holds against 1 attack? 11 workers, 0, 2 or 4 of them \
                      hostile, mlp on glyphs, split iid, momentum 0.9 at worker, 200 steps, 2 seeds.";
        assert_eq!(asked(&runs, &sweep), wanted);
        let one = [runs[2]];
        let alone = asked(&one, &Sweep::of(one.iter().copied(), &[], Vec::new()));
        assert!(alone.starts_with("How does it train? 11 workers, 0 of them"), "{alone}");
        assert_eq!(asked(&[], &sweep), "");
    }

    #[test]
    fn the_paragraph_holds_every_setting_that_is_no_default() {
        let runs = runs();
        let runs: Vec<&Settings> = runs.iter().collect();
        let sweep = Sweep::of(runs.iter().copied(), &[], Vec::new());
        let text = methods(&runs, &sweep, "accuracy", "# varangian 0, configuration ab12\n");
        for part in [
            "n = 11 workers, of which 0, 2 and 4 are Byzantine; the server is told f = 4",
            "rules: krum and median. Attacks: alie and none.",
            "not the defaults: clip = 2.",
            "2 seeds (1 and 2)",
            "configuration ab12.",
        ] {
            assert!(text.contains(part), "{part} is not in {text}");
        }
        let hostile = "# varangian 0, configuration <script>\n";
        assert!(!methods(&runs, &sweep, "accuracy", hostile).contains('<'));
    }
}
