//! FLTrust (Cao, Fang, Liu & Gong 2021, algorithm 2): the server takes a gradient g₀ on data of its
//! own and averages the rows, each rescaled to ‖g₀‖, with weights max(0, cos(xᵢ, g₀)).
//!
//! It needs no majority: where no row points along g₀ the answer is 0.
//!
//! ```
//! # use varangian_base::{Matrix, Rows};
//! # use varangian_rules::{Oracle, Round, Verdict, build};
//! struct East;
//! impl Oracle for East {
//!     fn refresh(&mut self) {}
//!     fn loss(&mut self, _: &[f32]) -> f64 { 0.0 }
//!     fn gradient(&mut self, _: &[f32], out: &mut [f32]) -> f64 {
//!         out.copy_from_slice(&[2.0, 0.0]);
//!         0.0
//!     }
//! }
//! let rows = Matrix::from_rows(&[[3.0, 4.0], [-1.0, 0.0], [0.0, 7.0]]);
//! let mut out = [0.0; 2];
//! let mut round = Round { oracle: Some(&mut East), ..Round::of(rows.rows(), 2) };
//! build("fltrust", 3, 2).unwrap().aggregate(&mut round, &mut out, &mut Verdict::default());
//! assert_eq!(out, [1.2, 1.6]); // only (3, 4) is trusted, at length 2
//! ```

use crate::{Claims, Kappa, Round, Rule, RuleEntry, RuleFacts, Stage, Verdict, exact, oracle};
use varangian_base::kernels::{combine, norms};

pub(crate) static ENTRY: RuleEntry = RuleEntry {
    name: "fltrust",
    summary: "rows rescaled to the server's own gradient, weighted by their positive cosine with it",
    paper: "Cao, Fang, Liu & Gong, FLTrust: Byzantine-robust Federated Learning via Trust Bootstrapping, NDSS 2021, arXiv 2012.13995, algorithm 2",
    differs: &[
        "gradients take the place of model updates, and the server's gradient that of its local training",
    ],
    params: &[],
    cost: "O(n·d) and one gradient of the server",
    facts: RuleFacts {
        claims: Claims { permutation: true, ..Claims::NONE },
        needs_oracle: true,
        weights: true,
        excluded: "points away from the server's gradient",
        kappa: Kappa::Open("none: it is not a function of the rows alone"),
        whole_rows: "it asks for the server's own gradient, which nobody holds whole",
        ..RuleFacts::RULE
    },
    build: |_| Ok(Box::new(Stage::Rule(Box::new(FlTrust::default())))),
};

#[derive(Clone, Default)]
struct FlTrust {
    root: Vec<f32>,
    squared: Vec<f64>,
    inner: Vec<f64>,
}

impl Rule for FlTrust {
    fn aggregate(&mut self, round: &mut Round<'_>, out: &mut [f32], verdict: &mut Verdict) {
        let Some(oracle) = round.oracle.as_mut() else {
            out.fill(0.0);
            verdict.uniform(round.rows.n(), 0.0);
            verdict.event = Some("fltrust has no data of the server: nothing was taken".to_owned());
            return;
        };
        oracle.refresh();
        self.root.resize(out.len(), 0.0);
        oracle.gradient(round.params, &mut self.root);
        norms::rows_norm2(round.rows, &mut self.squared);
        norms::rows_dot(round.rows, &self.root, &mut self.inner);
        let root = norms::norm2(&self.root).sqrt();
        // cos(xᵢ, g₀), then the weight of the row itself: cos · ‖g₀‖/‖xᵢ‖ over the sum of cosines.
        for (cosine, s) in self.inner.iter_mut().zip(&self.squared) {
            let scale = s.sqrt() * root;
            *cosine = if scale > 0.0 { (*cosine / scale).clamp(0.0, 1.0) } else { 0.0 };
        }
        let total: f64 = self.inner.iter().sum();
        let weigh = |(&cosine, s): (&f64, &f64)| match cosine > 0.0 {
            true => cosine / total * (root / s.sqrt()),
            false => 0.0,
        };
        verdict.weights.extend(self.inner.iter().zip(&self.squared).map(weigh));
        combine::combine(round.rows, &verdict.weights, out);
        if total == 0.0 {
            verdict.event = Some("no row points along the server's gradient".to_owned());
        }
    }

    fn exact(&self, _: &exact::Round<'_>, _: &mut Verdict) -> Result<Vec<f64>, String> {
        Err(oracle::SINGLE.to_owned())
    }

    fn fork(&self) -> Box<dyn Rule> {
        Box::new(self.clone())
    }
}

/// With the gradient `root`.
#[cfg(test)]
pub(crate) fn reference(rows: &[Vec<f64>], root: &[f64]) -> Vec<f64> {
    let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
    let norm = |a: &[f64]| dot(a, a).sqrt();
    let trust = |x: &Vec<f64>| match norm(x) {
        0.0 => 0.0,
        length => (dot(x, root) / length / norm(root)).max(0.0),
    };
    let total: f64 = rows.iter().map(trust).sum();
    let mut out = vec![0.0; root.len()];
    for x in rows.iter().filter(|x| trust(x) > 0.0) {
        let weight = trust(x) / total * norm(root) / norm(x);
        out.iter_mut().zip(x).for_each(|(sum, v)| *sum += weight * v);
    }
    out
}
