//! SignGuard (Xu, Huang, Song & Lan 2022, §IV): of the rows whose norm lies in a band around the
//! median norm and whose shares of positive, zero and negative entries belong to the largest
//! cluster, the mean, each cut to the median norm.
//!
//! The shares are those at a random tenth of the coordinates. Clusters are those of mean shift with
//! a flat kernel: from each point to the mean of the points within the bandwidth until it rests;
//! resting places within a bandwidth of a fuller one are that one; a point belongs to the nearest.
//! Of equally large clusters the one with the fuller centre is taken. Where no row passes both
//! filters the answer is 0.
//!
//! The median norm of an even number of rows is the lower one. The bandwidth of `auto` is that of
//! scikit-learn's `estimate_bandwidth` at the quantile 0.5, which published code uses (as
//! remembered): the mean over the points of the distance to the ⌊n/2⌋-th nearest, itself counted.
//!
//! ```
//! # use varangian_base::Matrix;
//! # use varangian_rules::{Round, Verdict, build};
//! let rows = [[1.0, 2.0], [2.0, 1.0], [1.5, 1.5], [-2.0, -1.0], [90.0, 90.0]];
//! let rows = Matrix::from_rows(&rows);
//! let mut verdict = Verdict::default();
//! let mut rule = build("signguard share=1", 5, 2).unwrap();
//! rule.aggregate(&mut Round::of(rows.rows(), 2), &mut [0.0; 2], &mut verdict);
//! // 90 is out of the band, and the signs of -2 and -1 are those of a smaller cluster.
//! assert_eq!((verdict.weights[3], verdict.weights[4]), (0.0, 0.0));
//! ```

use crate::dnc::places;
use crate::{Bound, Claims, Kappa, Round, Rule, RuleEntry, RuleFacts, Stage, Verdict, exact};
use varangian_base::kernels::{combine, norms};
use varangian_base::{Domain, Kind, Matrix, Param, Seed, Stream, lanes};

pub(crate) static ENTRY: RuleEntry = RuleEntry {
    name: "signguard",
    summary: "mean of the rows of usual norm and of the largest cluster of sign shares, cut to the median norm",
    paper: "Xu, Huang, Song & Lan, Byzantine-robust Federated Learning through Collaborative Malicious Gradient Filtering, ICDCS 2022, arXiv 2109.05872, §IV",
    differs: &[
        "the features are the shares of signs alone; SignGuard-Sim and SignGuard-Dist add a similarity to them",
        "the coordinates looked at are one from each of as many strata, not any",
    ],
    params: &[
        Param {
            name: "low",
            kind: Kind::Real { min: 0.0, max: 1.0 },
            default: "0.1",
            help: "the lower end of the band, in median norms",
        },
        Param {
            name: "high",
            kind: Kind::Real { min: 1.0, max: 1e30 },
            default: "3",
            help: "the upper end of the band, in median norms",
        },
        Param {
            name: "share",
            kind: Kind::Real { min: 1e-9, max: 1.0 },
            default: "0.1",
            help: "the share of the coordinates whose signs are looked at",
        },
        Param {
            name: "bandwidth",
            kind: Kind::Real { min: 0.0, max: 2.0 },
            default: "auto",
            help: "how far mean shift looks, as a distance between shares; auto from the points",
        },
    ],
    cost: "O(n·d)",
    facts: RuleFacts {
        bound: Bound::majority("Xu et al. 2022"),
        claims: Claims { scale: true, ..Claims::NONE },
        weights: true,
        excluded: "its norm or its share of signs is not that of the {k} rows taken",
        kappa: Kappa::Open(
            "none: rows with honest norms and shares of signs get in wherever they point",
        ),
        whole_rows: "it draws coordinates among those of whole rows",
        ..RuleFacts::RULE
    },
    build: |args| {
        let real = |name| args.real(name).expect("has a default");
        Ok(Box::new(Stage::Rule(Box::new(SignGuard {
            low: real("low"),
            high: real("high"),
            share: real("share"),
            bandwidth: args.real("bandwidth"),
            ..SignGuard::default()
        }))))
    },
};

/// Numbers of positive, zero and negative entries.
type Counts = [f64; 3];

/// Coordinates that are looked at at a time.
const CHUNK: usize = 4096;

#[derive(Clone, Default)]
struct SignGuard {
    low: f64,
    high: f64,
    share: f64,
    bandwidth: Option<f64>,
    squared: Vec<f64>,
    sorted: Vec<f64>,
    counts: Vec<Counts>,
    sketch: Matrix,
    room: Vec<f32>,
    shift: Shift,
}

impl SignGuard {
    /// How many of d coordinates are looked at.
    fn looked_at(&self, d: usize) -> usize {
        ((self.share * d as f64).ceil() as usize).clamp(d.min(1), d)
    }

    /// Counts the signs of every row at the coordinates that are drawn.
    fn count(&mut self, round: &Round<'_>) {
        let (sent, d) = (round.rows.sent(), round.rows.d());
        let b = self.looked_at(d);
        self.counts.clear();
        self.counts.resize(round.rows.n(), [0.0; 3]);
        let mut at = places(draws(round.seed, round.step, round.stage), b, d);
        let mut left = b;
        while left > 0 {
            let some = left.min(CHUNK);
            self.sketch.resize(sent.n(), some);
            for (k, at) in at.by_ref().take(some).enumerate() {
                (0..sent.n()).for_each(|i| self.sketch.row_mut(i)[k] = sent.row(i)[at]);
            }
            let rows = round.rows.of(self.sketch.rows());
            for (i, counts) in self.counts.iter_mut().enumerate() {
                rows.row(i, &mut self.room).iter().for_each(|&x| counts[place(x.into())] += 1.0);
            }
            left -= some;
        }
    }
}

/// Where a number is counted.
fn place(x: f64) -> usize {
    if x > 0.0 { 0 } else { 1 + usize::from(x < 0.0) }
}

fn draws(seed: Seed, step: u64, stage: u64) -> Stream {
    seed.lane(Domain::Rule, lanes::rule::SIGNS, step, stage)
}

/// Mean shift over n points, and the room for it.
#[derive(Clone, Default)]
struct Shift {
    far: Vec<f64>,
    /// Where each point comes to rest, and how many points are around.
    rest: Vec<(Counts, usize)>,
    order: Vec<usize>,
    centres: Vec<Counts>,
    sizes: Vec<usize>,
    of: Vec<usize>,
}

/// A point that moves by less than this part of the bandwidth rests, and after so many moves.
const REST: f64 = 1e-3;
const MOVES: usize = 300;

fn distance(a: &Counts, b: &Counts) -> f64 {
    a.iter().zip(b).map(|(a, b)| (a - b) * (a - b)).sum::<f64>().sqrt()
}

impl Shift {
    /// As scikit-learn estimates it at the quantile 0.5.
    fn bandwidth(&mut self, points: &[Counts]) -> f64 {
        let n = points.len();
        let nearest = (n / 2).max(1) - 1;
        let mut sum = 0.0;
        for from in points {
            self.far.clear();
            self.far.extend(points.iter().map(|to| distance(from, to)));
            self.far.sort_unstable_by(f64::total_cmp);
            sum += self.far[nearest];
        }
        sum / n as f64
    }

    /// Sets `of` to each point's cluster and answers the largest.
    fn cluster(&mut self, points: &[Counts], bandwidth: f64) -> usize {
        self.rest.clear();
        self.rest.extend(points.iter().map(|&point| settle(points, point, bandwidth)));
        self.order.clear();
        self.order.extend(0..points.len());
        let rest = &self.rest;
        let before = |&a: &usize, &b: &usize| {
            let fuller = rest[b].1.cmp(&rest[a].1);
            let further = || rest[b].0.iter().zip(&rest[a].0).map(|(b, a)| b.total_cmp(a));
            fuller.then_with(|| further().find(|o| o.is_ne()).unwrap_or(a.cmp(&b)))
        };
        self.order.sort_unstable_by(before);
        self.centres.clear();
        for &i in &self.order {
            let place = &self.rest[i].0;
            if self.centres.iter().all(|centre| distance(centre, place) > bandwidth) {
                self.centres.push(*place);
            }
        }
        self.sizes.clear();
        self.sizes.resize(self.centres.len(), 0);
        self.of.clear();
        for point in points {
            let far = self.centres.iter().map(|centre| distance(centre, point)).enumerate();
            let (nearest, _) = far.min_by(|a, b| a.1.total_cmp(&b.1)).expect("there are centres");
            self.sizes[nearest] += 1;
            self.of.push(nearest);
        }
        let sizes = self.sizes.iter().enumerate().rev();
        sizes.max_by_key(|(_, size)| **size).map_or(0, |(largest, _)| largest)
    }
}

/// Where a point comes to rest, and how many points are within the bandwidth there.
fn settle(points: &[Counts], mut at: Counts, bandwidth: f64) -> (Counts, usize) {
    for moves in 0.. {
        let (mut sum, mut near) = ([0.0; 3], 0usize);
        for point in points.iter().filter(|point| distance(point, &at) <= bandwidth) {
            sum.iter_mut().zip(point).for_each(|(sum, x)| *sum += x);
            near += 1;
        }
        // Rounding may leave the mean of far points outside of a narrow reach of them all.
        if near == 0 {
            return (at, 0);
        }
        let next = sum.map(|sum| sum / near as f64);
        let moved = distance(&at, &next);
        at = next;
        if moved <= REST * bandwidth || moves == MOVES {
            return (at, near);
        }
    }
    unreachable!("it rests after so many moves")
}

impl Rule for SignGuard {
    fn aggregate(&mut self, round: &mut Round<'_>, out: &mut [f32], verdict: &mut Verdict) {
        let n = round.rows.n();
        norms::rows_norm2(round.rows, &mut self.squared);
        self.sorted.clear();
        self.sorted.extend(self.squared.iter().map(|s| s.sqrt()));
        self.sorted.sort_unstable_by(f64::total_cmp);
        let median = self.sorted[(n - 1) / 2];
        self.count(round);
        let looked_at = self.looked_at(round.rows.d()) as f64;
        let given = self.bandwidth.map(|bandwidth| bandwidth * looked_at);
        let bandwidth = given.unwrap_or_else(|| self.shift.bandwidth(&self.counts));
        let largest = self.shift.cluster(&self.counts, bandwidth);
        let (low, high) = (self.low * median, self.high * median);
        let passes = |i: usize| {
            let norm = self.squared[i].sqrt();
            self.shift.of[i] == largest && low <= norm && norm <= high
        };
        let kept = (0..n).filter(|&i| passes(i)).count();
        verdict.uniform(n, 0.0);
        for i in (0..n).filter(|&i| passes(i)) {
            let norm = self.squared[i].sqrt();
            let cut = if norm > median { median / norm } else { 1.0 };
            verdict.weights[i] = cut / kept as f64;
        }
        combine::combine(round.rows, &verdict.weights, out);
        if kept == 0 {
            verdict.event = Some(NONE.to_owned());
        }
    }

    fn exact(&self, round: &exact::Round<'_>, verdict: &mut Verdict) -> Result<Vec<f64>, String> {
        let (n, d) = (round.n(), round.d());
        let lengths: Vec<_> = round.rows.iter().map(|row| exact::norm2(row).sqrt()).collect();
        let median = lengths[exact::in_order(&lengths)[(n - 1) / 2]];
        let b = self.looked_at(d);
        let at: Vec<usize> = places(draws(round.seed, round.step, round.stage), b, d).collect();
        let counts: Vec<Counts> = (round.rows.iter())
            .map(|row| {
                let count = |which| at.iter().filter(|&&k| place(row[k]) == which).count() as f64;
                [count(0), count(1), count(2)]
            })
            .collect();
        let mut shift = Shift::default();
        let given = self.bandwidth.map(|bandwidth| bandwidth * b as f64);
        let bandwidth = given.unwrap_or_else(|| shift.bandwidth(&counts));
        let largest = shift.cluster(&counts, bandwidth);
        let ends = [self.low, self.high].map(|end| exact::Wide::from(end) * median);
        let inside = |i: usize| ends[0] <= lengths[i] && lengths[i] <= ends[1];
        let kept: Vec<usize> = (0..n).filter(|&i| shift.of[i] == largest && inside(i)).collect();
        if kept.is_empty() {
            verdict.event = Some(NONE.to_owned());
            verdict.uniform(n, 0.0);
            return Ok(vec![0.0; d]);
        }
        let mut parts = vec![exact::Wide::ZERO; n];
        for &i in &kept {
            let one = exact::Wide::from(1.0);
            parts[i] = if lengths[i] > median { median / lengths[i] } else { one };
        }
        let whole = exact::Wide::from(kept.len() as f64);
        Ok(verdict.blend(round.rows, &exact::Blend::wide(parts, whole)))
    }

    fn fork(&self) -> Box<dyn Rule> {
        Box::new(self.clone())
    }
}

const NONE: &str = "no row passes both filters: nothing was taken";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positive_zero_and_negative_numbers_are_counted_apart() {
        assert_eq!([1.5, 0.0, -0.0, -2.0].map(place), [0, 1, 1, 2]);
    }

    #[test]
    fn mean_shift_finds_two_heaps_and_takes_the_larger() {
        let heap =
            |x: f64, k: usize| (0..k).map(move |i| [x + i as f64, 50.0, 50.0 - x - i as f64]);
        let points: Vec<Counts> = heap(10.0, 3).chain(heap(40.0, 5)).collect();
        let mut shift = Shift::default();
        assert_eq!(shift.cluster(&points, 6.0), 0);
        assert_eq!(shift.of, [1, 1, 1, 0, 0, 0, 0, 0]);
        // The fourth nearest of eight is √2 times 30, 29 and 28 off in the heap of three, and 3, 2,
        // 2, 2 and 3 in that of five.
        let by_hand = 2f64.sqrt() * 99.0 / 8.0;
        assert!((shift.bandwidth(&points) - by_hand).abs() < 1e-12);
    }
}
