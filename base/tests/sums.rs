//! Distances, norms, combinations and mixes against plain f64 loops: odd shapes, hostile values,
//! every instruction set.

use varangian_base::kernels::columns::{self, Centre, Picked};
use varangian_base::kernels::distances::Pairs;
use varangian_base::kernels::isa::{self, Isa};
use varangian_base::kernels::{combine, norms};
use varangian_base::{Domain, Matrix, Mixed, Recipe, Seed};

fn random(n: usize, d: usize, scale: f32, offset: f32) -> Matrix {
    let mut stream = Seed(1).stream(Domain::Test, n as u32, d as u64);
    let mut matrix = Matrix::zeros(n, d);
    for i in 0..n {
        matrix.row_mut(i).fill_with(|| stream.normal() as f32 * scale + offset);
    }
    matrix
}

fn instruction_sets() -> impl Iterator<Item = Isa> {
    Isa::ALL.into_iter().filter(|isa| isa.available())
}

/// C·X, written out: each row as the median of itself alone, which goes through windows.
fn mix(x: &Matrix, coefficients: &[f64], m: usize) -> Matrix {
    let mut recipe = Recipe::default();
    recipe.set(coefficients, m, x.rows().into(), false);
    let mixed = Mixed::new(x.rows(), &recipe);
    let mut matrix = Matrix::zeros(m, mixed.d());
    for i in 0..m {
        columns::median(Picked::of(mixed, &[i]), matrix.row_mut(i));
    }
    matrix
}

fn distance2(a: &[f32], b: &[f32]) -> f64 {
    a.iter().zip(b).map(|(&a, &b)| (f64::from(a) - f64::from(b)).powi(2)).sum()
}

fn close(got: f64, want: f64, tolerance: f64) -> bool {
    (got - want).abs() <= tolerance * want.abs()
}

fn distances_agree(x: &Matrix, tolerance: f64) {
    for set in instruction_sets() {
        let mut pairs = Pairs::default();
        isa::with(set, || pairs.squared_distances(x.rows()));
        for i in 0..x.n() {
            for j in 0..x.n() {
                let (got, want) = (pairs.at(i, j), distance2(x.row(i), x.row(j)));
                let (n, d) = (x.n(), x.rows().d());
                assert!(
                    close(got, want, tolerance),
                    "{set}, n = {n}, d = {d}, ({i}, {j}): {got:e} for {want:e}"
                );
            }
        }
    }
}

#[test]
fn distances_of_few_coordinates_are_those_of_f64() {
    for n in 1..=23 {
        distances_agree(&random(n, 37, 1.0, 0.0), 1e-13);
    }
    // Of 150 rows not all pairs' sums are held at a time.
    for (n, d) in [(2, 1), (51, 100), (6, 8192), (150, 70)] {
        distances_agree(&random(n, d, 1.0, 0.0), 1e-12);
    }
}

#[test]
fn distances_of_many_coordinates_are_near_those_of_f64() {
    for (n, d) in [(1, 9000), (2, 8193), (5, 20_001), (13, 8207), (11, 40_000)] {
        distances_agree(&random(n, d, 1.0, 0.0), 2e-7);
        distances_agree(&random(n, d, 1e-3, 4096.0), 2e-7);
    }
}

#[test]
fn distances_beyond_the_range_of_squares_in_f32_are_finite_and_right() {
    for scale in [1e-30, 1e-44, 1e25, 3e37] {
        distances_agree(&random(5, 9001, scale, 0.0), 1e-12);
    }
    // One giant row, one that differs from another by a denormal, two that are equal.
    let mut x = random(8, 9001, 1.0, 0.0);
    x.row_mut(6).fill(-3e38);
    let equal = x.row(2).to_vec();
    x.row_mut(7).copy_from_slice(&equal);
    x.row_mut(3).copy_from_slice(&equal);
    x.row_mut(2)[8500] = 0.0;
    x.row_mut(3)[8500] = 1e-40;
    x.row_mut(7)[8500] = -0.0;
    distances_agree(&x, 2e-7);
    let mut pairs = Pairs::default();
    pairs.squared_distances(x.rows());
    assert_eq!(pairs.at(2, 7), 0.0);
    assert!(pairs.at(2, 3) > 0.0 && pairs.at(0, 6).is_finite());
}

#[test]
fn instruction_sets_agree_to_the_bit_where_they_say_so() {
    let x = random(7, 20_003, 1.0, 0.0);
    let few = Matrix::from_rows(&(0..7).map(|i| &x.row(i)[..5000]).collect::<Vec<_>>());
    let run = |isa: Isa, x: &Matrix| {
        isa::with(isa, || {
            let (mut pairs, mut out) = (Pairs::default(), vec![0.0; x.rows().d()]);
            pairs.squared_distances(x.rows());
            let (mut all, mut one) = (Vec::new(), Vec::new());
            norms::rows_distance2(x.rows(), x.row(1), &mut all);
            norms::rows_norm2(x.rows(), &mut one);
            all.extend_from_slice(&one);
            norms::rows_dot(x.rows(), x.row(2), &mut one);
            all.extend_from_slice(&one);
            combine::combine(x.rows(), &[0.1, 0.0, -3.0, 1e-3, 7.0, 0.3, 0.9], &mut out);
            all.extend(out.iter().map(|&x| f64::from(x)));
            combine::mean(x.rows(), &mut out);
            all.extend(out.iter().map(|&x| f64::from(x)));
            let coefficients: Vec<f64> = (0..21).map(|c| f64::from(c % 5 - 1) * 0.3).collect();
            let mixed = mix(x, &coefficients, 3);
            (0..3).for_each(|i| all.extend(mixed.row(i).iter().map(|&x| f64::from(x))));
            let pairs: Vec<f64> = (0..7).flat_map(|i| pairs.row(i).to_vec()).collect();
            (pairs, all)
        })
    };
    let portable = (run(Isa::Portable, &x), run(Isa::Portable, &few));
    let fused: Vec<_> = instruction_sets().skip(1).map(|isa| run(isa, &x).0).collect();
    assert!(fused.windows(2).all(|pair| pair[0] == pair[1]), "fused distances agree");
    for set in instruction_sets() {
        assert!(run(set, &x).1 == portable.0.1, "{set}: sums of f64");
        assert!(run(set, &few) == portable.1, "{set}: few coordinates");
    }
}

#[test]
fn norms_are_those_of_f64_and_the_same_alone_and_among_rows() {
    for (n, d) in [(1, 1), (3, 15), (5, 16), (4, 17_000), (2, 40_001)] {
        let x = random(n, d, 1.0, 0.5);
        let centre = x.row(n - 1);
        for set in instruction_sets() {
            isa::with(set, || {
                let (mut norms2, mut far, mut dots) = (Vec::new(), Vec::new(), Vec::new());
                norms::rows_norm2(x.rows(), &mut norms2);
                norms::rows_distance2(x.rows(), centre, &mut far);
                norms::rows_dot(x.rows(), centre, &mut dots);
                for i in 0..n {
                    let row = x.row(i);
                    assert_eq!(norms2[i], norms::norm2(row));
                    assert_eq!(far[i], norms::distance2(row, centre));
                    assert_eq!(dots[i], norms::dot(row, centre));
                    assert!(close(norms2[i], distance2(row, &vec![0.0; d]), 1e-12));
                    assert!(close(far[i], distance2(row, centre), 1e-12));
                    let dot: f64 =
                        row.iter().zip(centre).map(|(&a, &b)| f64::from(a) * f64::from(b)).sum();
                    assert!((dots[i] - dot).abs() <= 1e-12 * norms2[i].max(norms2[n - 1]));
                }
            });
        }
    }
    let huge = [3e38f32, -3e38, 1e-45];
    assert!(norms::norm2(&huge).is_finite() && norms::norm2(&huge[2..]) > 0.0);
}

#[test]
fn combinations_are_those_of_f64_rounded_once() {
    for (n, d) in [(1, 1), (3, 15), (5, 513), (9, 5000), (51, 130)] {
        let x = random(n, d, 1.0, 0.0);
        let weights: Vec<f64> =
            (0..n).map(|i| if i % 3 == 1 { 0.0 } else { i as f64 - 2.0 }).collect();
        let want = |k: usize, weights: &[f64]| {
            let sum: f64 = (0..n).map(|i| weights[i] * f64::from(x.row(i)[k])).sum();
            sum as f32
        };
        let (mut out, mut mixed) = (vec![0.0; d], Matrix::default());
        for set in instruction_sets() {
            isa::with(set, || {
                combine::combine(x.rows(), &weights, &mut out);
                let both: Vec<f64> = weights.iter().copied().chain(vec![0.25; n]).collect();
                mixed = mix(&x, &both, 2);
            });
            for k in 0..d {
                assert_eq!(out[k], want(k, &weights), "{set}, n = {n}, d = {d}, column {k}");
                assert_eq!(mixed.row(0)[k], out[k]);
                assert_eq!(mixed.row(1)[k], want(k, &vec![0.25; n]));
            }
        }
    }
}

#[test]
fn rows_of_weight_0_are_not_read_and_huge_rows_do_not_overflow() {
    let x = Matrix::from_rows(&[[f32::NAN; 40], [3e38; 40], [3e38; 40], [-3e38; 40]]);
    for set in instruction_sets() {
        isa::with(set, || {
            let mut out = vec![0.0; 40];
            combine::combine(x.rows(), &[0.0, 1.0, 1.0, 1.5], &mut out);
            let want = (2.0 * f64::from(3e38f32) - 1.5 * f64::from(3e38f32)) as f32;
            assert_eq!(out, [want; 40]);
            assert_eq!(mix(&x, &[0.0, 1.0, 1.0, 1.5], 1).row(0), [want; 40]);
        });
    }
}

#[test]
fn dense_mixes_are_those_of_f64_rounded_once() {
    for (n, d) in [(3, 1), (5, 511), (9, 1100), (30, 4613)] {
        let x = random(n, d, 1.0, 0.0);
        // Rows of one coefficient, rows of many, and rows that repeat an earlier one.
        let coefficient = |i: usize, j: usize| match i % 3 {
            0 => 0.125,
            1 => (i * 7 + j * 3) as f64 * 0.1 - 1.0,
            _ => {
                if j == 0 {
                    0.0
                } else {
                    0.5
                }
            }
        };
        let all: Vec<f64> = (0..n * n).map(|c| coefficient(c / n, c % n)).collect();
        for set in instruction_sets() {
            let mixed = isa::with(set, || mix(&x, &all, n));
            for i in 0..n {
                for k in 0..d {
                    let row = |j: usize| coefficient(i, j) * f64::from(x.row(j)[k]);
                    let want = (0..n).map(row).sum::<f64>() as f32;
                    let got = mixed.row(i)[k];
                    let near = (got - want).abs() <= 1e-6 * want.abs().max(1e-3);
                    assert!(near, "{set}, n = {n}, d = {d}, ({i}, {k}): {got} for {want}");
                }
            }
        }
    }
}

/// Scales, dense means, repeated rows, and rows of one term.
fn coefficients(n: usize, kind: usize) -> Vec<f64> {
    let one = |i: usize, j: usize| match kind {
        0 if i == j => 1.0 / (1 + i) as f64,
        1 if !(i + j).is_multiple_of(n) => 1.0 / (n - 1) as f64,
        2 if (i / 2 + j).is_multiple_of(3) => (1 + j) as f64 * 0.25,
        _ => 0.0,
    };
    (0..n * n).map(|c| one(c / n, c % n)).collect()
}

#[test]
fn kernels_on_mixed_rows_are_those_on_written_ones_to_the_bit() {
    for (n, d) in [(2, 1), (5, 1023), (7, 8193), (9, 18_007)] {
        let x = random(n, d, 1.0, 0.25);
        for (kind, set) in (0..3).flat_map(|kind| instruction_sets().map(move |set| (kind, set))) {
            isa::with(set, || {
                let all = coefficients(n, kind);
                let written = mix(&x, &all, n);
                let mut recipe = Recipe::default();
                recipe.set(&all, n, x.rows().into(), true);
                let run = |rows: Mixed<'_>| {
                    let (mut pairs, mut sums, mut out) = Default::default();
                    statistics(rows, x.row(0), &mut pairs, &mut sums, &mut out);
                    let pairs: Vec<f64> = (0..=n).flat_map(|i| pairs.row(i).to_vec()).collect();
                    (pairs, sums, out)
                };
                let (found, wanted) =
                    (run(Mixed::new(x.rows(), &recipe)), run(written.rows().into()));
                assert!(found == wanted, "{set}, n = {n}, d = {d}, coefficients {kind}");
                let (mut a, mut b) = (vec![0.0; d], vec![0.0; d]);
                combine::mean(Mixed::new(x.rows(), &recipe), &mut a);
                combine::mean(written.rows(), &mut b);
                let near = |(a, b): (&f32, &f32)| (a - b).abs() <= 1e-6;
                assert!(a.iter().zip(&b).all(near), "{set}: the mean, rounded once");
            });
        }
    }
}

/// Distances with one more vector, sums with it, and values of columns.
fn statistics(
    rows: Mixed<'_>,
    centre: &[f32],
    pairs: &mut Pairs,
    sums: &mut Vec<f64>,
    out: &mut Vec<f32>,
) {
    let mut more = Vec::new();
    pairs.squared_distances_with(rows, centre);
    norms::rows_norm2(rows, sums);
    norms::rows_dot(rows, centre, &mut more);
    sums.extend_from_slice(&more);
    norms::rows_distance2(rows, centre, &mut more);
    sums.extend_from_slice(&more);
    let d = rows.d();
    out.resize(2 * d, 0.0);
    let (a, b) = out.split_at_mut(d);
    columns::median(rows, a);
    columns::mean_around(rows, Centre::Given(centre), rows.n().div_ceil(2), b);
    let mut room = Vec::new();
    out.extend_from_slice(rows.row(rows.n() - 1, &mut room));
}

#[test]
fn copies_change_no_bit_of_a_distance() {
    for d in [5, 9000, 40_003] {
        let mut x = random(9, d, 1.0, 0.0);
        for i in [3, 4, 7] {
            x.copy_row(1, i);
        }
        x.copy_row(2, 8);
        x.row_mut(7)[d - 1] += 1.0;
        for set in instruction_sets() {
            isa::with(set, || {
                let (mut all, mut two) = (Pairs::default(), Pairs::default());
                all.squared_distances(x.rows());
                for (i, j) in (0..9).flat_map(|i| (0..9).map(move |j| (i, j))) {
                    two.squared_distances(Matrix::from_rows(&[x.row(i), x.row(j)]).rows());
                    let (found, alone) = (all.at(i, j), two.at(0, 1));
                    assert!(found.to_bits() == alone.to_bits(), "{set}, d = {d}, ({i}, {j})");
                }
            });
        }
    }
}
