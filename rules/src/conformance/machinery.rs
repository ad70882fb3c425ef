//! Bounds, determinism, threads, forks and memory: what every pipeline owes whatever it computes.

use super::cases::CASES;
use super::families::{random, ties};
use super::{again, answer};
use crate::{ALL, Family, Pipeline, build};

/// A pipeline that holds the stage `name` with default parameters.
pub(super) fn bare(family: Family, name: &str) -> String {
    match family {
        Family::PreAggregation => format!("{name} | average"),
        Family::Rule => name.to_owned(),
        Family::MetaAggregation => format!("average | {name}"),
    }
}

/// Every specification that the suite knows.
pub(super) fn specs() -> Vec<String> {
    let bare = ALL.iter().map(|entry| bare(entry.facts.family, entry.name));
    bare.chain(CASES.iter().map(|spec| (*spec).to_owned())).collect()
}

#[test]
fn below_the_bound_a_rule_is_refused_by_name_bound_n_and_f() {
    for entry in ALL {
        let bound = entry.facts.bound;
        let spec = bare(entry.facts.family, entry.name);
        for f in 0..4 {
            let least = (bound.least)(f);
            if least <= 1 {
                continue;
            }
            let n = least - 1;
            let error = build(&spec, n, f).err().expect("below the bound").to_string();
            let start = format!("{} needs {}; got n = {n}, f = {f}", entry.name, bound.text);
            assert!(error.starts_with(&start), "{error}");
        }
        assert!(build(&spec, 0, 0).is_err(), "{spec} takes no rows");
    }
}

#[test]
fn indices_counts_and_margins_beyond_the_workers_are_refused_before_round_0() {
    let refused = |spec: &str, n, f| match build(spec, n, f) {
        Ok(_) => panic!("{spec} is taken at n = {n}, f = {f}"),
        Err(error) => error.to_string(),
    };
    let line = refused("monna pivot=9", 3, 1);
    assert_eq!(line, "monna needs pivot < n; pivot = 9; got n = 3, f = 1");
    let line = refused("bucketing s=2 | monna pivot=3", 6, 1);
    assert_eq!(line, "monna needs pivot < n; pivot = 3; got n = 3, f = 1");
    let line = refused("bucketing s=8 | average", 7, 0);
    assert_eq!(line, "bucketing needs s ≤ n; s = 8; got n = 7, f = 0");
    let line = refused("majority margin=5", 5, 1);
    assert_eq!(line, "majority needs margin below the 5 votes; margin = 5; got n = 5, f = 1");
    assert!(refused("majority weights=0,0,0", 3, 1).contains("below the 0 votes"));
    let line = crate::build_filter("basgd buffers=3 rule='monna pivot=3'", 7, 1);
    assert!(line.err().unwrap().to_string().contains("pivot < n"));
    for spec in [
        "multi-krum m=9",
        "bulyan m=9",
        "zeno b=11",
        "zeno b=1",
        "dnc T=4",
        "safeguard patience=100",
        "single-safeguard t=5 patience=5",
        "safeguard mode=theory patience=3",
        "safeguard norm=unnormalised",
        "centred-clipping tau=1 quantile=0.4",
    ] {
        refused(spec, 11, 2 + usize::from(spec == "dnc T=4"));
    }
    for spec in ["monna pivot=8", "bucketing s=9 | average", "majority margin=8"] {
        let rule = build(spec, 9, 0).unwrap();
        // Eight rows are left where one was refused: no fault of the parameter.
        assert!(rule.check(8, 0).is_ok(), "{spec}");
    }
}

#[test]
fn rules_that_remember_say_what_a_first_round_is_worth() {
    for entry in ALL {
        let rule = Pipeline::parse(&bare(entry.facts.family, entry.name)).unwrap();
        assert_eq!(rule.first_round().is_some(), entry.facts.has_memory, "{}", entry.name);
    }
    let fresh = Pipeline::parse("centred-clipping start=median").unwrap();
    assert!(fresh.first_round().is_none() && fresh.has_memory());
}

#[test]
fn the_same_rows_give_the_same_bits_on_1_2_and_8_threads() {
    let d = 40_000; // three blocks
    for spec in specs() {
        let n = Pipeline::parse(&spec).unwrap().least(2).expect("some n suffices").max(9);
        let matrix = random(n, d, 5);
        let bits = |threads: usize| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            let (out, verdict) = pool.install(|| answer(&spec, matrix.rows(), 2));
            let out: Vec<u32> = out.iter().map(|x| x.to_bits()).collect();
            (out, verdict.weights.iter().map(|w| w.to_bits()).collect::<Vec<_>>())
        };
        let one = bits(1);
        assert!(one == bits(2) && one == bits(8), "{spec} depends on the number of threads");
    }
}

#[test]
fn forks_share_no_memory_and_saved_memory_comes_back() {
    for spec in specs() {
        let n = Pipeline::parse(&spec).unwrap().least(1).expect("some n suffices").max(6);
        // A ring is odd.
        let n = (n..n + 2).find(|&n| build(&spec, n, 1).is_ok()).expect("one of two suffices");
        let (a, b, c) = (random(n, 5, 1), ties(n, 5, 2), random(n, 5, 3));
        let mut control = build(&spec, n, 1).unwrap();
        let mut forked = build(&spec, n, 1).unwrap();
        again(&mut control, a.rows(), 1);
        again(&mut forked, a.rows(), 1);
        let mut fork = forked.fork();
        again(&mut fork, b.rows(), 1);
        again(&mut fork, b.rows(), 1);
        let mut restored = build(&spec, n, 1).unwrap();
        restored.load(&control.save()).unwrap();
        let expected = again(&mut control, c.rows(), 1).0;
        assert_eq!(again(&mut forked, c.rows(), 1).0, expected, "{spec}: a fork disturbs");
        assert_eq!(again(&mut restored, c.rows(), 1).0, expected, "{spec}: memory is lost");
        assert_eq!(restored.save(), control.save());
    }
}

#[test]
fn weights_are_told_where_promised_and_rebuild_the_answer() {
    for entry in ALL {
        let spec = bare(entry.facts.family, entry.name);
        let n = Pipeline::parse(&spec).unwrap().least(1).expect("some n suffices").max(9);
        let matrix = random(n, 6, 4);
        let (out, verdict) = answer(&spec, matrix.rows(), 1);
        assert_eq!(verdict.weights.is_empty(), !entry.facts.weights, "{spec}");
        if entry.facts.weights {
            assert_eq!(verdict.weights.len(), n, "{spec}");
            for k in 0..6 {
                let rows = verdict.weights.iter().enumerate();
                let sum: f64 = rows.map(|(i, w)| w * f64::from(matrix.row(i)[k])).sum();
                assert!((sum - f64::from(out[k])).abs() < 1e-5, "{spec}: {sum} and {}", out[k]);
            }
        }
    }
}
