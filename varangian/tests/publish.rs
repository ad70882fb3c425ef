//! What leaves for a paper: a figure and a table by one command each, of two folders, and how
//! folders compare.

use std::path::Path;
use std::process::{Command, Output};
use varangian::lab::config::Settings;
use varangian::lab::results::{Outcome, Store, key};

/// Two folders of one experiment: the second with larger batches, and 4 points better under krum.
fn folders() -> tempfile::TempDir {
    let at = tempfile::tempdir().unwrap();
    for (name, batch, more) in [("small", 32, 0.0), ("large", 64, 0.04)] {
        let store = Store::make(&at.path().join(name)).unwrap();
        for rule in ["median", "krum"] {
            for attack in ["none", "alie", "ipm epsilon=0.5"] {
                for seed in 1..=4 {
                    let settings = Settings {
                        rule: rule.into(),
                        attack: attack.into(),
                        batch,
                        seed,
                        ..Settings::default()
                    };
                    let krum = rule == "krum";
                    let base = if krum { 0.4 + more } else { 0.6 } + 0.03 * seed as f64;
                    let end = if attack == "none" { base + 0.2 } else { base };
                    let mut one = Outcome::sample(rule, attack, seed, &[0.1, end, end]);
                    (one.key, one.settings) = (key(&settings, &[0; 32]), settings);
                    store.save(&one).unwrap();
                }
            }
        }
    }
    at
}

fn command(at: &Path, arguments: &[&str]) -> Output {
    let command = env!("CARGO_BIN_EXE_varangian");
    Command::new(command).args(arguments).current_dir(at).output().unwrap()
}

fn says(at: &Path, arguments: &[&str]) -> String {
    let output = command(at, arguments);
    let error = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{arguments:?}: {error}");
    String::from_utf8(output.stdout).unwrap()
}

/// The style that both commands take, beside the paper.
const STYLE: &str = r#"
rules = ["krum", "median"]
where = ["attack=alie"]
columns = "folder"
width = 3.3
font_size = 8
[labels]
krum = "Krum & co"
small = "batches of 32"
"#;

#[test]
fn a_figure_and_a_table_of_a_paper_are_two_commands() {
    let at = folders();
    let at = at.path();
    std::fs::write(at.join("paper.toml"), STYLE).unwrap();
    let list = says(at, &["plot", "small", "large", "--style", "paper.toml", "--output", "fig"]);
    assert_eq!(list, "fig.svg .pdf .png\n");
    let svg = std::fs::read_to_string(at.join("fig.svg")).unwrap();
    for text in [" width=\"3.3in\"", ">batches of 32</text>", ">large</text>", "Krum &amp; co"] {
        assert!(svg.contains(text), "{text} is not in {svg}");
    }
    assert!(!svg.contains("ipm"));
    let png = image::open(at.join("fig.png")).unwrap();
    let pdf = std::fs::read(at.join("fig.pdf")).unwrap();
    let pdf = String::from_utf8_lossy(&pdf);
    // 3.3 inches are 237.6 points and, at 300 dots an inch, 990 pixels; both have one shape.
    let size = pdf.split("/MediaBox [0 0 ").nth(1).unwrap().split(']').next().unwrap();
    let size: Vec<f64> = size.split(' ').map(|text| text.parse().unwrap()).collect();
    assert!((size[0] - 237.6).abs() < 0.1 && png.width() == 990, "{size:?} {}", png.width());
    let shape = f64::from(png.height()) / f64::from(png.width());
    assert!((size[1] / size[0] - shape).abs() < 0.01, "{size:?}");

    let table = says(at, &["table", "small", "large", "--style", "paper.toml"]);
    let line = |name: &str| table.lines().find(|line| line.starts_with(name)).unwrap().to_owned();
    assert_eq!(line("rule"), "rule & batches of 32 & large & worst \\\\");
    assert!(line("Krum \\& co").contains(" & 47.5 $\\pm$ 6.2 & 51.5 $\\pm$ 6.2 & "), "{table}");
    assert!(line("median").contains("\\textbf{67.5} $\\pm$ 6.2"), "{table}");
    assert!(table.find("Krum").unwrap() < table.find("median &").unwrap());
    says(at, &["table", "small", "--output", "t.tex"]);
    assert!(std::fs::read_to_string(at.join("t.tex")).unwrap().contains("\\begin{tabular}{lrrrr}"));
    let csv = says(at, &["table", "small", "large", "--as", "csv"]);
    assert_eq!(csv.lines().next(), Some("folder,rule,column,mean,half,seeds,marks"));
    let methods = says(at, &["table", "small", "large", "--methods"]);
    assert!(methods.contains("small: We train mlp on glyphs") && methods.contains("of 64 samples"));
}

#[test]
fn folders_are_compared_in_pairs() {
    let at = folders();
    let at = at.path();
    let text = says(at, &["compare", "small", "large", "--picture", "ranks"]);
    assert!(
        text.contains("large less small: 24 pairs of 24 and 24 runs; batch: 32 → 64"),
        "{text}"
    );
    let krum = text.lines().find(|line| line.starts_with("krum ")).unwrap();
    let cells: Vec<&str> =
        krum.split("  ").map(str::trim).filter(|cell| !cell.is_empty()).collect();
    assert_eq!(cells[..5], ["krum", "+4.0", "+4.0", "+4.0", "3 of 3"], "{text}");
    assert!(text.contains("Over 3 settings; Friedman's test") && text.contains("(Nemenyi, 5 %)"));
    assert!(text.contains("2 rules at once"), "{text}");
    for ending in ["svg", "png", "pdf"] {
        assert!(at.join(format!("ranks.{ending}")).is_file(), "{ending}");
    }
    let json: serde_json::Value =
        serde_json::from_str(&says(at, &["compare", "small", "large", "--json"])).unwrap();
    assert_eq!(json["comparisons"][0]["runs"], serde_json::json!([24, 24, 24]));
    assert_eq!(json["ranks"]["names"].as_array().unwrap().len(), 4);
    // Of one folder there are ranks alone.
    let alone = says(at, &["compare", "small", "--label", "krum=K"]);
    assert!(alone.starts_with("mean rank  of 2\n") && alone.contains("\nK  "), "{alone}");
}

#[test]
fn what_is_asked_in_vain_is_one_line() {
    let at = folders();
    let at = at.path();
    let odd: [(&[&str], &str); 7] = [
        (&["table", "small", "--where", "atack=alie"], "did you mean \"attack\""),
        (&["table", "small", "--rule", "krumm"], "did you mean \"krum\""),
        (&["table", "small", "--rest", "wurst"], "did you mean \"worst\""),
        (&["plot", "small", "--where", "attack=mimic"], "no run has attack=mimic"),
        (&["plot", "small", "--width", "0"], "0.5 to 100 inches wide; found 0"),
        (&["plot", "small", "--format", "gif"], "svg, png or pdf; found gif"),
        (&["compare", "nowhere"], "nowhere holds no results"),
    ];
    for (arguments, wanted) in odd {
        let output = command(at, arguments);
        let error = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.code() != Some(0), "{arguments:?}");
        assert!(error.contains(wanted) && error.trim_end().lines().count() == 1, "{error}");
    }
}
