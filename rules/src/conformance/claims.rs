//! Each entry in every combination of its choices, through the public suite; and that what is not
//! claimed does not hold.

mod own;

use super::suite::{Subject, ignores_ties};
use super::{answer, check};
use crate::{ALL, Family, Pipeline, RuleEntry};
use varangian_base::{Kind, Matrix};

/// Every combination of the choices and flags of a rule, as parameters; the defaults first.
fn choices(entry: &RuleEntry) -> Vec<Vec<String>> {
    let mut all = vec![Vec::new()];
    for param in entry.params {
        let values: &[&str] = match param.kind {
            Kind::Choice(values) => values,
            Kind::Flag => &["false", "true"],
            _ => continue,
        };
        let with = |(chosen, value): (&Vec<String>, &&str)| {
            let mut chosen = chosen.clone();
            chosen.extend((*value != param.default).then(|| format!("{}={value}", param.name)));
            chosen
        };
        let pairs = all.iter().flat_map(|chosen| values.iter().map(move |value| (chosen, value)));
        all = pairs.map(with).collect();
    }
    all
}

/// Every rule in every variant that parses: some choices need a number beside them.
fn variants() -> Vec<(&'static RuleEntry, String)> {
    let rules = ALL.iter().filter(|entry| entry.facts.family == Family::Rule);
    let all = rules.flat_map(|entry| choices(entry).into_iter().map(move |chosen| (entry, chosen)));
    let specs = all.map(|(entry, chosen)| {
        (*entry, [entry.name.to_owned(), chosen.join(" ")].join(" ").trim().to_owned())
    });
    specs.filter(|(_, spec)| Pipeline::parse(spec).is_ok()).collect()
}

#[test]
fn every_variant_of_every_rule_passes_the_suite() {
    let mut tried = std::collections::BTreeMap::<&str, usize>::new();
    for (_, spec) in variants() {
        let report = check(|| Pipeline::parse(&spec).unwrap());
        assert!(report.passed(), "{spec}: {report}");
        report.tried.iter().for_each(|name| *tried.entry(name).or_default() += 1);
    }
    assert!(tried.len() == 15 && tried.values().all(|&count| count >= 2), "{tried:?}");
}

#[test]
fn rules_that_say_that_ties_matter_say_so_because_they_do() {
    for entry in ALL.iter().filter(|e| e.facts.claims.ties) {
        let n = Pipeline::parse(entry.name).unwrap().least(1).unwrap().max(4);
        let make = || Pipeline::parse(entry.name).unwrap();
        let subject = Subject { make: &make, claims: entry.facts.claims };
        let mut lanes = (0..400).flat_map(|lane| [(1, lane), (2, lane)]);
        let found = lanes.any(|(d, lane)| !ignores_ties(&subject, n, 1, d, lane).unwrap());
        assert!(found, "{} says that ties matter; no rows were found to show it", entry.name);
    }
}

#[test]
fn a_choice_that_claims_less_says_so_because_it_does() {
    // Without the exceptions the claims would fail: the mean and zero are no safe starts.
    let rows = |far: f32| Matrix::from_rows(&[[0.0f32], [1.0], [2.0], [3.0], [far]]);
    let far = |spec: &str| answer(spec, rows(3e38).rows(), 1).0[0];
    assert!(far("rfa") < 10.0 && far("rfa start=mean") > 1e6);
    let near = |spec: &str, by: f32| {
        let moved = Matrix::from_rows(&[[by], [1.0 + by], [5.0 + by]]);
        answer(spec, moved.rows(), 1).0[0] - by
    };
    assert!((near("rfa", 0.0) - near("rfa", 64.0)).abs() < 1e-4);
    assert!((near("rfa start=zero", 0.0) - near("rfa start=zero", 64.0)).abs() > 1e-3);
}
