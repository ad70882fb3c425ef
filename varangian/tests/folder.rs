//! A results folder is a stranger's file, and many processes share one: what is not as it was
//! written is said and done again, nothing outside is touched, and tables are whole every time.
#![cfg(unix)]

use std::fs;
use std::os::unix::fs::symlink;
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};

/// Eight short runs.
const SMALL: &str = r#"
name = "small"
dataset = "logreg"
model = "logreg-net"
n = 9
f = 2
batch = 16
steps = 20
evaluate_every = 10
learning_rate = 0.05
rule = ["average", "median"]
attack = ["sign-flip scale=4", "none"]
seed = [1, 2]
"#;

const TABLES: [&str; 5] =
    ["results.csv", "results.parquet", "runs.csv", "summary.txt", "accuracy.svg"];

struct Case {
    folder: tempfile::TempDir,
}

impl Case {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("e.toml"), SMALL).unwrap();
        Case { folder }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_varangian"));
        command.current_dir(self.folder.path()).args(words);
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    fn run(&self, out: &str, more: &[&str]) -> Output {
        self.command(&[&["run", "e.toml", "--out", out], more].concat()).output().unwrap()
    }

    /// Runs, wants success, and gives what was said on standard error.
    fn ran(&self, out: &str, more: &[&str]) -> String {
        let output = self.run(out, more);
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{text}");
        text
    }

    fn shell(&self, line: &str) -> Output {
        let mut command = Command::new("sh");
        command.arg("-c").arg(line).current_dir(self.folder.path());
        command.env("V", env!("CARGO_BIN_EXE_varangian")).output().unwrap()
    }

    fn tables(&self, out: &str) -> Vec<Vec<u8>> {
        let read = |file: &&str| fs::read(self.path(&format!("{out}/{file}"))).unwrap();
        TABLES.iter().map(read).collect()
    }

    fn keys(&self, out: &str) -> Vec<String> {
        let table = fs::read_to_string(self.path(&format!("{out}/runs.csv"))).unwrap();
        table.lines().skip(1).map(|line| line.split('"').nth(1).unwrap().to_owned()).collect()
    }

    fn drafts(&self, out: &str) -> usize {
        let in_folder = |name: &str| {
            let names = fs::read_dir(self.path(name)).unwrap().map(|entry| entry.unwrap());
            names.filter(|entry| entry.file_name().to_string_lossy().ends_with(".tmp")).count()
        };
        in_folder(out) + in_folder(&format!("{out}/runs"))
    }
}

#[test]
fn what_was_changed_in_a_folder_is_said_and_done_again() {
    let case = Case::new();
    case.ran("out", &["-q", "--save-models"]);
    let whole = case.tables("out");
    let keys = case.keys("out");
    let file = |k: usize, ending: &str| case.path(&format!("out/runs/{}.{ending}", keys[k]));
    let text = |k: usize, ending: &str| fs::read_to_string(file(k, ending)).unwrap();
    // A header alone, a table cut short, another run's table, an edited table, edited settings.
    fs::write(file(0, "csv"), text(0, "csv").lines().next().unwrap()).unwrap();
    let long = text(1, "csv");
    fs::write(file(1, "csv"), &long[..long.len() / 2]).unwrap();
    fs::copy(file(4, "csv"), file(2, "csv")).unwrap();
    fs::write(file(3, "csv"), text(3, "csv").replacen("0.", "0.9", 1)).unwrap();
    fs::write(file(4, "json"), text(4, "json").replace("batch = 16", "batch = 17")).unwrap();
    // A record of before there were checksums may be anything.
    let old: Vec<String> = text(5, "json")
        .lines()
        .filter(|line| !["\"check\"", "\"format\"", "\"table\""].iter().any(|w| line.contains(w)))
        .map(str::to_owned)
        .collect();
    let old = old.join("\n").replace("0,\n}", "0\n}");
    fs::write(file(5, "json"), old).unwrap();
    // A model with one bit flipped.
    let mut model = fs::read(file(6, "model.safetensors")).unwrap();
    *model.last_mut().unwrap() ^= 64;
    fs::write(file(6, "model.safetensors"), model).unwrap();
    let shown = case.command(&["results", "out"]).output().unwrap();
    let shown = String::from_utf8_lossy(&shown.stdout).into_owned()
        + &String::from_utf8_lossy(&shown.stderr);
    assert!(shown.contains("5 runs are not as they were written"), "{shown}");
    assert!(shown.contains("1 runs carry no checksum"), "{shown}");
    let said = case.ran("out", &["--save-models"]);
    assert!(said.contains("8 runs (7 to do)"), "{said}");
    assert_eq!(said.matches(" is done again: ").count(), 5, "{said}");
    assert!(said.contains("1 runs carry no checksum"), "{said}");
    assert!(case.tables("out") == whole);
    assert!(case.ran("out", &["--save-models"]).contains("8 runs (0 to do)"));
}

#[test]
fn no_name_in_a_folder_reaches_a_file_outside() {
    let case = Case::new();
    case.ran("out", &["-q"]);
    let whole = case.tables("out");
    let key = case.keys("out").remove(0);
    let mine = case.path("mine.txt");
    fs::write(&mine, "mine").unwrap();
    let in_runs = |name: &str| case.path(&format!("out/runs/{key}.{name}"));
    for tensors in [mine.to_str().unwrap(), "../../mine.txt"] {
        fs::remove_file(in_runs("json")).unwrap();
        let old = format!(
            "{{\"step\":3,\"tensors\":\"{tensors}\",\"points\":\"step,metric,value\\n\",\
             \"refused\":{{}},\"skipped\":0}}"
        );
        fs::write(in_runs("checkpoint.json"), old).unwrap();
        fs::write(in_runs("checkpoint"), "no checkpoint").unwrap();
        // Links under every name that the program writes or removes.
        for name in ["live.json", "notes.json", "summary.txt", "results.csv", "report.html"] {
            let _ = fs::remove_file(case.path(&format!("out/{name}")));
            symlink(&mine, case.path(&format!("out/{name}"))).unwrap();
        }
        let said = case.ran("out", &[]);
        assert!(said.contains("no use of its checkpoint, it starts over"), "{said}");
        assert!(case.tables("out") == whole);
        assert!(case.command(&["report", "out"]).output().unwrap().status.success());
        assert!(case.command(&["plot", "out"]).output().unwrap().status.success());
        assert_eq!(fs::read_to_string(&mine).unwrap(), "mine");
        assert!(!in_runs("checkpoint").exists() && !in_runs("checkpoint.json").exists());
    }
    fs::create_dir(case.path("far")).unwrap();
    for name in ["tensorboard", "runs"] {
        let inside = case.path(&format!("out/{name}"));
        let _ = fs::remove_dir_all(&inside);
        symlink(case.path("far"), &inside).unwrap();
        let output = match name {
            "runs" => case.run("out", &[]),
            name => case.command(&[name, "out"]).output().unwrap(),
        };
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "{text}");
        assert!(text.ends_with("found a link\n"), "{text}");
    }
    assert_eq!(fs::read_dir(case.path("far")).unwrap().count(), 0);
}

#[test]
fn eight_shards_at_once_leave_whole_tables_every_time() {
    let case = Case::new();
    case.ran("whole", &["-q"]);
    let whole = case.tables("whole");
    for round in 0..4 {
        let out = format!("out-{round}");
        let start = |shard: usize| -> Child {
            let shard = format!("{shard}/8");
            let words = ["run", "e.toml", "-q", "--threads", "1", "--out", &out, "--shard", &shard];
            case.command(&words).spawn().unwrap()
        };
        let all: Vec<Child> = (1..=8).map(start).collect();
        for child in all {
            let output = child.wait_with_output().unwrap();
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        }
        assert!(case.tables(&out) == whole, "round {round}");
        assert_eq!(case.drafts(&out), 0);
    }
}

#[test]
fn a_closed_pipe_ends_no_training_and_a_full_disk_is_exit_code_2() {
    let case = Case::new();
    case.ran("whole", &["-q"]);
    let line = "($V run e.toml --out piped 2>&1; echo $? > code) | head -1";
    assert!(case.shell(line).status.success());
    assert_eq!(fs::read_to_string(case.path("code")).unwrap(), "0\n");
    assert!(case.tables("piped") == case.tables("whole"));
    let closed = case.shell("$V run e.toml --out closed >&- 2>&-");
    assert!(closed.status.success());
    assert!(case.tables("closed") == case.tables("whole"));
    // Files of at most a block: the first table that is larger cannot be written.
    let output = case.shell("ulimit -f 1; $V run e.toml --out limited -q");
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(2), "{text}");
    assert!(text.contains("cannot write"), "{text}");
    assert_eq!(case.drafts("limited"), 0);
    assert!(case.ran("limited", &[]).contains("8 runs ("));
    assert!(case.tables("limited") == case.tables("whole"));
}

#[test]
fn output_goes_through_devices_and_pipes_and_follows_links() {
    let case = Case::new();
    let catalogue = |output: &str| case.command(&["catalogue", "--output", output]).output();
    assert!(catalogue("plain.md").unwrap().status.success());
    let plain = fs::read(case.path("plain.md")).unwrap();
    let piped = catalogue("/dev/stdout").unwrap();
    assert!(piped.status.success() && piped.stdout == plain);
    assert!(case.shell("$V catalogue --output /dev/stdout > redirected.md").status.success());
    assert_eq!(fs::read(case.path("redirected.md")).unwrap(), plain);
    assert!(case.shell("$V catalogue --output /dev/stdout | head -1").status.success());
    assert!(case.shell("exec 7> seven.md; $V catalogue --output /dev/fd/7").status.success());
    assert_eq!(fs::read(case.path("seven.md")).unwrap(), plain);
    let full = catalogue("/dev/full").unwrap();
    assert_eq!(full.status.code(), Some(2));
    let text = String::from_utf8_lossy(&full.stderr).into_owned();
    assert!(text.starts_with("varangian: cannot write /dev/full: "), "{text}");
    fs::write(case.path("target.md"), "old").unwrap();
    symlink("target.md", case.path("link.md")).unwrap();
    assert!(catalogue("link.md").unwrap().status.success());
    assert_eq!(fs::read(case.path("target.md")).unwrap(), plain);
    assert!(fs::symlink_metadata(case.path("link.md")).unwrap().is_symlink());
}

#[test]
fn an_edited_trace_of_delays_is_another_run() {
    let case = Case::new();
    fs::write(case.path("t.txt"), "1.0\n2.0\n").unwrap();
    let network = "network=network compute=(trace file=t.txt) deadline=5";
    let keys = || {
        let words = ["run", "e.toml", "--dry-run", "--seed", "1", "--set", network];
        let output = case.command(&words).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).lines().nth(1).unwrap().to_owned()
    };
    let before = keys();
    assert_eq!(keys(), before);
    fs::write(case.path("t.txt"), "1.0\n2.5\n").unwrap();
    assert_ne!(keys(), before);
}

#[test]
fn ctrl_c_stops_the_runs_after_a_tuning_too() {
    let case = Case::new();
    fs::write(case.path("e.toml"), format!("{SMALL}[tune]\nlearning_rate = [0.05]\n")).unwrap();
    let words = ["run", "e.toml", "--out", "out", "--set", "steps=1500"];
    let child = case.command(&words).spawn().unwrap();
    let runs = case.path("out/runs");
    let over = || {
        let names = fs::read_dir(&runs).into_iter().flatten().flatten();
        names.filter(|entry| entry.path().extension().is_some_and(|end| end == "json")).count()
    };
    while over() == 0 {
        std::thread::sleep(std::time::Duration::from_millis(2));
    }
    assert!(
        Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap().success()
    );
    let output = child.wait_with_output().unwrap();
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(130), "{text}");
    assert!(text.lines().last().unwrap().starts_with("varangian: interrupted; "), "{text}");
}
