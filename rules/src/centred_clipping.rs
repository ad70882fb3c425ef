//! Centred clipping (Karimireddy, He & Jaggi 2021, algorithm 2): L times v ← v + (1/n)·Σ (xᵢ −
//! v)·min(1, τ/‖xᵢ − v‖), with v from the last round's answer (0 before the first).
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

use crate::{Bound, Claims, Round, Rule, RuleEntry, RuleFacts, Stage, Verdict};
use varangian_base::kernels::{blend, columns, norms};
use varangian_base::{Kind, Memory, Param, SpecError, Value};

pub(crate) static ENTRY: RuleEntry = RuleEntry {
    name: "centred-clipping",
    summary: "moves from its last answer by the mean of differences clipped to length τ",
    paper: "Karimireddy, He & Jaggi, Learning from History for Byzantine Robust Optimization, ICML 2021, arXiv 2012.10333, algorithm 2",
    differs: &[
        "tau = auto takes, in each pass, the given quantile of the rows' distances to v; the paper gives τ by hand",
        "start = median begins each round at the coordinate-wise median instead of the last answer",
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
            kind: Kind::Choice(&["last", "median"]),
            default: "last",
            help: "where v starts: the last round's answer, or the coordinate-wise median",
        },
    ],
    cost: "O(n·d) a pass",
    facts: RuleFacts {
        bound: Bound::majority("Karimireddy et al. 2021"),
        claims: Claims { permutation: true, scale: true, rotation: true, ..Claims::NONE },
        has_memory: true,
        ..RuleFacts::RULE
    },
    build: |args| {
        Ok(Box::new(Stage::Rule(Box::new(CentredClipping {
            tau: args.real("tau"),
            quantile: args.real("quantile").expect("has a default"),
            passes: args.count("L").expect("has a default"),
            remember: args.text("start") == "last",
            ..CentredClipping::default()
        }))))
    },
};

#[derive(Clone, Default)]
struct CentredClipping {
    tau: Option<f64>,
    quantile: f64,
    passes: usize,
    remember: bool,
    centre: Vec<f32>,
    distances: Vec<f64>,
    sorted: Vec<f64>,
}

impl CentredClipping {
    /// Turns the distances to v into the weights of the rows.
    fn clip(&mut self) {
        let n = self.distances.len();
        self.distances.iter_mut().for_each(|s| *s = s.sqrt());
        let tau = self.tau.unwrap_or_else(|| {
            self.sorted.clone_from(&self.distances);
            self.sorted.sort_unstable_by(f64::total_cmp);
            self.sorted[((self.quantile * n as f64).ceil() as usize).clamp(1, n) - 1]
        });
        for distance in &mut self.distances {
            let kept = if *distance > tau { tau / *distance } else { 1.0 };
            *distance = kept / n as f64;
        }
    }
}

impl Rule for CentredClipping {
    fn aggregate(&mut self, round: &mut Round<'_>, out: &mut [f32], _: &mut Verdict) {
        if !self.remember {
            self.centre.resize(out.len(), 0.0);
            columns::median(round.rows, &mut self.centre);
        } else if self.centre.len() != out.len() {
            self.centre.clear();
            self.centre.resize(out.len(), 0.0);
        }
        for _ in 0..self.passes {
            norms::rows_distance2(round.rows, &self.centre, &mut self.distances);
            self.clip();
            let share = 1.0 - self.distances.iter().sum::<f64>();
            blend::blend(round.rows, &self.distances, &self.centre, share, out);
            self.centre.copy_from_slice(out);
        }
    }

    fn fork(&self) -> Box<dyn Rule> {
        Box::new(self.clone())
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

/// From `centre`, `passes` times, with τ or the given quantile.
#[cfg(test)]
pub(crate) fn reference(
    rows: &[Vec<f64>],
    mut centre: Vec<f64>,
    tau: Result<f64, f64>,
    passes: usize,
) -> Vec<f64> {
    let n = rows.len() as f64;
    for _ in 0..passes {
        let far: Vec<f64> =
            rows.iter().map(|x| crate::conformance::distance2(x, &centre).sqrt()).collect();
        let mut sorted = far.clone();
        sorted.sort_by(f64::total_cmp);
        let tau = tau.unwrap_or_else(|q| sorted[(q * n).ceil() as usize - 1]);
        let mut step = vec![0.0; centre.len()];
        for (x, &r) in rows.iter().zip(&far) {
            let kept = if r > tau { tau / r } else { 1.0 };
            step.iter_mut().zip(x).zip(&centre).for_each(|((s, x), c)| *s += kept * (x - c) / n);
        }
        centre.iter_mut().zip(&step).for_each(|(c, s)| *c += s);
    }
    centre
}
