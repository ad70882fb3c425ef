//! What scripts read: a command with `--json` prints one JSON value that holds what its text says.

#[path = "common/json_page.rs"]
mod json_page;

use json_page::{all_of, held};
use serde_json::Value;
use std::path::Path;
use std::process::Command;

fn said(folder: &Path, line: &str) -> Value {
    let mut command = Command::new(env!("CARGO_BIN_EXE_varangian"));
    let output = command.current_dir(folder).args(line.split(' ')).output().unwrap();
    let (out, errors) = (output.stdout, String::from_utf8_lossy(&output.stderr).into_owned());
    assert!(output.status.success(), "{line}: {errors}");
    serde_json::from_slice(&out).unwrap_or_else(|error| panic!("{line}: {error}"))
}

fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let experiment = "dataset = \"logreg\"\nmodel = \"logreg-net\"\nn = 5\nf = 1\nsteps = 6\n\
                      rule = [\"average\", \"median\"]\nseed = \"1..3\"\n";
    std::fs::write(folder.path().join("e.toml"), experiment).unwrap();
    folder
}

#[test]
fn planned_runs_have_keys_settings_and_what_is_over() {
    let folder = folder();
    let planned = said(folder.path(), "run e.toml --dry-run --json");
    let runs = planned["runs"].as_array().unwrap();
    assert_eq!((runs.len(), planned["steps"].as_u64()), (6, Some(36)));
    assert!(runs.iter().all(|run| run["over"] == false && run["settings"]["n"] == 5));
    let seeds: Vec<u64> = runs.iter().filter_map(|run| run["settings"]["seed"].as_u64()).collect();
    assert!(seeds.iter().all(|seed| (1..=3).contains(seed)) && seeds.len() == 6, "{seeds:?}");
    assert!(!folder.path().join("runs").exists(), "nothing is written");
    let mut command = Command::new(env!("CARGO_BIN_EXE_varangian"));
    command.current_dir(folder.path()).args(["run", "e.toml", "-q", "--seed", "2"]);
    assert!(command.output().unwrap().status.success());
    let planned = said(folder.path(), "run e.toml --dry-run --json");
    let over = planned["runs"].as_array().unwrap().iter().filter(|run| run["over"] == true);
    assert!(over.clone().count() == 2 && over.into_iter().all(|run| run["settings"]["seed"] == 2));
    // Without --dry-run there is no list to print.
    let mut command = Command::new(env!("CARGO_BIN_EXE_varangian"));
    let output = command.current_dir(folder.path()).args(["run", "e.toml", "--json"]).output();
    assert_eq!(output.unwrap().status.code(), Some(2));
}

#[test]
fn advice_is_the_pick_of_the_text() {
    let folder = folder();
    let advice = said(folder.path(), "recommend --n 20 --f 3 --json");
    assert_eq!(advice["take"], advice["picks"][0]["rule"]);
    let worst = |k: usize| advice["picks"][k]["worst"].as_f64().unwrap();
    assert!(worst(0) >= worst(1) && worst(0) <= 1.0);
    let none = said(folder.path(), "recommend --n 4 --f 2 --json");
    assert!(none["take"].is_null() && none["hopeless"].is_string(), "{none}");
}

#[test]
fn keys_sets_and_evidence() {
    let folder = folder();
    let keys = said(folder.path(), "keys --json");
    assert!(keys.as_array().unwrap().len() > 40);
    let steps = said(folder.path(), "keys steps --json");
    assert!(keys.as_array().unwrap().contains(&steps) && steps["default"] == "200", "{steps}");
    assert!(said(folder.path(), "keys [tune] --json")["default"].is_null());
    let sets = said(folder.path(), "data list --json");
    assert!(sets.as_array().unwrap().iter().any(|set| set["name"] == "mnist"), "{sets}");
    let line = |step: u64, worker: u64, more: &str| {
        format!(
            r#"{{"format":"varangian-evidence","version":1,"rule":"median","n":3,"f":1,"d":4,"step":{step},"worker":{worker},"weight":null,"norm":2.0,"distance":1.0,"verdict":"kept","reason":null,"p":null,"alarms":[{more}]}}"#
        )
    };
    let alarm = r#"{"kind":"step","layer":"0","statistic":"norm","p":1e-9}"#;
    let lines = [line(0, 0, ""), line(0, 1, ""), line(0, 2, ""), line(1, 2, alarm)].join("\n");
    std::fs::write(folder.path().join("e.jsonl"), &lines).unwrap();
    let found = said(folder.path(), "evidence e.jsonl --json");
    assert_eq!((&found[0]["off"], &found[2]["since"]), (&Value::Null, &Value::from(1)));
    let off = found[2]["off"].as_str().unwrap();
    assert!(off.contains("rank 2 is off since step 1: the norm of layer \"0\""), "{off}");
    // A file that two runs wrote into says so.
    std::fs::write(folder.path().join("e.jsonl"), format!("{lines}\n{lines}\n")).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_varangian"));
    let output = command.current_dir(folder.path()).args(["evidence", "e.jsonl"]).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.contains("step 0 stands twice"), "{text}");
}

#[test]
fn theories_print_the_numbers_of_their_tables() {
    let folder = folder();
    let mut found = Vec::new();
    for theory in
        ["signsgd", "empires --draws 1000", "zeno", "zeno-pp", "participation", "safeguard"]
    {
        let value = said(folder.path(), &format!("theory {theory} --json"));
        found.extend(held("theory", &value));
        for table in value["tables"].as_array().unwrap() {
            let columns = table["columns"].as_array().unwrap().len();
            let rows = table["rows"].as_array().unwrap();
            assert!(
                !rows.is_empty() && rows.iter().all(|row| row.as_array().unwrap().len() == columns)
            );
        }
    }
    all_of("theory", &found);
    // A column of numbers holds numbers, and null where the text says "vacuous".
    let zeno = said(folder.path(), "theory zeno --hostile 8 --trimmed 4,9 --json");
    let rows = &zeno["tables"][0]["rows"];
    assert_eq!((rows[0][2].is_null(), rows[1][2].as_f64()), (true, Some(0.198347)));
    let toys = said(folder.path(), "theory empires --draws 1000 --json");
    assert_eq!(toys["tables"][0]["rows"][0][1], "median");
    let refused = Command::new(env!("CARGO_BIN_EXE_varangian"))
        .current_dir(folder.path())
        .args(["theory", "signsgd", "--json", "--measure", "drawn"])
        .output()
        .unwrap();
    assert_eq!((refused.status.code(), folder.path().join("drawn.svg").exists()), (Some(2), false));
}

#[test]
fn plans_advice_and_workers_have_the_documented_fields() {
    let folder = folder();
    let mut found = held("run --dry-run", &said(folder.path(), "run e.toml --dry-run --json"));
    let plans = said(folder.path(), "benchmark median krum --dry-run --json");
    assert_eq!(plans.as_array().map(Vec::len), Some(2));
    for plan in plans.as_array().unwrap() {
        found.extend(held("run --dry-run", plan));
        let rules = plan["runs"].as_array().unwrap().iter().map(|run| &run["settings"]["rule"]);
        assert!(
            rules.clone().count() > 10
                && rules.clone().all(|rule| rule == &plan["runs"][0]["settings"]["rule"])
        );
    }
    assert!(!folder.path().join("runs").exists(), "nothing is written");
    let advice = said(folder.path(), "recommend --n 20 --f 3 --json");
    let mut told = held("recommend", &advice);
    told.extend(held("recommend", &said(folder.path(), "recommend --n 4 --f 2 --json")));
    all_of("recommend", &told);
    let shipped = concat!(env!("CARGO_MANIFEST_DIR"), "/../experiments/benchmark/small-v1");
    let board = said(folder.path(), &format!("leaderboard {shipped} --format json"));
    let command = "leaderboard --format json";
    all_of(command, &held(command, &board));
    let run = |line: &str| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_varangian"));
        assert!(
            command
                .current_dir(folder.path())
                .args(line.split(' '))
                .output()
                .unwrap()
                .status
                .success()
        );
    };
    run("ca init");
    run("ca issue worker-0 --organisation LabA");
    run("ca issue worker-1");
    run("ca revoke worker-1");
    std::fs::remove_file(folder.path().join("ca/worker-1.pem")).unwrap();
    let value = said(folder.path(), "ca list --json");
    all_of("ca list", &held("ca list", &value));
    let workers = &value["workers"];
    assert_eq!((&workers[0]["organisation"], &workers[0]["over"]), (&"LabA".into(), &false.into()));
    assert!(workers[1]["revoked"] == true && workers[1]["expires"].is_null(), "{workers}");
}

#[test]
fn keys_sets_duels_and_comparisons_have_the_documented_fields() {
    let folder = folder();
    for command in ["keys", "data list"] {
        let value = said(folder.path(), &format!("{command} --json"));
        all_of(command, &held(command, &value));
    }
    let duel = "duel --f 2 --rule median --rule average --attack alie --attack label-flip --json";
    let value = said(folder.path(), duel);
    let found = held("duel", &value);
    all_of("duel", &found);
    let meetings = value["rules"][0]["duels"].as_array().unwrap();
    // Labels are nothing that rows could show: the two do not meet, and every field is there.
    assert!(meetings[0]["error"].is_null() && meetings[0]["ratio"].as_f64().unwrap() > 0.0);
    assert!(meetings[1]["error"].is_string() && meetings[1]["ratio"].is_null(), "{value}");
    let run = |line: &str| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_varangian"));
        let output = command.current_dir(folder.path()).args(line.split(' ')).output().unwrap();
        assert!(output.status.success(), "{line}: {}", String::from_utf8_lossy(&output.stderr));
    };
    run("run e.toml -q --out one");
    run("run e.toml -q --out other --set learning_rate=0.5");
    let mut found = held("compare", &said(folder.path(), "compare one other --json"));
    let differs = |(path, value): &(String, Value)| {
        path.ends_with("differs[]") && value == "learning_rate: 0.1 → 0.5"
    };
    assert!(found.iter().any(differs), "{found:?}");
    run("run e.toml -q --out alone --set rule=median");
    found.extend(held("compare", &said(folder.path(), "compare alone --json")));
    all_of("compare", &found);
}

#[test]
fn a_data_folder_is_told_set_by_set() {
    let folder = folder();
    let glyphs = said(folder.path(), "data verify . --set glyphs --json");
    let mut found = held("data verify", &glyphs);
    assert_eq!((&glyphs[0]["state"], &glyphs[0]["classes"]), (&"here".into(), &10.into()));
    for name in ["train-images-idx3", "train-labels-idx1", "t10k-images-idx3", "t10k-labels-idx1"] {
        std::fs::write(folder.path().join(format!("{name}-ubyte")), b"?").unwrap();
    }
    let mut command = Command::new(env!("CARGO_BIN_EXE_varangian"));
    let output =
        command.current_dir(folder.path()).args(["data", "verify", ".", "--json"]).output();
    let output = output.unwrap();
    assert_eq!(output.status.code(), Some(1), "one is damaged");
    let value: Value = serde_json::from_slice(&output.stdout).unwrap();
    found.extend(held("data verify", &value));
    let state = |name: &str| {
        let sets = value.as_array().unwrap();
        sets.iter().find(|set| set["name"] == name).unwrap()["state"].clone()
    };
    assert_eq!((state("mnist"), state("cifar10")), ("damaged".into(), "missing".into()));
}

#[test]
fn rows_records_entries_and_reproductions_have_the_documented_fields() {
    let folder = folder();
    let rows = ndarray::Array2::from_shape_fn((7, 2), |(i, k)| match (i, k) {
        (2, 1) => f32::NAN,
        _ => (i * i) as f32 - k as f32,
    });
    ndarray_npy::write_npy(folder.path().join("rows.npy"), &rows).unwrap();
    let mut found = Vec::new();
    for more in [
        "krum --certificate",
        "median",
        "safeguard --output mean.npy",
        "nnm",
        "clipping --output mixed.npy",
    ] {
        let value =
            said(folder.path(), &format!("aggregate --input rows.npy --json --f 2 --rule {more}"));
        found.extend(held("aggregate", &value));
        let written = value.get("aggregate").or(value.get("rows")).unwrap();
        assert_eq!(written.is_null(), more.contains("--output"), "{value}");
        assert_eq!((&value["refused"][0], &value["f_used"]), (&2.into(), &1.into()));
    }
    all_of("aggregate", &found);

    let record = r#"{"format":"varangian-evidence","version":1,"rule":"median","n":3,"f":1,"d":4,"step":1,"worker":0,"weight":null,"norm":2.0,"distance":1.0,"verdict":"kept","reason":null,"p":0.5,"alarms":[{"kind":"step","layer":"0","statistic":"norm","p":1e-9}]}"#;
    std::fs::write(folder.path().join("e.jsonl"), record).unwrap();
    let found = held("evidence", &said(folder.path(), "evidence e.jsonl --json"));
    all_of("evidence", &found);

    for list in ["rules", "filters", "attacks", "models", "datasets", "partitions"] {
        let entries = said(folder.path(), &format!("{list} --json"));
        let name = entries[0]["name"].as_str().unwrap();
        let one = said(folder.path(), &format!("{list} {name} --json"));
        assert_eq!(one["summary"], entries[0]["summary"]);
        // What is no fact of its kind is documented.
        let strip = |entry: &Value| {
            let known = ["name", "summary", "paper", "differs", "cost", "params"];
            let all = entry.as_object().unwrap();
            let (own, facts): (Vec<_>, Vec<_>) =
                all.iter().partition(|(key, _)| known.contains(&key.as_str()));
            assert!(own.len() == known.len() && facts.iter().all(|(_, fact)| fact.is_string()));
            own.into_iter().map(|(key, value)| (key.clone(), value.clone())).collect()
        };
        let own = entries.as_array().unwrap().iter().map(strip);
        held("rules", &Value::Array(own.map(Value::Object).collect()));
    }

    let output = Command::new(env!("CARGO_BIN_EXE_varangian"))
        .current_dir(folder.path())
        .args("reproduce rsa --quick --json --set steps=4 --out there".split(' '))
        .output()
        .unwrap();
    let value: Value = serde_json::from_slice(&output.stdout).unwrap();
    all_of("reproduce", &held("reproduce", &value));
    let shapes = value["shapes"].as_array().unwrap();
    let failed = shapes.iter().any(|shape| shape["holds"] == false);
    assert_eq!((output.status.code(), failed), (Some(1), true), "four steps learn nothing");
    let planned = said(folder.path(), "reproduce rsa --quick --dry-run --json --out there");
    held("run --dry-run", &planned);
    let results = said(folder.path(), "results there --json");
    all_of("results", &held("results", &results));
}

/// The subcommands that a help text lists.
fn subcommands(help: &str) -> Vec<String> {
    let listed = help.split("\nCommands:\n").nth(1).unwrap_or_default();
    let listed = listed.lines().take_while(|line| line.starts_with("  "));
    let names = listed.filter(|line| !line.starts_with("   "));
    names.filter_map(|line| line.split_whitespace().next()).map(str::to_owned).collect()
}

/// Those commands below `words` that take `--json`.
fn with_json(words: &[String], out: &mut Vec<String>) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_varangian"));
    let output = command.args(words).arg("--help").output().unwrap();
    let help = String::from_utf8(output.stdout).unwrap();
    if help.lines().any(|line| line.trim().starts_with("--json")) {
        out.push(words.join(" "));
    }
    for name in subcommands(&help).into_iter().filter(|name| name != "help") {
        with_json(&[words, &[name]].concat(), out);
    }
}

#[test]
fn every_command_that_prints_json_is_on_the_page() {
    let mut all = Vec::new();
    with_json(&[], &mut all);
    assert!(all.len() > 30, "{all:?}");
    let page = include_str!("../../docs/command-json.md");
    let (listed, _) = page.split_once("\n## ").unwrap();
    for command in all {
        let first = command.split(' ').next().unwrap();
        let is_listed = |name: &str| {
            listed.contains(&format!("`{name}`")) || listed.contains(&format!("`{name} --dry-run`"))
        };
        assert!(is_listed(&command) || is_listed(first), "{command} is not on the page");
    }
}
