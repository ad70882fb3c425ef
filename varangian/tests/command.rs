//! The `varangian` command as a user meets it: what it refuses, and that results do not depend on
//! threads or interruptions.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

/// A small matrix on generated data: six rules' runs under two attacks.
const SMALL: &str = r#"
name = "small"
dataset = "logreg"
model = "logreg-net"
n = 9
f = 2
batch = 16
steps = 60
evaluate_every = 10
learning_rate = 0.05
rule = ["average", "median", "krum"]
attack = ["sign-flip scale=4", "non-finite"]
seed = [1, 2]
"#;

struct Case {
    folder: tempfile::TempDir,
}

impl Case {
    fn new(text: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("e.toml"), text).unwrap();
        Case { folder }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn command(&self, out: &str, more: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_varangian"));
        command.current_dir(self.folder.path()).arg("run").arg("e.toml").arg("--out").arg(out);
        command.args(more).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    /// Runs, wants exit code 2 and one line, nothing written, and returns the line.
    fn refused(&self, more: &[&str]) -> String {
        let output = self.command("out", more).output().unwrap();
        assert!(!self.path("out").exists(), "nothing is half-written");
        one_line(&output)
    }

    fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap()
    }
}

fn one_line(output: &Output) -> String {
    let text = String::from_utf8_lossy(&output.stderr).trim_end().to_owned();
    assert_eq!(output.status.code(), Some(2), "{text}");
    assert_eq!(text.lines().count(), 1, "{text}");
    text
}

#[test]
fn each_mistake_is_one_line_and_exit_code_2() {
    let small = |set: &str| Case::new(SMALL).refused(&["--set", set]);
    let has = |text: String, wanted: &str| assert!(text.contains(wanted), "{text}");
    has(small("rule=krmu"), "unknown rule \"krmu\"; did you mean \"krum\"?");
    has(small("attack=sign-flop"), "did you mean \"sign-flip\"?");
    has(small("n=6"), "krum needs n ≥ 2f + 3; got n = 6, f = 2");
    has(small("f=5"), "median needs n ≥ 2f + 1; got n = 9, f = 5");
    has(small("f=9"), "f is less than n; got n = 9, f = 9");
    has(small("batch=0"), "batch is at least 1; got 0");
    has(small("dataset=mnsit"), "did you mean \"mnist\"?");
    has(small("nn=3"), "unknown key \"nn\"");
    has(small("rule=zeno"), "zeno");
    has(Case::new("rul = 'krum'").refused(&[]), "unknown key \"rul\"; did you mean \"rule\"?");
    has(Case::new("n = [").refused(&[]), "e.toml: line 1: ");
    let missing = Case::new("");
    fs::remove_file(missing.path("e.toml")).unwrap();
    has(missing.refused(&[]), "cannot read e.toml");
}

#[test]
fn an_unknown_instruction_set_is_refused() {
    let case = Case::new(SMALL);
    let output = case.command("out", &[]).env("VARANGIAN_ISA", "avx5").output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    let line = one_line(&output);
    assert!(line.contains("unknown instruction set \"avx5\"; did you mean \"avx2\"?"), "{line}");
}

#[test]
fn bad_data_files_are_named() {
    let case = Case::new("dataset = 'mnist'\nn = 5\nf = 1");
    let missing = case.refused(&["--data", "nowhere"]);
    assert!(missing.contains("data folder nowhere does not exist"), "{missing}");
    let folder = case.path("data/mnist");
    fs::create_dir_all(&folder).unwrap();
    // Two images of 28 × 28 are promised, one pixel is there.
    let mut truncated = vec![0, 0, 8, 3, 0, 0, 0, 2, 0, 0, 0, 28, 0, 0, 0, 28, 7];
    for name in ["train-images-idx3-ubyte", "t10k-images-idx3-ubyte"] {
        fs::write(folder.join(name), &truncated).unwrap();
    }
    for name in ["train-labels-idx1-ubyte", "t10k-labels-idx1-ubyte"] {
        fs::write(folder.join(name), [0, 0, 8, 1, 0, 0, 0, 2, 1, 2]).unwrap();
    }
    let cut = case.refused(&["--data", "data"]);
    assert!(cut.contains("train-images-idx3-ubyte"), "{cut}");
    truncated[2] = 9;
    fs::write(folder.join("train-images-idx3-ubyte"), &truncated).unwrap();
    let magic = case.refused(&["--data", "data"]);
    assert!(magic.contains("train-images-idx3-ubyte") && magic != cut, "{magic}");
}

#[test]
fn an_unwritable_folder_is_refused_before_anything_runs() {
    let case = Case::new(SMALL);
    fs::write(case.path("file"), "not a folder").unwrap();
    let line = one_line(&case.command("file/out", &[]).output().unwrap());
    assert!(line.contains("cannot write into file/out"), "{line}");
}

#[test]
fn threads_and_repetition_leave_the_same_bytes() {
    let case = Case::new(SMALL);
    for (out, threads) in [("one", "1"), ("two", "2"), ("again", "2")] {
        let output = case.command(out, &["--quiet", "--threads", threads]).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        assert!(output.stdout.is_empty() && output.stderr.is_empty(), "quiet is quiet");
    }
    for file in ["results.csv", "runs.csv", "summary.txt", "experiment.toml", "accuracy.svg"] {
        assert_eq!(case.read(&format!("one/{file}")), case.read(&format!("two/{file}")), "{file}");
        assert_eq!(case.read(&format!("one/{file}")), case.read(&format!("again/{file}")));
    }
    let results = case.read("one/results.csv");
    assert!(results.starts_with("run,seed,rule,attack,n,f,f_real,step,metric,value\n"));
    // 60 refusals a run of each of the two hostile workers.
    assert!(results.contains(",60,\"refused/not-finite/worker-008\",60.0\n"), "{results}");
    // The resolved configuration is an experiment of its own, with the same results.
    fs::copy(case.path("one/experiment.toml"), case.path("e.toml")).unwrap();
    assert!(case.command("resolved", &["-q"]).output().unwrap().status.success());
    assert_eq!(results, case.read("resolved/results.csv"));
}

#[test]
fn twenty_kills_change_nothing() {
    let longer = ["--quiet", "--set", "steps=2500", "--checkpoint-every", "0.02"];
    survives(&Case::new(SMALL), &longer, 20);
}

/// Asynchronous runs with memory, and rounds, over a network of every fault.
const LATE: &str = r#"
name = "late"
dataset = "logreg"
model = "logreg-net"
n = 9
f = 2
batch = 16
evaluate_every = 500
learning_rate = 0.02
validation = 200
attack = "alie"
network = "network compute=(log-normal sigma=0.5) up=(exponential mean=0.3) loss=0.05 duplication=0.1 reordering=0.1 crash=0.02 slow=1 silent=1 deadline=5"
rule = ["zeno++ k=7", "kardam", "basgd", "safeguard t0=9"]
"#;

#[test]
fn kills_change_nothing_where_messages_are_under_way() {
    let longer = ["--quiet", "--set", "steps=6000", "--checkpoint-every", "0.02"];
    survives(&Case::new(LATE), &longer, 6);
}

/// Kills a matrix `wanted` times on its way; what it ends on must be what an undisturbed one does.
/// A machine may be so fast that one matrix is over before that many kills: then another begins.
fn survives(case: &Case, longer: &[&str], wanted: u32) {
    #[allow(clippy::disallowed_methods)] // kills must come before the end, so its time is needed
    let begin = Instant::now();
    let output = case.command("whole", longer).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let whole = begin.elapsed();
    let (mut kills, mut matrices, mut tries) = (0, 1, 0);
    while kills < wanted {
        assert!(tries < 50 * wanted, "{kills} kills in {tries} tries: each came after the end");
        let mut child = case.command("killed", longer).spawn().unwrap();
        // At most half of an undisturbed matrix, so that the first kill of each comes in time.
        let pause = Duration::from_millis(60 + 17 * u64::from(tries % 11));
        std::thread::sleep(pause.min(whole * (tries % 11 + 1) / 24));
        // SIGKILL: no handler runs.
        let over = child.try_wait().unwrap().is_some();
        child.kill().unwrap();
        child.wait().unwrap();
        kills += u32::from(!over);
        tries += 1;
        if over {
            same_tables(case);
            fs::remove_dir_all(case.path("killed")).unwrap();
            matrices += 1;
        }
    }
    // The last kill may have come before there was a folder: nothing is looked for in it.
    eprintln!("{kills} kills in {matrices} matrices");
    assert!(case.command("killed", longer).output().unwrap().status.success());
    same_tables(case);
    assert_eq!(count(&case.path("killed/runs"), "checkpoint.json"), 0);
}

/// The killed matrix ended on the bytes of the undisturbed one.
fn same_tables(case: &Case) {
    for file in ["results.csv", "runs.csv", "summary.txt"] {
        assert_eq!(case.read(&format!("whole/{file}")), case.read(&format!("killed/{file}")));
    }
}

fn count(folder: &Path, ending: &str) -> usize {
    let names = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name());
    names.filter(|name| name.to_string_lossy().ends_with(ending)).count()
}

#[test]
fn shards_do_each_run_once_and_together_all() {
    let case = Case::new(SMALL);
    for shard in ["1/2", "2/2"] {
        assert!(case.command("all", &["-q", "--shard", shard]).output().unwrap().status.success());
    }
    assert_eq!(case.read("all/runs.csv").lines().count(), 1 + 12);
    let output = case.command("all", &["--threads", "1"]).output().unwrap();
    assert!(String::from_utf8_lossy(&output.stderr).contains("12 runs (0 to do)"));
    let line = one_line(&case.command("x", &["--shard", "3/2"]).output().map(flat).unwrap());
    assert!(line.contains("i/n"), "{line}");
}

/// Clap's refusals take several lines; the first says it all.
fn flat(mut output: Output) -> Output {
    let text = String::from_utf8_lossy(&output.stderr).lines().next().unwrap_or("").to_owned();
    output.stderr = text.into_bytes();
    output
}

#[test]
#[cfg(unix)]
fn ctrl_c_keeps_what_is_done_and_the_same_command_goes_on() {
    let case = Case::new(SMALL);
    let longer = ["--set", "steps=2500", "--threads", "2"];
    assert!(case.command("whole", &longer).output().unwrap().status.success());
    let child = case.command("stopped", &longer).spawn().unwrap();
    let runs = case.path("stopped/runs");
    let over = |runs: &Path| runs.is_dir() && count(runs, ".json") > count(runs, "checkpoint.json");
    while !over(&runs) {
        std::thread::sleep(Duration::from_millis(5));
    }
    let sent = Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
    assert!(sent.success());
    let output = child.wait_with_output().unwrap();
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(130), "{text}");
    let last = text.lines().last().unwrap();
    assert!(last.starts_with("varangian: interrupted; "), "{last}");
    assert!(last.ends_with(" of 12 runs are done and kept, the same command goes on"), "{last}");
    let done: usize = last.split(' ').nth(2).unwrap().parse().unwrap();
    assert!((1..12).contains(&done), "{last}");
    let output = case.command("stopped", &longer).output().unwrap();
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{text}");
    assert!(text.contains(&format!("12 runs ({} to do)", 12 - done)), "{text}");
    for file in ["results.csv", "results.parquet", "runs.csv", "summary.txt"] {
        let [a, b] = ["whole", "stopped"].map(|out| fs::read(case.path(&format!("{out}/{file}"))));
        assert!(a.unwrap() == b.unwrap(), "{file}");
    }
}

#[test]
fn any_number_of_jobs_leaves_the_same_bytes_and_a_watch_needs_a_terminal() {
    let case = Case::new(SMALL);
    for (out, jobs) in [("one", "1"), ("three", "3")] {
        let output = case.command(out, &["--jobs", jobs, "--watch"]).output().unwrap();
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{text}");
        assert!(text.contains("--watch needs a terminal"), "{text}");
        assert!(text.contains("[12/12] "), "{text}");
        assert!(!text.contains('\u{1b}'), "no escapes outside a terminal: {text}");
    }
    assert_eq!(case.read("one/results.csv"), case.read("three/results.csv"));
    assert!(!case.path("three/live.json").exists(), "nothing goes on any more");
}

#[test]
fn tuning_gives_every_rule_the_same_budget_and_one_choice() {
    let tuned =
        format!("{SMALL}[tune]\nlearning_rate = [1e-6, 0.05]\nvalidation = 200\nseed = 9\n");
    let case = Case::new(&tuned);
    let output = case.command("out", &[]).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(text.contains("Chosen among 2 candidates for each rule, 12 runs on 200"), "{text}");
    let table = case.read("out/tuning/tuning.csv");
    assert_eq!(table.lines().count(), 1 + 3 * 2, "{table}");
    assert_eq!(table.matches(",true\n").count(), 3, "{table}");
    // A rate that learns nothing is never chosen by a rule that withstands the attacks.
    let index = case.read("out/runs.csv");
    let lines: Vec<&str> = index.lines().filter(|line| line.contains(",\"median\",")).collect();
    assert_eq!(lines.len(), 4, "{index}");
    assert!(lines.iter().all(|line| line.contains(",0.05,")), "{index}");
    let again = case.command("out", &[]).output().unwrap();
    let text = String::from_utf8_lossy(&again.stderr).into_owned();
    assert_eq!(text.matches("(0 to do)").count(), 2, "{text}");
    let case = Case::new(&format!("{SMALL}[tune]\nrule = ['krum']\n"));
    let line = case.refused(&[]);
    assert!(line.contains("[tune]: unknown key \"rule\""), "{line}");
}

#[test]
fn a_kept_model_is_where_another_run_starts() {
    let case = Case::new(SMALL);
    let one = ["-q", "--set", "rule=median", "--set", "attack=none", "--seed", "1"];
    let run = |out: &str, more: &[&str]| {
        let output = case.command(out, &[&one, more].concat()).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        case.read(&format!("{out}/results.csv"))
    };
    let loss = |table: &str, step: &str| {
        let wanted = format!(",{step},\"test_loss\",");
        let line = table.lines().find(|line| line.contains(&wanted)).unwrap();
        line.rsplit(',').next().unwrap().to_owned()
    };
    let first = run("first", &["--save-models"]);
    let key = first.lines().nth(1).unwrap().split('"').nth(1).unwrap().to_owned();
    let model = format!("first/runs/{key}.model.safetensors");
    let kept = fs::read(case.path(&model)).unwrap();
    let start = format!("start={model}");
    let second = run("second", &["--set", &start]);
    assert_eq!(loss(&second, "0"), loss(&first, "60"));
    assert_ne!(loss(&first, "0"), loss(&first, "60"));
    // What is over is done again only for a model that is wanted and missing.
    fs::remove_file(case.path(&model)).unwrap();
    assert_eq!(run("first", &[]), first);
    assert!(!case.path(&model).exists());
    assert_eq!(run("first", &["--save-models"]), first);
    assert_eq!(fs::read(case.path(&model)).unwrap(), kept);
    let line = case.refused(&["--set", "start=nowhere.safetensors"]);
    assert!(line.contains("cannot read nowhere.safetensors"), "{line}");
    let line = case.refused(&["--set", &start, "--set", "model=mlp hidden=7"]);
    assert!(
        line.contains("start") && line.contains("fc1.weight") && line.contains(&model),
        "{line}"
    );
}

#[test]
fn the_theory_of_signs_refuses_what_it_cannot_say() {
    for (args, wanted) in [
        (["--steps", "0"], "--steps takes 1 or more; found 0"),
        (["--workers", "0"], "--workers takes 1 to 1000000; found 0"),
        (["--hostile", "3,11"], "--hostile takes numbers up to M = 10; found 11"),
        (["--beta", "1"], "--beta takes a number from 0 to below 1; found 1"),
        (["--gap", "-1"], "--gap takes a number from 0; found -1"),
        (["--p", "1.5"], "--p takes a probability; found 1.5"),
    ] {
        let mut command = Command::new(env!("CARGO_BIN_EXE_varangian"));
        let output = command.args(["theory", "signsgd"]).args(args).output().unwrap();
        assert!(output.stdout.is_empty(), "{args:?}: nothing is half-printed");
        assert_eq!(one_line(&output), format!("varangian: {wanted}"));
    }
}

#[test]
fn the_theories_of_servers_that_check_refuse_what_they_cannot_say() {
    for (args, wanted) in [
        (["zeno", "--smoothness", "0"], "--smoothness takes a number above 0; found 0"),
        (["zeno", "--square", "0.1"], "--square takes at least the variance; found 0.1"),
        (["zeno", "--curvature", "-5"], "--curvature takes a number from −L to L; found -5"),
        (["zeno", "--c", "1"], "--c takes a number from 0 to below 1; found 1"),
        (["zeno-pp", "--rho", "0.1,0"], "--rho takes numbers above 0; found 0"),
        (["zeno-pp", "--refresh", "0"], "--refresh takes 1 or more; found 0"),
        (["safeguard", "--share", "0,0.5"], "--share takes numbers from 0 to below 0.5; found 0.5"),
        (["safeguard", "--epsilon", "2"], "--epsilon takes a number above 0, up to 1; found 2"),
    ] {
        let mut command = Command::new(env!("CARGO_BIN_EXE_varangian"));
        let output = command.arg("theory").args(args).output().unwrap();
        assert!(output.stdout.is_empty(), "{args:?}: nothing is half-printed");
        assert_eq!(one_line(&output), format!("varangian: {wanted}"));
    }
}

#[test]
fn what_a_partition_moved_and_how_far_it_is_from_even_is_said_and_kept() {
    let case = Case::new(SMALL);
    let skewed = ["--set", "partition=dirichlet alpha=0.01", "--seed", "1"];
    let output = case.command("out", &skewed).output().unwrap();
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{text}");
    assert!(text.contains("over 9 workers: ") && text.contains("measured G = "), "{text}");
    assert!(text.contains(" samples were moved to them"), "{text}");
    let kept = case.read("out/heterogeneity.csv");
    assert!(kept.starts_with("dataset,model,partition,n,seed,g,b,"), "{kept}");
    assert!(kept.contains("dirichlet alpha=0.01"), "{kept}");
}

#[test]
fn readers_that_go_away_end_no_training() {
    let case = Case::new(SMALL);
    for (out, gone) in [("no-stderr", 1), ("no-stdout", 2), ("neither", 3)] {
        let mut child = case.command(out, &[]).spawn().unwrap();
        if gone & 1 > 0 {
            drop(child.stderr.take());
        }
        if gone & 2 > 0 {
            drop(child.stdout.take());
        }
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success(), "{out}: {}", String::from_utf8_lossy(&output.stderr));
        let runs = case.read(&format!("{out}/runs.csv"));
        assert_eq!(runs.lines().count(), 13, "{out}: {runs}");
    }
}

#[test]
fn an_edited_trace_of_delays_is_another_run() {
    let case = Case::new(
        "dataset = \"logreg\"\nmodel = \"linear\"\nn = 5\nsteps = 3\n\
         network = \"network compute=(trace file=t.txt) deadline=5\"\n",
    );
    let runs = || {
        let output = case.command("out", &["--replace"]).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stderr).contains("(1 to do)")
    };
    fs::write(case.path("t.txt"), "1\n").unwrap();
    assert!(runs(), "the first time");
    assert!(!runs(), "nothing changed");
    fs::write(case.path("t.txt"), "1000\n").unwrap();
    assert!(runs(), "another trace");
}

#[test]
fn shards_that_wait_for_each_other_hold_up_no_pipeline() {
    let folder = tempfile::tempdir().unwrap();
    let part = "--only dataset=logreg --only attack=alie --only f=2 --only seed=1 --out S --quiet";
    let entries = || {
        let parts = std::fs::read_dir(folder.path().join("S")).into_iter().flatten().flatten();
        let files = parts.flat_map(|part| std::fs::read_dir(part.path()).unwrap().flatten());
        files.filter(|file| file.path().extension().is_some_and(|end| end == "json")).count()
    };
    // A share of the tuning each, the second of the runs too; the last one writes both entries.
    for (shard, there) in [("2/2", 0), ("1/2", 0), ("2/2", 2)] {
        let mut command = Command::new(env!("CARGO_BIN_EXE_varangian"));
        let line = format!("benchmark median krum {part} --shard {shard}");
        let output = command.current_dir(folder.path()).args(line.split(' ')).output().unwrap();
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success() && text.is_empty(), "{shard}: {text}");
        assert_eq!(entries(), there, "{shard}");
    }
}
