//! Certificates against every set of rows, and in attacked steps against the honest mean.

mod case;

use rand::RngExt;
use varangian_base::{Domain, Matrix, Seed};
use varangian_rules::{Certificate, Certifier, Effort, certify_exact};

/// Calls `work` with every set of at least `least` of n rows.
fn every_set(n: usize, least: usize, mut work: impl FnMut(&[usize])) {
    for mask in 0u32..1 << n {
        if mask.count_ones() as usize >= least {
            let set: Vec<usize> = (0..n).filter(|i| mask >> i & 1 == 1).collect();
            work(&set);
        }
    }
}

/// The largest distance of the answer from the mean of a set of at least `least` rows, and the
/// least inner product with one, by looking at each.
fn slowly(rows: &[Vec<f64>], answer: &[f64], least: usize) -> (f64, f64) {
    let (mut most, mut product) = (0.0f64, f64::INFINITY);
    every_set(rows.len(), least, |set| {
        let mean: Vec<f64> = (0..answer.len())
            .map(|k| set.iter().map(|&i| rows[i][k]).sum::<f64>() / set.len() as f64)
            .collect();
        let pairs = || mean.iter().zip(answer);
        most = most.max(pairs().map(|(a, b)| (a - b).powi(2)).sum::<f64>().sqrt());
        product = product.min(pairs().map(|(a, b)| a * b).sum());
    });
    (most, product)
}

fn certificate(effort: Effort, rows: &[Vec<f32>], answer: &[f32], f: usize) -> Certificate {
    Certifier::new(effort).certify(Matrix::from_rows(rows).rows(), answer, f, None).unwrap()
}

#[test]
fn five_rows_on_a_line_have_the_hand_values() {
    let rows = [[1.0f32], [2.0], [3.0], [4.0], [-10.0]].map(Vec::from);
    // Without the two highest the mean is −7/3; the answer 2.5 is 29/6 from it.
    let sharp = certificate(Effort::Sharp, &rows, &[2.5], 2);
    assert!((sharp.radius - 29.0 / 6.0).abs() < 1e-9 && sharp.attained, "{sharp:?}");
    // Of sets of 4 the worst sum is −4, of all 0: not even with nobody hostile.
    assert_eq!((sharp.descent, sharp.length.round()), (None, 3.0));
    let rows = [[1.0f32], [2.0], [3.0], [4.0], [-2.0]].map(Vec::from);
    // Sums of the 5, 4 and 3 least: 8, 4, 1.
    assert_eq!(certificate(Effort::Fast, &rows, &[2.5], 2).descent, Some(2));
    let rows = [[1.0f32], [2.0], [3.0], [4.0], [-4.0]].map(Vec::from);
    // 6, 2, −1.
    assert_eq!(certificate(Effort::Fast, &rows, &[2.5], 2).descent, Some(1));
}

#[test]
fn the_sharp_radius_is_that_of_every_set_and_the_fast_one_no_less() {
    for case in 0..200u64 {
        let mut draw = Seed(9).stream(Domain::Test, 1, case);
        let (n, d) = (draw.random_range(2..9usize), draw.random_range(1..5));
        let f = draw.random_range(0..=(n - 1) / 2);
        let rows: Vec<Vec<f32>> =
            (0..n).map(|_| (0..d).map(|_| draw.random_range(-2.0f32..2.0)).collect()).collect();
        let answer: Vec<f32> = (0..d).map(|_| draw.random_range(-1.0f32..1.0)).collect();
        let wide = |x: &[f32]| x.iter().map(|&x| f64::from(x)).collect::<Vec<f64>>();
        let exact: Vec<Vec<f64>> = rows.iter().map(|row| wide(row)).collect();
        let (most, _) = slowly(&exact, &wide(&answer), n - f);
        let [sharp, fast] =
            [Effort::Sharp, Effort::Fast].map(|effort| certificate(effort, &rows, &answer, f));
        let double = certify_exact(&exact, &wide(&answer), f, None).unwrap();
        for found in [sharp, double] {
            // Near 0 the radius is the root of a rounding error.
            assert!(found.radius >= most && found.attained, "{found:?} {most}");
            assert!(found.radius <= most * (1.0 + 1e-9) + 1e-6, "{found:?} {most}");
        }
        assert!(fast.radius >= most, "{fast:?} {most}");
        let certified = |k: usize| slowly(&exact, &wide(&answer), n - k).1 > 0.0;
        let descent = (0..=(n - 1) / 2).rev().find(|&k| certified(k));
        assert_eq!([sharp.descent, fast.descent, double.descent], [descent; 3], "{rows:?}");
    }
}

#[test]
fn a_search_that_is_cut_short_still_bounds() {
    let mut draw = Seed(4).stream(Domain::Test, 1, 0);
    let (n, f, d) = (40, 19, 64);
    let rows: Vec<Vec<f32>> =
        (0..n).map(|_| (0..d).map(|_| draw.random_range(-1.0f32..1.0)).collect()).collect();
    let (sharp, fast) = (
        certificate(Effort::Sharp, &rows, &vec![0.0; d], f),
        certificate(Effort::Fast, &rows, &vec![0.0; d], f),
    );
    assert!(!sharp.attained && sharp.radius <= fast.radius, "{sharp:?} {fast:?}");
    // Any one set is a lower bound.
    let wide: Vec<Vec<f64>> =
        rows.iter().map(|row| row.iter().map(|&x| f64::from(x)).collect()).collect();
    for _ in 0..1000 {
        let set = draw.permutation(n);
        let mean =
            |k: usize| set[f..].iter().map(|&i| wide[i as usize][k]).sum::<f64>() / (n - f) as f64;
        let far = (0..d).map(|k| mean(k).powi(2)).sum::<f64>().sqrt();
        assert!(far <= sharp.radius, "{far} {sharp:?}");
    }
}

#[test]
fn rows_of_any_magnitude_have_one_and_f_of_all_rows_none() {
    for scale in [1e-300, 1e-160, 1e-5, 1e160, 1e300] {
        let rows = [1.0, 2.0, 3.0, 4.0, -2.0].map(|x| vec![x * scale]);
        let found = certify_exact(&rows, &[2.5 * scale], 2, Some(0.5)).unwrap();
        // Without 3 and 4 the mean is 1/3, 13/6 below; the distances from 1.6 are 3.6, 2.4 and 1.4.
        assert!((found.radius / scale - 13.0 / 6.0).abs() < 1e-9, "{found:?}");
        let promised = (0.5 * (3.6f64.powi(2) + 2.4f64.powi(2) + 1.4f64.powi(2)) / 3.0).sqrt();
        assert!((found.promised.unwrap() / scale - promised).abs() < 1e-9, "{found:?}");
        assert_eq!(found.descent, Some(2));
    }
    let huge = [[f32::MAX], [f32::MAX], [f32::MIN]].map(Vec::from);
    let found = certificate(Effort::Fast, &huge, &[f32::MAX], 1);
    assert!(found.radius >= f64::from(f32::MAX) && found.radius.is_finite(), "{found:?}");
    let rows = Matrix::from_rows(&[[1.0f32], [2.0]]);
    assert_eq!(Certifier::new(Effort::Fast).certify(rows.rows(), &[1.0], 2, None), None);
    let far = certify_exact(&[vec![f64::MAX], vec![f64::MIN]], &[f64::MAX], 1, None).unwrap();
    assert_eq!(far.radius, f64::INFINITY);
}

#[test]
fn the_bits_are_the_same_at_any_number_of_threads() {
    let mut draw = Seed(5).stream(Domain::Test, 1, 0);
    let mut rows = Matrix::zeros(7, 10_000);
    for i in 0..7 {
        rows.row_mut(i).iter_mut().for_each(|x| *x = draw.random_range(-1.0f32..1.0));
    }
    let answer = rows.row(3).to_vec();
    let with = |threads: usize, effort| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| Certifier::new(effort).certify(rows.rows(), &answer, 2, Some(1.0)))
    };
    for effort in [Effort::Fast, Effort::Sharp] {
        assert_eq!(with(1, effort), with(4, effort));
    }
}

#[test]
fn no_attacked_step_leaves_its_certificate() {
    let mut tally = case::Tally::default();
    for step in 0..3000 {
        case::step(Seed(1), step, &mut tally);
    }
    assert_eq!(tally.violations, [0; 3], "{tally:?}");
    // A certificate that certifies nothing would never be violated.
    assert!(tally.descents > 3000 && tally.promises > 1000, "{tally:?}");
    assert!(tally.tightest < 1.0 + 1e-6, "{tally:?}");
}
