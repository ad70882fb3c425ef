//! The geometric median in f64 of any magnitude, step by step in the space of the rows.

use crate::exact::{Blend, Round, Wide, distance2, pairs, total};
use varangian_base::blocks;

/// The greatest binary exponent of the points: their lengths can be inverted and added.
const REACH: i64 = 900;

/// The gap that is aimed at, whatever more is allowed: what rounding leaves.
const LEAST: f64 = 1e-15;

/// The points less one of them, scaled by a power of two, and how far an iterate has come.
struct Walk {
    /// xᵢ − x₀ over 2^e.
    points: Vec<Vec<f64>>,
    e: i64,
    at: Vec<f64>,
    weights: Vec<f64>,
    /// How much each row counts.
    masses: Vec<f64>,
}

impl Walk {
    /// From row k.
    fn from(rows: &[Vec<f64>], masses: Vec<f64>, k: usize) -> Walk {
        let apart = |x: &Vec<f64>| -> Vec<Wide> {
            x.iter().zip(&rows[k]).map(|(&a, &b)| Wide::from(a) - Wide::from(b)).collect()
        };
        let apart: Vec<Vec<Wide>> = rows.iter().map(apart).collect();
        let most = apart.iter().flatten().map(|z| z.exponent()).max().unwrap_or(0);
        let e = most.max(-10_000) - REACH;
        let points = apart.iter().map(|x| x.iter().map(|z| z.over(e)).collect()).collect();
        let mut weights = vec![0.0; rows.len()];
        weights[k] = 1.0;
        Walk { points, e, at: vec![0.0; rows[k].len()], weights, masses }
    }

    /// One Weiszfeld step, where points that the iterate touches hold it back; answers the least
    /// subgradient's length, and whether the iterate moved.
    fn step(&mut self) -> (f64, bool) {
        let mut reach = Vec::new();
        let (points, at) = (&self.points, &self.at);
        blocks::map(points.len(), 1, &mut reach, |range, r| {
            *r = distance2(&points[range.start], at).sqrt().to_f64();
        });
        let massed = || reach.iter().zip(&self.masses);
        let inverse = |(&r, &mass): (&f64, &f64)| if r == 0.0 { 0.0 } else { mass / r };
        let all: f64 = massed().map(inverse).sum();
        let touching: f64 = massed().filter(|(r, _)| **r == 0.0).map(|(_, mass)| mass).sum();
        if all == 0.0 {
            return (0.0, false);
        }
        let mut pull = vec![0.0; at.len()];
        for (x, (&r, mass)) in points.iter().zip(massed()).filter(|(_, (r, _))| **r > 0.0) {
            let far = pull.iter_mut().zip(x).zip(at);
            far.for_each(|((sum, x), z)| *sum += mass * ((x - z) / r));
        }
        let length = crate::exact::norm2(&pull).sqrt().to_f64();
        let held = if touching == 0.0 { 0.0 } else { (touching / length).min(1.0) };
        let stride = (1.0 - held) / all;
        let mut moved = false;
        for (z, pull) in self.at.iter_mut().zip(&pull) {
            let next = *z + stride * pull;
            moved |= next != *z;
            *z = next;
        }
        for (w, of) in self.weights.iter_mut().zip(massed()) {
            *w = held * *w + (1.0 - held) * inverse(of) / all;
        }
        ((length - touching).max(0.0), moved)
    }
}

/// The answer, the weights, and the certified gap.
pub(super) fn descend(
    round: &Round<'_>,
    steps: usize,
    tolerance: f64,
) -> (Vec<f64>, Vec<f64>, f64) {
    let (rows, n) = (round.rows, round.n());
    let masses = round.weights.map_or_else(|| vec![1.0; n], <[f64]>::to_vec);
    let all: f64 = masses.iter().sum();
    let away = |far: Vec<Wide>| {
        let roots = far.into_iter().zip(&masses);
        total(roots.map(|(s, &mass)| Wide::from(mass) * s.sqrt()).collect())
    };
    let sums: Vec<Wide> = pairs(rows).into_iter().map(away).collect();
    let k = (0..n).min_by_key(|&i| sums[i]).expect("there are rows");
    let mut walk = Walk::from(rows, masses, k);
    let mut gap = f64::INFINITY;
    for _ in 0..steps {
        let (subgradient, moved) = walk.step();
        gap = 2.0 * subgradient / all;
        if gap <= tolerance.min(LEAST) || !moved {
            break;
        }
    }
    if walk.weights[k] == 1.0 {
        return (rows[k].clone(), Blend::selection(n, &[k]).weights(), gap);
    }
    let place = |(&x, &z): (&f64, &f64)| (Wide::from(x) + Wide::new(z, walk.e)).to_f64();
    (rows[k].iter().zip(&walk.at).map(place).collect(), walk.weights, gap)
}
