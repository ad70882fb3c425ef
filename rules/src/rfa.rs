//! RFA (Pillutla, Kakade & Harchaoui 2022, algorithm 2): T steps of the smoothed Weiszfeld
//! iteration, v ← Σ wᵢ·xᵢ / Σ wᵢ with wᵢ = 1/max(ν, ‖v − xᵢ‖).
//!
//! ```
//! # use varangian_base::Matrix;
//! # use varangian_rules::{Round, Verdict, build};
//! let rows = Matrix::from_rows(&[[0.0, 0.0], [1.0, 0.0], [0.0, 1.0]]);
//! let mut out = [0.0; 2];
//! let mut rule = build("rfa T=3 nu=0.1 start=zero", 3, 1).unwrap();
//! rule.aggregate(&mut Round::of(rows.rows(), 1), &mut out, &mut Verdict::default());
//! assert!(out.iter().all(|x: &f32| (x - 0.1209221).abs() < 1e-7));
//! ```

use crate::median::Middle;
use crate::{Bound, Claims, Kappa, Round, Rule, RuleEntry, RuleFacts, Stage, Verdict, exact};
use varangian_base::kernels::{columns, combine, norms};
use varangian_base::{Kind, Param};

pub(crate) static ENTRY: RuleEntry = RuleEntry {
    name: "rfa",
    summary: "T smoothed Weiszfeld steps towards the geometric median",
    paper: "Pillutla, Kakade & Harchaoui, Robust Aggregation for Federated Learning, IEEE Transactions on Signal Processing 2022, arXiv 1912.13445, algorithm 2",
    differs: &[
        "starts at the coordinate-wise median, so that T steps from far rows cannot run out; start = mean is the authors', start = zero that of ByzFL and of the bucketing code",
        "rows have equal weights; the paper weighs clients by their data, which they declare themselves",
    ],
    params: &[
        Param {
            name: "T",
            kind: Kind::Count { min: 1, max: 1_000_000 },
            default: "3",
            help: "steps T",
        },
        Param {
            name: "nu",
            kind: Kind::Real { min: 1e-300, max: f64::MAX },
            default: "1e-6",
            help: "smoothing ν: the least distance that a weight is computed from",
        },
        Param {
            name: "start",
            kind: Kind::Choice(&["median", "mean", "zero"]),
            default: "median",
            help: "where the steps start",
        },
    ],
    cost: "O(n·d) a step",
    facts: RuleFacts {
        bound: Bound::majority("Pillutla et al. 2022"),
        claims: Claims { permutation: true, translation: true, bounded: true, ..Claims::NONE },
        variants: &[
            ("start=mean", Claims { permutation: true, translation: true, ..Claims::NONE }),
            ("start=zero", Claims { permutation: true, ..Claims::NONE }),
        ],
        weights: true,
        kappa: Kappa::Open(
            "none for a few smoothed steps; the geometric median's, at most 4·(1 + f/(n−2f))², is approached",
        ),
        whole_rows: "",
        ..RuleFacts::RULE
    },
    build: |args| {
        Ok(Box::new(Stage::Rule(Box::new(Rfa {
            steps: args.count("T").expect("has a default"),
            nu: args.real("nu").expect("has a default"),
            start: match args.text("start") {
                "median" => Start::Median,
                "mean" => Start::Mean,
                _ => Start::Zero,
            },
            squared: Vec::new(),
        }))))
    },
};

#[derive(Clone, Copy)]
enum Start {
    Median,
    Mean,
    Zero,
}

#[derive(Clone)]
struct Rfa {
    steps: usize,
    nu: f64,
    start: Start,
    squared: Vec<f64>,
}

impl Rule for Rfa {
    fn aggregate(&mut self, round: &mut Round<'_>, out: &mut [f32], verdict: &mut Verdict) {
        match self.start {
            Start::Median => columns::median(round.rows, out),
            Start::Mean => combine::mean(round.rows, out),
            Start::Zero => out.fill(0.0),
        }
        for _ in 0..self.steps {
            norms::rows_distance2(round.rows, out, &mut self.squared);
            let weight = |s: &f64| 1.0 / s.sqrt().max(self.nu);
            let total: f64 = self.squared.iter().map(weight).sum();
            verdict.weights.clear();
            verdict.weights.extend(self.squared.iter().map(|s| weight(s) / total));
            combine::combine(round.rows, &verdict.weights, out);
        }
    }

    fn exact(&self, round: &exact::Round<'_>, verdict: &mut Verdict) -> Result<Vec<f64>, String> {
        let (rows, n) = (round.rows, round.n());
        let mut v = match self.start {
            Start::Median => crate::median::exact(rows, Middle::Mean),
            Start::Mean => exact::Blend::selection(n, &(0..n).collect::<Vec<_>>()).of(rows),
            Start::Zero => vec![0.0; round.d()],
        };
        let (one, nu) = (exact::Wide::from(1.0), exact::Wide::from(self.nu));
        for _ in 0..self.steps {
            let far = exact::distances2(rows, &v);
            let parts = far.iter().map(|s| one / s.sqrt().max(nu)).collect();
            v = verdict.blend(rows, &exact::Blend::mean(parts));
        }
        Ok(v)
    }

    fn fork(&self) -> Box<dyn Rule> {
        Box::new(self.clone())
    }
}
