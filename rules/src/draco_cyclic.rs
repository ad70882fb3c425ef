//! DRACO with the cyclic code (Chen, Wang, Charles & Papailiopoulos 2018, §4.2): each worker sends
//! one weighted sum of the gradients of r = 2f + 1 minibatches, its own and those after it in a
//! ring, and the answer is the mean of all n gradients, whatever f workers send.
//!
//! With G the n gradients, worker i sends zᵢ = Σₖ cₖ·g₍ᵢ₊ₖ₎ mod n for k < r. The c are the
//! coefficients of the real polynomial with the roots ωʲ, ω = exp(2πi/n), of the r − 1 values of j
//! nearest to n/2. The columns of z are then words of a Reed–Solomon code: each n − r + 1 of its
//! entries tell all others, and any two words differ in r places. So there is one word at most that
//! agrees with the rows in all but f places. Who is left out is found by looking at every choice of
//! workers, the smallest first, on four random projections of the rows; of the smallest choices
//! without which the others agree, that without which they agree best is taken. Then v with
//! Σᵢ vᵢ·zᵢ = (1/n)·Σⱼ gⱼ is worked out for the rows that are left, the shortest such v.
//!
//! Rows agree if what keeps them from being a word is no larger than f32's rounding of them allows.
//! A hostile row within that distance of the honest one stays, which moves the answer by as little.
//! The answer is the mean of the gradients up to that rounding, and not to the bit, as that of the
//! repetition code is; it has all n gradients of n workers, where that one has n/r.
//!
//! ```
//! # use varangian_base::Matrix;
//! # use varangian_rules::{Round, Verdict, build, cyclic_code};
//! let gradients = [2.0, 4.0, 6.0, 8.0, 10.0];
//! let c = cyclic_code(5, 3);
//! let mut rows: Vec<[f32; 1]> = (0..5)
//!     .map(|i| [(0..3).map(|k| c[k] * gradients[(i + k) % 5]).sum::<f64>() as f32])
//!     .collect();
//! rows[1] = [-1e30];
//! let (rows, mut out) = (Matrix::from_rows(&rows), [0.0]);
//! build("draco-cyclic r=3 n=5", 5, 1).unwrap().aggregate(&mut Round::of(rows.rows(), 1), &mut out, &mut Verdict::default());
//! assert!((out[0] - 6.0).abs() < 1e-5);
//! ```

mod code;

pub use code::cyclic_code;

use crate::{
    Bound, Claims, Kappa, Redundancy, Round, Rule, RuleEntry, RuleFacts, Stage, Verdict, exact,
};
use code::Code;
use varangian_base::kernels::{combine, norms};
use varangian_base::{Domain, Kind, Param, Seed, lanes};

pub(crate) static ENTRY: RuleEntry = RuleEntry {
    name: "draco-cyclic",
    summary: "mean of n gradients from coded sums of r each, whoever f are",
    paper: "Chen, Wang, Charles & Papailiopoulos, DRACO: Byzantine-resilient Distributed Training via Redundant Gradients, ICML 2018, arXiv 1803.09877, §4.2 (cyclic code)",
    differs: &[
        "the paper's sums are complex, two floats a coordinate; these are real, the r − 1 roots being pairs of conjugates, for which n is odd",
        "the paper finds who lies by solving for the coefficients of a polynomial, in O(n³) on one random projection; here every choice of f workers is looked at, on four, which rows of very different magnitude cannot mislead",
    ],
    params: &[
        Param {
            name: "r",
            kind: Kind::Count { min: 1, max: 63 },
            default: "auto",
            help: "gradients in each sum, odd, at least 2f + 1; that of message=\"draco-cyclic\"; auto is 2f + 1 of the round",
        },
        Param {
            name: "n",
            kind: Kind::Count { min: 1, max: 1_000_000 },
            default: "auto",
            help: "workers in the ring, odd; auto is the rows of the round, which are fewer where one is refused: give n where that can be",
        },
    ],
    cost: "O(n·d + C(n, f)·(n·r + r³)), and r gradients for each that counts",
    facts: RuleFacts {
        bound: Bound::majority("Chen et al. 2018, theorem 4: r ≥ 2f + 1"),
        claims: Claims::NONE,
        weights: true,
        excluded: "not what the sums of the others say that it should be",
        kappa: Kappa::Open(
            "none: no function of rows that are gradients; the answer is the mean where rows are coded sums",
        ),
        whole_rows: "it asks whether whole rows fit together",
        ..RuleFacts::RULE
    },
    build: |args| {
        let cyclic = Cyclic { r: args.count("r"), n: args.count("n"), ..Cyclic::default() };
        Ok(Box::new(Stage::Rule(Box::new(cyclic))))
    },
};

/// Random projections of the rows.
const PROJECTIONS: usize = 4;
/// Choices of workers that a round may look at.
const MOST: f64 = 1e6;
#[derive(Clone, Default)]
struct Cyclic {
    r: Option<usize>,
    n: Option<usize>,
    code: Code,
    signs: Vec<f32>,
    /// Of each projection, that of each row.
    projected: Vec<Vec<f64>>,
    squared: Vec<f64>,
    places: Vec<usize>,
    weights: Vec<f64>,
}

/// C(n, k), as a float.
fn choices(n: usize, k: usize) -> f64 {
    (0..k).map(|i| (n - i) as f64 / (i + 1) as f64).product()
}

impl Cyclic {
    /// The signs of a projection.
    fn draw((seed, step): (Seed, u64), k: usize, d: usize, signs: &mut Vec<f32>) {
        let mut stream = seed.lane(Domain::Rule, lanes::rule::CODE, step, k as u64);
        signs.clear();
        let mut word = 0;
        signs.extend((0..d).map(|i| {
            if i % 64 == 0 {
                word = stream.word();
            }
            if word >> (i % 64) & 1 == 0 { 1.0 } else { -1.0 }
        }));
    }

    /// Works the weights of n rows out of what was projected; why there are none, if there are
    /// none.
    fn decode(&mut self, id: impl Fn(usize) -> u32, rows: usize, f: usize) -> Option<String> {
        let (n, times) = (self.n.unwrap_or(rows), self.r.unwrap_or(2 * f + 1));
        self.weights.clear();
        self.weights.resize(rows, 0.0);
        self.places.clear();
        self.places.extend((0..rows).map(|i| id(i) as usize));
        if self.n.is_none() && self.places.last().is_some_and(|&last| last >= n) {
            // Rows of a ring that is not named are its workers in order.
            self.places.clear();
            self.places.extend(0..rows);
        }
        if self.places.last().is_none_or(|&last| last >= n) || !self.code.prepare(n, times) {
            return Some(format!("no ring of {n} workers has these {rows} rows; nothing is taken"));
        }
        let Cyclic { code, projected, squared, places, weights, .. } = self;
        if code.find((projected, squared), places, f) {
            code.weigh(places, weights);
            return None;
        }
        Some(format!("without no {f} of {rows} rows do the others agree; nothing is taken"))
    }
}

impl Rule for Cyclic {
    fn aggregate(&mut self, round: &mut Round<'_>, out: &mut [f32], verdict: &mut Verdict) {
        let rows = round.rows;
        norms::rows_norm2(rows, &mut self.squared);
        self.projected.resize_with(PROJECTIONS, Vec::new);
        for k in 0..PROJECTIONS {
            Self::draw((round.seed, round.step), k, rows.d(), &mut self.signs);
            norms::rows_dot(rows, &self.signs, &mut self.projected[k]);
        }
        verdict.event = self.decode(|i| rows.id(i), rows.n(), round.f);
        combine::combine(rows, &self.weights, out);
        verdict.weights.extend_from_slice(&self.weights);
    }

    fn exact(&self, round: &exact::Round<'_>, verdict: &mut Verdict) -> Result<Vec<f64>, String> {
        let mut own = self.clone();
        let (rows, n) = (round.rows, round.n());
        // Whether rows agree is a matter of their proportions: their squares shall be in range.
        let largest = rows.iter().flatten().fold(f64::MIN_POSITIVE, |most, x| most.max(x.abs()));
        let dot = |row: &[f64], with: &dyn Fn(usize) -> f64| -> f64 {
            row.iter().enumerate().map(|(i, x)| x / largest * with(i)).sum()
        };
        own.projected.clear();
        for k in 0..PROJECTIONS {
            Self::draw((round.seed, round.step), k, round.d(), &mut own.signs);
            let sign = |i: usize| f64::from(own.signs[i]);
            own.projected.push(rows.iter().map(|row| dot(row, &sign)).collect());
        }
        own.squared = rows.iter().map(|row| dot(row, &|i| row[i] / largest)).collect();
        verdict.event = own.decode(|i| round.ids[i], n, round.f);
        verdict.weights.extend_from_slice(&own.weights);
        Ok(exact::Blend::weighted(&own.weights, 1.0).of(rows))
    }

    fn knows_workers(&self) -> bool {
        true
    }

    fn redundancy(&self, f: usize) -> Option<Redundancy> {
        Some(Redundancy {
            times: self.r.unwrap_or(2 * f + 1),
            given: self.r.is_some() && self.n.is_some(),
            coded: true,
            chance: None,
        })
    }

    fn check(&self, n: usize, f: usize) -> Result<(), String> {
        let r = self.r.unwrap_or(2 * f + 1);
        if r.is_multiple_of(2) || r < 2 * f + 1 {
            return Err(format!("r odd and ≥ 2f + 1; r = {r}"));
        }
        let ring = self.n.unwrap_or(n);
        match choices(ring, f) <= MOST {
            true => Ok(()),
            false => Err(format!("choices of f workers ≤ {MOST:e}; {:.0e}", choices(ring, f))),
        }
    }

    fn fits(&self, n: usize, f: usize) -> Result<(), String> {
        let r = self.r.unwrap_or(2 * f + 1);
        let ring = self.n.unwrap_or(n);
        if ring != n || n.is_multiple_of(2) {
            return Err(format!("n odd, and that of the workers; n = {ring}"));
        }
        (r <= n).then_some(()).ok_or_else(|| format!("r ≤ n; r = {r}"))
    }

    fn fork(&self) -> Box<dyn Rule> {
        Box::new(self.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::code::roots;
    use super::*;
    use crate::build;
    use std::f64::consts::TAU;
    use varangian_base::Matrix;

    /// The gradients of a ring, and what its workers send.
    fn coded(n: usize, r: usize, d: usize) -> (Vec<f64>, Matrix) {
        let gradients = crate::conformance::families::random(n, d, 2);
        let (c, mut rows) = (cyclic_code(n, r), Matrix::zeros(n, d));
        for i in 0..n {
            for j in 0..d {
                let term = |k: usize| c[k] * f64::from(gradients.row((i + k) % n)[j]);
                rows.row_mut(i)[j] = (0..r).map(term).sum::<f64>() as f32;
            }
        }
        let mean = |j: usize| (0..n).map(|i| f64::from(gradients.row(i)[j])).sum::<f64>();
        ((0..d).map(|j| mean(j) / n as f64).collect(), rows)
    }

    fn answer(spec: &str, f: usize, rows: &Matrix) -> (Vec<f32>, Verdict) {
        let (mut out, mut verdict) = (vec![0.0; rows.d()], Verdict::default());
        let mut rule = build(spec, rows.n(), f).unwrap();
        rule.aggregate(&mut Round::of(rows.rows(), f), &mut out, &mut verdict);
        (out, verdict)
    }

    #[track_caller]
    fn close(out: &[f32], mean: &[f64], most: f64) {
        let apart = out.iter().zip(mean).map(|(a, b)| (f64::from(*a) - b).powi(2)).sum::<f64>();
        let error = (apart / mean.iter().map(|x| x * x).sum::<f64>()).sqrt();
        assert!(error < most, "{error:e}");
    }

    #[test]
    fn a_code_is_by_hand_and_has_its_roots() {
        // n = 5, r = 3: one pair at j = 2, x² − 2·cos(144°)·x + 1, the golden ratio.
        let code = cyclic_code(5, 3);
        let golden = f64::midpoint(1.0, 5f64.sqrt());
        assert!(code.iter().zip([1.0, golden, 1.0]).all(|(a, b)| (a - b).abs() < 1e-15));
        for (n, r) in [(7, 5), (15, 5), (31, 7), (9, 9), (3, 1)] {
            let code = cyclic_code(n, r);
            assert_eq!(code.len(), r);
            for j in roots(n, r) {
                let part = |f: fn(f64) -> f64| -> f64 {
                    let at = |k: usize| f(TAU * (j * k % n) as f64 / n as f64);
                    code.iter().enumerate().map(|(k, c)| c * at(k)).sum()
                };
                assert!(part(f64::cos).abs() < 1e-10 && part(f64::sin).abs() < 1e-10);
            }
        }
    }

    #[test]
    fn whatever_f_workers_send_the_answer_is_the_mean_of_all_gradients() {
        for (n, f, r) in [(5, 1, 3), (15, 2, 5), (15, 3, 7), (21, 3, 7), (7, 3, 7)] {
            let (mean, clean) = coded(n, r, 40);
            let spec = format!("draco-cyclic r={r} n={n}");
            close(&answer(&spec, f, &clean).0, &mean, 1e-5);
            for (kind, seed) in (0..6).flat_map(|kind| (0..4).map(move |seed| (kind, seed))) {
                let mut rows = clean.clone();
                let mut stream = Seed(seed).stream(Domain::Test, kind, n as u64);
                let mut who = stream.permutation(n);
                who.truncate(f);
                for (k, &i) in who.iter().enumerate() {
                    let row = rows.row_mut(i as usize);
                    match kind {
                        0 => row.fill(3e38),
                        // Very unequal lies hide nobody.
                        1 => row.fill([3e38, 1e-3, -1.0][k % 3]),
                        2 => row.iter_mut().for_each(|x| *x = -*x),
                        3 => row[7] += 0.01,
                        4 => row.fill(0.0),
                        _ => row.iter_mut().for_each(|x| *x = stream.normal() as f32),
                    }
                }
                let (out, verdict) = answer(&spec, f, &rows);
                assert!(verdict.event.is_none(), "{n} {f} {kind}: {:?}", verdict.event);
                close(&out, &mean, 2e-4);
                let left = |&i: &u32| verdict.weights[i as usize] == 0.0;
                assert!(who.iter().all(left), "{kind} {who:?} {:?}", verdict.weights);
                // The sum of the c times that of the v is 1: each gradient counts as one.
                let sum = verdict.weights.iter().sum::<f64>();
                let code = cyclic_code(n, r).iter().sum::<f64>();
                assert!((sum * code - 1.0).abs() < 1e-9, "{sum}");
            }
        }
    }

    #[test]
    fn missing_rows_are_worked_around_and_too_many_lies_are_told() {
        let (mean, clean) = coded(15, 7, 30);
        let mut rule = build("draco-cyclic r=7 n=15", 15, 3).unwrap();
        let ids: Vec<u32> = (0..15).filter(|i| ![4, 9].contains(i)).collect();
        let mut rows = Matrix::zeros(13, 30);
        for (k, &i) in ids.iter().enumerate() {
            rows.row_mut(k).copy_from_slice(clean.row(i as usize));
        }
        rows.row_mut(0).fill(-7.0);
        let mut run = |rows: &Matrix, f: usize| {
            let (mut out, mut verdict) = (vec![0.0; 30], Verdict::default());
            rule.aggregate(&mut Round::of(rows.rows().with_ids(&ids), f), &mut out, &mut verdict);
            (out, verdict)
        };
        let (out, verdict) = run(&rows, 1);
        close(&out, &mean, 2e-4);
        assert_eq!(verdict.weights[0], 0.0);
        for i in [3, 5, 8] {
            rows.row_mut(i).fill(i as f32);
        }
        let (out, verdict) = run(&rows, 1);
        assert!(out.iter().all(|&x| x == 0.0));
        assert!(verdict.event.unwrap().contains("do the others agree"));
    }

    #[test]
    fn what_it_cannot_be_is_refused() {
        for (spec, n, f, word) in [
            ("draco-cyclic r=4", 15, 1, "r odd"),
            ("draco-cyclic r=3", 15, 2, "2f + 1"),
            ("draco-cyclic", 14, 2, "n odd"),
            ("draco-cyclic n=13", 15, 2, "n odd, and that"),
            ("draco-cyclic", 61, 9, "choices"),
        ] {
            let error = build(spec, n, f).err().unwrap().to_string();
            assert!(error.contains(word), "{spec}: {error}");
        }
    }
}
