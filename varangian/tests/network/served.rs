//! A server and its workers as processes of this machine.

use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// How long anything here may take.
const PATIENCE: Duration = Duration::from_secs(240);

/// A folder with an experiment, and the processes that were started for it; they end with it.
pub(crate) struct Site {
    folder: tempfile::TempDir,
    processes: Vec<(String, Child)>,
}

impl Drop for Site {
    fn drop(&mut self) {
        for (_, process) in &mut self.processes {
            let _ = process.kill();
            let _ = process.wait();
        }
    }
}

impl Site {
    pub(crate) fn new(experiment: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("e.toml"), experiment).unwrap();
        Site { folder, processes: Vec::new() }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_varangian"));
        command.current_dir(self.folder.path()).args(words).env("RAYON_NUM_THREADS", "1");
        command
    }

    /// Runs a command to its end: whether it went well, and what it printed.
    pub(crate) fn said(&self, words: &[&str]) -> (bool, String) {
        let output = self.command(words).output().unwrap();
        let text = [output.stdout, output.stderr].concat();
        (output.status.success(), String::from_utf8_lossy(&text).into_owned())
    }

    /// Starts a process; what it says goes into a file of its name.
    pub(crate) fn start(&mut self, name: &str, words: &[&str]) {
        let file = fs::File::create(self.path(&format!("{name}.log"))).unwrap();
        let mut command = self.command(words);
        command.stdin(Stdio::null()).stdout(file.try_clone().unwrap()).stderr(file);
        self.processes.push((name.to_owned(), command.spawn().unwrap()));
    }

    /// Serves the experiment in folder `out`, on loopback; the port that it listens on.
    pub(crate) fn serve(&mut self, name: &str, port: u16, more: &[&str]) -> u16 {
        let listen = format!("127.0.0.1:{port}");
        let words = [&["serve", "e.toml", "--listen", &listen, "--out", "served"], more].concat();
        self.start(name, &words);
        let begun = Instant::now();
        loop {
            let said = self.log(name);
            if let Some(rest) = said.split("workers at 127.0.0.1:").nth(1) {
                return rest.split(|c: char| !c.is_ascii_digit()).next().unwrap().parse().unwrap();
            }
            assert!(begun.elapsed() < PATIENCE, "no server: {said}");
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// Starts worker `id` of a server without certificates.
    pub(crate) fn work(&mut self, id: u32, port: u16) {
        let (id, server) = (id.to_string(), format!("127.0.0.1:{port}"));
        self.start(
            &format!("worker-{id}"),
            &["work", "--server", &server, "--worker", &id, "--threads", "1"],
        );
    }

    /// Starts a drill of these workers.
    pub(crate) fn drill(&mut self, ids: &[u32], attack: &str, port: u16) {
        let server = format!("127.0.0.1:{port}");
        let ids: Vec<String> = ids.iter().map(u32::to_string).collect();
        let mut words = vec!["work", "--server", &server, "--attack", attack, "--threads", "1"];
        ids.iter().for_each(|id| words.extend(["--worker", id]));
        self.start("drill", &words);
    }

    pub(crate) fn log(&self, name: &str) -> String {
        fs::read_to_string(self.path(&format!("{name}.log"))).unwrap_or_default()
    }

    pub(crate) fn kill(&mut self, name: &str) {
        let at = self.processes.iter().position(|(of, _)| of == name).expect("it runs");
        let (_, mut process) = self.processes.remove(at);
        process.kill().unwrap();
        process.wait().unwrap();
    }

    /// Waits for a process's end: its exit code.
    pub(crate) fn ended(&mut self, name: &str) -> Option<i32> {
        let of = |(of, _): &&mut (String, Child)| of == name;
        let (_, process) = self.processes.iter_mut().find(of).expect("it was started");
        process.wait().unwrap().code()
    }

    /// Waits for a process's end, which is a good one.
    pub(crate) fn wait(&mut self, name: &str) {
        let begun = Instant::now();
        loop {
            let of = |(of, _): &&mut (String, Child)| of == name;
            let (_, process) = self.processes.iter_mut().find(of).expect("it was started");
            if let Some(status) = process.try_wait().unwrap() {
                assert!(status.success(), "{name}: {}", self.log(name));
                return;
            }
            assert!(begun.elapsed() < PATIENCE, "{name} goes on: {}", self.log(name));
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// Waits until the server's state says so.
    pub(crate) fn until(&self, what: &str, mut is_so: impl FnMut(&str) -> bool) {
        let begun = Instant::now();
        loop {
            let (_, said) = self.said(&["top", "served/admin.sock", "--once"]);
            if is_so(&said) {
                return;
            }
            assert!(begun.elapsed() < PATIENCE, "never {what}: {said}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// The step that the server is at, by `top`.
    pub(crate) fn step(&self) -> u64 {
        let (_, said) = self.said(&["top", "served/admin.sock", "--once"]);
        let after = said.split(": step ").nth(1).and_then(|rest| rest.split(' ').next());
        after.and_then(|step| step.parse().ok()).unwrap_or(0)
    }

    /// The experiment run in one process.
    pub(crate) fn lockstep(&self) -> Value {
        let (well, said) = self.said(&["run", "e.toml", "--out", "here", "--quiet"]);
        assert!(well, "{said}");
        outcome(&self.path("here"))
    }

    /// What the served run left.
    pub(crate) fn served(&self) -> Value {
        outcome(&self.path("served"))
    }
}

/// The one outcome of a folder of results, with its curves as rows of (step, metric, value).
pub(crate) fn outcome(folder: &Path) -> Value {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder.join("runs")).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|end| end == "json") {
            let text = fs::read_to_string(&path).unwrap();
            let mut outcome: Value = serde_json::from_str(&text).unwrap();
            let rows = fs::read_to_string(path.with_extension("csv")).unwrap();
            let cells = |row: &str| {
                row.split(',').map(|cell| cell.trim_matches('"').to_owned()).collect::<Vec<_>>()
            };
            outcome["rows"] = rows.lines().skip(1).map(cells).collect::<Vec<_>>().into();
            found.push(outcome);
        }
    }
    assert_eq!(found.len(), 1, "one outcome in {}", folder.display());
    found.remove(0)
}

/// The last value of a metric.
pub(crate) fn last(outcome: &Value, metric: &str) -> f64 {
    let rows = outcome["rows"].as_array().unwrap();
    let of = rows.iter().rev().find(|row| row[1] == metric);
    let value = of.unwrap_or_else(|| panic!("{metric} in {rows:?}"))[2].as_str().unwrap();
    value.parse().unwrap()
}
