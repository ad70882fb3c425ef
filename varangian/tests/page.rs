//! The page of `varangian watch` in a browser without a screen. Without Chromium the test says so
//! and ends; VARANGIAN_CHROMIUM names one that is not on the path.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

const SMALL: &str = r#"
name = "paged"
dataset = "logreg"
model = "logreg-net"
n = 7
f = 2
batch = 8
steps = 40
evaluate_every = 10
rule = ["median", "krum"]
attack = ["none", "non-finite"]
"#;

fn chromium() -> Option<PathBuf> {
    let named = std::env::var_os("VARANGIAN_CHROMIUM").map(PathBuf::from);
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders: Vec<PathBuf> = std::env::split_paths(&path).collect();
    let names = ["chromium", "chromium-browser", "google-chrome"];
    let found = folders.iter().flat_map(|folder| names.map(|name| folder.join(name)));
    named.into_iter().chain(found).find(|file| file.is_file())
}

/// Ends the server with the test.
struct Server(Child);

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn serve(folder: &Path) -> (Server, String) {
    let mut child = Command::new(env!("CARGO_BIN_EXE_varangian"))
        .args(["watch", "out", "--http", "127.0.0.1:0"])
        .current_dir(folder)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut address = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut address).unwrap();
    (Server(child), address.trim().to_owned())
}

#[test]
fn a_browser_shows_curves_weights_and_refusals() {
    let Some(chromium) = chromium() else {
        eprintln!("skipped: Chromium is not on the path; set VARANGIAN_CHROMIUM to one");
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("e.toml"), SMALL).unwrap();
    let run = Command::new(env!("CARGO_BIN_EXE_varangian"))
        .args(["run", "e.toml", "--out", "out", "--quiet"])
        .current_dir(folder.path())
        .status();
    assert!(run.unwrap().success());
    // As `varangian run` writes it each second of a longer run.
    let live = r#"[{"key":"a","rule":"krum","attack":"alie","seed":3,"step":20,"steps":40,
        "setting":"n=7",
        "curve":[[0,0.1],[10,0.5],[15,null],[20,0.6]],"classifies":true,"weights":[1.0,0.0,0.25],
        "refused":[0,0,7],"reasons":{"not-finite":7},"hostile":[2],"expelled":[2],"skipped":1}]"#;
    // Also each second: a browser may take long to start, and a silent run is said to be silent.
    let path = folder.path().join("out/live.json");
    std::fs::write(&path, live).unwrap();
    std::thread::spawn(move || {
        while std::fs::write(&path, live).is_ok() {
            std::thread::sleep(std::time::Duration::from_secs(1));
        }
    });
    let (_server, address) = serve(folder.path());
    let profile = folder.path().join("profile");
    let output = Command::new(chromium)
        .args(["--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking"])
        .args(["--disable-component-update", "--disable-sync", "--no-first-run"])
        .arg(format!("--user-data-dir={}", profile.display()))
        .args(["--dump-dom", &address])
        .output()
        .unwrap();
    let page = String::from_utf8_lossy(&output.stdout);
    let has = |text: &str| assert!(page.contains(text), "{text} is not in {page}");
    has("4 of 4 runs over, going on: 1");
    has("<title>4/4 paged</title>");
    has("krum × alie <small>n=7, seed 3, step 20 of 40, 60.0 %</small>");
    has("worker 2, hostile: 0.2500");
    has("refused: not-finite 7; worker 2");
    has("expelled: worker 2");
    has("skipped: 1 of 20 steps");
    // The one that goes on leaves the numbers and comes back: a cross, and two lines.
    assert_eq!(page.matches("class=\"left\"").count(), 1, "{page}");
    // A curve a rule in each of two panels, and the one that goes on.
    assert_eq!(page.matches("<polyline points=\"").count(), 6, "{page}");
    has("aria-label=\"non-finite\"");
    assert!(!page.contains("NaN"), "{page}");
}
