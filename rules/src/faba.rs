//! FABA (Xia, Tao, Hao & Li 2019, algorithm 1): f times, drop the row farthest from the mean of
//! those that remain; the mean of the rest. Of equally far rows the highest id is dropped.
//!
//! ‖xᵢ − x̄_S‖² = (1/|S|)·Σ_{j∈S} ‖xᵢ − xⱼ‖² − (a term that is the same for all i): the farthest
//! row is the one whose squared distances to the others sum highest, which costs n² a drop.
//!
//! ```
//! # use varangian_base::Matrix;
//! # use varangian_rules::{Round, Verdict, build};
//! let rows = Matrix::from_rows(&[[0.0], [1.0], [2.0], [30.0], [-100.0]]);
//! let mut out = [0.0];
//! build("faba", 5, 2).unwrap().aggregate(&mut Round::of(rows.rows(), 2), &mut out, &mut Verdict::default());
//! assert_eq!(out, [1.0]);
//! ```

use crate::select::{Weigh, by_distances, mean_of};
use crate::{Bound, Claims, Kappa, RuleEntry, RuleFacts, exact};
use varangian_base::kernels::distances::Pairs;

pub(crate) static ENTRY: RuleEntry = RuleEntry {
    name: "faba",
    summary: "mean after f times dropping the row farthest from the mean",
    paper: "Xia, Tao, Hao & Li, FABA: An Algorithm for Fast Aggregation against Byzantine Attacks, IJCAI 2019, algorithm 1",
    differs: &[],
    params: &[],
    cost: "O(n²·d)",
    facts: RuleFacts {
        bound: Bound::majority("Xia et al. 2019; their proof needs f/n < 1/3"),
        claims: Claims::GEOMETRIC,
        weights: true,
        excluded: "dropped as the row farthest from the mean of what was left",
        kappa: Kappa::Open("none known; a search finds 3.8 at n = 11, f = 3"),
        whole_rows: "",
        ..RuleFacts::RULE
    },
    build: |_| Ok(by_distances(Faba::default())),
};

#[derive(Clone, Default)]
struct Faba {
    alive: Vec<usize>,
}

impl Weigh for Faba {
    fn weigh(&mut self, squared: &Pairs, f: usize, weights: &mut [f64]) {
        self.alive.clear();
        self.alive.extend(0..squared.n());
        for _ in 0..f {
            let sum = |i: usize| self.alive.iter().map(|&j| squared.at(i, j)).sum::<f64>();
            let sums = self.alive.iter().enumerate().map(|(at, &i)| (sum(i), at));
            let (_, farthest) = sums.max_by(|a, b| a.0.total_cmp(&b.0)).expect("rows remain");
            self.alive.remove(farthest);
        }
        mean_of(&self.alive, weights);
    }

    fn exact(&self, round: &exact::Round<'_>) -> exact::Blend {
        let pairs = exact::pairs(round.rows);
        let mut alive: Vec<usize> = (0..round.n()).collect();
        for _ in 0..round.f {
            let sum = |&i: &usize| alive.iter().map(|&j| pairs[i][j]).sum::<exact::Wide>();
            let farthest = (0..alive.len()).max_by_key(|&at| sum(&alive[at])).expect("rows remain");
            alive.remove(farthest);
        }
        exact::Blend::selection(round.n(), &alive)
    }
}

#[cfg(test)]
pub(crate) fn reference(rows: &[Vec<f64>], f: usize) -> Vec<f64> {
    use crate::conformance::{distance2, mean};
    let mut alive: Vec<&Vec<f64>> = rows.iter().collect();
    for _ in 0..f {
        let centre = mean(alive.iter().copied());
        let far: Vec<f64> = alive.iter().map(|x| distance2(x, &centre)).collect();
        let most = far.iter().copied().fold(0.0, f64::max);
        let drop = far.iter().rposition(|&s| s >= most * (1.0 - 1e-12)).unwrap();
        alive.remove(drop);
    }
    mean(alive.into_iter())
}
