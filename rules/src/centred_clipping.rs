//! Centred clipping (Karimireddy, He & Jaggi 2021, algorithm 2): L times v ← v + (1/n)·Σ (xᵢ −
//! v)·min(1, τ/‖xᵢ − v‖), with v from the last round's answer (0 before the first).
//!
//! Every v is a combination of the rows and of the first v, so with L > 1 all distances follow from
//! those between these n + 1 points, ‖xᵢ − v‖² = (D·w)ᵢ − ½·wᵀ·D·w: the rows are read twice,
//! whatever L is. Where that would cancel (a row so far off that the others' distances drown in its
//! own), each pass measures its distances anew.
//!
//! ```
//! # use varangian_base::Matrix;
//! # use varangian_rules::{Round, Verdict, build};
//! let rows = Matrix::from_rows(&[[0.0], [1.0], [2.0], [1000.0]]);
//! let mut out = [0.0];
//! let mut rule = build("centred-clipping tau=4", 4, 1).unwrap();
//! rule.aggregate(&mut Round::of(rows.rows(), 1), &mut out, &mut Verdict::default());
//! assert_eq!(out, [1.75]); // (0 + 1 + 2 + 4) / 4
//! rule.aggregate(&mut Round::of(rows.rows(), 1), &mut out, &mut Verdict::default());
//! assert_eq!(out, [2.1875]); // from 1.75: (−1.75 − 0.75 + 0.25 + 4) / 4 further
//! ```

use crate::exact::Wide;
use crate::median::Middle;
use crate::weights::{median, quantile};
use crate::{Bound, Claims, Kappa, Round, Rule, RuleEntry, RuleFacts, Stage, Verdict, exact};
use varangian_base::kernels::distances::Pairs;
use varangian_base::kernels::{columns, combine, norms};
use varangian_base::{Kind, Memory, Mixed, Param, SpecError, Value};

pub(crate) static ENTRY: RuleEntry = RuleEntry {
    name: "centred-clipping",
    summary: "moves from its last answer by the mean of differences clipped to length τ",
    paper: "Karimireddy, He & Jaggi, Learning from History for Byzantine Robust Optimization, ICML 2021, arXiv 2012.10333, algorithm 2",
    differs: &[
        "tau = auto takes, in each pass, the given quantile of the rows' distances to v; the paper gives τ by hand",
        "start = median, mean and zero begin each round there instead of at the last answer, as ByzPy does; from the mean or zero, far rows move the answer",
    ],
    params: &[
        Param {
            name: "tau",
            kind: Kind::Real { min: 0.0, max: f64::MAX },
            default: "auto",
            help: "clipping radius τ; auto is the quantile of the distances in each pass",
        },
        Param {
            name: "quantile",
            kind: Kind::Real { min: 0.0, max: 1.0 },
            default: "0.5",
            help: "which quantile tau = auto takes",
        },
        Param {
            name: "L",
            kind: Kind::Count { min: 1, max: 1_000_000 },
            default: "1",
            help: "passes L",
        },
        Param {
            name: "start",
            kind: Kind::Choice(&["last", "median", "mean", "zero"]),
            default: "last",
            help: "where v starts: the last round's answer, the coordinate-wise median, the mean, or 0",
        },
    ],
    cost: "O(n·d) for L = 1; O(n²·d) for more",
    facts: RuleFacts {
        bound: Bound::majority("Karimireddy et al. 2021"),
        claims: FROM_ZERO,
        variants: &[
            ("start=median", Claims { rotation: false, ties: false, ..Claims::GEOMETRIC }),
            ("start=mean", Claims { translation: true, ..FROM_ZERO }),
        ],
        has_memory: true,
        weights: true,
        weighted: true,
        kappa: Kappa::Open("none from any start; its proof is of how far the last answer was off"),
        whole_rows: "",
        ..RuleFacts::RULE
    },
    build: |args| {
        if args.is_given("tau") && args.text("tau") != "auto" && args.is_given("quantile") {
            return Err(SpecError::new("quantile is of use with tau=auto only; both are given"));
        }
        Ok(Box::new(Stage::Rule(Box::new(CentredClipping {
            tau: args.real("tau"),
            quantile: args.real("quantile").expect("has a default"),
            passes: args.count("L").expect("has a default"),
            start: match args.text("start") {
                "last" => Start::Last,
                "median" => Start::Median,
                "mean" => Start::Mean,
                _ => Start::Zero,
            },
            ..CentredClipping::default()
        }))))
    },
};

/// What it claims of a first round, which starts at 0.
const FROM_ZERO: Claims = Claims { permutation: true, scale: true, rotation: true, ..Claims::NONE };

/// Where v starts.
#[derive(Clone, Copy, Default, PartialEq)]
enum Start {
    #[default]
    Last,
    Median,
    Mean,
    Zero,
}

/// How much larger than ‖xᵢ − v‖², or than τ², the terms may be that it is the difference of:
/// distances are good to about 1e-8, so clipped lengths are to 1e-6.
const CANCELS: f64 = 100.0;

#[derive(Clone, Default)]
struct CentredClipping {
    tau: Option<f64>,
    quantile: f64,
    passes: usize,
    start: Start,
    centre: Vec<f32>,
    pairs: Pairs,
    /// The weights of the rows, and last that of the first v, in the present v.
    shares: Vec<f64>,
    distances: Vec<f64>,
    sorted: Vec<f64>,
    /// The weights of the round's rows; empty where they count alike.
    masses: Vec<f64>,
    keyed: Vec<(f64, f64)>,
    /// τ of the last pass.
    clipped_to: f64,
}

impl CentredClipping {
    /// Takes the roots of the squared distances to v; answers τ.
    fn radius(&mut self) -> f64 {
        let n = self.distances.len();
        self.distances.iter_mut().for_each(|s| *s = s.sqrt());
        self.tau.unwrap_or_else(|| {
            if !self.masses.is_empty() {
                self.keyed.clear();
                self.keyed.extend(self.distances.iter().copied().zip(self.masses.iter().copied()));
                return quantile(&mut self.keyed, self.quantile);
            }
            self.sorted.clone_from(&self.distances);
            self.sorted.sort_unstable_by(f64::total_cmp);
            self.sorted[((self.quantile * n as f64).ceil() as usize).clamp(1, n) - 1]
        })
    }

    /// Turns the distances to v into what each row adds to the next v; answers what is left of v.
    fn clip(&mut self, tau: f64) -> f64 {
        let n = self.distances.len();
        self.clipped_to = tau;
        for (i, distance) in self.distances.iter_mut().enumerate() {
            let kept = if *distance > tau { tau / *distance } else { 1.0 };
            *distance = self.masses.get(i).map_or(kept / n as f64, |mass| mass * kept);
        }
        1.0 - self.distances.iter().sum::<f64>()
    }

    /// The shares after a pass.
    fn advance(&mut self, left: f64) {
        self.shares.iter_mut().for_each(|share| *share *= left);
        self.shares.iter_mut().zip(&self.distances).for_each(|(share, kept)| *share += kept);
    }

    /// The shares in v before the first pass.
    fn begin(&mut self, n: usize) {
        self.shares.clear();
        self.shares.resize(n + 1, 0.0);
        self.shares[n] = 1.0;
    }

    /// All passes from the distances between the points; false where they would cancel.
    fn between(&mut self, rows: Mixed<'_>) -> bool {
        let n = rows.n();
        self.pairs.squared_distances_with(rows, &self.centre);
        self.begin(n);
        for _ in 0..self.passes {
            let along = |i: usize| -> f64 {
                self.pairs.row(i).iter().zip(&self.shares).map(|(s, w)| s * w).sum()
            };
            let half = self.shares.iter().enumerate().map(|(i, w)| w * along(i)).sum::<f64>() / 2.0;
            self.distances.clear();
            self.distances.extend((0..n).map(|i| (along(i) - half).max(0.0)));
            let tau = self.radius();
            let exact = |(&r, i): (&f64, usize)| {
                let sure = CANCELS * r.max(tau).powi(2);
                self.pairs.row(i).iter().zip(&self.shares).all(|(s, w)| s * w.abs() <= sure)
            };
            if !self.distances.iter().zip(0..n).all(exact) {
                return false;
            }
            let left = self.clip(tau);
            self.advance(left);
        }
        true
    }

    /// All passes, each of which reads the rows twice.
    fn pass_by_pass(&mut self, rows: Mixed<'_>, out: &mut [f32]) {
        self.begin(rows.n());
        for pass in 0..self.passes {
            if pass > 0 {
                self.centre.copy_from_slice(out);
            }
            norms::rows_distance2(rows, &self.centre, &mut self.distances);
            let tau = self.radius();
            let left = self.clip(tau);
            self.advance(left);
            combine::combine_with(rows, &self.distances, &self.centre, left, out);
        }
    }
}

impl CentredClipping {
    /// Sets the first v, of d coordinates.
    fn place(&mut self, round: &Round<'_>, d: usize) {
        let rows = round.rows;
        let known = self.centre.len() == d;
        self.centre.resize(d, 0.0);
        let out = &mut self.centre;
        match (self.start, round.weights) {
            (Start::Last, _) if known => {}
            (Start::Last | Start::Zero, _) => out.fill(0.0),
            (Start::Median, None) => columns::median(rows, out),
            (Start::Median, Some(weights)) => {
                columns::weighted(rows, weights, out, |column| median(column, Middle::Mean) as f32)
            }
            (Start::Mean, None) => combine::mean(rows, out),
            (Start::Mean, Some(weights)) => combine::combine(rows, weights, out),
        }
    }

    /// The first v of a first round, exactly.
    fn exact_place(&self, round: &exact::Round<'_>) -> Vec<f64> {
        let (rows, n) = (round.rows, round.n());
        match (self.start, round.weights) {
            (Start::Last | Start::Zero, _) => vec![0.0; round.d()],
            (Start::Median, None) => crate::median::exact(rows, Middle::Mean),
            (Start::Median, Some(weights)) => {
                exact::by_weighted_column(rows, weights, |column| median(column, Middle::Mean))
            }
            (Start::Mean, None) => exact::Blend::weighted(&vec![1.0; n], n as f64).of(rows),
            (Start::Mean, Some(weights)) => exact::Blend::weighted(weights, 1.0).of(rows),
        }
    }

    /// The weights of the rows in the answer; `left` of it is the first v.
    fn told(&self, shares: &mut [f64], left: f64, mass: impl Fn(usize) -> f64) {
        if self.start == Start::Mean {
            shares.iter_mut().enumerate().for_each(|(i, share)| *share += left * mass(i));
        }
    }
}

impl Rule for CentredClipping {
    fn aggregate(&mut self, round: &mut Round<'_>, out: &mut [f32], verdict: &mut Verdict) {
        let (rows, n) = (round.rows, round.rows.n());
        self.masses.clear();
        self.masses.extend_from_slice(round.weights.unwrap_or_default());
        self.place(round, out.len());
        if self.passes > 1 && self.between(rows) {
            combine::combine_with(rows, &self.shares[..n], &self.centre, self.shares[n], out);
        } else {
            self.pass_by_pass(rows, out);
        }
        self.centre.copy_from_slice(out);
        let left = self.shares[n];
        let mass = |i: usize| round.weights.map_or(1.0 / n as f64, |weights| weights[i]);
        verdict.weights.extend_from_slice(&self.shares[..n]);
        self.told(&mut verdict.weights, left, mass);
        verdict.radius = Some(self.clipped_to);
    }

    fn exact(&self, round: &exact::Round<'_>, verdict: &mut Verdict) -> Result<Vec<f64>, String> {
        let (rows, n) = (round.rows, round.n());
        let mut v = self.exact_place(round);
        let whole = Wide::from(if round.weights.is_some() { 1.0 } else { n as f64 });
        let mass = |i: usize| round.weights.map_or(1.0, |weights| weights[i]);
        let mut shares = vec![0.0; n];
        for _ in 0..self.passes {
            let far: Vec<Wide> = exact::distances2(rows, &v).into_iter().map(Wide::sqrt).collect();
            let mut sorted = far.clone();
            sorted.sort_unstable();
            let at = ((self.quantile * n as f64).ceil() as usize).clamp(1, n) - 1;
            let tau = self.tau.map_or(sorted[at], Wide::from);
            let tau = match (self.tau, round.weights) {
                (None, Some(weights)) => weighted_quantile(&far, weights, self.quantile),
                _ => tau,
            };
            verdict.radius = Some(tau.to_f64());
            let one = Wide::from(1.0);
            let kept: Vec<Wide> =
                far.iter().map(|&r| if r > tau { tau / r } else { one }).collect();
            let kept: Vec<Wide> = (0..n).map(|i| kept[i] * Wide::from(mass(i))).collect();
            v = (0..v.len()).map(|k| moved(rows, &kept, whole, k, v[k])).collect();
            let given: f64 = kept.iter().map(|&kept| (kept / whole).to_f64()).sum();
            shares.iter_mut().for_each(|share| *share *= 1.0 - given);
            let added = kept.iter().map(|&kept| (kept / whole).to_f64());
            shares.iter_mut().zip(added).for_each(|(share, add)| *share += add);
        }
        let left = 1.0 - shares.iter().sum::<f64>();
        self.told(&mut shares, left, |i| (Wide::from(mass(i)) / whole).to_f64());
        verdict.weights = shares;
        Ok(v)
    }

    fn fork(&self) -> Box<dyn Rule> {
        Box::new(self.clone())
    }

    fn first_round(&self) -> Option<&'static str> {
        (self.start == Start::Last).then_some(
            "it moves from its last answer; in a first round from 0, by the mean of the clipped rows",
        )
    }

    fn save(&self) -> Memory {
        let mut memory = Memory::default();
        memory.put("centre", Value::Floats(self.centre.clone()));
        memory
    }

    fn load(&mut self, memory: &Memory) -> Result<(), SpecError> {
        self.centre = memory.floats("centre")?.to_vec();
        Ok(())
    }
}

/// The least of these distances up to and with which the share `part` of the weight lies.
fn weighted_quantile(far: &[Wide], weights: &[f64], part: f64) -> Wide {
    let order = exact::in_order(far);
    let mut ranked: Vec<(f64, f64)> =
        order.iter().enumerate().map(|(rank, &i)| (rank as f64, weights[i])).collect();
    far[order[quantile(&mut ranked, part) as usize]]
}

/// vₖ + (1/whole)·Σ keptᵢ·(xᵢₖ − vₖ), exactly.
fn moved(rows: &[Vec<f64>], kept: &[Wide], whole: Wide, k: usize, v: f64) -> f64 {
    let v = Wide::from(v);
    let step = rows.iter().zip(kept).map(|(row, &kept)| kept * (Wide::from(row[k]) - v));
    (v + exact::total(step.collect()) / whole).to_f64()
}
