//! Every key of an experiment file acts: two values of it give two runs. Where it cannot act, the
//! command says so, and two names of one run are said to be one.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::{Command, Output};
use varangian::lab::config::KEYS;

/// What every run here starts from: small, on drawn data.
const BASE: &str = r#"
name = "acts"
dataset = "logreg"
model = "logreg-net"
n = 7
f = 2
batch = 16
steps = 12
evaluate_every = 4
learning_rate = 0.05
rule = "median"
attack = "sign-flip"
"#;

/// Batch norm, for what concerns running statistics.
const NORMED: &str = "model='resnet20' dataset='glyphs' sampling='shared-stream' n=3 f=0 f_real=1 batch=4 \
     steps=2 test_samples=20";

/// For each key, what the two runs share beside [`BASE`], and two values that tell them apart.
const ACTING: &[(&str, &str, [&str; 2])] = &[
    ("profile", "rule='krum'", ["'correct'", "'reference'"]),
    ("dataset", "", ["'logreg'", "'logreg numpy-seed=3'"]),
    ("data_seed", "", ["1", "2"]),
    ("model", "", ["'logreg-net'", "'mlp hidden=5'"]),
    ("start", "", ["''", "'MODEL'"]),
    ("start_prefix", "start='MODEL'", ["''", "'module.'"]),
    ("partition", "", ["'iid'", "'dirichlet alpha=0.1'"]),
    ("partition_over", "", ["'all'", "'honest'"]),
    ("sampling", "", ["'epochs'", "'with-replacement'"]),
    ("n", "", ["7", "8"]),
    ("f", "f_real=1 rule='trimmed-mean'", ["1", "2"]),
    ("f_real", "", ["1", "2"]),
    ("hostile", "", ["'last'", "'first'"]),
    ("batch", "", ["16", "17"]),
    ("steps", "", ["12", "13"]),
    ("evaluate_every", "", ["4", "5"]),
    ("test_samples", "", ["100", "200"]),
    ("judge_on", "", ["0", "50"]),
    (
        "optimum",
        "model='logistic' regulariser='half-squared' regularise=0.01",
        ["'none'", "'newton'"],
    ),
    ("learning_rate", "", ["0.05", "0.06"]),
    ("schedule", "", ["'constant'", "'steps at=5:0.01'"]),
    ("momentum", "", ["0.9", "0.5"]),
    ("momentum_at", "", ["'update'", "'worker'"]),
    ("nesterov", "", ["false", "true"]),
    ("dampening", "", ["0.0", "0.5"]),
    ("clip", "", ["inf", "0.1"]),
    ("clip_mode", "clip=0.1", ["'rescale'", "'unit'"]),
    ("regulariser", "regularise=0.1", ["'norm'", "'half-squared'"]),
    ("regularise", "regulariser='norm'", ["0.1", "0.2"]),
    ("message", "", ["'vector'", "'sign'"]),
    ("local_steps", "momentum=0", ["1", "2"]),
    ("local_rate", "momentum=0 local_steps=2", ["0.0", "0.5"]),
    ("local_optimiser", "momentum=0 local_steps=2", ["'sgd'", "'adamw'"]),
    ("compression", "", ["'none'", "'top-k keep=0.1'"]),
    ("participation", "n=12 f=1", ["'all'", "'sample workers=9'"]),
    ("non_finite", "attack='non-finite'", ["'refuse-row'", "'skip-round'"]),
    ("server_optimiser", "momentum=0", ["'sgd'", "'adam'"]),
    ("weights", "rule='average' f=1 partition='dirichlet alpha=0.1'", ["'equal'", "'samples'"]),
    ("weight_decay", "", ["0.0", "0.1"]),
    ("statistics", NORMED, ["'honest'", "'all'"]),
    ("validation", "rule='zeno'", ["100", "200"]),
    ("validation_batch", "rule='zeno' validation=200", ["10", "20"]),
    ("validation_from", "rule='zeno' validation=200", ["'held-out'", "'train'"]),
    ("network", "", ["''", "'network up=(exponential mean=3) deadline=3'"]),
    ("study", "", ["0", "3"]),
    ("certificate", "", ["'none'", "'fast'"]),
    ("rule", "", ["'median'", "'average'"]),
    ("attack", "", ["'sign-flip'", "'ipm'"]),
    ("seed", "", ["1", "2"]),
];

/// For each kind of value that cannot act: what the run is, and the note.
const IDLE: &[(&str, &str)] = &[
    ("profile='reference' rule='average'", "profile=reference does nothing"),
    ("dataset='csv file=a.csv test=a.csv' model='linear' data_seed=5", "data_seed=5 does nothing"),
    (
        "sampling='shared-stream' partition='dirichlet alpha=0.1'",
        "partition=dirichlet alpha=0.1 does nothing: sampling=shared-stream draws from all",
    ),
    ("f_real=0 hostile='first'", "hostile=first does nothing: no worker is hostile"),
    ("f_real=0", "attack=sign-flip does nothing: no worker is hostile"),
    (
        "f_real=0 partition_over='honest'",
        "partition_over=honest does nothing: no worker is hostile",
    ),
    (
        "sampling='shared-pool' partition_over='honest'",
        "partition_over=honest does nothing: sampling=shared-pool draws from all samples",
    ),
    (
        "attack='sign-flip momentum=none' momentum_at='update'",
        "attack: momentum=none does nothing: no worker holds a momentum",
    ),
    (
        "batch=100000",
        "batch=100000: cut to what there is; the fewest samples to draw from are 1142",
    ),
    (
        "sampling='epochs last=drop' batch=2 n=4 f=1",
        "sampling: last=drop does nothing: every epoch",
    ),
    ("evaluate_every=50", "evaluate_every=50: cut to the 12 steps"),
    ("test_samples=5000", "test_samples=5000 does nothing: the test set has 2000 samples"),
    ("schedule='steps at=0:0.1'", "learning_rate=0.05 does nothing: the schedule sets the rate"),
    (
        "schedule='steps at=500:0.1'",
        "schedule=steps at=500:0.1 does nothing: no change comes in 12",
    ),
    ("schedule='decay every=30'", "schedule=decay every=30 does nothing: no change comes"),
    ("momentum=0 momentum_at='update'", "momentum_at=update does nothing: momentum is 0"),
    ("momentum=0 nesterov=true", "nesterov=true does nothing: momentum is 0"),
    ("momentum=0 dampening=0.5", "dampening=0.5 does nothing: momentum is 0"),
    ("clip_mode='unit'", "clip_mode=unit does nothing: clip is inf"),
    ("regulariser='norm'", "regulariser=norm does nothing: regularise is 0"),
    ("regularise=0.1", "regularise=0.1 does nothing: regulariser is none"),
    ("statistics='all'", "statistics=all does nothing: the model has no running statistics"),
    ("local_rate=0.5", "local_rate=0.5 does nothing: local_steps is 1"),
    ("validation=100", "validation=100 does nothing: the rule does not validate; workers only"),
    ("validation=100 validation_from='train'", "validation=100 does nothing: the rule reads no"),
    (
        "rule='zeno' validation=100 validation_from='train'",
        "validation=100 does nothing: validation_from=train shares all 8000 samples",
    ),
    ("rule='zeno' validation=9 validation_batch=50", "validation_batch=50: cut to the 9 there are"),
    ("validation_batch=50", "validation_batch=50 does nothing: validation is 0"),
    ("validation_from='train'", "validation_from=train does nothing: validation is 0"),
    (
        "participation='sample workers=5 f=2 risk=0.5'",
        "participation: risk=0.5 does nothing: f is given",
    ),
    ("rule='kardam' study=3", "study=3 does nothing: nothing is studied under a filter"),
    ("rule='kardam' certificate='fast'", "certificate=fast does nothing: a filter judges one row"),
    ("network='network keep=5'", "network: keep=5 does nothing: rounds are synchronous"),
    ("network='network clean=5'", "network: clean=5 does nothing: rounds are synchronous"),
    ("rule='kardam' network='uniform clean=5' attack='none'", "network: clean=5 does nothing"),
    ("network='network slowdown=5'", "network: slowdown=5 does nothing: no worker is slow"),
    ("network='network downtime=(constant t=9)'", "network: downtime=constant t=9 does nothing"),
    ("rule='kardam' network='uniform max-delay=30'", "network: max-delay=30: cut to 19"),
    (
        "dataset='glyphs' model='mnistnet dropout=false dropout-masks=shared'",
        "model: dropout-masks=shared does nothing: dropout=false drops nothing",
    ),
    (
        "dataset='glyphs' model='mnistnet dropout-hold=30'",
        "model: dropout-hold=30 does nothing: it says how long masks of dropout-masks=frozen stay",
    ),
];

/// "a=1 b='x y'" as lines of TOML.
fn lines(text: &str) -> String {
    let (mut out, mut quoted) = (String::new(), false);
    for c in text.chars() {
        quoted ^= c == '\'';
        out.push(if c == ' ' && !quoted { '\n' } else { c });
    }
    out + "\n"
}

fn varangian(folder: &Path, args: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_varangian"));
    command.current_dir(folder).args(args).output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// BASE with `more` in place of what it says of the same keys.
fn with(more: &str) -> String {
    let mut table: toml::Table = BASE.parse().unwrap();
    table.extend(lines(more).parse::<toml::Table>().unwrap());
    table.to_string()
}

fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let rows =
        |from: usize| (from..from + 40).map(|i| format!("{i},{}\n", i % 2)).collect::<String>();
    fs::write(folder.path().join("a.csv"), rows(0)).unwrap();
    folder
}

/// Everything measured in the run of a file, and its last parameters.
fn measured(folder: &Path, name: &str) -> (String, String) {
    let index = fs::read_to_string(folder.join(name).join("runs.csv")).unwrap();
    let key = index.lines().nth(1).unwrap().split(',').next().unwrap().trim_matches('"');
    let run = |ending: &str| folder.join(name).join(format!("runs/{key}.{ending}"));
    let record: serde_json::Value =
        serde_json::from_str(&fs::read_to_string(run("json")).unwrap()).unwrap();
    (fs::read_to_string(run("csv")).unwrap(), record["parameters"].to_string())
}

#[test]
fn two_values_of_every_key_are_two_runs() {
    let listed: Vec<&str> = ACTING.iter().map(|(key, ..)| *key).collect();
    assert_eq!(listed, KEYS.iter().map(|key| key.name).collect::<Vec<_>>());
    let folder = folder();
    let run = |text: &str, name: &str| {
        fs::write(folder.path().join("e.toml"), text).unwrap();
        let output = varangian(folder.path(), &["run", "e.toml", "--out", name, "--save-models"]);
        let said = self::text(&output.stderr);
        if text.contains("start_prefix = \"m") {
            // The kept names have no prefix: that it is taken off is to look for others.
            assert!(said.contains("module."), "{said}");
            return ((said.clone(), String::new()), said);
        }
        assert!(output.status.success(), "{text}\n{said}");
        (measured(folder.path(), name), self::text(&output.stderr))
    };
    run(&with("seed=77"), "first");
    let kept = fs::read_dir(folder.path().join("first/runs")).unwrap();
    let mut kept = kept.map(|entry| entry.unwrap().path());
    let model = kept.find(|path| path.to_string_lossy().ends_with("safetensors")).unwrap();
    fs::copy(model, folder.path().join("m.safetensors")).unwrap();
    let mut seen: BTreeMap<String, (String, String)> = BTreeMap::new();
    for (key, shared, values) in ACTING {
        let both: Vec<_> = values
            .iter()
            .enumerate()
            .map(|(k, value)| {
                let gap = if shared.is_empty() { "" } else { " " };
                let more = format!("{shared}{gap}{key}={value}").replace("MODEL", "m.safetensors");
                let text = with(&more);
                let found = seen.get(&text).cloned().unwrap_or_else(|| {
                    let (found, notes) = run(&text, &format!("{key}-{k}"));
                    assert!(!notes.contains(&format!("note: {key}=")), "{notes}");
                    found
                });
                seen.insert(text, found.clone());
                found
            })
            .collect();
        assert_ne!(both[0], both[1], "{key} changes nothing");
    }
}

#[test]
fn a_value_that_cannot_act_is_said() {
    let folder = folder();
    for (set, note) in IDLE {
        fs::write(folder.path().join("e.toml"), with(set)).unwrap();
        let output = varangian(folder.path(), &["run", "e.toml", "--dry-run", "--data", "."]);
        let said = text(&output.stdout);
        assert!(output.status.success(), "{set}: {}", text(&output.stderr));
        assert!(said.contains(&format!("note: {note}")), "{set}\n{said}");
        assert!(!folder.path().join("runs").exists(), "a dry run writes nothing");
    }
}

#[test]
fn notes_stand_on_standard_error_in_the_summary_and_in_a_file() {
    let folder = folder();
    let matrix = "attack=['none','ipm'] f_real=[0,2] clip_mode=['rescale','unit']";
    fs::write(folder.path().join("e.toml"), with(matrix)).unwrap();
    let output = varangian(folder.path(), &["run", "e.toml", "--out", "out"]);
    let said = text(&output.stderr);
    assert!(output.status.success(), "{said}");
    let summary = fs::read_to_string(folder.path().join("out/summary.txt")).unwrap();
    let file = fs::read_to_string(folder.path().join("out/notes.json")).unwrap();
    for note in [
        "attack=ipm does nothing in 2 of 8 runs: no worker is hostile (f_real = 0)",
        "clip_mode=unit does nothing in 4 of 8 runs: clip is inf",
        "attack=ipm is the run of attack=none; 1 run is made once, under the latter",
        "clip_mode=unit is the run of clip_mode=rescale; 3 runs are made once",
    ] {
        assert!(said.contains(&format!("note: {note}")), "{said}");
        assert!(summary.contains(&format!("- {note}")), "{summary}");
    }
    assert!(file.contains("\"why\": \"clip is inf\""), "{file}");
    // Without an attack it is no surprise that f_real changes nothing.
    assert!(!summary.contains("to the last bit"), "{summary}");
    let index = fs::read_to_string(folder.path().join("out/runs.csv")).unwrap();
    assert_eq!(index.lines().count(), 1 + 3, "{index}");
}

#[test]
fn two_rules_that_are_one_are_said_to_be_one() {
    let folder = folder();
    let twins = "rule=['krum','krum variant=blanchard','median'] f=1 attack=['none','ipm']";
    fs::write(folder.path().join("e.toml"), with(twins)).unwrap();
    let output = varangian(folder.path(), &["run", "e.toml", "--out", "out"]);
    assert!(output.status.success(), "{}", text(&output.stderr));
    let summary = fs::read_to_string(folder.path().join("out/summary.txt")).unwrap();
    let note = "one run, to the last bit: krum × ipm, seed 1; krum variant=blanchard × ipm, seed 1";
    assert!(summary.contains(note), "{summary}");
    assert_eq!(summary.matches("to the last bit").count(), 2, "{summary}");
}

#[test]
fn results_of_other_settings_are_not_replaced_unasked() {
    let folder = folder();
    fs::write(folder.path().join("e.toml"), with("attack='none'")).unwrap();
    let run = |more: &[&str]| varangian(folder.path(), &[&["run", "e.toml", "-q"], more].concat());
    let table = || fs::read_to_string(folder.path().join("runs/acts/results.csv")).unwrap();
    assert!(run(&[]).status.success());
    let first = table();
    let refused = run(&["--set", "learning_rate=0.5"]);
    let said = text(&refused.stderr);
    assert_eq!((refused.status.code(), said.lines().count()), (Some(2), 1), "{said}");
    assert!(said.contains("--out DIR") && said.contains("--replace"), "{said}");
    assert_eq!(table(), first);
    // More runs, of which those are some, take the folder; the first command then asks again.
    assert!(run(&["--set", "learning_rate=[0.05,0.5]"]).status.success());
    assert_ne!(table(), first);
    assert_eq!(run(&[]).status.code(), Some(2));
    assert!(run(&["--replace"]).status.success());
    assert_eq!(table(), first);
}

#[test]
fn poisoned_labels_need_labels() {
    let folder = folder();
    let real = "dataset='linreg' model='linear' f=0 f_real=2 rule='average'";
    for attack in [
        "label-flip",
        "label-flip mode=random",
        "label-flip start=3",
        "mixed groups=\"1 sign-flip; * label-flip\"",
    ] {
        for rule in ["average", "async-sgd"] {
            let more = format!("{real} attack='{attack}' rule='{rule}'");
            let more = more.replacen(" rule='average'", "", 1);
            fs::write(folder.path().join("e.toml"), with(&more)).unwrap();
            let output = varangian(folder.path(), &["run", "e.toml", "--out", "out"]);
            let said = text(&output.stderr);
            assert_eq!((output.status.code(), said.lines().count()), (Some(2), 1), "{said}");
            assert!(said.contains("labels of at least 2 classes; there are 0"), "{said}");
            assert!(!folder.path().join("out").exists());
        }
    }
}

#[test]
fn parts_of_files_keep_their_files() {
    let folder = folder();
    fs::create_dir(folder.path().join("parts")).unwrap();
    for part in 0..4 {
        let row = |i: usize| format!("{},{},{}\n", i, i * part, i % 2);
        let rows: String = (0..30).map(row).collect();
        fs::write(folder.path().join(format!("parts/{part}.csv")), rows).unwrap();
    }
    let set = "dataset='csv file=parts' model='linear' partition='by-file' n=4 f=1 batch=4";
    for more in ["judge_on=10", "rule='zeno' validation=10", "judge_on=9 rule='zeno' validation=9"]
    {
        fs::write(folder.path().join("e.toml"), with(&format!("{set} {more}"))).unwrap();
        let output =
            varangian(folder.path(), &["run", "e.toml", "--data", ".", "--out", "o", "--replace"]);
        assert!(output.status.success(), "{more}: {}", text(&output.stderr));
    }
    let tuned = format!("{}[tune]\nlearning_rate=[0.1,0.2]\nvalidation=10\n", with(set));
    fs::write(folder.path().join("e.toml"), tuned).unwrap();
    let output = varangian(folder.path(), &["run", "e.toml", "--data", ".", "--out", "t"]);
    assert!(output.status.success(), "{}", text(&output.stderr));
}
