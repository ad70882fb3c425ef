//! What a run leaves, as strangers read it: tables that every reader takes alike, pictures that
//! show everything, and what breaks said where people look.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

struct Case {
    folder: tempfile::TempDir,
}

impl Case {
    fn new(text: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("e.toml"), text).unwrap();
        Case { folder }
    }

    /// A folder whose experiment has run to its end.
    fn ran(text: &str) -> Self {
        let case = Case::new(text);
        let output = case.varangian(&["run", "e.toml", "--data", ".", "--out", "out"]);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        case
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn varangian(&self, arguments: &[&str]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_varangian"));
        command.current_dir(self.folder.path()).args(arguments).output().unwrap()
    }

    /// What a command prints; it must end well.
    fn says(&self, arguments: &[&str]) -> String {
        let output = self.varangian(arguments);
        let error = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(0), "{arguments:?}: {error}");
        String::from_utf8(output.stdout).unwrap()
    }

    fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap()
    }

    /// The names of the files of a folder with this ending, sorted.
    fn files(&self, folder: &str, ending: &str) -> Vec<String> {
        let entries = fs::read_dir(self.path(folder)).unwrap();
        let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let mut names: Vec<String> = names.filter(|name| name.ends_with(ending)).collect();
        names.sort();
        names
    }
}

/// Asserts that a CSV has one type a column whatever stands in it: text in quotes, whole numbers,
/// yes or no, or numbers with a point or an exponent.
fn assert_columns(path: &Path) {
    let text = fs::read_to_string(path).unwrap();
    let mut lines = text.lines();
    let columns = lines.next().unwrap().split(',').count();
    let mut kinds = vec![None; columns];
    for line in lines {
        let (mut cells, mut inside) = (vec![String::new()], false);
        for c in line.chars() {
            match c {
                ',' if !inside => cells.push(String::new()),
                c => {
                    inside ^= c == '"';
                    cells.last_mut().unwrap().push(c);
                }
            }
        }
        assert_eq!(cells.len(), columns, "{}: {line}", path.display());
        for (known, cell) in kinds.iter_mut().zip(&cells) {
            let digits = cell.trim_start_matches('-');
            let kind = match cell.as_str() {
                "true" | "false" => "truth",
                cell if cell.starts_with('"') && cell.ends_with('"') && cell.len() > 2 => "text",
                _ if !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit()) => "whole",
                "NaN" | "1e999" | "-1e999" => "real",
                cell if cell.contains(['.', 'e']) && cell.parse::<f64>().is_ok() => "real",
                _ => panic!("{}: {cell:?} in {line}", path.display()),
            };
            assert_eq!(*known.get_or_insert(kind), kind, "{}: {cell} in {line}", path.display());
        }
    }
}

fn table(name: &str, rest: &str) -> String {
    format!(
        "name = '{name}'\ndataset = 'logreg'\nmodel = 'linear'\nn = 7\nf = 1\nbatch = 8\n\
         steps = 4\nevaluate_every = 2\n{rest}"
    )
}

#[test]
fn long_settings_have_short_file_names_and_all_their_pictures() {
    let slow = "network compute=(log-normal median=1 sigma=0.5) down=(exponential mean=0.05) \
                up=(exponential mean=0.1) loss=0.02 crash=0.01 downtime=(exponential mean=20) \
                slow=1 slowdown=3 deadline=5";
    let even =
        "network compute=(constant t=1) down=(constant t=0.05) up=(constant t=0.05) deadline=5";
    let case = Case::ran(&table(
        "long",
        &format!(
            "partition = ['iid', 'dirichlet alpha=0.1 over=classes least=8']\nrule = 'median'\n\
             message = ['vector', 'dp-sign epsilon=1 delta=1e-5 sensitivity=1']\n\
             network = ['{slow}', '{even}']"
        ),
    ));
    let printed = case.says(&["plot", "out"]);
    for ending in [".svg", ".png"] {
        let names = case.files("out", ending);
        let of = |what: &str| names.iter().filter(|name| name.starts_with(what)).count();
        assert_eq!((of("accuracy-"), of("loss-")), (8, 8), "{names:?}");
        assert!(names.iter().all(|name| name.len() <= 100), "{names:?}");
    }
    assert_eq!(printed.lines().count(), case.files("out", ".svg").len(), "{printed}");
    case.says(&["tensorboard", "out"]);
    assert!(case.files("out/tensorboard", "").iter().all(|name| name.len() <= 100));
}

#[test]
fn settings_that_differ_in_one_sign_have_a_picture_each() {
    let rows: String = (0..60).map(|k| format!("{}.5,{},{}\n", k % 7, k % 5, k % 2)).collect();
    let case = Case::new(
        &table(
            "two",
            "dataset = ['csv file=13/a.csv', 'csv file=13-a.csv']\nrule = ['average', 'median']",
        )
        .replace("dataset = 'logreg'\n", ""),
    );
    fs::create_dir(case.path("13")).unwrap();
    fs::write(case.path("13/a.csv"), &rows).unwrap();
    fs::write(case.path("13-a.csv"), &rows).unwrap();
    case.says(&["run", "e.toml", "--data", ".", "--out", "out"]);
    let names = case.files("out", ".svg");
    assert_eq!(names.len(), 2, "{names:?}");
    assert!(names.iter().all(|name| name.starts_with("accuracy-dataset=csv-file=13-a.csv-")));
}

#[test]
fn each_of_24_rules_is_in_the_legend_inside_the_picture() {
    let rules = [
        "average",
        "median",
        "trimmed-mean",
        "phocas",
        "meamed",
        "krum",
        "multi-krum",
        "bulyan",
        "mda",
        "smea",
        "caf",
        "dnc",
        "faba",
        "aksel",
        "cge",
        "monna",
        "geometric-median",
        "rfa",
        "centred-clipping",
        "nnm | median",
        "bucketing | median",
        "arc | median",
        "median | ctma",
        "clipping | median",
    ];
    let list = rules.map(|rule| format!("'{rule}'")).join(", ");
    let text = table("many", &format!("rule = [{list}]\nattack = ['none', 'sign-flip']"));
    let case = Case::ran(&text.replace("n = 7", "n = 11"));
    let svg = case.read("out/accuracy.svg");
    let number = |text: &str, name: &str| -> f64 {
        let rest = text.split(&format!(" {name}=\"")).nth(1).unwrap();
        rest.split('"').next().unwrap().parse().unwrap()
    };
    let (width, height) = (number(&svg, "width"), number(&svg, "height"));
    for rule in rules {
        let end = format!(">{rule}</text>");
        let places: Vec<&str> = svg.split("<text").filter(|part| part.contains(&end)).collect();
        assert_eq!(places.len(), 1, "{rule}");
        let (x, y) = (number(places[0], "x"), number(places[0], "y"));
        assert!(x > 0.0 && x + 8.0 * rule.len() as f64 <= width, "{rule}: {x} of {width}");
        assert!(y > 0.0 && y < height, "{rule}: {y} of {height}");
    }
}

/// Krum meets two rows of seven in time, and never takes a step.
const SKIPPED: &str = "rule = ['average', 'krum']\nnetwork = 'network compute=(constant t=1) \
    down=(constant t=0.05) up=(constant t=0.05) slow=3 slowdown=1000 deadline=5'";

#[test]
fn skipped_steps_are_said_wherever_the_run_is_shown() {
    let case = Case::ran(&table("skips", SKIPPED));
    let told = "skipped 4 of 4 steps";
    for text in [case.read("out/summary.txt"), {
        case.says(&["report", "out"]);
        case.read("out/report.html")
    }] {
        let line = text.lines().find(|line| line.contains(told)).expect(&text);
        assert!(
            line.contains("krum") && text.contains("skipped: the server took no step"),
            "{text}"
        );
    }
    let table = case.says(&["results", "out"]);
    assert!(table.contains("4 of 4") && table.contains("!s skipped: the server"), "{table}");
    let json: serde_json::Value =
        serde_json::from_str(&case.says(&["results", "out", "--json"])).unwrap();
    assert_eq!(json["lines"][1]["skipped steps"], "4 of 4");
    assert!(json["definitions"]["skipped"].is_string());
    let svg = case.read("out/accuracy.svg");
    assert!(
        svg.contains("krum × none: 1 of 1 never learnt, skipped 4 of 4")
            && svg.contains("!s skipped"),
        "{svg}"
    );
}

#[test]
fn a_line_that_leaves_the_numbers_is_marked_where_it_leaves() {
    let case = Case::ran(
        &table(
            "leaves",
            "model = 'mlp hidden=8'\nrule = ['average', 'median']\n\
         attack = ['none', 'sign-flip scale=1e30']",
        )
        .replace("model = 'linear'\n", ""),
    );
    case.says(&["plot", "out"]);
    let loss = case.read("out/loss.svg");
    assert!(loss.contains("✕ in a line") && loss.contains(">average</text>"), "{loss}");
    // A cross in average's colour; its own marker is a circle.
    let cross = "stroke=\"#0072b2\" stroke-width=\"1.5\"";
    assert_eq!(loss.to_lowercase().matches(cross).count(), 2, "{loss}");
    let summary = case.read("out/summary.txt");
    assert!(summary.contains("1 of 1 diverged") && summary.contains("!d diverged: ended"));
    assert!(fs::metadata(case.path("out/loss.png")).unwrap().len() > 10_000);
}

#[test]
fn every_table_has_one_type_a_column_and_keys_are_no_numbers() {
    let case = Case::ran(
        &table(
            "typed",
            "dataset = 'linreg'\nlearning_rate = [1, 1e-7]\nnesterov = [true, false]\n\
         rule = ['average', 'median']\nattack = ['none', 'sign-flip scale=1e30']",
        )
        .replace("dataset = 'logreg'\n", ""),
    );
    for name in ["results.csv", "runs.csv", "heterogeneity.csv"] {
        assert_columns(&case.path("out").join(name));
    }
    for name in case.files("out/runs", ".csv") {
        assert!(name.starts_with('r') && name.len() == 17, "{name}");
        assert_columns(&case.path("out/runs").join(name));
    }
    let results = case.read("out/results.csv");
    let head = "run,seed,rule,attack,n,f,f_real,learning_rate,nesterov,step,metric,value";
    assert_eq!(results.lines().next(), Some(head));
    assert!(results.contains(",1e-7,true,0,\"test_loss\","), "{results}");
    fs::write(case.path("q.csv"), case.says(&["results", "out", "--metric", "test_loss", "--csv"]))
        .unwrap();
    assert_columns(&case.path("q.csv"));
    let index = case.read("out/runs.csv");
    let key = index.lines().nth(1).unwrap().split('"').nth(1).unwrap();
    assert!(case.path(&format!("out/runs/{key}.json")).is_file());
    assert!(case.says(&["replay", "out", "--run", &key[1..], "--step", "1"]).contains(key));
}

/// Reads a CSV in three ways and wants one kind of column from each, and no missing text.
const READERS: &str = r#"
import sys, pandas, polars, duckdb
def kind(of):
    names = {"str": "text", "object": "text", "varchar": "text", "int": "whole", "float": "real",
             "double": "real", "bool": "truth"}
    return next((kind for name, kind in names.items() if name in str(of).lower()), str(of))
for path in sys.argv[1:]:
    one, two = pandas.read_csv(path), polars.read_csv(path)
    three = {row[0]: row[1] for row in duckdb.sql(f"describe select * from '{path}'").fetchall()}
    for name in one.columns:
        kinds = {kind(one[name].dtype), kind(two[name].dtype), kind(three[name])}
        assert len(kinds) == 1 and kinds <= {"text", "whole", "real", "truth"}, (path, name, kinds)
        assert kinds == {"real"} or not one[name].isna().any(), (path, name)
        assert not two[name].is_null().any(), (path, name)
print("alike")
"#;

#[test]
fn three_readers_take_the_tables_alike() {
    let python = |arguments: &[&str], case: &Case| {
        Command::new("python3").current_dir(case.folder.path()).args(arguments).output()
    };
    let case = Case::new("");
    let there = python(&["-c", "import pandas, polars, duckdb"], &case);
    if !there.is_ok_and(|output| output.status.success()) {
        eprintln!("skipped: python3 with pandas, polars and duckdb is not on the path");
        return;
    }
    let case = Case::ran(&table(
        "alike",
        "rule = ['average', 'krum']\nattack = ['none', 'sign-flip scale=1e30']\n\
         clip = [inf, 2]\nnesterov = [true, false]\nseed = 699",
    ));
    let mut paths: Vec<String> =
        ["results", "runs", "heterogeneity"].map(|name| format!("out/{name}.csv")).into();
    paths.extend(case.files("out/runs", ".csv").iter().map(|name| format!("out/runs/{name}")));
    let arguments = ["-c", READERS].into_iter().chain(paths.iter().map(String::as_str));
    let output = python(&arguments.collect::<Vec<_>>(), &case).unwrap();
    assert_eq!(output.stdout, b"alike\n", "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn a_picture_that_fails_is_said_and_ends_nothing() {
    let case = Case::new(&table("one", "rule = ['average', 'median']\nseed = [1, 2]"));
    fs::create_dir_all(case.path("out/accuracy.svg")).unwrap();
    let output = case.varangian(&["run", "e.toml", "--out", "out"]);
    let error = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{error}");
    assert!(error.contains("not drawn: accuracy: "), "{error}");
    assert!(case.path("out/results.csv").is_file() && case.path("out/summary.txt").is_file());
    let output = case.varangian(&["plot", "out"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(case.path("out/loss.png").is_file() && case.path("out/heatmap.png").is_file());
}

#[test]
fn results_answer_of_any_metric_of_a_running_folder_and_refuse_a_foreign_one() {
    let case = Case::ran(&table("some", "rule = ['average', 'krum']\nattack = 'sign-flip'"));
    for metric in ["hostile_weight", "test_loss", "train_loss", "bytes/up"] {
        let text = case.says(&["results", "out", "--metric", metric]);
        assert!(!text.contains("NaN"), "{metric}: {text}");
    }
    // As it lies before the last run is over.
    fs::remove_file(case.path("out/runs.csv")).unwrap();
    let last = case.files("out/runs", ".json").pop().unwrap();
    fs::remove_file(case.path("out/runs").join(last)).unwrap();
    for command in ["results", "plot", "report", "tensorboard"] {
        let text = case.says(&[command, "out"]);
        assert!(text.contains("Partial: 1 of 2 runs are over"), "{command}: {text}");
    }
    assert!(case.read("out/report.html").contains("Partial: 1 of 2"));
    fs::create_dir_all(case.path("foreign/runs")).unwrap();
    fs::write(case.path("foreign/runs/a.json"), "{}").unwrap();
    for folder in ["foreign", "nowhere"] {
        let output = case.varangian(&["results", folder]);
        let error = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!((output.status.code(), error.lines().count()), (Some(2), 1), "{error}");
        assert!(error.contains(&format!("{folder} holds no results")), "{error}");
    }
    let far = case.varangian(&["results", "out", "--reach", "85"]);
    assert_eq!(far.status.code(), Some(2));
}

#[test]
fn a_regression_that_diverges_is_readable_in_tables_and_pictures() {
    let case = Case::ran(
        &table(
            "far",
            "dataset = 'linreg'\nrule = ['average', 'median']\nattack = ['none', \
             'sign-flip scale=1e9']\n\
         seed = [1, 2]",
        )
        .replace("dataset = 'logreg'\n", "")
        .replace("steps = 4", "steps = 8"),
    );
    let summary = case.read("out/summary.txt");
    assert!(summary.lines().all(|line| line.chars().count() < 260), "{summary}");
    assert!(summary.contains("2 of 2 diverged"), "{summary}");
    let svg = case.read("out/test_loss.svg");
    assert!(svg.contains("test loss (log scale)") && !svg.contains("000000000<"), "{svg}");
}
