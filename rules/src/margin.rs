//! By how much rows may move before a rule selects others.
//!
//! If no row moves farther than ε, a distance between two changes by at most 2ε. A score is the sum
//! of a row's k least distances, or of a power of them, so that of a row with nearest distances d
//! is at most Σ (d + 2ε) afterwards, as those k are among what it may take, and at least
//! Σ max(d − 2ε, 0), as k others are no nearer than that. While the greatest upper bound of the
//! selected rows is below the least lower bound of the others, the selection stays. The margin is
//! the largest such ε; what may really be moved before a selection flips is more.
//!
//! The field's name for it is a no-flip certificate (for Krum in arXiv 2607.10305, lemma 12).
//! Differs: its text was not at hand; this is derived from the triangle inequality alone.

use crate::krum::Power;
use varangian_base::kernels::distances::Pairs;

/// What rounding may take from a squared distance, as a share of it: see [`Pairs`].
const LOSS: f64 = 5e-6;

/// The margin of a selection of the first `kept` rows in `order`, by scores that sum this
/// power of the `k` least distances. `None` where no row is left out, or a distance is
/// not finite. Cost O(n²·log n).
pub(crate) fn of_scores(
    squared: &Pairs,
    (order, kept): (&[usize], usize),
    k: usize,
    power: Power,
) -> Option<f64> {
    let n = squared.n();
    let nearest = |&i: &usize| {
        let mut far: Vec<f64> =
            (0..n).filter(|&j| j != i).map(|j| squared.at(i, j).sqrt()).collect();
        far.sort_unstable_by(f64::total_cmp);
        far.truncate(k);
        far
    };
    let far: Vec<Vec<f64>> = order.iter().map(nearest).collect();
    let most = far.iter().flatten().fold(0.0f64, |most, &x| most.max(x));
    if kept >= n || !most.is_finite() {
        return None;
    }
    let term = |x: f64| match power {
        Power::One => x,
        Power::Two => x * x,
        Power::Four => (x * x) * (x * x),
    };
    let upper = |far: &Vec<f64>, by: f64| -> f64 {
        far.iter().map(|x| term(x * (1.0 + LOSS) + 2.0 * by)).sum()
    };
    let lower = |far: &Vec<f64>, by: f64| -> f64 {
        far.iter().map(|x| term((x * (1.0 - LOSS) - 2.0 * by).max(0.0))).sum()
    };
    let stays = |by: f64| {
        let greatest = far[..kept].iter().map(|far| upper(far, by)).fold(0.0, f64::max);
        far[kept..].iter().all(|far| greatest < lower(far, by))
    };
    Some(largest(most, stays))
}

/// The margin of a selection of the `kept` rows nearest to one of them, of these squared distances
/// from it: all move, so that two distances differ by 4ε more or less. `None` as above.
pub(crate) fn of_nearest(squared: &[f64], (order, kept): (&[usize], usize)) -> Option<f64> {
    let (within, beyond) = (*order.get(kept.checked_sub(1)?)?, *order.get(kept)?);
    let (within, beyond) = (squared[within].sqrt(), squared[beyond].sqrt());
    let margin = (beyond * (1.0 - LOSS) - within * (1.0 + LOSS)) / 4.0;
    margin.is_finite().then_some(margin.max(0.0))
}

/// The largest number below `most` for which `stays` holds; 0 where it never does. Numbers that are
/// not negative are in the order of their bits, so that halving those finds it to the last one,
/// however far a row is.
fn largest(most: f64, stays: impl Fn(f64) -> bool) -> f64 {
    let (mut low, mut high) = (0, most.to_bits());
    while high - low > 1 {
        let middle = low + (high - low) / 2;
        if stays(f64::from_bits(middle)) { low = middle } else { high = middle }
    }
    f64::from_bits(low)
}

#[cfg(test)]
mod tests {
    use crate::conformance::draws;
    use crate::{Pipeline, Round, Verdict, build};
    use varangian_base::Matrix;

    /// Who was selected, and the margin.
    fn ask(rule: &mut Pipeline, rows: &Matrix, f: usize) -> (Vec<bool>, Option<f64>) {
        let (mut out, mut verdict) = (vec![0.0; rows.rows().d()], Verdict::default());
        rule.aggregate(&mut Round::of(rows.rows(), f), &mut out, &mut verdict);
        (verdict.weights.iter().map(|&w| w > 0.0).collect(), rule.margin(f))
    }

    fn margin(spec: &str, rows: &[[f32; 1]], f: usize) -> Option<f64> {
        ask(&mut build(spec, rows.len(), f).unwrap(), &Matrix::from_rows(rows), f).1
    }

    #[test]
    fn worked_by_hand() {
        // Two neighbours: the scores are 2 of row 1, and 5 of rows 0 and 2. 2·(1 + 2ε)² is
        // (1 − 2ε)² + (2 − 2ε)² at ε = 3/20.
        let rows = [[0.0], [1.0], [2.0], [10.0], [20.0]];
        let near = |got: Option<f64>, want: f64| {
            assert!(got.is_some_and(|got| got <= want && got > want * 0.9999), "{got:?}, {want}");
        };
        near(margin("krum", &rows, 1), 0.15);
        // With roots and three neighbours: 1 + 1 + 9 of row 1, and 1 + 2 + 8 of row 2.
        assert_eq!(margin("krum variant=distributed-momentum", &rows, 1), Some(0.0), "a tie");
        // The four nearest to row 0 are all but 20: (20 − 10)/4.
        near(margin("monna", &rows, 1), 2.5);
        assert_eq!(margin("monna", &rows, 0), None, "nobody is left out");
        assert_eq!(margin("median", &rows, 1), None, "nothing is selected");
        assert_eq!(margin("nnm | krum", &rows, 1), None, "the mixing may select others too");
        assert_eq!(margin("krum", &[[1.0]; 5], 1), Some(0.0), "all alike");
        let scaled = |by: f32, last: f32| rows.map(|[x]| [if x > 15.0 { last } else { x * by }]);
        near(margin("krum", &scaled(1.0, 3e38), 1), 0.15);
        near(margin("krum", &scaled(1e-20, 20e-20), 1), 0.15e-20);
    }

    #[test]
    fn no_move_below_the_margin_flips_a_selection_and_some_beyond_it_do() {
        let (mut certified, mut flipped) = (0, 0);
        for seed in 0..300 {
            let mut draws = draws(seed);
            let (n, d) = (7 + seed as usize % 5, 1 + seed as usize % 4);
            let mut rows = Matrix::zeros(n, d);
            (0..n).for_each(|i| rows.row_mut(i).fill_with(|| draws.normal() as f32));
            for spec in
                ["krum", "multi-krum m=3", "krum variant=byzfl", "krum variant=bucketing", "monna"]
            {
                let mut rule = build(spec, n, 2).unwrap();
                let (selected, margin) = ask(&mut rule, &rows, 2);
                let margin = margin.expect("rows are left out");
                certified += usize::from(margin > 0.01);
                let shares = [0.999, 0.999, 0.999, 8.0].into_iter().cycle();
                for (turn, share) in shares.take(24).enumerate() {
                    // Towards or away from row 0 or the last, or anywhere.
                    let mut moved = rows.clone();
                    for i in 0..n {
                        let to = rows.row([0, n - 1][turn % 2]).to_vec();
                        let sign = [1.0, -1.0][draws.below(2)];
                        let way: Vec<f64> = (0..d)
                            .map(|k| match turn % 3 {
                                0 => draws.normal(),
                                _ => sign * f64::from(to[k] - rows.row(i)[k]),
                            })
                            .collect();
                        let length = way.iter().map(|x| x * x).sum::<f64>().sqrt().max(1e-300);
                        for (x, way) in moved.row_mut(i).iter_mut().zip(&way) {
                            *x = (f64::from(*x) + way / length * share * margin) as f32;
                        }
                    }
                    let same = ask(&mut rule, &moved, 2).0 == selected;
                    assert!(same || share > 1.0 || margin < 1e-6, "{spec}, {seed}: {margin}");
                    flipped += usize::from(!same && share > 1.0);
                }
            }
        }
        assert!(certified > 600 && flipped > 600, "{certified}, {flipped}");
    }
}
