//! What a node makes of its own model and of what its neighbours sent it.

use varangian_base::{Matrix, Seed};
use varangian_rules::{Pipeline, Round, Verdict};

/// How a node combines models.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// x ← Σ Wᵢⱼ·xⱼ with Metropolis' weights: gossip without a defence.
    Average,
    /// Nearest-neighbour averaging (Farhadkhani et al., ICML 2023, arXiv 2209.10931, §3): the mean
    /// of its own model and of all but the b neighbours' farthest from it.
    Nna,
    /// ClippedGossip (He, Karimireddy & Jaggi 2022, arXiv 2202.01545, Algorithm 1): x ← Σ Wᵢⱼ·(x +
    /// clip(xⱼ − x, τ)), with the paper's adaptive τ.
    Clipped,
    /// CS+ (Gaucher, Dieuleveut & Hendrikx, ICML 2025, arXiv 2410.10418): x ← x − η·Σ clip(x − xⱼ,
    /// τ), with τ the 2b-th largest of the distances and η one over the largest eigenvalue of the
    /// Laplacian.
    CsPlus,
    /// BRIDGE with coordinate-wise trimming (Yang & Bajwa 2019; Fang, Yang & Bajwa 2022, arXiv
    /// 1908.08649): the b largest and smallest of its neighbours' values are left out of each
    /// coordinate, and the others averaged with its own.
    Bridge,
    /// The run's rule over its own model and its neighbours', b of them hostile.
    Rule,
}

impl Method {
    /// The names, in the order of the variants.
    pub const NAMES: &'static [&'static str] =
        &["average", "nna", "clipped-gossip", "cs-plus", "bridge", "rule"];

    /// The method called `name`.
    pub fn from_name(name: &str) -> Option<Self> {
        let all = [
            Method::Average,
            Method::Nna,
            Method::Clipped,
            Method::CsPlus,
            Method::Bridge,
            Method::Rule,
        ];
        Self::NAMES.iter().position(|known| *known == name).map(|k| all[k])
    }

    /// Its name.
    pub fn name(self) -> &'static str {
        Self::NAMES[self as usize]
    }

    /// The fewest neighbours with which a node does more than keep its own model, where b of them
    /// may be hostile.
    pub fn least(self, b: usize) -> usize {
        match self {
            Method::Average | Method::Clipped | Method::Rule => 1,
            Method::Nna => b + 1,
            Method::CsPlus | Method::Bridge => 2 * b + 1,
        }
    }
}

/// One neighbour's model, whose it is, and the weight of the edge.
pub(super) struct Sent<'a> {
    pub(super) id: u32,
    pub(super) model: &'a [f32],
    pub(super) weight: f64,
}

/// What stays the same for all nodes of a step.
#[derive(Clone, Copy)]
pub(super) struct Mixing {
    pub(super) method: Method,
    /// Neighbours of a node that may be hostile.
    pub(super) b: usize,
    /// η of CS+.
    pub(super) eta: f64,
    pub(super) step: u64,
    pub(super) seed: Seed,
}

impl Mixing {
    /// The model of node `id` after the exchange, into `out`. `sent` is finite and in ascending id.
    pub(super) fn mix(
        &self,
        (id, own): (u32, &[f32]),
        sent: &[Sent<'_>],
        rule: &mut Pipeline,
        out: &mut [f32],
    ) {
        if sent.len() < self.method.least(self.b) {
            return out.copy_from_slice(own);
        }
        match self.method {
            Method::Average => blend(own, sent, |sent| sent.weight, out),
            Method::Nna => self.nearest(own, sent, out),
            Method::Clipped => {
                let away = distances(own, sent);
                let tau = self.radius(sent, &away);
                blend(
                    own,
                    sent.iter().zip(&away),
                    |(sent, away)| sent.weight * cut(**away, tau),
                    out,
                );
            }
            Method::CsPlus => {
                let away = distances(own, sent);
                let mut order = away.clone();
                order.sort_by(|a, b| b.total_cmp(a));
                let tau = if self.b == 0 { f64::INFINITY } else { order[2 * self.b - 1] };
                blend(own, sent.iter().zip(&away), |(_, away)| self.eta * cut(**away, tau), out);
            }
            Method::Bridge => self.trim(own, sent, out),
            Method::Rule => self.combine((id, own), sent, rule, out),
        }
    }

    fn nearest(&self, own: &[f32], sent: &[Sent<'_>], out: &mut [f32]) {
        let away = distances(own, sent);
        let mut order: Vec<usize> = (0..sent.len()).collect();
        order.sort_by(|&i, &j| away[i].total_cmp(&away[j]).then(i.cmp(&j)));
        let kept = &order[..sent.len() - self.b];
        let each = 1.0 / (1 + kept.len()) as f64;
        blend(own, kept.iter().map(|&i| &sent[i]), |_| each, out);
    }

    /// The adaptive radius: τ² = (1/δ)·Σ Wᵢⱼ·‖xᵢ − xⱼ‖² over the nearest nodes, itself among them,
    /// that together weigh 1 − δ at least; δ is the weight of the b heaviest neighbours.
    fn radius(&self, sent: &[Sent<'_>], away: &[f64]) -> f64 {
        let mut weights: Vec<f64> = sent.iter().map(|sent| sent.weight).collect();
        weights.sort_by(|a, b| b.total_cmp(a));
        let delta: f64 = weights.iter().take(self.b).sum();
        if delta == 0.0 {
            return f64::INFINITY;
        }
        let mut weight = 1.0 - weights.iter().sum::<f64>();
        let mut order: Vec<usize> = (0..sent.len()).collect();
        order.sort_by(|&i, &j| away[i].total_cmp(&away[j]).then(i.cmp(&j)));
        let mut sum = 0.0;
        for i in order {
            // Sums of weights are rounded: a hair below 1 − δ is enough.
            if weight >= 1.0 - delta - 1e-12 {
                break;
            }
            weight += sent[i].weight;
            sum += sent[i].weight * away[i] * away[i];
        }
        (sum / delta).sqrt()
    }

    fn trim(&self, own: &[f32], sent: &[Sent<'_>], out: &mut [f32]) {
        let mut column = vec![0.0f32; sent.len()];
        let kept = self.b..sent.len() - self.b;
        let each = 1.0 / (1 + kept.len()) as f64;
        for (k, out) in out.iter_mut().enumerate() {
            column.iter_mut().zip(sent).for_each(|(x, sent)| *x = sent.model[k]);
            column.sort_by(f32::total_cmp);
            let sum: f64 = column[kept.clone()].iter().map(|&x| f64::from(x)).sum();
            *out = (each * (f64::from(own[k]) + sum)) as f32;
        }
    }

    fn combine(
        &self,
        (id, own): (u32, &[f32]),
        sent: &[Sent<'_>],
        rule: &mut Pipeline,
        out: &mut [f32],
    ) {
        let mut all: Vec<(u32, &[f32])> = sent.iter().map(|sent| (sent.id, sent.model)).collect();
        all.push((id, own));
        all.sort_by_key(|(id, _)| *id);
        if rule.check(all.len(), self.b).is_err() {
            return out.copy_from_slice(own);
        }
        let ids: Vec<u32> = all.iter().map(|(id, _)| *id).collect();
        let rows: Vec<&[f32]> = all.iter().map(|(_, row)| *row).collect();
        let rows = Matrix::from_rows(&rows);
        let round = Round::of(rows.rows().with_ids(&ids), self.b);
        let mut round = Round { step: self.step, seed: self.seed, ..round };
        rule.aggregate(&mut round, out, &mut Verdict::default());
    }
}

/// The factor that brings a difference of this length into a ball of radius τ.
fn cut(away: f64, tau: f64) -> f64 {
    if away > tau { tau / away } else { 1.0 }
}

fn distances(own: &[f32], sent: &[Sent<'_>]) -> Vec<f64> {
    let one = |sent: &Sent<'_>| {
        let squares =
            own.iter().zip(sent.model).map(|(&a, &b)| (f64::from(a) - f64::from(b)).powi(2));
        squares.sum::<f64>().sqrt()
    };
    sent.iter().map(one).collect()
}

/// A neighbour, alone or with its distance.
trait Neighbour {
    fn model(&self) -> &[f32];
}

impl Neighbour for &Sent<'_> {
    fn model(&self) -> &[f32] {
        self.model
    }
}

impl Neighbour for (&Sent<'_>, &f64) {
    fn model(&self) -> &[f32] {
        self.0.model
    }
}

/// own + Σ of each neighbour's factor times (its model − own), in f64.
fn blend<N: Neighbour>(
    own: &[f32],
    sent: impl IntoIterator<Item = N>,
    factor: impl Fn(&N) -> f64,
    out: &mut [f32],
) {
    let mut sum: Vec<f64> = own.iter().map(|&x| f64::from(x)).collect();
    for one in sent {
        let factor = factor(&one);
        let terms = sum.iter_mut().zip(one.model()).zip(own);
        terms.for_each(|((sum, &x), &own)| *sum += factor * (f64::from(x) - f64::from(own)));
    }
    out.iter_mut().zip(&sum).for_each(|(out, &x)| *out = x as f32);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mixed(method: &str, b: usize, own: f32, sent: &[(f32, f64)]) -> f32 {
        let models: Vec<[f32; 1]> = sent.iter().map(|(x, _)| [*x]).collect();
        let sent: Vec<Sent<'_>> = (1..)
            .zip(models.iter().zip(sent))
            .map(|(id, (model, (_, weight)))| Sent { id, model, weight: *weight })
            .collect();
        let method = Method::from_name(method).unwrap();
        let mixing = Mixing { method, b, eta: 0.1, step: 0, seed: Seed(1) };
        let mut out = [f32::NAN];
        let mut rule = Pipeline::parse("median").unwrap();
        mixing.mix((0, &[own]), &sent, &mut rule, &mut out);
        out[0]
    }

    #[test]
    fn each_method_is_its_formula() {
        let w = 0.2;
        let sent = [(1.0, w), (2.0, w), (-1.0, w), (100.0, w)];
        let near = |a: f32, b: f32| assert!((a - b).abs() < 1e-5, "{a} {b}");
        near(mixed("average", 1, 0.0, &sent), 0.2 * 102.0);
        // Without the farthest: 0, 1, 2, −1.
        near(mixed("nna", 1, 0.0, &sent), 0.5);
        // Without 100 and −1.
        near(mixed("bridge", 1, 0.0, &sent), 1.0);
        // The second largest distance is 2: 0.1·(1 + 2 − 1 + 2).
        near(mixed("cs-plus", 1, 0.0, &sent), 0.4);
        // δ = 0.2; own 0.2, 1, −1 and 2 weigh 0.8: τ² = (1 + 1 + 4)·0.2/0.2.
        let tau = 6f32.sqrt();
        near(mixed("clipped-gossip", 1, 0.0, &sent), 0.2 * (1.0 + 2.0 - 1.0 + tau));
        near(mixed("rule", 1, 0.0, &sent), 1.0);
        near(mixed("clipped-gossip", 0, 0.0, &sent), 0.2 * 102.0);
        near(mixed("cs-plus", 0, 0.0, &sent), 0.1 * 102.0);
    }

    #[test]
    fn too_few_neighbours_leave_a_node_its_own_model() {
        let two = [(1.0, 0.3), (5.0, 0.3)];
        for method in ["cs-plus", "bridge"] {
            assert_eq!(mixed(method, 1, 7.0, &two), 7.0, "{method}");
        }
        assert_eq!(mixed("nna", 2, 7.0, &two), 7.0);
        assert_eq!(mixed("average", 1, 7.0, &[]), 7.0);
        for (k, name) in Method::NAMES.iter().enumerate() {
            let method = Method::from_name(name).unwrap();
            assert_eq!((method as usize, method.name()), (k, *name));
        }
    }
}
