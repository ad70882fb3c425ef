//! Column kernels against plain sorts in f64: odd shapes, hostile values, every instruction set.

use std::cmp::Ordering;
use varangian_base::kernels::columns::{self, Centre, Picked};
use varangian_base::kernels::isa::{self, Isa};
use varangian_base::{Domain, Matrix, Seed};

/// Rows of normal-ish values from an addressed stream.
fn random(n: usize, d: usize, seed: u64) -> Matrix {
    let mut stream = Seed(seed).stream(Domain::Test, n as u32, d as u64);
    let mut matrix = Matrix::zeros(n, d);
    for i in 0..n {
        matrix.row_mut(i).fill_with(|| stream.normal() as f32);
    }
    matrix
}

/// Values that break careless kernels.
const HOSTILE: [f32; 16] = [
    0.0,
    -0.0,
    1.0,
    -1.0,
    1e38,
    -1e38,
    3.4e38,
    1e-42,
    -1e-45,
    f32::INFINITY,
    f32::NEG_INFINITY,
    f32::NAN,
    -f32::NAN,
    4096.0,
    4096.0005,
    16777216.0,
];

fn hostile(n: usize, d: usize, kinds: usize) -> Matrix {
    let mut matrix = random(n, d, 7);
    let mut stream = Seed(8).stream(Domain::Test, n as u32, d as u64);
    for i in 0..n {
        for x in matrix.row_mut(i) {
            let pick = stream.below(2 * kinds);
            if pick < kinds {
                *x = HOSTILE[pick];
            }
        }
    }
    matrix
}

/// A column as it enters a network, in f64, with the row of each value.
fn column(x: &Matrix, k: usize) -> Vec<(f64, usize)> {
    let enter = |x: f32| if x.is_nan() { f64::INFINITY } else { f64::from(x) + 0.0 };
    (0..x.n()).map(|i| (enter(x.row(i)[k]), i)).collect()
}

fn sorted(x: &Matrix, k: usize) -> Vec<f64> {
    let mut values: Vec<f64> = column(x, k).into_iter().map(|v| v.0).collect();
    values.sort_by(f64::total_cmp);
    values
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

fn middle(values: &[f64]) -> f64 {
    (values[(values.len() - 1) / 2] + values[values.len() / 2]) / 2.0
}

/// a + b, and what rounding lost of it.
fn two_sum(a: f64, b: f64) -> (f64, f64) {
    let sum = a + b;
    let part = sum - a;
    let lost = (a - (sum - part)) + (b - part);
    if lost.is_finite() { (sum, lost) } else { (sum, 0.0) }
}

/// Compares |x − c| with |y − c| as real numbers: on one side of c by x and y, else by x + y
/// and 2c.
fn nearer(x: f64, y: f64, c: f64) -> Ordering {
    let (low, high) = (x.min(y), x.max(y));
    if high <= c {
        y.total_cmp(&x)
    } else if low >= c {
        x.total_cmp(&y)
    } else if low.is_infinite() && high.is_infinite() {
        Ordering::Equal
    } else {
        let (sum, lost) = two_sum(low, high);
        let (far, lost_too) = two_sum(sum, -2.0 * c);
        let low_nearer = (far + (lost + lost_too) + 0.0).total_cmp(&0.0).reverse();
        if x <= y { low_nearer } else { low_nearer.reverse() }
    }
}

fn around(column: &[(f64, usize)], centre: f64, k: usize) -> f64 {
    let mut values = column.to_vec();
    values.sort_by(|a, b| nearer(a.0, b.0, centre).then(a.0.total_cmp(&b.0)));
    let mut kept: Vec<f64> = values[..k].iter().map(|v| v.0).collect();
    kept.sort_by(f64::total_cmp);
    mean(&kept)
}

/// Equal up to rounding: one unit in the last place of f32, any NaN for any NaN.
fn close(got: f32, want: f64) -> bool {
    let want = want as f32;
    got == want
        || (got.is_nan() && want.is_nan())
        || (got - want).abs() <= want.abs() * f32::EPSILON
}

fn instruction_sets() -> impl Iterator<Item = Isa> {
    Isa::ALL.into_iter().filter(|isa| isa.available())
}

fn check(x: &Matrix, what: &str, kernel: impl Fn(&mut [f32]), want: impl Fn(usize) -> f64) {
    let mut first: Option<Vec<u32>> = None;
    for set in instruction_sets() {
        let mut out = vec![f32::NAN; x.rows().d()];
        isa::with(set, || kernel(&mut out));
        for (k, &got) in out.iter().enumerate() {
            let (n, want) = (x.n(), want(k));
            let column = column(x, k);
            assert!(
                close(got, want),
                "{what}, {set}, n = {n}, column {k}: {got} for {want} of {column:?}"
            );
        }
        let bits: Vec<u32> = out.iter().map(|x| x.to_bits()).collect();
        let first = first.get_or_insert_with(|| bits.clone());
        assert!(*first == bits, "{what}: {set} has other bits than the first");
    }
}

fn order_statistics(x: &Matrix) {
    let n = x.n();
    check(x, "median", |out| columns::median(x.rows(), out), |k| middle(&sorted(x, k)));
    let low = (n - 1) / 2;
    check(x, "lower median", |out| columns::lower_median(x.rows(), out), |k| sorted(x, k)[low]);
    for f in [0, 1, (n - 1) / 4, (n - 1) / 2] {
        if n > 2 * f {
            let kernel = |out: &mut [f32]| columns::trimmed_mean(x.rows(), f, out);
            check(x, "trimmed mean", kernel, |k| mean(&sorted(x, k)[f..n - f]));
        }
    }
    let (from, to) = (n / 3, n / 3 + 1);
    let kernel = |out: &mut [f32]| columns::window_mean(x.rows(), from, to, out);
    check(x, "one rank", kernel, |k| sorted(x, k)[from]);
}

fn closest(x: &Matrix) {
    let n = x.n();
    let given: Vec<f32> = (0..x.rows().d()).map(|k| (k % 5) as f32 * 0.25 - 0.5).collect();
    for k in [1, n.div_ceil(4), n - (n - 1) / 2, n] {
        let f = (n - 1) / 3;
        let centres: [(Centre<'_>, &dyn Fn(usize) -> f64); 4] = [
            (Centre::Median, &|c| middle(&sorted(x, c))),
            (Centre::LowerMedian, &|c| sorted(x, c)[(n - 1) / 2]),
            (Centre::TrimmedMean(f), &|c| {
                sorted(x, c)[f..n - f].iter().sum::<f64>() * (1.0 / (n - 2 * f) as f64)
            }),
            (Centre::Given(&given), &|c| f64::from(given[c])),
        ];
        for (centre, value) in centres {
            let kernel = |out: &mut [f32]| columns::mean_around(x.rows(), centre, k, out);
            let what = format!("{k} around {:?}", std::mem::discriminant(&centre));
            check(x, &what, kernel, |c| around(&column(x, c), value(c), k));
        }
    }
}

#[test]
fn any_n_agrees_with_a_plain_sort() {
    for n in 1..=70 {
        order_statistics(&random(n, 37, 1));
    }
    for (n, d) in [(1, 1), (3, 1), (25, 1), (51, 16), (25, 33), (100, 130), (300, 17)] {
        order_statistics(&random(n, d, 2));
    }
}

#[test]
fn any_n_agrees_with_a_plain_choice_of_the_closest() {
    for n in (1..=70).step_by(3) {
        closest(&random(n, 37, 3));
    }
    for (n, d) in [(1, 1), (2, 1), (25, 33), (51, 18), (130, 17)] {
        closest(&random(n, d, 4));
    }
}

#[test]
fn hostile_values_agree_too_and_infinities_do_not_spread() {
    for n in [1, 2, 5, 9, 24, 25, 51, 64, 65, 90] {
        order_statistics(&hostile(n, 67, 16));
        closest(&hostile(n, 67, 9));
    }
}

#[test]
fn ties_go_to_the_lesser_value() {
    // Whole numbers: many values are equally far from the centre.
    for n in [4, 5, 11, 25, 40, 70] {
        let mut x = Matrix::zeros(n, 50);
        let mut stream = Seed(5).stream(Domain::Test, 0, n as u64);
        for i in 0..n {
            x.row_mut(i).fill_with(|| stream.below(7) as f32);
        }
        closest(&x);
        order_statistics(&x);
    }
    let x = Matrix::from_rows(&[[3.0, -1.0], [0.0, 0.0], [-3.0, 1.0], [9.0, 9.0]]);
    let mut out = [0.0; 2];
    columns::mean_around(x.rows(), Centre::Given(&[0.0, 0.0]), 2, &mut out);
    assert_eq!(out, [-1.5, -0.5]);
}

#[test]
fn the_order_of_rows_does_not_matter() {
    let x = hostile(25, 100, 16);
    let backwards: Vec<&[f32]> = (0..25).rev().map(|i| x.row(i)).collect();
    let y = Matrix::from_rows(&backwards);
    let (mut a, mut b) = (vec![0.0; 100], vec![1.0; 100]);
    columns::trimmed_mean(x.rows(), 3, &mut a);
    columns::trimmed_mean(y.rows(), 3, &mut b);
    let bits = |x: &[f32]| x.iter().map(|x| x.to_bits()).collect::<Vec<_>>();
    assert_eq!(bits(&a), bits(&b));
    columns::median(x.rows(), &mut a);
    columns::median(y.rows(), &mut b);
    assert_eq!(bits(&a), bits(&b));
}

#[test]
fn picked_rows_are_the_only_ones_looked_at() {
    let x = random(30, 41, 6);
    let picked = [0, 3, 4, 11, 20, 28, 29];
    let y = Matrix::from_rows(&picked.map(|i| x.row(i)));
    let (mut a, mut b) = (vec![0.0; 41], vec![1.0; 41]);
    columns::mean_around(Picked::of(x.rows(), &picked), Centre::Median, 3, &mut a);
    columns::mean_around(y.rows(), Centre::Median, 3, &mut b);
    assert_eq!(a, b);
}

#[test]
fn any_statistic_sees_each_column_sorted() {
    // More columns than are transposed at a time, and more than a block of them.
    for (n, d) in [(1, 1), (3, 65), (7, 200), (5, 9000)] {
        let x = random(n, d, 9);
        let mut out = vec![0.0; d];
        for place in 0..n {
            columns::sorted(x.rows(), &mut out, |column| {
                assert!(column.len() == n && column.is_sorted());
                column[place]
            });
            for k in (0..d).step_by(1 + d / 100) {
                let want = sorted(&x, k)[place];
                assert_eq!(f64::from(out[k]), want, "n = {n}, d = {d}, column {k}, {place}");
            }
        }
    }
}

#[test]
fn weighted_columns_come_sorted_with_their_rows_weights() {
    for (n, d) in [(1, 1), (4, 65), (6, 20_000)] {
        let x = random(n, d, 10);
        let weights: Vec<f64> = (0..n).map(|i| 1.0 + i as f64).collect();
        let mut out = vec![0.0; d];
        // The weight of the least value, and how the others follow.
        columns::weighted(x.rows(), &weights, &mut out, |column| {
            assert!(column.len() == n && column.is_sorted_by(|a, b| a.0 <= b.0));
            column[0].1 as f32
        });
        for k in (0..d).step_by(1 + d / 100) {
            let values = column(&x, k);
            let least = values.iter().min_by(|a, b| a.0.total_cmp(&b.0)).unwrap();
            assert_eq!(f64::from(out[k]), weights[least.1], "n = {n}, d = {d}, column {k}");
        }
    }
}
