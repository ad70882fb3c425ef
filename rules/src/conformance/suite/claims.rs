//! What a rule claims, tried.

use super::super::draws;
use super::super::families::{random, ties};
use super::{D, KINDS, Outcome, SENDS, Subject, doubles, hostile, map, near};
use varangian_base::Matrix;

pub(super) fn permutation(subject: &Subject<'_>) -> Outcome {
    subject.each(|n, f| {
        let rows = random(n, D, n as u64);
        let order = draws(7).permutation(n);
        let shuffled = map(&rows, |i, k, _| f64::from(rows.row(order[i] as usize)[k]));
        let expected = doubles(&subject.answer(rows.rows(), f)?);
        near(&subject.answer(shuffled.rows(), f)?, &expected, 1e-5)
    })
}

pub(super) fn tied(subject: &Subject<'_>) -> Outcome {
    subject.each(|n, f| {
        (0..40).try_for_each(|lane| match ignores_ties(subject, n, f, 3, lane)? {
            true => Ok(()),
            false => Err("the order of tied rows matters, and ties are not said to".into()),
        })
    })
}

/// Whether rows of small whole numbers, of which many are tied, are answered alike in any order.
pub(in crate::conformance) fn ignores_ties(
    subject: &Subject<'_>,
    n: usize,
    f: usize,
    d: usize,
    lane: u64,
) -> Result<bool, String> {
    let rows = ties(n, d, lane);
    let order = draws(lane + 1000).permutation(n);
    let mut shuffled = rows.clone();
    (0..n).for_each(|i| shuffled.row_mut(i).copy_from_slice(rows.row(order[i] as usize)));
    let (one, other) = (subject.answer(rows.rows(), f)?, subject.answer(shuffled.rows(), f)?);
    Ok(one.iter().zip(&other).all(|(a, b)| (a - b).abs() < 1e-5))
}

pub(super) fn translation(subject: &Subject<'_>) -> Outcome {
    subject.each(|n, f| {
        let by = |k: usize| 64.0 * k as f64 - 100.0;
        let rows = map(&random(n, D, n as u64), |_, _, x| (x * 256.0).round() / 256.0);
        let moved = map(&rows, |_, k, x| x + by(k));
        let found = subject.answer(rows.rows(), f)?;
        let expected: Vec<f64> =
            found.iter().enumerate().map(|(k, &x)| f64::from(x) + by(k)).collect();
        near(&subject.answer(moved.rows(), f)?, &expected, 1e-4)
    })
}

pub(super) fn scale(subject: &Subject<'_>) -> Outcome {
    subject.each(|n, f| {
        let rows = random(n, D, n as u64);
        let plain = doubles(&subject.answer(rows.rows(), f)?);
        for scale in [1e-30, 1e-6, 3.0, 1e30] {
            let scaled = map(&rows, |_, _, x| x * scale);
            let found = subject.answer(scaled.rows(), f)?;
            let found: Vec<f32> = found.iter().map(|&x| (f64::from(x) / scale) as f32).collect();
            near(&found, &plain, 2e-5).map_err(|what| format!("times {scale:e}: {what}"))?;
        }
        Ok(())
    })
}

/// x reflected at the hyperplane with normal v: an orthogonal map.
fn reflect(x: &[f32], v: &[f64]) -> Vec<f64> {
    let along: f64 = x.iter().zip(v).map(|(&x, v)| f64::from(x) * v).sum();
    let norm2: f64 = v.iter().map(|v| v * v).sum();
    x.iter().zip(v).map(|(&x, v)| f64::from(x) - 2.0 * along / norm2 * v).collect()
}

pub(super) fn rotation(subject: &Subject<'_>) -> Outcome {
    let v: Vec<f64> = (0..D).map(|k| 1.0 + k as f64 * 0.7).collect();
    subject.each(|n, f| {
        let rows = random(n, D, n as u64);
        let turned = map(&rows, |i, k, _| reflect(rows.row(i), &v)[k]);
        let expected = reflect(&subject.answer(rows.rows(), f)?, &v);
        near(&subject.answer(turned.rows(), f)?, &expected, 1e-4)
    })
}

pub(super) fn coordinate_wise(subject: &Subject<'_>) -> Outcome {
    subject.each(|n, f| {
        let rows = random(n, D, n as u64);
        let whole = subject.answer(rows.rows(), f)?;
        (0..D).try_for_each(|k| {
            let one = subject.answer(rows.rows().columns(k..k + 1), f)?;
            match one[0].to_bits() == whole[k].to_bits() {
                true => Ok(()),
                false => Err(format!("coordinate {k} alone gives {}, not {}", one[0], whole[k])),
            }
        })
    })
}

/// `trial` of the answer to honest rows with hostile ones of each kind beside them.
fn beside(
    subject: &Subject<'_>,
    (n, f): (usize, usize),
    honest: &Matrix,
    trial: impl Fn(&[f32]) -> Outcome,
) -> Outcome {
    (0..KINDS).try_for_each(|kind| {
        let out = subject.answer(hostile(honest, f, kind).rows(), f);
        let at = |what| format!("n = {n}, f = {f}, hostile rows hold {}: {what}", SENDS[kind]);
        out.and_then(|out| trial(&out)).map_err(at)
    })
}

pub(super) fn honest_box(subject: &Subject<'_>) -> Outcome {
    subject.each(|n, f| {
        let honest = random(n - f, D, n as u64);
        beside(subject, (n, f), &honest, |out| {
            (0..D).try_for_each(|k| {
                let column = (0..n - f).map(|i| honest.row(i)[k]);
                let (low, high) =
                    column.fold((f32::MAX, f32::MIN), |(a, b), x| (a.min(x), b.max(x)));
                match (low..=high).contains(&out[k]) {
                    true => Ok(()),
                    false => Err(format!("coordinate {k} is {}, not {low} to {high}", out[k])),
                }
            })
        })
    })
}

pub(super) fn bounded(subject: &Subject<'_>) -> Outcome {
    subject.each(|n, f| {
        [0.0, 3000.0].into_iter().try_for_each(|offset| {
            let honest = map(&random(n - f, D, n as u64), |_, _, x| x + offset);
            beside(subject, (n, f), &honest, |out| {
                let far = out.iter().map(|&x| (f64::from(x) - offset).powi(2)).sum::<f64>().sqrt();
                match far < 60.0 {
                    true => Ok(()),
                    false => Err(format!("{far} from the centre of rows of spread 1")),
                }
            })
        })
    })
}

pub(super) fn majority(subject: &Subject<'_>) -> Outcome {
    subject.each(|n, f| {
        let honest = map(&random(n - f, D, n as u64), |_, k, _| 1.0 + k as f64 / 7.0);
        let expected = doubles(honest.row(0));
        beside(subject, (n, f), &honest, |out| near(out, &expected, 1e-6))
    })
}
