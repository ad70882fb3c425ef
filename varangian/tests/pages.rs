//! What the pages say is what the command does: every block of README.md, ARCHITECTURE.md, docs/
//! and the book, every command in their sentences, and every example below a `--help`, as it
//! stands.
//!
//! Commands that train are run with fewer steps, seeds and test samples ([`SHRINK`]), on the folder
//! `~/data` of made-up files; what cannot be run so stands in [`NOT_RUN`] with its reason.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use varangian::lab::config::{Experiment, Source};

/// Commands that are not run, by how they begin, and why.
const NOT_RUN: &[(&str, &str)] = &[
    ("./check", "runs this test among all others"),
    ("cargo install", "builds a second copy"),
    ("cargo bench", "measures for minutes"),
    ("python bench/peers", "measures for minutes, and needs PyTorch"),
    ("python python/drills/byzfl_grid.py", "trains for an hour, and needs PyTorch and MNIST"),
    ("python python/drills/bad_rank.py", "trains for minutes, and needs PyTorch"),
    ("python python/drills/hostile_replies.py", "needs Flower"),
    ("python python/drills/superlink.py", "runs for minutes, and needs Flower"),
    ("python python/drills/small_site.py", "needs the wheel"),
    ("cd burn", "builds 200 crates for ten minutes"),
    ("cargo run --release --example gradient", "measures; its FOLDER holds PyTorch's gradients"),
    ("cargo run --release -p varangian-rules", "holds certificates to steps for minutes"),
    ("varangian reproduce signsgd", "takes more than a minute: three experiments of ten seeds"),
    ("varangian run experiments/methods/NAME.toml", "NAME stands for one of six"),
    ("varangian reproduce NAME", "NAME stands for one of six"),
    ("varangian reproduce momentum", "takes hours: 184 runs of 51 workers"),
    ("varangian run experiments/worst-mnist.toml", "takes minutes however few the steps: searches"),
    ("varangian leaderboard my-entries", "wants entries of one's own"),
    ("varangian report my-entries", "wants entries of one's own"),
    ("varangian benchmark", "judges for minutes; lab/src/benchmark has its tests"),
    ("varangian run experiments/cifar10/NAME.toml", "NAME stands for one of four; takes days"),
    ("varangian run`", "no whole command"),
    ("varangian watch", "serves until it is stopped"),
    ("varangian serve", "serves until its run is over; varangian/tests/network.rs does"),
    ("varangian work", "wants a server; varangian/tests/network.rs has one"),
    ("varangian top", "wants a server"),
    ("varangian admin", "wants a server"),
    ("varangian verify", "wants a server's audit; varangian/tests/network.rs has some"),
    ("varangian evidence FILE`", "no whole command"),
    (
        "varangian evidence runs/served-served",
        "wants a server's; varangian/tests/network.rs has some",
    ),
    ("varangian ca", "its steps want each other's files; net/src/authority has its tests"),
];

/// A line of a guard's evidence.
const EVIDENCE: &str = r#"{"format":"varangian-evidence","version":1,"rule":"median","n":4,"f":1,"d":9,"step":3,"worker":1,"weight":null,"norm":2.5,"distance":1.0,"verdict":"kept","reason":null,"p":null,"alarms":[{"kind":"step","layer":"head","statistic":"norm","p":1e-9}]}"#;

/// What makes a training command short. Nothing else is changed, but for those in [`LARGE`].
const SHRINK: &str = " --set steps=6 --set evaluate_every=3 --set test_samples=50 --seed 1";

/// Experiments of a hundred runs of a network of a million parameters: minutes even so, and less
/// with fewer samples in a step.
const LARGE: (&str, &str) = ("varangian reproduce bucketing ", " --set batch=2 --set steps=3");

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_path_buf()
}

/// The pages, by their path from the root.
fn pages() -> Vec<String> {
    let mut pages = vec!["README.md".to_owned(), "ARCHITECTURE.md".to_owned()];
    for folder in ["docs", "docs/momentum-mnist", "book", "book/systems"] {
        for entry in fs::read_dir(root().join(folder)).unwrap() {
            let name = entry.unwrap().file_name().into_string().unwrap();
            if name.ends_with(".md") {
                pages.push(format!("{folder}/{name}"));
            }
        }
    }
    pages.sort();
    pages
}

fn page(name: &str) -> String {
    fs::read_to_string(root().join(name)).unwrap()
}

/// (language, text) of every fenced block.
fn blocks(text: &str) -> Vec<(String, String)> {
    let (mut out, mut open) = (Vec::new(), None::<(String, String)>);
    for line in text.lines() {
        match (line.trim_start().strip_prefix("```"), &mut open) {
            (Some(language), None) => open = Some((language.trim().to_owned(), String::new())),
            (Some(_), Some(_)) => out.extend(open.take()),
            (None, Some((_, text))) => text.push_str(&format!("{line}\n")),
            (None, None) => {}
        }
    }
    out
}

/// What stands between single backquotes, outside blocks.
fn spans(text: &str) -> Vec<String> {
    let mut inside = false;
    let prose: Vec<&str> = text
        .lines()
        .filter(|line| {
            let fence = line.trim_start().starts_with("```");
            inside ^= fence;
            !fence && !inside
        })
        .collect();
    let prose = prose.join("\n");
    prose.split('`').skip(1).step_by(2).map(|span| span.replace('\n', " ")).collect()
}

/// The first block of README.md in a language.
fn readme(language: &str) -> String {
    let found = blocks(&page("README.md")).into_iter().find(|(own, _)| own == language);
    found.unwrap_or_else(|| panic!("README.md has a block of {language}")).1
}

/// A folder with all that commands speak of: experiments, `my.toml`, rows, data below `~/data`.
struct Bench {
    folder: tempfile::TempDir,
}

impl Bench {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        fs::create_dir_all(at("data/mnist")).unwrap();
        fs::create_dir(at("docs")).unwrap();
        copy(&root().join("experiments"), &at("experiments"));
        fs::write(at("my.toml"), readme("toml")).unwrap();
        let compare = blocks(&page("book/start-rules.md"));
        let compare = compare.into_iter().find(|(language, _)| language == "toml");
        fs::write(at("compare.toml"), compare.expect("an experiment").1).unwrap();
        for (part, count) in [("train", 1200), ("t10k", 60)] {
            let idx = |magic: u8, more: &[u8], bytes: Vec<u8>| {
                let head = [&[0, 0, 8, magic][..], &u32::to_be_bytes(count)[..], more].concat();
                [head, bytes].concat()
            };
            let pixels = (0..count * 784).map(|i| (i * 7 % 251) as u8).collect();
            let labels = (0..count).map(|i| (i % 10) as u8).collect();
            let sides = [0, 0, 0, 28, 0, 0, 0, 28];
            let images = at(&format!("data/mnist/{part}-images-idx3-ubyte"));
            fs::write(images, idx(3, &sides, pixels)).unwrap();
            let file = at(&format!("data/mnist/{part}-labels-idx1-ubyte"));
            fs::write(file, idx(1, &[], labels)).unwrap();
        }
        fs::write(at("honest.npy"), npy(5, 5)).unwrap();
        fs::write(at("rows.npy"), npy(9, 5)).unwrap();
        fs::write(at("labels.npy"), labels()).unwrap();
        fs::write(at("evidence.jsonl"), EVIDENCE).unwrap();
        Bench { folder }
    }

    fn sh(&self, command: &str) -> Output {
        let bin = Path::new(env!("CARGO_BIN_EXE_varangian")).parent().unwrap();
        let path = format!("{}:{}", bin.display(), std::env::var("PATH").unwrap());
        let mut shell = Command::new("sh");
        shell.current_dir(self.folder.path()).env("HOME", self.folder.path()).env("PATH", path);
        shell.args(["-c", command]).output().unwrap()
    }

    /// Runs a command of a page, unless it is one that is not run; whether it was.
    fn run(&self, place: &str, command: &str) -> bool {
        if NOT_RUN.iter().any(|(start, _)| command.starts_with(start.trim_end_matches('`')))
            && command != "varangian run experiments/first.toml"
            && !command.starts_with("varangian run my.toml")
            && !RUN_ALL_THE_SAME.iter().any(|start| command.starts_with(start))
        {
            return false;
        }
        let command = self.as_here(command);
        let output = self.sh(&command);
        let said = String::from_utf8_lossy(&output.stderr);
        let shown = String::from_utf8_lossy(&output.stdout);
        // A shortened reproduction says that shapes did not come out.
        let judged = command.contains("reproduce") && shown.contains("the publication shows");
        // The share of a tuned experiment that is another machine's is asked for.
        let judged = judged || command.contains("--shard") && said.contains("for other shards");
        let code = output.status.code();
        assert!(
            code == Some(0) || (judged && code == Some(1)),
            "{place}: {command}\n{said}{shown}"
        );
        true
    }

    /// The command with this test's program, folders and lengths in place of the page's.
    fn as_here(&self, command: &str) -> String {
        let mut out = command.replace("cargo run --release -- ", "varangian ");
        out = out.replace("--data DIR", "--data ~/data").replace("~/data/mnist", "~/data");
        out = out.replace("models NAME", "models mlp");
        if out.starts_with("varangian results DIR")
            || out.starts_with("varangian replay")
            || out.starts_with("varangian diagnose")
        {
            let runs = self.folder.path().join("runs");
            let first = |folder: &str| {
                let index = fs::read_to_string(runs.join(folder).join("runs.csv")).unwrap();
                let key = index.lines().nth(1).unwrap().split(',').next().unwrap().to_owned();
                key.trim_matches('"').to_owned()
            };
            out = out.replace("DIR", "runs/first");
            if out.contains("KEY") {
                let folder = out.split(' ').nth(2).unwrap().trim_start_matches("runs/").to_owned();
                out = out.replace("KEY", &first(&folder)).replace("--step 100", "--step 5");
            }
        }
        let trains = ["varangian run ", "varangian reproduce "].iter().any(|s| out.starts_with(s));
        if trains && !out.contains("--help") {
            out.push_str(SHRINK);
            if out.starts_with(LARGE.0) {
                out = out.replace("--set steps=6", LARGE.1.trim_start());
            }
            out.push_str(" --replace");
        }
        out
    }
}

/// Commands that begin as one that is not run does.
const RUN_ALL_THE_SAME: &[&str] = &[
    "varangian run compare.toml",
    "varangian run experiments/network",
    "varangian run experiments/mnist-51",
];

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let (old, new) = (entry.path(), to.join(entry.file_name()));
        match old.is_dir() {
            true => copy(&old, &new),
            false => drop(fs::copy(old, new).unwrap()),
        }
    }
}

/// n × d numbers as an .npy file.
fn npy(n: usize, d: usize) -> Vec<u8> {
    let mut head = format!("{{'descr': '<f4', 'fortran_order': False, 'shape': ({n}, {d}), }}");
    while (10 + head.len() + 1) % 64 != 0 {
        head.push(' ');
    }
    head.push('\n');
    let mut out = b"\x93NUMPY\x01\x00".to_vec();
    out.extend((head.len() as u16).to_le_bytes());
    out.extend(head.as_bytes());
    (0..n * d).for_each(|i| out.extend(((i % 13) as f32 * 0.25).to_le_bytes()));
    out
}

/// Four labels as a vector of bytes.
fn labels() -> Vec<u8> {
    let head = "{'descr': '|u1', 'fortran_order': False, 'shape': (4,), }\n";
    let length = (head.len() as u16).to_le_bytes();
    [&b"\x93NUMPY\x01\x00"[..], &length, head.as_bytes(), &[0, 3, 9, 7]].concat()
}

/// The commands of a page: the lines of its sh blocks, and what its sentences quote.
fn commands(text: &str) -> Vec<String> {
    let lines = blocks(text).into_iter().filter(|(language, _)| language == "sh");
    let lines: Vec<String> = lines
        .flat_map(|(_, text)| text.lines().map(str::to_owned).collect::<Vec<_>>())
        .map(|line| line.split(" #").next().unwrap_or_default().trim().to_owned())
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
        .collect();
    let begins = |span: &String| {
        ["varangian ", "cargo run", "cargo bench", "cd burn", "./check"]
            .iter()
            .any(|start| span.starts_with(start))
    };
    lines.into_iter().chain(spans(text).into_iter().filter(begins)).collect()
}

#[test]
fn every_command_of_every_page_runs_or_stands_among_those_that_cannot() {
    let bench = Bench::new();
    let (mut seen, mut ran) = (BTreeSet::new(), 0);
    for name in pages() {
        let text = page(&name);
        for (language, _) in blocks(&text) {
            let known = ["sh", "toml", "python", "rust", "text"];
            assert!(known.contains(&language.as_str()), "{name}: a block of \"{language}\"");
        }
    }
    // README first: it makes what other pages speak of.
    let mut order = pages();
    order.sort_by_key(|name| name != "README.md");
    for name in order {
        // A command may write it anew.
        fs::write(bench.folder.path().join("rows.npy"), npy(9, 5)).unwrap();
        for command in commands(&page(&name)) {
            if seen.insert(command.clone()) {
                ran += usize::from(bench.run(&name, &command));
            }
        }
    }
    assert!(ran >= 20, "{ran} of {seen:?}");
    for (start, why) in NOT_RUN {
        let start = start.trim_end_matches('`');
        assert!(
            seen.iter().any(|command| command.starts_with(start)),
            "{start} ({why}) is nowhere"
        );
    }
}

#[test]
fn every_experiment_in_a_block_is_one() {
    for name in pages() {
        for (_, text) in blocks(&page(&name)).iter().filter(|(language, _)| language == "toml") {
            let read = Experiment::parse(text, "page", &Source::default());
            read.unwrap_or_else(|failure| panic!("{name}: {failure}"));
        }
    }
}

#[test]
fn every_line_of_python_runs_where_its_library_is_at_hand() {
    let bench = Bench::new();
    let made = bench.sh("varangian run my.toml -q --set steps=4 --set test_samples=50 --seed 1");
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let blocks = blocks(&page("README.md"));
    let reads = |block: &&(String, String)| block.0 == "python" && block.1.contains("read_parquet");
    for line in blocks.iter().find(reads).expect("a block that reads tables").1.lines() {
        let line = line.split('#').next().unwrap();
        let library = line.split('.').next().unwrap();
        if !bench.sh(&format!("python3 -c 'import {library}'")).status.success() {
            eprintln!("skipped, as there is no {library} here: {line}");
            continue;
        }
        let output = bench.sh(&format!("python3 -c 'import {library}; {line}'"));
        assert!(output.status.success(), "{line}: {}", String::from_utf8_lossy(&output.stderr));
    }
}

#[test]
fn every_pipeline_that_is_quoted_is_one() {
    let mut found = 0;
    let help =
        Bench::new().sh("varangian duel --help; varangian run --help; varangian aggregate --help");
    let mut texts: Vec<(String, String)> =
        pages().iter().map(|name| (name.clone(), page(name))).collect();
    texts.push(("--help".into(), String::from_utf8(help.stdout).unwrap()));
    for (name, text) in texts {
        for quoted in text.replace("\\|", "|").split('"').skip(1).step_by(2) {
            if quoted.contains(" | ") && !quoted.contains('\n') && quoted.len() < 80 {
                varangian_rules::Pipeline::parse(quoted).unwrap_or_else(|e| panic!("{name}: {e}"));
                found += 1;
            }
        }
    }
    assert!(found >= 6, "{found}");
}

#[test]
fn the_examples_below_every_help_run() {
    let bench = Bench::new();
    let top = String::from_utf8(bench.sh("varangian --help").stdout).unwrap();
    let names = top.lines().skip_while(|line| !line.starts_with("Commands:")).skip(1);
    let names: Vec<&str> = names
        .take_while(|line| !line.is_empty())
        .filter_map(|line| line.split_whitespace().next())
        .collect();
    assert!(names.len() > 20, "{top}");
    let (mut seen, mut ran) = (BTreeSet::new(), 0);
    for name in std::iter::once("").chain(names.into_iter().filter(|name| *name != "help")) {
        let help = bench.sh(&format!("varangian {name} --help"));
        assert!(help.status.success(), "{name}");
        for line in String::from_utf8(help.stdout).unwrap().lines() {
            let line = line.trim();
            let command = line.split("  #").next().unwrap().trim().to_owned();
            let example = command.starts_with("varangian ") && !command.contains(['<', '[', ',']);
            let example = example || command.starts_with("varangian run my.toml --set");
            if example && seen.insert(command.clone()) {
                ran += usize::from(bench.run(name, &command));
            }
        }
    }
    assert!(ran >= 6, "{seen:?}");
}

#[test]
fn counts_in_words_are_the_counts() {
    const WORDS: [&str; 21] = [
        "zero",
        "one",
        "two",
        "three",
        "four",
        "five",
        "six",
        "seven",
        "eight",
        "nine",
        "ten",
        "eleven",
        "twelve",
        "thirteen",
        "fourteen",
        "fifteen",
        "sixteen",
        "seventeen",
        "eighteen",
        "nineteen",
        "twenty",
    ];
    let counts = [
        ("data sets", varangian_learn::data::ALL.len()),
        ("partitions", varangian_learn::partition::ALL.len()),
        ("aggregation rules", varangian_rules::ALL.len()),
        ("filters", varangian_rules::FILTERS.len()),
    ];
    let mut found = 0;
    for name in ["README.md", "ARCHITECTURE.md", "CHANGELOG.md"] {
        let text = page(name).split_whitespace().collect::<Vec<_>>().join(" ");
        for (what, count) in counts {
            for (at, _) in text.match_indices(what) {
                let word = text[..at].trim_end().rsplit([' ', '(']).next().unwrap().to_lowercase();
                if let Some(said) = WORDS.iter().position(|known| **known == word) {
                    assert_eq!(said, count, "{name}: {word} {what}");
                    found += 1;
                }
            }
        }
    }
    assert!(found >= 2, "{found}");
}
