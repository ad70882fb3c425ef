//! Rules from outside: a good one passes, and each way to be wrong is found and named.

use crate::conformance::{Report, check};
use crate::{Bound, Claims, Pipeline, Round, Rule, RuleEntry, RuleFacts, Stage, Verdict, build};
use varangian_base::Matrix;

/// The midpoint between the least and the greatest value without f at either end.
#[derive(Clone)]
struct Midrange {
    fault: Fault,
    rounds: usize,
}

#[derive(Clone, Copy, PartialEq)]
enum Fault {
    None,
    TrimsNothing,
    Overflows,
    ForgetsALast,
    Drifts,
    Panics,
}

static ENTRY: RuleEntry = RuleEntry {
    name: "trimmed-midrange",
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
    build: |_| Ok(Box::new(Stage::Rule(Box::new(Midrange { fault: Fault::None, rounds: 0 })))),
};

impl Rule for Midrange {
    fn aggregate(&mut self, round: &mut Round<'_>, out: &mut [f32], _: &mut Verdict) {
        let (n, f) = (round.rows.n(), if self.fault == Fault::TrimsNothing { 0 } else { round.f });
        let (mut room, d) = (Vec::new(), out.len());
        let rows: Vec<Vec<f32>> = (0..n).map(|i| round.rows.row(i, &mut room).to_vec()).collect();
        assert!(self.fault != Fault::Panics || rows[0][0] < 1e19, "this is too large for me");
        for (k, x) in out.iter_mut().enumerate() {
            if self.fault == Fault::ForgetsALast && k + 1 == d {
                continue;
            }
            let mut column: Vec<f32> = rows.iter().map(|row| row[k]).collect();
            column.sort_by(f32::total_cmp);
            let (low, high) = (column[f], column[n - 1 - f]);
            *x = if self.fault == Fault::Overflows {
                (low + high) / 2.0
            } else {
                low / 2.0 + high / 2.0
            };
            if self.fault == Fault::Drifts {
                *x += self.rounds as f32;
            }
        }
        self.rounds += 1;
    }

    fn fork(&self) -> Box<dyn Rule> {
        Box::new(self.clone())
    }
}

fn report(fault: Fault) -> Report {
    check(move || Pipeline::own(Box::new(Midrange { fault, rounds: 0 }), &ENTRY))
}

#[test]
fn a_good_rule_from_outside_passes_and_composes_with_stages() {
    let good = report(Fault::None);
    assert!(good.passed() && good.tried.len() >= 10, "{good}");
    for spec in ["trimmed-midrange", "nnm | trimmed-midrange", "arc | trimmed-midrange | ctma"] {
        let report = check(|| Pipeline::parse_among(spec, &[&ENTRY]).unwrap());
        assert!(report.passed(), "{spec}: {report}");
    }
    let mut rule = Pipeline::parse_among("clipping c=10 | trimmed-midrange", &[&ENTRY]).unwrap();
    let rows = Matrix::from_rows(&[[0.0f32], [1.0], [4.0], [5.0], [1000.0]]);
    let (mut out, mut verdict) = ([0.0], Verdict::default());
    rule.aggregate(&mut Round::of(rows.rows(), 1), &mut out, &mut verdict);
    assert_eq!(out, [3.0]);
}

#[test]
fn each_fault_is_found_by_the_check_that_is_for_it() {
    let found = |fault, check: &str| {
        let report = report(fault);
        let by: Vec<&str> = report.failures.iter().map(|failure| failure.check).collect();
        assert!(by.contains(&check), "{check} is not among {by:?}: {report}");
    };
    found(Fault::TrimsNothing, "honest box");
    found(Fault::TrimsNothing, "bounded");
    found(Fault::Overflows, "finite");
    found(Fault::ForgetsALast, "finite");
    found(Fault::Drifts, "memory");
    found(Fault::Panics, "finite");
    let text = report(Fault::Panics).to_string();
    assert!(text.contains("panicked: this is too large for me"), "{text}");
}

#[test]
fn names_are_unique_and_unknown_ones_are_guessed_among_ones_own() {
    static AGAIN: RuleEntry = RuleEntry {
        name: "median",
        summary: "",
        paper: "",
        differs: &[],
        params: &[],
        cost: "",
        facts: RuleFacts::RULE,
        build: |args| (ENTRY.build)(args),
    };
    let error = Pipeline::parse_among("median", &[&AGAIN]).err().unwrap().to_string();
    assert_eq!(error, "two rules are called \"median\"");
    let error = Pipeline::parse_among("trimed-midrange", &[&ENTRY]).err().unwrap().to_string();
    assert!(error.contains("did you mean \"trimmed-midrange\""), "{error}");
    assert!(build("trimmed-midrange", 5, 1).is_err());
}
