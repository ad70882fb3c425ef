//! The farthest mean of m = n − f rows from an answer F, from distances alone.
//!
//! With aᵢ = ‖xᵢ − F‖² and pᵢⱼ = ‖xᵢ − xⱼ‖², the squared distance of F from the mean of S is
//! Σ_S aᵢ/m − Σ_{i<j∈S} pᵢⱼ/m² (the parallel axis theorem). In terms of the f rows T that are left
//! out it is q(T) = A/m − P/m² + Σ_T hᵢ − Σ_{i<j∈T} pᵢⱼ/m², where A and P are the sums over all
//! rows and pairs and hᵢ = (Σⱼ pᵢⱼ)/m² − aᵢ/m.
//!
//! Rows are taken in descending order of h, depth first; a branch is left as soon as the h of the
//! next rows, without their distances, cannot better the best set. Where [`MOST`] sets were looked
//! at and some are left, the bound of each row by itself is taken: hᵢ less half its f − 1 least
//! pᵢⱼ, of the f rows where that is most.

use varangian_base::kernels::distances::Pairs;

/// Sets, whole or begun, that are looked at. 15 rows of which 7 are hostile have 6435 whole ones.
const MOST: usize = 1 << 14;

/// How far a mean of n − f rows is from the answer.
#[derive(Clone, Copy, Debug)]
pub(super) struct Farthest {
    /// An upper bound on the distance.
    pub(super) distance: f64,
    /// Whether some set attains it, up to rounding.
    pub(super) attained: bool,
}

/// The farthest mean of all but `0 < f < n` rows, at these squared distances from the answer and
/// between each other, which have a relative error of at most `loss`. Cost O(n²·log n)
/// and the search.
pub(super) fn farthest(squares: &[f64], pairs: &Pairs, f: usize, loss: f64) -> Farthest {
    let n = squares.len();
    let m = (n - f) as f64;
    let scale = (m * m).recip();
    let apart: Vec<f64> = (0..n).map(|i| (0..n).map(|j| pairs.at(i, j)).sum::<f64>()).collect();
    let gains: Vec<f64> = (0..n).map(|i| apart[i] * scale - squares[i] / m).collect();
    let (all, among) = (squares.iter().sum::<f64>() / m, apart.iter().sum::<f64>() / 2.0 * scale);
    let mut order: Vec<usize> = (0..n).collect();
    order.sort_by(|&i, &j| gains[j].total_cmp(&gains[i]).then(i.cmp(&j)));
    let mut search =
        Search { pairs, gains: &gains, order: &order, f, scale, looked: 0, best: None };
    search.below(0, 0.0, &mut Vec::with_capacity(f));
    let attained = search.looked <= MOST;
    let most = match (attained, search.best) {
        (true, Some(best)) => best,
        _ => alone(pairs, &gains, f, scale),
    };
    // Every term that was added, in absolute value, times its error.
    let lost = loss * (all + 3.0 * among) + 8.0 * n as f64 * f64::EPSILON * (all + 3.0 * among);
    Farthest { distance: (all - among + most + lost).max(0.0).sqrt(), attained }
}

/// A bound on what f rows gain, each by itself.
fn alone(pairs: &Pairs, gains: &[f64], f: usize, scale: f64) -> f64 {
    let n = gains.len();
    let bound = |i: usize| {
        let mut apart: Vec<f64> = (0..n).filter(|&j| j != i).map(|j| pairs.at(i, j)).collect();
        apart.sort_by(f64::total_cmp);
        gains[i] - apart.iter().take(f - 1).sum::<f64>() * scale / 2.0
    };
    let mut bounds: Vec<f64> = (0..n).map(bound).collect();
    bounds.sort_by(|a, b| b.total_cmp(a));
    bounds.iter().take(f).sum()
}

struct Search<'a> {
    pairs: &'a Pairs,
    gains: &'a [f64],
    order: &'a [usize],
    f: usize,
    scale: f64,
    looked: usize,
    best: Option<f64>,
}

impl Search<'_> {
    /// Looks at all sets that begin with `taken`, which gains `value`, and go on from place `from`.
    fn below(&mut self, from: usize, value: f64, taken: &mut Vec<usize>) {
        let left = self.f - taken.len();
        if left == 0 {
            self.best = Some(self.best.map_or(value, |best| best.max(value)));
            return;
        }
        for at in from..=self.order.len() - left {
            let next = self.order[at..at + left].iter().map(|&i| self.gains[i]).sum::<f64>();
            self.looked += 1;
            if self.looked > MOST || self.best.is_some_and(|best| value + next <= best) {
                return;
            }
            let i = self.order[at];
            let near = taken.iter().map(|&j| self.pairs.at(i, j)).sum::<f64>();
            taken.push(i);
            self.below(at + 1, value + self.gains[i] - near * self.scale, taken);
            taken.pop();
        }
    }
}
