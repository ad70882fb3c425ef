//! Krum and Multi-Krum (Blanchard et al. 2017, §3 and §5).
//!
//! The score of row i is the sum of ‖xᵢ − xⱼ‖² over its n − f − 2 nearest other rows. Krum answers the
//! row of least score; Multi-Krum the mean of the m rows of least score. Ties go to the lower id.
//!
//! ```
//! # use varangian_base::Matrix;
//! # use varangian_rules::{Round, Verdict, build};
//! let rows = Matrix::from_rows(&[[0.0], [1.0], [2.0], [3.0], [10.0]]);
//! let mut out = [0.0];
//! let mut answer = |spec| {
//!     build(spec, 5, 1).unwrap().aggregate(&mut Round::of(rows.rows(), 1), &mut out, &mut Verdict::default());
//!     out
//! };
//! assert_eq!(answer("krum"), [1.0]); // scores 5, 2, 2, 5, 113: a tie of ids 1 and 2
//! assert_eq!(answer("multi-krum m=2"), [1.5]);
//! ```

use crate::{Bound, Claims, Family, Kappa, Round, Rule, RuleEntry, RuleFacts, Stage, Verdict};
use varangian_base::kernels::combine;
use varangian_base::kernels::distances::Pairs;
use varangian_base::{Kind, Param};

const PAPER: &str = "Blanchard, El Mhamdi, Guerraoui & Stainer, Machine Learning with Adversaries, NeurIPS 2017, arXiv 1703.02757, §3";
const BOUND: Bound =
    Bound { text: "n ≥ 2f + 3", least: |f| 2 * f + 3, source: "Blanchard et al. 2017, §3" };
const CLAIMS: Claims = Claims {
    permutation: true,
    translation: true,
    scale: true,
    rotation: true,
    coordinate_wise: false,
    honest_box: false,
    bounded: true,
    majority: true,
};

pub(crate) static ENTRY: RuleEntry = RuleEntry {
    name: "krum",
    summary: "the row whose n − f − 2 nearest others are nearest, by squared distance",
    paper: PAPER,
    differs: &[],
    params: &[],
    cost: "O(n²·d)",
    facts: RuleFacts {
        family: Family::Rule,
        bound: BOUND,
        claims: CLAIMS,
        needs_oracle: false,
        has_memory: false,
        kappa: Kappa::Bound(
            |n, f| 6.0 * (1.0 + f as f64 / (n - 2 * f) as f64),
            "6·(1 + f/(n−2f)) (Allouah et al. 2023)",
        ),
        variance_norm: Some(variance_norm),
    },
    build: |_| Ok(Box::new(Stage::Rule(Box::new(Krum::new(M::One))))),
};

pub(crate) static MULTI: RuleEntry = RuleEntry {
    name: "multi-krum",
    summary: "mean of the m rows of least Krum score",
    paper: PAPER,
    differs: &[],
    params: &[Param {
        name: "m",
        kind: Kind::Count { min: 1, max: usize::MAX },
        default: "auto",
        help: "rows averaged; auto is n − f − 2",
    }],
    cost: "O(n²·d)",
    facts: RuleFacts {
        family: Family::Rule,
        bound: BOUND,
        claims: CLAIMS,
        needs_oracle: false,
        has_memory: false,
        kappa: Kappa::Unknown,
        variance_norm: Some(variance_norm),
    },
    build: |args| {
        let m = args.count("m").map_or(M::Auto, M::Given);
        Ok(Box::new(Stage::Rule(Box::new(Krum::new(m)))))
    },
};

/// 1/η(n, f) of Blanchard et al. 2017, proposition 1.
fn variance_norm(n: usize, f: usize) -> f64 {
    let (n, f) = (n as f64, f as f64);
    let eta2 = 2.0 * (n - f + f * (n + f * (n - f - 2.0) - 2.0) / (n - 2.0 * f - 2.0));
    1.0 / eta2.sqrt()
}

#[derive(Clone, Copy)]
enum M {
    One,
    Auto,
    Given(usize),
}

#[derive(Clone)]
struct Krum {
    m: M,
    pairs: Pairs,
    order: Vec<(f64, usize)>,
    nearest: Vec<f64>,
    weights: Vec<f64>,
}

impl Krum {
    fn new(m: M) -> Self {
        let (order, nearest, weights) = Default::default();
        Krum { m, pairs: Pairs::default(), order, nearest, weights }
    }

    fn m(&self, n: usize, f: usize) -> usize {
        match self.m {
            M::One => 1,
            M::Auto => n - f - 2,
            M::Given(m) => m,
        }
    }

    /// Sets the order of the rows by (score, id).
    fn score(&mut self, squared: &Pairs, f: usize) {
        let n = squared.n();
        self.order.clear();
        for i in 0..n {
            self.nearest.clear();
            self.nearest.extend((0..n).filter(|&j| j != i).map(|j| squared.at(i, j)));
            self.nearest.sort_unstable_by(f64::total_cmp);
            let score: f64 = self.nearest[..n - f - 2].iter().sum();
            self.order.push((score, i));
        }
        self.order.sort_unstable_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
    }
}

impl Rule for Krum {
    fn aggregate(&mut self, round: &mut Round<'_>, out: &mut [f32], verdict: &mut Verdict) {
        let mut pairs = std::mem::take(&mut self.pairs);
        pairs.squared_distances(round.rows);
        let mut weights = std::mem::take(&mut self.weights);
        weights.resize(round.rows.n(), 0.0);
        self.weigh(&pairs, round.f, &mut weights);
        combine::combine(round.rows, &weights, out);
        verdict.weights.extend_from_slice(&weights);
        (self.pairs, self.weights) = (pairs, weights);
    }

    fn fork(&self) -> Box<dyn Rule> {
        Box::new(self.clone())
    }

    fn check(&self, n: usize, f: usize) -> Result<(), String> {
        match self.m {
            M::Given(m) if m > n - f - 2 => Err(format!("m ≤ n − f − 2 = {}; m = {m}", n - f - 2)),
            _ => Ok(()),
        }
    }

    fn weigh(&mut self, squared: &Pairs, f: usize, weights: &mut [f64]) -> bool {
        self.score(squared, f);
        let m = self.m(squared.n(), f);
        weights.fill(0.0);
        for &(_, i) in &self.order[..m] {
            weights[i] = 1.0 / m as f64;
        }
        true
    }
}

#[cfg(test)]
pub(crate) fn reference(rows: &[Vec<f64>], f: usize, m: usize) -> Vec<f64> {
    let n = rows.len();
    let d2 = |i: usize, j: usize| -> f64 {
        rows[i].iter().zip(&rows[j]).map(|(a, b)| (a - b) * (a - b)).sum()
    };
    let mut scores: Vec<(f64, usize)> = (0..n)
        .map(|i| {
            let mut others: Vec<f64> = (0..n).filter(|&j| j != i).map(|j| d2(i, j)).collect();
            others.sort_by(f64::total_cmp);
            (others[..n - f - 2].iter().sum(), i)
        })
        .collect();
    scores.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
    (0..rows[0].len())
        .map(|k| scores[..m].iter().map(|&(_, i)| rows[i][k]).sum::<f64>() / m as f64)
        .collect()
}
