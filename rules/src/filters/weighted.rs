//! Weighted robust aggregation for asynchronous training (Dahan & Levy 2025, §3): the last vector
//! of each worker counts with the number of times that it sent; ω-CTMA trims by weight.
//!
//! ω-CWMed takes the weighted median of each coordinate, ω-GM the weighted geometric median. ω-CTMA
//! then averages the vectors nearest to that anchor until they hold the share 1 − λ of all weight;
//! the last one counts with what is missing. Ties of distance go to the lower worker id.

use crate::{Arrival, Bound, Decision, Filter, FilterEntry, FilterFacts};
use std::collections::BTreeMap;
use varangian_base::blocks::{self, BLOCK};
use varangian_base::kernels::{combine, norms};
use varangian_base::{Kind, Matrix, Memory, Param, Rows, SpecError, Value};

pub(crate) static ENTRY: FilterEntry = FilterEntry {
    name: "weighted",
    summary: "steps along a weighted robust aggregate of every worker's last vector, weights counting arrivals",
    paper: "Dahan & Levy, Weight for Robustness: A Comprehensive Approach towards Optimal Fault-Tolerant Asynchronous ML, 2025, arXiv 2501.09621, §3",
    differs: &[
        "Only the server's side: the workers' double momentum is theirs to configure.",
        "No step is taken before 2f + 1 workers have sent something.",
        "λ defaults to f/n; the paper leaves it to the user.",
    ],
    params: &[
        Param {
            name: "anchor",
            kind: Kind::Choice(&["median", "geometric-median"]),
            default: "median",
            help: "ω-CWMed or ω-GM",
        },
        Param { name: "ctma", kind: Kind::Flag, default: "true", help: "whether ω-CTMA follows" },
        Param {
            name: "lambda",
            kind: Kind::Real { min: 0.0, max: 0.499_999 },
            default: "auto",
            help: "share of the weight that may be hostile; auto is f/n",
        },
    ],
    cost: "O(n·d) an arrival (median: O(d·n·log n)); n·d memory",
    facts: FilterFacts {
        bound: Bound {
            text: "n ≥ 2f + 1", least: |f| 2 * f + 1, source: "Dahan & Levy 2025, §3"
        },
        needs_oracle: false,
        needs_stale: false,
        has_memory: true,
    },
    build: |args| {
        if args.is_given("lambda") && !args.flag("ctma") {
            return Err(SpecError::new("lambda is of use with ctma=true only"));
        }
        let (last, vectors, weights, anchor) = Default::default();
        Ok(Box::new(Weighted {
            geometric: args.text("anchor") == "geometric-median",
            ctma: args.flag("ctma"),
            lambda: args.real("lambda"),
            last,
            vectors,
            weights,
            anchor,
        }))
    },
};

#[derive(Clone)]
struct Weighted {
    geometric: bool,
    ctma: bool,
    lambda: Option<f64>,
    /// By worker: how often it sent, and the row that holds its last vector.
    last: BTreeMap<u32, (u64, usize)>,
    vectors: Matrix,
    weights: Vec<f64>,
    anchor: Vec<f32>,
}

impl Weighted {
    fn remember(&mut self, arrival: &Arrival<'_>) {
        let rows = self.last.len();
        let (count, row) = self.last.entry(arrival.worker).or_insert((0, rows));
        *count += 1;
        let row = *row;
        if self.vectors.n() < arrival.n.max(row + 1) {
            let old = std::mem::take(&mut self.vectors);
            self.vectors.resize(arrival.n.max(row + 1), arrival.gradient.len());
            for i in 0..old.n() {
                self.vectors.row_mut(i).copy_from_slice(old.row(i));
            }
        }
        self.vectors.row_mut(row).copy_from_slice(arrival.gradient);
        self.weights.resize(self.last.len(), 0.0);
        for &(count, row) in self.last.values() {
            self.weights[row] = count as f64;
        }
    }
}

impl Filter for Weighted {
    fn offer(&mut self, arrival: &mut Arrival<'_>, out: &mut [f32]) -> Decision {
        self.remember(arrival);
        if self.last.len() < 2 * arrival.f + 1 {
            return Decision::Hold;
        }
        let rows = self.vectors.rows().head(self.last.len());
        if self.geometric {
            geometric_median(rows, &self.weights, out);
        } else {
            median(rows, &self.weights, out);
        }
        if self.ctma {
            self.anchor.clear();
            self.anchor.extend_from_slice(out);
            let lambda = self.lambda.unwrap_or(arrival.f as f64 / arrival.n as f64);
            let mut order: Vec<(u32, usize)> = Vec::with_capacity(rows.n());
            order.extend(self.last.iter().map(|(&worker, &(_, row))| (worker, row)));
            ctma(rows, &self.weights, &order, &self.anchor, lambda, out);
        }
        Decision::Step
    }

    fn fork(&self) -> Box<dyn Filter> {
        Box::new(self.clone())
    }

    fn save(&self) -> Memory {
        let mut memory = Memory::default();
        let mut table = Vec::new();
        for (&worker, &(count, row)) in &self.last {
            table.extend([u64::from(worker), count, row as u64]);
        }
        memory.put("last", Value::Integers(table));
        let rows = self.vectors.rows().head(self.last.len());
        memory.put("vectors", Value::Floats(rows.iter().flatten().copied().collect()));
        memory
    }

    fn load(&mut self, memory: &Memory) -> Result<(), SpecError> {
        let table = memory.integers("last")?.chunks_exact(3);
        self.last = table.map(|t| (t[0] as u32, (t[1], t[2] as usize))).collect();
        let (flat, n) = (memory.floats("vectors")?, self.last.len());
        let d = flat.len().checked_div(n).unwrap_or(0);
        self.vectors.resize(n, d);
        for i in 0..n {
            self.vectors.row_mut(i).copy_from_slice(&flat[i * d..(i + 1) * d]);
        }
        Ok(())
    }
}

/// Weighted median of each coordinate: where the weight below reaches one half; exactly one half
/// averages with the next value.
fn median(rows: Rows<'_>, weights: &[f64], out: &mut [f32]) {
    let half = weights.iter().sum::<f64>() / 2.0;
    blocks::fill(out, BLOCK, |range, out| {
        let mut column: Vec<(f32, f64)> = Vec::with_capacity(rows.n());
        for (k, out) in range.zip(out) {
            column.clear();
            column.extend((0..rows.n()).map(|i| (rows.row(i)[k], weights[i])));
            column.sort_unstable_by(|a, b| a.0.total_cmp(&b.0));
            let mut below = 0.0;
            for j in 0..column.len() {
                below += column[j].1;
                if below > half || j + 1 == column.len() {
                    *out = column[j].0;
                    break;
                }
                if below == half {
                    *out = (f64::from(column[j].0) / 2.0 + f64::from(column[j + 1].0) / 2.0) as f32;
                    break;
                }
            }
        }
    });
}

/// Weighted geometric median by Weiszfeld's iteration from the weighted median, with Vardi and
/// Zhang's step at points that are themselves rows.
fn geometric_median(rows: Rows<'_>, weights: &[f64], out: &mut [f32]) {
    const STEPS: usize = 100;
    median(rows, weights, out);
    let (mut squared, mut shares) = (Vec::new(), vec![0.0; rows.n()]);
    let mut next = vec![0.0; out.len()];
    for _ in 0..STEPS {
        norms::rows_distance2(rows, out, &mut squared);
        for i in 0..rows.n() {
            shares[i] = if squared[i] > 0.0 { weights[i] / squared[i].sqrt() } else { 0.0 };
        }
        let pull: f64 = shares.iter().sum();
        if pull == 0.0 {
            return;
        }
        shares.iter_mut().for_each(|share| *share /= pull);
        combine::combine(rows, &shares, &mut next);
        let here: f64 = (0..rows.n()).filter(|&i| squared[i] == 0.0).map(|i| weights[i]).sum();
        let moved = norms::distance2(&next, out).sqrt();
        // The rows at `out` hold it with their weight against the pull of the others.
        let step = (1.0 - here / (moved * pull)).max(0.0);
        for (x, &to) in out.iter_mut().zip(&next) {
            *x = (f64::from(*x) + step * (f64::from(to) - f64::from(*x))) as f32;
        }
        let scale = weights.iter().sum::<f64>() / pull;
        if step * moved <= 1e-6 * scale {
            return;
        }
    }
}

/// ω-CTMA: the mean of the weight share 1 − λ that is nearest to the anchor. `order` names each
/// row's worker.
fn ctma(
    rows: Rows<'_>,
    weights: &[f64],
    order: &[(u32, usize)],
    anchor: &[f32],
    lambda: f64,
    out: &mut [f32],
) {
    let mut near: Vec<(f64, u32, usize)> = order
        .iter()
        .map(|&(worker, row)| (norms::distance2(rows.row(row), anchor), worker, row))
        .collect();
    near.sort_unstable_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
    let budget = (1.0 - lambda) * weights.iter().sum::<f64>();
    let mut shares = vec![0.0; rows.n()];
    let mut left = budget;
    for (_, _, row) in near {
        let taken = weights[row].min(left);
        shares[row] = taken / budget;
        left -= taken;
    }
    combine::combine(rows, &shares, out);
}

#[cfg(test)]
mod tests {
    use super::super::trial::arrival;
    use super::*;
    use crate::build_filter;

    #[test]
    fn weighted_medians_and_trims_by_hand() {
        let x = Matrix::from_rows(&[[0.0f32], [1.0], [10.0]]);
        let of = |weights: &[f64]| {
            let mut out = [0.0];
            median(x.rows(), weights, &mut out);
            out[0]
        };
        assert_eq!([of(&[1.0; 3]), of(&[3.0, 1.0, 1.0]), of(&[1.0, 1.0, 2.0])], [1.0, 0.0, 5.5]);
        let mut out = [0.0];
        let order = [(0, 0), (1, 1), (2, 2)];
        ctma(x.rows(), &[1.0, 1.0, 2.0], &order, &[1.0], 0.25, &mut out);
        assert_eq!(out, [11.0 / 3.0], "1, 0 whole and 10 with half its weight");
        let triangle = Matrix::from_rows(&[[0.0f32, 0.0], [1.0, 0.0], [0.0, 1.0]]);
        let mut out = [0.0; 2];
        geometric_median(triangle.rows(), &[2.0; 3], &mut out);
        assert!(out.iter().all(|x| (x - 0.211_324_9).abs() < 1e-5), "{out:?}");
    }

    #[test]
    fn a_step_waits_for_2f_plus_1_workers_and_a_liar_of_little_weight_is_trimmed() {
        let mut filter = build_filter("weighted lambda=0.2", 5, 1).unwrap();
        let mut offer = |worker, g: f32| {
            let (gradient, mut out) = ([g], [0.0]);
            let mut arrival = arrival(&[0.0], &gradient);
            (arrival.n, arrival.f, arrival.worker) = (5, 1, worker);
            let mut twin = build_filter("weighted lambda=0.2", 5, 1).unwrap();
            twin.load(&filter.save()).unwrap();
            let decision = filter.offer(&mut arrival, &mut out);
            let mut other = [0.0];
            assert_eq!((twin.offer(&mut arrival, &mut other), other), (decision, out));
            (decision, out[0])
        };
        assert_eq!(offer(4, 1e9).0, Decision::Hold);
        assert_eq!(offer(0, 1.0).0, Decision::Hold);
        assert_eq!(offer(1, 1.0).0, Decision::Step);
        assert_eq!(offer(0, 1.0).0, Decision::Step);
        assert_eq!(offer(1, 1.0), (Decision::Step, 1.0), "the liar holds a fifth of the weight");
    }
}
