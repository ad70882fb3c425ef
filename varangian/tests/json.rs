//! What scripts read: a command with `--json` prints one JSON value that holds what its text says.

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
