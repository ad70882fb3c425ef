//! Each claim of each entry, tried with every combination of its choices.

use super::answer;
use super::draws;
use super::families::{random, ties};
use crate::{ALL, Claims, Family, Pipeline, RuleEntry};
use varangian_base::{Kind, Matrix};

const D: usize = 6;

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

/// The rules that make a claim, in every variant, with an (n, f) at the bound and one above it.
fn claiming(claim: impl Fn(&Claims) -> bool) -> Vec<(&'static RuleEntry, String, usize, usize)> {
    let mut list = Vec::new();
    for entry in ALL.iter().filter(|e| e.facts.family == Family::Rule) {
        for chosen in choices(entry).into_iter().filter(|c| claim(&entry.facts.claims_with(c))) {
            let spec = [entry.name.to_owned(), chosen.join(" ")].join(" ").trim().to_owned();
            // Some choices need a number beside them.
            let Ok(pipeline) = Pipeline::parse(&spec) else { continue };
            for f in [0, 1, 2] {
                let least = pipeline.least(f).expect("some n suffices");
                list.push((*entry, spec.clone(), least, f));
                list.push((*entry, spec.clone(), least + 4, f));
            }
        }
    }
    assert!(!list.is_empty(), "somebody claims it");
    list
}

fn map(matrix: &Matrix, entry: impl Fn(usize, usize, f64) -> f64) -> Matrix {
    let mut result = matrix.clone();
    for i in 0..matrix.n() {
        for k in 0..matrix.d() {
            result.row_mut(i)[k] = entry(i, k, f64::from(matrix.row(i)[k])) as f32;
        }
    }
    result
}

#[track_caller]
fn near(spec: &str, n: usize, f: usize, found: &[f32], expected: &[f64], tolerance: f64) {
    for (x, y) in found.iter().zip(expected) {
        assert!(
            (f64::from(*x) - y).abs() <= tolerance,
            "{spec}, n = {n}, f = {f}: {found:?}, not {expected:?}"
        );
    }
}

fn wide(x: &[f32]) -> Vec<f64> {
    x.iter().map(|&x| f64::from(x)).collect()
}

#[test]
fn the_order_of_the_rows_does_not_matter() {
    for (_, spec, n, f) in claiming(|c| c.permutation) {
        let rows = random(n, D, n as u64);
        let order = draws(7).permutation(n);
        let shuffled = map(&rows, |i, k, _| f64::from(rows.row(order[i] as usize)[k]));
        let expected = wide(&answer(&spec, rows.rows(), f).0);
        near(&spec, n, f, &answer(&spec, shuffled.rows(), f).0, &expected, 1e-5);
    }
}

/// Whether rows of small whole numbers, of which many are tied, are answered alike in any order.
fn ignores_ties(spec: &str, n: usize, f: usize, d: usize, lane: u64) -> bool {
    let rows = ties(n, d, lane);
    let order = draws(lane + 1000).permutation(n);
    let mut shuffled = rows.clone();
    (0..n).for_each(|i| shuffled.row_mut(i).copy_from_slice(rows.row(order[i] as usize)));
    let (one, other) = (answer(spec, rows.rows(), f).0, answer(spec, shuffled.rows(), f).0);
    one.iter().zip(&other).all(|(a, b)| (a - b).abs() < 1e-5)
}

#[test]
fn the_order_of_tied_rows_matters_to_the_rules_that_say_so_and_to_no_others() {
    for (entry, spec, n, f) in claiming(|c| c.permutation && !c.ties) {
        // A coin has the address of its coordinate and step, whoever sent what.
        let alike = (0..40).all(|lane| ignores_ties(&spec, n, f, 3, lane));
        assert!(alike, "{} says that ties do not matter; {spec}, n = {n}, f = {f}", entry.name);
    }
    for entry in ALL.iter().filter(|e| e.facts.claims.ties) {
        let n = Pipeline::parse(entry.name).unwrap().least(1).unwrap().max(4);
        let mut lanes = (0..400).flat_map(|lane| [(1, lane), (2, lane)]);
        let found = lanes.any(|(d, lane)| !ignores_ties(entry.name, n, 1, d, lane));
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

#[test]
fn a_translation_of_the_rows_translates_the_answer() {
    for (_, spec, n, f) in claiming(|c| c.translation) {
        let rows = map(&random(n, D, n as u64), |_, _, x| (x * 256.0).round() / 256.0);
        let moved = map(&rows, |_, k, x| x + 64.0 * k as f64 - 100.0);
        let found = answer(&spec, rows.rows(), f).0;
        let expected: Vec<f64> = found
            .iter()
            .enumerate()
            .map(|(k, &x)| f64::from(x) + 64.0 * k as f64 - 100.0)
            .collect();
        near(&spec, n, f, &answer(&spec, moved.rows(), f).0, &expected, 1e-4);
    }
}

#[test]
fn scaled_rows_give_the_scaled_answer() {
    for (_, spec, n, f) in claiming(|c| c.scale) {
        let rows = random(n, D, n as u64);
        for scale in [1e-30, 1e-6, 3.0, 1e30] {
            let scaled = map(&rows, |_, _, x| x * scale);
            let found = answer(&spec, scaled.rows(), f).0;
            let found: Vec<f32> = found.iter().map(|&x| (f64::from(x) / scale) as f32).collect();
            near(&spec, n, f, &found, &wide(&answer(&spec, rows.rows(), f).0), 2e-5);
        }
    }
}

/// x reflected at the hyperplane with normal v: an orthogonal map.
fn reflect(x: &[f32], v: &[f64]) -> Vec<f64> {
    let along: f64 = x.iter().zip(v).map(|(&x, v)| f64::from(x) * v).sum();
    let norm2: f64 = v.iter().map(|v| v * v).sum();
    x.iter().zip(v).map(|(&x, v)| f64::from(x) - 2.0 * along / norm2 * v).collect()
}

#[test]
fn rotated_rows_give_the_rotated_answer() {
    let v: Vec<f64> = (0..D).map(|k| 1.0 + k as f64 * 0.7).collect();
    for (_, spec, n, f) in claiming(|c| c.rotation) {
        let rows = random(n, D, n as u64);
        let turned = map(&rows, |i, k, _| reflect(rows.row(i), &v)[k]);
        let expected = reflect(&answer(&spec, rows.rows(), f).0, &v);
        near(&spec, n, f, &answer(&spec, turned.rows(), f).0, &expected, 1e-4);
    }
}

#[test]
fn each_coordinate_stands_alone() {
    for (_, spec, n, f) in claiming(|c| c.coordinate_wise) {
        let rows = random(n, D, n as u64);
        let whole = answer(&spec, rows.rows(), f).0;
        for k in 0..D {
            let column = rows.rows().columns(k..k + 1);
            assert_eq!(answer(&spec, column, f).0, whole[k..=k], "{spec}");
        }
    }
}

/// What the hostile rows send, by kind: far, near, equal, opposite, mixed in scale.
fn hostile(honest: &Matrix, f: usize, kind: usize) -> Matrix {
    let (h, d) = (honest.n(), honest.d());
    let mut draws = draws(kind as u64 + 50);
    let centre: Vec<f32> =
        (0..d).map(|k| (0..h).map(|i| honest.row(i)[k]).sum::<f32>() / h as f32).collect();
    let mut rows = Matrix::zeros(h + f, d);
    for i in 0..h {
        rows.row_mut(i + f).copy_from_slice(honest.row(i));
    }
    for j in 0..f {
        for k in 0..d {
            let noise = draws.normal() as f32;
            rows.row_mut(j)[k] = match kind {
                0 => 1e20 * noise,
                1 => 3e38,
                2 => f32::MAX * if j % 2 == 0 { 1.0 } else { -1.0 },
                3 => centre[k] + (1u32 << 20) as f32 * noise,
                4 => [1e20f32, 1e10, 1e5, 1e2][j % 4] * if k == j { 1.0 } else { 0.0 },
                5 => -4.0 * centre[k],
                6 => centre[k] + 2.0,
                7 => 0.0,
                _ => honest.row(j % h)[k],
            };
        }
    }
    rows
}
const KINDS: usize = 9;

#[test]
fn each_coordinate_stays_in_the_honest_range() {
    for (_, spec, n, f) in claiming(|c| c.honest_box) {
        let honest = random(n - f, D, n as u64);
        for kind in 0..KINDS {
            let out = answer(&spec, hostile(&honest, f, kind).rows(), f).0;
            for k in 0..D {
                let column = (0..n - f).map(|i| honest.row(i)[k]);
                let (low, high) =
                    column.fold((f32::MAX, f32::MIN), |(a, b), x| (a.min(x), b.max(x)));
                assert!((low..=high).contains(&out[k]), "{spec} on kind {kind}: {out:?}");
            }
        }
    }
}

#[test]
fn far_rows_cannot_drag_the_answer() {
    for (_, spec, n, f) in claiming(|c| c.bounded) {
        for offset in [0.0, 3000.0] {
            let honest = map(&random(n - f, D, n as u64), |_, _, x| x + offset);
            for kind in 0..KINDS {
                let out = answer(&spec, hostile(&honest, f, kind).rows(), f).0;
                let far = out.iter().map(|&x| (f64::from(x) - offset).powi(2)).sum::<f64>().sqrt();
                assert!(far < 60.0, "{spec}, n = {n}, f = {f}, kind {kind}: {out:?}");
            }
        }
    }
}

#[test]
fn a_majority_of_n_minus_f_equal_rows_is_answered() {
    for (_, spec, n, f) in claiming(|c| c.majority) {
        let honest = map(&random(n - f, D, n as u64), |_, k, _| 1.0 + k as f64 / 7.0);
        for kind in 0..KINDS {
            let out = answer(&spec, hostile(&honest, f, kind).rows(), f).0;
            near(&spec, n, f, &out, &wide(honest.row(0)), 1e-6);
        }
    }
}
