//! Bounds by hand, the lemma by trials, the counterexample, and the inequality draw by draw.

use super::lemma::broken;
use super::*;
use varangian_base::Domain;

const PROBLEM: Problem =
    Problem { gap: 2.0, smoothness: 4.0, curvature: -1.0, variance: 0.5, square: 3.0 };

fn crowd(workers: u64, hostile: u64, trimmed: u64) -> Crowd {
    Crowd { workers, hostile, trimmed }
}

fn close(a: f64, b: f64) -> bool {
    (a - b).abs() <= 1e-12 * (1.0 + b.abs())
}

#[test]
fn factors_and_bounds_are_those_worked_out_by_hand() {
    // (9 − 8 + 1)(20 − 8)/(20 − 9)² = 24/121; (20 − 8)/(20 − 9) = 12/11.
    assert!(close(crowd(20, 8, 9).variance_factor().unwrap(), 24.0 / 121.0));
    assert!(close(crowd(20, 8, 9).any_choice().unwrap(), 12.0 / 11.0));
    assert!(close(crowd(20, 12, 16).variance_factor().unwrap(), 40.0 / 16.0));
    assert!(close(crowd(20, 0, 0).variance_factor().unwrap(), 1.0 / 20.0));
    // T = 100, γ = 1/(4·10) = 1/40: 2·4·2/10 + (1 + 1/4)·3/10 + 2·(24/121)/2 = 1.975 + 24/121.
    assert!(close(PROBLEM.step(100.0), 1.0 / 40.0));
    let run = PROBLEM.run(crowd(20, 8, 9), 100.0).unwrap();
    assert!(close(run, 1.975 + 24.0 / 121.0), "{run}");
    // Without V and with half of the rest; with e = 0.1, c = 0.5: (1.975 + 0.1)/0.5.
    assert!(close(PROBLEM.our_run(100.0, 0.0, 0.0).unwrap(), 0.9875));
    assert!(close(PROBLEM.our_run(100.0, 0.1, 0.5).unwrap(), 4.15));
    // 1/(0.5·10) + 24/121 + 0.1/0.5.
    let slides = PROBLEM.slides(crowd(20, 8, 9), 100.0, 0.1, 0.5).unwrap();
    assert!(close(slides, 0.4 + 24.0 / 121.0), "{slides}");
    // γ = 0.1 and ‖∇F‖² = 2: −0.1 + 0.1·(24/121)·0.5 + 5·0.01·3/2.
    let step = PROBLEM.theorem_1(crowd(20, 8, 9), 0.1, 2.0).unwrap();
    assert!(close(step, -0.1 + 1.2 / 121.0 + 0.075), "{step}");
    assert!(close(PROBLEM.ours(0.1, 2.0), -0.2 + 0.075));
}

#[test]
fn more_hostile_workers_or_more_steps_need_no_larger_bound_and_dropping_more_does() {
    for q in 0..19 {
        for b in q..19 {
            let now = crowd(20, q, b).variance_factor().unwrap();
            if b + 1 < 20 {
                assert!(crowd(20, q, b + 1).variance_factor().unwrap() > now);
            }
            // At a given b each further hostile worker makes the printed bound smaller: it counts
            // the honest that b drops in vain.
            if q < b {
                assert!(crowd(20, q + 1, b).variance_factor().unwrap() < now);
            }
            let any = crowd(20, q, b).any_choice().unwrap();
            assert_eq!(any < now - 1e-12, 2 * b > 20 + q - 1, "q = {q}, b = {b}");
            let run = |steps| PROBLEM.run(crowd(20, q, b), steps).unwrap();
            assert!(run(400.0) < run(100.0));
            assert!(PROBLEM.our_run(100.0, 0.0, 0.0).unwrap() < run(100.0));
        }
    }
    let better = |e, c| PROBLEM.our_run(100.0, e, c).unwrap();
    assert!(better(0.2, 0.1) > better(0.1, 0.1) && better(0.1, 0.2) > better(0.1, 0.1));
}

#[test]
fn outside_its_conditions_a_bound_says_so() {
    assert!(crowd(20, 8, 7).variance_factor().is_err() && crowd(20, 8, 20).any_choice().is_err());
    assert!(PROBLEM.theorem_1(crowd(20, 8, 9), 0.26, 1.0).is_err());
    assert!(PROBLEM.theorem_1(crowd(20, 8, 9), 0.25, 1.0).is_ok());
    assert!(PROBLEM.our_run(100.0, 0.0, 1.0).is_err() && PROBLEM.our_run(0.5, 0.0, 0.0).is_err());
}

#[test]
fn the_lemma_of_the_slides_is_false_and_two_others_hold() {
    assert_eq!(broken(&[10.0, 0.0], &[-5.0]), (true, false, false));
    let found = count_orders(20_000, Seed(1));
    assert!(found.slides > 2000, "{found:?}");
    assert_eq!((found.kept, found.shifted), (0, 0));
    // Each form can be broken by scores that are in the wrong place.
    assert_eq!(broken(&[0.0, 1.0], &[0.5]), (false, false, false));
}

#[test]
fn theorem_1_is_false_under_validation_noise_and_only_there() {
    for (gamma, s) in [(0.1, 1.0), (0.5, 3.0), (0.6, 0.01)] {
        let found = noisy_validation(gamma, s).unwrap();
        assert!(close(found.change, (s * 0.999).powi(2)));
        assert!(close(found.allowed, s * s * (gamma + gamma * gamma / 2.0)));
        assert!(found.change > found.allowed, "{found:?}");
    }
    let quiet = noisy_validation(0.1, 0.0).unwrap();
    assert_eq!(quiet.change, 0.0);
    assert!(noisy_validation(1.1, 1.0).is_err());
}

/// F(x) = Σ(1 − cos xⱼ): L = 1, μ = −1.
fn waves(x: &[f64]) -> f64 {
    x.iter().map(|x| 1.0 - x.cos()).sum()
}

#[test]
fn on_a_loss_that_is_not_convex_each_draw_stays_below_the_honest_mean() {
    let (d, mut tight) = (3, f64::INFINITY);
    for trial in 0..4000u32 {
        let mut stream = Seed(5).stream(Domain::Test, trial, 0);
        let n = 2 + trial as usize % 7;
        let q = trial as usize / 7 % n;
        let b = q + trial as usize / 49 % (n - q);
        let gamma = 0.05 + 1.5 * stream.uniform_f64();
        let rho = gamma * gamma / 2.0;
        let mut normals =
            |scale: f64| -> Vec<f64> { (0..d).map(|_| scale * stream.normal()).collect() };
        let x = normals(2.0);
        let noise: Vec<Vec<f64>> = (0..n - q).map(|_| normals(0.7)).collect();
        let honest: Vec<Vec<f64>> = noise
            .iter()
            .map(|noise| x.iter().zip(noise).map(|(x, e)| x.sin() + e).collect())
            .collect();
        let forged: Vec<Vec<f64>> = (0..q).map(|_| normals(3.0)).collect();
        let after =
            |u: &[f64]| waves(&x.iter().zip(u).map(|(x, u)| x - gamma * u).collect::<Vec<f64>>());
        let price = |u: &[f64]| after(u) + rho * u.iter().map(|u| u * u).sum::<f64>();
        let mut received = [honest.clone(), forged].concat();
        received.sort_by(|u, v| price(u).total_cmp(&price(v)));
        let best = &received[..n - b];
        let mean: Vec<f64> =
            (0..d).map(|j| best.iter().map(|u| u[j]).sum::<f64>() / best.len() as f64).collect();
        let allowed = honest.iter().map(|v| price(v)).sum::<f64>() / honest.len() as f64;
        let slack = allowed - after(&mean);
        assert!(slack >= -1e-12, "trial {trial}: {slack}");
        tight = tight.min(slack);
    }
    assert!(tight < 0.05, "the claim is far from tight: {tight}");
}
