//! Rows from a file, in any kind of number: `aggregate`, `forge` and `duel`.

use ndarray::Array2;
use ndarray_npy::ReadNpyExt;
use serde_json::Value;
use std::fs::File;
use std::path::Path;
use std::process::{Command, Output, Stdio};

#[path = "common/folder.rs"]
mod folder;
use folder::Folder;

impl Folder {
    fn run(&self, line: &[&str]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_varangian"));
        command.current_dir(self.0.path()).args(line).output().unwrap()
    }

    /// What it prints as JSON.
    fn json(&self, line: &[&str]) -> Value {
        let output = self.run(line);
        assert!(output.status.success(), "{}", stderr(&output));
        serde_json::from_slice(&output.stdout).unwrap()
    }

    /// The one line that it refuses with.
    fn refused(&self, line: &[&str]) -> String {
        let output = self.run(line);
        assert_eq!(output.status.code(), Some(2), "{line:?}: {}", stderr(&output));
        let text = stderr(&output);
        assert_eq!(text.trim_end().lines().count(), 1, "{text}");
        text
    }
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn read(path: &Path) -> Array2<f64> {
    Array2::read_npy(File::open(path).unwrap()).unwrap()
}

/// 1 + k·1e-12: one number in f32.
const CLOSE: &[&[f64]] = &[&[1.0], &[1.000000000001], &[1.000000000002], &[1.000000000003], &[5.0]];

#[test]
fn f64_rows_are_aggregated_in_f64_and_answered_in_f64() {
    let folder = Folder::new();
    folder.double("close.npy", CLOSE);
    let out = folder.run(&["aggregate", "--rule", "krum", "--f", "1", "--input", "close.npy"]);
    assert_eq!(String::from_utf8_lossy(&out.stdout), "1.000000000001\n");
    let line = ["aggregate", "--rule", "median", "--f", "1", "--input", "close.npy"];
    let to = folder.run(&[&line[..], &["--output", "out.npy"]].concat());
    assert!(to.status.success());
    let written = ndarray::Array1::<f64>::read_npy(File::open(folder.path("out.npy")).unwrap());
    assert_eq!(written.unwrap().to_vec(), [1.000000000002]);
    let far: &[&[f64]] = &[&[1e200, 1e-300], &[2e200, 2e-300], &[4e200, 3e-300], &[-1e308, 0.0]];
    folder.double("far.npy", far);
    let value = folder.json(&[
        "aggregate",
        "--rule",
        "median middle=lower",
        "--f",
        "1",
        "--input",
        "far.npy",
        "--json",
    ]);
    assert_eq!(value["aggregate"], serde_json::json!([1e200, 1e-300]));
    assert_eq!((&value["input"], &value["computed_in"]), (&"f64".into(), &"f64".into()));
    // f32 rows keep the bits that the kernels give.
    folder.single("single.npy", &[&[0.1], &[0.2], &[0.4]]);
    let line = ["aggregate", "--rule", "average", "--f", "0", "--input", "single.npy"];
    let out = folder.run(&line);
    assert_eq!(String::from_utf8_lossy(&out.stdout), "0.23333333\n");
}

#[test]
fn the_verdict_of_f64_rows_names_rows_by_where_they_stood() {
    let folder = Folder::new();
    let rows: &[&[f64]] = &[&[1.0], &[f64::NAN], &[1.000000000001], &[1.000000000002], &[7.0]];
    folder.double("rows.npy", rows);
    let value =
        folder.json(&["aggregate", "--rule", "mda", "--f", "2", "--input", "rows.npy", "--json"]);
    assert_eq!(value["refused"], serde_json::json!([1]));
    let third = 1.0 / 3.0;
    assert_eq!(value["weights"], serde_json::json!([third, null, third, third, 0.0]));
    let median = ["aggregate", "--rule", "median", "--f", "2", "--input", "rows.npy", "--json"];
    let value = folder.json(&median);
    assert!(value.as_object().unwrap().contains_key("weights") && value["weights"].is_null());
}

#[test]
fn one_matrix_of_a_rule_that_needs_history_is_said_to_be_a_first_round() {
    let folder = Folder::new();
    folder.single("rows.npy", &[&[1.0, 0.0], &[2.0, 0.5], &[3.0, 3.0], &[90.0, -9.0]]);
    for rule in ["safeguard", "single-safeguard", "centred-clipping"] {
        let line = ["aggregate", "--rule", rule, "--f", "1", "--input", "rows.npy"];
        let said = stderr(&folder.run(&line));
        assert!(said.starts_with(&format!("{rule} needs history")), "{said}");
        let value = folder.json(&[&line[..], &["--json"]].concat());
        assert!(value["note"].as_str().unwrap().contains("a first round"), "{value}");
        let line = ["duel", "--rule", rule, "--f", "1", "--attack", "alie", "--input", "rows.npy"];
        let table = folder.run(&line);
        let table = String::from_utf8_lossy(&table.stdout).into_owned();
        assert!(table.contains(&format!("Note: {rule} needs history")), "{table}");
        let value = folder.json(&[&line[..], &["--json"]].concat());
        assert!(value["rules"][0]["note"].is_string(), "{value}");
    }
    for rule in ["median", "centred-clipping start=median"] {
        let line = ["aggregate", "--rule", rule, "--f", "1", "--input", "rows.npy", "--json"];
        assert!(folder.json(&line)["note"].is_null(), "{rule}");
    }
}

#[test]
fn indices_beyond_the_rows_and_rules_that_ask_for_data_are_one_line() {
    let folder = Folder::new();
    folder.single("rows.npy", &[&[1.0, 0.0], &[2.0, 0.5], &[3.0, 3.0]]);
    let aggregate =
        |rule| folder.refused(&["aggregate", "--rule", rule, "--f", "1", "--input", "rows.npy"]);
    assert!(aggregate("monna pivot=9").contains("monna needs pivot < n; pivot = 9; got n = 3"));
    assert!(aggregate("bucketing s=4 | average").contains("bucketing needs s ≤ n"));
    assert!(aggregate("zeno").contains("asks for the loss on data"));
    let forge = |attack: &str, more: &[&str]| {
        let line =
            ["forge", "--attack", attack, "--f", "1", "--input", "rows.npy", "--output", "o"];
        folder.refused(&[&line[..], more].concat())
    };
    let line = forge("mimic target=9", &[]);
    assert!(line.contains("mimic needs target ≤ 2, the last honest worker; target = 9"), "{line}");
    assert!(forge("single-coordinate coordinate=2", &[]).contains("coordinate < d = 2"));
    assert!(forge("label-flip", &[]).contains("label-flip changes labels; rows have none"));
    assert!(forge("worst", &["--rule", "zeno"]).contains("asks for the loss on data"));
    assert!(!folder.path("o").exists(), "nothing is half-written");
    let duel =
        ["duel", "--f", "1", "--attack", "worst", "--input", "rows.npy", "--rule", "fltrust"];
    assert!(folder.refused(&duel).contains("fltrust asks for the loss on data"));
    let line = [
        "duel",
        "--f",
        "1",
        "--attack",
        "mimic target=9",
        "--input",
        "rows.npy",
        "--rule",
        "median",
    ];
    let table = folder.run(&line);
    let table = String::from_utf8_lossy(&table.stdout).into_owned();
    assert!(table.contains("– mimic target=9: the attack needs target ≤ 2"), "{table}");
}

#[test]
fn forged_rows_stand_below_the_honest_ones_as_they_were_given() {
    let folder = Folder::new();
    let honest: &[&[f64]] = &[&[0.1, 2.0], &[0.3, 2.5], &[0.7, 1.0]];
    folder.double("honest.npy", honest);
    let line = ["--f", "2", "--input", "honest.npy", "--output", "all.npy"];
    assert!(folder.run(&[&["forge", "--attack", "ipm"][..], &line].concat()).status.success());
    let all = read(&folder.path("all.npy"));
    for (i, row) in honest.iter().enumerate() {
        assert_eq!(all.row(i).to_vec(), *row, "honest rows keep every digit");
    }
    assert!((all[[4, 0]] + 0.1 * 1.1 / 3.0).abs() < 1e-8 && all.dim() == (5, 2));
    let idle = folder.run(&[&["forge", "--attack", "delayed-gradient"][..], &line].concat());
    assert!(stderr(&idle).contains("there it does nothing"), "{}", stderr(&idle));
    folder.double("close.npy", CLOSE);
    for command in [
        &["forge", "--attack", "alie", "--output", "o"][..],
        &["duel", "--attack", "alie", "--rule", "median"],
    ] {
        let rows = &["--f", "1", "--input", "close.npy"][..];
        folder.double("close.npy", &CLOSE[..4]);
        let said = folder.refused(&[command, rows].concat());
        assert!(said.contains("attacks compute in f32, which these f64 rows do not fit"), "{said}");
    }
}

#[test]
fn rows_come_through_a_pipe() {
    let folder = Folder::new();
    folder.double("close.npy", CLOSE);
    for name in ["-", "/dev/stdin"] {
        let mut command = Command::new(env!("CARGO_BIN_EXE_varangian"));
        command.args(["aggregate", "--rule", "krum", "--f", "1", "--input", name]);
        // A pipe, which cannot be read twice.
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let mut pipe = child.stdin.take().unwrap();
        let bytes = std::fs::read(folder.path("close.npy")).unwrap();
        std::io::Write::write_all(&mut pipe, &bytes).unwrap();
        drop(pipe);
        let output = child.wait_with_output().unwrap();
        assert_eq!(String::from_utf8_lossy(&output.stdout), "1.000000000001\n", "{name}");
    }
}

#[test]
fn a_duel_is_what_forging_and_aggregating_come_to() {
    let folder = Folder::new();
    let rows: Vec<Vec<f32>> = (0..9)
        .map(|i| (0..5).map(|k| ((7 * i + 3 * k) % 11) as f32 - 0.1 * k as f32).collect())
        .collect();
    folder.single("h.npy", &rows.iter().map(Vec::as_slice).collect::<Vec<_>>());
    let mean = |k: usize| rows.iter().map(|row| f64::from(row[k])).sum::<f64>() / 9.0;
    let mean: Vec<f64> = (0..5).map(mean).collect();
    let apart = |row: &[f64]| row.iter().zip(&mean).map(|(x, m)| (x - m).powi(2)).sum::<f64>();
    let wide = |row: &Vec<f32>| row.iter().map(|&x| f64::from(x)).collect::<Vec<f64>>();
    let trace = rows.iter().map(|row| apart(&wide(row))).sum::<f64>() / 9.0;
    // Of the attacks two draw: what they draw is the worker's, whoever asks.
    for attack in ["alie", "gaussian", "worst budget=16", "worst budget=16 objective=inner-product"]
    {
        for rule in ["median", "krum", "bucketing s=2 | median"] {
            let both = ["--f", "2", "--rule", rule];
            let duel = ["duel", "--attack", attack, "--input", "h.npy", "--json"];
            let duel = folder.json(&[&duel[..], &both].concat());
            let ratio = duel["rules"][0]["duels"][0]["ratio"].as_f64().unwrap();
            let forge = ["forge", "--attack", attack, "--input", "h.npy", "--output", "all.npy"];
            assert!(folder.run(&[&forge[..], &both].concat()).status.success());
            let line = ["aggregate", "--input", "all.npy", "--json"];
            let answer = folder.json(&[&line[..], &both].concat());
            let answer = answer["aggregate"].as_array().unwrap().iter();
            let answer: Vec<f64> = answer.map(|x| x.as_f64().unwrap()).collect();
            let found = apart(&answer) / trace;
            assert!((found - ratio).abs() <= 1e-5 * ratio, "{attack} × {rule}: {found} {ratio}");
        }
    }
}
