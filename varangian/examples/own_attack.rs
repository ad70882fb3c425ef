//! An attack of one's own: held to the conformance suite, then in an experiment against the mean
//! and the median, beside ALIE.
//!
//! `cargo run --release -p varangian --example own_attack`
#![allow(clippy::print_stdout)]

use varangian::attacks::{Attack, AttackEntry, AttackFacts, Sees, View};
use varangian::base::{Domain, RowsMut};
use varangian::{Experiment, Failure, Silent, conformance};

/// Each hostile worker sends the negative of an honest row, drawn anew at each step.
#[derive(Clone)]
struct Mirror;

static ENTRY: AttackEntry = AttackEntry {
    name: "mirror",
    summary: "each hostile worker sends the negative of an honest row, three times as long",
    paper: "folklore",
    differs: &[],
    params: &[],
    cost: "O(f·d)",
    facts: AttackFacts::reads(Sees::HONEST),
    build: |_| Ok(Box::new(Mirror)),
};

impl Attack for Mirror {
    fn forge(&mut self, view: &mut View<'_>, mut out: RowsMut<'_>) {
        let mut draws = view.seed.stream(Domain::Attack, view.own.id(0), view.step);
        for row in out.iter_mut() {
            let honest = view.honest.row(draws.below(view.honest.n()));
            row.iter_mut().zip(honest).for_each(|(x, y)| *x = (-3.0 * y).clamp(-1e38, 1e38));
        }
    }

    fn sees(&self) -> Sees {
        Sees::HONEST
    }

    fn check(&self, honest: usize, _: usize, _: usize) -> Result<(), String> {
        (honest > 0).then_some(()).ok_or_else(|| "an honest worker".into())
    }

    fn fork(&self) -> Box<dyn Attack> {
        Box::new(self.clone())
    }
}

/// Prints what the suite says, and what the attack does.
pub(crate) fn main() {
    let report = conformance::check_attack(|| Box::new(Mirror), &ENTRY.facts);
    print!("{report}");
    assert!(report.passed());
    for (run, accuracy) in accuracies(60).expect("an experiment that fits") {
        println!("{run:<18} {:.1} % after 60 steps", 100.0 * accuracy);
    }
}

/// What each rule's model ends on under each attack.
pub(crate) fn accuracies(steps: u64) -> Result<Vec<(String, f64)>, Failure> {
    let text = format!(
        "rule = ['average', 'median']\nattack = ['mirror', 'alie']\nmodel = 'mlp hidden=32'\n\
         n = 11\nf = 4\nsteps = {steps}"
    );
    let mut experiment = Experiment::from_text(&text)?;
    experiment.own.attacks.push(&ENTRY);
    let folder = std::env::temp_dir().join(format!("varangian-own-attack-{}", std::process::id()));
    experiment.how.out = Some(folder.clone());
    experiment.how.replace = true;
    let outcomes = experiment.run(&mut Silent)?;
    // What it leaves there nobody asked for.
    let _ = std::fs::remove_dir_all(folder);
    let end = |outcome: &varangian::lab::results::Outcome| {
        let run = format!("{} × {}", outcome.settings.rule, outcome.settings.attack);
        (run, outcome.curve("accuracy").last().map_or(f64::NAN, |(_, accuracy)| *accuracy))
    };
    Ok(outcomes.iter().map(end).collect())
}
