//! The worked examples, the guarantees, and the detection-time law of SafeguardSGD.

use super::*;
use crate::{Pipeline, build};
use varangian_base::Matrix;

/// Runs `steps` rounds of one-coordinate gradients; what the rule answered, and who is out.
fn run(rule: &mut Pipeline, grads: &[f32], steps: u64) -> Vec<(f32, Vec<u32>)> {
    let rows: Vec<[f32; 1]> = grads.iter().map(|&g| [g]).collect();
    let x = Matrix::from_rows(&rows);
    (0..steps).map(|t| step(rule, x.rows(), t)).collect()
}

fn step(rule: &mut Pipeline, rows: varangian_base::Rows<'_>, t: u64) -> (f32, Vec<u32>) {
    let (mut out, mut verdict) = (vec![0.0; rows.d()], Verdict::default());
    let mut round = Round { step: t, ..Round::of(rows, 1) };
    rule.aggregate(&mut round, &mut out, &mut verdict);
    (out[0], verdict.expelled)
}

#[test]
fn s1_a_gap_of_twice_the_threshold_is_kept_and_the_next_step_expels() {
    let grads = [1.0, 1.0, 1.0, 1.0, -1.0];
    let mut rule = build("single-safeguard mode=fixed th=1", 5, 1).unwrap();
    let log = run(&mut rule, &grads, 8);
    assert!(log[..5].iter().all(|(out, expelled)| *out == 0.6 && expelled.is_empty()), "{log:?}");
    assert_eq!(log[5], (0.6, vec![4]), "caught at t = 5, counted at t = 5");
    assert!(log[6..].iter().all(|(out, _)| *out == 1.0));
    let mut strict = build("single-safeguard mode=fixed th=1 drop-immediately=true", 5, 1).unwrap();
    assert_eq!(run(&mut strict, &grads, 6)[5], (1.0, vec![4]));
}

#[test]
fn s2_a_window_that_restarts_in_time_never_expels() {
    let mut rule = build("single-safeguard t=3 mode=fixed th=1", 5, 1).unwrap();
    let log = run(&mut rule, &[1.0, 1.0, 1.0, 1.0, -1.0], 60);
    assert!(log.iter().all(|(_, expelled)| expelled.is_empty()));
}

#[test]
fn s4_the_long_window_alone_catches_what_the_short_one_forgets() {
    let mut rule = build("safeguard t0=4 th0=0.5 t1=16 th1=1 mode=fixed", 4, 1).unwrap();
    let log = run(&mut rule, &[1.0, 1.0, 1.0, 0.0], 12);
    assert!(log[..8].iter().all(|(out, expelled)| *out == 0.75 && expelled.is_empty()), "{log:?}");
    assert_eq!(log[8], (0.75, vec![3]));
    assert_eq!(log[9], (1.0, vec![3]));
    let memory = rule.save();
    let sums = memory.part("window1");
    let sums = sums.floats("sums").unwrap();
    assert!((f64::from(sums[0]) - (2.25 + 3.0 / 3.0)).abs() < 1e-6, "nine quarters, three thirds");
    assert_eq!(sums[3], 0.0, "the expelled worker's sum stays");
}

#[test]
fn without_a_majority_there_is_no_median_and_an_event() {
    let mut rule = build("single-safeguard mode=fixed th=1", 4, 1).unwrap();
    let x = Matrix::from_rows(&[[0.0], [0.0], [100.0], [100.0]]);
    let mut verdict = Verdict::default();
    rule.aggregate(&mut Round::of(x.rows(), 1), &mut [0.0], &mut verdict);
    assert!(verdict.expelled.is_empty());
    assert_eq!(verdict.event.as_deref(), Some("no vector median: nobody was expelled"));
}

#[test]
fn equal_windows_are_the_single_safeguard_and_memory_survives_a_save() {
    let grads = [1.0, 0.9, 1.1, 1.0, -1.0];
    let mut single = build("single-safeguard t=7 mode=fixed th=0.7", 5, 1).unwrap();
    let mut double = build("safeguard t0=7 t1=7 mode=fixed th0=0.7 th1=0.7", 5, 1).unwrap();
    assert_eq!(run(&mut single, &grads, 20), run(&mut double, &grads, 20));
    let mut whole = build("safeguard t0=9", 5, 1).unwrap();
    let mut first = build("safeguard t0=9", 5, 1).unwrap();
    let log = run(&mut whole, &grads, 20);
    run(&mut first, &grads, 11);
    let mut second = build("safeguard t0=9", 5, 1).unwrap();
    second.load(&first.save()).unwrap();
    let x = Matrix::from_rows(&grads.map(|g| [g]));
    for t in 11..20 {
        assert_eq!(step(&mut second, x.rows(), t), log[t as usize]);
    }
    assert!(second.load(&Memory::default()).is_err());
}

#[test]
fn workers_are_known_by_id_not_by_row_and_silence_neither_expels_nor_hides() {
    let mut rule = build("single-safeguard mode=fixed th=1", 5, 1).unwrap();
    let all = Matrix::from_rows(&[[1.0], [1.0], [1.0], [1.0], [-1.0]]);
    let few = Matrix::from_rows(&[[1.0], [1.0], [-1.0]]);
    for t in 0..30 {
        let (rows, ids): (_, &[u32]) = match t % 3 {
            0 => (all.rows(), &[10, 11, 12, 13, 14]),
            1 => (few.rows(), &[11, 13, 14]),
            _ => (few.rows(), &[10, 11, 14]),
        };
        let expelled = step(&mut rule, rows.with_ids(ids), t).1;
        assert!(expelled.is_empty() || expelled == [14], "{expelled:?} at {t}");
        assert_eq!(expelled.is_empty(), t < 5, "{t}");
    }
    let late = Matrix::from_rows(&[[1.0], [1.0], [1.0]]);
    let expelled = step(&mut rule, late.rows().with_ids(&[9, 10, 11]), 30).1;
    assert_eq!(expelled, [14], "a newcomer starts amid the others");
}

#[test]
fn other_ids_for_the_same_workers_change_nothing() {
    let mut stream = Seed(6).stream(Domain::Test, 0, 0);
    let order = stream.permutation(7);
    let mut a = build("safeguard t0=6 patience=2", 7, 2).unwrap();
    let mut b = build("safeguard t0=6 patience=2", 7, 2).unwrap();
    let mut left = 0;
    for t in 0..60 {
        let value = |i: usize| if i >= 5 { 1.5 } else { 0.0 } + 0.5 * stream.normal() as f32;
        let rows: Vec<[f32; 1]> = (0..7).map(value).map(|x| [x]).collect();
        let shuffled: Vec<[f32; 1]> = order.iter().map(|&i| rows[i as usize]).collect();
        let (x, mut out) = step(&mut a, Matrix::from_rows(&rows).rows(), t);
        let (y, others) = step(&mut b, Matrix::from_rows(&shuffled).rows(), t);
        out.sort_unstable();
        let mut same: Vec<u32> = others.iter().map(|&i| order[i as usize]).collect();
        same.sort_unstable();
        assert_eq!(out, same, "step {t}");
        assert!((x - y).abs() < 1e-6, "step {t}: {x} {y}");
        left = out.len();
    }
    assert!(left >= 2, "somebody was expelled on the way");
}

/// If no two honest sums are further apart than the threshold, nobody honest is ever expelled,
/// whatever the others send; and who is expelled stays so.
#[test]
fn honest_sums_within_the_threshold_are_never_expelled_and_nobody_comes_back() {
    for seed in 0..40 {
        let mut stream = Seed(seed).stream(Domain::Test, 0, 0);
        // Ten steps of gaps of at most ½ over at least four good workers: 5/4.
        let mut rule = build("single-safeguard t=10 mode=fixed th=1.25", 7, 3).unwrap();
        let mut out = Vec::new();
        for t in 0..50 {
            let mut rows: Vec<[f32; 1]> =
                (0..4).map(|_| [0.5 * stream.uniform_f64() as f32 - 0.25]).collect();
            rows.extend((4..7).map(|_| [[0.3f32, -3.0, 50.0][stream.below(3)]]));
            let expelled = step(&mut rule, Matrix::from_rows(&rows).rows(), t).1;
            assert!(expelled.iter().all(|&worker| worker >= 4), "seed {seed}: {expelled:?}");
            assert!(out.iter().all(|worker| expelled.contains(worker)), "nobody comes back");
            out = expelled;
        }
    }
}

#[test]
fn an_expelled_workers_messages_have_no_effect_and_a_reset_lets_it_in() {
    let mut a = build("single-safeguard mode=fixed th=1 reset-every=20", 5, 1).unwrap();
    let mut b = build("single-safeguard mode=fixed th=1 reset-every=20", 5, 1).unwrap();
    let quiet = Matrix::from_rows(&[[1.0], [1.0], [1.0], [1.0], [-1.0]]);
    let loud = Matrix::from_rows(&[[1.0], [1.0], [1.0], [1.0], [1e30]]);
    for t in 0..20 {
        let x = step(&mut a, quiet.rows(), t);
        let y = step(&mut b, if t < 6 { quiet.rows() } else { loud.rows() }, t);
        assert_eq!(x, y);
    }
    assert!(step(&mut a, quiet.rows(), 20).1.is_empty());
}

#[test]
fn noise_has_mean_0_and_standard_deviation_nu_and_its_own_address() {
    let x = Matrix::zeros(3, 40_000);
    let mut rule = build("safeguard nu=0.5", 3, 1).unwrap();
    let mut out = vec![0.0; 40_000];
    rule.aggregate(&mut Round::of(x.rows(), 1), &mut out, &mut Verdict::default());
    let mean = out.iter().map(|&x| f64::from(x)).sum::<f64>() / 4e4;
    let variance = out.iter().map(|&x| f64::from(x).powi(2)).sum::<f64>() / 4e4;
    assert!(mean.abs() < 0.01 && (variance.sqrt() - 0.5).abs() < 0.01, "{mean} {variance}");
    let mut again = vec![0.0; 40_000];
    let mut rule = build("safeguard nu=0.5", 3, 1).unwrap();
    rule.aggregate(&mut Round::of(x.rows(), 1), &mut again, &mut Verdict::default());
    assert_eq!(out, again);
}

/// Gaussian rows of n − q honest workers, then q that collude on mean − z·std, coordinate-wise.
fn little_is_enough(seed: u64, t: u64, z: f64, ddof: f64, out: &mut Matrix) {
    const N: usize = 10;
    const Q: usize = 4;
    out.resize(N, 1500);
    for i in 0..N - Q {
        let mut stream = Seed(seed).stream(Domain::Test, i as u32, t);
        out.row_mut(i).iter_mut().for_each(|x| *x = stream.normal() as f32);
    }
    for k in 0..1500 {
        let honest = (0..N - Q).map(|i| f64::from(out.row(i)[k]));
        let mean = honest.clone().sum::<f64>() / 6.0;
        let variance = honest.map(|x| (x - mean).powi(2)).sum::<f64>() / (6.0 - ddof);
        for i in N - Q..N {
            out.row_mut(i)[k] = (mean - z * variance.sqrt()) as f32;
        }
    }
}

/// The step at which the first worker leaves; all that leave, together.
fn detection(z: f64, ddof: f64, seed: u64, limit: u64) -> (u64, Vec<u32>) {
    let mut rule = build("single-safeguard", 10, 4).unwrap();
    let mut x = Matrix::default();
    for t in 0..limit {
        little_is_enough(seed, t, z, ddof, &mut x);
        let (_, expelled) = step(&mut rule, x.rows(), t);
        if !expelled.is_empty() {
            return (t, expelled);
        }
    }
    (limit, Vec::new())
}

#[test]
fn the_variance_attack_is_detected_when_the_law_says_all_four_at_once_and_no_honest_worker() {
    // T ≈ (8c² − 5/6)/(z·r)², c = 1.5, r = E[sample std]/std of 6 normal draws.
    for (z, ddof, r) in [(0.3, 1.0, 0.952), (0.6, 1.0, 0.952), (0.6, 0.0, 0.869)] {
        let law = (8.0 * 2.25 - 5.0 / 6.0) / (z * r * z * r);
        let (t, expelled) = detection(z, ddof, 5, 600);
        assert_eq!(expelled, [6, 7, 8, 9]);
        assert!((t as f64 / law - 1.0).abs() < 0.08, "z = {z}: step {t}, law {law:.1}");
    }
}

#[test]
fn a_young_window_does_not_judge_so_that_one_long_honest_gradient_expels_nobody() {
    // Rare long gradients, as of a model that has nearly converged.
    let run = |spec: &str| {
        let mut rule = build(spec, 10, 4).unwrap();
        let mut expelled = Vec::new();
        for t in 0..400 {
            let mut x = Matrix::zeros(10, 200);
            for i in 0..10 {
                let mut stream = Seed(4).stream(Domain::Test, i, t);
                let scale = if stream.coin(0.3) { 1.0 } else { 0.05 };
                let row = x.row_mut(i as usize);
                row.iter_mut().for_each(|x| *x = (scale * stream.normal()) as f32);
            }
            expelled = step(&mut rule, x.rows(), t).1;
        }
        expelled
    };
    assert!(!run("safeguard t0=100 patience=0").is_empty(), "without patience some are");
    assert!(run("safeguard t0=100").is_empty());
}

#[test]
fn honest_walks_are_never_expelled_at_the_theorys_threshold() {
    for seed in 0..1_000 {
        let mut rule = build("single-safeguard t=64 mode=theory", 5, 2).unwrap();
        for t in 0..64 {
            let mut x = Matrix::zeros(5, 3);
            for i in 0..5 {
                let mut stream = Seed(seed).stream(Domain::Test, i, t);
                let mut row = [0; 3].map(|_| stream.normal() as f32);
                let norm = row.iter().map(|x| x * x).sum::<f32>().sqrt();
                row.iter_mut().for_each(|x| *x /= norm);
                x.row_mut(i as usize).copy_from_slice(&row);
            }
            assert!(step(&mut rule, x.rows(), t).1.is_empty());
        }
    }
    let th = theory_threshold(1000, 10, 0.01, 1.0, false);
    assert!((th - 1030.0).abs() < 5.0, "{th}");
    assert!((theory_threshold(1000, 10, 0.01, 1.0, true) - th / 10.0).abs() < 1e-9);
}

#[test]
fn a_calibrated_threshold_expels_nobody_during_the_run_in_and_the_liar_after() {
    let spec = "single-safeguard t=10 mode=calibrated calibration=20";
    let mut rule = build(spec, 5, 1).unwrap();
    for t in 0..40 {
        let mut x = Matrix::zeros(5, 50);
        for i in 0..5 {
            let mut stream = Seed(1).stream(Domain::Test, i, t);
            let bias = if i == 4 && t >= 20 { 5.0 } else { 0.0 };
            let row = x.row_mut(i as usize);
            row.iter_mut().for_each(|x| *x = (stream.normal() + bias) as f32);
        }
        let expelled = step(&mut rule, x.rows(), t).1;
        assert!(
            t < 20 && expelled.is_empty() || t >= 20 && [&[][..], &[4]].contains(&&expelled[..])
        );
        assert!(t < 30 || expelled == [4], "{t}");
    }
}
