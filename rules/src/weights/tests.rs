//! Weighted rules against copies of rows, against formulas in f64, and against hostile rows.

use super::*;
use crate::conformance::families::FAMILIES;
use crate::conformance::wide;
use crate::{ALL, Family, Pipeline, Round, Verdict, build, exact};
use varangian_base::{Domain, Matrix, Seed};

/// Pipelines of which every stage has a form for weights.
const SPECS: [&str; 16] = [
    "average",
    "median",
    "median middle=lower",
    "median middle=upper",
    "trimmed-mean",
    "geometric-median",
    "centred-clipping tau=2",
    "centred-clipping quantile=0.7 L=3",
    "centred-clipping start=median",
    "centred-clipping start=mean L=2",
    "krum",
    "multi-krum m=3",
    "median | ctma",
    "clipping c=1.5 | trimmed-mean",
    "arc | geometric-median",
    "per-block length=2 | trimmed-mean",
];

/// Those whose answer to a row of weight k is that to k copies of it.
fn counts_copies(spec: &str) -> bool {
    !spec.contains("krum") && !spec.contains("arc")
}

fn answer(spec: &str, rows: &Matrix, f: usize, weights: Option<&[f64]>) -> (Vec<f32>, Verdict) {
    let mut rule = build(spec, rows.rows().n(), f).unwrap();
    let (mut out, mut verdict) = (vec![0.0; rows.rows().d()], Verdict::default());
    rule.aggregate(&mut Round { weights, ..Round::of(rows.rows(), f) }, &mut out, &mut verdict);
    (out, verdict)
}

fn exactly(spec: &str, rows: &Matrix, f: usize, weights: Option<&[f64]>) -> (Vec<f64>, Verdict) {
    let rows = wide(rows.rows());
    let ids: Vec<u32> = (0..rows.len() as u32).collect();
    let round =
        exact::Round { rows: &rows, ids: &ids, f, weights, step: 0, seed: Seed(0), stage: 0 };
    let mut verdict = Verdict::default();
    let answer = build(spec, rows.len(), f).unwrap().exact(&round, &mut verdict).unwrap();
    (answer, verdict)
}

/// How far apart two answers are, beside the spread of the rows.
fn apart(a: &[f64], b: &[f32], rows: &Matrix) -> f64 {
    let size = rows.rows().iter().flatten().fold(1e-38f64, |m, &x| m.max(f64::from(x).abs()));
    a.iter().zip(b).map(|(a, &b)| (a - f64::from(b)).abs() / size).fold(0.0, f64::max)
}

fn random_weights(n: usize, salt: u64) -> Vec<f64> {
    let mut stream = Seed(salt).stream(Domain::Test, 7, 0);
    (0..n).map(|_| 0.2 + f64::from(stream.uniform())).collect()
}

#[test]
fn every_weighted_stage_is_tried_here() {
    for entry in ALL.iter().filter(|entry| entry.facts.weighted) {
        let named =
            |spec: &&str| spec.split(" | ").any(|s| s.split(' ').next() == Some(entry.name));
        assert!(SPECS.iter().any(named), "{}", entry.name);
    }
    assert!(ALL.iter().any(|e| e.facts.weighted && e.facts.family == Family::MetaAggregation));
}

#[test]
fn equal_weights_are_none_and_only_ratios_count() {
    for spec in SPECS {
        for (name, generate) in FAMILIES {
            let rows = generate(9, 5, 3);
            let (plain, _) = answer(spec, &rows, 2, None);
            let (equal, _) = answer(spec, &rows, 2, Some(&[3.0; 9]));
            let plain: Vec<f64> = plain.into_iter().map(f64::from).collect();
            let gap = apart(&plain, &equal, &rows);
            assert!(gap < 1e-5, "{spec}, {name}: {gap:e}");
            let weights = random_weights(9, 1);
            let eight: Vec<f64> = weights.iter().map(|w| w * 8.0).collect();
            let (one, of_one) = answer(spec, &rows, 2, Some(&weights));
            let (same, of_same) = answer(spec, &rows, 2, Some(&eight));
            assert_eq!((one, of_one.weights), (same, of_same.weights), "{spec}, {name}");
        }
    }
}

#[test]
fn a_whole_weight_is_as_many_copies() {
    let weights = [1.0, 2.0, 1.0, 3.0, 1.0, 2.0, 1.0];
    for spec in SPECS.into_iter().filter(|spec| counts_copies(spec)) {
        for salt in 0..10 {
            let rows = crate::conformance::families::random(7, 4, salt);
            let copies: Vec<Vec<f32>> = (0..7)
                .flat_map(|i| vec![rows.rows().row(i).to_vec(); weights[i] as usize])
                .collect();
            let copies = Matrix::from_rows(&copies);
            for f in [0, 1] {
                let (weighted, _) = answer(spec, &rows, f, Some(&weights));
                // The heaviest row counts for three.
                let (copied, _) = answer(spec, &copies, 3 * f, None);
                let copied: Vec<f64> = copied.into_iter().map(f64::from).collect();
                let gap = apart(&copied, &weighted, &rows);
                assert!(gap < 2e-6, "{spec}, f = {f}, {salt}: {weighted:?} {copied:?}");
            }
        }
    }
}

#[test]
fn kernels_agree_with_the_formulas_in_f64() {
    for spec in SPECS {
        for (name, generate) in FAMILIES {
            for (n, f, d) in [(7, 1, 1), (9, 2, 6), (12, 3, 300)] {
                let (rows, weights) = (generate(n, d, 11), random_weights(n, n as u64));
                let (found, verdict) = answer(spec, &rows, f, Some(&weights));
                let (wanted, of) = exactly(spec, &rows, f, Some(&weights));
                let gap = apart(&wanted, &found, &rows);
                assert!(gap < 2e-6, "{spec}, {name}, n = {n}, d = {d}: {gap:e}");
                assert_eq!(verdict.weights.len(), of.weights.len(), "{spec}");
                assert!(found.iter().all(|x| x.is_finite()));
            }
        }
    }
}

#[test]
fn whoever_holds_less_than_half_of_the_weight_drags_nothing_out_of_the_honest_box() {
    let weights = [1.0, 0.3, 2.0, 0.7, 1.4, 0.9, 1.1, 0.1, 0.6];
    for spec in ["median", "trimmed-mean", "median | ctma", "geometric-median", "multi-krum m=3"] {
        for far in [1e30f32, -1e30, 3e38] {
            for hostile in [[2, 4], [0, 2], [7, 8], [4, 1]] {
                let mut rows: Vec<Vec<f32>> =
                    (0..9).map(|i| vec![i as f32 * 0.1, 1.0 - i as f32 * 0.1]).collect();
                hostile.iter().for_each(|&h| rows[h] = vec![far; 2]);
                let (out, _) = answer(spec, &Matrix::from_rows(&rows), 2, Some(&weights));
                assert!(out.iter().all(|x| (-0.3..=1.3).contains(x)), "{spec} {hostile:?} {out:?}");
            }
        }
    }
}

#[test]
fn a_small_site_that_counts_little_moves_little() {
    // Eight sites of 100 samples around 1, one of 5 whose row is a thousand times too long.
    let mut rows: Vec<[f32; 1]> = (0..8).map(|i| [1.0 + 0.01 * i as f32]).collect();
    rows.push([1000.0]);
    let rows = Matrix::from_rows(&rows);
    let mut weights = [100.0; 9];
    weights[8] = 5.0;
    let at = |spec| answer(spec, &rows, 1, Some(&weights)).0[0];
    assert!(at("average") > 7.0, "a mean is moved by six sites' worth: {}", at("average"));
    for spec in ["median", "trimmed-mean", "geometric-median", "median | ctma"] {
        assert!((1.0..1.08).contains(&at(spec)), "{spec}: {}", at(spec));
    }
}

#[test]
fn weights_that_mean_nothing_are_refused() {
    let refused = |spec: &str, weights: &[f64], f: usize| {
        let rule = Pipeline::parse(spec).unwrap();
        rule.check_weights(weights, 5, f).unwrap_err().to_string()
    };
    assert!(refused("nnm | median", &[1.0; 5], 1).starts_with("nnm has no form for rows that"));
    assert!(refused("bulyan", &[1.0; 5], 0).contains("trimmed-mean"));
    assert!(refused("trimmed-mean beta=0.2", &[1.0; 5], 0).contains("with these parameters"));
    assert_eq!(refused("median", &[1.0; 4], 1), "one weight a row; got 4 for 5 rows");
    let bad = "weights are finite and above 0; row 1 has ";
    assert_eq!(refused("median", &[1.0, -1.0, 1.0, 1.0, 1.0], 1), format!("{bad}-1"));
    assert_eq!(refused("median", &[1.0, f64::NAN, 1.0, 1.0, 1.0], 1), format!("{bad}NaN"));
    assert_eq!(refused("median", &[1.0, 0.0, 1.0, 1.0, 1.0], 1), format!("{bad}0"));
    assert!(refused("median", &[1e308; 5], 1).contains("overflows"));
    let heavy = refused("median", &[1.0, 1.0, 9.0, 1.0, 1.0], 1);
    let wanted = "f rows may hold less than half of the weight; the 1 heaviest of 5 hold 69.2 %";
    assert_eq!(heavy, wanted);
    assert!(Pipeline::parse("median").unwrap().check_weights(&[1e-300; 5], 5, 2).is_ok());
}

#[test]
fn counts_are_brought_between_floor_and_cap_of_their_median() {
    let counts = [10.0, 20.0, 30.0, 10_000.0, 1.0];
    assert_eq!(bounded(&counts, 0.1, 5.0).unwrap(), [10.0, 20.0, 30.0, 100.0, 2.0]);
    assert_eq!(bounded(&counts, 0.0, f64::INFINITY).unwrap(), counts);
    assert!(bounded(&counts, 2.0, 5.0).is_err() && bounded(&counts, 0.5, 0.5).is_err());
    assert!(bounded(&[1.0, -2.0], 0.0, 2.0).unwrap_err().to_string().contains("row 1 has -2"));
    assert!(bounded(&[0.0, 0.0, 1.0], 0.0, 2.0).is_err());
}
