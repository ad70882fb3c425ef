//! MDA, minimum-diameter averaging (El-Mhamdi, Guerraoui, Guirguis, Hoang & Rouault 2020): the mean
//! of the n − f rows whose greatest pairwise distance is least; of several such sets the
//! lexicographically first.
//!
//! Exact. A set of diameter at most t exists if and only if f rows can be dropped so that no two
//! rows that remain are farther apart than t: a vertex cover of size f of the graph of too-far
//! pairs. A binary search over the distances asks at most 2·log n such questions, each answered by
//! branching on the row with most conflicts (drop it, or all its rivals): at most 1.47^f branches.
//!
//! ```
//! # use varangian_base::Matrix;
//! # use varangian_rules::{Round, Verdict, build};
//! let rows = Matrix::from_rows(&[[0.0], [1.0], [2.0], [3.0], [100.0]]);
//! let mut out = [0.0];
//! build("mda", 5, 1).unwrap().aggregate(&mut Round::of(rows.rows(), 1), &mut out, &mut Verdict::default());
//! assert_eq!(out, [1.5]);
//! ```

use crate::cover::Cover;
use crate::select::{Weigh, by_distances, mean_of};
use crate::{Bound, Claims, Kappa, RuleEntry, RuleFacts, exact};
use varangian_base::kernels::distances::Pairs;

pub(crate) static ENTRY: RuleEntry = RuleEntry {
    name: "mda",
    summary: "mean of the n − f rows of least diameter, found exactly",
    paper: "El-Mhamdi, Guerraoui, Guirguis, Hoang & Rouault, Genuinely Distributed Byzantine Machine Learning, PODC 2020, arXiv 1905.03853",
    differs: &[],
    params: &[],
    cost: "O(n²·d + 1.47^f·n²·log n)",
    facts: RuleFacts {
        bound: Bound::majority("El-Mhamdi et al. 2020"),
        claims: Claims::GEOMETRIC,
        weights: true,
        excluded: "outside the {k} rows of least diameter",
        kappa: Kappa::Open(
            "none known with its constants; at least 4f/(n−2f), as of every mean of the n − f most compact rows",
        ),
        variance_norm: Some((
            |n, f| (n - f) as f64 / (8f64.sqrt() * f as f64),
            "(n−f)/(√8·f) (El-Mhamdi, Guerraoui & Rouault 2021)",
        )),
        whole_rows: "",
        ..RuleFacts::RULE
    },
    build: |_| Ok(by_distances(Mda::default())),
};

/// The greatest f: above, the search may take minutes.
const MOST: usize = 32;

#[derive(Clone, Default)]
struct Mda {
    levels: Vec<f64>,
    cover: Cover,
    kept: Vec<usize>,
}

impl Weigh for Mda {
    fn weigh(&mut self, squared: &Pairs, f: usize, weights: &mut [f64]) {
        let n = squared.n();
        self.levels.clear();
        self.levels.push(0.0);
        (0..n).for_each(|i| self.levels.extend_from_slice(&squared.row(i)[..i]));
        self.levels.sort_unstable_by(f64::total_cmp);
        self.levels.dedup();
        let (mut low, mut high) = (0, self.levels.len() - 1);
        while low < high {
            let middle = (low + high) / 2;
            self.cover.conflicts(n, |i, j| squared.at(i, j) > self.levels[middle]);
            if self.cover.exists(f) { high = middle } else { low = middle + 1 }
        }
        self.cover.conflicts(n, |i, j| squared.at(i, j) > self.levels[low]);
        self.cover.first_kept(f, n - f, &mut self.kept);
        mean_of(&self.kept, weights);
    }

    fn exact(&self, round: &exact::Round<'_>) -> exact::Blend {
        let (n, f) = (round.n(), round.f);
        let pairs = exact::pairs(round.rows);
        let mut levels: Vec<_> = pairs.iter().flatten().copied().collect();
        levels.sort_unstable();
        levels.dedup();
        let mut cover = Cover::default();
        // A set of n − f rows has some diameter: the least level at which f rows cover the rest.
        let least = levels.partition_point(|&level| {
            cover.conflicts(n, |i, j| pairs[i][j] > level);
            !cover.exists(f)
        });
        let mut kept = Vec::new();
        cover.conflicts(n, |i, j| pairs[i][j] > levels[least]);
        cover.first_kept(f, n - f, &mut kept);
        exact::Blend::selection(n, &kept)
    }

    fn check(&self, _n: usize, f: usize) -> Result<(), String> {
        (f <= MOST).then_some(()).ok_or_else(|| format!("f ≤ {MOST} for its exact search"))
    }
}

/// By enumeration of all sets, in lexicographic order.
#[cfg(test)]
pub(crate) fn reference(rows: &[Vec<f64>], f: usize) -> Vec<f64> {
    use crate::conformance::{distance2, mean, subsets};
    let diameter = |set: &[usize]| {
        let pairs = set.iter().flat_map(|&i| set.iter().map(move |&j| (i, j)));
        pairs.map(|(i, j)| distance2(&rows[i], &rows[j])).fold(0.0, f64::max)
    };
    let mut best: Option<(f64, Vec<usize>)> = None;
    for set in subsets(rows.len(), rows.len() - f) {
        let size = diameter(&set);
        if best.as_ref().is_none_or(|(least, _)| size < *least) {
            best = Some((size, set));
        }
    }
    mean(best.unwrap().1.iter().map(|&i| &rows[i]))
}
