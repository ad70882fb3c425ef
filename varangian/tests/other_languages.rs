//! Rows from another language: the example in C, where a compiler is at hand.

use std::path::Path;
use std::process::Command;

#[test]
fn the_example_in_c_gets_the_answer() {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/rows.c");
    let folder = tempfile::tempdir().unwrap();
    let built = Command::new("cc")
        .args(["-Wall", "-Wextra", "-Werror", "-o", "rows"])
        .arg(source)
        .current_dir(folder.path())
        .status();
    let Ok(built) = built else {
        eprintln!("skipped: no C compiler is on the path");
        return;
    };
    assert!(built.success());
    let run = || {
        Command::new(folder.path().join("rows"))
            .env("VARANGIAN", env!("CARGO_BIN_EXE_varangian"))
            .current_dir(folder.path())
            .output()
            .unwrap()
    };
    let done = run();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    let text = String::from_utf8(done.stdout).unwrap();
    let found: Vec<f32> = text.lines().map(|line| line.parse().unwrap()).collect();
    let near = |(k, x): (usize, &f32)| (x - k as f32).abs() < 0.05;
    assert!(found.len() == 5 && found.iter().enumerate().all(near), "{found:?}");
}
