//! FedSECA (CVPR 2025): the sign of each coordinate is elected by votes that weigh as much as a row
//! agrees with the others; the answer is the mean of the entries that have the elected sign, of
//! rows that are clipped, clamped and sparse.
//!
//! With sgn of 0 as 0 and M the median norm:
//!
//! 1. ρᵢ = max(0, the mean over j ≠ i of (1/d)·Σₖ sgn(xᵢₖ)·sgn(xⱼₖ)) is the row's concordance;
//! 2. sₖ = sgn(Σᵢ ρᵢ·sgn(xᵢₖ)) is the elected sign;
//! 3. yᵢ = xᵢ·min(1, M/‖xᵢ‖), each |yᵢₖ| cut to the median of |y₁ₖ| … |yₙₖ|, and of each row the
//!    ⌈(1 − γ)·d⌉ largest entries kept, with those that are as large as the least;
//! 4. the answer's coordinate k is the mean of the yᵢₖ ≠ 0 of sign sₖ, 0 where there are none.
//!
//! As remembered of the paper, as is γ = 0.9; medians of an even number are the lower ones.
//!
//! ```
//! # use varangian_base::Matrix;
//! # use varangian_rules::{Round, Verdict, build};
//! let rows = Matrix::from_rows(&[[1.0, 1.0], [1.0, 1.0], [1.0, 1.0], [-9.0, -9.0]]);
//! let mut out = [0.0; 2];
//! let mut rule = build("fedseca gamma=0", 4, 1).unwrap();
//! rule.aggregate(&mut Round::of(rows.rows(), 1), &mut out, &mut Verdict::default());
//! assert_eq!(out, [1.0, 1.0]);
//! ```

use crate::{Bound, Claims, Kappa, Round, Rule, RuleEntry, RuleFacts, Stage, Verdict, exact};
use varangian_base::kernels::norms;
use varangian_base::{Kind, Matrix, Param};

pub(crate) static ENTRY: RuleEntry = RuleEntry {
    name: "fedseca",
    summary: "mean of the entries that have the sign which rows elect by how far they agree",
    paper: "FedSECA: Sign Election and Coordinate-wise Aggregation of Gradients for Byzantine Tolerant Federated Learning, CVPR 2025",
    differs: &[],
    params: &[Param {
        name: "gamma",
        kind: Kind::Real { min: 0.0, max: 0.999_999_999 },
        default: "0.9",
        help: "γ, the share of its entries that a row loses, the smallest",
    }],
    cost: "O(n²·d), and a copy of the rows",
    facts: RuleFacts {
        bound: Bound::majority("FedSECA 2025"),
        claims: Claims { scale: true, ..Claims::NONE },
        kappa: Kappa::Open("none: the answer's length is that of the largest entries"),
        whole_rows: "it compares the signs of whole rows",
        ..RuleFacts::RULE
    },
    build: |args| {
        let gamma = args.real("gamma").expect("has a default");
        Ok(Box::new(Stage::Rule(Box::new(FedSeca { gamma, ..FedSeca::default() }))))
    },
};

#[derive(Clone, Default)]
struct FedSeca {
    gamma: f64,
    rows: Matrix,
    room: Vec<f32>,
    squared: Vec<f64>,
    sorted: Vec<f64>,
    agreed: Vec<i64>,
    rho: Vec<f64>,
    column: Vec<f32>,
    sizes: Vec<f32>,
    elected: Vec<f64>,
}

fn sign(x: f64) -> i64 {
    i64::from(x > 0.0) - i64::from(x < 0.0)
}

/// ρᵢ from Σ_{j ≠ i} Σₖ sgn(xᵢₖ)·sgn(xⱼₖ).
fn concordance(agreed: i64, n: usize, d: usize) -> f64 {
    agreed.max(0) as f64 / ((n - 1).max(1) * d.max(1)) as f64
}

/// How many of d entries a row keeps.
fn count(gamma: f64, d: usize) -> usize {
    (((1.0 - gamma) * d as f64).ceil() as usize).clamp(d.min(1), d)
}

impl FedSeca {
    /// Sets ρ and the elected signs of the rows that were copied.
    fn elect(&mut self) {
        let (n, d) = (self.rows.n(), self.rows.d());
        // Σ_j Σₖ over all j is that with the column's sum of signs; j = i gives its nonzeros.
        self.elected.clear();
        self.elected.resize(d, 0.0);
        for i in 0..n {
            let row = self.rows.row(i).iter();
            self.elected.iter_mut().zip(row).for_each(|(sum, &x)| *sum += sign(x.into()) as f64);
        }
        self.agreed.clear();
        for i in 0..n {
            let row = self.rows.row(i).iter().zip(&self.elected);
            let both = |(&x, &sum): (&f32, &f64)| {
                let own = sign(x.into());
                own * (sum as i64 - own)
            };
            self.agreed.push(row.map(both).sum());
        }
        self.rho.clear();
        self.rho.extend(self.agreed.iter().map(|&agreed| concordance(agreed, n, d)));
        self.elected.fill(0.0);
        for i in 0..n {
            let (row, rho) = (self.rows.row(i).iter(), self.rho[i]);
            let votes = self.elected.iter_mut().zip(row);
            votes.for_each(|(sum, &x)| *sum += rho * sign(x.into()) as f64);
        }
    }

    /// Clips, clamps and thins the rows that were copied.
    fn thin(&mut self) {
        let (n, d) = (self.rows.n(), self.rows.d());
        self.sorted.clone_from(&self.squared);
        self.sorted.sort_unstable_by(f64::total_cmp);
        let median = self.sorted[(n - 1) / 2].sqrt();
        for i in 0..n {
            let norm = self.squared[i].sqrt();
            if norm > median {
                let cut = median / norm;
                let row = self.rows.row_mut(i).iter_mut();
                row.for_each(|x| *x = (f64::from(*x) * cut) as f32);
            }
        }
        for k in 0..d {
            self.column.clear();
            self.column.extend((0..n).map(|i| self.rows.row(i)[k].abs()));
            let most = *self.column.select_nth_unstable_by((n - 1) / 2, f32::total_cmp).1;
            for i in 0..n {
                let x = &mut self.rows.row_mut(i)[k];
                *x = x.clamp(-most, most);
            }
        }
        let keep = count(self.gamma, d);
        for i in 0..n {
            let row = self.rows.row_mut(i);
            self.sizes.clear();
            self.sizes.extend(row.iter().map(|x| x.abs()));
            if d > 0 {
                let least = *self.sizes.select_nth_unstable_by(d - keep, f32::total_cmp).1;
                row.iter_mut().filter(|x| x.abs() < least).for_each(|x| *x = 0.0);
            }
        }
    }
}

impl Rule for FedSeca {
    fn aggregate(&mut self, round: &mut Round<'_>, out: &mut [f32], _: &mut Verdict) {
        let (n, d) = (round.rows.n(), out.len());
        self.rows.resize(n, d);
        for i in 0..n {
            let row = round.rows.row(i, &mut self.room);
            self.rows.row_mut(i).copy_from_slice(row);
        }
        norms::rows_norm2(self.rows.rows(), &mut self.squared);
        self.elect();
        self.thin();
        for (k, out) in out.iter_mut().enumerate() {
            let elected = sign(self.elected[k]);
            let (mut sum, mut with) = (0.0, 0.0);
            for i in 0..n {
                let x = f64::from(self.rows.row(i)[k]);
                if elected != 0 && sign(x) == elected {
                    sum += x;
                    with += 1.0;
                }
            }
            *out = (sum / f64::max(with, 1.0)) as f32;
        }
    }

    fn exact(&self, round: &exact::Round<'_>, _: &mut Verdict) -> Result<Vec<f64>, String> {
        let (rows, n, d) = (round.rows, round.n(), round.d());
        let agreed = |i: usize, j: usize| {
            rows[i].iter().zip(&rows[j]).map(|(&a, &b)| sign(a) * sign(b)).sum::<i64>()
        };
        let all = |i: usize| (0..n).filter(|&j| j != i).map(|j| agreed(i, j)).sum();
        let rho: Vec<f64> = (0..n).map(|i| concordance(all(i), n, d)).collect();
        let lengths: Vec<_> = rows.iter().map(|row| exact::norm2(row).sqrt()).collect();
        let median = lengths[exact::in_order(&lengths)[(n - 1) / 2]];
        let clipped = |i: usize| -> Vec<f64> {
            let cut = |&x: &f64| (exact::Wide::from(x) * (median / lengths[i])).to_f64();
            if lengths[i] > median { rows[i].iter().map(cut).collect() } else { rows[i].clone() }
        };
        let mut thin: Vec<Vec<f64>> = (0..n).map(clipped).collect();
        for k in 0..d {
            let mut column: Vec<f64> = thin.iter().map(|row| row[k].abs()).collect();
            column.sort_unstable_by(f64::total_cmp);
            let most = column[(n - 1) / 2];
            thin.iter_mut().for_each(|row| row[k] = row[k].clamp(-most, most));
        }
        let keep = count(self.gamma, d);
        for row in &mut thin {
            let mut sizes: Vec<f64> = row.iter().map(|x| x.abs()).collect();
            sizes.sort_unstable_by(f64::total_cmp);
            let least = sizes.get(d - keep).copied().unwrap_or(0.0);
            row.iter_mut().filter(|x| x.abs() < least).for_each(|x| *x = 0.0);
        }
        let answer = |k: usize| {
            let votes = rows.iter().zip(&rho).map(|(row, rho)| rho * sign(row[k]) as f64);
            let elected = sign(votes.sum::<f64>());
            let with: Vec<f64> = thin.iter().map(|row| row[k]).collect();
            let with: Vec<f64> =
                with.into_iter().filter(|&x| elected != 0 && sign(x) == elected).collect();
            if with.is_empty() {
                0.0
            } else {
                exact::Total::of(with.iter().copied()).over(with.len() as f64).0
            }
        };
        Ok((0..d).map(answer).collect())
    }

    fn fork(&self) -> Box<dyn Rule> {
        Box::new(self.clone())
    }
}
