//! A rule of one's own: held to the conformance suite, composed with a stage, and run against ALIE
//! in an experiment, beside the mean.
//!
//! `cargo run --release -p varangian --example own_rule`
#![allow(clippy::print_stdout)]

use varangian::conformance;
use varangian::lab::results::Outcome;
use varangian::rules::{Bound, Claims, RuleEntry, RuleFacts, Stage};
use varangian::{Experiment, Failure, Pipeline, Round, Rule, Silent, Verdict};

/// Each coordinate halfway between the least and the greatest value, without f at either end.
#[derive(Clone)]
struct Midrange;

static ENTRY: RuleEntry = RuleEntry {
    name: "midrange",
    summary: "middle of what is left without the f least and f greatest values",
    paper: "folklore",
    differs: &[],
    params: &[],
    cost: "O(n log n·d)",
    facts: RuleFacts {
        bound: Bound::majority("as the trimmed mean"),
        claims: Claims { honest_box: true, ..Claims::COLUMNS },
        ..RuleFacts::RULE
    },
    build: |_| Ok(Box::new(Stage::Rule(Box::new(Midrange)))),
};

impl Rule for Midrange {
    fn aggregate(&mut self, round: &mut Round<'_>, out: &mut [f32], _: &mut Verdict) {
        let (n, mut room) = (round.rows.n(), Vec::new());
        let rows: Vec<Vec<f32>> = (0..n).map(|i| round.rows.row(i, &mut room).to_vec()).collect();
        for (k, x) in out.iter_mut().enumerate() {
            let mut column: Vec<f32> = rows.iter().map(|row| row[k]).collect();
            column.sort_by(f32::total_cmp);
            *x = column[round.f] / 2.0 + column[n - 1 - round.f] / 2.0;
        }
    }

    fn fork(&self) -> Box<dyn Rule> {
        Box::new(self.clone())
    }
}

/// Prints what the suite says and how well each rule trains.
pub(crate) fn main() {
    let report = conformance::check(|| Pipeline::own(Box::new(Midrange), &ENTRY));
    println!("{report}");
    assert!(report.passed());
    for (rule, accuracy) in accuracies(60).expect("an experiment that fits") {
        println!("{rule:<15} {:.1} % after 60 steps under ALIE", 100.0 * accuracy);
    }
}

/// Eleven workers, two of which play ALIE against a small network on digits, in an experiment of
/// three rules: what each rule's model ends on.
pub(crate) fn accuracies(steps: u64) -> Result<Vec<(String, f64)>, Failure> {
    let text = format!(
        "rule = ['average', 'midrange', 'nnm | midrange']\nattack = 'alie'\n\
         model = 'mlp hidden=32'\nn = 11\nf = 2\nsteps = {steps}"
    );
    let mut experiment = Experiment::from_text(&text)?;
    experiment.own.rules.push(&ENTRY);
    let folder = std::env::temp_dir().join(format!("varangian-own-rule-{}", std::process::id()));
    experiment.how.out = Some(folder.clone());
    experiment.how.replace = true;
    let end = |outcome: Outcome| {
        let curve = outcome.curve("accuracy");
        (outcome.settings.rule, curve.last().map_or(f64::NAN, |(_, accuracy)| *accuracy))
    };
    let ends = experiment.run(&mut Silent)?.into_iter().map(end).collect();
    // What it leaves there nobody asked for.
    let _ = std::fs::remove_dir_all(folder);
    Ok(ends)
}
