//! Families of rows, tame and hostile, on which a rule must agree with its reference.

use super::draws;
use varangian_base::Matrix;

/// Name and generator of each family, from (n, d, lane).
pub(crate) const FAMILIES: &[(&str, fn(usize, usize, u64) -> Matrix)] = &[
    ("random", random),
    ("duplicates", duplicates),
    ("ties", ties),
    ("collinear", collinear),
    ("offset 4096", offset),
    ("huge", |n, d, lane| scaled(n, d, lane, 1e30)),
    ("tiny", |n, d, lane| scaled(n, d, lane, 1e-30)),
    ("one giant", giant),
    ("equal", |n, d, _| of(n, d, |_, k| 1.5 - k as f32)),
    ("zeros", |n, d, _| of(n, d, |i, k| if (i + k) % 2 == 0 { 0.0 } else { -0.0 })),
    ("denormal", |n, d, lane| {
        let mut draws = draws(lane);
        of(n, d, |_, _| {
            f32::from_bits(draws.below(4) as u32) * if draws.coin(0.5) { -1.0 } else { 1.0 }
        })
    }),
    ("largest", |n, d, lane| {
        let mut draws = draws(lane);
        of(n, d, |_, _| if draws.coin(0.5) { f32::MAX } else { f32::MIN })
    }),
];

fn of(n: usize, d: usize, mut entry: impl FnMut(usize, usize) -> f32) -> Matrix {
    let mut matrix = Matrix::zeros(n, d);
    for i in 0..n {
        for k in 0..d {
            matrix.row_mut(i)[k] = entry(i, k);
        }
    }
    matrix
}

/// Normal rows.
pub(crate) fn random(n: usize, d: usize, lane: u64) -> Matrix {
    scaled(n, d, lane, 1.0)
}

fn scaled(n: usize, d: usize, lane: u64, scale: f64) -> Matrix {
    let mut draws = draws(lane);
    of(n, d, |_, _| (draws.normal() * scale) as f32)
}

/// Three rows, repeated.
fn duplicates(n: usize, d: usize, lane: u64) -> Matrix {
    let mut draws = draws(lane);
    let base = scaled(3, d, lane + 1000, 1.0);
    let picks: Vec<usize> = (0..n).map(|_| draws.below(3)).collect();
    of(n, d, |i, k| base.row(picks[i])[k])
}

/// Small whole numbers: equal values and equal distances everywhere, all of them exact.
pub(crate) fn ties(n: usize, d: usize, lane: u64) -> Matrix {
    let mut draws = draws(lane);
    of(n, d, |_, _| draws.below(5) as f32 - 2.0)
}

fn collinear(n: usize, d: usize, lane: u64) -> Matrix {
    let mut draws = draws(lane);
    let along: Vec<f32> = (0..n).map(|_| draws.below(1 << 16) as f32 / 1024.0).collect();
    of(n, d, |i, k| along[i] * (1 + k % 4) as f32 - 3.0)
}

/// Rows that differ by thousandths around 4096.
fn offset(n: usize, d: usize, lane: u64) -> Matrix {
    let mut draws = draws(lane);
    of(n, d, |_, _| 4096.0 + draws.below(64) as f32 / 1024.0)
}

fn giant(n: usize, d: usize, lane: u64) -> Matrix {
    let mut matrix = random(n, d, lane);
    let last = matrix.n() - 1;
    matrix.row_mut(last).fill(3e38);
    matrix
}
