//! ByzantineSGD against the algorithm written out in f64, over runs in which the parameters move.

use crate::{
    Pipeline, Round, Verdict, build, conformance::draws, conformance::exactly, conformance::wide,
};
use varangian_base::{Matrix, Rows};

/// The algorithm with all of its sums, in the paper's order.
struct Plain {
    v: f64,
    ta: f64,
    tb: f64,
    a: Vec<f64>,
    b: Vec<Vec<f64>>,
    good: Vec<bool>,
}

fn distance(x: &[f64], y: &[f64]) -> f64 {
    x.iter().zip(y).map(|(x, y)| (x - y).powi(2)).sum::<f64>().sqrt()
}

/// The first of these around which more than half are within `near`.
fn median(of: &[Vec<f64>], near: f64) -> Option<Vec<f64>> {
    let count = |x: &Vec<f64>| of.iter().filter(|y| distance(x, y) <= near).count();
    of.iter().find(|x| 2 * count(x) > of.len()).cloned()
}

impl Plain {
    /// One step at `moved` = x − x₁.
    fn step(&mut self, g: &[Vec<f64>], moved: &[f64]) -> Vec<f64> {
        let m = g.len();
        for i in 0..m {
            self.a[i] += g[i].iter().zip(moved).map(|(g, x)| g * x).sum::<f64>();
            (0..g[i].len()).for_each(|k| self.b[i][k] += g[i][k]);
        }
        let mut sorted = self.a.clone();
        sorted.sort_by(f64::total_cmp);
        let a_med = (sorted[(m - 1) / 2] + sorted[m / 2]) / 2.0;
        if let (Some(b_med), Some(g_med)) = (median(&self.b, self.tb), median(g, 2.0 * self.v)) {
            let keeps = |i: usize| {
                self.good[i]
                    && (self.a[i] - a_med).abs() <= self.ta
                    && distance(&self.b[i], &b_med) <= 2.0 * self.tb
                    && distance(&g[i], &g_med) <= 4.0 * self.v
            };
            let next: Vec<bool> = (0..m).map(keeps).collect();
            if next.contains(&true) {
                self.good = next;
            }
        }
        let sum = |k: usize| (0..m).filter(|&i| self.good[i]).map(|i| g[i][k]).sum::<f64>();
        (0..moved.len()).map(|k| sum(k) / m as f64).collect()
    }
}

fn ask(rule: &mut Pipeline, rows: Rows<'_>, params: &[f32], step: u64) -> (Vec<f32>, Verdict) {
    let (mut out, mut verdict) = (vec![f32::NAN; rows.d()], Verdict::default());
    rule.aggregate(&mut Round { params, step, ..Round::of(rows, 2) }, &mut out, &mut verdict);
    (out, verdict)
}

#[test]
fn it_is_the_algorithm_written_out_over_whole_runs() {
    let (m, d) = (9, 4);
    let mut left = 0;
    for seed in 0..30 {
        let mut draws = draws(seed);
        // Tight enough that runs differ in who leaves, by which test, and when.
        let (v, ta, tb) = (1.0 + 0.1 * (seed % 5) as f64, 1.5, 4.0);
        let mut rule = build(&format!("byzantine-sgd v={v} ta={ta} tb={tb}"), m, 2).unwrap();
        let (a, b) = (vec![0.0; m], vec![vec![0.0; d]; m]);
        let mut plain = Plain { v, ta, tb, a, b, good: vec![true; m] };
        let start: Vec<f32> = (0..d).map(|_| draws.normal() as f32).collect();
        let mut x = start.clone();
        for t in 0..40 {
            let mut rows = Matrix::zeros(m, d);
            for i in 0..m {
                let bias = [0.0, 0.0, 0.3, 1.5][i.saturating_sub(5).min(3)];
                for k in 0..d {
                    rows.row_mut(i)[k] =
                        (0.4 * f64::from(x[k]) + 0.4 * draws.normal() + bias) as f32;
                }
            }
            let wide = wide(rows.rows());
            let moved: Vec<f64> = x.iter().zip(&start).map(|(x, s)| f64::from(*x - *s)).collect();
            let expected = plain.step(&wide, &moved);
            let (out, verdict) = ask(&mut rule, rows.rows(), &x, t);
            let gone: Vec<u32> = (0..m as u32).filter(|&i| !plain.good[i as usize]).collect();
            assert_eq!(verdict.expelled, gone, "seed {seed}, step {t}");
            for k in 0..d {
                let difference = (f64::from(out[k]) - expected[k]).abs();
                assert!(difference < 1e-5, "seed {seed}, step {t}: {difference}");
                x[k] -= 0.1 * out[k];
            }
        }
        left += plain.good.iter().filter(|&&good| !good).count();
    }
    assert!(left > 40, "{left}");
}

#[test]
fn each_of_the_three_tests_expels_by_itself() {
    let rows = |far: f32| Matrix::from_rows(&[[1.0f32], [1.0], [1.0], [1.0], [far]]);
    let steps = |spec: &str, far: f32, move_by: f32| {
        let mut rule = build(spec, 5, 1).unwrap();
        let mut gone = |t: u64| {
            let x = [move_by * t as f32];
            !ask(&mut rule, rows(far).rows(), &x, t).1.expelled.is_empty()
        };
        (0..50).find(|&t| gone(t))
    };
    // 2·tb = 6 is passed by sums that differ by 0.5 a step at the thirteenth.
    assert_eq!(steps("byzantine-sgd v=1 ta=1e9 tb=3", 1.5, 0.0), Some(12));
    assert_eq!(steps("byzantine-sgd v=1 ta=1e9 tb=3 times=1", 1.5, 0.0), Some(6));
    // 4·v = 4 at once.
    assert_eq!(steps("byzantine-sgd v=1 ta=1e9 tb=1e9", 5.5, 0.0), Some(0));
    assert_eq!(steps("byzantine-sgd v=1 ta=1e9 tb=1e9", 5.0, 0.0), None);
    // 0.5·(1 + 2 + … + t) is 5 at t = 4 and above it at t = 5.
    assert_eq!(steps("byzantine-sgd v=1 ta=5 tb=1e9", 1.5, 1.0), Some(5));
}

#[test]
fn the_thresholds_are_those_of_the_theorem() {
    // T = 1000, m = 5, p = 0.01: ln(16·5·1000/0.01) = 15.8950; 4·√(15895.0) = 504.30.
    let sum = |tb: &str, steps: u64| {
        let mut rule = build(&format!("byzantine-sgd {tb}"), 5, 1).unwrap();
        let rows = Matrix::from_rows(&[[0.0f32], [0.0], [0.0], [0.0], [2.0]]);
        (0..steps).find(|&t| !ask(&mut rule, rows.rows(), &[], t).1.expelled.is_empty())
    };
    // The sums differ by 2 a step and pass 2·504.30 at the 505th.
    assert_eq!(sum("", 600), Some(504));
    assert_eq!(sum("v=2", 600), None);
    assert_eq!(sum("tb=10", 600), Some(10));
    assert!(build("byzantine-sgd ta=1 D=2", 5, 1).is_err());
    assert!(build("byzantine-sgd ta=1 tb=2 T=9", 5, 1).is_err());
    assert!(build("byzantine-sgd tb=2 T=9", 5, 1).is_ok());
}

#[test]
fn silence_and_new_ids_neither_expel_nor_hide() {
    let mut rule = build("byzantine-sgd v=1 ta=1e9 tb=3 divide=good", 5, 1).unwrap();
    let all = Matrix::from_rows(&[[1.0f32], [1.0], [1.0], [1.0], [1.5]]);
    let few = Matrix::from_rows(&[[1.0f32], [1.0], [1.5]]);
    let mut first = None;
    for t in 0..30 {
        let (rows, ids): (_, &[u32]) = match t % 2 {
            0 => (all.rows(), &[10, 11, 12, 13, 14]),
            _ => (few.rows(), &[10, 12, 14]),
        };
        let (out, verdict) = ask(&mut rule, rows.with_ids(ids), &[], t);
        assert!(verdict.expelled.is_empty() || verdict.expelled == [14]);
        if !verdict.expelled.is_empty() && first.is_none() {
            first = Some(t);
            assert_eq!(out, [1.0], "left out of the very step");
        }
    }
    assert!(first.is_some_and(|t| (12..=20).contains(&t)), "{first:?}");
    let late = Matrix::from_rows(&[[1.0f32], [1.0], [1.0]]);
    let (_, verdict) = ask(&mut rule, late.rows().with_ids(&[9, 10, 11]), &[], 30);
    assert_eq!(verdict.expelled, [14], "a newcomer starts amid the others");
    let nobody = Matrix::from_rows(&[[0.0f32], [100.0], [200.0]]);
    let (_, verdict) = ask(&mut rule, nobody.rows().with_ids(&[9, 10, 11]), &[], 31);
    assert!(verdict.event.unwrap().contains("no vector median"));
}

#[test]
fn half_of_the_workers_are_no_median() {
    // Two and two: each is within 2·v of half of them, and more than half is asked.
    let rows = Matrix::from_rows(&[[0.0f32], [0.0], [9.0], [9.0]]);
    let mut rule = build("byzantine-sgd v=1 ta=1e9 tb=1", 4, 1).unwrap();
    let (out, verdict) = ask(&mut rule, rows.rows(), &[], 0);
    assert!(verdict.event.unwrap().contains("no vector median"));
    assert_eq!(out, [4.5]);
    let wide = wide(rows.rows());
    let (out, verdict) = exactly("byzantine-sgd v=1 ta=1e9 tb=1", &wide, 1);
    assert_eq!(out, [4.5]);
    assert!(verdict.event.unwrap().contains("no vector median"));
}
