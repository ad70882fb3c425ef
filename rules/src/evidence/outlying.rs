//! How unlikely a number is beside others like it.

/// The least count of numbers of which [`outlying`] says anything.
pub const LEAST: usize = 5;

/// MAD of a normal distribution times this is its deviation.
const NORMAL: f64 = 1.4826;

/// For each of n scores, a probability p that an honest one lies at least so far from the median of
/// all, to either side; `None` for all below [`LEAST`] scores, or where half of them are equal, as
/// there is no scale then.
///
/// z = |score − median| / (1.4826 · MAD) is read in the two-sided tail of Student's distribution
/// with 1 degree of freedom for n ≤ 6, 2 for n ≤ 12, and 4 from there: fewer scores give a worse
/// scale, and heavier tails say less. Where the scores are the distances of rows of independent
/// normal noise (any d) from their coordinate-wise median, at most about α of all rows get p ≤ α;
/// a test simulates that.
///
/// The assumption: honest rows differ by chance alone and alike, and more than half of the rows are
/// honest. Workers with data of their own break it: a small p says that a row is unlike the others,
/// not that its sender is hostile. p is of one row named beforehand: of n honest rows, the least p
/// is ≤ α up to n·α of the time. Steps are not independent, so that p of several may not be
/// multiplied.
pub fn outlying(scores: &[f64]) -> Vec<Option<f64>> {
    let n = scores.len();
    if n < LEAST || scores.iter().any(|score| !score.is_finite()) {
        return vec![None; n];
    }
    let middle = median(scores.to_vec());
    // Halves, so that no difference of finite numbers overflows.
    let off: Vec<f64> = scores.iter().map(|score| (score / 2.0 - middle / 2.0).abs()).collect();
    let deviation = median(off.clone());
    // Half of the scores are equal: nothing says how far apart honest ones are.
    if deviation == 0.0 {
        return vec![None; n];
    }
    let freedom = match n {
        0..7 => Freedom::One,
        7..13 => Freedom::Two,
        _ => Freedom::Four,
    };
    off.iter().map(|off| Some(2.0 * tail(off / deviation / NORMAL, freedom))).collect()
}

/// The middle of some numbers, or half way between the middle two.
fn median(mut numbers: Vec<f64>) -> f64 {
    numbers.sort_unstable_by(f64::total_cmp);
    let n = numbers.len();
    numbers[(n - 1) / 2] / 2.0 + numbers[n / 2] / 2.0
}

#[derive(Clone, Copy)]
enum Freedom {
    One,
    Two,
    Four,
}

/// P(T ≥ z) for z ≥ 0, infinity included, of Student's distribution, without cancellation far out.
fn tail(z: f64, freedom: Freedom) -> f64 {
    if z.is_infinite() {
        return 0.0;
    }
    let root = |square: f64| z.hypot(square.sqrt());
    match freedom {
        Freedom::One => 1f64.atan2(z) / std::f64::consts::PI,
        Freedom::Two => {
            let long = root(2.0);
            1.0 / long / long / (1.0 + z / long)
        }
        Freedom::Four => {
            let long = root(4.0);
            let sine = z / long;
            let rest = 4.0 / long / long / (1.0 + sine);
            rest * rest * (2.0 + sine) / 4.0
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conformance::draws;

    #[test]
    fn tails_are_students() {
        // From tables: t at upper 5 %, 2.5 %, 0.05 %.
        let cases = [
            (Freedom::One, [6.313752, 12.706205, 636.619249]),
            (Freedom::Two, [2.919986, 4.302653, 31.599055]),
            (Freedom::Four, [2.131847, 2.776445, 8.610302]),
        ];
        for (freedom, points) in cases {
            for (t, p) in points.into_iter().zip([0.05, 0.025, 0.0005]) {
                assert!((tail(t, freedom) / p - 1.0).abs() < 1e-6, "{t}: {}", tail(t, freedom));
            }
            assert!((tail(0.0, freedom) - 0.5).abs() < 1e-15);
        }
        // Far out: 1/(π·z), 1/(2·z²), 6/z⁴ · 1/2·… without a digit lost.
        assert!((tail(1e12, Freedom::One) * 1e12 * std::f64::consts::PI - 1.0).abs() < 1e-9);
        assert!((tail(1e12, Freedom::Two) * 2e24 - 1.0).abs() < 1e-9);
        assert!((tail(1e12, Freedom::Four) * 1e48 / 3.0 - 1.0).abs() < 1e-9);
        assert_eq!(tail(f64::INFINITY, Freedom::Four), 0.0);
    }

    #[test]
    fn a_hand_worked_case() {
        // Median 2, distances from it 1, 1, 0, 0, 8: MAD 1; z of the last is 8/1.4826.
        let p = outlying(&[1.0, 3.0, 2.0, 2.0, 10.0]);
        let expected = 2.0 * (1.4826f64 / 8.0).atan() / std::f64::consts::PI;
        assert!((p[4].unwrap() - expected).abs() < 1e-12 && p[2] == Some(1.0), "{p:?}");
        // What is too near is as unusual as what is too far.
        let low = outlying(&[1.0, 3.0, 2.0, 2.0, -6.0]);
        assert_eq!(low[4], p[4]);
        for scale in [1e-300, 1e300] {
            let scaled = outlying(&[1.0, 3.0, 2.0, 2.0, 10.0].map(|x| x * scale));
            assert!((scaled[4].unwrap() - expected).abs() < 1e-9, "{scaled:?}");
        }
    }

    #[test]
    fn nothing_is_said_of_few_or_of_equal_scores() {
        assert_eq!(outlying(&[1.0, 2.0, 3.0, 100.0]), [None; 4]);
        assert_eq!(outlying(&[1.0, 1.0, 1.0, 2.0, 100.0]), [None; 5]);
        assert_eq!(outlying(&[1.0, 2.0, 3.0, 4.0, f64::NAN]), [None; 5]);
        assert!(outlying(&[]).is_empty());
        assert!(outlying(&[f64::MAX, 0.0, 1.0, 2.0, 3.0]).iter().all(Option::is_some));
    }

    /// Among honest rows, p ≤ α comes up in no more than α of all rows (up to a quarter of α, and
    /// chance).
    #[test]
    fn honest_rows_get_a_small_p_no_more_often_than_it_says() {
        let mut draws = draws(11);
        for (n, d) in
            [(5, 2), (6, 10), (7, 1), (8, 1), (8, 30), (12, 3), (13, 1), (13, 20), (30, 2)]
        {
            let (mut seen, mut small) = (0, [0; 3]);
            let levels = [0.1, 0.05, 0.01];
            while seen < 20_000 {
                let rows: Vec<Vec<f64>> =
                    (0..n).map(|_| (0..d).map(|_| draws.normal()).collect()).collect();
                let column = |k: usize| median(rows.iter().map(|row| row[k]).collect());
                let centre: Vec<f64> = (0..d).map(column).collect();
                let off: Vec<f64> = rows
                    .iter()
                    .map(|row| {
                        row.iter().zip(&centre).map(|(x, c)| (x - c).powi(2)).sum::<f64>().sqrt()
                    })
                    .collect();
                let p = outlying(&off);
                seen += n;
                for (count, level) in small.iter_mut().zip(levels) {
                    *count += p.iter().flatten().filter(|p| **p <= level).count();
                }
            }
            for (count, level) in small.into_iter().zip(levels) {
                let found = count as f64 / seen as f64;
                let chance = 3.0 * (level / seen as f64).sqrt();
                assert!(found <= 1.25 * level + chance, "n = {n}, d = {d}: {found} of {level}");
            }
        }
    }
}
