//! What the sign-descent report hides, at a scale that a test can run: parity of n, opposition, and
//! votes under other rules.

use std::fs;
use std::process::Command;

/// Runs an experiment and returns the test accuracy at the end of each of its runs, in percent.
fn accuracies(text: &str) -> Vec<f64> {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("e.toml"), text).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_varangian"));
    command.current_dir(folder.path()).args(["run", "e.toml", "--out", "out", "--quiet"]);
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let results = fs::read_to_string(folder.path().join("out/results.csv")).unwrap();
    let mut found: Vec<(String, f64)> = Vec::new();
    for line in results.lines().filter(|line| line.contains(",\"accuracy\",")) {
        let run = line.split(',').next().unwrap().to_owned();
        let value = 100.0 * line.rsplit(',').next().unwrap().parse::<f64>().unwrap();
        match found.iter_mut().find(|(known, _)| *known == run) {
            Some((_, last)) => *last = value,
            None => found.push((run, value)),
        }
    }
    found.into_iter().map(|(_, value)| value).collect()
}

/// The report's logistic regression, six epochs at ten times its step.
const LOGREG: &str = "dataset = 'logreg'\ndata_seed = 8005\nmodel = 'logreg-net init-seed=8005'\n\
    sampling = 'epochs'\nbatch = 12\nsteps = 400\nevaluate_every = 400\ntest_samples = 2000\n\
    learning_rate = 1e-3\nseed = 8005\n";

#[test]
fn one_worker_more_turns_ties_into_flips() {
    // n = 10, f = 4: collusion ties nearly all. n = 11, f = 4: it flips; opposition does at n = 10.
    let run = |optimiser: &str, n: usize, attack: &str| {
        let key = format!(
            "{LOGREG}optimiser = '{optimiser}'\nn = {n}\nf_real = 4\nattack = '{attack}'\n"
        );
        accuracies(&key)[0]
    };
    let (even, odd) = (run("signsgd", 10, "kill"), run("signsgd", 11, "kill"));
    let opposed = run("signsgd", 10, "oppose");
    assert!(even > 82.0, "ties slow SignSGD down, no more: {even}");
    assert!(odd < even - 10.0, "flips stop it: {odd} against {even}");
    assert!(opposed < even - 10.0, "so does opposition with n even: {opposed} against {even}");
    for (n, attack) in [(11, "kill"), (10, "oppose")] {
        let signum = run("signum", n, attack);
        assert!(signum > 88.0, "Signum learns on: {signum} at n = {n} under {attack}");
    }
}

#[test]
fn one_message_for_all_colluders_is_their_vote_where_messages_are_added_up() {
    let run = |attack: &str, rule: &str| {
        let key = "optimiser = 'signsgd'\nn = 10\nf_real = 4\n";
        accuracies(&format!("{LOGREG}{key}attack = '{attack}'\nrule = '{rule}'\n"))[0]
    };
    for ties in ["zero", "plus-one", "random"] {
        let four = run("oppose", &format!("majority ties={ties}"));
        let one = run("oppose by=one", &format!("majority votes=sum ties={ties}"));
        assert_eq!(one, four, "ties={ties}: the same run to its last digit");
        let heard_once = run("oppose by=one", &format!("majority ties={ties}"));
        assert!(heard_once > four + 10.0, "one vote of ten: {heard_once} against {four}");
    }
}

#[test]
fn votes_meet_other_rules_and_both_kinds_of_adversary_by_configuration() {
    let text = format!(
        "{LOGREG}optimiser = 'signum'\nn = 11\nf = 3\nf_real = 3\n\
         attack = \"mixed groups='1 blind-inversion; 2 oppose'\"\n\
         rule = ['majority', 'krum', 'median', 'nnm | trimmed-mean']\n"
    );
    for (rule, accuracy) in ["majority", "krum", "median", "nnm"].iter().zip(accuracies(&text)) {
        assert!(accuracy > 75.0, "{rule} on signs of momenta: {accuracy}");
    }
    let sums = accuracies(&format!("{LOGREG}optimiser = 'distsgd'\nn = 10\n"));
    let mean = "optimiser = 'distsgd'\nrule = 'average'\nn = 10\n";
    let means = accuracies(&format!("{}{mean}", LOGREG.replace("1e-3", "1e-2")));
    assert!((sums[0] - means[0]).abs() < 0.3, "a sum at η is a mean at n·η: {sums:?} {means:?}");
}

#[test]
fn one_adversary_freezes_a_sum() {
    let frozen = format!("{LOGREG}optimiser = 'distsgd'\nn = 10\nf_real = 1\nattack = 'cancel'\n");
    let start = accuracies(&frozen.replace("steps = 400", "steps = 1"))[0];
    assert!((accuracies(&frozen)[0] - start).abs() < 0.2, "it stands still");
}
