//! Geometric median: argmin_z φ(z) = Σ‖z − xᵢ‖, to a certified gap (Weiszfeld 1937; Vardi & Zhang
//! 2000).
//!
//! Every iterate is a combination Σ wᵢ·xᵢ of rows, so all distances follow from those between rows:
//! ‖z − xᵢ‖² = (D·w)ᵢ − ½·wᵀ·D·w. The rows are read for D and for the last combination; a step
//! costs n². It starts at the row k of least total distance. That row is the answer if the unit
//! vectors from it to the others sum to at most its multiplicity; else the Vardi–Zhang step leaves
//! it downhill, and no later iterate meets a row. With the gradient g at z, φ(z) − φ* ≤ ‖g‖·‖z −
//! z*‖ ≤ (2‖g‖/n)·φ(z): the iteration stops when 2‖g‖/n ≤ tolerance. With weights mᵢ the aim is
//! Σ mᵢ·‖z − xᵢ‖, and n becomes Σ mᵢ.
//!
//! ```
//! # use varangian_base::Matrix;
//! # use varangian_rules::{Round, Verdict, build};
//! let rows = Matrix::from_rows(&[[0.0], [0.0], [0.0], [9e9], [9e9]]);
//! let mut out = [1.0];
//! build("geometric-median", 5, 2).unwrap().aggregate(&mut Round::of(rows.rows(), 2), &mut out, &mut Verdict::default());
//! assert_eq!(out, [0.0]);
//! ```

mod walk;

use crate::{Bound, Claims, Kappa, Round, Rule, RuleEntry, RuleFacts, Stage, Verdict, exact};
use varangian_base::kernels::distances::Pairs;
use varangian_base::kernels::{combine, norms};
use varangian_base::{Kind, Mixed, Param};

pub(crate) static ENTRY: RuleEntry = RuleEntry {
    name: "geometric-median",
    summary: "the point of least total distance to the rows",
    paper: "Chen, Su & Xu, Distributed Statistical Machine Learning in Adversarial Settings, SIGMETRICS 2018, arXiv 1705.05491",
    differs: &[
        "the median of all rows, not of means of groups of rows (compose with bucketing for that)",
        "rows farther than 1e8 times the median distance are moved in to that distance, which turns their pull by at most 1e-8",
    ],
    params: &[
        Param {
            name: "tolerance",
            kind: Kind::Real { min: 0.0, max: 1.0 },
            default: "1e-9",
            help: "stop when the total distance is certified to be within this fraction of the least",
        },
        Param {
            name: "steps",
            kind: Kind::Count { min: 1, max: 100_000_000 },
            default: "5000",
            help: "at most this many steps of cost n²",
        },
    ],
    cost: "O(n²·d), and n² a step",
    facts: RuleFacts {
        bound: Bound::majority("Chen et al. 2018"),
        claims: Claims::GEOMETRIC,
        weights: true,
        weighted: true,
        kappa: Kappa::Bound(
            |n, f| 4.0 * (1.0 + f as f64 / (n - 2 * f) as f64).powi(2),
            "4·(1 + f/(n−2f))² (Allouah et al. 2023)",
        ),
        whole_rows: "",
        ..RuleFacts::RULE
    },
    build: |args| {
        let tolerance = args.real("tolerance").expect("has a default");
        let steps = args.count("steps").expect("has a default");
        let rule = GeometricMedian { tolerance, steps, ..GeometricMedian::default() };
        Ok(Box::new(Stage::Rule(Box::new(rule))))
    },
};

/// Rows farther from the anchor than this many of its median distances are moved in.
const FAR: f64 = 1e8;

#[derive(Clone, Default)]
struct GeometricMedian {
    tolerance: f64,
    steps: usize,
    pairs: Pairs,
    weights: Vec<f64>,
    next: Vec<f64>,
    reach: Vec<f64>,
    scratch: Vec<f64>,
    moved: Vec<f64>,
    point: Vec<f32>,
    /// How much each row counts, 1 by default, and in all.
    masses: Vec<f64>,
    all: f64,
    keyed: Vec<(f64, f64)>,
}

impl GeometricMedian {
    /// Takes the weights of n rows.
    fn count(&mut self, n: usize, weights: Option<&[f64]>) {
        self.masses.clear();
        match weights {
            None => self.masses.resize(n, 1.0),
            Some(weights) => self.masses.extend_from_slice(weights),
        }
        self.all = self.masses.iter().sum();
    }

    /// The distance from row i within which more than half of the weight lies.
    fn majority(&mut self, i: usize) -> f64 {
        self.keyed.clear();
        self.keyed.extend(self.pairs.row(i).iter().copied().zip(self.masses.iter().copied()));
        self.keyed.sort_unstable_by(|a, b| a.0.total_cmp(&b.0));
        let mut before = 0.0;
        for &(squared, mass) in &self.keyed {
            before += mass;
            if before > self.all / 2.0 * (1.0 + 1e-12) {
                return squared;
            }
        }
        self.keyed.last().map_or(0.0, |last| last.0)
    }

    /// The row of least distance to the rows around it that hold most of the weight (to its
    /// ⌊n/2⌋-th nearest other, where all count alike), whatever the rest; ties to the lower id.
    /// Leaves its distances in `reach`; also returns the distance beyond which rows are far.
    fn anchor(&mut self) -> (usize, f64) {
        let n = self.pairs.n();
        let mut best = (f64::INFINITY, 0);
        for i in 0..n {
            let squared = self.majority(i);
            if squared < best.0 {
                best = (squared, i);
            }
        }
        self.reach_from(best.1);
        (best.1, FAR * best.0.sqrt())
    }

    /// The row of least total distance, now that no row is far; ties to the lower id.
    fn start(&mut self) -> usize {
        let total = |i: usize| {
            let row = self.pairs.row(i).iter().zip(&self.masses);
            row.map(|(s, mass)| mass * s.sqrt()).sum::<f64>()
        };
        let totals = (0..self.pairs.n()).map(|i| (total(i), i));
        let (_, k) = totals.min_by(|a, b| a.0.total_cmp(&b.0)).expect("there are rows");
        self.reach_from(k);
        k
    }

    fn reach_from(&mut self, k: usize) {
        self.reach.clear();
        self.reach.extend(self.pairs.row(k).iter().map(|s| s.sqrt()));
    }

    /// Moves far rows towards row k, to the horizon, in `pairs`. Beyond it, squared distances in
    /// f64 do not hold directions, so ⟨t·(xᵢ − xₖ), xⱼ − xₖ⟩ is taken from the rows themselves.
    fn move_in(&mut self, rows: Mixed<'_>, k: usize, horizon: f64) {
        let n = rows.n();
        self.moved.clear();
        self.moved.extend(self.reach.iter().map(|&r| if r > horizon { horizon / r } else { 1.0 }));
        if horizon == 0.0 || self.moved.iter().all(|&t| t == 1.0) {
            self.moved.fill(1.0);
            return;
        }
        self.reach.iter_mut().zip(&self.moved).for_each(|(r, t)| *r *= t);
        self.point.resize(rows.d(), 0.0);
        for i in (0..n).filter(|&i| self.moved[i] < 1.0) {
            self.weights.clear();
            self.weights.resize(n, 0.0);
            (self.weights[i], self.weights[k]) = (self.moved[i], -self.moved[i]);
            combine::combine(rows, &self.weights, &mut self.point);
            norms::rows_dot(rows, &self.point, &mut self.scratch);
            for j in (0..n).filter(|&j| j != i) {
                let inner = self.moved[j] * (self.scratch[j] - self.scratch[k]);
                let apart = self.reach[i].powi(2) + self.reach[j].powi(2) - 2.0 * inner;
                self.pairs.set(i, j, apart.max(0.0));
            }
        }
    }

    /// Sets `next` to the Weiszfeld step from distances `reach`, where rows at distance 0 hold
    /// back; returns the length of the least subgradient there.
    fn step(&mut self) -> f64 {
        let massed = || self.reach.iter().zip(&self.masses);
        let touching: f64 = massed().filter(|(r, _)| **r == 0.0).map(|(_, mass)| mass).sum();
        let inverse = |(&r, &mass): (&f64, &f64)| if r == 0.0 { 0.0 } else { mass / r };
        let total: f64 = massed().map(inverse).sum();
        if total == 0.0 {
            self.next.clone_from(&self.weights);
            return 0.0;
        }
        self.next.clear();
        self.next.extend(massed().map(|of| inverse(of) / total));
        let pull = total * self.apart();
        let held = if touching == 0.0 || pull == 0.0 { 0.0 } else { (touching / pull).min(1.0) };
        for (next, w) in self.next.iter_mut().zip(&self.weights) {
            *next = (1.0 - held) * *next + held * w;
        }
        (pull - touching).max(0.0)
    }

    /// ‖Σ (wᵢ − nextᵢ)·xᵢ‖.
    fn apart(&mut self) -> f64 {
        let n = self.pairs.n();
        self.scratch.clear();
        self.scratch.extend(self.weights.iter().zip(&self.next).map(|(w, v)| w - v));
        let mut sum = 0.0;
        for i in 0..n {
            let inner: f64 = self.pairs.row(i).iter().zip(&self.scratch).map(|(s, e)| s * e).sum();
            sum += self.scratch[i] * inner;
        }
        (-0.5 * sum).max(0.0).sqrt()
    }

    /// Sets `reach` to the distances of the rows from Σ wᵢ·xᵢ.
    fn measure(&mut self) {
        let (pairs, weights) = (&self.pairs, &self.weights);
        let inner = |i: usize| pairs.row(i).iter().zip(weights).map(|(s, w)| s * w).sum::<f64>();
        self.reach.clear();
        self.reach.extend((0..pairs.n()).map(inner));
        let half: f64 = self.reach.iter().zip(weights).map(|(r, w)| r * w).sum::<f64>() / 2.0;
        self.reach.iter_mut().for_each(|r| *r = (*r - half).max(0.0).sqrt());
    }

    /// Sets `weights` to the minimiser's; returns the certified gap. A majority of equal rows is
    /// the minimiser itself.
    fn find(&mut self, anchor: usize, horizon: f64) -> f64 {
        if horizon > 0.0 {
            let start = self.start();
            return self.descend(start);
        }
        self.weights.clear();
        self.weights.resize(self.pairs.n(), 0.0);
        self.weights[anchor] = 1.0;
        0.0
    }

    /// Says where the steps ran out before the gap was small enough.
    fn report(&self, gap: f64, verdict: &mut Verdict) {
        if gap > self.tolerance {
            let steps = self.steps;
            verdict.event = Some(format!("stopped after {steps} steps at a gap of {gap:.1e}"));
        }
    }

    /// Sets `weights` to the minimiser's, from `reach` around row k; returns the certified gap.
    fn descend(&mut self, k: usize) -> f64 {
        self.weights.clear();
        self.weights.resize(self.pairs.n(), 0.0);
        self.weights[k] = 1.0;
        let mut gap = f64::INFINITY;
        for _ in 0..self.steps {
            gap = 2.0 * self.step() / self.all;
            if gap <= self.tolerance {
                break;
            }
            std::mem::swap(&mut self.weights, &mut self.next);
            self.measure();
        }
        gap
    }
}

impl Rule for GeometricMedian {
    fn aggregate(&mut self, round: &mut Round<'_>, out: &mut [f32], verdict: &mut Verdict) {
        self.pairs.squared_distances(round.rows);
        if round.rows.sent().known_odd() {
            return;
        }
        self.count(round.rows.n(), round.weights);
        let (anchor, horizon) = self.anchor();
        self.move_in(round.rows, anchor, horizon);
        let gap = self.find(anchor, horizon);
        self.report(gap, verdict);
        for (i, &t) in self.moved.iter().enumerate().filter(|(_, t)| **t < 1.0) {
            self.weights[anchor] += (1.0 - t) * self.weights[i];
            self.weights[i] *= t;
        }
        combine::combine(round.rows, &self.weights, out);
        verdict.weights.extend_from_slice(&self.weights);
    }

    fn exact(&self, round: &exact::Round<'_>, verdict: &mut Verdict) -> Result<Vec<f64>, String> {
        let (answer, weights, gap) = walk::descend(round, self.steps, self.tolerance);
        self.report(gap, verdict);
        verdict.weights = weights;
        Ok(answer)
    }

    fn watches(&self) -> bool {
        true
    }

    fn fork(&self) -> Box<dyn Rule> {
        Box::new(self.clone())
    }

    fn weigh(&mut self, squared: &Pairs, _f: usize, weights: &mut [f64]) -> bool {
        self.pairs.clone_from(squared);
        self.count(squared.n(), None);
        let (anchor, horizon) = self.anchor();
        if self.reach.iter().any(|&r| horizon > 0.0 && r > horizon) {
            return false;
        }
        self.find(anchor, horizon);
        weights.copy_from_slice(&self.weights);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::build;
    use crate::conformance::distance2;
    use varangian_base::Matrix;

    fn total(rows: &[Vec<f64>], z: &[f64]) -> f64 {
        rows.iter().map(|x| distance2(x, z).sqrt()).sum()
    }

    /// Σ‖z − xᵢ‖ at its least, by plain smoothed descent in f64 from the mean.
    fn least(rows: &[Vec<f64>]) -> f64 {
        let mut z = crate::conformance::mean(rows.iter());
        let scale = total(rows, &z) / rows.len() as f64;
        for step in 0..20_000 {
            let floor = scale * (0.1f64 * 0.999f64.powi(step)).max(1e-12);
            let w: Vec<f64> =
                rows.iter().map(|x| 1.0 / (distance2(x, &z) + floor * floor).sqrt()).collect();
            let sum: f64 = w.iter().sum();
            z = (0..z.len())
                .map(|k| rows.iter().zip(&w).map(|(x, w)| w * x[k]).sum::<f64>() / sum)
                .collect();
        }
        rows.iter().map(|x| total(rows, x)).fold(total(rows, &z), f64::min)
    }

    fn median(rows: &[Vec<f32>]) -> (Vec<f64>, Verdict) {
        let matrix = Matrix::from_rows(rows);
        let (mut out, mut verdict) = (vec![0.0; rows[0].len()], Verdict::default());
        let mut rule = build("geometric-median", rows.len(), 0).unwrap();
        rule.aggregate(&mut Round::of(matrix.rows(), 0), &mut out, &mut verdict);
        (out.iter().map(|&x| f64::from(x)).collect(), verdict)
    }

    #[track_caller]
    fn gives(rows: &[[f32; 2]], expected: [f64; 2]) {
        let rows: Vec<Vec<f32>> = rows.iter().map(|x| x.to_vec()).collect();
        let (out, verdict) = median(&rows);
        assert!(distance2(&out, &expected).sqrt() < 1e-6, "{out:?}, not {expected:?}");
        assert_eq!(verdict.event, None);
    }

    #[test]
    fn published_points() {
        let third = (3.0 - 3f64.sqrt()) / 6.0;
        gives(&[[0., 0.], [1., 0.], [0., 1.]], [third, third]);
        gives(&[[0., 0.], [4., 0.], [0., 3.]], [0.6957885, 0.7511761]);
        gives(&[[1., 0.], [-1., 0.], [0., 1.], [0., -1.], [10., 10.]], [0.3122228, 0.3122228]);
        gives(&[[0., 0.], [4., 0.], [0., 3.], [3., 3.]], [12.0 / 7.0, 12.0 / 7.0]);
        gives(&[[1., 1.], [4., 4.], [7., 7.]], [4., 4.]);
    }

    #[test]
    fn no_row_holds_the_iteration_that_is_not_the_answer() {
        let rows = [[0., 0.], [5., 1.], [6., 10.]].map(|x| x.to_vec());
        let (out, _) = median(&rows);
        let wide: Vec<Vec<f64>> =
            rows.iter().map(|x| x.iter().map(|&v| v.into()).collect()).collect();
        assert!((out[0] - 4.387).abs() < 1e-3 && (out[1] - 1.529).abs() < 1e-3, "{out:?}");
        assert!(total(&wide, &out) < 14.0795);
        let (out, _) = median(&[1000.0, 1.0, 1.1, 0.9, 1.0].map(|x| vec![x]));
        assert_eq!(out, [1.0]);
    }

    #[test]
    fn the_total_distance_is_least_on_every_family() {
        use crate::conformance::families::FAMILIES;
        for (name, generate) in FAMILIES {
            for (n, d) in [(1, 1), (2, 2), (3, 1), (5, 2), (8, 3), (11, 7)] {
                let matrix = generate(n, d, n as u64);
                let wide = crate::conformance::wide(matrix.rows());
                let rows: Vec<Vec<f32>> = matrix.rows().iter().map(<[f32]>::to_vec).collect();
                let (out, _) = median(&rows);
                let (found, best) = (total(&wide, &out), least(&wide));
                let rounding: f64 = out.iter().map(|x| x.abs()).fold(0.0, f64::max) * 6e-8;
                let denormal = n as f64 * d as f64 * 1e-45;
                assert!(
                    found
                        <= best * (1.0 + 1e-8) + n as f64 * (d as f64).sqrt() * rounding + denormal,
                    "{name}, n = {n}, d = {d}: {found}, not {best}"
                );
            }
        }
    }

    #[test]
    fn the_exact_path_reaches_the_least_total_distance_too_and_to_more_digits() {
        use crate::conformance::{exactly, families::FAMILIES, wide};
        for (name, generate) in FAMILIES {
            for (n, d) in [(1, 1), (2, 2), (3, 1), (5, 2), (8, 3), (11, 7)] {
                let rows = wide(generate(n, d, n as u64).rows());
                let (out, verdict) = exactly("geometric-median", &rows, 0);
                let (found, best) = (total(&rows, &out), least(&rows));
                assert!(found <= best * (1.0 + 1e-8), "{name}, n = {n}, d = {d}: {found}, {best}");
                let sum: f64 = verdict.weights.iter().sum();
                assert!((sum - 1.0).abs() < 1e-12, "{name}: {sum}");
            }
        }
        let third = (3.0 - 3f64.sqrt()) / 6.0;
        for scale in [1e-300, 1.0, 1e300] {
            let rows = [[0.0, 0.0], [scale, 0.0], [0.0, scale]].map(|x| x.to_vec());
            let (out, verdict) = exactly("geometric-median", &rows, 1);
            assert!(out.iter().all(|x| (x / scale - third).abs() < 1e-14), "{out:?}");
            assert_eq!(verdict.event, None);
        }
    }

    #[test]
    fn rows_at_any_distance_pull_with_a_unit_vector() {
        // The far row's direction is all that counts: along it, the answer of 1e6 times nearer.
        let honest = [[0., 0.], [1., 0.], [0., 1.], [1., 2.], [3., 1.]];
        let with = |far: f32| {
            let mut rows: Vec<Vec<f32>> = honest.iter().map(|x| x.to_vec()).collect();
            rows.push(vec![-0.6 * far, 0.8 * far]);
            rows.push(vec![0.8 * far, 0.6 * far]);
            median(&rows).0
        };
        let near = with(1e7);
        for far in [1e9, 1e14, 1e20, 1e30, 2e38] {
            assert!(distance2(&with(far), &near).sqrt() < 2e-6, "{far}: {:?}", with(far));
        }
    }
}
