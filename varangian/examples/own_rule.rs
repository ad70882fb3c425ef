//! A rule of one's own: held to the conformance suite, composed with a stage, and trained with
//! under ALIE, beside the mean.
//!
//! `cargo run --release -p varangian --example own_rule`
#![allow(clippy::print_stdout)]

use std::sync::Arc;
use varangian::learn::{self, data, partition};
use varangian::rules::{Bound, Claims, RuleEntry, RuleFacts, Stage, conformance};
use varangian::sim::{Plan, lockstep::Lockstep};
use varangian::{Pipeline, Round, Rule, Seed, Verdict, attacks};

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
    for rule in ["average", "midrange", "nnm | midrange"] {
        println!("{rule:<15} {:.1} % after 60 steps under ALIE", 100.0 * accuracy(rule, 60));
    }
}

/// Eleven workers, two of which play ALIE against a small network on digits.
pub(crate) fn accuracy(rule: &str, steps: u64) -> f64 {
    let (n, f, seed) = (11, 2, Seed(1));
    let digits = data::load("glyphs", None, seed).expect("an embedded set");
    let (shape, classes) = (digits.train.shape(), digits.train.classes());
    let model = learn::model::build("mlp hidden=32", shape, classes).expect("a known model");
    let sampler = partition::Minibatches::iid(digits.train.as_ref(), n, 32, seed);
    let sampler = Arc::new(sampler.expect("enough samples"));
    let rule = Pipeline::parse_among(rule, &[&ENTRY]).expect("a known rule");
    let attack = attacks::build("alie").expect("a known attack");
    let plan = Plan::new(Arc::from(model), &digits, sampler, (n, f), rule, attack, seed);
    let mut run = Lockstep::new(plan).expect("11 workers bear 2 hostile ones");
    for _ in 0..steps {
        run.step();
    }
    run.evaluate().tally.accuracy()
}
