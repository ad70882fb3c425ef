//! What the command says where an order cannot be carried out: the word that was meant, one line,
//! and the exit code that is documented; and that foreign names cannot steer a terminal.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};
use varangian::lab::config::KEYS;
use varangian_base::ALIASES;

fn varangian(folder: &Path, args: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_varangian"));
    command.current_dir(folder).args(args).output().unwrap()
}

/// Wants exit code 2, nothing on standard output and one line, and returns it.
fn refused(args: &[&str]) -> String {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("e.toml"), "name = 'e'\ndataset = 'logreg'\nn = 7\n").unwrap();
    let output = varangian(folder.path(), args);
    let text = String::from_utf8_lossy(&output.stderr).trim_end().to_owned();
    assert_eq!(output.status.code(), Some(2), "{args:?}: {text}");
    assert!(output.stdout.is_empty() && text.lines().count() == 1, "{args:?}: {text}");
    assert!(!folder.path().join("runs").exists(), "{args:?}: nothing is half-written");
    text
}

#[test]
fn what_is_meant_is_suggested() {
    for (args, meant) in [
        (vec!["rnu", "e.toml"], "run"),
        (vec!["train", "e.toml"], "run"),
        (vec!["reproduce", "signgsd"], "signsgd"),
        (vec!["reproduce", "foe"], "fall-of-empires"),
        (vec!["theory", "empire"], "empires"),
        (vec!["data", "verfy"], "verify"),
        (vec!["keys", "[tun]"], "tune"),
        (vec!["keys", "lr"], "learning_rate"),
        (vec!["keys", "Batch-Size"], "batch"),
        (vec!["rules", "tm"], "trimmed-mean"),
        (vec!["rules", "centeredclipping"], "centred-clipping"),
        (vec!["attacks", "foe"], "ipm"),
        (vec!["attacks", "inner-product"], "ipm"),
        (vec!["datasets", "cifar"], "cifar10"),
        (vec!["models", "wrn"], "wide-resnet"),
        (vec!["partitions", "non-iid"], "dirichlet"),
        (vec!["run", "e.toml", "--set", "lr=0.1"], "learning_rate"),
        (vec!["run", "e.toml", "--set", "optimizer=signum"], "optimiser"),
        (vec!["run", "e.toml", "--set", "regularizer=norm"], "regulariser"),
        (vec!["run", "e.toml", "--set", "rule=cclip"], "centred-clipping"),
        (vec!["run", "e.toml", "--set", "attack=foe"], "ipm"),
        (vec!["run", "e.toml", "--set", "schedule=step at=1:2"], "steps"),
        (vec!["run", "e.toml", "--set", "message=one-bit-sign"], "one-bit"),
        (vec!["run", "e.toml", "--set", "network=network up=(lognormal)"], "log-normal"),
    ] {
        let line = refused(&args);
        assert!(line.contains(&format!("did you mean \"{meant}\"?")), "{args:?}: {line}");
    }
    for (what, where_) in
        [("krum", "zeno"), ("alie", "momentum"), ("bulyan", "momentum"), ("phocas", "momentum")]
    {
        let line = refused(&["reproduce", what]);
        assert!(line.contains(where_) && line.contains(what), "{line}");
    }
}

#[test]
fn every_alias_means_something_that_is_there_and_is_no_name_itself() {
    let folder = tempfile::tempdir().unwrap();
    let list = |args: &[&str]| {
        let output = varangian(folder.path(), args);
        String::from_utf8(output.stdout).unwrap()
    };
    let mut known: Vec<String> = KEYS.iter().map(|key| key.name.to_owned()).collect();
    known.extend(
        ["name", "tune", "run", "optimiser", "fetch", "verify", "epochs"].map(String::from),
    );
    for args in [
        &["rules"][..],
        &["filters"],
        &["attacks"],
        &["models"],
        &["datasets"],
        &["partitions"],
        &["--help"],
        &["reproduce", "--help"],
        &["theory", "--help"],
        &["keys", "schedule"],
        &["keys", "message"],
        &["keys", "network"],
    ] {
        let text = list(args);
        let words = text.lines().filter_map(|line| line.split_whitespace().next());
        known.extend(words.map(|word| word.trim_end_matches(':').to_owned()));
    }
    for (alias, names) in ALIASES {
        assert!(!names.is_empty(), "{alias}");
        for name in *names {
            let there = known.iter().any(|known| known == name)
                || ["one-bit", "signum", "signsgd"].contains(name);
            assert!(there, "{alias}: there is no {name}");
        }
    }
}

#[test]
fn what_is_wrong_with_words_is_said_before_data_are_looked_for() {
    for (set, wanted) in [
        ("attack=ipm epsilon=abc", "epsilon takes a number"),
        ("rule=krum variant=x", "variant takes one of"),
        ("model=mlp hidden=0", "hidden"),
        ("partition=dirichlet alpha=-1", "alpha takes a number"),
        ("sampling=epochs last=x", "last takes one of"),
        ("schedule=decay rate=9", "rate takes a number"),
        ("network=network loss=2", "loss takes a number"),
        ("message=dp-sign epsilon=9", "epsilon takes a number"),
        ("momentum_at=works", "did you mean \"worker\"?"),
        ("f=4", "median needs n ≥ 2f + 1"),
        ("dataset=mnist flop=1", "flop"),
        ("attack=min-max spread=x", "min-max"),
    ] {
        let mut args = vec!["run", "e.toml", "--set", "dataset=mnist", "--set", "rule=median"];
        args.extend(["--set", set]);
        let line = refused(&args);
        assert!(line.contains(wanted) && !line.contains("data folder"), "{set}: {line}");
    }
    let line = refused(&["run", "e.toml", "--set", "dataset=mnist"]);
    assert!(line.contains("no data folder was named") || line.contains("data folder"), "{line}");
}

#[test]
fn files_that_say_nothing_or_are_no_toml_are_one_line() {
    let folder = tempfile::tempdir().unwrap();
    for (text, wanted) in [
        ("", "sets no key"),
        ("# nothing\n\n", "sets no key"),
        ("n = 3\nn = 4\n", "line 2: duplicate key"),
        ("rule = \"\"\"\na\nb", "line 3: "),
        ("rule = {a = 1}\n", "rule"),
        ("[tune\n", "line 1: "),
        ("n = 3 4\n", "line 1: "),
        ("name = '...'\n", "name takes a text that can name a folder"),
        ("name = \"a\\u001b[31m\"\n", "name takes a text that can name a folder"),
        ("rule = \"\\u001b[31mkrum\"\n", "\\u{1b}[31mkrum"),
        ("attack = \"a\\nb\"\n", "cannot read"),
    ] {
        fs::write(folder.path().join("e.toml"), text).unwrap();
        let output = varangian(folder.path(), &["run", "e.toml"]);
        let said = String::from_utf8_lossy(&output.stderr).trim_end().to_owned();
        assert_eq!((output.status.code(), said.lines().count()), (Some(2), 1), "{text}: {said}");
        assert!(said.contains(wanted) && !said.contains('\u{1b}'), "{text}: {said}");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "nothing is written");
    }
    let output = varangian(folder.path(), &["run", "/dev/null"]);
    assert_eq!(output.status.code(), Some(2));
}

#[test]
fn foreign_names_cannot_steer_a_terminal() {
    let hostile = "a\u{1b}[2J\u{202e}b\rc";
    for args in [
        vec!["run", hostile],
        vec!["rules", hostile],
        vec![hostile],
        vec!["results", hostile],
        vec!["aggregate", "--rule", "average", "--input", hostile],
        vec!["run", "e.toml", "--set", hostile],
        vec!["data", "verify", hostile],
    ] {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("e.toml"), "name = 'e'\n").unwrap();
        let output = varangian(folder.path(), &args);
        for bytes in [&output.stdout, &output.stderr] {
            let text = String::from_utf8_lossy(bytes);
            assert!(!text.contains(['\u{1b}', '\u{202e}', '\r']), "{args:?}: {text:?}");
        }
        assert_ne!(output.status.code(), Some(0), "{args:?}");
    }
}

#[test]
#[cfg(target_os = "linux")]
fn a_full_disk_is_an_error_of_every_command_that_prints() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    let text = "name = 'e'\ndataset = 'logreg'\nmodel = 'linear'\nn = 3\nsteps = 2\n";
    fs::write(path.join("e.toml"), text).unwrap();
    assert!(varangian(path, &["run", "e.toml", "-q"]).status.success());
    for args in [
        "--help",
        "--version",
        "rules",
        "rules krum --json",
        "filters",
        "attacks alie",
        "models",
        "datasets",
        "partitions",
        "keys",
        "keys network",
        "catalogue",
        "results runs/e",
        "results runs/e --csv",
        "theory signsgd",
        "theory empires",
        "theory zeno",
        "theory zeno-pp",
        "theory safeguard",
        "duel --f 1 --n 5 --rule median --attack alie",
        "run e.toml",
        "run e.toml --dry-run",
        "plot runs/e",
        "tensorboard runs/e",
        "data list",
    ] {
        let mut command = Command::new(env!("CARGO_BIN_EXE_varangian"));
        let full = fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
        let output = command.current_dir(path).args(args.split(' ')).stdout(full).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "{args}: {said}");
        assert!(said.contains("No space left on device"), "{args}: {said}");
    }
}

#[test]
#[cfg(target_os = "linux")]
fn a_limit_on_files_is_an_error_and_no_signal() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    let text = "name = 'e'\ndataset = 'logreg'\nmodel = 'mlp hidden=300'\nn = 3\nsteps = 2\n";
    fs::write(path.join("e.toml"), text).unwrap();
    let program = env!("CARGO_BIN_EXE_varangian");
    for args in ["run e.toml --save-models -q", "catalogue --output c.md"] {
        // Blocks of 512 or 1024 bytes.
        let script = format!("ulimit -f 4; '{program}' {args}");
        let output = Command::new("sh").current_dir(path).args(["-c", &script]).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr).trim_end().to_owned();
        assert_eq!(output.status.code(), Some(2), "{args}: {said}");
        assert!(
            said.starts_with("varangian: cannot write ") && said.lines().count() == 1,
            "{said}"
        );
    }
}

#[test]
fn a_dry_run_lists_and_writes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let text = "name = 'e'\ndataset = 'logreg'\nmodel = 'linear'\nn = 5\nf = 1\nsteps = 2\n\
                rule = ['median', 'krum']\nattack = ['none', 'ipm']\nseed = [1, 2]\n";
    fs::write(folder.path().join("e.toml"), text).unwrap();
    let list = || {
        let output = varangian(folder.path(), &["run", "e.toml", "--dry-run"]);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    let before = list();
    assert!(before.contains("8 runs, 8 to do; 16 steps, 80 gradients in all"), "{before}");
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "nothing is written");
    assert!(varangian(folder.path(), &["run", "e.toml", "-q"]).status.success());
    let after = list();
    assert!(after.contains("8 runs, 0 to do"), "{after}");
    let index = fs::read_to_string(folder.path().join("runs/e/runs.csv")).unwrap();
    let key = index.lines().nth(1).unwrap().split(',').next().unwrap().trim_matches('"').to_owned();
    assert!(before.contains(&key) && after.contains(&key), "{key}");
}

#[test]
fn one_bit_is_one_bit() {
    let folder = tempfile::tempdir().unwrap();
    let text = "name = 'e'\ndataset = 'logreg'\nmodel = 'linear'\nn = 5\nsteps = 2\n\
                rule = 'majority'\nmessage = ['sign', 'one-bit']\n";
    fs::write(folder.path().join("e.toml"), text).unwrap();
    assert!(varangian(folder.path(), &["run", "e.toml", "-q"]).status.success());
    let table = fs::read_to_string(folder.path().join("runs/e/results.csv")).unwrap();
    let bytes: Vec<f64> = table
        .lines()
        .filter(|line| line.contains("bytes/up"))
        .map(|line| line.rsplit(',').next().unwrap().trim_matches('"').parse().unwrap())
        .collect();
    assert_eq!(bytes.len(), 2, "{table}");
    assert!((bytes[0] - 2.0 * bytes[1]).abs() < 1e-9, "{bytes:?}");
}

#[test]
fn sentences_keep_to_the_lines_that_are_asked_for_and_json_does_not_change() {
    let folder = tempfile::tempdir().unwrap();
    let text = "name = 'e'\ndataset = 'logreg'\nmodel = 'linear'\nn = 7\nf = 2\nsteps = 2\n\
                rule = ['median', 'krum']\nf_real = [0, 2]\nattack = ['none', 'ipm', 'alie']\n";
    fs::write(folder.path().join("e.toml"), text).unwrap();
    let says = |line: &str, width: &str| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_varangian"));
        command.current_dir(folder.path()).args(line.split(' ')).env("COLUMNS", width);
        let output = command.output().unwrap();
        assert!(output.status.success(), "{line}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    for line in [
        "rules krum",
        "attacks alie",
        "keys tune",
        "theory zeno",
        "theory participation",
        "recommend --n 20 --f 3",
        "run e.toml --dry-run",
        "reproduce zeno --quick --dry-run",
    ] {
        let text = says(line, "80");
        let wide = text.lines().find(|line| line.chars().count() > 80);
        // A line that is no sentence, such as a link, may be one word.
        assert!(wide.is_none_or(|line| !line.trim().contains(' ')), "{line}: {wide:?}");
        let words = |text: &str| text.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
        if line.starts_with("theory participation") || line.starts_with("attacks") {
            assert_eq!(words(&text), words(&says(line, "10000")), "{line}");
        }
    }
    for line in ["recommend --n 20 --f 3 --json", "run e.toml --dry-run --json", "keys --json"] {
        assert_eq!(says(line, "30"), says(line, "10000"), "{line}");
    }
}

#[test]
fn what_other_programs_write_is_answered_with_how_it_is_written_here() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("e.toml"), "n = 5\nf = 1\nsteps = 2\nrule = 'median'\n").unwrap();
    let refused = |words: &[&str]| {
        let output = varangian(folder.path(), words);
        assert_eq!(output.status.code(), Some(2), "{words:?}");
        String::from_utf8(output.stderr).unwrap()
    };
    let said = refused(&["run", "e.toml", "--set", "learning_rate=0.1:0.5:0.1", "--dry-run"]);
    assert!(said.contains("LOW..HIGH step STEP") && said.contains("0.1:0.5:0.1"), "{said}");
    let said = refused(&["verify", "."]);
    assert!(said.contains(". holds no audit: it has no audit.jsonl"), "{said}");
    let listed =
        varangian(folder.path(), &["reproduce", "zeno", "--quick", "--dry-run", "--seed", "1"]);
    let listed = String::from_utf8(listed.stdout).unwrap();
    assert!(listed.contains("to do") && listed.contains("nothing was trained"), "{listed}");
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "nothing is written");
}

#[test]
fn nobody_hostile_is_trained_once_and_not_once_an_attack() {
    let folder = tempfile::tempdir().unwrap();
    let text = "name = 'e'\ndataset = 'logreg'\nmodel = 'linear'\nn = 7\nf = 2\nsteps = 2\n\
                rule = ['median', 'krum']\nf_real = [0, 2]\nattack = ['ipm', 'alie', 'mimic']\n";
    fs::write(folder.path().join("e.toml"), text).unwrap();
    let output = varangian(folder.path(), &["run", "e.toml", "--dry-run"]);
    let said = String::from_utf8(output.stdout).unwrap();
    let count = |what: &str| said.lines().filter(|line| line.contains(what)).count();
    assert_eq!((count("median, f_real=0"), count("median, f_real=2")), (1, 3), "{said}");
    assert!(said.contains("8 runs, 8 to do"), "{said}");
}
