//! Evidence from the command: `aggregate`, `replay` and `diagnose`.

use ndarray::Array2;
use ndarray_npy::WriteNpyExt;
use serde_json::{Value, json};
use std::fs::{self, File};
use std::process::{Command, Output};
use varangian::base::{Domain, Seed};
use varangian::lab::evidence;
use varangian::rules::{Evidence, Standing};

struct Folder(tempfile::TempDir);

impl Folder {
    fn new() -> Self {
        Folder(tempfile::tempdir().unwrap())
    }

    fn rows(&self, name: &str, rows: &[Vec<f64>]) {
        let array = Array2::from_shape_fn((rows.len(), rows[0].len()), |(i, k)| rows[i][k]);
        array.write_npy(File::create(self.0.path().join(name)).unwrap()).unwrap();
    }

    fn single(&self, name: &str, rows: &[Vec<f64>]) {
        let array = Array2::from_shape_fn((rows.len(), rows[0].len()), |(i, k)| rows[i][k] as f32);
        array.write_npy(File::create(self.0.path().join(name)).unwrap()).unwrap();
    }

    fn run(&self, line: &str) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_varangian"));
        command.current_dir(self.0.path()).args(words(line)).output().unwrap()
    }

    #[track_caller]
    fn says(&self, line: &str) -> String {
        let output = self.run(line);
        assert!(output.status.success(), "{line}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    #[track_caller]
    fn records(&self, line: &str) -> Vec<Evidence> {
        evidence::read(&self.says(line)).unwrap()
    }

    #[track_caller]
    fn refused(&self, line: &str) -> String {
        let output = self.run(line);
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "{line}: {text}");
        assert_eq!(text.trim_end().lines().count(), 1, "{text}");
        text
    }
}

/// The words of a command line; quoted ones hold spaces.
fn words(line: &str) -> Vec<String> {
    let parts = line.split('\'').enumerate();
    parts
        .flat_map(|(i, part)| match i % 2 {
            0 => part.split_whitespace().map(str::to_owned).collect::<Vec<_>>(),
            _ => vec![part.to_owned()],
        })
        .collect()
}

fn column(numbers: &[f64]) -> Vec<Vec<f64>> {
    numbers.iter().map(|&x| vec![x]).collect()
}

#[test]
fn aggregate_writes_a_line_a_row_and_keeps_its_object() {
    let folder = Folder::new();
    folder.rows("rows.npy", &column(&[0.0, 1.0, f64::NAN, 2.0, 3.0, 10.0]));
    let order = "aggregate --rule 'multi-krum m=2' --f 2 --input rows.npy";
    let found = folder.records(&format!("{order} --evidence -"));
    assert_eq!(found.len(), 6);
    let about: Vec<_> = found.iter().map(|row| (row.worker, row.standing, row.weight)).collect();
    use Standing::{Excluded, Kept, Refused};
    let (half, none) = (Some(0.5), Some(0.0));
    let expected = [
        (0, Excluded, none),
        (1, Kept, half),
        (2, Refused, none),
        (3, Kept, half),
        (4, Excluded, none),
        (5, Excluded, none),
    ];
    assert_eq!(about, expected);
    assert_eq!(found[2].reason.as_deref(), Some("NaN at coordinate 0"));
    assert_eq!((found[2].norm, found[2].distance), (None, None));
    assert_eq!(found[5].reason.as_deref(), Some("not among the 2 rows of least score"));
    assert!(found.iter().all(|row| (row.n, row.f, row.d) == (5, 1, 1)), "of what the rule saw");
    assert_eq!((found[5].norm, found[5].distance), (Some(10.0), Some(8.5)));
    // The object of before, with the same records in it; nothing is lost to whoever reads it.
    let object: Value = serde_json::from_str(&folder.says(&format!("{order} --json"))).unwrap();
    assert_eq!(object["weights"], json!([0.0, 0.5, null, 0.5, 0.0, 0.0]));
    assert_eq!((&object["refused"], &object["aggregate"]), (&json!([2]), &json!([1.5])));
    let records: Vec<Evidence> = serde_json::from_value(object["evidence"].clone()).unwrap();
    assert_eq!(records, found);
    // Into a file, the aggregate still goes where it went.
    assert_eq!(folder.says(&format!("{order} --evidence e.jsonl")), "1.5\n");
    let written = fs::read_to_string(folder.0.path().join("e.jsonl")).unwrap();
    assert_eq!(evidence::read(&written).unwrap(), found);
    let error = folder.refused(&format!("{order} --json --evidence -"));
    assert!(error.contains("both want standard output"), "{error}");
    let error = folder.refused(&format!("{order} --evidence no/where.jsonl"));
    assert!(error.contains("cannot write no/where.jsonl"), "{error}");
    for (line, what) in [("{\"format\":\"x\"}\n", "line 1: missing"), ("\n[]", "line 2: ")] {
        assert!(evidence::read(line).unwrap_err().to_string().starts_with(what), "{line}");
    }
}

#[test]
fn every_kind_of_number_and_weights_give_the_same_evidence() {
    let folder = Folder::new();
    let rows = column(&[0.0, 1.0, 2.0, 3.0, 10.0]);
    folder.rows("double.npy", &rows);
    folder.single("single.npy", &rows);
    for rule in ["'nnm | krum'", "average", "'arc | geometric-median'", "median"] {
        let of = |name| {
            folder.records(&format!("aggregate --rule {rule} --f 1 --input {name} --evidence -"))
        };
        for (a, b) in of("double.npy").iter().zip(of("single.npy")) {
            assert_eq!((a.standing, &a.reason, a.p.is_some()), (b.standing, &b.reason, true));
            assert!((a.distance.unwrap() - b.distance.unwrap()).abs() < 1e-5, "{a:?} {b:?}");
            let apart = a.weight.unwrap_or(0.0) - b.weight.unwrap_or(0.0);
            assert!(apart.abs() < 1e-5, "{a:?} {b:?}");
        }
    }
    let found = folder.records(
        "aggregate --rule average --f 0 --weights 3,1,1,1,2 --input double.npy --evidence -",
    );
    let weights: Vec<f64> = found.iter().filter_map(|row| row.weight).collect();
    assert_eq!(weights, [0.375, 0.125, 0.125, 0.125, 0.25]);
    assert!(found.iter().all(|row| row.standing == Standing::Kept), "each counts as declared");
}

#[test]
fn replay_writes_the_evidence_of_its_step() {
    let folder = Folder::new();
    let text = "name = 'r'\nsteps = 4\nn = 9\nf = 2\nrule = 'multi-krum'\nattack = 'non-finite'\n\
                evaluate_every = 4\ntest_samples = 20\n";
    fs::write(folder.0.path().join("r.toml"), text).unwrap();
    folder.says("run r.toml -q --out out");
    let found = folder.records("replay out --step 2 --json");
    let ids: Vec<u64> = found.iter().map(|row| row.worker).collect();
    assert_eq!(ids, (0..9).collect::<Vec<_>>());
    assert!(found.iter().all(|row| (row.step, row.n, row.f) == (2, 7, 0)), "{found:?}");
    let refused: Vec<&Evidence> =
        found.iter().filter(|row| row.standing == Standing::Refused).collect();
    assert_eq!(refused.len(), 2);
    assert!(refused[0].reason.as_ref().unwrap().starts_with("NaN at coordinate 0"), "{refused:?}");
    let sum: f64 = found.iter().filter_map(|row| row.weight).sum();
    assert!((sum - 1.0).abs() < 1e-12);
    // The same numbers as in the table.
    let table = folder.says("replay out --step 2");
    let norm = format!("{:.6}", found[0].norm.unwrap());
    assert!(table.contains(&norm), "{table} {norm}");
}

#[test]
fn replay_of_steps_that_were_not_made_and_of_samples_of_workers() {
    let folder = Folder::new();
    let text = "name = 'r'\nsteps = 3\nn = 9\nf = 2\nf_real = 2\nrule = 'median'\n\
                attack = 'sign-flip'\nparticipation = 'sample workers=5 f=1'\n\
                evaluate_every = 3\ntest_samples = 20\n";
    fs::write(folder.0.path().join("r.toml"), text).unwrap();
    folder.says("run r.toml -q --out out");
    for step in 0..3 {
        let found = folder.records(&format!("replay out --step {step} --json"));
        assert_eq!(found.len(), 5, "those who took part: {found:?}");
        assert!(found.iter().all(|row| row.weight.is_none() && row.n == 5));
        let table = folder.says(&format!("replay out --step {step}"));
        assert!(!table.contains("nothing came"), "who was not asked is not missed: {table}");
    }
    let text = "name = 'a'\nsteps = 8\nn = 5\nf = 1\nrule = 'zeno++ rho=0.02 k=10'\n\
                attack = 'sign-flip'\nevaluate_every = 8\ntest_samples = 20\nvalidation = 50\n";
    fs::write(folder.0.path().join("a.toml"), text).unwrap();
    folder.says("run a.toml -q --out async");
    let found = folder.records("replay async --step 3 --json");
    assert_eq!((found.len(), found[0].step, found[0].n), (1, 3, 1));
    assert!(found[0].norm.is_some() && found[0].distance.is_none() && found[0].p.is_none());
}

/// One step of n rows: a gradient that all share, and noise of half its length.
fn crowd(n: usize, d: usize, step: u64) -> Vec<Vec<f64>> {
    let mut draws = Seed(9).stream(Domain::Test, 0, step);
    let shared: Vec<f64> = (0..d).map(|_| draws.normal()).collect();
    let mut row = || shared.iter().map(|g| g + 0.5 * draws.normal()).collect();
    (0..n).map(|_| row()).collect()
}

#[test]
fn diagnose_names_the_worker_and_says_since_when() {
    let folder = Folder::new();
    let faults: [(&str, fn(&mut Vec<f64>), &str); 5] = [
        ("none", |_| {}, "no row stands out"),
        ("scaled", |row| row.iter_mut().for_each(|x| *x *= 3.0), "worker 3 stands out"),
        ("flipped", |row| row.iter_mut().for_each(|x| *x = -*x), "points the other way"),
        ("nan", |row| row[17] = f64::NAN, "worker 3 stands out: refused: NaN at coordinate 17"),
        ("bit", |row| row[17] = 1e37, "one number is off: coordinate 17 is 1.000e37"),
    ];
    for (name, fault, says) in faults {
        for t in 0..6 {
            let mut rows = crowd(8, 400, t);
            if t >= 2 {
                fault(&mut rows[3]);
            }
            folder.single(&format!("{name}{t}.npy"), &rows);
        }
        let one = folder.says(&format!("diagnose {name}5.npy"));
        assert!(one.contains(says), "{name}: {one}");
        let all: String = (0..6).map(|t| format!(" {name}{t}.npy")).collect();
        let all = folder.says(&format!("diagnose{all}"));
        if name == "none" {
            assert!(all.contains(says), "{all}");
            continue;
        }
        assert!(
            all.contains("worker 3 stands out since step 2 (4 of 4 steps from there)"),
            "{all}"
        );
        assert!(all.contains("f = 1 explains these rows: --rule \"nnm | trimmed-mean\""), "{all}");
        assert_eq!(all.matches("stands out").count(), 1, "{name}: {all}");
    }
    folder.says("diagnose scaled5.npy --plot off.svg");
    let picture = std::fs::read_to_string(folder.0.path().join("off.svg")).unwrap();
    assert!(picture.contains("worker 7") && picture.contains("Orange: workers that stand out"));
    assert!(folder.0.path().join("off.png").is_file());
    let found = folder.records("diagnose flipped5.npy --rule median --rule 'nnm | krum' --json");
    assert_eq!(found.len(), 16);
    assert!(found[..8].iter().all(|row| row.rule == "median" && row.weight.is_none()));
    assert_eq!((found[11].worker, found[11].weight), (3, Some(0.0)));
    let least = found[..8].iter().min_by(|a, b| a.p.unwrap().total_cmp(&b.p.unwrap())).unwrap();
    assert_eq!(least.worker, 3);
}

#[test]
fn diagnose_says_what_it_cannot_tell_and_refuses_what_it_cannot_read() {
    let folder = Folder::new();
    folder.rows("few.npy", &column(&[1.0, 2.0, 3.0]));
    let text = folder.says("diagnose few.npy");
    assert!(text.contains("5 finite rows a step are needed"), "{text}");
    assert!(text.contains("left out: multi-krum needs n ≥ 2f + 3"), "{text}");
    folder.rows("far.npy", &column(&[1e300, 2e300, 3e300, 4e300, -1e300, 1e308]));
    folder.rows("all.npy", &column(&[f64::NAN; 3]));
    assert!(folder.says("diagnose far.npy").contains("6 workers, 1 coordinates"));
    assert!(folder.says("diagnose all.npy").contains("3 of 3 workers stand out"));
    folder.rows("other.npy", &column(&[1.0; 4]));
    let error = folder.refused("diagnose few.npy other.npy");
    assert!(error.contains("each step has the rows of the first, 3 × 1; found 4 × 1"), "{error}");
    assert!(folder.refused("diagnose missing.npy").contains("cannot read missing.npy"));
    assert!(folder.refused("diagnose few.npy --rule krum").contains("krum needs"));
    assert!(folder.refused("diagnose few.npy --rule krmu").contains("did you mean \"krum\""));
    assert!(folder.refused("diagnose few.npy --f 3").contains("--f: below the number of rows, 3"));
    assert!(folder.refused("diagnose few.npy --run ab").contains("--run is of a folder"));
    assert!(folder.refused("diagnose few.npy --rule zeno").contains("asks for the loss"));
}

#[test]
fn diagnose_runs_a_kept_run_again() {
    let folder = Folder::new();
    let text = "name = 'r'\nsteps = 6\nn = 9\nf = 1\nrule = 'median'\nattack = 'non-finite'\n\
                evaluate_every = 6\ntest_samples = 20\n";
    fs::write(folder.0.path().join("r.toml"), text).unwrap();
    folder.says("run r.toml -q --out out");
    let text = folder.says("diagnose out --from 2 --steps 3");
    assert!(text.contains("9 workers") && text.contains("3 steps"), "{text}");
    assert!(text.contains("worker 8 stands out since step 2 (3 of 3 steps"), "{text}");
    let found = folder.records("diagnose out --from 2 --steps 3 --rule median --json");
    assert_eq!((found.len(), found[0].step, found[26].step), (27, 2, 4));
    assert!(folder.refused("diagnose out --from 6").contains("has steps 0 to 5; got 6"));
}
