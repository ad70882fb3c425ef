//! S-CC, sequential centred clipping (Özfatura, Özfatura, Küpçü & Gündüz 2022): centred clipping
//! whose centre moves from bucket to bucket, so that an attack that hides behind the last answer
//! meets another centre.
//!
//! The rows are put in order of their cosine with the last answer and cut into clusters of ⌈n/s⌉;
//! each bucket takes one row of each cluster, by a random order within it. Then bucket by bucket
//! v ← v + (1/|B|)·Σ_{i∈B} (xᵢ − v)·min(1, τ/‖xᵢ − v‖), with v from the last answer (0 before the
//! first, where all cosines are 0 and the order is that of the ids).
//!
//! As remembered of the paper's algorithm and its published code, as are buckets of three rows:
//! the mean within a bucket, and one pass over the buckets.
//!
//! ```
//! # use varangian_base::Matrix;
//! # use varangian_rules::{Round, Verdict, build};
//! let rows = Matrix::from_rows(&[[4.0], [4.0], [4.0], [4.0]]);
//! let mut out = [0.0];
//! let mut rule = build("sequential-clipping tau=1 s=2", 4, 1).unwrap();
//! rule.aggregate(&mut Round::of(rows.rows(), 1), &mut out, &mut Verdict::default());
//! assert_eq!(out, [2.0]); // two buckets, a step of 1 each
//! ```

use crate::exact::Wide;
use crate::select::sort_by_key;
use crate::{Bound, Claims, Kappa, Round, Rule, RuleEntry, RuleFacts, Stage, Verdict, exact};
use varangian_base::kernels::{combine, norms};
use varangian_base::{Domain, Kind, Memory, Param, Seed, SpecError, Value, lanes};

pub(crate) static ENTRY: RuleEntry = RuleEntry {
    name: "sequential-clipping",
    summary: "centred clipping from bucket to bucket of rows that differ in direction",
    paper: "Özfatura, Özfatura, Küpçü & Gündüz, Byzantines Can Also Learn From History: Fall of Centered Clipping in Federated Learning, IEEE TIFS 2024, arXiv 2208.09894, the S-CC algorithm",
    differs: &[
        "tau = auto takes the median of the distances of a bucket's rows to v; the paper gives τ by hand",
    ],
    params: &[
        Param {
            name: "tau",
            kind: Kind::Real { min: 0.0, max: f64::MAX },
            default: "auto",
            help: "clipping radius τ; auto is the median distance in each bucket, the lower of two",
        },
        Param {
            name: "s",
            kind: Kind::Count { min: 1, max: usize::MAX },
            default: "3",
            help: "rows in a bucket, at most n",
        },
    ],
    cost: "O(n·d)",
    facts: RuleFacts {
        bound: Bound::majority("Özfatura et al. 2024"),
        claims: Claims { scale: true, rotation: true, ..Claims::NONE },
        has_memory: true,
        weights: true,
        kappa: Kappa::Open("none from any start, as of centred clipping"),
        whole_rows: "it measures a row at a time, which nobody holds whole",
        ..RuleFacts::RULE
    },
    build: |args| {
        Ok(Box::new(Stage::Rule(Box::new(Sequential {
            tau: args.real("tau"),
            s: args.count("s").expect("has a default"),
            ..Sequential::default()
        }))))
    },
};

#[derive(Clone, Default)]
struct Sequential {
    tau: Option<f64>,
    s: usize,
    /// The last answer.
    last: Vec<f32>,
    centre: Vec<f32>,
    squared: Vec<f64>,
    cosines: Vec<f64>,
    order: Vec<usize>,
    buckets: Vec<Vec<usize>>,
    shares: Vec<f64>,
    step: Vec<f64>,
    far: Vec<f64>,
    sorted: Vec<f64>,
    room: Vec<f32>,
}

/// Deals rows in this order into ⌈n/s⌉ buckets, one of each cluster of as many neighbours.
fn deal(order: &mut [usize], s: usize, buckets: &mut Vec<Vec<usize>>, at: (Seed, u64, u64)) {
    let count = order.len().div_ceil(s);
    let (seed, step, stage) = at;
    let mut draws = seed.lane(Domain::Rule, lanes::rule::CLUSTERS, step, stage);
    buckets.resize_with(count, Vec::new);
    buckets.iter_mut().for_each(Vec::clear);
    for cluster in order.chunks_mut(count) {
        draws.shuffle(cluster);
        cluster.iter().zip(buckets.iter_mut()).for_each(|(&i, bucket)| bucket.push(i));
    }
}

impl Sequential {
    /// Sets the order of the rows by falling cosine with the last answer.
    fn arrange(&mut self, round: &Round<'_>) {
        norms::rows_norm2(round.rows, &mut self.squared);
        norms::rows_dot(round.rows, &self.last, &mut self.cosines);
        let length = norms::norm2(&self.last).sqrt();
        for (cosine, s) in self.cosines.iter_mut().zip(&self.squared) {
            let scale = s.sqrt() * length;
            *cosine = if scale > 0.0 { -*cosine / scale } else { 0.0 };
        }
        sort_by_key(&self.cosines, &mut self.order);
    }
}

impl Rule for Sequential {
    fn aggregate(&mut self, round: &mut Round<'_>, out: &mut [f32], verdict: &mut Verdict) {
        let (rows, n) = (round.rows, round.rows.n());
        if self.last.len() != out.len() {
            self.last.clear();
            self.last.resize(out.len(), 0.0);
        }
        self.arrange(round);
        deal(&mut self.order, self.s, &mut self.buckets, (round.seed, round.step, round.stage));
        self.centre.clone_from(&self.last);
        self.shares.clear();
        self.shares.resize(n, 0.0);
        self.step.clear();
        self.step.resize(n, 0.0);
        for bucket in &self.buckets {
            self.far.clear();
            for &i in bucket {
                let row = rows.row(i, &mut self.room);
                self.far.push(norms::distance2(row, &self.centre).sqrt());
            }
            self.sorted.clone_from(&self.far);
            self.sorted.sort_unstable_by(f64::total_cmp);
            let tau = self.tau.unwrap_or(self.sorted[(bucket.len() - 1) / 2]);
            self.step.fill(0.0);
            for (&i, &far) in bucket.iter().zip(&self.far) {
                self.step[i] = if far > tau { tau / far } else { 1.0 } / bucket.len() as f64;
            }
            let left = 1.0 - self.step.iter().sum::<f64>();
            combine::combine_with(rows, &self.step, &self.centre, left, out);
            self.centre.copy_from_slice(out);
            let shares = self.shares.iter_mut().zip(&self.step);
            shares.for_each(|(share, step)| *share = *share * left + step);
            verdict.radius = Some(tau);
        }
        self.last.copy_from_slice(out);
        verdict.weights.extend_from_slice(&self.shares);
    }

    fn exact(&self, round: &exact::Round<'_>, verdict: &mut Verdict) -> Result<Vec<f64>, String> {
        let (rows, n) = (round.rows, round.n());
        let (mut order, mut buckets): (Vec<usize>, _) = ((0..n).collect(), Vec::new());
        deal(&mut order, self.s, &mut buckets, (round.seed, round.step, round.stage));
        let (mut v, mut shares) = (vec![0.0; round.d()], vec![0.0; n]);
        for bucket in &buckets {
            let picked: Vec<Vec<f64>> = bucket.iter().map(|&i| rows[i].clone()).collect();
            let far = exact::distances2(&picked, &v).into_iter().map(Wide::sqrt);
            let far: Vec<Wide> = far.collect();
            let mut sorted = far.clone();
            sorted.sort_unstable();
            let tau = self.tau.map_or(sorted[(bucket.len() - 1) / 2], Wide::from);
            let one = Wide::from(1.0);
            let kept = far.iter().map(|&r| if r > tau { tau / r } else { one });
            let kept: Vec<Wide> = kept.collect();
            let whole = Wide::from(bucket.len() as f64);
            v = (0..v.len())
                .map(|k| {
                    let from = Wide::from(v[k]);
                    let step = picked.iter().zip(&kept);
                    let step = step.map(|(row, &kept)| kept * (Wide::from(row[k]) - from));
                    (from + exact::total(step.collect()) / whole).to_f64()
                })
                .collect();
            let given: f64 = kept.iter().map(|&kept| (kept / whole).to_f64()).sum();
            shares.iter_mut().for_each(|share| *share *= 1.0 - given);
            let added = bucket.iter().zip(&kept);
            added.for_each(|(&i, &kept)| shares[i] += (kept / whole).to_f64());
            verdict.radius = Some(tau.to_f64());
        }
        verdict.weights = shares;
        Ok(v)
    }

    fn fork(&self) -> Box<dyn Rule> {
        Box::new(self.clone())
    }

    fn fits(&self, n: usize, _: usize) -> Result<(), String> {
        (self.s <= n).then_some(()).ok_or_else(|| format!("s ≤ n; s = {}", self.s))
    }

    fn first_round(&self) -> Option<&'static str> {
        Some(
            "it moves from its last answer; in a first round from 0, bucket by bucket in the order of the ids",
        )
    }

    fn save(&self) -> Memory {
        let mut memory = Memory::default();
        memory.put("last", Value::Floats(self.last.clone()));
        memory
    }

    fn load(&mut self, memory: &Memory) -> Result<(), SpecError> {
        self.last = memory.floats("last")?.to_vec();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_bucket_holds_a_row_of_each_cluster() {
        for (n, s) in [(12, 3), (11, 3), (7, 7), (5, 1)] {
            let (mut order, mut buckets) = ((0..n).collect::<Vec<usize>>(), Vec::new());
            deal(&mut order, s, &mut buckets, (Seed(3), 4, 0));
            let mut all = buckets.concat();
            all.sort_unstable();
            assert!(all.iter().copied().eq(0..n), "n = {n}, s = {s}");
            let count = n.div_ceil(s);
            for bucket in &buckets {
                assert!(bucket.iter().enumerate().all(|(cluster, i)| i / count == cluster));
            }
        }
    }
}
