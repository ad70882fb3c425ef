//! The page of `varangian watch`, and the report, in a browser without a screen. Without Chromium
//! the tests say so and end; VARANGIAN_CHROMIUM names one that is not on the path.

#![allow(clippy::disallowed_methods)] // A page is given its time.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use varangian::lab::results::{Outcome, Store};

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

fn headless(chromium: &Path, folder: &Path) -> Command {
    let mut command = Command::new(chromium);
    let profile = folder.join("profile");
    command
        .args(["--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking"])
        .args(["--disable-component-update", "--disable-sync", "--no-first-run"])
        .arg(format!("--user-data-dir={}", profile.display()));
    command
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
    // Whole at every moment, as `varangian run` writes it: no reader meets half a file.
    let path = folder.path().join("out/live.json");
    let beside = folder.path().join("live.next");
    let write =
        move || std::fs::write(&beside, live).and_then(|()| std::fs::rename(&beside, &path));
    write().unwrap();
    std::thread::spawn(move || {
        while write().is_ok() {
            std::thread::sleep(Duration::from_secs(1));
        }
    });
    let (_server, address) = serve(folder.path());
    let output =
        headless(&chromium, folder.path()).args(["--dump-dom", &address]).output().unwrap();
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

/// The titles of the pages that a browser has open, as it tells whoever asks on its own port.
fn titles(port: &str) -> String {
    let mut stream = TcpStream::connect(format!("127.0.0.1:{port}")).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(2))).unwrap();
    let head = format!("GET /json/list HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n\r\n");
    stream.write_all(head.as_bytes()).unwrap();
    let mut bytes = [0; 16384];
    let mut text = String::new();
    while let Ok(count @ 1..) = stream.read(&mut bytes) {
        text.push_str(&String::from_utf8_lossy(&bytes[..count]));
        if text.trim_end().ends_with(']') {
            break;
        }
    }
    text
}

#[test]
fn an_open_page_follows_the_folder() {
    let Some(chromium) = chromium() else {
        eprintln!("skipped: Chromium is not on the path; set VARANGIAN_CHROMIUM to one");
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let store = Store::make(&folder.path().join("out")).unwrap();
    store.save(&Outcome::sample("krum", "alie", 1, &[0.25, 0.5])).unwrap();
    let (_server, address) = serve(folder.path());
    let mut child = headless(&chromium, folder.path())
        .args(["--remote-debugging-port=0", &address])
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let stderr = BufReader::new(child.stderr.take().unwrap());
    let _browser = Server(child);
    let mut lines = stderr.lines().map_while(Result::ok);
    let said = lines.find(|line| line.starts_with("DevTools listening on ")).unwrap();
    let port = said.split("127.0.0.1:").nth(1).unwrap().split('/').next().unwrap().to_owned();
    let wait = |title: &str| {
        let start = Instant::now();
        while !titles(&port).contains(title) {
            let late = start.elapsed() > Duration::from_secs(20);
            assert!(!late, "{title} is not in {}", titles(&port));
            std::thread::sleep(Duration::from_millis(200));
        }
    };
    wait("\"1/1 out\"");
    store.save(&Outcome::sample("median", "alie", 1, &[0.25, f64::NAN])).unwrap();
    wait("\"2/2 out\"");
}

#[test]
fn the_report_lists_its_runs_under_its_policy() {
    let Some(chromium) = chromium() else {
        eprintln!("skipped: Chromium is not on the path; set VARANGIAN_CHROMIUM to one");
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let store = Store::make(folder.path()).unwrap();
    let hostile = "</script><script>document.title='taken'</script>";
    store.save(&Outcome::sample(hostile, "alie", 1, &[0.25, 0.5])).unwrap();
    store.save(&Outcome::sample("krum", "alie", 1, &[0.25, f64::NAN])).unwrap();
    let notes = r#"{"set_in_vain":[],"left_out":["attack=ipm is the run of none"],"one_run":[]}"#;
    store.write("notes.json", notes.as_bytes()).unwrap();
    let report =
        Command::new(env!("CARGO_BIN_EXE_varangian")).arg("report").arg(folder.path()).status();
    assert!(report.unwrap().success());
    let file = format!("file://{}", folder.path().join("report.html").display());
    let output = headless(&chromium, folder.path()).args(["--dump-dom", &file]).output().unwrap();
    let page = String::from_utf8_lossy(&output.stdout);
    let has = |text: &str| assert!(page.contains(text), "{text} is not in {page}");
    has("<li>attack=ipm is the run of none</li>");
    has("<td class=\"broke\">diverged, never learnt</td>");
    has("<td class=\"n\">not finite</td>");
    has("<td class=\"n\">50.0 %</td>");
    assert!(!page.contains("<title>taken"), "{page}");
}
