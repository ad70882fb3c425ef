//! LASA, layer-adaptive sparsified aggregation (Xu, Zhang & Hu 2025): of rows that are cut to their
//! largest entries, those whose length and whose share of positive entries are near the median's;
//! their mean. Meant for layers: `per-block by=layer | lasa`.
//!
//! How near is measured in standard deviations over the rows, |x − median|/σ, for the lengths of
//! the sparse rows and for ½·(1 + Σ sgn/Σ |sgn|) of their entries; a row is taken where neither
//! exceeds its limit. Where no row is, the answer is 0. Of an even number of rows the median is the
//! lower one; entries as large as the least that is kept are kept too.
//!
//! As remembered of the paper; shares and limits there are tuned, the defaults here are ours.
//!
//! ```
//! # use varangian_base::Matrix;
//! # use varangian_rules::{Round, Verdict, build};
//! let rows = Matrix::from_rows(&[[3.0, 1.0], [3.0, -1.0], [3.0, 0.5], [-90.0, 1.0]]);
//! let mut out = [0.0; 2];
//! let mut rule = build("lasa keep=0.5 norm=1", 4, 1).unwrap();
//! rule.aggregate(&mut Round::of(rows.rows(), 1), &mut out, &mut Verdict::default());
//! assert_eq!(out, [3.0, 0.0]);
//! ```

use crate::exact::Wide;
use crate::{Bound, Claims, Kappa, Round, Rule, RuleEntry, RuleFacts, Stage, Verdict, exact};
use varangian_base::{Kind, Param};

pub(crate) static ENTRY: RuleEntry = RuleEntry {
    name: "lasa",
    summary: "mean of sparse rows whose length and share of positive entries are near the median's",
    paper: "Xu, Zhang & Hu, Achieving Byzantine-Resilient Federated Learning via Layer-Adaptive Sparsified Model Aggregation, WACV 2025, arXiv 2409.01435, algorithm 1",
    differs: &[
        "the largest entries are those of what the rule is given, by layer those of the layer; the paper takes those of the whole row",
    ],
    params: &[
        Param {
            name: "keep",
            kind: Kind::Real { min: 1e-9, max: 1.0 },
            default: "0.7",
            help: "the share of its entries that a row keeps, the largest",
        },
        Param {
            name: "norm",
            kind: Kind::Real { min: 0.0, max: 1e30 },
            default: "2",
            help: "the limit of the lengths, in standard deviations from their median",
        },
        Param {
            name: "sign",
            kind: Kind::Real { min: 0.0, max: 1e30 },
            default: "2",
            help: "the limit of the shares of positive entries, likewise",
        },
    ],
    cost: "O(n·d)",
    facts: RuleFacts {
        bound: Bound::majority("Xu et al. 2025"),
        claims: Claims { scale: true, ..Claims::NONE },
        kappa: Kappa::Open("none: rows of usual length and signs get in wherever they point"),
        whole_rows: "it looks for the largest entries of whole rows",
        ..RuleFacts::RULE
    },
    build: |args| {
        let real = |name| args.real(name).expect("has a default");
        let (keep, norm, sign) = (real("keep"), real("norm"), real("sign"));
        Ok(Box::new(Stage::Rule(Box::new(Lasa { keep, norm, sign, ..Lasa::default() }))))
    },
};

#[derive(Clone, Default)]
struct Lasa {
    keep: f64,
    norm: f64,
    sign: f64,
    room: Vec<f32>,
    sizes: Vec<f32>,
    /// The least size that a row keeps.
    least: Vec<f32>,
    lengths: Vec<f64>,
    shares: Vec<f64>,
    sorted: Vec<f64>,
    kept: Vec<bool>,
    sum: Vec<f64>,
}

/// How many of d entries are kept.
fn count(keep: f64, d: usize) -> usize {
    ((keep * d as f64).ceil() as usize).clamp(d.min(1), d)
}

/// ½·(1 + Σ sgn/Σ |sgn|); ½ of nothing but zeros.
fn share(above: usize, below: usize) -> f64 {
    match above + below {
        0 => 0.5,
        all => above as f64 / all as f64,
    }
}

/// Leaves out what lies further from the median than so many standard deviations.
fn limit(values: &[f64], most: f64, sorted: &mut Vec<f64>, kept: &mut [bool]) {
    let n = values.len() as f64;
    sorted.clear();
    sorted.extend_from_slice(values);
    sorted.sort_unstable_by(f64::total_cmp);
    let median = sorted[(sorted.len() - 1) / 2];
    let mean = sorted.iter().sum::<f64>() / n;
    let spread = (sorted.iter().map(|x| (x - mean) * (x - mean)).sum::<f64>() / n).sqrt();
    let near = |x: f64| (x - median).abs() <= most * spread;
    kept.iter_mut().zip(values).for_each(|(kept, &x)| *kept &= near(x));
}

impl Rule for Lasa {
    fn aggregate(&mut self, round: &mut Round<'_>, out: &mut [f32], verdict: &mut Verdict) {
        let (rows, n, d) = (round.rows, round.rows.n(), out.len());
        let k = count(self.keep, d);
        self.least.clear();
        self.lengths.clear();
        self.shares.clear();
        for i in 0..n {
            let row = rows.row(i, &mut self.room);
            self.sizes.clear();
            self.sizes.extend(row.iter().map(|x| x.abs()));
            let least = match d {
                0 => 0.0,
                _ => *self.sizes.select_nth_unstable_by(d - k, f32::total_cmp).1,
            };
            let (mut squares, mut above, mut below) = (0.0, 0, 0);
            for &x in row.iter().filter(|x| x.abs() >= least) {
                squares += f64::from(x) * f64::from(x);
                above += usize::from(x > 0.0);
                below += usize::from(x < 0.0);
            }
            self.least.push(least);
            self.lengths.push(squares.sqrt());
            self.shares.push(share(above, below));
        }
        self.kept.clear();
        self.kept.resize(n, true);
        limit(&self.lengths, self.norm, &mut self.sorted, &mut self.kept);
        limit(&self.shares, self.sign, &mut self.sorted, &mut self.kept);
        self.sum.clear();
        self.sum.resize(d, 0.0);
        let mut taken = 0.0;
        for i in (0..n).filter(|&i| self.kept[i]) {
            taken += 1.0;
            let row = rows.row(i, &mut self.room).iter();
            for (sum, &x) in self.sum.iter_mut().zip(row) {
                *sum += if x.abs() >= self.least[i] { f64::from(x) } else { 0.0 };
            }
        }
        let taken_or_one = f64::max(taken, 1.0);
        out.iter_mut().zip(&self.sum).for_each(|(x, sum)| *x = (sum / taken_or_one) as f32);
        if taken == 0.0 {
            verdict.event = Some(NONE.to_owned());
        }
    }

    fn exact(&self, round: &exact::Round<'_>, verdict: &mut Verdict) -> Result<Vec<f64>, String> {
        let (n, d) = (round.n(), round.d());
        let k = count(self.keep, d);
        let sparse = |row: &Vec<f64>| -> Vec<f64> {
            let mut sizes: Vec<f64> = row.iter().map(|x| x.abs()).collect();
            sizes.sort_unstable_by(f64::total_cmp);
            let least = sizes.get(d - k).copied().unwrap_or(0.0);
            row.iter().map(|&x| if x.abs() >= least { x } else { 0.0 }).collect()
        };
        let rows: Vec<Vec<f64>> = round.rows.iter().map(sparse).collect();
        let lengths: Vec<Wide> = rows.iter().map(|row| exact::norm2(row).sqrt()).collect();
        let shares = rows.iter().map(|row| {
            let of = |is: fn(&f64) -> bool| row.iter().filter(|x| is(x)).count();
            Wide::from(share(of(|x| *x > 0.0), of(|x| *x < 0.0)))
        });
        let shares: Vec<Wide> = shares.collect();
        let near = |values: &[Wide], most: f64, i: usize| {
            let count = Wide::from(n as f64);
            let median = values[exact::in_order(values)[(n - 1) / 2]];
            let mean = exact::total(values.to_vec()) / count;
            let squares = values.iter().map(|&x| (x - mean) * (x - mean)).collect();
            let spread = (exact::total(squares) / count).sqrt();
            let off = (values[i] - median).max(median - values[i]);
            off <= Wide::from(most) * spread
        };
        let taken = |&i: &usize| near(&lengths, self.norm, i) && near(&shares, self.sign, i);
        let kept: Vec<usize> = (0..n).filter(taken).collect();
        if kept.is_empty() {
            verdict.event = Some(NONE.to_owned());
            return Ok(vec![0.0; d]);
        }
        Ok(exact::Blend::selection(n, &kept).of(&rows))
    }

    fn fork(&self) -> Box<dyn Rule> {
        Box::new(self.clone())
    }
}

const NONE: &str = "no row is near the medians: nothing was taken";
