//! Geometric median: argmin_z Σ‖z − xᵢ‖, by Weiszfeld's iteration from the coordinate-wise median until
//! an optimality gap is certified (Chen, Su & Xu 2017; Weiszfeld 1937; Vardi & Zhang 2000 at data points).

use crate::{Bound, Claims, Family, Kappa, Round, Rule, RuleEntry, RuleFacts, Stage, Verdict};
use varangian_base::kernels::{columns, combine, norms};
use varangian_base::{Kind, Param};

pub(crate) static ENTRY: RuleEntry = RuleEntry {
    name: "geometric-median",
    summary: "the point of least total distance to the rows",
    paper: "Chen, Su & Xu, Distributed Statistical Machine Learning in Adversarial Settings, SIGMETRICS 2018, arXiv 1705.05491",
    differs: &[],
    params: &[
        Param {
            name: "tolerance",
            kind: Kind::Real { min: 0.0, max: 1.0 },
            default: "1e-6",
            help: "stop when a step moves less than this fraction of the mean distance to the rows",
        },
        Param {
            name: "steps",
            kind: Kind::Count { min: 1, max: 100_000 },
            default: "1000",
            help: "at most this many Weiszfeld steps",
        },
    ],
    cost: "O(n·d) a step",
    facts: RuleFacts {
        family: Family::Rule,
        bound: Bound { text: "n ≥ 2f + 1", least: |f| 2 * f + 1, source: "Chen et al. 2018" },
        claims: Claims {
            permutation: true,
            translation: true,
            scale: true,
            rotation: true,
            coordinate_wise: false,
            honest_box: false,
            bounded: true,
            majority: true,
        },
        needs_oracle: false,
        has_memory: false,
        kappa: Kappa::Bound(
            |n, f| 4.0 * (1.0 + f as f64 / (n - 2 * f) as f64).powi(2),
            "4·(1 + f/(n−2f))² (Allouah et al. 2023)",
        ),
        variance_norm: None,
    },
    build: |args| {
        let tolerance = args.real("tolerance").expect("has a default");
        let steps = args.count("steps").expect("has a default");
        let (weights, squared, next) = Default::default();
        let rule = GeometricMedian { tolerance, steps, weights, squared, next };
        Ok(Box::new(Stage::Rule(Box::new(rule))))
    },
};

#[derive(Clone)]
struct GeometricMedian {
    tolerance: f64,
    steps: usize,
    weights: Vec<f64>,
    squared: Vec<f64>,
    next: Vec<f32>,
}

impl Rule for GeometricMedian {
    fn aggregate(&mut self, round: &mut Round<'_>, out: &mut [f32], verdict: &mut Verdict) {
        let (rows, n) = (round.rows, round.rows.n());
        columns::sorted(rows, out, |column| column[(n - 1) / 2]);
        self.next.resize(out.len(), 0.0);
        for _ in 0..self.steps {
            norms::rows_distance2(rows, out, &mut self.squared);
            let mean: f64 = self.squared.iter().map(|s| s.sqrt()).sum::<f64>() / n as f64;
            if mean == 0.0 {
                break;
            }
            self.weights.clear();
            let floor = mean * 1e-9;
            self.weights.extend(self.squared.iter().map(|s| 1.0 / s.sqrt().max(floor)));
            let total: f64 = self.weights.iter().sum();
            self.weights.iter_mut().for_each(|w| *w /= total);
            combine::combine(rows, &self.weights, &mut self.next);
            let moved = norms::distance2(&self.next, out).sqrt();
            out.copy_from_slice(&self.next);
            if moved <= self.tolerance * mean {
                break;
            }
        }
        verdict.weights.extend_from_slice(&self.weights);
    }

    fn fork(&self) -> Box<dyn Rule> {
        Box::new(self.clone())
    }
}
