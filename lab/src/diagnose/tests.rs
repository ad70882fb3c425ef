//! Failures that are put into honest rows, one at a time.

use super::*;
use varangian_base::{Domain, Stream};

/// Honest rows of `t` steps: a gradient that all share, anew each step, and normal noise.
fn honest(n: usize, d: usize, t: usize, noise: f64, draws: &mut Stream) -> Vec<Vec<Vec<f32>>> {
    (0..t)
        .map(|_| {
            let shared: Vec<f64> = (0..d).map(|_| draws.normal()).collect();
            let row = |draws: &mut Stream| {
                shared.iter().map(|g| (g + noise * draws.normal()) as f32).collect()
            };
            (0..n).map(|_| row(draws)).collect()
        })
        .collect()
}

fn draws(lane: u64) -> Stream {
    Seed(3).lane(Domain::Test, 0, 0, lane)
}

fn steps(rows: &[Vec<Vec<f32>>]) -> Vec<Step> {
    let step = |(i, rows): (usize, &Vec<Vec<f32>>)| {
        let bad = |row: &[f32]| row.iter().position(|x| !x.is_finite());
        let ids: Vec<u32> =
            (0..rows.len() as u32).filter(|&id| bad(&rows[id as usize]).is_none()).collect();
        let refused = (0..rows.len() as u32)
            .filter_map(|id| Some((id, format!("NaN at coordinate {}", bad(&rows[id as usize])?))))
            .collect();
        let kept: Vec<&Vec<f32>> = ids.iter().map(|&id| &rows[id as usize]).collect();
        Step::new(i as u64, Sent::Single(Matrix::from_rows(&kept)), ids, refused)
    };
    rows.iter().enumerate().map(step).collect()
}

#[track_caller]
fn only<'a>(found: &'a Diagnosis, worker: u32, looks: &str) -> &'a Suspect {
    let [one] = &found.suspects[..] else { panic!("{looks}: {found:?}") };
    assert_eq!(one.worker, worker, "{found:?}");
    assert!(one.looks.contains(looks), "{looks}: {found:?}");
    one
}

#[test]
fn one_rank_of_eight_in_one_step() {
    let rows = honest(8, 500, 1, 0.5, &mut draws(1));
    let with = |change: fn(&mut Vec<f32>)| {
        let mut rows = rows.clone();
        change(&mut rows[0][5]);
        diagnose(&steps(&rows))
    };
    assert!(with(|_| {}).suspects.is_empty(), "{:?}", with(|_| {}));
    let scaled = with(|row| row.iter_mut().for_each(|x| *x *= 3.0));
    only(&scaled, 5, "the direction of the others, 2.9");
    let flipped = with(|row| row.iter_mut().for_each(|x| *x = -*x));
    only(&flipped, 5, "points the other way (cosine -0.8");
    // The exponent's top bit, as a cosmic ray would have it.
    let bit = with(|row| row[17] = f32::from_bits(row[17].to_bits() ^ 1 << 30));
    let found = only(&bit, 5, "one number is off: coordinate 17 is");
    assert!(found.p.unwrap() < 1e-20, "{found:?}");
    let nan = with(|row| row[17] = f32::NAN);
    assert_eq!(only(&nan, 5, "refused: NaN at coordinate 17").p, None);
    assert_eq!(only(&with(|row| row.fill(0.0)), 5, "all zeros").p, None);
}

#[test]
fn since_when_over_several_steps() {
    // A noise under which one step says nothing: the oddest again and again is what tells.
    let rows = honest(8, 200, 12, 3.0, &mut draws(2));
    let with = |change: &dyn Fn(usize, &mut Vec<Vec<Vec<f32>>>)| {
        let mut rows = rows.clone();
        (4..12).for_each(|t| change(t, &mut rows));
        diagnose(&steps(&rows))
    };
    assert!(with(&|_, _| {}).suspects.is_empty());
    let flip = |t: usize, rows: &mut Vec<Vec<Vec<f32>>>| {
        rows[t][2].iter_mut().for_each(|x| *x = -*x);
    };
    let found = with(&flip);
    let one = only(&found, 2, "points the other way");
    assert_eq!((one.since, found.oddest[&2] >= 8), (4, true), "{one:?}");
    assert!(one.p.unwrap() < 0.01);
    let stale = |t: usize, rows: &mut Vec<Vec<Vec<f32>>>| rows[t][6] = rows[3][6].clone();
    let found = with(&stale);
    let one = only(&found, 6, "stale: sent its row of step 3 again, bit for bit");
    assert_eq!((one.since, one.steps, one.p), (4, 8, None));
    let nan = |t: usize, rows: &mut Vec<Vec<Vec<f32>>>| {
        if t >= 7 {
            rows[t][1][0] = f32::INFINITY;
        }
    };
    let found = with(&nan);
    let one = only(&found, 1, "refused");
    assert_eq!((one.since, one.steps), (7, 5));
}

#[test]
fn what_cannot_be_told_is_said() {
    let few = diagnose(&steps(&honest(4, 50, 1, 0.1, &mut draws(4))));
    assert!(
        few.suspects.is_empty() && few.remarks[0].starts_with("5 finite rows a step are needed"),
        "{few:?}"
    );
    // Half of all rows the other way round: nobody is named.
    let mut rows = honest(8, 200, 1, 0.5, &mut draws(5));
    rows[0][4..].iter_mut().flatten().for_each(|x| *x = -*x);
    let half = diagnose(&steps(&rows));
    assert!(half.suspects.is_empty() && half.remarks[1].contains("by half or more"), "{half:?}");
    let groups = "two groups, workers [0, 1, 2, 3] and workers [4, 5, 6, 7]: which of them";
    assert!(half.remarks[0].contains(groups), "{half:?}");
    // Four of nine: the larger side is taken to be right, and that is said.
    let mut rows = honest(9, 200, 1, 0.2, &mut draws(8));
    rows[0][5..].iter_mut().flatten().for_each(|x| *x = -*x);
    let four = diagnose(&steps(&rows));
    assert_eq!(four.suspects.len(), 4);
    assert!(four.remarks[0].contains("that the larger is right is an assumption"), "{four:?}");
    // Replicas that should be equal need no statistics.
    let mut rows = vec![vec![vec![1.0f32, 2.0, 3.0]; 4]];
    rows[0][3][1] = 2.5;
    let found = diagnose(&steps(&rows));
    let one = only(&found, 3, "3 of 4 rows are equal bit for bit, and this is not: coordinate 1");
    assert_eq!(one.p, None);
    rows[0][3][1] = 2.0;
    assert!(diagnose(&steps(&rows)).suspects.is_empty());
    let two = diagnose(&steps(&[{
        let mut rows = honest(8, 50, 1, 0.5, &mut draws(6)).remove(0);
        rows[3] = rows[5].clone();
        rows
    }]));
    assert!(two.remarks[0].contains("workers [3, 5] sent one row"), "{two:?}");
    assert!(diagnose(&[]).suspects.is_empty());
}

#[test]
fn honest_crowds_are_left_alone() {
    let (mut accused, mut crowds) = (0, 0);
    for lane in 0..300 {
        let mut draws = draws(100 + lane);
        let (n, t) = (5 + draws.below(12), 1 + draws.below(6));
        let d = [1, 2, 10, 100][draws.below(4)];
        let noise = [0.1, 1.0, 10.0][draws.below(3)];
        let found = diagnose(&steps(&honest(n, d, t, noise, &mut draws)));
        accused += usize::from(!found.suspects.is_empty());
        crowds += 1;
    }
    // At most LEVEL of them, and chance.
    assert!(accused as f64 <= LEVEL * crowds as f64 + 8.0, "{accused} of {crowds}");
}

#[test]
fn any_magnitude_is_measured_alike() {
    let base = honest(8, 60, 1, 0.5, &mut draws(7)).remove(0);
    let at = |scale: f64| {
        let rows: Vec<Vec<f64>> =
            base.iter().map(|row| row.iter().map(|&x| f64::from(x) * scale).collect()).collect();
        Step::new(0, Sent::Double(rows), (0..8).collect(), Vec::new())
    };
    let plain = at(1.0);
    for scale in [1e-300, 1e-30, 1e30, 1e300] {
        let other = at(scale);
        for id in 0..8 {
            let (a, b) = (plain.look(id).unwrap(), other.look(id).unwrap());
            for (a, b) in [(a.norm, b.norm / scale), (a.off, b.off / scale), (a.cosine, b.cosine)] {
                assert!((a / b - 1.0).abs() < 1e-12, "{scale}: {a} {b}");
            }
        }
    }
    let wide: f64 = base[0].iter().map(|&x| f64::from(x).powi(2)).sum::<f64>().sqrt();
    assert!((plain.look(0).unwrap().norm / wide - 1.0).abs() < 1e-14);
}
