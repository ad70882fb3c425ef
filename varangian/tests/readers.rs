//! Whoever reads a folder of results waits for no pipe and follows no link, under whatever name one
//! stands there.
#![cfg(unix)]

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

const SMALL: &str = "name = \"small\"\ndataset = \"logreg\"\nmodel = \"logreg-net\"\nn = 5\nf = 1\n\
                     batch = 4\nsteps = 4\nevaluate_every = 2\nrule = [\"average\", \"median\"]\n";

/// What stands in place of a file.
const TRAPS: [&str; 4] = ["pipe", "link", "folder", "endless"];

/// A text that no command may show: it stands outside the folder.
const SECRET: &str = "name = \"secret-9e1f\"";

fn set(trap: &str, at: &Path, outside: &Path) {
    fs::remove_file(at).unwrap();
    match trap {
        "pipe" => {
            let made = Command::new("mkfifo").arg(at).status().unwrap();
            assert!(made.success());
        }
        "link" => symlink(outside, at).unwrap(),
        "folder" => fs::create_dir(at).unwrap(),
        _ => symlink("/dev/zero", at).unwrap(),
    }
}

/// What a command prints; it must end by itself.
fn ends(folder: &Path, words: &[&str]) -> String {
    let mut child = Command::new(env!("CARGO_BIN_EXE_varangian"))
        .current_dir(folder)
        .args(words)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // The page is served until it is ended: it ends once it has said where.
    let serves = words[0] == "watch";
    for _ in 0..1000 {
        std::thread::sleep(Duration::from_millis(10));
        if child.try_wait().unwrap().is_some() {
            let output = child.wait_with_output().unwrap();
            let text = [output.stdout, output.stderr].concat();
            let text = String::from_utf8_lossy(&text).into_owned();
            assert!(!text.contains("panicked"), "{words:?}: {text}");
            return text;
        }
        if serves && reaches(&mut child) {
            child.kill().unwrap();
            child.wait().unwrap();
            return String::new();
        }
    }
    child.kill().unwrap();
    panic!("{words:?} does not end");
}

/// Whether the server has printed its address, read without waiting for more.
fn reaches(child: &mut std::process::Child) -> bool {
    use std::io::Read;
    let Some(out) = child.stdout.as_mut() else { return true };
    let mut one = [0; 7];
    out.read_exact(&mut one).is_ok_and(|()| one.starts_with(b"http://"))
}

#[test]
fn no_reader_waits_for_a_pipe_or_follows_a_link() {
    let home = tempfile::tempdir().unwrap();
    let at = |name: &str| home.path().join(name);
    fs::write(at("e.toml"), SMALL).unwrap();
    fs::write(at("secret.toml"), SECRET).unwrap();
    let first = ends(home.path(), &["run", "e.toml", "--out", "out", "--quiet"]);
    assert_eq!(first, "");
    fs::write(at("out/live.json"), "[]").unwrap();
    let mut names: Vec<PathBuf> = fs::read_dir(at("out"))
        .unwrap()
        .chain(fs::read_dir(at("out/runs")).unwrap())
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.is_file())
        .collect();
    names.sort();
    // Pictures are written over and never read.
    names.retain(|path| path.extension().is_none_or(|end| end != "svg" && end != "png"));
    assert!(names.len() >= 10, "{names:?}");
    for name in names {
        for trap in TRAPS {
            let kept = fs::read(&name).unwrap();
            set(trap, &name, &at("secret.toml"));
            for words in [
                &["results", "out"][..],
                &["plot", "out"],
                &["report", "out"],
                &["tensorboard", "out"],
                &["replay", "out", "--step", "0"],
                &["watch", "out", "--http", "127.0.0.1:0"],
                &["run", "e.toml", "--out", "out", "--dry-run"],
            ] {
                let text = ends(home.path(), words);
                assert!(!text.contains("secret-9e1f"), "{trap} {name:?} {words:?}: {text}");
            }
            let report = fs::read_to_string(at("out/report.html")).unwrap_or_default();
            assert!(!report.contains("secret-9e1f"), "{trap} {name:?}");
            // A command may have put its own file there.
            let _ = fs::remove_dir(&name).or_else(|_| fs::remove_file(&name));
            fs::write(&name, kept).unwrap();
        }
    }
}
