//! DnC, divide and conquer (Shejwalkar & Houmansadr 2021, algorithm 2): T times, sketch b
//! coordinates, centre, and drop the ⌈c·f⌉ rows farthest along the top singular vector; the mean of
//! the rows that are never dropped. Of equally far rows the highest ids are dropped.
//!
//! ```
//! # use varangian_base::Matrix;
//! # use varangian_rules::{Round, Verdict, build};
//! let rows = Matrix::from_rows(&[[0.0, 1.0], [1.0, 0.0], [2.0, 1.0], [1.0, 2.0], [90.0, 90.0]]);
//! let mut out = [0.0; 2];
//! build("dnc", 5, 1).unwrap().aggregate(&mut Round::of(rows.rows(), 1), &mut out, &mut Verdict::default());
//! assert_eq!(out, [1.0, 1.0]);
//! ```

use crate::spectrum::Spectrum;
use crate::{Bound, Claims, Kappa, Round, Rule, RuleEntry, RuleFacts, Stage, Verdict, exact};
use varangian_base::kernels::combine;
use varangian_base::kernels::distances::Pairs;
use varangian_base::{Domain, Kind, Matrix, Param, Stream, lanes};

pub(crate) static ENTRY: RuleEntry = RuleEntry {
    name: "dnc",
    summary: "drops the rows farthest along the top singular vector of random coordinates",
    paper: "Shejwalkar & Houmansadr, Manipulating the Byzantine, NDSS 2021, algorithm 2",
    differs: &[
        "a sketch takes one coordinate from each of b equal strata, so that it needs no permutation of d; where b ≥ d it takes all",
        "singular vectors are exact, from the Gram matrix of the sketch",
    ],
    params: &[
        Param {
            name: "T",
            kind: Kind::Count { min: 1, max: 1_000 },
            default: "1",
            help: "sketches T",
        },
        Param {
            name: "b",
            kind: Kind::Count { min: 1, max: usize::MAX },
            default: "10000",
            help: "coordinates in a sketch",
        },
        Param {
            name: "c",
            kind: Kind::Real { min: 0.0, max: 1e6 },
            default: "1",
            help: "⌈c·f⌉ rows are dropped for each sketch",
        },
    ],
    cost: "O(T·(n²·b + n³) + n·d)",
    facts: RuleFacts {
        bound: Bound::majority("Shejwalkar & Houmansadr 2021"),
        claims: Claims {
            permutation: true,
            ties: true,
            translation: true,
            scale: true,
            rotation: true,
            ..Claims::NONE
        },
        weights: true,
        excluded: "among the rows farthest along a top singular direction",
        kappa: Kappa::Open("none for random sketches"),
        whole_rows: "it draws coordinates among those of whole rows",
        ..RuleFacts::RULE
    },
    build: |args| {
        let rule = Dnc {
            sketches: args.count("T").expect("has a default"),
            b: args.count("b").expect("has a default"),
            c: args.real("c").expect("has a default"),
            ..Dnc::default()
        };
        Ok(Box::new(Stage::Rule(Box::new(rule))))
    },
};

#[derive(Clone, Default)]
struct Dnc {
    sketches: usize,
    b: usize,
    c: f64,
    all: Vec<usize>,
    order: Vec<usize>,
    alive: Vec<bool>,
    kept: Vec<usize>,
    sketch: Matrix,
    pairs: Pairs,
    spectrum: Spectrum,
}

impl Dnc {
    fn dropped(&self, f: usize) -> usize {
        (self.c * f as f64).ceil() as usize
    }

    /// Distances between the rows at b coordinates, one from each stratum.
    fn look(&mut self, round: &Round<'_>, lane: u64) {
        let (rows, d) = (round.rows, round.rows.d());
        if self.b >= d {
            self.pairs.squared_distances(rows);
            return;
        }
        let draws = round.seed.lane(Domain::Rule, lanes::rule::SKETCH, round.step, lane);
        let sent = rows.sent();
        self.sketch.resize(sent.n(), self.b);
        for (k, at) in places(draws, self.b, d).enumerate() {
            (0..sent.n()).for_each(|i| self.sketch.row_mut(i)[k] = sent.row(i)[at]);
        }
        self.pairs.squared_distances(rows.of(self.sketch.rows()));
    }
}

/// One coordinate from each of b strata of d.
pub(crate) fn places(mut draws: Stream, b: usize, d: usize) -> impl Iterator<Item = usize> {
    (0..b).map(move |k| {
        let (from, to) = (k * d / b, (k + 1) * d / b);
        from + draws.below(to - from)
    })
}

impl Rule for Dnc {
    fn aggregate(&mut self, round: &mut Round<'_>, out: &mut [f32], verdict: &mut Verdict) {
        let (n, f) = (round.rows.n(), round.f);
        self.alive.clear();
        self.alive.resize(n, true);
        self.all.clear();
        self.all.extend(0..n);
        for lane in 0..self.sketches {
            self.look(round, lane as u64);
            let lambda = self.spectrum.covariance(&self.pairs, &self.all, |_| 1.0, true);
            let along = &mut self.spectrum.vector;
            along.iter_mut().for_each(|u| *u *= if lambda > 0.0 { *u } else { 0.0 });
            crate::select::sort_by_key(along, &mut self.order);
            self.order[n - self.dropped(f)..].iter().for_each(|&i| self.alive[i] = false);
        }
        self.kept.clear();
        self.kept.extend((0..n).filter(|&i| self.alive[i]));
        verdict.selection(n, &self.kept);
        combine::combine(round.rows, &verdict.weights, out);
    }

    fn exact(&self, round: &exact::Round<'_>, verdict: &mut Verdict) -> Result<Vec<f64>, String> {
        let (n, f, d) = (round.n(), round.f, round.d());
        let all: Vec<usize> = (0..n).collect();
        let mut alive = vec![true; n];
        for lane in 0..self.sketches {
            let sketch: Vec<Vec<f64>> = match self.b >= d {
                true => round.rows.to_vec(),
                false => {
                    let draws =
                        round.seed.lane(Domain::Rule, lanes::rule::SKETCH, round.step, lane as u64);
                    let at: Vec<usize> = places(draws, self.b, d).collect();
                    let part = |row: &Vec<f64>| at.iter().map(|&k| row[k]).collect();
                    round.rows.iter().map(part).collect()
                }
            };
            let mut spread = exact::Spread::of(&sketch);
            let none = spread.covariance(&all, |_| 1.0, true).is_zero();
            let along = |u: &f64| if none { 0.0 } else { u * u };
            let keys: Vec<_> = spread.spectrum.vector.iter().map(|u| along(u).into()).collect();
            let order = exact::in_order(&keys);
            order[n - self.dropped(f)..].iter().for_each(|&i| alive[i] = false);
        }
        let kept: Vec<usize> = all.into_iter().filter(|&i| alive[i]).collect();
        Ok(verdict.blend(round.rows, &exact::Blend::selection(n, &kept)))
    }

    fn fork(&self) -> Box<dyn Rule> {
        Box::new(self.clone())
    }

    fn check(&self, n: usize, f: usize) -> Result<(), String> {
        let most = self.sketches.saturating_mul(self.dropped(f));
        (most < n).then_some(()).ok_or_else(|| format!("T·⌈c·f⌉ < n; T·⌈c·f⌉ = {most}"))
    }
}

/// One sketch of all coordinates, c = 1.
#[cfg(test)]
pub(crate) fn reference(rows: &[Vec<f64>], f: usize) -> Vec<f64> {
    let (_, v, mean) = crate::spectrum::top_covariance(rows, &vec![1.0; rows.len()]);
    let far: Vec<f64> = rows
        .iter()
        .map(|x| x.iter().zip(&mean).zip(&v).map(|((x, m), v)| (x - m) * v).sum::<f64>().powi(2))
        .collect();
    let order = crate::conformance::in_order(&far);
    crate::conformance::mean(order[..rows.len() - f].iter().map(|&i| &rows[i]))
}
