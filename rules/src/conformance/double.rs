//! The exact path on rows that f32 cannot hold: too close, too long, too short.

use super::cases::CASES;
use super::families::{random, ties};
use super::{exactly, wide};
use crate::{ALL, Family, Pipeline, Verdict, build, exact};
use varangian_base::Seed;

/// Specifications of which every stage makes the claim, beside the two medians that are compared
/// elsewhere otherwise.
fn claiming(spec: &str, scale: bool) -> bool {
    let pipeline = Pipeline::parse(spec).unwrap();
    pipeline.entries().iter().all(|entry| match entry.facts.family {
        // Fixed lengths do not scale, and norms do not move.
        Family::PreAggregation => match entry.name {
            "clipping" => false,
            "exclusion" => scale,
            "arc" => scale,
            _ => true,
        },
        Family::Rule if scale => entry.facts.claims.scale,
        Family::Rule => entry.facts.claims.translation,
        Family::MetaAggregation => true,
    })
}

fn specs(scale: bool) -> Vec<&'static str> {
    let fixed = |spec: &str| {
        ["tau=", "th=", "th0=", "v=", "nu=", "start=zero", "exclusion c="]
            .iter()
            .any(|p| spec.contains(p))
    };
    let all = CASES.iter().copied().chain(["geometric-median"]);
    all.filter(|spec| claiming(spec, scale) && !fixed(spec)).collect()
}

fn least(spec: &str, f: usize) -> usize {
    Pipeline::parse(spec).unwrap().least(f).expect("some n suffices").max(7)
}

#[test]
fn rows_of_any_magnitude_give_the_scaled_answer_to_the_last_bit() {
    let mut tried = 0;
    for spec in specs(true) {
        for f in [1, 2] {
            let n = least(spec, f);
            let rows = wide(random(n, 5, n as u64).rows());
            let (plain, verdict) = exactly(spec, &rows, f);
            for power in [-900, -500, 500, 900] {
                let scale = 2f64.powi(power);
                let scaled: Vec<Vec<f64>> =
                    rows.iter().map(|row| row.iter().map(|x| x * scale).collect()).collect();
                let (found, of) = exactly(spec, &scaled, f);
                let expected: Vec<f64> = plain.iter().map(|x| x * scale).collect();
                assert_eq!(found, expected, "{spec}, n = {n}, f = {f}, 2^{power}");
                assert_eq!(of.weights, verdict.weights, "{spec}");
                tried += 1;
            }
        }
    }
    assert!(tried > 250, "{tried}");
}

/// Whole numbers z are exact in every path; 1 + z·2⁻⁴⁰ are too, and equal ones in f32.
#[test]
fn rows_that_differ_in_the_twelfth_digit_are_told_apart() {
    let mut tried = 0;
    for spec in specs(false) {
        if !claiming(spec, true) {
            continue;
        }
        for f in [1, 2] {
            let n = least(spec, f);
            let rows = wide(random(n, 5, 3 + n as u64).rows());
            let rows: Vec<Vec<f64>> =
                rows.iter().map(|row| row.iter().map(|x| (x * 64.0).round()).collect()).collect();
            let unit = 2f64.powi(-40);
            let close: Vec<Vec<f64>> =
                rows.iter().map(|row| row.iter().map(|z| 1.0 + z * unit).collect()).collect();
            assert!(close.iter().flatten().all(|&x| x as f32 == 1.0), "f32 sees one number");
            let (plain, _) = exactly(spec, &rows, f);
            let (found, _) = exactly(spec, &close, f);
            for (x, z) in found.iter().zip(&plain) {
                let expected = 1.0 + z * unit;
                assert!((x - expected).abs() <= 4e-16, "{spec}, n = {n}, f = {f}: {x}, {expected}");
            }
            tried += 1;
        }
    }
    assert!(tried > 60, "{tried}");
}

#[test]
fn values_that_are_known() {
    let line = |values: &[f64]| values.iter().map(|&x| vec![x]).collect::<Vec<_>>();
    let gives = |spec: &str, values: &[f64], f: usize, expected: f64| {
        let found = exactly(spec, &line(values), f).0[0];
        assert_eq!(found, expected, "{spec} of {values:?}");
    };
    // By hand, in fractions: the middles of 1 + k·1e-12 as doubles are.
    let close: Vec<f64> = [0.0, 1.0, 2.0, 3.0, 10.0].iter().map(|k| 1.0 + k * 1e-12).collect();
    gives("krum", &close, 1, close[1]);
    gives("median", &close, 1, close[2]);
    gives("aksel", &close, 1, close[2]);
    // In units of the last place the values are whole numbers, and so are their sums.
    let ticks = |x: f64| ((x - 1.0) * 2f64.powi(52)) as i64;
    let middle = |values: &[f64]| {
        let sum: i64 = values.iter().map(|&x| ticks(x)).sum();
        1.0 + (sum as f64 / values.len() as f64).round_ties_even() * 2f64.powi(-52)
    };
    gives("trimmed-mean", &close, 1, middle(&close[1..4]));
    gives("mda", &close, 1, middle(&close[..4]));
    gives("phocas", &close, 1, middle(&close[..4]));
    gives("average", &close, 0, middle(&close));
    // Beside the largest doubles, which no square of holds.
    let beside = [close[0], close[1], close[2], close[3], f64::MAX];
    gives("krum", &beside, 1, close[1]);
    for spec in ["mda", "smea", "caf", "faba", "dnc", "cge", "monna", "nnm | mda"] {
        gives(spec, &beside, 1, middle(&close[..4]));
    }
    // Rows that f32 takes for infinite.
    let u = 2f64.powi(664);
    let huge = [u, 2.0 * u, 3.0 * u, 4.0 * u, -1e300];
    gives("median", &huge, 1, 2.0 * u);
    gives("krum", &huge, 1, 2.0 * u);
    gives("mda", &huge, 1, 2.5 * u);
    gives("faba", &huge, 1, 2.5 * u);
    gives("caf", &huge, 1, 2.5 * u);
    gives("smea", &huge, 1, 2.5 * u);
    gives("cge", &huge, 1, 2.5 * u);
    gives("geometric-median", &huge, 1, 2.0 * u);
    gives("average", &[f64::MAX, f64::MAX, f64::MAX, f64::MAX], 0, f64::MAX);
    gives("average", &[f64::MAX, f64::MIN, 3.0], 0, 1.0);
    gives("sum", &[f64::MAX, f64::MAX], 0, f64::MAX);
    // Rows that f32 takes for 0, beside the largest.
    let u = 2f64.powi(-997);
    let tiny = [u, 2.0 * u, 3.0 * u, 4.0 * u, f64::MAX];
    gives("median", &tiny, 1, 3.0 * u);
    gives("krum", &tiny, 1, 2.0 * u);
    gives("mda", &tiny, 1, 2.5 * u);
    gives("multi-krum m=2", &tiny, 1, 2.5 * u);
    gives("nnm | median", &tiny, 1, 2.5 * u);
    gives("majority", &[1e-300, 1e-300, -1e300], 1, 1.0);
}

#[test]
fn equal_rows_win_exactly_whatever_the_rest() {
    for entry in ALL.iter().filter(|e| e.facts.claims.majority) {
        let n = least(entry.name, 2);
        let row = vec![1.0 / 3.0, -1e-300, 7e250];
        let mut rows = vec![row.clone(); n - 2];
        rows.insert(0, vec![f64::MAX, 1.0, -3.0]);
        rows.push(vec![0.25, 5e-324, 7e250 * (1.0 + 1e-15)]);
        assert_eq!(exactly(entry.name, &rows, 2).0, row, "{}", entry.name);
    }
}

#[test]
fn draws_and_ids_are_those_of_the_kernels_and_what_has_no_answer_says_why() {
    let rows = wide(ties(9, 4, 1).rows());
    let ids: Vec<u32> = (0..9).map(|i| i + u32::from(i > 3)).collect();
    let round = exact::Round {
        rows: &rows,
        ids: &ids,
        f: 1,
        weights: None,
        step: 5,
        seed: Seed(3),
        stage: 0,
    };
    let matrix = ties(9, 4, 1);
    for spec in ["bucketing s=2 | median", "monna pivot=4", "monna pivot=5", "majority ties=random"]
    {
        let mut verdict = Verdict::default();
        let found = build(spec, 9, 1).unwrap().exact(&round, &mut verdict).unwrap();
        let (mut out, mut kernels) = (vec![0.0; 4], Verdict::default());
        let rows = matrix.rows().with_ids(&ids);
        let mut same = crate::Round { step: 5, seed: Seed(3), ..crate::Round::of(rows, 1) };
        build(spec, 9, 1).unwrap().aggregate(&mut same, &mut out, &mut kernels);
        let found: Vec<f32> = found.iter().map(|&x| x as f32).collect();
        assert_eq!((found, verdict.event), (out, kernels.event), "{spec}");
    }
    for spec in ["zeno", "fltrust", "nnm | fltrust"] {
        let error = build(spec, 9, 1).unwrap().exact(&round, &mut Verdict::default());
        let error = error.unwrap_err().to_string();
        assert!(error.contains("gives f64 rows no answer: it asks for a loss"), "{error}");
    }
}

#[test]
fn every_entry_has_an_exact_path_but_those_that_ask_an_oracle() {
    for entry in ALL {
        let spec = super::machinery::bare(entry.facts.family, entry.name);
        let n = least(&spec, 1);
        let rows = wide(random(n, 3, 1).rows());
        let ids: Vec<u32> = (0..n as u32).collect();
        let round = exact::Round {
            rows: &rows,
            ids: &ids,
            f: 1,
            weights: None,
            step: 0,
            seed: Seed(0),
            stage: 0,
        };
        let answer = build(&spec, n, 1).unwrap().exact(&round, &mut Verdict::default());
        assert_eq!(answer.is_ok(), !entry.facts.needs_oracle, "{spec}");
    }
}

/// Any finite bits: normal numbers of every magnitude, zeros, numbers below the normal range.
fn bits(n: usize, d: usize, lane: u64) -> Vec<Vec<f64>> {
    let mut draws = super::draws(lane);
    let mut number = || loop {
        let x = match draws.below(8) {
            0 => 0.0,
            1 => f64::MAX,
            2 => f64::MIN,
            3 => f64::from_bits(draws.word() >> 12),
            4 => draws.below(3) as f64,
            _ => f64::from_bits(draws.word()),
        };
        if x.is_finite() {
            return x;
        }
    };
    (0..n).map(|_| (0..d).map(|_| number()).collect()).collect()
}

#[test]
fn any_finite_doubles_are_answered_by_finite_ones_with_finite_weights() {
    for spec in CASES.iter().copied().chain(["geometric-median steps=200"]) {
        for lane in 0..24 {
            let f = (lane % 3) as usize;
            let n = Pipeline::parse(spec).unwrap().least(f).expect("some n suffices").max(4);
            if build(spec, n, f).is_err() {
                continue;
            }
            let (_, verdict) = exactly(spec, &bits(n, 1 + lane as usize % 4, lane), f);
            assert!(verdict.weights.iter().all(|w| w.is_finite()), "{spec}, lane {lane}");
        }
    }
}
