//! `varangian aggregate` beyond a rule on rows: stages alone, what a server knows, memory.

use ndarray::{Array1, Array2};
use ndarray_npy::{ReadNpyExt, WriteNpyExt};
use serde_json::{Value, json};
use std::fs::{self, File};
use std::process::{Command, Output};

#[path = "common/folder.rs"]
mod folder;
use folder::Folder;

impl Folder {
    fn vector(&self, name: &str, numbers: &[f64]) {
        Array1::from(numbers.to_vec()).write_npy(File::create(self.path(name)).unwrap()).unwrap();
    }

    /// Runs `aggregate --f F --rule RULE --input rows.npy` and more.
    fn run(&self, rule: &str, f: &str, more: &str) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_varangian"));
        command.current_dir(self.0.path()).args(["aggregate", "--rule", rule, "--f", f]);
        command.args(["--input", "rows.npy"]).args(more.split_whitespace()).output().unwrap()
    }

    #[track_caller]
    fn says(&self, rule: &str, f: &str, more: &str) -> String {
        let output = self.run(rule, f, more);
        assert!(output.status.success(), "{rule} {more}: {}", text(&output.stderr));
        text(&output.stdout)
    }

    #[track_caller]
    fn json(&self, rule: &str, f: &str, more: &str) -> Value {
        serde_json::from_str(&self.says(rule, f, &format!("{more} --json"))).unwrap()
    }

    #[track_caller]
    fn refused(&self, rule: &str, f: &str, more: &str, why: &str) {
        let output = self.run(rule, f, more);
        let said = text(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{rule} {more}: {said}");
        assert_eq!(said.trim_end().lines().count(), 1, "{said}");
        assert!(said.contains(why), "{rule} {more}: {said}");
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn stages_alone_print_the_rows_that_a_rule_would_see() {
    let folder = Folder::new();
    folder.single("rows.npy", &[&[0.0], &[1.0], &[2.0], &[3.0], &[10.0]]);
    assert_eq!(folder.says("nnm", "1", ""), "1.5\n1.5\n1.5\n1.5\n4\n");
    folder.double("rows.npy", &[&[0.0, 3.0], &[f64::NAN, 1.0], &[4.0, 3.0], &[1e200, 0.0]]);
    let value = folder.json("clipping c=2.5", "1", "");
    assert_eq!(value["rows"], json!([[0.0, 2.5], [2.0, 1.5], [2.5, 0.0]]));
    assert_eq!((&value["refused"], &value["f_used"]), (&json!([1]), &json!(0)));
    assert_eq!(value["reasons"], json!(["NaN at coordinate 0"]));
    assert_eq!(folder.says("clipping c=2.5", "1", "--output mixed.npy"), "");
    let mixed = Array2::<f64>::read_npy(File::open(folder.path("mixed.npy")).unwrap()).unwrap();
    assert_eq!(mixed.row(1).to_vec(), [2.0, 1.5]);
    folder.refused("nnm", "1", "--evidence -", "--evidence is for a rule; \"nnm\" is stages alone");
    folder.refused("nnm", "1", "--state s", "--state is for a rule");
    folder.refused("nnm", "0", "", "at most f = 0 rows may be hostile; 1 are not finite: 1");
    folder.refused("nnm", "1", "--all-finite", "--all-finite: 1 are not: 1");
    folder.refused("average", "1", "--all-finite", "--all-finite: 1 are not: 1");
    folder.refused("bucketing s=9", "1", "", "bucketing needs s ≤ n");
    folder.refused("nmn", "1", "", "did you mean \"nnm\"?");
}

#[test]
fn fltrust_takes_the_servers_own_gradient() {
    let folder = Folder::new();
    // Cosines 1, 0.6 and 0 (of −1): weights 5/1.6 · (1/2, 0.6/5, 0).
    folder.double("rows.npy", &[&[2.0, 0.0], &[3.0, 4.0], &[-1.0, 0.0]]);
    folder.vector("g.npy", &[5.0, 0.0]);
    let value = folder.json("fltrust", "1", "--server-gradient g.npy");
    let weights: Vec<f64> =
        value["weights"].as_array().unwrap().iter().map(|w| w.as_f64().unwrap()).collect();
    for (found, expected) in weights.iter().zip([5.0 / 3.2, 3.0 / 8.0, 0.0]) {
        assert!((found - expected).abs() < 1e-6, "{weights:?}");
    }
    assert_eq!(value["computed_in"], "f32", "rows of f64 that f32 holds are rounded for it");
    assert_eq!(value["evidence"][2]["reason"], "points away from the server's gradient");
    folder.vector("short.npy", &[5.0]);
    let why = "short.npy: a number for each of 2 coordinates; found 1";
    folder.refused("fltrust", "1", "--server-gradient short.npy", why);
    folder.vector("nan.npy", &[5.0, f64::NAN]);
    folder.refused("fltrust", "1", "--server-gradient nan.npy", "that of coordinate 1 is NaN");
    folder.vector("far.npy", &[5.0, 1e300]);
    folder.refused("fltrust", "1", "--server-gradient far.npy", "fltrust computes in f32");
    folder.refused("fltrust", "1", "--server-gradient rows.npy", "a vector has one axis; found 2");
    folder.refused("fltrust", "1", "", "give it the server's own gradient");
    folder.refused("fltrust", "1", "--losses g.npy", "--losses: fltrust does not ask for it");
    folder.refused("median", "1", "--server-gradient g.npy", "median does not ask for it");
    folder.double("rows.npy", &[&[1.0, 1.0], &[1.0 + 1e-12, 1.0], &[1.0, 1.0]]);
    folder.refused("fltrust", "1", "--server-gradient g.npy", "fltrust computes in f32");
}

#[test]
fn zeno_takes_losses_or_a_quadratic() {
    let folder = Folder::new();
    // The worked example of the rule: at x = (1, 0), γ = ½, ρ = ⅛; the best three are 0, 1 and,
    // of the tied 2 and 5, the lower.
    let rows: &[&[f64]] =
        &[&[1.0, 0.0], &[0.5, 0.0], &[2.0, 0.0], &[-1.0, 0.0], &[0.0, 1.0], &[1.0, 1.0]];
    folder.double("rows.npy", rows);
    folder.vector("x.npy", &[1.0, 0.0]);
    folder.vector("zero.npy", &[0.0, 0.0]);
    let third = 1.0 / 3.0;
    let expected = json!([third, third, third, 0.0, 0.0, 0.0]);
    let more = "--minimum zero.npy --params x.npy --learning-rate 0.5";
    assert_eq!(folder.json("zeno b=3 rho=0.125", "3", more)["weights"], expected);
    // The same losses, worked out by whoever has the data: ‖x − γ·u‖²/2.
    let losses: Vec<f64> =
        rows.iter().map(|u| ((1.0 - 0.5 * u[0]).powi(2) + (0.5 * u[1]).powi(2)) / 2.0).collect();
    folder.vector("l.npy", &losses);
    assert_eq!(folder.json("zeno b=3 rho=0.125", "3", "--losses l.npy")["weights"], expected);
    folder.refused("zeno", "3", "", "give it either the losses after a step along each row");
    folder.refused("zeno", "3", "--losses x.npy", "a number for each of 6 rows; found 2");
    folder.refused("zeno", "3", "--losses l.npy --params x.npy", "it is of use with --minimum");
    folder.refused("zeno", "3", "--losses l.npy --minimum x.npy", "either the losses");
    folder.refused("nnm | zeno", "2", "--losses l.npy", "nnm | zeno mixes them first");
    folder.refused("zeno", "3", &more.replace("0.5", "0"), "--learning-rate is a number above 0");
}

#[test]
fn a_rule_with_a_memory_goes_on_from_its_state() {
    let folder = Folder::new();
    folder.single("rows.npy", &[&[0.0], &[1.0], &[2.0], &[1000.0]]);
    let rule = "centred-clipping tau=4";
    // As in the rule's own example: from 0, then from 1.75.
    assert_eq!(folder.says(rule, "1", "--state s.json"), "1.75\n");
    let first = fs::read(folder.path("s.json")).unwrap();
    let value = folder.json(rule, "1", "--state s.json");
    assert_eq!((&value["aggregate"], &value["step"]), (&json!([2.1875]), &json!(1)));
    assert_eq!((&value["note"], &value["evidence"][0]["step"]), (&Value::Null, &json!(1)));
    fs::write(folder.path("s.json"), &first).unwrap();
    assert_eq!(folder.says(rule, "1", "--state s.json"), "2.1875\n", "the state is all there is");
    // Without one, each call is a first round.
    assert_eq!(folder.says(rule, "1", ""), "1.75\n");
    let kept = fs::read(folder.path("s.json")).unwrap();
    folder.refused("centred-clipping tau=5", "1", "--state s.json", "it is the state of");
    folder.refused(rule, "0", "--state s.json", "it is the state of");
    folder.refused(rule, "1", "--state s.json --seed 3", "it is the state of");
    folder.refused("median", "1", "--state s.json", "median remembers nothing");
    let spoilt = String::from_utf8(kept.clone()).unwrap().replacen("\"step\":2", "\"step\":1", 1);
    fs::write(folder.path("edited.json"), &spoilt).unwrap();
    folder.refused(rule, "1", "--state edited.json", "it does not match its checksum");
    fs::write(folder.path("cut.json"), &kept[..kept.len() / 2]).unwrap();
    folder.refused(rule, "1", "--state cut.json", "a varangian-state is wanted; found what is no");
    let later = spoilt.replace("\"version\":1", "\"version\":2");
    fs::write(folder.path("later.json"), later).unwrap();
    folder.refused(rule, "1", "--state later.json", "version 1 is read; found version 2");
    fs::write(folder.path("other.json"), "[1]").unwrap();
    folder.refused(rule, "1", "--state other.json", "a varangian-state is wanted; found null");
    folder.refused(rule, "1", "--state rows.npy", "a varangian-state is wanted");
    assert_eq!(fs::read(folder.path("s.json")).unwrap(), kept, "a refusal changes nothing");
    folder.single("rows.npy", &[&[0.0, 1.0], &[1.0, 0.0], &[2.0, 0.0], &[1.0, 0.0]]);
    folder.refused(rule, "1", "--state s.json", "it is the state of");
}

#[test]
fn safeguard_expels_over_calls_as_it_does_in_one_run() {
    let folder = Folder::new();
    folder.double("rows.npy", &[&[1.0, 0.0], &[1.1, 0.1], &[0.9, 0.0], &[1.0, 0.1], &[-9.0, 5.0]]);
    let rule = "single-safeguard t=10 floor=1";
    let (mut expelled, mut weights) = (None, Value::Null);
    for call in 0..12 {
        let value = folder.json(rule, "1", "--state memory.json");
        assert_eq!(value["step"], json!(call));
        let reason = value["evidence"][4]["reason"].as_str().unwrap_or("").to_owned();
        if reason == "expelled for good by single-safeguard" && expelled.is_none() {
            expelled = Some(call);
        }
        weights = value["weights"].clone();
    }
    assert!(expelled.is_some(), "the far row is expelled within twelve calls: {weights}");
    assert_eq!(weights, json!([0.25, 0.25, 0.25, 0.25, 0.0]));
}

#[test]
fn forge_flips_the_labels_of_hostile_workers() {
    let folder = Folder::new();
    let forge = |line: &str| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_varangian"));
        command.current_dir(folder.0.path()).arg("forge");
        command.args(line.split_whitespace()).output().unwrap()
    };
    let refused = |line: &str, why: &str| {
        let output = forge(line);
        let said = text(&output.stderr);
        assert!(output.status.code() == Some(2) && said.contains(why), "{line}: {said}");
    };
    folder.vector("one.npy", &[0.0, 3.0, 9.0]);
    let line = "--attack label-flip --f 1 --labels one.npy --classes 10 --output o.npy";
    assert!(forge(line).status.success(), "{}", text(&forge(line).stderr));
    let read = || Array1::<i64>::read_npy(File::open(folder.path("o.npy")).unwrap());
    assert_eq!(read().unwrap().to_vec(), [9, 6, 0]);
    folder.double("two.npy", &[&[1.0, 2.0], &[7.0, 1.0]]);
    let targeted = Command::new(env!("CARGO_BIN_EXE_varangian"))
        .current_dir(folder.0.path())
        .args(["forge", "--attack", "label-flip mode=targeted source=1 target=4", "--f", "2"])
        .args(["--labels", "two.npy", "--classes", "10", "--output", "t.npy"])
        .output()
        .unwrap();
    assert!(targeted.status.success(), "{}", text(&targeted.stderr));
    let changed = Array2::<i64>::read_npy(File::open(folder.path("t.npy")).unwrap()).unwrap();
    assert_eq!(changed.into_raw_vec_and_offset().0, [4, 2, 7, 4]);
    let with = |from: &str, to: &str| line.replace(from, to);
    refused(&with("--f 1", "--f 2"), "labels of f = 2 hostile workers, a row each; found 1");
    refused(&with("10", "9"), "labels are whole numbers from 0 to 8; row 0, column 2 is 9");
    refused(&with("--classes 10", ""), "--labels needs --classes");
    refused(&with("--classes 10", "--classes 1"), "labels of at least 2 classes; there are 1");
    refused(&with("label-flip", "alie"), "alie changes rows and no labels");
    refused("--attack alie --f 1 --output o.npy", "--input");
    refused("--attack label-flip --f 1 --input two.npy --output o.npy", "see --labels");
    folder.vector("half.npy", &[0.5]);
    refused(&with("one.npy", "half.npy"), "row 0, column 0 is 0.5");
}

#[test]
fn a_certificate_says_how_far_the_aggregate_may_be_from_the_honest_mean() {
    let folder = Folder::new();
    folder.single("rows.npy", &[&[1.0], &[2.0], &[3.0], &[4.0], &[-2.0]]);
    let value = folder.json("median", "2", "--certificate");
    // Without 3 and 4 the mean is 1/3; sums of the 5, 4 and 3 least are 8, 4 and 1.
    let found = &value["certificate"];
    assert!((found["radius"].as_f64().unwrap() - 5.0 / 3.0).abs() < 1e-9, "{found}");
    assert_eq!((&found["attained"], &found["descent"]), (&json!(true), &json!(2)));
    // κ = 4/2 of tr Σ ≤ ((1.6 − −2)² + (4 − 1.6)² + (3 − 1.6)²)/3.
    let promised = (2.0 * (3.6f64.powi(2) + 2.4f64.powi(2) + 1.4f64.powi(2)) / 3.0).sqrt();
    // On the safe side by what sums of f32 may lose, twice.
    let said = found["promised"].as_f64().unwrap() / promised;
    assert!((1.0..1.0 + 3e-5).contains(&said), "{found}");
    assert!((found["length"].as_f64().unwrap() - 2.0).abs() < 1e-9, "{found}");
    let said = text(&folder.run("median", "2", "--certificate").stderr);
    let why =
        "whichever f = 2 of the 5 rows are hostile, the aggregate is within 1.666667 of the mean";
    assert!(said.contains(why) && said.contains("with up to 2 hostile rows"), "{said}");
    folder.double("rows.npy", &[&[1e300], &[2e300], &[3e300], &[4e300], &[-2e300]]);
    let value = folder.json("median", "2", "--certificate");
    let radius = value["certificate"]["radius"].as_f64().unwrap();
    assert!((radius / 1e300 - 5.0 / 3.0).abs() < 1e-9, "{radius}");
    let said = text(&folder.run("median", "2", "--certificate").stderr);
    assert!(said.contains("is within 1.666667e300 of the mean"), "{said}");
    assert_eq!(folder.json("median", "2", "")["certificate"], Value::Null);
    // Row 1 is nearest to its two neighbours until all have moved by 3/20.
    folder.single("rows.npy", &[&[0.0], &[1.0], &[2.0], &[10.0], &[20.0]]);
    let margin = folder.json("krum", "1", "--certificate")["certificate"]["margin"].as_f64();
    assert!((margin.unwrap() - 0.15).abs() < 1e-5, "{margin:?}");
    let said = text(&folder.run("krum", "1", "--certificate").stderr);
    assert!(said.contains("rows that move by less than 0.1"), "{said}");
    let weights = "--certificate --weights 1,1,1,1,1";
    folder.refused("average", "2", weights, "--certificate is of rows that count alike");
    folder.refused("nnm", "2", "--certificate", "--certificate is for a rule");
}
