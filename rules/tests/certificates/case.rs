//! Attacked steps whose honest rows are known, held to the certificates that do not know them.
//!
//! Shared by the test beside it and the long-running example.

use rand::RngExt;
use varangian_base::{Domain, Matrix, Seed, Stream};
use varangian_rules::{Certifier, Effort, Pipeline, Round, Verdict};

/// The rules that answer: plain and weighted means, orders, selections, iterations, compositions.
const RULES: &[&str] = &[
    "average",
    "trimmed-mean",
    "median",
    "krum",
    "multi-krum",
    "mda",
    "geometric-median",
    "centred-clipping",
    "cge",
    "majority",
    "nnm | trimmed-mean",
    "bucketing s=2 | median",
];

/// What came of the steps so far; a step is one answer of one rule under one attack.
#[derive(Debug)]
pub(crate) struct Tally {
    /// Answers that were certified.
    pub(crate) steps: u64,
    /// Answers farther from the honest mean than their radius, farther than κ promised, and with no
    /// descent where it was certified.
    pub(crate) violations: [u64; 3],
    /// Certificates of descent with as many hostile rows as there were.
    pub(crate) descents: u64,
    /// Promises by κ.
    pub(crate) promises: u64,
    /// The least radius of a sharp certificate over the distance that it bounds.
    pub(crate) tightest: f64,
    /// The sum of distance over radius, of fast and of sharp certificates.
    pub(crate) shares: [f64; 2],
}

impl Default for Tally {
    fn default() -> Self {
        let (steps, violations, descents, promises) = (0, [0; 3], 0, 0);
        let (tightest, shares) = (f64::INFINITY, [0.0; 2]);
        Tally { steps, violations, descents, promises, tightest, shares }
    }
}

/// A number that may be anything finite, with those that break things over-represented.
fn odd(draw: &mut Stream) -> f32 {
    match draw.random_range(0..8) {
        0 => f32::MAX,
        1 => f32::MIN,
        2 => 1e19,
        3 => f32::from_bits(draw.random_range(1..9)),
        4 => -0.0,
        5 => Some(f32::from_bits(draw.random())).filter(|x| x.is_finite()).unwrap_or(1.0),
        _ => draw.random_range(-1.0f32..1.0),
    }
}

/// n rows of which the last `hostile` are hostile, by one of ten attacks.
fn rows(draw: &mut Stream, (n, hostile, d): (usize, usize, usize)) -> Matrix {
    let mut rows = Matrix::zeros(n, d);
    let scale = [1.0f32, 1e-30, 1e30, 1e-3][draw.random_range(0..4)];
    let common = if draw.random() { 3.0 } else { 0.0 };
    let spread = [1.0f32, 1e-6, 0.1][draw.random_range(0..3)];
    let honest = n - hostile;
    for i in 0..honest {
        let row = rows.row_mut(i);
        row.iter_mut().for_each(|x| {
            *x = scale * (common + spread * draw.random_range(-1.0f32..1.0));
        });
    }
    let columns: Vec<Vec<f32>> =
        (0..d).map(|k| (0..honest).map(|i| rows.row(i)[k]).collect()).collect();
    let mean = |k: usize| columns[k].iter().map(|&x| f64::from(x)).sum::<f64>() / honest as f64;
    let off = |k: usize| {
        let squares = columns[k].iter().map(|&x| (f64::from(x) - mean(k)).powi(2));
        (squares.sum::<f64>() / honest as f64).sqrt()
    };
    let attack = draw.random_range(0..10);
    let strength = draw.random_range(0.0f64..4.0);
    let of = draw.random_range(0..honest);
    for i in honest..n {
        for k in 0..d {
            let value = match attack {
                // A little is enough; inner products; far away; a copy; one unit beside a copy.
                0 => mean(k) + strength * off(k),
                1 => -strength * mean(k),
                2 => mean(k) + 10f64.powf(strength * 8.0) * off(k),
                3 => f64::from(columns[k][of]),
                4 => f64::from(columns[k][of].next_up()),
                // The least and the largest honest value; the honest mean mirrored; anything.
                5 => f64::from(columns[k].iter().copied().fold(f32::INFINITY, f32::min)),
                6 => f64::from(columns[k].iter().copied().fold(f32::NEG_INFINITY, f32::max)),
                7 => 0.0,
                8 => mean(k) + off(k) * f64::from(draw.random_range(-3.0f32..3.0)),
                _ => f64::from(odd(draw)),
            };
            rows.row_mut(i)[k] = (value as f32).clamp(f32::MIN, f32::MAX);
        }
    }
    rows
}

/// Makes one attacked round, aggregates it by every rule that its n and f allow, and holds each
/// answer to its certificates.
pub(crate) fn step(seed: Seed, number: u64, tally: &mut Tally) {
    let mut draw = seed.stream(Domain::Test, 7, number);
    let (n, d) = (draw.random_range(3..12usize), draw.random_range(1..9));
    let f = draw.random_range(1..=((n - 1) / 2));
    let hostile = draw.random_range(0..=f);
    let rows = rows(&mut draw, (n, hostile, d));
    for spec in RULES {
        let mut rule = Pipeline::parse(spec).expect("a known rule");
        if rule.check(n, f).is_err() || rule.fits(n, f).is_err() {
            continue;
        }
        let (mut answer, mut verdict) = (vec![0.0; d], Verdict::default());
        let mut round = Round { seed, step: number, ..Round::of(rows.rows(), f) };
        rule.aggregate(&mut round, &mut answer, &mut verdict);
        hold(&rows, &answer, (f, hostile, rule.kappa(n, f)), tally);
    }
}

/// Holds one answer to both certificates.
fn hold(
    rows: &Matrix,
    answer: &[f32],
    (f, hostile, kappa): (usize, usize, Option<f64>),
    tally: &mut Tally,
) {
    let honest = rows.n() - hostile;
    // By differences, which floats have exactly or nearly: a mean of rows far from 0 would lose the
    // digits that tell the answer from it.
    let over = |k: usize, of: &dyn Fn(f64, f64) -> f64| {
        let terms = (0..honest).map(|i| of(f64::from(answer[k]), f64::from(rows.row(i)[k])));
        terms.sum::<f64>() / honest as f64
    };
    let d = answer.len();
    let far = (0..d).map(|k| over(k, &|a, x| a - x).powi(2)).sum::<f64>().sqrt();
    let product: f64 = (0..d).map(|k| over(k, &|a, x| a * x)).sum();
    tally.steps += 1;
    for (k, effort) in [Effort::Fast, Effort::Sharp].into_iter().enumerate() {
        let found = Certifier::new(effort).certify(rows.rows(), answer, f, kappa);
        let found = found.expect("f is below n");
        tally.violations[0] += u64::from(far > found.radius);
        if let Some(promised) = found.promised {
            tally.promises += 1;
            // The rule answers in f32: half a unit in the last place of each coordinate.
            let rounded = found.length * 2f64.powi(-22) + 1e-44;
            tally.violations[1] += u64::from(far > promised + rounded);
        }
        if found.descent.is_some_and(|certified| hostile <= certified) {
            tally.descents += 1;
            tally.violations[2] += u64::from(product <= 0.0);
        }
        tally.shares[k] += if found.radius > 0.0 { far / found.radius } else { 1.0 };
        if k == 1 && far > 0.0 {
            tally.tightest = tally.tightest.min(found.radius / far);
        }
    }
}
