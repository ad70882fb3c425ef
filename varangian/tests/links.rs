//! No link of a page leads nowhere: README.md and its like, docs/, the book, the wheel's page.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Component, Path, PathBuf};
use std::process::Command;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_path_buf()
}

/// Every page of Markdown that people read, from the root.
fn pages() -> Vec<PathBuf> {
    let top = fs::read_dir(root()).unwrap().map(|entry| entry.unwrap().path());
    let mut out: Vec<PathBuf> = top.filter(|path| path.is_file()).collect();
    let mut folders: Vec<PathBuf> =
        ["docs", "book", "python", "deploy"].iter().map(|name| root().join(name)).collect();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() { folders.push(path) } else { out.push(path) }
        }
    }
    out.retain(|path| path.extension().is_some_and(|ending| ending == "md"));
    out.sort();
    out
}

/// The text outside blocks, code in lines, and comments (what the book shows once a page is there).
fn prose(text: &str) -> String {
    let mut inside = false;
    let lines = text.lines().filter(|line| {
        let fence = line.trim_start().starts_with("```");
        inside ^= fence;
        !fence && !inside
    });
    let text: String = lines.map(|line| format!("{line}\n")).collect();
    let text = text.split('`').step_by(2).collect::<Vec<_>>().join("`");
    let after = |part: &str| part.split_once("-->").map(|(_, rest)| rest.to_owned());
    let mut parts = text.split("<!--");
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |out, part| out + &after(part).unwrap_or_default())
}

/// Where the links of a page lead.
fn links(text: &str) -> Vec<String> {
    let parts = text.split("](").skip(1);
    let ends = parts.filter_map(|part| part.split_once(')').map(|(target, _)| target.to_owned()));
    ends.filter(|target| !target.contains(char::is_whitespace)).collect()
}

/// The anchors of a page's headings.
fn anchors(text: &str) -> BTreeSet<String> {
    let headings = text.lines().filter(|line| line.starts_with('#'));
    let anchor = |heading: &str| {
        let words = heading.trim_start_matches('#').trim().to_lowercase();
        let kept = words.chars().filter(|c| c.is_alphanumeric() || " -_".contains(*c));
        kept.map(|c| if c == ' ' { '-' } else { c }).collect()
    };
    headings.map(anchor).collect()
}

/// A path without `.` and `..`.
fn plain(path: &Path) -> PathBuf {
    let mut out = PathBuf::new();
    for part in path.components() {
        match part {
            Component::ParentDir => drop(out.pop()),
            Component::CurDir => {}
            other => out.push(other),
        }
    }
    out
}

/// What is wrong with a link of a page, if anything is.
fn fault(page: &Path, target: &str, reference: &Path) -> Option<String> {
    if ["https://", "http://", "mailto:"].iter().any(|start| target.starts_with(start)) {
        return None;
    }
    let (path, anchor) = target.split_once('#').unwrap_or((target, ""));
    let file = match path {
        "" => page.to_path_buf(),
        _ => plain(&page.parent().unwrap().join(path)),
    };
    // The reference is written when the book is built.
    let file = match file.strip_prefix(root().join("book/reference")) {
        Ok(below) => reference.join(below),
        Err(_) => file,
    };
    if !file.exists() {
        return Some(format!("{}: {target} leads nowhere", page.display()));
    }
    let known = anchor.is_empty() || anchors(&fs::read_to_string(&file).unwrap()).contains(anchor);
    (!known).then(|| format!("{}: {target} has no such heading", page.display()))
}

#[test]
fn every_link_of_every_page_leads_somewhere() {
    let folder = tempfile::tempdir().unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_varangian"));
    let done = command.args(["catalogue", "--pages"]).arg(folder.path()).output().unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    let mut count = BTreeMap::new();
    let mut faults = Vec::new();
    for page in pages() {
        let text = prose(&fs::read_to_string(&page).unwrap());
        for target in links(&text) {
            *count.entry(page.clone()).or_insert(0) += 1;
            faults.extend(fault(&page, &target, folder.path()));
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
    assert!(count.values().sum::<usize>() > 120, "{count:?}");
    // The reference itself: its pages link to one another.
    let index = fs::read_to_string(folder.path().join("rules/index.md")).unwrap();
    for target in links(&index) {
        assert!(folder.path().join("rules").join(&target).exists(), "{target}");
    }
}

#[test]
fn a_dead_link_is_found() {
    let page = root().join("README.md");
    let of = |target: &str| fault(&page, target, Path::new("/nowhere"));
    assert!(of("docs/threats.md").is_none() && of("https://example.org").is_none());
    assert!(of("docs/threat.md").unwrap().contains("leads nowhere"));
    assert!(of("docs/threats.md#not-promised").is_none());
    assert!(of("docs/threats.md#no-such").unwrap().contains("no such heading"));
    assert!(of("book/reference/rules/krum.md").is_some());
    assert_eq!(links(&prose("a [b](c.md) `[d](e)`\n```\n[f](g)\n```\n<!-- [h](i) -->")), ["c.md"]);
}
