//! House rules that a program can see: the arrows between crates, and tidy files.
//!
//! Offences that were there before a rule was made stand in `house-ratchet.txt`; new ones fail, and
//! mended ones must be struck off.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Who may depend on whom, tests included. An arrow that is not here fails.
const ARROWS: &[(&str, &[&str])] = &[
    ("base", &[]),
    ("rules", &["base"]),
    ("attacks", &["base"]),
    ("learn", &["base"]),
    ("train", &["base", "rules", "attacks", "learn"]),
    ("sim", &["base", "rules", "attacks", "learn", "train"]),
    ("net", &["base", "rules", "attacks", "learn", "train"]),
    ("lab", &["base", "rules", "attacks", "learn", "train", "sim"]),
    ("papers", &["base", "rules", "attacks", "learn", "train", "sim", "lab"]),
    ("cli", &["base", "rules", "attacks", "learn", "train", "sim", "net", "lab", "papers"]),
    (
        "varangian",
        &["base", "rules", "attacks", "learn", "train", "sim", "net", "lab", "papers", "cli"],
    ),
    ("python", &["base", "rules", "attacks", "learn", "train", "net", "lab", "cli"]),
];

/// Where `unsafe` may stand: the kernels, what writes them at build time, the owner of aligned
/// memory.
const UNSAFE: &[&str] = &[
    "base/build.rs",
    "base/src/kernels",
    "base/src/rows.rs",
    "learn/src/kernels",
    "base/tests",
    "rules/tests",
];

const FILE_LINES: usize = 400;
const FUNCTION_LINES: usize = 70;
const COLUMNS: usize = 100;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the front lies in the root").to_owned()
}

#[test]
fn the_arrows_between_crates_are_the_planned_ones() {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version", "1", "--no-deps", "--offline"])
        .current_dir(root())
        .output()
        .expect("cargo runs");
    let metadata: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
    // The front is called as the whole.
    let short = |name: &str| match name {
        "varangian" => Some("varangian".to_owned()),
        name => name.strip_prefix("varangian-").map(str::to_owned),
    };
    let mut seen = BTreeMap::new();
    for package in metadata["packages"].as_array().expect("packages") {
        let name = package["name"].as_str().and_then(short).expect("packages are varangian-…");
        let dependencies: BTreeSet<String> = package["dependencies"]
            .as_array()
            .expect("dependencies")
            .iter()
            .filter_map(|dependency| short(dependency["name"].as_str().expect("a name")))
            .collect();
        seen.insert(name, dependencies);
    }
    for (name, dependencies) in &seen {
        let planned = ARROWS.iter().find(|(from, _)| from == name);
        let (_, planned) = planned.unwrap_or_else(|| panic!("{name} is not in the plan"));
        for dependency in dependencies {
            assert!(planned.contains(&dependency.as_str()), "{name} must not see {dependency}");
        }
    }
    assert_eq!(seen.len(), ARROWS.len(), "every planned room stands");
}

#[test]
fn files_are_tidy() {
    let mut offences = BTreeSet::new();
    for path in sources() {
        let text = fs::read_to_string(root().join(&path)).expect("a source file is text");
        inspect(&path, &text, &mut offences);
    }
    let ratchet =
        fs::read_to_string(root().join("varangian/tests/house-ratchet.txt")).expect("a list");
    let known: BTreeSet<String> =
        ratchet.lines().filter(|line| !line.starts_with('#')).map(str::to_owned).collect();
    let new: Vec<&String> = offences.difference(&known).collect();
    let mended: Vec<&String> = known.difference(&offences).collect();
    assert!(new.is_empty(), "new offences:\n{}", join(&new));
    assert!(mended.is_empty(), "mended, strike them off house-ratchet.txt:\n{}", join(&mended));
}

fn join(lines: &[&String]) -> String {
    lines.iter().map(|line| line.as_str()).collect::<Vec<_>>().join("\n")
}

/// All Rust files of the workspace, relative to the root.
fn sources() -> Vec<String> {
    let mut found = Vec::new();
    let mut open: Vec<PathBuf> = ARROWS.iter().map(|(name, _)| root().join(name)).collect();
    while let Some(folder) = open.pop() {
        for entry in fs::read_dir(&folder).expect("a folder") {
            let path = entry.expect("an entry").path();
            if path.is_dir() && path.file_name().is_none_or(|name| name != "target") {
                open.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let relative = path.strip_prefix(root()).expect("below the root");
                found.push(relative.to_string_lossy().replace('\\', "/"));
            }
        }
    }
    found.sort();
    found
}

fn inspect(path: &str, text: &str, offences: &mut BTreeSet<String>) {
    let mut offend = |what: &str| {
        offences.insert(format!("{path}: {what}"));
    };
    if !text.starts_with("//!") {
        offend("does not open with a //! sentence");
    }
    let library = text.split("\n#[cfg(test)]\nmod tests {").next().expect("a first part");
    let library = library.split("\n#[cfg(test)]\npub(crate) mod tests {").next().expect("likewise");
    let is_code = path.contains("/src/");
    if is_code && library.lines().count() > FILE_LINES {
        offend("is longer than 400 lines without its tests");
    }
    // A string literal that cannot be broken may be long: papers' titles, help texts.
    let too_wide = |line: &&str| line.chars().count() > COLUMNS && !line.contains('"');
    if text.lines().any(|line| too_wide(&line)) {
        offend("has a line of more than 100 columns");
    }
    for word in ["TODO", "FIXME", "XXX", "unimplemented!", "todo!(", "#[ignore", ".partial_cmp("] {
        if !path.ends_with("house.rs") && text.contains(word) {
            offend(&format!("holds {word}"));
        }
    }
    let allowed = UNSAFE.iter().any(|folder| path.starts_with(folder));
    if !allowed && !path.ends_with("house.rs") && library.contains("unsafe ") {
        offend("holds unsafe outside the kernels");
    }
    if is_code {
        for name in long_functions(library) {
            offend(&format!("fn {name} is longer than 70 lines"));
        }
    }
}

/// Names of functions of more than 70 lines, by rustfmt's indentation: a function ends at the first
/// closing brace in its own column.
fn long_functions(text: &str) -> Vec<String> {
    let lines: Vec<&str> = text.lines().collect();
    let mut long = Vec::new();
    for (start, line) in lines.iter().enumerate() {
        let trimmed = line.trim_start();
        let indent = line.len() - trimmed.len();
        let Some(at) = trimmed.find("fn ").filter(|_| !trimmed.starts_with("//")) else { continue };
        let before = &trimmed[..at];
        let words = ["pub", "pub(crate)", "pub(super)", "unsafe", "const", "async", ""];
        if !before.split(' ').all(|word| words.contains(&word)) {
            continue;
        }
        let opens = |line: &&str| line.ends_with('{') || line.ends_with(';') || line.ends_with('}');
        let head = lines[start..].iter().find(|line| opens(line));
        if head.is_none_or(|line| !line.ends_with('{')) {
            continue;
        }
        let close = format!("{}}}", " ".repeat(indent));
        let length = lines[start..].iter().position(|line| *line == close).unwrap_or(0);
        if length > FUNCTION_LINES {
            let name = trimmed[at + 3..].split(['(', '<']).next().unwrap_or("").to_owned();
            long.push(name);
        }
    }
    long
}
